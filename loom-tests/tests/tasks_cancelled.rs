//! A sleeping task that is dropped, against a commit that wakes it (§3.7, W2, W4): nothing of it is left, and whoever waits beside it is woken,
//! though the commit may find the list locked by the one that leaves.
//! Bound: 2 preemptions; one task that was polled and is dropped, one commit; 1 preemption with a second task that waits.
#![cfg(tvar_loom)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use tvar::{Space, TVar, internals};
use tvar_loom_tests::{block_on, model, spawn};

fn until_one(space: &Space, v: &TVar<i64>) -> impl Future<Output = ()> + use<> {
    let v = v.clone();
    space.atomically_async(move |tx| tx.check(*tx.read(&v) == 1))
}

/// Polls a call once and drops it.
fn poll_and_drop(space: &Space, v: &TVar<i64>) {
    let mut call = pin!(until_one(space, v));
    if let Poll::Ready(()) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        assert_eq!(v.load(), 1);
    }
}

#[test]
fn a_dropped_task_leaves_nothing() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let other = spawn({
            let v = v.clone();
            move || {
                v.store(1);
                v
            }
        });
        poll_and_drop(&space, &v);
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
        drop(other.join().unwrap());
    });
}

#[test]
fn who_waits_beside_a_dropped_task_is_woken() {
    model(1, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let waiter = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                block_on(until_one(&space, &v));
                v
            }
        });
        let dropped = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                poll_and_drop(&space, &v);
                v
            }
        });
        v.store(1);
        let handles = (waiter.join().unwrap(), dropped.join().unwrap());
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
        drop(handles);
    });
}
