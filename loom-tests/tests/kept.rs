//! A kept snapshot that goes while a vacuum hangs entries on it (§1.5): each entry is freed once, none while the snapshot reads, and
//! all of them without a further commit.
//! Bound: 3 preemptions; one commit, one snapshot that is read and dropped.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

#[test]
fn what_hangs_on_a_snapshot_goes_with_it() {
    model(3, || {
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        v.store(Tracked::new(1));
        let snapshot = space.snapshot();
        let dropping = spawn({
            let v = v.clone();
            move || {
                assert_eq!(snapshot.read(&v).get(), 1);
                drop(snapshot);
                v
            }
        });
        v.store(Tracked::new(2));
        let handle = dropping.join().unwrap();
        assert_eq!(values(), 1);
        assert_eq!(internals::nodes_in_use(), 2, "a root and a leaf");
        drop(handle);
    });
}
