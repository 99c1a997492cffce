//! §5: pessimistic locks: what they keep out, how they end, who waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Space, TVar, TxOptions, try_atomically};

/// §5.2: whatever way a transaction ends, its locks end with it.
#[test]
fn locks_end_with_the_transaction() {
    let space = Space::new();
    let v = TVar::named_in(&space, "v", 1);
    space.atomically(|tx| {
        tx.lock(&v, Exclusive)?;
        assert_eq!(space.locks()[0].to_string(), "v: held by transaction #1 (exclusive)");
        tx.lock(&v, Shared)?;
        tx.lock(&v, Exclusive)
    });
    assert!(space.locks().is_empty());
    let aborted: Result<(), &str> = space.try_atomically(|tx| {
        tx.lock(&v, Shared)?;
        tx.abort("no")
    });
    assert_eq!(aborted, Err("no"));
    assert!(space.locks().is_empty());
    let panic = thread::spawn({
        let (space, v) = (space.clone(), v.clone());
        move || {
            space.atomically(|tx| -> tvar::Stm<()> {
                tx.lock(&v, Exclusive)?;
                panic!("in the closure");
            })
        }
    });
    panic.join().unwrap_err();
    assert!(space.locks().is_empty());
    assert_eq!(space.stats().lock_waits, 0);
}

/// §5.2: locks of an undone alternative or part are given up, others stay.
#[test]
fn locks_of_an_undone_part_are_given_up() {
    let space = Space::new();
    let [a, b] = [TVar::named_in(&space, "a", 1), TVar::named_in(&space, "b", 1)];
    let held = || space.locks().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    space.atomically(|tx| {
        tx.lock(&a, Shared)?;
        tx.or_else(
            |tx| {
                tx.lock(&a, Exclusive)?;
                tx.lock(&b, Exclusive)?;
                assert_eq!(held(), "a: held by transaction #1 (exclusive); b: held by transaction #1 (exclusive)");
                tx.retry()
            },
            |_| Ok(()),
        )?;
        assert_eq!(held(), "a: held by transaction #1 (shared)");
        let part: Result<(), ()> = tx.nested(|tx| {
            tx.lock(&b, Shared)?;
            tx.abort(())
        })?;
        assert_eq!((part, held()), (Err(()), "a: held by transaction #1 (shared)".to_string()));
        Ok(())
    });
    assert!(space.locks().is_empty());
}

/// §5.3: an optimistic commit waits for a foreign lock, in line, and goes on when that ends.
#[test]
fn an_optimistic_commit_waits_for_the_holder() {
    let space = Space::new();
    let v = TVar::named_in(&space, "v", 1);
    let writer = space.atomically(|tx| {
        tx.lock(&v, Exclusive)?;
        let writer = thread::spawn({
            let v = v.clone();
            move || v.update(|n| n * 10)
        });
        while space.locks()[0].waiting.is_empty() {
            thread::yield_now();
        }
        assert_eq!(*tx.read(&v), 1);
        tx.write(&v, 2);
        Ok(writer)
    });
    writer.join().unwrap();
    assert_eq!(v.load(), 20);
    assert_eq!(space.stats().lock_waits, 1);
    assert!(space.locks().is_empty());
}

/// §5.3: after `lock`, `read` gives the newest value, though the snapshot is older; references stay valid.
#[test]
fn a_lock_moves_the_snapshot_forward() {
    let space = Space::new();
    let (v, w) = (TVar::new_in(&space, String::from("v1")), TVar::new_in(&space, String::from("w1")));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let w1 = tx.read(&w);
        if runs == 1 {
            thread::scope(|s| s.spawn(|| v.store("v2".into())).join().unwrap());
        }
        assert_eq!(tx.read_locked(&v, Exclusive)?, "v2");
        assert_eq!(w1, "w1");
        tx.write(&w, "w2".into());
        Ok(())
    });
    assert_eq!((runs, w.load().as_str()), (1, "w2"));
}

/// §5.3: if something read before is stale, the attempt runs again, and keeps its lock.
#[test]
fn a_stale_read_restarts_and_keeps_the_lock() {
    let space = Space::new();
    let (v, w) = (TVar::new_in(&space, 1), TVar::new_in(&space, 1));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let seen = *tx.read(&w);
        if runs == 1 {
            thread::scope(|s| {
                s.spawn(|| {
                    space.atomically(|tx| {
                        tx.write(&v, 2);
                        tx.write(&w, 2);
                        Ok(())
                    })
                })
                .join()
                .unwrap()
            });
        } else {
            assert_eq!(space.locks().len(), 1, "kept");
        }
        assert_eq!(*tx.read_locked(&v, Exclusive)?, 2);
        assert_eq!(seen, 2);
        Ok(())
    });
    assert_eq!(runs, 2);
    assert!(space.locks().is_empty());
}

