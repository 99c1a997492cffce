//! §3.1, §1.3: what does not wake a waiting call.

mod blocking_common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;

use blocking_common::{Waiter, settle};
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

/// A call asleep on a variable is let sleep by `disturb`, and woken by a real change: two runs in all.
fn sleeps_through(disturb: impl FnOnce(&Space, &TVar<i64>)) {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let waiter = until_nonzero(&space, &v);
    disturb(&space, &v);
    settle();
    assert_eq!(waiter.runs(), 1);
    assert_eq!(v.waiters(), 1);
    assert_eq!(space.waiters(), 1);
    v.store(1);
    assert_eq!(waiter.finish("woken by the store"), (1, 2));
    assert_eq!(space.stats().wakeups, 1);
    assert_eq!(space.waiters(), 0);
}

/// §3.1: thousands of other variables, among them some of every bucket, wake nobody.
#[test]
fn other_variables_do_not_wake() {
    let space = Space::new();
    let before: Vec<_> = (0..4500).map(|i| TVar::new_in(&space, i)).collect();
    let v = TVar::new_in(&space, 0);
    let waiter = until_nonzero(&space, &v);
    let after: Vec<_> = (0..4500).map(|i| TVar::new_in(&space, i)).collect();
    let all = || before.iter().chain(&after);
    for other in all() {
        other.update(|x| x + 1);
    }
    space.atomically(|tx| {
        all().for_each(|other| tx.modify(other, |x| x + 1));
        Ok(())
    });
    settle();
    assert_eq!(waiter.runs(), 1);
    assert_eq!(v.waiters(), 1);
    assert_eq!(all().map(TVar::waiters).sum::<usize>(), 0);
    v.store(1);
    assert_eq!(waiter.finish("woken by the store"), (1, 2));
    assert_eq!(space.stats().wakeups, 1);
}

/// §3.1: the same with several waiters, each asleep on a few hundred of many variables.
#[test]
fn large_wait_sets_are_exact() {
    let space = Space::new();
    let vars: Vec<_> = (0..3000).map(|_| TVar::new_in(&space, 0i64)).collect();
    let waiters: Vec<_> = (0..3)
        .map(|k| {
            let mine: Vec<_> = vars.iter().skip(k).step_by(6).cloned().collect();
            Waiter::asleep(&space, move |tx| {
                let sum: i64 = mine.iter().map(|v| *tx.read(v)).sum();
                tx.check(sum != 0)?;
                Ok(sum)
            })
        })
        .collect();
    for foreign in vars.iter().enumerate().filter(|(i, _)| i % 6 >= 3) {
        foreign.1.store(5);
    }
    settle();
    assert_eq!(space.waiters(), 3);
    for (k, waiter) in waiters.into_iter().enumerate() {
        assert_eq!(waiter.runs(), 1);
        vars[k + 6 * 77].store(9);
        assert_eq!(waiter.finish("woken by its own variable"), (9, 2));
    }
    assert_eq!(space.waiters(), 0);
}

/// §3.1: read-only commits of the variable itself wake nobody.
#[test]
fn readers_do_not_wake() {
    sleeps_through(|space, v| {
        for _ in 0..100 {
            assert_eq!(v.load(), 0);
            assert_eq!(space.atomically(|tx| Ok(*tx.read(v))), 0);
            assert_eq!(*space.snapshot().read(v), 0);
            space.atomically(|tx| {
                tx.ensure(v);
                Ok(())
            });
        }
    });
}

/// §3.1: what reads the variable and writes another wakes nobody.
#[test]
fn a_writer_that_only_reads_it_does_not_wake() {
    sleeps_through(|space, v| {
        let other = TVar::new_in(space, 0);
        for _ in 0..100 {
            space.atomically(|tx| {
                let x = *tx.read(v);
                tx.modify(&other, |o| o + x + 1);
                Ok(())
            });
        }
    });
}

