//! Hooks (§7.1): those of an attempt that lost are discarded or run as rollback hooks, those of the one that committed run once, on its own thread, when
//! its commit is published, whoever published it; and they may commit themselves.
//! Bound: 1 preemption; two calls that write one variable and commit again in their hooks.
#![cfg(tvar_loom)]

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use tvar::{TVar, internals};
use tvar_loom_tests::{model, spawn};

#[derive(Default)]
struct Counts {
    attempts: AtomicI64,
    committed: AtomicI64,
    rolled_back: AtomicI64,
}

/// Adds one to `n`, and from its commit hook to `after`.
fn add(n: &TVar<i64>, after: &TVar<i64>, counts: &Arc<Counts>) {
    // Not `Send`: a hook that ran on another thread would not compile, or not be sound.
    let (own, handles) = (Rc::new(()), (n.clone(), after.clone()));
    n.space().atomically(|tx| {
        counts.attempts.fetch_add(1, Relaxed);
        let seen = *tx.read(n) + 1;
        tx.write(n, seen);
        let (committed, rolled_back) = (counts.clone(), counts.clone());
        let (own, (n, after)) = (own.clone(), handles.clone());
        tx.on_commit(move || {
            drop(own);
            committed.committed.fetch_add(1, Relaxed);
            assert!(n.load() >= seen, "a hook ran before its commit was there");
            after.update(|n| n + 1);
        });
        tx.on_rollback(move || {
            rolled_back.rolled_back.fetch_add(1, Relaxed);
        });
        Ok(())
    });
    assert_eq!(Rc::strong_count(&own), 1, "a discarded hook is kept");
}

#[test]
fn each_hook_runs_once_after_its_commit() {
    model(1, || {
        let space = internals::space();
        let (n, after) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
        let counts = Arc::new(Counts::default());
        let other = spawn({
            let (n, after, counts) = (n.clone(), after.clone(), counts.clone());
            move || {
                add(&n, &after, &counts);
                (n, after)
            }
        });
        add(&n, &after, &counts);
        let handles = other.join().unwrap();
        assert_eq!((n.load(), after.load()), (2, 2));
        assert_eq!(counts.committed.load(Relaxed), 2);
        assert_eq!(
            counts.rolled_back.load(Relaxed),
            counts.attempts.load(Relaxed) - 2,
            "one for each attempt that lost"
        );
        drop(handles);
    });
}
