//! §3.1: no wake-up is lost in any window.

mod blocking_common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocking_common::{FAR, Paused, Waiter, at, elsewhere, eventually, join, settle, strike_at};
use tvar::hooks::{self, Point};
use tvar::{Isolation, Space, TVar, TxError, TxOptions};

/// A call that waits for `v != 0`, with `strike` run elsewhere at the first passage of `point`.
fn struck(space: &Space, v: &TVar<i64>, point: Point, strike: impl Fn() + Send + Sync + 'static) -> Waiter<i64> {
    let v = v.clone();
    let hook = move || Some(strike_at(point, 1, strike));
    Waiter::hooked(space, hook, move |tx| {
        let x = *tx.read(&v);
        tx.check(x != 0)?;
        Ok(x)
    })
}

const WINDOWS: [Point; 3] = [Point::Read, Point::Register, Point::Park];

/// §3.1: a commit between the read and the registration, at it, and before the sleep is not lost.
#[test]
fn a_commit_in_a_window_wakes() {
    for point in WINDOWS {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let other = v.clone();
        let waiter = struck(&space, &v, point, move || other.store(5));
        let what = format!("a commit at {point:?} wakes");
        assert_eq!(waiter.finish(&what), (5, 2), "{point:?}");
        assert_eq!((space.waiters(), v.waiters()), (0, 0), "{point:?}");
    }
}

/// §3.1: the same when the commit changes the second of two read variables, then others.
#[test]
fn a_commit_in_a_window_to_the_second_variable_wakes() {
    for point in WINDOWS {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let first = TVar::new_in(&space, 0i64);
        let many: Vec<_> = (0..200).map(|_| TVar::new_in(&space, 0i64)).collect();
        let (writer, outer) = (v.clone(), space.clone());
        let strike = move || {
            outer.atomically(|tx| {
                many.iter().for_each(|m| tx.write(m, 1));
                tx.write(&writer, 5);
                Ok(())
            });
            many.iter().for_each(|m| m.store(2));
        };
        let mine = v.clone();
        let hook = move || Some(strike_at(point, 1, strike));
        let waiter = Waiter::hooked(&space, hook, move |tx| tx.check(*tx.read(&first) != 0 || *tx.read(&mine) != 0));
        let what = format!("a commit at {point:?} wakes");
        assert_eq!(waiter.finish(&what), ((), 2), "{point:?}");
        assert_eq!(space.waiters(), 0);
    }
}

/// §3.1: a commit of something else in a window neither re-runs the closure nor keeps it from sleeping.
#[test]
fn a_foreign_commit_in_a_window_does_not_wake() {
    for point in WINDOWS {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let others: Vec<_> = (0..500).map(|_| TVar::new_in(&space, 0i64)).collect();
        let over = Arc::new(AtomicBool::new(false));
        let (same, done) = (v.clone(), over.clone());
        let waiter = struck(&space, &v, point, move || {
            others.iter().for_each(|o| o.store(1));
            same.store(0);
            done.store(true, Ordering::SeqCst);
        });
        eventually("the foreign commits are over", || over.load(Ordering::SeqCst));
        eventually("parks", || space.stats().parked == 1);
        settle();
        assert_eq!(waiter.runs(), 1, "{point:?}");
        v.store(7);
        assert_eq!(waiter.finish("woken at last"), (7, 2), "{point:?}");
    }
}

/// §3.1: a change and its undoing in a window leave the call able to wake.
#[test]
fn a_change_and_back_in_a_window() {
    for point in WINDOWS {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let flipped = Arc::new(AtomicBool::new(false));
        let (flip, done) = (v.clone(), flipped.clone());
        let waiter = struck(&space, &v, point, move || {
            flip.store(1);
            flip.store(0);
            done.store(true, Ordering::SeqCst);
        });
        eventually("flips", || flipped.load(Ordering::SeqCst));
        eventually("parks", || v.waiters() == 1);
        v.store(7);
        let (seen, runs) = waiter.finish("woken at last");
        assert_eq!(seen, 7);
        assert!((2..=3).contains(&runs), "{runs} runs, {point:?}");
    }
}

/// §3.1: the same windows under snapshot isolation and with a far deadline.
#[test]
fn windows_of_other_kinds_of_waiting() {
    for point in WINDOWS {
        for kind in 0..3 {
            let space = Space::new();
            let v = TVar::new_in(&space, 0i64);
            let (writer, mine) = (v.clone(), v.clone());
            let options = match kind {
                0 => TxOptions::new().isolation(Isolation::Snapshot),
                1 => TxOptions::new().timeout(FAR),
                _ => TxOptions::new(),
            };
            let options = options.space(&space);
            let thread = std::thread::spawn(move || {
                let _hook = strike_at(point, 1, move || writer.store(5));
                let mut runs = 0;
                let seen = options.run(|tx| {
                    runs += 1;
                    let x = *tx.read(&mine);
                    if x == 0 && kind == 2 {
                        tx.retry_for(FAR)?;
                    }
                    tx.check(x != 0)?;
                    Ok(x)
                });
                (seen, runs)
            });
            let what = format!("a commit at {point:?} wakes");
            assert_eq!(join(&what, thread), (Ok(5), 2), "{point:?} {kind}");
            assert_eq!(space.waiters(), 0);
        }
    }
}

