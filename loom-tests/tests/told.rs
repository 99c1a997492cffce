//! A committer marks its root as told (W3) while another replaces that root and frees what it can: the root was pinned from before it was
//! published (I3).
//! Bound: 2 preemptions; a task that sleeps throughout, one commit of a boxed value beside two.
#![cfg(tvar_loom)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn};

#[test]
fn the_new_root_is_there_when_it_is_marked() {
    model(2, || {
        let space = internals::space();
        let never = TVar::new_in(&space, 0);
        let (a, b) = (TVar::new_in(&space, Tracked::new(1)), TVar::new_in(&space, Tracked::new(2)));
        let mut task = pin!(space.atomically_async(|tx| tx.check(*tx.read(&never) == 1)));
        assert!(task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let other = spawn({
            let a = a.clone();
            move || {
                a.store(Tracked::new(3));
                drop(a);
            }
        });
        b.store(Tracked::new(4));
        b.store(Tracked::new(5));
        other.join().unwrap();
    });
}
