//! §3.5: deadlines and timeouts.

mod blocking_common;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use blocking_common::{FAR, PATIENCE, Waiter, elsewhere, eventually, guarded, join, strike_at};
use tvar::hooks::Point;
use tvar::{Space, Stm, TVar, TryError, Tx, TxError, TxOptions, atomically};

const SOON: Duration = Duration::from_millis(15);

/// §3.5: `retry_for` and `retry_until` return `Ok` once their deadline is past.
#[test]
fn after_the_deadline_retry_for_returns() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let start = Instant::now();
        let wait = |how: &dyn Fn(&Tx<'_>) -> Stm<()>| {
            let slept = space.stats().parked;
            let mut runs = 0;
            let late = space.atomically(|tx| {
                runs += 1;
                if *tx.read(&v) != 0 {
                    return Ok(false);
                }
                how(tx)?;
                Ok(true)
            });
            // One run before each sleep, and one at the end.
            assert_eq!(runs, 1 + space.stats().parked - slept);
            (late, runs)
        };
        let (late, runs) = wait(&|tx| tx.retry_for(SOON));
        assert!(late && runs <= 2, "{runs}");
        let later = Instant::now() + SOON;
        let (late, runs) = wait(&|tx| tx.retry_until(later));
        assert!(late && runs <= 2, "{runs}");
        assert_eq!(wait(&|tx| tx.retry_for(Duration::ZERO)), (true, 1));
        assert_eq!(wait(&|tx| tx.retry_until(start)), (true, 1));
        assert_eq!((space.waiters(), v.waiters()), (0, 0));
    });
}

/// §3.5: before it they are a retry, that a commit ends.
#[test]
fn before_the_deadline_retry_for_waits() {
    type Wait = fn(&Tx<'_>) -> Stm<()>;
    let waits: [Wait; 3] =
        [|tx| tx.retry_for(FAR), |tx| tx.retry_until(Instant::now() + FAR), |tx| tx.retry_for(Duration::MAX)];
    for wait in waits {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let mine = v.clone();
        let waiter = Waiter::asleep(&space, move |tx| {
            let x = *tx.read(&mine);
            if x == 0 {
                wait(tx)?;
            }
            Ok(x)
        });
        v.store(3);
        assert_eq!(waiter.finish("woken"), (3, 2));
    }
}

/// §3.5: a timeout that no clock can hold is none.
#[test]
fn an_endless_timeout() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let (mine, s) = (v.clone(), space.clone());
    let thread = thread::spawn(move || {
        let options = TxOptions::new().space(&s).timeout(Duration::MAX);
        options.run(|tx| tx.check(*tx.read(&mine) != 0))
    });
    eventually("parks", || v.waiters() == 1);
    v.store(1);
    assert_eq!(join("woken", thread), Ok(()));
}

/// §3.5: of several alternatives the earliest deadline wakes.
#[test]
fn the_earliest_deadline_wakes() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    for early in 0..4 {
        let (mine, s) = (v.clone(), space.clone());
        let result = elsewhere(move || {
            let mut runs = 0;
            let side = s.atomically(|tx| {
                runs += 1;
                let side = |i: usize| {
                    let mine = &mine;
                    move |tx: &Tx<'_>| {
                        if *tx.read(mine) == 0 {
                            tx.retry_for(if i == early { SOON } else { FAR })?;
                        }
                        Ok(i)
                    }
                };
                tx.or_else(side(0), |tx| tx.or_else(side(1), |tx| tx.or_else(side(2), side(3))))
            });
            (side, runs)
        });
        assert_eq!(result.0, early);
        assert!(result.1 <= 2, "{} runs", result.1);
    }
    assert_eq!(v.waiters(), 0);
}

/// §3.5: a side with no deadline does not stretch that of another.
#[test]
fn a_deadline_beside_a_plain_retry() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let late = elsewhere(move || {
            space.atomically(|tx| {
                tx.or_else(
                    |tx| {
                        tx.check(*tx.read(&v) != 0)?;
                        Ok(false)
                    },
                    |tx| {
                        tx.retry_for(SOON)?;
                        Ok(true)
                    },
                )
            })
        });
        assert!(late);
    });
}

