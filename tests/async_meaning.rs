//! §3.1 to §3.5 and §7.1 for futures: what retries, alternatives, parts, hooks and maps mean is what it is for threads.

mod async_common;
mod blocking_common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_common::{ByHand, take};
use blocking_common::{elsewhere, strike_at};
use tvar::hooks::Point;
use tvar::{Space, TMap, TOrdMap, TVar, try_atomically_async};

#[test]
fn s3_1_woken_by_a_change_of_what_was_read_alone() {
    let space = Space::new();
    let [read, written, other] = std::array::from_fn(|_| TVar::new_in(&space, 0));
    let runs = Cell::new(0);
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        runs.set(runs.get() + 1);
        tx.write(&written, 9);
        tx.check(*tx.read(&read) > 1)
    }));
    assert_eq!((space.waiters(), read.waiters(), written.waiters()), (1, 1, 0));
    written.store(1);
    other.store(1);
    read.store(0);
    assert_eq!((call.pokes.count(), call.poll(), runs.get()), (0, None, 1));
    read.store(1);
    assert_eq!((call.pokes.count(), call.poll(), runs.get()), (1, None, 2));
    assert_eq!((space.waiters(), read.waiters(), written.load()), (1, 1, 1));
    read.store(2);
    assert_eq!((call.pokes.count(), call.poll(), runs.get()), (2, Some(()), 3));
    assert_eq!((space.waiters(), read.waiters(), written.load()), (0, 0, 9));
}

#[test]
fn s3_1_a_poll_that_nobody_asked_for_does_not_run_the_closure() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let runs = Cell::new(0);
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        runs.set(runs.get() + 1);
        tx.check(*tx.read(&v) == 1)
    }));
    for _ in 0..100 {
        assert_eq!(call.poll(), None);
    }
    assert_eq!((runs.get(), call.pokes.count(), space.waiters()), (1, 0, 1));
    v.store(1);
    call.end();
}

#[test]
fn s3_1_a_commit_between_the_attempt_and_the_registration_is_seen_in_the_same_poll() {
    for point in [Point::Register, Point::Read] {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let hook = strike_at(point, 1, {
            let v = v.clone();
            move || v.store(1)
        });
        let mut call = ByHand::new(space.atomically_async(|tx| tx.check(*tx.read(&v) == 1)));
        assert_eq!(call.poll(), Some(()), "{point:?}");
        drop(hook);
        assert_eq!((space.stats().parked, space.stats().reruns, space.waiters()), (0, 1, 0));
    }
}

#[test]
fn s3_2_alternatives_wait_for_what_any_of_them_read() {
    let space = Space::new();
    let [a, b, done] = std::array::from_fn(|_| TVar::new_in(&space, None));
    let either = || {
        space.atomically_async(|tx| {
            let n = tx.or_else(|tx| take(tx, &a), |tx| take(tx, &b))?;
            tx.write(&done, Some(n));
            Ok(n)
        })
    };
    for (var, n) in [(&a, 1), (&b, 2)] {
        let mut call = ByHand::asleep(either());
        assert_eq!((space.waiters(), a.waiters(), b.waiters(), done.waiters()), (1, 1, 1, 0));
        var.store(Some(n));
        assert_eq!((call.poll(), done.load(), var.load()), (Some(n), Some(n), None));
        assert_eq!((space.waiters(), a.waiters(), b.waiters()), (0, 0, 0));
    }
}

#[test]
fn s3_2_a_retry_in_a_nested_part_is_the_whole_attempts() {
    let space = Space::new();
    let (v, kept) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        tx.modify(&kept, |n| n + 1);
        let undone = tx.nested(|tx| {
            tx.write(&kept, 50);
            tx.check(*tx.read(&v) > 0)?;
            tx.abort::<(), _>("undone")
        })?;
        Ok(undone)
    }));
    v.store(1);
    assert_eq!((call.poll(), kept.load()), (Some(Err("undone")), 1));
}

#[test]
fn s2_7_an_abort_after_a_sleep_rolls_back_and_is_reported_once() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let mut call = ByHand::asleep(space.try_atomically_async(|tx| {
        let n = *tx.read(&v);
        tx.check(n > 0)?;
        tx.write(&v, 100);
        if n == 1 { tx.abort("no") } else { Ok(()) }
    }));
    v.store(1);
    assert_eq!((call.poll(), v.load(), space.waiters()), (Some(Err("no")), 1, 0));
    assert_eq!(ByHand::new(try_atomically_async(|tx| tx.abort::<(), _>(5))).end(), Err(5));
}

