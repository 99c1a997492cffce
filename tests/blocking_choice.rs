//! §3.2, §3.3: alternatives: what the choice rests on, and what it waits for.

mod blocking_common;

use std::cell::Cell;
use std::collections::VecDeque;
use std::time::Duration;

use blocking_common::{FAR, Waiter, elsewhere, eventually, guarded, strike_at};
use tvar::hooks::Point;
use tvar::{Isolation, Space, Stm, TVar, Tx, TxOptions, atomically};

/// Writes to `v` on another thread.
fn foreign_store(v: &TVar<i64>, value: i64) {
    let v = v.clone();
    elsewhere(move || v.store(value));
}

/// §3.2: the right side runs on the snapshot of the left one.
#[test]
fn both_sides_read_one_snapshot() {
    guarded(|| {
        let space = Space::new();
        let a = TVar::new_in(&space, 0i64);
        let b = TVar::new_in(&space, 0i64);
        let runs = Cell::new(0);
        let seen = space.atomically(|tx| {
            runs.set(runs.get() + 1);
            tx.or_else(
                |tx| {
                    let x = *tx.read(&a);
                    foreign_store(&a, 1);
                    foreign_store(&b, 1);
                    tx.check(x != 0)?;
                    Ok((x, -1))
                },
                |tx| Ok((*tx.read(&a), *tx.read(&b))),
            )
        });
        assert_eq!((seen, runs.get()), ((0, 0), 1));
        assert_eq!((a.load(), b.load()), (1, 1));
    });
}

/// §3.2: when both retry, the reads of both are waited on.
#[test]
fn both_retry() {
    let space = Space::new();
    let vars: Vec<_> = (0..3).map(|_| TVar::new_in(&space, 0i64)).collect();
    for (i, side) in ["outer", "left", "right"].into_iter().enumerate() {
        let mine = vars.clone();
        let waiter = Waiter::asleep(&space, move |tx| {
            if *tx.read(&mine[0]) != 0 {
                return Ok("outer");
            }
            let take = |v: usize, side| {
                let v = &mine[v];
                move |tx: &Tx<'_>| {
                    tx.check(*tx.read(v) != 0)?;
                    Ok(side)
                }
            };
            tx.or_else(take(1, "left"), take(2, "right"))
        });
        assert_eq!(vars.iter().map(TVar::waiters).collect::<Vec<_>>(), [1, 1, 1]);
        vars[i].store(1);
        assert_eq!(waiter.finish("woken by any side"), (side, 2));
        vars[i].store(0);
        assert_eq!(space.waiters(), 0);
    }
}

/// The choice between `left` when set and the right side, which writes `out`.
fn choose(tx: &Tx<'_>, left: &TVar<i64>, out: &TVar<String>) -> Stm<()> {
    tx.or_else(
        |tx| {
            tx.check(*tx.read(left) != 0)?;
            tx.write(out, "left".into());
            Ok(())
        },
        |tx| {
            tx.write(out, "right".into());
            Ok(())
        },
    )
}

/// §3.3: a commit that makes the left side viable before the right one's commit re-runs the closure.
#[test]
fn the_choice_of_the_right_side_is_validated() {
    guarded(|| {
        for point in [Point::Read, Point::Validate, Point::Swap] {
            let space = Space::new();
            let left = TVar::new_in(&space, 0i64);
            let out = TVar::new_in(&space, String::new());
            let runs = Cell::new(0);
            let viable = left.clone();
            let hook = strike_at(point, 1, move || viable.store(1));
            space.atomically(|tx| {
                runs.set(runs.get() + 1);
                choose(tx, &left, &out)
            });
            drop(hook);
            assert_eq!((out.load().as_str(), runs.get()), ("left", 2), "{point:?}");
            let stats = space.stats();
            assert_eq!((stats.conflicts, stats.parked), (1, 0), "{point:?}");
        }
    });
}

/// §3.3: under snapshot isolation it is not, as no read is.
#[test]
fn the_choice_is_not_validated_under_snapshot_isolation() {
    guarded(|| {
        for point in [Point::Read, Point::Validate, Point::Swap] {
            let space = Space::new();
            let left = TVar::new_in(&space, 0i64);
            let out = TVar::new_in(&space, String::new());
            let runs = Cell::new(0);
            let viable = left.clone();
            let hook = strike_at(point, 1, move || viable.store(1));
            let options = TxOptions::new().space(&space).isolation(Isolation::Snapshot);
            let result = options.run(|tx| {
                runs.set(runs.get() + 1);
                choose(tx, &left, &out)
            });
            drop(hook);
            assert_eq!(result, Ok(()));
            assert_eq!((out.load().as_str(), runs.get()), ("right", 1), "{point:?}");
        }
    });
}