/// §3.5: the time counts from the beginning of the call, not from the `retry_for`; with options and without.
#[test]
fn the_time_of_the_closure_counts() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let mut runs = 0;
        let result = TxOptions::new().space(&space).run(|tx| {
            runs += 1;
            tx.read(&v);
            thread::sleep(SOON * 2);
            tx.retry_for(SOON)
        });
        assert_eq!((result, runs), (Ok(()), 1));
        runs = 0;
        space.atomically(|tx| {
            runs += 1;
            tx.read(&v);
            thread::sleep(SOON * 2);
            tx.retry_for(SOON)
        });
        assert_eq!(runs, 1);
    });
}

/// §3.5: in any call, the time of a run counts for the next one.
#[test]
fn the_time_of_earlier_runs_counts() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            if runs == 1 {
                tx.read(&v);
                tx.retry_for(SOON)?;
            }
            // Two deadlines, one after the other: the second one is past when the first one is.
            tx.retry_for(SOON)
        });
        assert!(runs <= 2, "{runs} runs");
    });
}

/// A thread that changes `v` again and again until told to stop.
fn restless(v: &TVar<i64>) -> impl FnOnce() + use<> {
    let stop = Arc::new(AtomicBool::new(false));
    let (seen, v) = (Arc::clone(&stop), v.clone());
    let thread = thread::spawn(move || {
        while !seen.load(Ordering::SeqCst) {
            v.update(|x| x + 1);
            thread::yield_now();
        }
    });
    move || {
        stop.store(true, Ordering::SeqCst);
        join("the restless thread stops", thread);
    }
}

/// §3.5: nor does a re-run begin it anew.
#[test]
fn re_runs_do_not_move_the_deadline() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let (mine, s) = (v.clone(), space.clone());
    let call = thread::spawn(move || {
        let mut runs = 0;
        s.atomically(|tx| {
            runs += 1;
            tx.read(&mine);
            tx.retry_for(SOON * 10)
        });
        runs
    });
    eventually("parks", || v.waiters() == 1);
    let stop = restless(&v);
    assert!(join("the deadline comes", call) > 1);
    stop();
}

/// §3.5: a timeout covers waiting, through all wake-ups.
#[test]
fn a_timeout_covers_woken_re_runs() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let (mine, s) = (v.clone(), space.clone());
    let call = thread::spawn(move || {
        let mut runs = 0;
        let options = TxOptions::new().space(&s).timeout(SOON * 10);
        let result: Result<(), _> = options.run(|tx| {
            runs += 1;
            tx.check(*tx.read(&mine) < 0)
        });
        (result, runs)
    });
    eventually("parks", || v.waiters() == 1);
    let stop = restless(&v);
    let (result, runs) = join("the timeout comes", call);
    stop();
    let error = result.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.attempts(), runs);
    assert_eq!((space.waiters(), v.waiters()), (0, 0));
}

/// §3.5: what a timeout reports after one wait; its writes are undone, its rollback hooks ran once.
#[test]
fn a_timeout_is_a_typed_error() {
    guarded(|| {
        let space = Space::new();
        let gate = TVar::new_in(&space, 0i64);
        let out = TVar::new_in(&space, 0i64);
        let rollbacks = Rc::new(Cell::new(0));
        let options = TxOptions::new().space(&space).timeout(SOON).label("checkout");
        let mut runs = 0;
        let result: Result<(), TxError> = options.run(|tx| {
            runs += 1;
            let rollbacks = rollbacks.clone();
            tx.on_rollback(move || rollbacks.set(rollbacks.get() + 1));
            tx.on_commit(|| panic!("committed"));
            tx.write(&out, 1);
            tx.check(*tx.read(&gate) != 0)
        });
        let error = result.unwrap_err();
        assert_eq!((runs, rollbacks.get(), out.load()), (1, 1, 0));
        assert_eq!(error.label(), Some("checkout"));
        assert_eq!((error.attempts(), error.lost_to()), (1, None));
        assert!(error.to_string().contains("checkout"), "{error}");
        let slept = space.stats().parked;
        assert!(matches!(&error, TxError::TimedOut { waits, .. } if *waits == slept));
        assert_eq!(error, error.clone());
        assert_eq!((space.waiters(), gate.waiters()), (0, 0));
        // The same options serve again: their time begins with each call.
        gate.store(1);
        let second = options.run(|tx| {
            tx.write(&out, 2);
            tx.check(*tx.read(&gate) != 0)
        });
        assert_eq!((second, out.load()), (Ok(()), 2));
    });
}

