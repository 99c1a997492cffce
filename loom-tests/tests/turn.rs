//! The turnstile (C4): who holds the turn loses to nobody, not even to a committer that had its base before the turn began.
//! Bound: 2 preemptions; an attempt that was overtaken and takes the turn after this first loss, against a second commit, which goes the
//! undisturbed way or, since it merges, the long one. One order will do for what leads up to the loss.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use tvar::{TVar, internals};
use tvar_loom_tests::{model, spawn};

fn the_holder_of_the_turn_against(second: fn(&TVar<i64>)) {
    model(2, move || {
        loom::stop_exploring();
        let space = internals::space();
        let n = TVar::new_in(&space, 0);
        let (begun, has_begun) = channel();
        let (overtake, overtaken) = channel();
        let other = spawn({
            let n = n.clone();
            move || {
                has_begun.recv().unwrap();
                n.update(|n| n + 1);
                loom::explore();
                overtake.send(()).unwrap();
                second(&n);
                n
            }
        });
        let options = space.options().escalate_after(1).max_attempts(2);
        let mut overtaken = Some(overtaken);
        let result = options.run(|tx| {
            tx.modify(&n, |n| n + 10);
            if let Some(overtaken) = overtaken.take() {
                begun.send(()).unwrap();
                overtaken.recv().unwrap();
            }
            Ok(())
        });
        result.expect("lost to two commits");
        let handle = other.join().unwrap();
        assert_eq!(n.load(), 12);
        drop(handle);
    });
}

#[test]
fn the_holder_of_the_turn_does_not_lose_again() {
    the_holder_of_the_turn_against(|n| n.update(|n| n + 1));
}

#[test]
fn nor_to_a_commit_that_merges() {
    the_holder_of_the_turn_against(|n| {
        n.space().atomically(|tx| {
            tx.merge(n, |n| n + 1);
            Ok(())
        });
    });
}
