//! §3.1, §3.7: what wakes a waiting call.

mod blocking_common;

use blocking_common::{Waiter, elsewhere, eventually, guarded};
use tvar::{Space, TVar};

/// A call asleep until `v` is not zero.
fn until_nonzero(space: &Space, v: &TVar<i64>) -> Waiter<i64> {
    let v = v.clone();
    Waiter::asleep(space, move |tx| {
        let x = *tx.read(&v);
        tx.check(x != 0)?;
        Ok(x)
    })
}

/// §3.1, §3.7: a commit wakes, by whatever means it writes; nothing is left of the waiter.
#[test]
fn every_way_of_writing_wakes() {
    guarded(|| {
        type Write = fn(&Space, &TVar<i64>);
        let ways: [(&str, Write); 11] = [
            ("write", |s, v| {
                s.atomically(|tx| {
                    tx.write(v, 7);
                    Ok(())
                });
            }),
            ("modify", |s, v| {
                s.atomically(|tx| {
                    tx.modify(v, |x| x + 7);
                    Ok(())
                });
            }),
            ("replace", |s, v| {
                s.atomically(|tx| {
                    tx.replace(v, 7);
                    Ok(())
                });
            }),
            ("write_if_changed", |s, v| {
                s.atomically(|tx| {
                    assert!(tx.write_if_changed(v, 7));
                    Ok(())
                });
            }),
            ("merge", |s, v| {
                s.atomically(|tx| {
                    tx.merge(v, |x| x + 7);
                    Ok(())
                });
            }),
            ("nested", |s, v| {
                s.atomically(|tx| {
                    let inner: Result<(), std::fmt::Error> = tx.nested(|tx| {
                        tx.write(v, 7);
                        Ok(())
                    })?;
                    assert!(inner.is_ok());
                    Ok(())
                });
            }),
            ("left", |s, v| {
                s.atomically(|tx| {
                    let left = |tx: &tvar::Tx<'_>| {
                        tx.write(v, 7);
                        Ok(())
                    };
                    tx.or_else(left, |_| Ok(()))
                });
            }),
            ("right", |s, v| {
                s.atomically(|tx| {
                    let right = |tx: &tvar::Tx<'_>| {
                        tx.write(v, 7);
                        Ok(())
                    };
                    tx.or_else(|tx| tx.retry(), right)
                });
            }),
            ("store", |_, v| v.store(7)),
            ("update", |_, v| {
                v.update(|x| x + 7);
            }),
            ("elsewhere", |_, v| {
                let v = v.clone();
                elsewhere(move || v.store(7));
            }),
        ];
        for (way, write) in ways {
            let space = Space::new();
            let v = TVar::new_in(&space, 0);
            let waiter = until_nonzero(&space, &v);
            assert_eq!(waiter.runs(), 1, "{way}");
            assert_eq!((space.waiters(), v.waiters()), (1, 1), "{way}");
            write(&space, &v);
            assert_eq!(waiter.finish(way), (7, 2), "{way}");
            assert_eq!((space.waiters(), v.waiters()), (0, 0), "{way}");
        }
    });
}

/// §3.1: a write of `()` counts as a change.
#[test]
fn a_write_of_unit_wakes() {
    let space = Space::new();
    let bell = TVar::new_in(&space, ());
    for _ in 0..3 {
        let ear = bell.clone();
        let waiter = Waiter::closed(&space, move |tx| {
            tx.read(&ear);
            Ok(())
        });
        assert_eq!(waiter.runs(), 1);
        waiter.open();
        bell.store(());
        assert_eq!(waiter.finish("woken by a unit"), ((), 2));
    }
}

