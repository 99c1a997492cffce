//! Slot recycling (I6, I7): a slot does not change hands while an attempt runs that may have it in its logs, and an old snapshot
//! reads a new variable's initial value, not what the slot held before.
//! Bound: 2 preemptions; one attempt or commit beside a thread that drops a variable and makes another.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{model, spawn};

#[test]
fn an_older_attempt_does_not_write_into_the_new_variable() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 1);
        // Written, so that the attempt's log holds no handle.
        v.store(2);
        let older = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                let mut v = Some(v);
                space.atomically(|tx| {
                    let v = v.take().expect("a blind write runs once");
                    tx.write(&v, 7);
                    Ok(())
                });
            }
        });
        v.store(3);
        drop(v);
        let next = TVar::new_in(&space, 100);
        assert_eq!(next.load(), 100);
        older.join().unwrap();
        assert_eq!(next.load(), 100);
    });
}

#[test]
fn an_old_snapshot_reads_the_initial_value() {
    model(2, || {
        let space = internals::space();
        let (v, w) = (TVar::new_in(&space, 1), TVar::new_in(&space, 0));
        v.store(2);
        let old = space.snapshot();
        let other = spawn({
            let w = w.clone();
            move || {
                w.store(1);
                w
            }
        });
        drop(v);
        let next = TVar::new_in(&space, 100);
        assert_eq!((*old.read(&next), next.load()), (100, 100));
        next.store(101);
        assert_eq!((*old.read(&next), next.load()), (100, 101));
        drop(old);
        drop(other.join().unwrap());
    });
}
