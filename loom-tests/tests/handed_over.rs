//! A pin handed from a thread's word to the registry (I5): a snapshot taken inside an attempt outlives it, whoever scans
//! meanwhile.
//! Bound: 2 preemptions; one attempt that hands its snapshot out, a writer with two commits.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

#[test]
fn a_snapshot_from_inside_an_attempt_stays_pinned() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        v.store(Tracked::new(1));
        let writer = spawn({
            let v = v.clone();
            move || {
                v.store(Tracked::new(2));
                v.store(Tracked::new(3));
                v
            }
        });
        let (number, snapshot) = space.atomically(|tx| Ok((tx.read(&v).get(), space.snapshot())));
        assert_eq!(snapshot.read(&v).get(), number);
        let handle = writer.join().unwrap();
        assert_eq!(snapshot.read(&v).get(), number);
        drop(snapshot);
        // The writer has left: what it retired hung on the snapshot, or is adopted by the next commits.
        for number in 4..6 {
            v.store(Tracked::new(number));
        }
        assert_eq!(values(), 1);
        drop(handle);
    });
}
