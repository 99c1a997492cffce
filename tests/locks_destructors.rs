//! §4.3, §7.1, L6: hooks run outside all locks; a transaction in a destructor never waits for its own thread, and takes nothing from the
//! transaction around it.
#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod locks_common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use locks_common::{Actor, Event, V, elsewhere, eventually, in_line, join, no_trace, table, vars};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Space, TVar, TxError};

/// Runs something when dropped.
struct OnDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl OnDrop {
    fn new(f: impl FnOnce() + Send + Sync + 'static) -> OnDrop {
        OnDrop(Some(Box::new(f)))
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

/// A value whose destructor runs `f`, dropped in the middle of the attempt: a part writes it, and is undone.
fn drop_in_attempt(tx: &tvar::Tx<'_>, space: &Space, f: impl FnOnce() + Send + Sync + 'static) -> tvar::Stm<()> {
    let value = TVar::new_in(space, OnDrop(None));
    let undone: Result<(), ()> = tx.nested(|tx| {
        tx.write(&value, OnDrop::new(f));
        tx.abort(())
    })?;
    assert!(undone.is_err());
    Ok(())
}

type Said = Arc<Mutex<Vec<String>>>;

/// §7.1: commit hooks find the table empty, and may write and lock what the transaction had locked.
#[test]
fn commit_hooks_run_outside_all_locks() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let seen = Said::default();
    let (s, x, v2, said) = (space.clone(), v.clone(), v.clone(), seen.clone());
    elsewhere(move || {
        s.atomically(|tx| {
            tx.lock(&x, Exclusive)?;
            let (s, x, said) = (s.clone(), x.clone(), said.clone());
            tx.on_commit(move || {
                said.lock().unwrap().push(table(&s));
                elsewhere({
                    let x = x.clone();
                    move || x.update(|n| n + 1)
                });
                s.atomically(|tx| {
                    tx.lock(&x, Exclusive)?;
                    Ok(tx.modify(&x, |n| n + 10))
                });
            });
            Ok(tx.modify(&v2, |n| n + 100))
        });
    });
    assert_eq!((seen.lock().unwrap().as_slice(), v.load()), (&[String::new()][..], 111));
    no_trace(&space, &[&v]);
}

/// §7.1: rollback hooks too, after an abort, a lost attempt (which would keep its locks), and a panic.
#[test]
fn rollback_hooks_run_outside_all_locks() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let seen = Said::default();
    let (s, x, y, said) = (space.clone(), v.clone(), w.clone(), seen.clone());
    elsewhere(move || {
        let hook = |tx: &tvar::Tx<'_>| {
            let (s, x, said) = (s.clone(), x.clone(), said.clone());
            tx.on_rollback(move || {
                said.lock().unwrap().push(table(&s));
                elsewhere({
                    let x = x.clone();
                    move || x.update(|n| n + 1)
                });
                s.atomically(|tx| {
                    tx.lock(&x, Exclusive)?;
                    Ok(tx.modify(&x, |n| n + 10))
                });
            });
        };
        let aborted = s.try_atomically(|tx| {
            tx.lock(&x, Exclusive)?;
            hook(tx);
            tx.abort::<(), _>("no")
        });
        assert_eq!(aborted, Err("no"));
        // Lost: what it read is stale when it commits.
        s.atomically(|tx| {
            tx.lock(&x, Exclusive)?;
            hook(tx);
            let n = *tx.read(&y);
            if tx.attempt() == 1 {
                let y = y.clone();
                elsewhere(move || y.store(1));
            }
            Ok(tx.write(&x, n * 1000))
        });
        let panic = thread::scope(|scope| {
            let body = || {
                s.atomically(|tx| -> tvar::Stm<()> {
                    tx.lock(&x, Exclusive)?;
                    hook(tx);
                    panic!("in the closure");
                })
            };
            scope.spawn(body).join()
        });
        assert!(panic.is_err());
    });
    assert_eq!(seen.lock().unwrap().as_slice(), &[const { String::new() }; 3]);
    assert_eq!(v.load(), 1011);
    no_trace(&space, &[&v, &w]);
}

