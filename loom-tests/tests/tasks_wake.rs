//! A task that begins to wait, against commits (W1, W4): no wake-up is lost. A lost one is a deadlock, which ends the process.
//! Bound: 2 preemptions; one task on a thread of its own, one commit, which goes the undisturbed way or, since it merges, the long one; then two
//! commits of which the second ends the wait.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{block_on, model, spawn};

fn task_against(commits: &'static [i64], commit: fn(&TVar<i64>, i64)) {
    model(2, move || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let last = commits[commits.len() - 1];
        let task = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                let call = space.atomically_async(|tx| {
                    let seen = *tx.read(&v);
                    tx.check(seen == last)?;
                    Ok(seen)
                });
                assert_eq!(block_on(call), last);
                v
            }
        });
        for value in commits {
            commit(&v, *value);
        }
        let handle = task.join().unwrap();
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
        drop(handle);
    });
}

#[test]
fn one_commit_wakes_a_task() {
    task_against(&[1], TVar::store);
}

#[test]
fn the_second_commit_wakes_it_again() {
    task_against(&[1, 2], TVar::store);
}

#[test]
fn a_commit_that_merges_wakes_a_task() {
    task_against(&[1], |v, value| {
        v.space().atomically(|tx| {
            tx.merge(v, move |_| value);
            Ok(())
        });
    });
}
