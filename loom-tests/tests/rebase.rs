//! Restart and rebase (I3): every newer root that an attempt or a commit goes on from is pinned before it is looked at, and
//! the base stays pinned up to the swap.
//! Bound: 2 preemptions; one committer that has to rebase or restart since its snapshot was overtaken, another with two commits.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn};

#[test]
fn a_commit_that_lost_the_swap_goes_on_from_a_pinned_root() {
    model(2, || {
        let space = internals::space();
        let (v, w) = (TVar::new_in(&space, Tracked::new(0)), TVar::new_in(&space, 0));
        let (overtake, overtaken) = channel();
        let other = spawn({
            let w = w.clone();
            move || {
                w.store(1);
                overtake.send(()).unwrap();
                w.store(2);
                w
            }
        });
        v.update(|old| {
            overtaken.recv().unwrap();
            Tracked::new(old.get() + 1)
        });
        let handle = other.join().unwrap();
        assert_eq!((space.atomically(|tx| Ok(tx.read(&v).get())), w.load()), (1, 2));
        drop(handle);
    });
}

#[test]
fn an_attempt_that_lost_its_reads_restarts_from_a_pinned_root() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        let (overtake, overtaken) = channel();
        let other = spawn({
            let v = v.clone();
            move || {
                v.update(|old| Tracked::new(old.get() + 1));
                overtake.send(()).unwrap();
                v.update(|old| Tracked::new(old.get() + 1));
                v
            }
        });
        let mut overtaken = Some(overtaken);
        v.update(|old| {
            if let Some(overtaken) = overtaken.take() {
                overtaken.recv().unwrap();
            }
            Tracked::new(old.get() + 10)
        });
        let handle = other.join().unwrap();
        assert_eq!(space.atomically(|tx| Ok(tx.read(&v).get())), 12);
        drop(handle);
    });
}