/// L6: a destructor's transaction writes what its thread has locked, in both modes, without a wait: optimistic, locking and pessimistic.
#[test]
fn a_destructor_does_not_wait_for_its_own_thread() {
    for mode in [Shared, Exclusive] {
        let space = Space::new();
        let [v] = vars(&space, ["v"]);
        let (s, x) = (space.clone(), v.clone());
        elsewhere(move || {
            s.atomically(|tx| {
                tx.lock(&x, mode)?;
                let before = table(&s);
                let (inner, y) = (s.clone(), x.clone());
                drop_in_attempt(tx, &s, move || {
                    y.update(|n| n + 1);
                    inner.atomically(|tx| {
                        tx.lock(&y, Exclusive)?;
                        Ok(tx.modify(&y, |n| n + 1))
                    });
                    inner.options().pessimistic().run(|tx| Ok(tx.modify(&y, |n| n + 1))).unwrap();
                })?;
                assert_eq!(table(&s), before, "what the attempt has locked stays as it was");
                Ok(())
            });
        });
        assert_eq!((v.load(), space.stats().lock_waits), (3, 0));
        no_trace(&space, &[&v]);
    }
}

/// L6, §5.3: a destructor's commit upgrades what its thread has locked shared, behind another holder: that wait over, the transaction around
/// it still holds its lock.
#[test]
fn a_destructor_that_waits_for_an_upgrade_leaves_the_lock_to_its_owner() {
    for optimistic in [true, false] {
        let space = Space::new();
        let [v] = vars(&space, ["v"]);
        let other = Actor::start(&space, "O");
        other.lock(&v, Shared);
        let listed = Said::default();
        let (s, x, said) = (space.clone(), v.clone(), listed.clone());
        let outer = thread::spawn(move || {
            s.options().label("A").run(|tx| {
                tx.lock(&x, Shared)?;
                let (inner, y) = (s.clone(), x.clone());
                drop_in_attempt(tx, &s, move || {
                    if optimistic {
                        y.update(|n| n + 1);
                    } else {
                        inner.atomically(|tx| {
                            tx.lock(&y, Exclusive)?;
                            Ok(tx.modify(&y, |n| n + 1))
                        });
                    }
                })?;
                said.lock().unwrap().push(table(&s));
                Ok(())
            })
        });
        in_line(&space, 1);
        other.commit();
        assert_eq!(join("the outer one commits", outer), Ok(()));
        assert_eq!(listed.lock().unwrap().as_slice(), ["v: As"], "optimistic: {optimistic}");
        assert_eq!(v.load(), 1);
        no_trace(&space, &[&v]);
    }
}

/// L6, §5.3: a destructor's transaction that loses attempts gives up what it has carried over, and not what the one around it holds.
#[test]
fn a_destructor_that_loses_attempts_leaves_the_lock_to_its_owner() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let listed = Said::default();
    let (s, x, y, said) = (space.clone(), v.clone(), w.clone(), listed.clone());
    elsewhere(move || {
        s.options()
            .label("A")
            .run(|tx| {
                tx.lock(&x, Shared)?;
                let (inner, x, y) = (s.clone(), x.clone(), y.clone());
                drop_in_attempt(tx, &s, move || {
                    inner.atomically(|tx| {
                        if tx.attempt() == 1 {
                            tx.lock(&x, Exclusive)?;
                        }
                        let n = *tx.read(&y);
                        if tx.attempt() <= 2 {
                            let y = y.clone();
                            elsewhere(move || y.update(|n| n + 1));
                        }
                        Ok(tx.write(&y, n + 10))
                    });
                })?;
                said.lock().unwrap().push(table(&s));
                Ok(())
            })
            .unwrap();
    });
    assert_eq!((listed.lock().unwrap().as_slice(), w.load()), (&["v: As".to_string()][..], 12));
    no_trace(&space, &[&v, &w]);
}

