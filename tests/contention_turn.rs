//! §4.4: the turn of an escalated transaction: who waits for it, and when it ends.

mod blocking_common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self};
use std::time::Duration;

use blocking_common::{Pause, Waiter, elsewhere, eventually, guarded, join, panic_message, settle};
use tvar::{Space, TVar, TryError, Tx, TxOptions};

/// Reads `hot` and loses the first attempt, so that the second one has the turn at a threshold of one.
fn lose_once(tx: &Tx<'_>, hot: &TVar<u64>) -> u64 {
    let x = *tx.read(hot);
    if tx.attempt() == 1 {
        let rival = hot.clone();
        elsewhere(move || rival.update(|x| x + 1));
    }
    tx.write(hot, x + 10);
    x
}

/// A call of `f` that holds the turn from its second attempt on.
fn escalated<R, E>(space: &Space, f: impl FnMut(&Tx<'_>) -> Result<R, tvar::Abort<E>>) -> Result<R, TryError<E>> {
    TxOptions::new().space(space).escalate_after(1).try_run(f)
}

/// Others commit, read and wait as if there had never been a turn.
#[track_caller]
fn turn_is_free(space: &Space, hot: &TVar<u64>) {
    let (s, v) = (space.clone(), hot.clone());
    elsewhere(move || {
        for _ in 0..10 {
            v.update(|x| x + 1);
            s.atomically(|tx| {
                let x = *tx.read(&v);
                tx.write(&v, x + 1);
                Ok(())
            });
        }
        // Another one gets the turn.
        let won = escalated::<_, String>(&s, |tx| Ok(lose_once(tx, &v)));
        assert!(won.is_ok());
    });
}

/// §4.4: the attempt with the turn does not lose; who wants to commit waits until it has ended.
#[test]
fn others_wait_for_the_turn() {
    let space = Space::new();
    let hot = TVar::new_in(&space, 0u64);
    let begun = Pause::new();
    let (s, v, inside) = (space.clone(), hot.clone(), begun.clone());
    let holder = thread::spawn(move || {
        let mut runs = 0;
        let result = escalated::<_, String>(&s, |tx| {
            runs += 1;
            lose_once(tx, &v);
            if tx.attempt() == 2 {
                inside.stop();
            }
            Ok(())
        });
        assert!(result.is_ok());
        runs
    });
    begun.reached();
    assert_eq!(space.stats().escalations, 1);
    let started = Arc::new(AtomicU64::new(0));
    let others: Vec<_> = (0..4)
        .map(|i| {
            let (v, s, started) = (hot.clone(), space.clone(), started.clone());
            thread::spawn(move || {
                started.fetch_add(1, Ordering::SeqCst);
                if i % 2 == 0 {
                    v.update(|x| x + 100);
                } else {
                    s.atomically(|tx| {
                        tx.modify(&v, |x| x + 100);
                        Ok(())
                    });
                }
            })
        })
        .collect();
    eventually("the others have begun", || started.load(Ordering::SeqCst) == 4);
    settle();
    assert_eq!(hot.load(), 1, "a commit overran the turn");
    begun.release();
    assert_eq!(join("the holder commits", holder), 2);
    for other in others {
        join("the others follow", other);
    }
    assert_eq!(hot.load(), 411);
}

/// §4.4: readers, snapshots, new variables and other spaces do not wait for a turn.
#[test]
fn readers_do_not_wait_for_the_turn() {
    let space = Space::new();
    let hot = TVar::new_in(&space, 0u64);
    let begun = Pause::new();
    let (s, v, inside) = (space.clone(), hot.clone(), begun.clone());
    let holder = thread::spawn(move || {
        let result = escalated::<_, String>(&s, |tx| {
            lose_once(tx, &v);
            if tx.attempt() == 2 {
                inside.stop();
            }
            Ok(())
        });
        result.is_ok()
    });
    begun.reached();
    let (s, v) = (space.clone(), hot.clone());
    elsewhere(move || {
        assert_eq!(v.load(), 1);
        assert_eq!(s.atomically(|tx| Ok(*tx.read(&v))), 1);
        assert_eq!(*s.snapshot().read(&v), 1);
        assert_eq!(TVar::new_in(&s, 5).load(), 5);
        let other = TVar::new_in(&Space::new(), 0);
        other.store(1);
        let elsewhere = Space::new();
        turn_is_free(&elsewhere, &TVar::new_in(&elsewhere, 0));
        let late = s.atomically(|tx| {
            tx.read(&v);
            tx.retry_for(Duration::from_millis(5))?;
            Ok(true)
        });
        assert!(late);
    });
    begun.release();
    assert!(join("the holder commits", holder));
    turn_is_free(&space, &hot);
}

/// §4.4: the turn is given up on retry, and others proceed while the call sleeps.
#[test]
fn a_retry_gives_up_the_turn() {
    let space = Space::new();
    let hot = TVar::new_in(&space, 0u64);
    let gate = TVar::new_in(&space, false);
    let (s, v, g) = (space.clone(), hot.clone(), gate.clone());
    let holder = thread::spawn(move || {
        let mut runs = 0;
        let result = escalated::<_, String>(&s, |tx| {
            runs += 1;
            lose_once(tx, &v);
            Ok(tx.check(tx.attempt() == 1 || *tx.read(&g))?)
        });
        assert!(result.is_ok());
        runs
    });
    eventually("sleeps", || space.stats().parked == 1);
    assert!(space.stats().escalations >= 1);
    let writer = gate.clone();
    elsewhere(move || {
        TVar::new_in(&writer.space(), 0).store(1);
        writer.store(true);
    });
    assert_eq!(join("woken", holder), 3);
    turn_is_free(&space, &hot);
}

/// §4.4: a panic, an abort and a timeout end the turn; nothing is poisoned.
#[test]
fn every_end_of_an_attempt_ends_the_turn() {
    for end in 0..4 {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let (s, v) = (space.clone(), hot.clone());
        let outcome = elsewhere(move || {
            catch_unwind(AssertUnwindSafe(|| {
                let options = TxOptions::new().space(&s).escalate_after(1);
                let options = match end {
                    2 => options.timeout(Duration::from_millis(30)),
                    3 => options.max_attempts(2),
                    _ => options,
                };
                let result: Result<(), TryError<&str>> = options.try_run(|tx| {
                    lose_once(tx, &v);
                    if tx.attempt() == 1 {
                        return Ok(());
                    }
                    match end {
                        0 => resume_unwind(Box::new("planned")),
                        1 => tx.abort("abort"),
                        2 => Ok(tx.retry()?),
                        _ => Ok(()),
                    }
                });
                match result {
                    Ok(()) => "committed",
                    Err(TryError::Aborted(text)) => text,
                    Err(TryError::Failed(error)) if error.is_timeout() => "timeout",
                    Err(TryError::Failed(_)) => "limit",
                }
            }))
            .unwrap_or("panic")
        });
        let expected = ["panic", "abort", "timeout", "committed"][end];
        assert_eq!(outcome, expected);
        let committed = hot.load();
        assert_eq!(committed, if end == 3 { 11 } else { 1 });
        if end != 2 {
            assert_eq!(space.stats().escalations, 1, "{expected}");
        }
        turn_is_free(&space, &hot);
    }
}

/// §4.4, §3.2: an alternative inside the turn changes nothing about it.
#[test]
fn alternatives_inside_the_turn() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let mut runs = 0;
        let result = escalated::<_, String>(&space, |tx| {
            runs += 1;
            tx.try_or_else(
                |tx| {
                    lose_once(tx, &hot);
                    Ok(tx.retry::<()>()?)
                },
                |tx| {
                    tx.modify(&hot, |x| x + 1000);
                    Ok(())
                },
            )
        });
        assert!(result.is_ok());
        assert_eq!((runs, hot.load()), (2, 1001));
        turn_is_free(&space, &hot);
    });
}

