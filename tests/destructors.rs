//! §4.3: destructors of values run outside every lock and attempt, and may themselves use the
//! crate: read, commit, make and drop variables, take snapshots.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{at_first, elsewhere, many, on_small_stack, settle, ticks};
use tvar::hooks::Point;
use tvar::{Space, TMap, TVar};

/// A value whose destructor runs transactions.
struct Busy {
    log: TVar<usize>,
    attempted: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Office {
    space: Space,
    log: TVar<usize>,
    attempted: Arc<AtomicUsize>,
}

impl Office {
    fn new() -> Self {
        let space = Space::new();
        let log = TVar::new_in(&space, 0);
        Self { space, log, attempted: Arc::default() }
    }

    fn value(&self) -> Busy {
        Busy { log: self.log.clone(), attempted: self.attempted.clone() }
    }

    /// As [`Self::assert_dropped`], for what is reclaimed along with later commits.
    #[track_caller]
    fn settle(&self, expected: usize) {
        settle(&self.space, || self.attempted.load(Ordering::SeqCst) >= expected);
        self.assert_dropped(expected);
    }

    /// All destructors ran, and each of them to its end.
    #[track_caller]
    fn assert_dropped(&self, expected: usize) {
        let attempted = self.attempted.load(Ordering::SeqCst);
        assert_eq!((attempted, self.log.load()), (expected, expected));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.attempted.fetch_add(1, Ordering::SeqCst);
        let space = self.log.space();
        let before = self.log.load();
        let snapshot = space.snapshot();
        let scratch = TVar::new_in(&space, String::from("scratch"));
        space.atomically(|tx| {
            tx.modify(&self.log, |n| n + 1);
            tx.write(&scratch, "written".into());
            Ok(())
        });
        assert!(*snapshot.read(&self.log) >= before);
        assert_eq!(scratch.load(), "written");
    }
}

#[test]
fn s4_3_a_destructor_runs_transactions_when_a_value_is_replaced() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, office.value());
    for _ in 0..100 {
        var.store(office.value());
    }
    ticks(&office.space, 2);
    office.assert_dropped(100);
}

#[test]
fn s4_3_a_destructor_runs_transactions_when_a_snapshot_is_dropped() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, office.value());
    let snapshot = office.space.snapshot();
    var.store(office.value());
    ticks(&office.space, 2);
    office.assert_dropped(0);
    drop(snapshot);
    office.assert_dropped(1);
}

/// The attempt goes on; the destructor is not part of it.
#[test]
fn s4_3_a_destructor_runs_transactions_when_a_snapshot_is_dropped_in_an_attempt() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, office.value());
    let other = TVar::new_in(&office.space, 0);
    let snapshot = Cell::new(Some(office.space.snapshot()));
    var.store(office.value());
    ticks(&office.space, 2);
    office.space.atomically(|tx| {
        tx.modify(&other, |n| n + 1);
        drop(snapshot.take());
        tx.modify(&other, |n| n + 1);
        Ok(())
    });
    ticks(&office.space, 2);
    office.assert_dropped(1);
    assert_eq!(other.load(), 2);
}

#[test]
fn s4_3_a_destructor_runs_transactions_when_a_handle_is_dropped() {
    let office = Office::new();
    drop(TVar::new_in(&office.space, office.value()));
    office.assert_dropped(1);
    let written = TVar::new_in(&office.space, office.value());
    written.store(office.value());
    drop(written);
    office.settle(3);
}

#[test]
fn s4_3_a_destructor_runs_transactions_when_a_handle_is_dropped_in_an_attempt() {
    let office = Office::new();
    let other = TVar::new_in(&office.space, 0);
    for written in [false, true] {
        let var = TVar::new_in(&office.space, office.value());
        if written {
            var.store(office.value());
        }
        let var = Cell::new(Some(var));
        office.space.atomically(|tx| {
            tx.modify(&other, |n| n + 1);
            drop(var.take());
            tx.modify(&other, |n| n + 1);
            Ok(())
        });
        office.settle(if written { 3 } else { 1 });
    }
    assert_eq!(other.load(), 4);
}

#[test]
fn s4_3_a_destructor_runs_transactions_when_a_handle_is_dropped_in_a_hook() {
    let office = Office::new();
    for commit in [true, false] {
        let var = Cell::new(Some(TVar::new_in(&office.space, office.value())));
        let result = office.space.try_atomically(|tx| {
            let var = var.take();
            if commit {
                tx.on_commit(move || drop(var));
                return Ok(());
            }
            tx.on_rollback(move || drop(var));
            tx.abort(())
        });
        assert_eq!(result.is_ok(), commit);
    }
    ticks(&office.space, 2);
    office.assert_dropped(2);
}