/// L6: nor does one behind a transaction of another space, that has locks of its own.
#[test]
fn a_destructor_inside_another_spaces_transaction_knows_its_own_thread() {
    let (one, two) = (Space::named("one"), Space::named("two"));
    let ([v], [w, z]) = (vars(&one, ["v"]), vars(&two, ["w", "z"]));
    let result = Arc::new(Mutex::new(None::<Result<(), TxError>>));
    let (s, t, x, y, out) = (one.clone(), two.clone(), v.clone(), w.clone(), result.clone());
    elsewhere(move || {
        s.atomically(|tx| {
            tx.lock(&x, Exclusive)?;
            let (s, t, x, y, z, out) = (s.clone(), t.clone(), x.clone(), y.clone(), z.clone(), out.clone());
            let outer = s.clone();
            drop_in_attempt(tx, &outer, move || {
                // Its first attempt is lost, and so what it returns is dropped while it has its lock.
                t.atomically(|tx| {
                    tx.lock(&y, Exclusive)?;
                    let n = *tx.read(&z);
                    tx.write(&y, n);
                    if tx.attempt() > 1 {
                        return Ok(OnDrop(None));
                    }
                    let (z, s, x, out) = (z.clone(), s.clone(), x.clone(), out.clone());
                    elsewhere(move || z.update(|n| n + 1));
                    Ok(OnDrop::new(move || {
                        let limited = s.options().timeout(Duration::from_millis(200));
                        *out.lock().unwrap() = Some(limited.run(|tx| Ok(tx.modify(&x, |n| n + 1))));
                    }))
                });
            })
        });
    });
    assert_eq!(result.lock().unwrap().take(), Some(Ok(())));
    no_trace(&one, &[&v]);
    no_trace(&two, &[&w]);
}

/// §1.7, §7.1: destructors of what the attempt has replaced run after its locks have ended: others need not wait for them.
#[test]
fn destructors_after_the_commit_hold_no_lock() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let listed = Said::default();
    let (s, x, said) = (space.clone(), v.clone(), listed.clone());
    elsewhere(move || {
        let (inner, y) = (s.clone(), x.clone());
        let boxed = TVar::new_in(
            &s,
            OnDrop::new(move || {
                said.lock().unwrap().push(table(&inner));
                elsewhere(move || y.update(|n| n + 1));
            }),
        );
        s.atomically(|tx| {
            tx.lock(&x, Exclusive)?;
            tx.lock(&boxed, Exclusive)?;
            tx.write(&boxed, OnDrop(None));
            Ok(())
        });
    });
    assert_eq!((listed.lock().unwrap().as_slice(), v.load()), (&[String::new()][..], 1));
    no_trace(&space, &[&v]);
}

/// L6, §5.4: two threads, each with a lock that the other's destructor wants: somebody gives way, and in the end both commit.
#[test]
fn destructors_that_wait_for_each_other_end() {
    let space = Space::new();
    let [a, b] = vars(&space, ["a", "b"]);
    let ready = Arc::new(AtomicUsize::new(0));
    let run = |mine: V, theirs: V| {
        let (s, ready) = (space.clone(), ready.clone());
        thread::spawn(move || {
            s.options().timeout(Duration::from_secs(2)).run(|tx| {
                tx.lock(&mine, Exclusive)?;
                ready.fetch_add(1, Ordering::SeqCst);
                eventually("both are ready", || ready.load(Ordering::SeqCst) >= 2);
                let (inner, theirs) = (s.clone(), theirs.clone());
                drop_in_attempt(tx, &s, move || {
                    // Bounded, since nothing could end the transactions around them.
                    let limited = inner.options().timeout(Duration::from_millis(50)).fail_on_deadlock();
                    let result = limited.run(|tx| Ok(tx.modify(&theirs, |n| n + 1)));
                    assert!(result.is_err_and(|error| error.is_deadlock() || error.is_timeout()));
                })
            })
        })
    };
    let (x, y) = (run(a.clone(), b.clone()), run(b.clone(), a.clone()));
    for thread in [x, y] {
        assert_eq!(join("both end", thread), Ok(()));
    }
    no_trace(&space, &[&a, &b]);
}

/// A locked variable whose last handle goes: the lock ends with the transaction all the same.
#[test]
fn a_variable_may_die_while_it_is_locked() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let a = Actor::start(&space, "A");
    let s = space.clone();
    a.ask(move |tx| {
        let gone = TVar::named_in(&s, "gone", 1);
        tx.lock(&gone, Exclusive)?;
        tx.write(&gone, 2);
        Ok(0)
    });
    assert_eq!(space.locks().len(), 1);
    a.lock(&v, Exclusive);
    a.commit();
    let b = Actor::start(&space, "B");
    b.want(&v, Exclusive);
    assert_eq!(b.event(), Event::Done(0));
    b.commit();
    no_trace(&space, &[&v]);
}
