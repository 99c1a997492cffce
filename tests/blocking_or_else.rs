//! §3.2: alternatives: what is undone, and what falls through.

mod blocking_common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use blocking_common::{Counted, Waiter, elsewhere, guarded, live_count, settle};
use tvar::{Space, Stm, TVar};

/// Writes to `v` on another thread.
fn foreign_store(v: &TVar<i64>, value: i64) {
    let v = v.clone();
    elsewhere(move || v.store(value));
}

/// §3.2: when the left side does not retry, the right one does not run.
#[test]
fn left_first() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let ran = Cell::new(false);
        let got = space.atomically(|tx| {
            tx.or_else(
                |tx| {
                    tx.write(&v, 1);
                    Ok("left")
                },
                |tx| {
                    ran.set(true);
                    tx.write(&v, 2);
                    Ok("right")
                },
            )
        });
        assert_eq!((got, v.load(), ran.get()), ("left", 1, false));
    });
}

/// §3.2: exactly the left side's writes are undone, those to a variable written before included.
#[test]
fn writes_of_the_left_side_are_undone() {
    guarded(|| {
        let space = Space::new();
        let new = |x| TVar::new_in(&space, x);
        let (written, modified, read, fresh, merged, replaced) = (new(0), new(10), new(20), new(30), new(40), new(50));
        let text = TVar::new_in(&space, String::from("old"));
        let late = Cell::new(None);
        space.atomically(|tx| {
            tx.write(&written, 1);
            tx.modify(&modified, |x| x + 1);
            assert_eq!(*tx.read(&read), 20);
            tx.merge(&merged, |x| x + 1);
            tx.write(&text, "outer".into());
            tx.or_else(
                |tx| {
                    assert_eq!((*tx.read(&written), *tx.read(&modified)), (1, 11));
                    tx.write(&written, 2);
                    tx.write(&written, 3);
                    tx.modify(&modified, |x| x * 100);
                    tx.write(&read, 99);
                    tx.write(&fresh, 99);
                    tx.merge(&merged, |x| x * 1000);
                    late.set(Some(tx.merge_then(&replaced, |x| x * 1000, |x| *x)));
                    assert_eq!(*tx.replace(&replaced, 98), 50_000);
                    tx.write(&text, "left".into());
                    assert_eq!((*tx.read(&written), *tx.read(&fresh)), (3, 99));
                    tx.retry()
                },
                |tx| {
                    assert_eq!((*tx.read(&written), *tx.read(&modified)), (1, 11));
                    assert_eq!((*tx.read(&read), *tx.read(&fresh)), (20, 30));
                    assert_eq!(*tx.read(&replaced), 50);
                    assert_eq!(tx.read(&text), "outer");
                    tx.modify(&written, |x| x + 4);
                    Ok(())
                },
            )
        });
        let values = [&written, &modified, &read, &fresh, &merged, &replaced].map(TVar::load);
        assert_eq!(values, [5, 11, 20, 30, 41, 50]);
        assert_eq!(text.load(), "outer");
        assert!(late.take().is_some_and(|late| !late.is_ready()));
    });
}

/// §3.2: a write of the left side leaves none in the commit: nobody is woken, nothing conflicts.
#[test]
fn an_undone_write_is_not_committed() {
    guarded(|| {
        let space = Space::new();
        let quiet = TVar::new_in(&space, String::from("quiet"));
        let before = space.snapshot();
        let mine = quiet.clone();
        let waiter = Waiter::closed(&space, move |tx| {
            tx.read(&mine);
            Ok(())
        });
        let other = TVar::new_in(&space, 0);
        for _ in 0..50 {
            space.atomically(|tx| {
                tx.or_else(
                    |tx| {
                        tx.write(&quiet, "loud".into());
                        tx.retry()
                    },
                    |tx| {
                        tx.modify(&other, |x| x + 1);
                        Ok(())
                    },
                )
            });
        }
        settle();
        assert_eq!(waiter.runs(), 1);
        assert!(!before.diff(&space.snapshot()).changed(&quiet));
        waiter.open();
        quiet.store("loud".into());
        assert_eq!(waiter.finish("woken"), ((), 2));
    });
}