/// Superseded within one attempt, which makes their destructors run before its end.
#[test]
fn s4_3_a_destructor_runs_transactions_when_an_attempt_overwrites_its_own_value() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, office.value());
    office.space.atomically(|tx| {
        for _ in 0..100 {
            tx.modify(&var, |_| office.value());
            tx.write(&var, office.value());
        }
        Ok(())
    });
    ticks(&office.space, 2);
    office.assert_dropped(200);
}

#[test]
fn s4_3_a_destructor_runs_transactions_when_an_attempt_is_undone() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, office.value());
    let other = TVar::new_in(&office.space, 0);
    // An abort.
    let result = office.space.try_atomically(|tx| {
        tx.write(&var, office.value());
        tx.abort::<(), _>(())
    });
    assert_eq!(result, Err(()));
    ticks(&office.space, 2);
    office.assert_dropped(1);
    // A panic.
    let caught = catch_unwind(AssertUnwindSafe(|| {
        office.space.atomically(|tx| -> tvar::Stm<()> {
            tx.write(&var, office.value());
            panic!("undone")
        });
    }));
    assert!(caught.is_err());
    ticks(&office.space, 2);
    office.assert_dropped(2);
    // A conflict, and an undone nested part.
    office.space.atomically(|tx| {
        let n = *tx.read(&other);
        if tx.attempt() == 1 {
            elsewhere(|| other.store(1));
        }
        tx.write(&var, office.value());
        let part = tx.nested(|tx| {
            tx.write(&var, office.value());
            tx.abort::<(), _>(())
        })?;
        assert_eq!(part, Err(()));
        tx.write(&other, n + 1);
        Ok(())
    });
    ticks(&office.space, 2);
    // Two of each attempt but the last one's own, and the initial value.
    office.assert_dropped(6);
    // The error of an abort and the result of the closure are the user's own.
    drop(office.space.atomically(|_| Ok(office.value())));
    office.assert_dropped(7);
}

#[test]
fn s4_3_a_destructor_runs_transactions_when_a_merge_is_applied() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, office.value());
    for _ in 0..20 {
        let same = office.clone();
        office.space.atomically(|tx| {
            for _ in 0..3 {
                let same = same.clone();
                tx.merge(&var, move |_| same.value());
            }
            Ok(())
        });
    }
    ticks(&office.space, 2);
    office.assert_dropped(60);
}

/// A merge function panics on a value that does not count, since somebody has committed meanwhile: its payload goes unseen.
#[test]
fn s4_3_a_destructor_runs_transactions_when_the_payload_of_a_panic_is_discarded() {
    let office = Office::new();
    let [var, other] = [0; 2].map(|_| TVar::new_in(&office.space, 0));
    let (same, calls) = (office.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    let theirs = other.clone();
    office.space.atomically(|tx| {
        let (same, counted, theirs) = (same.clone(), counted.clone(), theirs.clone());
        tx.merge(&var, move |n| {
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                elsewhere(|| theirs.store(1));
                std::panic::resume_unwind(Box::new(same.value()));
            }
            n + 1
        });
        Ok(())
    });
    assert_eq!((var.load(), other.load(), calls.load(Ordering::SeqCst)), (1, 1, 2));
    office.assert_dropped(1);
}

/// What the functions of a key have made when the next one panics.
#[test]
fn s4_3_a_destructor_runs_transactions_when_a_merge_of_a_key_panics() {
    let office = Office::new();
    let map: TMap<u64, Busy> = TMap::new_in(&office.space);
    office.space.atomically(|tx| {
        map.upsert(tx, 1, office.value());
        Ok(())
    });
    let caught = catch_unwind(AssertUnwindSafe(|| {
        office.space.atomically(|tx| {
            let same = office.clone();
            map.upsert_with(tx, 1, office.value(), move |_| same.value());
            map.upsert_with(tx, 1, office.value(), |_| std::panic::resume_unwind(Box::new("planned")));
            Ok(())
        });
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"planned"));
    // Two that were for an absent key, and what the first function had made.
    office.settle(3);
    assert_eq!(office.space.atomically(|tx| Ok(map.len(tx))), 1);
}

/// Results of `merge_then` for a value that was not published in the end, and such that nobody took.
#[test]
fn s4_3_a_destructor_runs_transactions_when_a_result_of_a_merge_is_discarded() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, 0);
    let theirs = var.clone();
    let guard = at_first(Point::Swap, move || theirs.store(10));
    let mut runs = 0;
    let ticket = office.space.atomically(|tx| {
        runs += 1;
        let same = office.clone();
        Ok(tx.merge_then(&var, |n| n + 1, move |_| same.value()))
    });
    drop(guard);
    assert_eq!((runs, var.load()), (1, 11));
    office.settle(1);
    drop(ticket);
    office.assert_dropped(2);
}

