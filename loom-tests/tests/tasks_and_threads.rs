//! A task and a thread that wait for the same variable (§3.6): one commit wakes both. A lost wake-up is a deadlock.
//! Bound: 1 preemption; one task, one thread, one commit, which may be the task's own.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{block_on, model, spawn};

#[test]
fn one_commit_wakes_a_task_and_a_thread() {
    model(1, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let thread = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                space.atomically(|tx| tx.check(*tx.read(&v) == 1));
                v
            }
        });
        let task = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                block_on(space.atomically_async(|tx| tx.check(*tx.read(&v) == 1)));
                v
            }
        });
        v.store(1);
        let handles = (thread.join().unwrap(), task.join().unwrap());
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
        drop(handles);
    });
}

#[test]
fn a_task_and_a_thread_wake_each_other() {
    model(1, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let thread = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                space.atomically(|tx| {
                    tx.check(*tx.read(&v) == 1)?;
                    tx.write(&v, 2);
                    Ok(())
                });
                v
            }
        });
        v.store(1);
        block_on(space.atomically_async(|tx| tx.check(*tx.read(&v) == 2)));
        drop(thread.join().unwrap());
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
    });
}