/// §4.4, §7.1: hooks run after the turn: they may commit, and so may other threads meanwhile.
#[test]
fn hooks_run_after_the_turn() {
    for end in ["commit", "abort", "panic", "retry"] {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let gate = TVar::new_in(&space, false);
        let done = Arc::new(AtomicU64::new(0));
        let (s, v, g, d) = (space.clone(), hot.clone(), gate.clone(), done.clone());
        elsewhere(move || {
            catch_unwind(AssertUnwindSafe(|| {
                let result = escalated(&s, |tx| {
                    lose_once(tx, &v);
                    if tx.attempt() == 2 {
                        let work = {
                            let (v, g, d) = (v.clone(), g.clone(), d.clone());
                            move || {
                                v.update(|x| x + 1);
                                let far = v.clone();
                                elsewhere(move || far.update(|x| x + 1));
                                g.store(true);
                                d.fetch_add(1, Ordering::SeqCst);
                            }
                        };
                        if end == "commit" {
                            tx.on_commit(work);
                        } else {
                            tx.on_rollback(work);
                        }
                        match end {
                            "abort" => return tx.abort("abort"),
                            "panic" => resume_unwind(Box::new("planned")),
                            "retry" => tx.check(*tx.read(&g))?,
                            _ => {}
                        }
                    }
                    Ok(())
                });
                drop(result);
            }))
        })
        .ok();
        assert_eq!(done.load(Ordering::SeqCst), 1, "{end}");
        assert!(gate.load());
        turn_is_free(&space, &hot);
    }
}

