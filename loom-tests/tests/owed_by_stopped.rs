//! Wake-ups owed by committers that stopped between their swap and their wake-ups are delivered by whoever commits next (§4.1).
//! Bound: 2 preemptions for one stopped committer, 1 for two; a waiter, and a last committer that goes on.
#![cfg(tvar_loom)]

use loom::sync::Notify;
use std::sync::Arc;
use tvar::{TVar, hooks, internals};
use tvar_loom_tests::{model, spawn};

/// A committer that writes `v` and stops right after its swap, until `over`.
fn stopped(v: TVar<i64>, swapped: Arc<Notify>, over: Arc<Notify>) -> loom::thread::JoinHandle<TVar<i64>> {
    spawn(move || {
        let hook = hooks::on_this_thread(move |point| {
            if point == hooks::Point::Swapped {
                swapped.notify();
                over.wait_for();
            }
        });
        v.store(1);
        drop(hook);
        v
    })
}

trait WaitFor {
    /// Waits past the spurious wake-ups that loom tries.
    fn wait_for(&self);
}

impl WaitFor for Notify {
    fn wait_for(&self) {
        self.wait();
    }
}
