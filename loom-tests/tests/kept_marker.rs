//! A snapshot that is being taken (I3): its marker protects every version from the one that it carries on, until the snapshot's own
//! version takes the marker's place.
//! Bound: 2 preemptions; a thread whose last look is versions old takes a snapshot beside three commits.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

#[test]
fn the_root_that_was_just_loaded_stays() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        let writer = spawn({
            let v = v.clone();
            move || {
                for number in 1..4 {
                    v.store(Tracked::new(number));
                }
                v
            }
        });
        let snapshot = space.snapshot();
        let number = snapshot.read(&v).get();
        let handle = writer.join().unwrap();
        assert_eq!(snapshot.read(&v).get(), number);
        drop(snapshot);
        for number in 4..6 {
            v.store(Tracked::new(number));
        }
        assert_eq!(values(), 1);
        drop(handle);
    });
}