/// §4.4: all take the turn at once and all the time: one after the other, each its own way.
#[test]
fn a_queue_for_the_turn() {
    for threshold in [0, 1] {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let threads: Vec<_> = (0..6)
            .map(|_| {
                let (s, v) = (space.clone(), hot.clone());
                thread::spawn(move || {
                    let options = TxOptions::new().space(&s).escalate_after(threshold);
                    for _ in 0..50 {
                        let result = options.run(|tx| {
                            let x = *tx.read(&v);
                            thread::yield_now();
                            tx.write(&v, x + 1);
                            Ok(())
                        });
                        assert_eq!(result, Ok(()));
                    }
                })
            })
            .collect();
        for thread in threads {
            join("each has its turn", thread);
        }
        assert_eq!(hot.load(), 300);
    }
}

/// §4.4, §3.1: a call that always takes the turn waits like any other.
#[test]
fn the_escalated_wait_too() {
    let space = Space::new();
    let ball = TVar::new_in(&space, 0u64);
    let threads: Vec<_> = (0..4)
        .map(|me| {
            let (s, v) = (space.clone(), ball.clone());
            thread::spawn(move || {
                let options = TxOptions::new().space(&s).escalate_after(0);
                for round in 0..25 {
                    let mine = round * 4 + me;
                    let result = options.run(|tx| {
                        tx.check(*tx.read(&v) == mine)?;
                        tx.write(&v, mine + 1);
                        Ok(())
                    });
                    assert_eq!(result, Ok(()));
                }
            })
        })
        .collect();
    for thread in threads {
        join("the ball goes round", thread);
    }
    assert_eq!((ball.load(), space.waiters()), (100, 0));
}

/// §4.4: a timeout covers the wait for another one's turn.
#[test]
fn a_timeout_covers_the_wait_for_a_turn() {
    let space = Space::new();
    let hot = TVar::new_in(&space, 0u64);
    let begun = Pause::new();
    let (s, v, inside) = (space.clone(), hot.clone(), begun.clone());
    let holder = thread::spawn(move || {
        let result = escalated::<_, String>(&s, |tx| {
            lose_once(tx, &v);
            if tx.attempt() == 2 {
                inside.stop();
            }
            Ok(())
        });
        result.is_ok()
    });
    begun.reached();
    for threshold in [0, u64::MAX] {
        let (s, v) = (space.clone(), hot.clone());
        let result = elsewhere(move || {
            TxOptions::new().space(&s).timeout(Duration::from_millis(30)).escalate_after(threshold).run(|tx| {
                tx.modify(&v, |x| x + 1000);
                Ok(())
            })
        });
        assert!(result.is_err_and(|e| e.is_timeout()), "{threshold}");
    }
    begun.release();
    assert!(join("the holder commits", holder));
    assert_eq!(hot.load(), 11);
    turn_is_free(&space, &hot);
}

/// §4.4: a foreign variable in the turn is a panic like elsewhere, and ends it.
#[test]
fn misuse_in_the_turn_ends_it() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let foreign = TVar::new_in(&Space::named("far"), 0u64);
        let message = panic_message(|| {
            let result = escalated::<_, String>(&space, |tx| {
                lose_once(tx, &hot);
                if tx.attempt() == 2 {
                    tx.write(&foreign, 1);
                }
                Ok(())
            });
            result.is_ok()
        });
        assert!(message.contains("far"), "{message}");
        turn_is_free(&space, &hot);
    });
}

/// §4.4: a call asleep with the turn given up is woken by another one's turn.
#[test]
fn a_commit_in_the_turn_wakes() {
    guarded(|| {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0u64);
        let bell = TVar::new_in(&space, 0u64);
        let mine = bell.clone();
        let waiter = Waiter::asleep(&space, move |tx| {
            let x = *tx.read(&mine);
            tx.check(x != 0)?;
            Ok(x)
        });
        let result = escalated::<_, String>(&space, |tx| {
            lose_once(tx, &hot);
            tx.write(&bell, tx.attempt());
            Ok(())
        });
        assert!(result.is_ok());
        assert_eq!(waiter.finish("woken by the escalated commit"), (2, 2));
    });
}
