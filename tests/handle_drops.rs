//! §4.3: the last handle may be dropped anywhere: in a closure, in a hook, in a value, at thread
//! exit; and thread-local destructors may run transactions.

mod common;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{Census, Counted, elsewhere, settle, ticks};
use tvar::{Space, TVar, atomically};

#[test]
fn s4_3_handles_dropped_in_a_closure_that_has_used_them() {
    let (space, census) = (Space::new(), Census::new());
    let other = TVar::new_in(&space, 0);
    for written in [false, true] {
        let var = TVar::new_in(&space, census.value(1));
        if written {
            var.store(census.value(2));
        }
        let var = Cell::new(Some(var));
        space.atomically(|tx| {
            if let Some(var) = var.take() {
                let id = tx.read(&var).id;
                tx.modify(&var, |old| census.value(old.id + 10));
                assert_eq!(tx.read(&var).id, id + 10);
                drop(var);
            }
            tx.modify(&other, |n| n + 1);
            Ok(())
        });
    }
    settle(&space, || census.live() == 0);
    assert_eq!(other.load(), 2);
}

/// Made and dropped within the attempt: what it wrote to them goes nowhere.
#[test]
fn s4_3_variables_that_live_within_one_attempt() {
    let (space, census) = (Space::new(), Census::new());
    for commit in [true, false] {
        let result = space.try_atomically(|tx| {
            for id in 0..1_000 {
                let var = TVar::new_in(&space, census.value(id));
                tx.write(&var, census.value(id + 1));
                assert_eq!(tx.read(&var).id, id + 1);
            }
            if commit { Ok(()) } else { tx.abort(()) }
        });
        assert_eq!(result.is_ok(), commit);
    }
    settle(&space, || census.live() == 0);
}

#[test]
fn s4_3_handles_dropped_inside_modify_merge_and_the_like() {
    let (space, census) = (Space::new(), Census::new());
    let make = || Cell::new(Some(TVar::new_in(&space, census.value(1))));
    let var = TVar::new_in(&space, 0);
    let [in_modify, in_part, in_alternative] = [make(), make(), make()];
    let in_merge = std::sync::Mutex::new(make().take());
    space.atomically(|tx| {
        tx.modify(&var, |n| {
            drop(in_modify.take());
            n + 1
        });
        let part = tx.nested(|tx| {
            drop(in_part.take());
            tx.abort::<(), _>(())
        })?;
        assert_eq!(part, Err(()));
        tx.or_else(
            |tx| {
                drop(in_alternative.take());
                tx.retry()
            },
            |_| Ok(()),
        )
    });
    let merged = TVar::new_in(&space, 0);
    let in_merge = Arc::new(in_merge);
    space.atomically(|tx| {
        let in_merge = in_merge.clone();
        tx.merge(&merged, move |n| {
            drop(in_merge.lock().expect("not poisoned").take());
            n + 1
        });
        Ok(())
    });
    settle(&space, || census.live() == 0);
    assert_eq!((var.load(), merged.load()), (1, 1));
}

#[test]
fn s4_3_the_captures_of_merge_functions_and_hooks_are_dropped() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, 0_u64);
    for commit in [true, false] {
        let result = space.try_atomically(|tx| {
            let [a, b, c, d] = [1, 2, 3, 4].map(|id| census.value(id));
            tx.merge(&var, move |n| n + a.id);
            let after = tx.merge_then(&var, move |n| n + b.id, |n| *n);
            tx.on_commit(move || drop(c));
            tx.on_rollback(move || drop(d));
            if commit { Ok(after) } else { tx.abort(()) }
        });
        assert_eq!(result.map(|after| after.unwrap()).ok(), commit.then_some(3));
        ticks(&space, 2);
        assert_eq!(census.live(), 0);
    }
}

/// Whichever was touched first, the user's thread-local or the crate: one order each way.
#[test]
fn s4_3_thread_local_destructors_run_transactions() {
    struct Farewell {
        var: TVar<i64>,
        text: TVar<String>,
        kept: Option<tvar::Snapshot>,
        done: Arc<AtomicBool>,
    }
    impl Drop for Farewell {
        fn drop(&mut self) {
            let space = self.var.space();
            let seen = space.atomically(|tx| {
                tx.modify(&self.var, |n| n + 1);
                tx.modify(&self.text, |text| format!("{text}."));
                let made = TVar::new_in(&space, 0);
                tx.write(&made, 1);
                Ok(*tx.read(&self.var))
            });
            assert_eq!(self.var.load(), seen);
            assert_eq!(*space.snapshot().read(&self.var), seen);
            drop(self.kept.take());
            atomically(|tx| {
                tx.on_commit({
                    let done = self.done.clone();
                    move || done.store(true, Ordering::SeqCst)
                });
                Ok(())
            });
        }
    }
    thread_local!(static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) });
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let text = TVar::new_in(&space, String::new());
    let mut expected = 0;
    for order in 0..3 {
        for _ in 0..20 {
            let done = Arc::new(AtomicBool::new(false));
            let farewell =
                Farewell { var: var.clone(), text: text.clone(), kept: Some(space.snapshot()), done: done.clone() };
            let theirs = var.clone();
            let worker = thread::spawn(move || match order {
                0 => {
                    FAREWELL.set(Some(farewell));
                    theirs.update(|n| n + 1);
                }
                1 => {
                    theirs.update(|n| n + 1);
                    FAREWELL.set(Some(farewell));
                }
                _ => FAREWELL.set(Some(farewell)),
            });
            worker.join().expect("the worker");
            assert!(done.load(Ordering::SeqCst));
            expected += if order == 2 { 1 } else { 2 };
            assert_eq!(var.load(), expected);
        }
    }
    assert_eq!(text.load(), ".".repeat(60));
}

#[test]
fn s4_3_handles_dropped_at_thread_exit() {
    thread_local!(static KEPT: RefCell<Vec<TVar<Counted>>> = const { RefCell::new(Vec::new()) });
    let (space, census) = (Space::new(), Census::new());
    for early in [true, false] {
        for id in 0..50 {
            elsewhere(|| {
                if early {
                    KEPT.with_borrow_mut(Vec::clear);
                }
                let var = TVar::new_in(&space, census.value(id));
                if id % 2 == 0 {
                    var.store(census.value(id));
                }
                KEPT.with_borrow_mut(|kept| kept.push(var));
            });
        }
    }
    settle(&space, || census.live() == 0);
}

/// Snapshots too, and with them what only they keep.
#[test]
fn s4_3_snapshots_dropped_at_thread_exit() {
    thread_local!(static KEPT: RefCell<Vec<tvar::Snapshot>> = const { RefCell::new(Vec::new()) });
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, census.value(0));
    elsewhere(|| {
        KEPT.with_borrow_mut(|kept| kept.push(space.snapshot()));
        var.store(census.value(1));
        KEPT.with_borrow_mut(|kept| kept.push(space.snapshot()));
        elsewhere(|| var.store(census.value(2)));
        assert_eq!(census.live(), 3);
    });
    assert_eq!(census.live(), 1);
}