/// §3.2: under snapshot isolation too, both sides' reads are waited on.
#[test]
fn snapshot_isolation_waits_on_reads() {
    let space = Space::new();
    let vars: Vec<_> = (0..2).map(|_| TVar::new_in(&space, 0i64)).collect();
    for i in 0..2 {
        let (mine, s) = (vars.clone(), space.clone());
        let thread = std::thread::spawn(move || {
            let options = TxOptions::new().space(&s).isolation(Isolation::Snapshot);
            let mut runs = 0;
            let result = options.run(|tx| {
                runs += 1;
                tx.or_else(|tx| tx.check(*tx.read(&mine[0]) != 0), |tx| tx.check(*tx.read(&mine[1]) != 0))
            });
            (result, runs)
        });
        eventually("parks", || vars.iter().all(|v| v.waiters() == 1));
        vars[i].store(1);
        assert_eq!(blocking_common::join("woken", thread), (Ok(()), 2));
        vars[i].store(0);
    }
}

/// §3.3: an undone `modify` of the left side is still a read that the choice rests on.
#[test]
fn undone_writes_leave_their_reads() {
    guarded(|| {
        let space = Space::new();
        let left = TVar::new_in(&space, 0i64);
        let out = TVar::new_in(&space, 0i64);
        let runs = Cell::new(0);
        space.atomically(|tx| {
            runs.set(runs.get() + 1);
            tx.or_else(
                |tx| {
                    tx.modify(&left, |x| x - 1);
                    tx.check(*tx.read(&left) >= 0)?;
                    tx.write(&out, 1);
                    Ok(())
                },
                |tx| {
                    tx.write(&out, 2);
                    if runs.get() == 1 {
                        foreign_store(&left, 10);
                    }
                    Ok(())
                },
            )
        });
        assert_eq!((runs.get(), out.load(), left.load()), (2, 1, 9));
    });
}

/// §3.3: what a left side read deep inside (nested, aborted, in its own left side) is validated.
#[test]
fn deep_left_reads_are_validated() {
    guarded(|| {
        for depth in 0..3 {
            let space = Space::new();
            let deep = TVar::new_in(&space, 0i64);
            let out = TVar::new_in(&space, 0i64);
            let runs = Cell::new(0);
            space.atomically(|tx| {
                runs.set(runs.get() + 1);
                tx.or_else(
                    |tx| match depth {
                        0 => {
                            let part: Result<(), i64> = tx.nested(|tx| tx.abort(*tx.read(&deep)))?;
                            tx.check(part != Err(0))?;
                            tx.write(&out, 1);
                            Ok(())
                        }
                        1 => {
                            tx.or_else(|tx| tx.check(*tx.read(&deep) != 0), |tx| tx.retry())?;
                            tx.write(&out, 1);
                            Ok(())
                        }
                        _ => {
                            let part: Result<(), String> = tx.nested(|tx| Ok(tx.check(*tx.read(&deep) != 0)?))?;
                            assert!(part.is_ok());
                            tx.write(&out, 1);
                            Ok(())
                        }
                    },
                    |tx| {
                        if runs.get() == 1 {
                            foreign_store(&deep, 1);
                        }
                        tx.write(&out, 2);
                        Ok(())
                    },
                )
            });
            assert_eq!((runs.get(), out.load()), (2, 1), "{depth}");
        }
    });
}

/// §3.3: a commit beside the left reads re-runs nothing.
#[test]
fn foreign_commits_do_not_disturb_the_choice() {
    guarded(|| {
        let space = Space::new();
        let left = TVar::new_in(&space, 0i64);
        let beside: Vec<_> = (0..200).map(|_| TVar::new_in(&space, 0i64)).collect();
        let out = TVar::new_in(&space, String::new());
        let runs = Cell::new(0);
        let hook = strike_at(Point::Validate, 3, move || {
            beside.iter().for_each(|v| v.update(|x| x + 1));
        });
        space.atomically(|tx| {
            runs.set(runs.get() + 1);
            choose(tx, &left, &out)
        });
        drop(hook);
        assert_eq!((out.load().as_str(), runs.get()), ("right", 1));
    });
}

/// The first of `vars` that is not zero, by alternatives nested to the right.
fn first_right(tx: &Tx<'_>, vars: &[TVar<i64>], at: usize) -> Stm<usize> {
    if at + 1 == vars.len() {
        tx.check(*tx.read(&vars[at]) != 0)?;
        return Ok(at);
    }
    tx.or_else(
        |tx| {
            tx.write(&vars[at], 77);
            tx.check(*tx.read(&vars[at]) == 0)?;
            Ok(at)
        },
        |tx| {
            tx.or_else(
                |tx| {
                    tx.check(*tx.read(&vars[at]) != 0)?;
                    Ok(at)
                },
                |tx| first_right(tx, vars, at + 1),
            )
        },
    )
}