/// §3.1: of a boxed type every write is a change, an equal one too.
#[test]
fn an_equal_boxed_value_wakes() {
    #[derive(Clone, Copy)]
    struct Small(#[allow(dead_code)] u8);

    let space = Space::new();
    let text = TVar::new_in(&space, String::from("same"));
    let small = TVar::new_in(&space, Small(1));
    let option = TVar::new_in(&space, Some(1u8));
    for _ in 0..3 {
        let writes: [&dyn Fn(); 3] =
            [&|| text.store("same".into()), &|| small.store(Small(1)), &|| option.store(Some(1))];
        for (i, write) in writes.into_iter().enumerate() {
            let (text, small, option) = (text.clone(), small.clone(), option.clone());
            let waiter = Waiter::closed(&space, move |tx| {
                match i {
                    0 => _ = tx.read(&text),
                    1 => _ = tx.read(&small),
                    _ => _ = tx.read(&option),
                }
                Ok(())
            });
            waiter.open();
            write();
            assert_eq!(waiter.finish("woken by an equal box"), ((), 2));
        }
    }
}

/// §3.1: what reads inside counts as read: `modify`, `replace`, `write_if_changed`.
#[test]
fn reading_writes_are_waited_on() {
    for way in 0..3 {
        let space = Space::new();
        let v = TVar::new_in(&space, 1i64);
        let mine = v.clone();
        let waiter = Waiter::closed(&space, move |tx| {
            match way {
                0 => tx.modify(&mine, |x| x + 10),
                1 => assert!([1, 2].contains(tx.replace(&mine, 10))),
                _ => _ = tx.write_if_changed(&mine, 1),
            }
            Ok(())
        });
        assert_eq!(v.waiters(), 1);
        waiter.open();
        v.store(2);
        assert_eq!(waiter.finish("woken by the store"), ((), 2));
        assert_eq!(v.load(), [12, 10, 1][way]);
    }
}

/// §3.1, §2.9: what an aborted nested part has read is waited on.
#[test]
fn reads_of_an_aborted_part_are_waited_on() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let mine = v.clone();
    let waiter = Waiter::asleep(&space, move |tx| {
        let part: Result<(), i64> = tx.nested(|tx| tx.abort(*tx.read(&mine)))?;
        match part {
            Err(0) => tx.retry(),
            other => Ok(other),
        }
    });
    assert_eq!(v.waiters(), 1);
    v.store(4);
    assert_eq!(waiter.finish("woken by the store"), (Err(4), 2));
}

/// §3.1: one variable of many in the commit suffices.
#[test]
fn a_large_commit_wakes() {
    let space = Space::new();
    let vars: Vec<_> = (0..2000).map(|_| TVar::new_in(&space, 0i64)).collect();
    let waiter = until_nonzero(&space, &vars[1234]);
    space.atomically(|tx| {
        vars.iter().for_each(|v| tx.write(v, 3));
        Ok(())
    });
    assert_eq!(waiter.finish("woken by the large commit"), (3, 2));
}

/// §3.1, §3.7: one commit wakes all that sleep on its variable.
#[test]
fn all_waiters_of_a_variable_wake() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let waiters: Vec<_> = (0..40).map(|_| until_nonzero(&space, &v)).collect();
    assert_eq!((space.waiters(), v.waiters()), (40, 40));
    v.store(6);
    for waiter in waiters {
        assert_eq!(waiter.finish("each of many waiters wakes"), (6, 2));
    }
    assert_eq!(space.stats().wakeups, 40);
    assert_eq!((space.waiters(), v.waiters()), (0, 0));
}

/// §3.1: each waiter wakes for its own variable only.
#[test]
fn only_the_right_waiter_wakes() {
    let space = Space::new();
    let vars: Vec<_> = (0..20).map(|_| TVar::new_in(&space, 0i64)).collect();
    let waiters: Vec<_> = vars.iter().map(|v| until_nonzero(&space, v)).collect();
    for (i, waiter) in waiters.into_iter().enumerate() {
        assert_eq!(space.waiters(), 20 - i);
        assert_eq!(waiter.runs(), 1);
        vars[i].store(8);
        assert_eq!(waiter.finish("woken by its variable"), (8, 2));
    }
    assert_eq!(space.stats().wakeups, 20);
}