/// What the closure returned in an attempt that did not commit.
#[test]
fn s4_3_a_destructor_runs_transactions_when_a_result_of_the_closure_is_discarded() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, 0);
    let result = office.space.atomically(|tx| {
        let n = *tx.read(&var);
        if n < 2 {
            elsewhere(|| var.update(|n| n + 1));
        }
        if n == 1 {
            let _swallowed = tx.retry::<()>();
        }
        tx.write(&var, n + 10);
        Ok(office.value())
    });
    assert_eq!(var.load(), 12);
    office.assert_dropped(2);
    drop(result);
    office.assert_dropped(3);
}

/// At the exit of the thread that replaced them.
#[test]
fn s4_3_a_destructor_runs_transactions_at_thread_exit() {
    let office = Office::new();
    let var = TVar::new_in(&office.space, office.value());
    elsewhere(|| var.store(office.value()));
    office.assert_dropped(1);
    thread_local!(static KEPT: RefCell<Vec<TVar<Busy>>> = const { RefCell::new(Vec::new()) });
    elsewhere(|| {
        let written = TVar::new_in(&office.space, office.value());
        written.store(office.value());
        let initial = TVar::new_in(&office.space, office.value());
        KEPT.with_borrow_mut(|kept| kept.extend([written, initial]));
    });
    office.settle(4);
}

/// Values whose destructors store new values with destructors, a bounded number of times.
#[test]
fn s4_3_destructors_that_cause_destructors() {
    struct Rocket {
        target: TVar<Option<Rocket>>,
        stages: usize,
        launched: Arc<AtomicUsize>,
    }
    impl Drop for Rocket {
        fn drop(&mut self) {
            self.launched.fetch_add(1, Ordering::SeqCst);
            if let Some(stages) = self.stages.checked_sub(1) {
                let next =
                    Cell::new(Some(Self { target: self.target.clone(), stages, launched: self.launched.clone() }));
                self.target.space().atomically(|tx| {
                    tx.write(&self.target, next.take());
                    Ok(())
                });
                self.target.store(None);
            }
        }
    }
    let stages = many(20_000);
    let (space, launched) = (Space::new(), Arc::new(AtomicUsize::new(0)));
    let (same, count) = (space.clone(), launched.clone());
    on_small_stack(move || {
        let target = TVar::new_in(&same, None);
        target.store(Some(Rocket { target: target.clone(), stages, launched: count }));
        target.store(None);
        ticks(&same, 10);
        drop(target);
    });
    settle(&space, || launched.load(Ordering::SeqCst) == stages + 1);
}

/// Outside every lock: a destructor may wait for what other threads commit.
#[test]
fn s4_3_a_destructor_may_wait_for_other_threads() {
    struct Patient {
        log: TVar<usize>,
    }
    impl Drop for Patient {
        fn drop(&mut self) {
            let space = self.log.space();
            elsewhere(|| {
                self.log.update(|n| n + 1);
                drop(space.snapshot());
                TVar::new_in(&space, String::new()).store("written".into());
            });
        }
    }
    let space = Space::new();
    let log = TVar::new_in(&space, 0);
    let value = || Patient { log: log.clone() };
    let var = TVar::new_in(&space, value());
    // Replaced, by this thread and by one that exits; kept by a snapshot.
    for _ in 0..5 {
        var.store(value());
    }
    elsewhere(|| var.store(value()));
    let snapshot = space.snapshot();
    var.store(value());
    ticks(&space, 2);
    assert_eq!(log.load(), 6);
    drop(snapshot);
    assert_eq!(log.load(), 7);
    // Overwritten in the attempt, undone with it, merged, dropped with its handle.
    space.atomically(|tx| {
        tx.modify(&var, |_| value());
        tx.modify(&var, |_| value());
        drop(TVar::new_in(&space, value()));
        Ok(())
    });
    let result = space.try_atomically(|tx| {
        tx.write(&var, value());
        tx.abort::<(), _>(())
    });
    assert_eq!(result, Err(()));
    ticks(&space, 2);
    assert_eq!(log.load(), 11);
    space.atomically(|tx| {
        for _ in 0..2 {
            let log = log.clone();
            tx.merge(&var, move |_| Patient { log: log.clone() });
        }
        Ok(())
    });
    ticks(&space, 2);
    assert_eq!(log.load(), 13);
    drop(var);
    settle(&space, || log.load() == 14);
}

/// §1.3: a last handle that goes with a rollback hook, after the attempt.
#[test]
fn a_last_handle_in_a_rollback_hook_or_with_a_discarded_hook_takes_its_value_along() {
    for discarded in [false, true] {
        let space = Space::new();
        let count = Arc::new(());
        let v = TVar::new_in(&space, count.clone());
        v.store(count.clone());
        let mut v = Some(v);
        let result: Result<(), u8> = space.try_atomically(|tx| {
            let v = v.take();
            if discarded {
                tx.on_commit(move || drop(v))
            } else {
                tx.on_rollback(move || drop(v))
            }
            tx.abort(1)
        });
        assert_eq!((result, Arc::strong_count(&count)), (Err(1), 1));
    }
}