/// §3.1: what is committed between the wake-up and the next run is seen by that run.
#[test]
fn a_commit_at_the_wake_up_is_seen() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let (mine, writer) = (v.clone(), v.clone());
    let hook = move || Some(strike_at(Point::Wake, 1, move || writer.store(2)));
    let waiter = Waiter::hooked(&space, hook, move |tx| tx.check(*tx.read(&mine) == 2));
    eventually("parks", || space.stats().parked == 1);
    v.store(1);
    assert_eq!(waiter.finish("sees the second store"), ((), 2));
}

/// §3.1: a commit for each of ten sleeps in a row, always in the window, is never lost.
#[test]
fn windows_in_a_row() {
    for point in WINDOWS {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let (mine, writer) = (v.clone(), v.clone());
        let bump = move || writer.update(|x| x + 1);
        let hook = move || Some(strike_at(point, 10, bump));
        let waiter = Waiter::hooked(&space, hook, move |tx| tx.check(*tx.read(&mine) == 10));
        assert_eq!(waiter.finish("ten windows"), ((), 11), "{point:?}");
    }
}

/// §3.1: a waiter that slept before the swap of a committer who had stopped there is woken.
#[test]
fn a_committer_stopped_before_its_swap_wakes_later() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let writer = v.clone();
    let committer = Paused::at(Point::Swap, move || writer.store(3));
    let mine = v.clone();
    let waiter = Waiter::asleep(&space, move |tx| {
        let x = *tx.read(&mine);
        tx.check(x != 0)?;
        Ok(x)
    });
    settle();
    assert_eq!(waiter.runs(), 1);
    committer.finish();
    assert_eq!(waiter.finish("woken after the swap"), (3, 2));
}

/// §3.1: who goes to sleep after the swap does not need the wake-up of a stopped committer.
#[test]
fn a_committer_stopped_after_its_swap_is_not_needed() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let mine = v.clone();
    let call = {
        let space = space.clone();
        move || {
            let mut runs = 0;
            space.atomically(|tx| {
                runs += 1;
                tx.check(*tx.read(&mine) != 0)
            });
            runs
        }
    };
    // One has read before the swap, the other begins after it.
    let early = Paused::at(Point::Read, call.clone());
    let writer = v.clone();
    let committer = Paused::at(Point::Swapped, move || writer.store(3));
    assert_eq!(early.finish(), 2);
    assert_eq!(elsewhere(call), 1);
    committer.finish();
    assert_eq!(space.waiters(), 0);
}

/// §3.1: the points come in their order, and a call that need not wait passes none of them.
#[test]
fn the_points_of_a_sleep() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (mine, s, log) = (v.clone(), space.clone(), seen.clone());
    let thread = std::thread::spawn(move || {
        let _hook = hooks::on_this_thread(move |p| log.lock().unwrap().push(p));
        s.atomically(|tx| tx.check(*tx.read(&mine) != 0));
        s.atomically(|tx| tx.check(*tx.read(&mine) != 0));
    });
    eventually("parks", || seen.lock().unwrap().contains(&Point::Park));
    v.store(1);
    join("woken", thread);
    let seen = seen.lock().unwrap();
    let waits = [Point::Register, Point::Park, Point::Wake];
    let order: Vec<_> = seen.iter().filter(|p| waits.contains(p)).collect();
    assert_eq!(order, waits.iter().collect::<Vec<_>>());
    assert_eq!(seen.iter().filter(|p| **p == Point::Begin).count(), 3);
}

/// §3.1: many threads, each in the window of its sleep when the one commit comes, all wake.
#[test]
fn many_waiters_in_the_window_wake() {
    for point in [Point::Register, Point::Park] {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let waiters: Vec<_> = (0..12)
            .map(|_| {
                let (mine, s) = (v.clone(), space.clone());
                Paused::at(point, move || {
                    let runs = AtomicU64::new(0);
                    s.atomically(|tx| {
                        runs.fetch_add(1, Ordering::SeqCst);
                        tx.check(*tx.read(&mine) != 0)
                    });
                    runs.into_inner()
                })
            })
            .collect();
        assert_eq!(v.waiters(), 12);
        v.store(1);
        for waiter in waiters {
            assert_eq!(waiter.finish(), 2, "{point:?}");
        }
        assert_eq!((space.waiters(), v.waiters()), (0, 0));
    }
}

/// §3.5, §3.7: a commit and the deadline at once: one of the two ends the sleep, and no trace is left.
#[test]
fn a_deadline_in_the_window() {
    for point in [Point::Register, Point::Park] {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let writer = v.clone();
        let (mine, s) = (v.clone(), space.clone());
        let result = elsewhere(move || {
            let mut writer = Some(writer);
            let _hook = at(point, 1, move || {
                std::thread::sleep(Duration::from_millis(12));
                let writer = writer.take().unwrap();
                elsewhere(move || writer.store(1));
            });
            TxOptions::new().space(&s).timeout(Duration::from_millis(10)).run(|tx| tx.check(*tx.read(&mine) != 0))
        });
        assert!(matches!(result, Ok(()) | Err(TxError::TimedOut { .. })));
        assert_eq!((space.waiters(), v.waiters()), (0, 0));
        assert_eq!(v.load(), 1);
    }
}