/// §5.4: two transactions that wait for each other: one gives way, both commit; the error of one that is told to fail names the cycle.
#[test]
fn a_deadlock_ends_with_one_giving_way() {
    let space = Space::new();
    let [a, b] = [TVar::named_in(&space, "a", 0), TVar::named_in(&space, "b", 0)];
    let both = Arc::new(AtomicUsize::new(0));
    let run = |first: TVar<i32>, second: TVar<i32>, label: &'static str| {
        let (space, both) = (space.clone(), both.clone());
        thread::spawn(move || {
            let mut runs = 0;
            let result = space.options().label(label).fail_on_deadlock().run(|tx| {
                runs += 1;
                tx.lock(&first, Exclusive)?;
                both.fetch_add(1, Ordering::SeqCst);
                while both.load(Ordering::SeqCst) < 2 {
                    thread::yield_now();
                }
                tx.lock(&second, Exclusive)?;
                tx.modify(&first, |n| n + 1);
                tx.modify(&second, |n| n + 1);
                Ok(())
            });
            (runs, result)
        })
    };
    let (x, y) = (run(a.clone(), b.clone(), "x"), run(b.clone(), a.clone(), "y"));
    let results = [x.join().unwrap().1, y.join().unwrap().1];
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert_eq!(failed.len(), 1, "{results:?}");
    assert!(failed[0].is_deadlock());
    let text = failed[0].to_string();
    for part in ["`x` (#", "`y` (#", "waits for `a`", "waits for `b`", "deadlock"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!((a.load(), b.load()), (1, 1));
    assert_eq!(space.stats().deadlocks, 1);
    assert!(space.locks().is_empty());
}

/// §5.2: `pessimistic` locks by itself; transfers in all directions among few accounts deadlock, and all of them commit.
#[test]
fn pessimistic_transfers_lose_nothing() {
    let space = Space::new();
    let vars: Vec<_> = (0..4).map(|_| TVar::new_in(&space, 1000i64)).collect();
    thread::scope(|s| {
        for t in 0..8usize {
            let (vars, space) = (&vars, &space);
            s.spawn(move || {
                let pessimistic = space.options().pessimistic();
                for i in 0..2_000usize {
                    let (from, to) = ((t + i) % 4, (t * 7 + i * 3 + 1) % 4);
                    if i % 3 == 0 {
                        space.atomically(|tx| {
                            tx.modify(&vars[from], |n| n - 1);
                            tx.modify(&vars[to], |n| n + 1);
                            Ok(())
                        });
                    } else {
                        pessimistic
                            .run(|tx| {
                                tx.modify(&vars[from], |n| n - 1);
                                tx.modify(&vars[to], |n| n + 1);
                                Ok(())
                            })
                            .unwrap();
                    }
                }
            });
        }
    });
    assert_eq!(vars.iter().map(TVar::load).sum::<i64>(), 4000);
    assert!(space.locks().is_empty());
    println!("{}", space.stats());
}

/// §5.2: `try_lock` and `lock_for` do not wait, or not for longer; a timeout of the call covers the wait.
#[test]
fn no_wait_or_a_short_one() {
    let space = Space::new();
    let v = TVar::new_in(&space, 1);
    space.atomically(|tx| {
        tx.lock(&v, Exclusive)?;
        thread::scope(|s| {
            let other = s.spawn(|| {
                space.atomically(|tx| {
                    assert!(!tx.try_lock(&v, Shared)?);
                    assert!(tx.try_read_locked(&v, Shared)?.is_none());
                    assert!(!tx.lock_for(&v, Shared, Duration::from_millis(1))?);
                    Ok(())
                });
                TxOptions::new().space(&space).timeout(Duration::from_millis(2)).run(|tx| tx.lock(&v, Shared))
            });
            assert!(other.join().unwrap().unwrap_err().is_timeout());
        });
        assert!(space.locks()[0].waiting.is_empty());
        Ok(())
    });
    let _ = try_atomically!(|tx| {
        tx.abort(())?;
    });
}