/// §3.1, §2.7, §2.8: writes that were rolled back wake nobody.
#[test]
fn rolled_back_writes_do_not_wake() {
    sleeps_through(|space, v| {
        let other = TVar::new_in(space, 0);
        for _ in 0..50 {
            let aborted: Result<(), &str> = space.try_atomically(|tx| {
                tx.write(v, 5);
                tx.abort("no")
            });
            assert_eq!(aborted, Err("no"));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                space.atomically(|tx| -> tvar::Stm<()> {
                    tx.write(v, 5);
                    resume_unwind(Box::new("planned"))
                })
            }));
            assert!(panicked.is_err());
            space.atomically(|tx| {
                let inner: Result<(), &str> = tx.nested(|tx| {
                    tx.write(v, 5);
                    tx.abort("inner")
                })?;
                assert_eq!(inner, Err("inner"));
                tx.modify(&other, |x| x + 1);
                tx.or_else(
                    |tx| {
                        tx.write(v, 5);
                        tx.retry()
                    },
                    |_| Ok(()),
                )
            });
        }
        assert_eq!(other.load(), 50);
    });
}

/// §3.1: a commit that leaves an inline value identical wakes nobody, whether the variable was ever written or not.
fn identical_bits_do_not_wake<T: Copy + Send + Sync + 'static>(value: T, changed: T) {
    let space = Space::new();
    let v = TVar::new_in(&space, value);
    let other = TVar::new_in(&space, 0);
    let rewrite = |value: T| {
        for _ in 0..20 {
            v.store(value);
            v.update(|x| *x);
            space.atomically(|tx| {
                tx.write(&v, value);
                tx.modify(&other, |x| x + 1);
                Ok(())
            });
            space.atomically(|tx| {
                tx.write(&v, changed);
                tx.write(&v, value);
                Ok(())
            });
            space.atomically(|tx| {
                tx.merge(&v, |x| *x);
                Ok(())
            });
        }
    };
    for current in [value, changed] {
        let reader = v.clone();
        let waiter = Waiter::closed(&space, move |tx| Ok(*tx.read(&reader)));
        rewrite(current);
        settle();
        assert_eq!(waiter.runs(), 1, "{}", std::any::type_name::<T>());
        assert_eq!(v.waiters(), 1);
        waiter.open();
        v.store(if other.load() == 20 { changed } else { value });
        let (_, runs) = waiter.finish("woken by other bits");
        assert_eq!(runs, 2, "{}", std::any::type_name::<T>());
    }
}

/// §3.1: identical bits, for each kind of inline primitive.
#[test]
fn identical_inline_values_do_not_wake() {
    identical_bits_do_not_wake(1i8, 2);
    identical_bits_do_not_wake(1u8, 2);
    identical_bits_do_not_wake(-1i16, 2);
    identical_bits_do_not_wake(1u16, 2);
    identical_bits_do_not_wake(-1i32, 2);
    identical_bits_do_not_wake(1u32, 2);
    identical_bits_do_not_wake(-1i64, 2);
    identical_bits_do_not_wake(1u64, u64::MAX);
    identical_bits_do_not_wake(1isize, 2);
    identical_bits_do_not_wake(1usize, 2);
    identical_bits_do_not_wake(true, false);
    identical_bits_do_not_wake('a', 'b');
    identical_bits_do_not_wake(1.5f32, 2.5);
    identical_bits_do_not_wake(1.5f64, 2.5);
}

/// §3.1: bits decide, not `PartialEq`: NaN equals itself, and -0.0 is not 0.0.
#[test]
fn floats_compare_by_bits() {
    identical_bits_do_not_wake(f64::NAN, 0.0);
    identical_bits_do_not_wake(f32::NAN, 0.0);
    identical_bits_do_not_wake(0.0f64, -0.0);
    identical_bits_do_not_wake(0.0f32, -0.0);
}

/// §3.1: `write_if_changed` of an equal value wakes nobody, of another value it does.
#[test]
fn write_if_changed_compares() {
    let space = Space::new();
    let text = TVar::new_in(&space, String::from("old"));
    let other = TVar::new_in(&space, 0);
    let read = text.clone();
    let waiter = Waiter::closed(&space, move |tx| Ok(tx.read(&read).clone()));
    for _ in 0..50 {
        let written = space.atomically(|tx| {
            tx.modify(&other, |x| x + 1);
            Ok(tx.write_if_changed(&text, String::from("old")))
        });
        assert!(!written);
    }
    settle();
    assert_eq!(waiter.runs(), 1);
    waiter.open();
    assert!(space.atomically(|tx| Ok(tx.write_if_changed(&text, String::from("new")))));
    assert_eq!(waiter.finish("woken by another text"), ("new".into(), 2));
}

