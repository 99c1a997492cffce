//! Wake-ups owed by committers that stopped between their swap and their wake-ups are delivered by whoever commits next (§4.1).
//! Bound: 2 preemptions for one stopped committer, 1 for two; a waiter, and a last committer that goes on.
#![cfg(tvar_loom)]

use loom::sync::mpsc::{Receiver, Sender, channel};
use loom::thread::JoinHandle;
use tvar::{TVar, hooks, internals};
use tvar_loom_tests::{model, spawn};

/// A committer that writes 1 to `v` and stops right after its swap, until told to go on.
struct Stopped {
    thread: JoinHandle<TVar<i64>>,
    swapped: Receiver<()>,
    go_on: Sender<()>,
}

impl Stopped {
    fn writing(v: &TVar<i64>) -> Stopped {
        let v = v.clone();
        let (has_swapped, swapped) = channel();
        let (go_on, may_go_on) = channel();
        let thread = spawn(move || {
            let hook = hooks::on_this_thread(move |point| {
                if point == hooks::Point::Swapped {
                    has_swapped.send(()).unwrap();
                    may_go_on.recv().unwrap();
                }
            });
            v.store(1);
            drop(hook);
            v
        });
        Stopped { thread, swapped, go_on }
    }

    fn end(self) -> TVar<i64> {
        self.go_on.send(()).unwrap();
        self.thread.join().unwrap()
    }
}

/// `stopped` committers in a row, the first of which writes what the waiter waits for.
fn stopped_committers(preemptions: usize, stopped: usize) {
    model(preemptions, move || {
        let space = internals::space();
        let vars: Vec<_> = (0..=stopped).map(|_| TVar::new_in(&space, 0)).collect();
        let waiter = spawn({
            let (space, v) = (space.clone(), vars[0].clone());
            move || {
                space.atomically(|tx| tx.check(*tx.read(&v) == 1));
                v
            }
        });
        let mut chain = Vec::new();
        for v in &vars[..stopped] {
            let committer = Stopped::writing(v);
            committer.swapped.recv().unwrap();
            chain.push(committer);
        }
        vars[stopped].store(1);
        let handle = waiter.join().unwrap();
        let handles: Vec<_> = chain.into_iter().map(Stopped::end).collect();
        assert_eq!(space.waiters(), 0);
        drop((handle, handles));
    });
}

#[test]
fn the_next_committer_wakes_for_one_that_stopped() {
    stopped_committers(2, 1);
}

#[test]
fn debts_are_handed_on_along_a_chain() {
    stopped_committers(1, 2);
}