/// The same, nested to the left.
fn first_left(tx: &Tx<'_>, vars: &[TVar<i64>], at: usize) -> Stm<usize> {
    let own = |tx: &Tx<'_>| {
        tx.check(*tx.read(&vars[at]) != 0)?;
        Ok(at)
    };
    if at == 0 {
        return own(tx);
    }
    tx.or_else(|tx| first_left(tx, vars, at - 1), own)
}

/// §3.2: a hundred levels, nested to either side: the leftmost viable one is taken, all are waited on.
#[test]
fn deep_nests() {
    guarded(|| {
        let space = Space::new();
        let vars: Vec<_> = (0..100).map(|_| TVar::new_in(&space, 0i64)).collect();
        for target in [0, 1, 50, 98, 99] {
            let (right, left) = (vars.clone(), vars.clone());
            let right = Waiter::asleep(&space, move |tx| first_right(tx, &right, 0));
            let left = Waiter::asleep(&space, move |tx| first_left(tx, &left, 99));
            assert!(vars.iter().all(|v| v.waiters() == 2));
            vars[target].store(1);
            assert_eq!(right.finish("nested to the right"), (target, 2));
            assert_eq!(left.finish("nested to the left"), (target, 2));
            assert_eq!(vars[target].load(), 1);
            vars[target].store(0);
        }
        vars[30].store(1);
        vars[60].store(1);
        assert_eq!(space.atomically(|tx| first_right(tx, &vars, 0)), 30);
        assert_eq!(space.atomically(|tx| first_left(tx, &vars, 99)), 30);
    });
}

/// Takes the oldest item of a queue, or retries.
fn take(tx: &Tx<'_>, queue: &TVar<VecDeque<u32>>) -> Stm<u32> {
    let Some(&item) = tx.read(queue).front() else {
        return tx.retry();
    };
    tx.modify(queue, |q| q.iter().skip(1).copied().collect());
    Ok(item)
}

/// §3.2: a left-biased priority queue of three levels.
#[test]
fn priority_queue() {
    guarded(|| {
        let space = Space::new();
        let level = || TVar::new_in(&space, VecDeque::new());
        let levels = [level(), level(), level()];
        let [high, middle, low] = &levels;
        let put = |queue: &TVar<VecDeque<u32>>, item| {
            queue.update(|q| q.iter().copied().chain([item]).collect());
        };
        let next = |tx: &Tx<'_>, [high, middle, low]: &[TVar<VecDeque<u32>>; 3]| {
            tx.or_else(|tx| take(tx, high), |tx| tx.or_else(|tx| take(tx, middle), |tx| take(tx, low)))
        };
        for (queue, item) in [(low, 30), (middle, 20), (high, 10), (low, 31), (high, 11)] {
            put(queue, item);
        }
        let order: Vec<_> = (0..5).map(|_| space.atomically(|tx| next(tx, &levels))).collect();
        assert_eq!(order, [10, 11, 20, 30, 31]);
        for (i, queue) in levels.iter().enumerate() {
            let mine = levels.clone();
            let waiter = Waiter::asleep(&space, move |tx| next(tx, &mine));
            put(queue, i as u32);
            assert_eq!(waiter.finish("woken by any level"), (i as u32, 2));
        }
    });
}

/// §3.2: the macro's `or` is the same choice.
#[test]
fn macro_alternatives() {
    guarded(|| {
        let space = Space::new();
        let vars: Vec<_> = (0..3).map(|_| TVar::new_in(&space, 0i64)).collect();
        let pick = |tx: &Tx<'_>, i: usize| -> Stm<usize> {
            tx.check(*tx.read(&vars[i]) != 0)?;
            Ok(i)
        };
        let next = || {
            atomically!(space = &space, timeout = FAR;
            |tx| { pick(tx, 0)? } or |tx| { pick(tx, 1)? } or |tx| { pick(tx, 2)? })
        };
        for i in [2, 1, 0] {
            vars[i].store(1);
            assert_eq!(next(), Ok(i));
        }
        vars[0].store(0);
        assert_eq!(next(), Ok(1));
    });
}

/// §3.5, §3.2: an expired deadline in the left side lets that side go on.
#[test]
fn an_expired_left_side_goes_on() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let got = space.atomically(|tx| {
            tx.or_else(
                |tx| {
                    tx.write(&v, 1);
                    tx.retry_for(Duration::ZERO)?;
                    Ok("left")
                },
                |_| Ok("right"),
            )
        });
        assert_eq!((got, v.load()), ("left", 1));
    });
}

/// §3.5, §3.2: a deadline that lies ahead is a retry: the right side runs at once.
#[test]
fn a_deadline_ahead_falls_through() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let got = space.atomically(|tx| {
            tx.or_else(
                |tx| {
                    tx.write(&v, 1);
                    tx.retry_for(FAR)?;
                    Ok("left")
                },
                |_| Ok("right"),
            )
        });
        assert_eq!((got, v.load()), ("right", 0));
    });
}
