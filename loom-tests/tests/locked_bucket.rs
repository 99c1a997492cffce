//! A committer against a locked waiting list (W2): it leaves a note, and whoever holds the list wakes everybody on it. The holder is
//! a call that gives up (loom never lets a deadline pass, so the model deregisters by hand) or one that registers.
//! Bound: 2 preemptions; a sleeper, one commit, and one other call that registers, and leaves or stays.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{model, spawn};

#[test]
fn a_cancelled_wait_pays_what_a_commit_left_owing() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let sleeper = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                space.atomically(|tx| tx.check(*tx.read(&v) == 1));
                v
            }
        });
        let cancelled = spawn({
            let v = v.clone();
            move || {
                internals::register_and_cancel(&v);
                v
            }
        });
        v.store(1);
        let handles = (sleeper.join().unwrap(), cancelled.join().unwrap());
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
        drop(handles);
    });
}

#[test]
fn a_wait_that_ends_while_it_is_woken_leaves_no_trace() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let other = spawn({
            let v = v.clone();
            move || {
                v.update(|n| n + 1);
                v
            }
        });
        internals::register_and_cancel(&v);
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
        drop(other.join().unwrap());
    });
}