/// §3.1: variables that the waiter only wrote or merged are not waited on.
#[test]
fn blindly_written_variables_do_not_wake_the_writer() {
    let space = Space::new();
    let gate = TVar::new_in(&space, 0i64);
    let blind: Vec<_> = (0..100).map(|_| TVar::new_in(&space, 0i64)).collect();
    let (g, mine) = (gate.clone(), blind.clone());
    let waiter = Waiter::asleep(&space, move |tx| {
        for (i, v) in mine.iter().enumerate() {
            if i % 2 == 0 {
                tx.write(v, 1000);
            } else {
                tx.merge(v, |x| x + 1000);
            }
        }
        tx.check(*tx.read(&g) != 0)
    });
    assert_eq!(blind.iter().map(TVar::waiters).sum::<usize>(), 0);
    for _ in 0..3 {
        for v in &blind {
            v.update(|x| x + 1);
        }
    }
    settle();
    assert_eq!(waiter.runs(), 1);
    gate.store(1);
    assert_eq!(waiter.finish("woken by the gate"), ((), 2));
    let values: Vec<_> = blind.iter().map(TVar::load).collect();
    let expected: Vec<_> = (0..100).map(|i| if i % 2 == 0 { 1000 } else { 1003 }).collect();
    assert_eq!(values, expected);
}

/// §1.3, §3.1: reclaiming variables wakes nobody.
#[test]
fn dropped_variables_do_not_wake() {
    sleeps_through(|space, _| {
        for round in 0..5 {
            let vars: Vec<_> = (0..500).map(|i| TVar::new_in(space, i)).collect();
            vars.iter().for_each(|v| v.store(round));
            drop(vars);
        }
    });
}

/// §1.3, §3.1: a waiter has read a variable that is gone; who gets its slot does not wake the waiter.
#[test]
fn a_recycled_slot_does_not_wake() {
    let space = Space::new();
    let gate = TVar::new_in(&space, 0i64);
    let doomed: Vec<_> = (0..50).map(|i| TVar::new_in(&space, i)).collect();
    doomed.iter().for_each(|v| v.update(|x| x + 1));
    let doomed = Mutex::new(doomed);
    let g = gate.clone();
    let waiter = Waiter::asleep(&space, move |tx| {
        let gone = std::mem::take(&mut *doomed.lock().unwrap());
        let sum: i64 = gone.iter().map(|v| *tx.read(v)).sum();
        drop(gone);
        tx.check(*tx.read(&g) != 0)?;
        Ok(sum)
    });
    for round in 0..20 {
        let fresh: Vec<_> = (0..100).map(|i| TVar::new_in(&space, i)).collect();
        fresh.iter().for_each(|v| v.store(1000 + round));
        let text: Vec<_> = (0..100).map(|_| TVar::new_in(&space, String::new())).collect();
        text.iter().for_each(|v| v.store("full".into()));
        assert_eq!(fresh.iter().map(TVar::waiters).sum::<usize>(), 0);
    }
    settle();
    assert_eq!(waiter.runs(), 1);
    gate.store(1);
    assert_eq!(waiter.finish("woken by the gate"), (0, 2));
}

/// §3.1: waiters of two spaces do not hear of each other.
#[test]
fn another_space_does_not_wake() {
    sleeps_through(|_, _| {
        let other = Space::new();
        let vars: Vec<_> = (0..300).map(|_| TVar::new_in(&other, 0i64)).collect();
        let waiter = until_nonzero(&other, &vars[150]);
        assert_eq!(other.waiters(), 1);
        for v in &vars {
            v.store(2);
        }
        assert_eq!(waiter.finish("woken in the other space"), (2, 2));
    });
}