#[test]
fn s7_1_hooks_run_in_the_poll_in_which_their_attempt_ends() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut call = ByHand::new(space.atomically_async(|tx| {
        let (n, attempt) = (*tx.read(&v), tx.attempt());
        let note = |what: &'static str| {
            let log = log.clone();
            move || log.borrow_mut().push((what, n, attempt))
        };
        tx.on_rollback(note("undone"));
        tx.on_commit(note("done"));
        tx.check(n == 2)
    }));
    assert!(log.borrow().is_empty());
    for n in 1..=2 {
        assert_eq!(call.poll(), None);
        assert_eq!(log.borrow_mut().drain(..).collect::<Vec<_>>(), [("undone", n - 1, n as u64)]);
        v.store(n);
        assert!(log.borrow().is_empty(), "not by the commit that wakes");
    }
    assert_eq!(call.poll(), Some(()));
    assert_eq!(*log.borrow(), [("done", 2, 3)]);
}

#[test]
fn s7_1_a_hook_may_run_transactions() {
    let space = Space::new();
    let (v, undone) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        let bump = {
            let undone = undone.clone();
            move || undone.update(|n| n + 1)
        };
        tx.on_rollback(bump.clone());
        tx.on_commit(bump);
        tx.check(*tx.read(&v) == 1)
    }));
    assert_eq!(undone.load(), 1);
    v.store(1);
    assert_eq!((call.poll(), undone.load()), (Some(()), 2));
}

#[test]
fn attempts_and_statistics_go_on_over_sleeps() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let attempts = RefCell::new(Vec::new());
    let mut call = ByHand::new(space.atomically_async(|tx| {
        attempts.borrow_mut().push(tx.attempt());
        let n = *tx.read(&v);
        tx.write(&v, n + 10);
        if n == 2 && tx.attempt() == 3 {
            // Lost to this.
            elsewhere({
                let v = v.clone();
                move || v.store(3)
            });
        }
        tx.check(n >= 2)
    }));
    for n in 1..=2 {
        assert_eq!(call.poll(), None);
        v.store(n);
    }
    assert_eq!(call.poll(), Some(()));
    assert_eq!((v.load(), attempts.borrow().clone()), (13, vec![1, 2, 3, 4]));
    let stats = space.stats();
    assert_eq!((stats.parked, stats.wakeups, stats.reruns, stats.conflicts), (2, 2, 3, 1));
    assert_eq!(stats.commits, 4);
}

#[test]
fn s6_1_a_task_that_waits_for_a_key_is_woken_by_that_key() {
    let space = Space::new();
    let map = TMap::new_in(&space);
    space.atomically(|tx| {
        map.upsert(tx, "old", 0);
        Ok(())
    });
    let mut call = ByHand::asleep(space.atomically_async(|tx| match map.remove(tx, "wanted") {
        Some(n) => Ok(*n),
        None => tx.retry(),
    }));
    assert_eq!(space.waiters(), 1);
    space.atomically(|tx| {
        map.upsert(tx, "old", 1);
        Ok(())
    });
    space.atomically(|tx| {
        map.upsert(tx, "new", 1);
        Ok(())
    });
    assert_eq!((call.poll(), space.stats().reruns), (None, 0));
    space.atomically(|tx| {
        map.upsert(tx, "wanted", 7);
        Ok(())
    });
    assert_eq!((call.poll(), space.stats().reruns, space.waiters()), (Some(7), 1, 0));
    space.atomically(|tx| {
        assert!(!map.contains_key(tx, "wanted"));
        Ok(())
    });
}

#[test]
fn s6_2_a_task_that_waits_for_a_range_is_woken_by_a_change_inside_it() {
    let space = Space::new();
    let map = TOrdMap::new_in(&space);
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        let inside = map.range(tx, 10..20).count();
        tx.check(inside >= 2)?;
        Ok(inside)
    }));
    for key in [9, 20, 30] {
        space.atomically(|tx| {
            map.upsert(tx, key, ());
            Ok(())
        });
        assert_eq!((call.poll(), space.stats().reruns), (None, 0), "{key}");
    }
    for (key, runs, result) in [(10, 1, None), (19, 2, Some(2))] {
        space.atomically(|tx| {
            map.upsert(tx, key, ());
            Ok(())
        });
        assert_eq!((call.poll(), space.stats().reruns), (result, runs), "{key}");
    }
    assert_eq!(space.waiters(), 0);
}

#[test]
fn a_variable_made_in_the_closure_and_given_away_wakes() {
    let space = Space::new();
    let found = Arc::new(std::sync::Mutex::new(None));
    let runs = AtomicU64::new(0);
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        runs.fetch_add(1, Ordering::SeqCst);
        let var = found.lock().unwrap().get_or_insert_with(|| TVar::new_in(&space, 0)).clone();
        tx.check(*tx.read(&var) == 1)
    }));
    found.lock().unwrap().as_ref().unwrap().store(1);
    assert_eq!((call.poll(), runs.load(Ordering::SeqCst)), (Some(()), 2));
}
