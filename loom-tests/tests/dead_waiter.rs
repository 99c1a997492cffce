//! A wait for a variable that is written and then dropped (§3.3): its leaf may be cut off before the waiter looks.
//! Bound: 1 preemption; one waiter, stopped between its registration and its look, one commit.
#![cfg(tvar_loom)]

use loom::sync::Mutex;
use loom::sync::mpsc::channel;
use std::sync::Arc;
use tvar::{TVar, hooks, internals};
use tvar_loom_tests::{model, spawn};

#[test]
fn a_wait_for_a_variable_that_was_written_and_dropped_ends() {
    model(1, || {
        let space = internals::space();
        let mut vars = (0..4).map(|_| TVar::new_in(&space, 0));
        let [first, spare, left, right] = std::array::from_fn(|_| vars.next().unwrap());
        drop((vars, spare));
        left.store(-1);
        // Found outside the transactional memory, so that the waiter's read set has nothing but `left`.
        let found = Arc::new(Mutex::new(Some(left.clone())));
        let (registered, has_registered) = channel();
        let (look, may_look) = channel();
        let waiter = spawn({
            let (space, found) = (space.clone(), found.clone());
            move || {
                let hook = hooks::on_this_thread(move |point| {
                    if point == hooks::Point::Register {
                        registered.send(()).unwrap();
                        may_look.recv().unwrap();
                    }
                });
                space.atomically(|tx| {
                    let v = found.lock().unwrap().clone();
                    let Some(v) = v else { return Ok(()) };
                    tx.check(*tx.read(&v) == 1)
                });
                drop(hook);
            }
        });
        has_registered.recv().unwrap();
        left.store(1);
        let other = found.lock().unwrap().take();
        drop((other, left, right));
        look.send(()).unwrap();
        waiter.join().unwrap();
        drop(first);
    });
}
