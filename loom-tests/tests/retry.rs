//! Retry registration against commits (W1): no wake-up is lost. A lost one is a deadlock, which ends the process.
//! Bound: 2 preemptions; one waiter, one commit, which goes the undisturbed way or, since it merges, the long one; then two commits of which
//! the second ends the wait.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{model, spawn};

fn waiter_against(commits: &'static [i64], commit: fn(&TVar<i64>, i64)) {
    model(2, move || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let last = commits[commits.len() - 1];
        let waiter = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                let seen = space.atomically(|tx| {
                    let seen = *tx.read(&v);
                    tx.check(seen == last)?;
                    Ok(seen)
                });
                assert_eq!(seen, last);
                v
            }
        });
        for value in commits {
            commit(&v, *value);
        }
        let handle = waiter.join().unwrap();
        assert_eq!((v.waiters(), space.waiters()), (0, 0));
        drop(handle);
    });
}

#[test]
fn one_commit_wakes() {
    waiter_against(&[1], TVar::store);
}

#[test]
fn the_second_commit_wakes_again() {
    waiter_against(&[1, 2], TVar::store);
}

#[test]
fn a_commit_that_merges_wakes() {
    waiter_against(&[1], |v, value| {
        v.space().atomically(|tx| {
            tx.merge(v, move |_| value);
            Ok(())
        });
    });
}