/// §3.5: the same through `try_run` and the macro.
#[test]
fn a_timeout_of_the_other_forms() {
    guarded(|| {
        let space = Space::new();
        let gate = TVar::new_in(&space, 0i64);
        let options = TxOptions::new().space(&space).timeout(SOON);
        let result: Result<(), TryError<String>> = options.try_run(|tx| Ok(tx.check(*tx.read(&gate) != 0)?));
        assert!(matches!(result, Err(TryError::Failed(TxError::TimedOut { .. }))));
        let result: Result<(), TxError> = atomically!(space = &space, timeout = SOON, label = "short";
        |tx| { tx.check(*tx.read(&gate) != 0)? });
        assert!(result.is_err_and(|e| e.is_timeout() && e.label() == Some("short")));
        let aborted: Result<(), TryError<String>> = options.try_run(|tx| tx.abort(format!("gate {}", tx.read(&gate))));
        assert!(matches!(aborted, Err(TryError::Aborted(text)) if text == "gate 0"));
    });
}

/// §3.5: the earlier one of the call's timeout and a deadline inside decides.
#[test]
fn timeout_against_retry_for() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let run = |timeout, inside| {
            let options = TxOptions::new().space(&space).timeout(timeout);
            options.run(|tx| {
                tx.read(&v);
                tx.retry_for(inside)
            })
        };
        assert!(run(SOON, FAR).is_err_and(|e| e.is_timeout()));
        assert_eq!(run(FAR, SOON), Ok(()));
        assert_eq!(v.waiters(), 0);
    });
}

/// §3.5: a timeout covers conflict re-runs, and tells against which variable they lost.
#[test]
fn a_timeout_covers_conflicts() {
    let space = Space::new();
    let hot = TVar::named_in(&space, "hot", 0u64);
    let out = TVar::new_in(&space, 0u64);
    let (h, o, s) = (hot.clone(), out.clone(), space.clone());
    let (result, runs) = elsewhere(move || {
        let adversary = h.clone();
        let hook = strike_at(Point::Validate, u64::MAX, move || {
            adversary.update(|x| x + 1);
        });
        let options = TxOptions::new().space(&s).timeout(SOON * 4).escalate_after(u64::MAX);
        let mut runs = 0;
        let result = options.run(|tx| {
            runs += 1;
            let x = *tx.read(&h);
            tx.write(&o, x + 1);
            Ok(())
        });
        drop(hook);
        (result, runs)
    });
    let error = result.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!((error.attempts(), error.lost_to()), (runs, Some("hot")), "{error}");
    assert!(error.to_string().contains("hot"), "{error}");
    assert!(matches!(error, TxError::TimedOut { waits: 0, .. }));
    assert_eq!(out.load(), 0);
}

/// §3.5: many calls time out at once while others are woken; no trace is left.
#[test]
fn timeouts_and_wake_ups_together() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let start = |timeout: Duration| {
        let (mine, s) = (v.clone(), space.clone());
        thread::spawn(move || {
            let options = TxOptions::new().space(&s).timeout(timeout);
            options.run(|tx| tx.check(*tx.read(&mine) != 0))
        })
    };
    let short: Vec<_> = (1..10).map(|i| start(Duration::from_millis(i * 2))).collect();
    let long: Vec<_> = (0..10).map(|_| start(PATIENCE * 2)).collect();
    for thread in short {
        assert!(join("times out", thread).is_err_and(|e| e.is_timeout()));
    }
    eventually("the others sleep", || v.waiters() == 10);
    v.store(1);
    for thread in long {
        assert_eq!(join("woken", thread), Ok(()));
    }
    assert_eq!((space.waiters(), v.waiters()), (0, 0));
}

/// §3.5: also on a thread that has long not been asked for the beginning of a call, earlier runs of the closure count.
#[test]
fn earlier_runs_count_on_a_busy_thread() {
    let space = Space::new();
    let gate = TVar::new_in(&space, 0);
    elsewhere({
        let (space, gate) = (space.clone(), gate.clone());
        move || {
            for _ in 0..3_000 {
                space.atomically(|tx| Ok(*tx.read(&gate)));
            }
            let waiter = thread::spawn({
                let (space, gate) = (space.clone(), gate.clone());
                move || {
                    while space.waiters() == 0 {
                        thread::yield_now();
                    }
                    thread::sleep(Duration::from_millis(30));
                    gate.store(1);
                }
            });
            let mut runs = 0;
            space.atomically(|tx| {
                runs += 1;
                tx.check(*tx.read(&gate) > 0)?;
                tx.retry_for(Duration::from_millis(20))
            });
            waiter.join().unwrap();
            assert_eq!(runs, 2, "the time had passed when it woke");
        }
    });
}