/// §3.2, §7.1: the left side's hooks are undone, those of the transaction stay.
#[test]
fn hooks_of_the_left_side_are_undone() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let log = Arc::clone(&log);
            move || log.lock().unwrap().push(what)
        };
        space.atomically(|tx| {
            tx.on_commit(note("outer"));
            tx.on_rollback(note("outer rollback"));
            tx.or_else(
                |tx| {
                    tx.on_commit(note("left"));
                    tx.on_rollback(note("left rollback"));
                    tx.write(&v, 1);
                    tx.retry()
                },
                |tx| {
                    tx.on_commit(note("right"));
                    tx.on_rollback(note("right rollback"));
                    Ok(())
                },
            )?;
            tx.on_commit(note("end"));
            Ok(())
        });
        assert_eq!(*log.lock().unwrap(), ["outer", "right", "end"]);
        assert_eq!(v.load(), 0);
    });
}

/// §3.2: when both retry, nothing of the whole attempt stays.
#[test]
fn both_retry_and_all_is_undone() {
    guarded(|| {
        let space = Space::new();
        let gate = TVar::new_in(&space, 0i64);
        let traces: Vec<_> = (0..3).map(|_| TVar::new_in(&space, 0i64)).collect();
        let (g, mine) = (gate.clone(), traces.clone());
        let waiter = Waiter::asleep(&space, move |tx| {
            let open = *tx.read(&g) != 0;
            tx.modify(&mine[0], |x| x + 1);
            tx.or_else(
                |tx| {
                    tx.modify(&mine[1], |x| x + 1);
                    tx.retry()
                },
                |tx| {
                    tx.modify(&mine[2], |x| x + 1);
                    tx.check(open)
                },
            )
        });
        assert!(traces.iter().all(|t| t.load() == 0));
        gate.store(1);
        assert_eq!(waiter.finish("woken"), ((), 2));
        assert_eq!(traces.iter().map(TVar::load).collect::<Vec<_>>(), [1, 0, 1]);
    });
}

/// §3.2: an abort does not fall through.
#[test]
fn aborts_do_not_fall_through() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let result: Result<(), &str> = space.try_atomically(|tx| {
            tx.write(&v, 1);
            tx.try_or_else(
                |tx| {
                    tx.write(&v, 2);
                    tx.abort("left gave up")
                },
                |_| panic!("the right side ran"),
            )
        });
        assert_eq!(result, Err("left gave up"));
        assert_eq!(v.load(), 0);
        let right: Result<(), &str> =
            space.try_atomically(|tx| tx.try_or_else(|tx| Ok(tx.retry()?), |tx| tx.abort("right")));
        assert_eq!(right, Err("right"));
    });
}

/// §3.2: a panic does not fall through.
#[test]
fn panics_do_not_fall_through() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let right = Cell::new(false);
        let result = catch_unwind(AssertUnwindSafe(|| {
            space.atomically(|tx| {
                tx.or_else(
                    |tx| -> Stm<()> {
                        tx.write(&v, 1);
                        resume_unwind(Box::new("planned"))
                    },
                    |_| {
                        right.set(true);
                        Ok(())
                    },
                )
            });
        }));
        assert!(result.is_err());
        assert_eq!((v.load(), right.get()), (0, false));
        v.store(3);
        assert_eq!(v.load(), 3);
    });
}

/// §3.2: a conflict does not fall through, neither one found at commit nor one found by `refresh`.
#[test]
fn conflicts_do_not_fall_through() {
    guarded(|| {
        for by_refresh in [false, true] {
            let space = Space::new();
            let v = TVar::new_in(&space, 0i64);
            let out = TVar::new_in(&space, 0i64);
            let runs = Cell::new(0);
            space.atomically(|tx| {
                runs.set(runs.get() + 1);
                tx.or_else(
                    |tx| {
                        let x = *tx.read(&v);
                        if runs.get() == 1 {
                            foreign_store(&v, 5);
                        }
                        if by_refresh {
                            tx.refresh()?;
                        }
                        tx.write(&out, x);
                        Ok(())
                    },
                    |_| panic!("the right side ran"),
                )
            });
            assert_eq!((runs.get(), out.load()), (2, 5), "{by_refresh}");
        }
    });
}

/// §3.2, §2.9: a retry inside a nested part passes through it to the alternative.
#[test]
fn a_nested_retry_falls_through() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let got = space.atomically(|tx| {
            tx.write(&v, 1);
            tx.or_else(
                |tx| {
                    tx.write(&v, 2);
                    let part: Result<(), String> = tx.nested(|tx| {
                        tx.write(&v, 3);
                        Ok(tx.retry()?)
                    })?;
                    panic!("came back with {part:?}");
                },
                |tx| Ok(*tx.read(&v)),
            )
        });
        assert_eq!((got, v.load()), (1, 1));
    });
}

