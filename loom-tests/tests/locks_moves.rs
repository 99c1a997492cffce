//! A snapshot that moves forward for a lock (L3): what was read before the move, and what is read after it, is there; the versions in between
//! come and go.
//! Bound: 2 preemptions; one transaction that moves its snapshot, one commit beside it. One order will do for what makes its
//! snapshot stale.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use tvar::LockMode::Shared;
use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn};

#[test]
fn a_moved_snapshot_is_pinned() {
    model(2, || {
        loom::stop_exploring();
        let space = internals::space();
        let [v, w] = [0, 0].map(|n| TVar::new_in(&space, Tracked::new(n)));
        let (begun, has_begun) = channel();
        let (stale, is_stale) = channel();
        let other = spawn({
            let (v, w) = (v.clone(), w.clone());
            move || {
                has_begun.recv().unwrap();
                v.update(|old| Tracked::new(old.get() + 1));
                // What the moved snapshot finds in `w` is younger than the first snapshot, whose pin does not keep it.
                w.update(|old| Tracked::new(old.get() + 1));
                loom::explore();
                stale.send(()).unwrap();
                w.update(|old| Tracked::new(old.get() + 1));
                (v, w)
            }
        });
        let mut first = true;
        let seen = space.atomically(|tx| {
            if std::mem::take(&mut first) {
                begun.send(()).unwrap();
                is_stale.recv().unwrap();
            }
            let newest = tx.read_locked(&v, Shared)?;
            let beside = tx.read(&w);
            Ok((newest.get(), beside.get()))
        });
        assert!(seen.0 == 1 && (1..=2).contains(&seen.1));
        loom::stop_exploring();
        let handles = other.join().unwrap();
        drop(handles);
    });
}
