//! The turnstile (C4): who holds the turn loses to nobody, not even to a committer that had its base before the turn began.
//! Bound: 2 preemptions; an attempt that was overtaken and takes the turn after this first loss, against a second commit.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use tvar::{TVar, internals};
use tvar_loom_tests::{model, spawn};

#[test]
fn the_holder_of_the_turn_does_not_lose_again() {
    model(2, || {
        let space = internals::space();
        let n = TVar::new_in(&space, 0);
        let (overtake, overtaken) = channel();
        let other = spawn({
            let n = n.clone();
            move || {
                n.update(|n| n + 1);
                overtake.send(()).unwrap();
                n.update(|n| n + 1);
                n
            }
        });
        let options = space.options().escalate_after(1).max_attempts(2);
        let mut overtaken = Some(overtaken);
        let result = options.run(|tx| {
            tx.modify(&n, |n| n + 10);
            if let Some(overtaken) = overtaken.take() {
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
