//! §4.4: `max_attempts`.

mod blocking_common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use blocking_common::{elsewhere, eventually, guarded, join, panic_message, strike_at};
use tvar::hooks::Point;
use tvar::{Isolation, Space, TVar, TxError, TxOptions};

/// Runs a transaction that reads `hot`, which changes at every validation.
fn always_losing(options: TxOptions, space: &Space, hot: &TVar<u64>) -> (Result<(), TxError>, u64) {
    let adversary = hot.clone();
    let hook = strike_at(Point::Validate, u64::MAX, move || {
        adversary.update(|x| x + 1);
    });
    let out = TVar::new_in(space, 0u64);
    let mut runs = 0;
    let result = options.space(space).escalate_after(u64::MAX).run(|tx| {
        runs += 1;
        assert_eq!(tx.attempt(), runs);
        let x = *tx.read(hot);
        tx.write(&out, x + 1);
        Ok(())
    });
    drop(hook);
    assert_eq!(out.load(), 0);
    (result, runs)
}

/// §4.4: `max_attempts` bounds the runs, and its error tells how often and against what.
#[test]
fn max_attempts_bounds_the_runs() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::named_in(&space, "stock", 0u64);
        for limit in [1, 2, 3, 10] {
            let options = TxOptions::new().max_attempts(limit).label("sale");
            let (result, runs) = always_losing(options, &space, &hot);
            assert_eq!(runs, limit);
            let error = result.unwrap_err();
            assert!(!error.is_timeout());
            assert_eq!((error.attempts(), error.label()), (limit, Some("sale")));
            assert_eq!(error.lost_to(), Some("stock"));
            let text = error.to_string();
            assert!(text.contains("stock") && text.contains("sale"), "{text}");
            assert!(text.contains(&limit.to_string()), "{text}");
            assert!(matches!(error, TxError::TooManyAttempts { .. }));
        }
    });
}

/// §4.4: an unnamed variable is told by its slot.
#[test]
fn an_unnamed_variable_in_the_error() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let (result, _) = always_losing(TxOptions::new().max_attempts(2), &space, &hot);
        let error = result.unwrap_err();
        let lost_to = error.lost_to().unwrap();
        assert!(lost_to.starts_with("variable #"), "{lost_to}");
        assert_eq!(error.label(), None);
    });
}

/// §4.4, §2.2: under snapshot isolation a lost write counts and is named.
#[test]
fn max_attempts_under_snapshot_isolation() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::named_in(&space, "blind", 0u64);
        let adversary = hot.clone();
        let hook = strike_at(Point::Validate, u64::MAX, move || {
            adversary.update(|x| x + 1);
        });
        let mut runs = 0;
        let result =
            TxOptions::new().space(&space).isolation(Isolation::Snapshot).max_attempts(4).escalate_after(u64::MAX).run(
                |tx| {
                    runs += 1;
                    tx.write(&hot, 1000);
                    Ok(())
                },
            );
        drop(hook);
        let error = result.unwrap_err();
        assert_eq!((error.attempts(), error.lost_to(), runs), (4, Some("blind"), 4));
        assert!(hot.load() < 1000);
    });
}

/// §4.4, §7.1: each of the lost attempts ran its rollback hook, the last one too.
#[test]
fn lost_attempts_run_their_hooks() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let adversary = hot.clone();
        let hook = strike_at(Point::Validate, u64::MAX, move || {
            adversary.update(|x| x + 1);
        });
        let rollbacks = Rc::new(Cell::new(0));
        let result = TxOptions::new().space(&space).max_attempts(5).escalate_after(u64::MAX).run(|tx| {
            let rollbacks = rollbacks.clone();
            tx.on_rollback(move || rollbacks.set(rollbacks.get() + 1));
            tx.on_commit(|| panic!("committed"));
            tx.modify(&hot, |x| x + 1000);
            Ok(())
        });
        drop(hook);
        assert!(result.is_err());
        assert_eq!(rollbacks.get(), 5);
        assert!(hot.load() < 1000);
    });
}

/// §4.4: the last permitted attempt may commit.
#[test]
fn the_last_attempt_counts() {
    guarded(|| {
        for losses in 0..4 {
            let space = Space::new();
            let hot = TVar::new_in(&space, 0u64);
            let out = TVar::new_in(&space, 0u64);
            let adversary = hot.clone();
            let mut runs = 0;
            let result = TxOptions::new().space(&space).max_attempts(4).run(|tx| {
                runs += 1;
                let x = *tx.read(&hot);
                if tx.attempt() <= losses {
                    let adversary = adversary.clone();
                    elsewhere(move || adversary.update(|x| x + 1));
                }
                tx.write(&out, x + 100);
                Ok(())
            });
            assert_eq!((result, runs, out.load()), (Ok(()), losses + 1, losses + 100));
        }
    });
}

/// §4.4, §8: `max_attempts(0)` is a mistake.
#[test]
fn max_attempts_zero_panics() {
    let message = panic_message(|| TxOptions::new().max_attempts(0));
    assert!(message.starts_with("tvar: "), "{message}");
}

/// §4.4: woken re-runs do not count towards `max_attempts`.
#[test]
fn woken_re_runs_are_not_attempts() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let (mine, s) = (v.clone(), space.clone());
    let runs = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&runs);
    let thread = thread::spawn(move || {
        TxOptions::new().space(&s).max_attempts(1).run(|tx| {
            let run = counter.fetch_add(1, Ordering::SeqCst) + 1;
            assert_eq!(tx.attempt(), run);
            tx.check(*tx.read(&mine) == 6)
        })
    });
    for i in 1..=6 {
        eventually("sleeps", || space.stats().parked == i);
        v.store(i as i64);
    }
    assert_eq!(join("enough at last", thread), Ok(()));
    assert_eq!(runs.load(Ordering::SeqCst), 7);
}

/// §4.4: but a conflict after a wake-up does.
#[test]
fn conflicts_among_woken_re_runs_count() {
    for (limit, commits) in [(2, true), (1, false)] {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let out = TVar::new_in(&space, 0i64);
        let (mine, o, s) = (v.clone(), out.clone(), space.clone());
        let thread = thread::spawn(move || {
            let mut lost = false;
            TxOptions::new().space(&s).max_attempts(limit).run(|tx| {
                let x = *tx.read(&mine);
                tx.check(x >= 2)?;
                if !std::mem::replace(&mut lost, true) {
                    let mine = mine.clone();
                    elsewhere(move || mine.update(|x| x + 10));
                }
                tx.write(&o, x);
                Ok(())
            })
        });
        for i in 1..=2 {
            eventually("sleeps", || space.stats().parked == i);
            v.store(i as i64);
        }
        let result = join("ends", thread);
        assert_eq!(result.is_ok(), commits, "{result:?}");
        assert_eq!(out.load(), if commits { 12 } else { 0 });
    }
}

/// §4.4, §2.10: a run that ends in `refresh` is an attempt.
#[test]
fn refreshes_are_attempts() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::named_in(&space, "hot", 0i64);
        let mut runs = 0;
        let result: Result<(), _> = TxOptions::new().space(&space).max_attempts(3).run(|tx| {
            runs += 1;
            tx.read(&hot);
            let adversary = hot.clone();
            elsewhere(move || adversary.update(|x| x + 1));
            tx.refresh()?;
            panic!("went on with a stale read");
        });
        assert_eq!((result.unwrap_err().attempts(), runs), (3, 3));
    });
}
