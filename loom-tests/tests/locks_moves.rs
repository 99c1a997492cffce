//! A snapshot that moves forward for a lock (L3): what was read before the move, and what is read after it, is there; the versions in between
//! come and go.
//! Bound: 1 preemption; one transaction that moves its snapshot, two commits beside it.
#![cfg(tvar_loom)]

use tvar::LockMode::Shared;
use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn};

#[test]
fn a_moved_snapshot_is_pinned() {
    model(1, || {
        let space = internals::space();
        let (v, w) = (TVar::new_in(&space, Tracked::new(0)), TVar::new_in(&space, Tracked::new(0)));
        let other = spawn({
            let v = v.clone();
            move || {
                v.update(|old| Tracked::new(old.get() + 1));
                v.update(|old| Tracked::new(old.get() + 1));
                v
            }
        });
        space.atomically(|tx| {
            let before = tx.read(&w);
            let newest = tx.read_locked(&v, Shared)?;
            assert!(newest.get() <= 2);
            tx.write(&w, Tracked::new(before.get() + 10 + newest.get()));
            assert_eq!(before.get(), 0);
            Ok(())
        });
        let handle = other.join().unwrap();
        assert_eq!(space.atomically(|tx| Ok(tx.read(&v).get())), 2);
        drop(handle);
    });
}