/// §3.1, §3.7: a call asleep on 10,000 variables wakes for any of them.
#[test]
fn one_of_ten_thousand_variables_wakes() {
    let space = Space::new();
    let vars: Vec<_> = (0..10_000).map(|_| TVar::new_in(&space, 0i64)).collect();
    for index in [0, 1, 31, 32, 4999, 8191, 9998, 9999] {
        let mine = vars.clone();
        let waiter = Waiter::asleep(&space, move |tx| match mine.iter().position(|v| *tx.read(v) != 0) {
            Some(found) => Ok(found),
            None => tx.retry(),
        });
        assert_eq!(vars[9999].waiters(), 1);
        vars[index].store(1);
        let woken = waiter.finish("woken by one of many");
        assert_eq!(woken, (index, 2));
        vars[index].store(0);
        assert_eq!(vars.iter().map(TVar::waiters).sum::<usize>(), 0);
    }
    assert_eq!(space.waiters(), 0);
}

/// §3.7: a call counts once on a variable, however often it read it.
#[test]
fn waiters_counts_calls() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let mine = v.clone();
    let waiter = Waiter::asleep(&space, move |tx| {
        for _ in 0..100 {
            tx.read(&mine);
        }
        let x = *tx.read(&mine);
        tx.or_else(|tx| tx.check(*tx.read(&mine) != 0), |tx| tx.check(x != 0))
    });
    assert_eq!((space.waiters(), v.waiters()), (1, 1));
    v.store(1);
    assert_eq!(waiter.finish("woken"), ((), 2));
    assert_eq!((space.waiters(), v.waiters()), (0, 0));
}

/// §3.1: who wakes for too little sleeps again, once for each change.
#[test]
fn a_change_that_does_not_suffice() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let mine = v.clone();
    let waiter = Waiter::asleep(&space, move |tx| tx.check(*tx.read(&mine) >= 6));
    for change in 1..=5 {
        v.store(change);
        let slept = u64::try_from(change).unwrap() + 1;
        eventually("sleeps again", || space.stats().parked == slept);
        assert_eq!(waiter.runs(), slept);
        assert_eq!((space.waiters(), v.waiters()), (1, 1));
    }
    v.store(6);
    assert_eq!(waiter.finish("enough at last"), ((), 7));
    let stats = space.stats();
    assert_eq!((stats.parked, stats.wakeups), (6, 6));
}

/// §3.1: a woken call sees all of the commit that woke it.
#[test]
fn the_woken_see_the_whole_commit() {
    let space = Space::new();
    let flag = TVar::new_in(&space, false);
    let text = TVar::new_in(&space, String::from("empty"));
    for round in 0..50 {
        let (f, t) = (flag.clone(), text.clone());
        let waiter = Waiter::asleep(&space, move |tx| {
            tx.check(*tx.read(&f))?;
            tx.write(&f, false);
            Ok(tx.read(&t).clone())
        });
        space.atomically(|tx| {
            tx.write(&text, format!("round {round}"));
            tx.write(&flag, true);
            Ok(())
        });
        assert_eq!(waiter.finish("woken").0, format!("round {round}"));
    }
}

/// §3.1: a chain of waiters, each of whom wakes the next.
#[test]
fn wake_ups_pass_along_a_chain() {
    let space = Space::new();
    let links: Vec<_> = (0..21).map(|_| TVar::new_in(&space, 0i64)).collect();
    let waiters: Vec<_> = (0..20)
        .map(|i| {
            let (from, to) = (links[i].clone(), links[i + 1].clone());
            Waiter::asleep(&space, move |tx| {
                let x = *tx.read(&from);
                tx.check(x != 0)?;
                tx.write(&to, x + 1);
                Ok(x)
            })
        })
        .collect();
    links[0].store(1);
    for (i, waiter) in waiters.into_iter().enumerate() {
        let (seen, runs) = waiter.finish("its turn in the chain");
        assert_eq!((seen, runs), (i as i64 + 1, 2));
    }
    assert_eq!(links[20].load(), 21);
}