/// §3.2, §2.9: an aborted nested part inside the left side undoes itself only.
#[test]
fn a_nested_abort_stays_inside_the_left_side() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        space.atomically(|tx| {
            tx.or_else(
                |tx| {
                    tx.write(&v, 2);
                    let part: Result<(), &str> = tx.nested(|tx| {
                        tx.write(&v, 3);
                        tx.abort("inner")
                    })?;
                    assert_eq!(part, Err("inner"));
                    assert_eq!(*tx.read(&v), 2);
                    Ok(())
                },
                |_| panic!("the right side ran"),
            )
        });
        assert_eq!(v.load(), 2);
    });
}

/// §3.2: each level's writes are undone one by one, the innermost first.
#[test]
fn nested_undoing_restores_each_level() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        space.atomically(|tx| {
            tx.write(&v, 1);
            tx.or_else(
                |tx| {
                    tx.write(&v, 2);
                    tx.or_else(
                        |tx| {
                            tx.write(&v, 3);
                            tx.or_else(
                                |tx| {
                                    tx.write(&v, 4);
                                    tx.retry()
                                },
                                |tx| {
                                    assert_eq!(*tx.read(&v), 3);
                                    tx.write(&v, 5);
                                    tx.retry()
                                },
                            )
                        },
                        |tx| {
                            assert_eq!(*tx.read(&v), 2);
                            tx.retry()
                        },
                    )
                },
                |tx| {
                    assert_eq!(*tx.read(&v), 1);
                    tx.modify(&v, |x| x + 10);
                    Ok(())
                },
            )
        });
        assert_eq!(v.load(), 11);
    });
}

/// §3.2: references read in an undone left side stay valid in the right one.
#[test]
fn references_outlive_the_undone_side() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, String::from("first"));
        space.atomically(|tx| {
            let outer = tx.read(&v);
            tx.or_else(
                |tx| {
                    tx.write(&v, "left".into());
                    assert_eq!(tx.read(&v), "left");
                    tx.retry()
                },
                |tx| {
                    tx.write(&v, "right".into());
                    assert_eq!((outer.as_str(), tx.read(&v).as_str()), ("first", "right"));
                    Ok(())
                },
            )?;
            assert_eq!((outer.as_str(), tx.read(&v).as_str()), ("first", "right"));
            Ok(())
        });
        assert_eq!(v.load(), "right");
    });
}

/// §3.2, §1.7: values written by undone sides are dropped, each once.
#[test]
fn undone_values_are_dropped() {
    guarded(|| {
        let live = live_count();
        let space = Space::new();
        let v = TVar::new_in(&space, Counted::new(&live, 0));
        for _ in 0..100 {
            space.atomically(|tx| {
                tx.write(&v, Counted::new(&live, 1));
                tx.or_else(
                    |tx| {
                        tx.write(&v, Counted::new(&live, 2));
                        let fresh = TVar::new_in(&space, Counted::new(&live, 3));
                        tx.write(&fresh, Counted::new(&live, 4));
                        tx.retry()
                    },
                    |tx| {
                        assert_eq!(tx.read(&v).get(), 1);
                        tx.write(&v, Counted::new(&live, 5));
                        Ok(())
                    },
                )
            });
        }
        TVar::new_in(&space, 0).store(1);
        assert_eq!(live.load(Ordering::SeqCst), 1);
    });
}

/// §3.2: alternatives one after the other in one transaction.
#[test]
fn alternatives_in_a_row() {
    guarded(|| {
        let space = Space::new();
        let vars: Vec<_> = (0..60).map(|i| TVar::new_in(&space, i % 3)).collect();
        let taken = space.atomically(|tx| {
            let mut taken = Vec::new();
            for v in &vars {
                let side = tx.or_else(
                    |tx| {
                        tx.modify(v, |x| x + 100);
                        tx.check(*tx.read(v) == 100)?;
                        Ok('l')
                    },
                    |tx| {
                        tx.or_else(
                            |tx| {
                                tx.modify(v, |x| x + 200);
                                tx.check(*tx.read(v) == 201)?;
                                Ok('m')
                            },
                            |tx| {
                                tx.modify(v, |x| x + 300);
                                Ok('r')
                            },
                        )
                    },
                )?;
                taken.push(side);
            }
            Ok(taken)
        });
        assert_eq!(taken.iter().collect::<String>(), "lmr".repeat(20));
        let sums: Vec<_> = vars.iter().map(TVar::load).collect();
        assert_eq!(sums, [100, 201, 302].repeat(20));
    });
}
