//! §4.2, §4.3, §2.8: panics in and around coalesced commits: in a member's merge function, which runs on the builder's thread, and in a
//! hook anywhere.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod coalesce_common;
mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

use blocking_common::{Pause, Paused};
use coalesce_common::{all_commit, announced, announced_add, at_once, counts};
use common::{Census, Counted, elsewhere, panic_message, panic_of, settle, ticks};
use tvar::hooks::{self, HookGuard, Point};
use tvar::{Space, TVar};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

/// Panics at the first passage of a point.
fn panics_at(point: Point) -> HookGuard {
    hooks::on_this_thread(move |passed| {
        if passed == point {
            panic!("hook at {point:?}");
        }
    })
}

/// §4.3: the panic of one member's function reaches its owner, with its payload; the helper and the other members commit.
#[test]
fn s4_3_a_panic_in_one_members_merge_reaches_its_owner_only() {
    let (space, [var, theirs]) = vars([1, 0]);
    let census = Census::new();
    let other = TVar::new_in(&space, census.value(0));
    let rolled_back = Arc::new(AtomicUsize::new(0));
    let member = {
        let (options, var, other, census) = (at_once(&space), var.clone(), other.clone(), census.clone());
        let rolled_back = rolled_back.clone();
        Paused::at(Point::Announced, move || {
            panic_of(|| {
                options.run(|tx| {
                    let count = rolled_back.clone();
                    tx.on_rollback(move || assert_eq!(count.fetch_add(1, Ordering::SeqCst), 0));
                    tx.write(&other, census.value(50));
                    let payload = census.clone();
                    tx.merge(&var, |n| n + 100);
                    tx.merge(&var, move |n| panic_any(payload.value(*n as u64)));
                    Ok(())
                })
            })
        })
    };
    let good = [10, 20].map(|by| announced_add(&space, &theirs, by));
    theirs.update(|n| n + 1);
    assert_eq!((var.load(), theirs.load(), space.snapshot().read(&other).id), (1, 31, 0));
    all_commit(good);
    let payload = member.finish();
    let payload = payload.downcast::<Counted>().expect("the payload as it was thrown");
    assert_eq!((payload.id, rolled_back.load(Ordering::SeqCst)), (101, 1));
    assert_eq!(counts(space.stats()), [3, 3, 1, 0, 0]);
    ticks(&space, 2);
    assert_eq!(census.live(), 2, "the payload and the initial value");
    drop(payload);
    assert_eq!((census.live(), census.dropped()), (1, 2));
    // Everything is usable.
    var.update(|n| n + 1);
    assert_eq!(var.load(), 2);
}

/// §4.3: alone: the owner builds the root that says so.
#[test]
fn s4_3_a_panic_in_the_merge_of_an_announced_commit_that_is_alone() {
    let (space, [var, other]) = vars([1, 1]);
    let message = panic_message(|| {
        at_once(&space).run(|tx| {
            tx.write(&other, 2);
            tx.merge(&var, |n| panic!("cannot merge {n}"));
            Ok(())
        })
    });
    assert_eq!((message.as_str(), var.load(), other.load()), ("cannot merge 1", 1, 1));
    assert_eq!(counts(space.stats()), [0, 1, 1, 0, 0]);
    assert_eq!(at_once(&space).run(|tx| Ok(tx.merge(&var, |n| n + 1))), Ok(()));
    assert_eq!(var.load(), 2);
}

/// §4.3: a helper whose own function panics takes nobody along, and harms nobody.
#[test]
fn s4_3_a_panic_in_the_helpers_own_merge() {
    let (space, [mine, theirs]) = vars([0, 0]);
    let member = announced_add(&space, &mine, 1);
    let message = panic_message(|| {
        space.atomically(|tx| {
            tx.merge(&theirs, |_| panic!("the helper's"));
            Ok(())
        });
    });
    assert_eq!((message.as_str(), theirs.load()), ("the helper's", 0));
    all_commit([member]);
    assert_eq!((mine.load(), counts(space.stats())), (1, [1, 1, 1, 0, 0]));
}

/// §4.3: a panic in a draft that was not published counts for nothing; its payload is dropped once.
#[test]
fn s4_3_a_panic_in_a_draft_that_loses_does_not_count() {
    let (space, [var, theirs, third]) = vars([0, 0, 0]);
    let (census, applied) = (Census::new(), Arc::new(AtomicUsize::new(0)));
    let member = {
        let (var, census, applied) = (var.clone(), census.clone(), applied.clone());
        announced(&space, move |tx| {
            let (census, applied) = (census.clone(), applied.clone());
            tx.merge(&var, move |n| {
                if applied.fetch_add(1, Ordering::SeqCst) == 0 {
                    panic_any(census.value(1));
                }
                n + 1
            });
            Ok(())
        })
    };
    let helper = {
        let theirs = theirs.clone();
        Paused::at(Point::Swap, move || theirs.store(1))
    };
    assert_eq!((applied.load(Ordering::SeqCst), census.live()), (1, 1));
    elsewhere(|| third.store(1));
    assert_eq!((var.load(), theirs.load()), (1, 0));
    all_commit([member]);
    helper.finish();
    assert_eq!((var.load(), theirs.load(), applied.load(Ordering::SeqCst)), (1, 1, 2));
    assert_eq!((census.live(), census.dropped()), (0, 1));
}

/// §4.3: functions run on the builder's thread, closures never do; and the values that the functions make may go anywhere.
#[test]
fn s4_3_only_merge_functions_run_on_the_builders_thread() {
    let (space, [mine, theirs]) = vars([0, 0]);
    let seen: Arc<std::sync::Mutex<Vec<ThreadId>>> = Arc::default();
    let member = {
        let (mine, seen) = (mine.clone(), seen.clone());
        announced(&space, move |tx| {
            let (seen, here) = (seen.clone(), thread::current().id());
            assert_ne!(tx.attempt(), 0);
            tx.merge(&mine, move |n| {
                seen.lock().unwrap().extend([here, thread::current().id()]);
                n + 1
            });
            Ok(())
        })
    };
    theirs.store(1);
    all_commit([member]);
    let seen = seen.lock().unwrap();
    assert_eq!((seen.len(), seen[1]), (2, thread::current().id()));
    assert_ne!(seen[0], seen[1]);
}

/// §2.8: a function that a helper runs may use what a function may use anywhere; a nested call panics there as well, for its owner.
#[test]
fn s2_9_a_nested_call_in_a_members_merge() {
    let (space, [mine, theirs]) = vars([0, 0]);
    let member = {
        let (options, mine, theirs, space) = (at_once(&space), mine.clone(), theirs.clone(), space.clone());
        Paused::at(Point::Announced, move || {
            panic_message(|| {
                options.run(|tx| {
                    let (theirs, space) = (theirs.clone(), space.clone());
                    tx.merge(&mine, move |n| {
                        assert_eq!(*space.snapshot().read(&theirs), 0);
                        n + theirs.load()
                    });
                    Ok(())
                })
            })
        })
    };
    theirs.store(1);
    assert_eq!((mine.load(), theirs.load()), (0, 1));
    let message = member.finish();
    assert!(message.starts_with("tvar: "), "{message}");
}

/// §2.8, C9: a hook that panics in the announcer: what was decided stays decided, else it is withdrawn. Nothing is dropped twice or
/// stays.
#[test]
fn s2_8_a_hook_that_panics_in_the_announcer() {
    for point in [Point::Announced, Point::Validate, Point::Swap, Point::Decided, Point::Swapped] {
        for read in [false, true] {
            let (space, census) = (Space::new(), Census::new());
            let [written, merged] = [0, 0].map(|id| TVar::new_in(&space, census.value(id)));
            let number = TVar::new_in(&space, 0);
            merged.store(census.value(0));
            let (w, m, n, c, s) = (written.clone(), merged.clone(), number.clone(), census.clone(), space.clone());
            let caught = elsewhere(move || {
                let hook = panics_at(point);
                let caught = catch_unwind(AssertUnwindSafe(|| {
                    at_once(&s).run(|tx| {
                        tx.write(&w, c.value(1));
                        let c = c.clone();
                        tx.merge(&m, move |old| c.value(old.id + 10));
                        tx.modify(&n, |n| n + 1);
                        if read {
                            tx.read(&m);
                        }
                        Ok(())
                    })
                }));
                drop(hook);
                caught.is_err()
            });
            assert!(caught, "{point:?}");
            let done = [Point::Decided, Point::Swapped].contains(&point);
            let snapshot = space.snapshot();
            let seen = (snapshot.read(&written).id, snapshot.read(&merged).id, *snapshot.read(&number));
            assert_eq!(seen, if done { (1, 10, 1) } else { (0, 0, 0) }, "{point:?}");
            drop(snapshot);
            // The board is empty: the next announced commit is the only one of its batch, and a plain one decides nothing.
            let batches = space.stats().batches;
            number.store(5);
            assert_eq!(space.stats().batches, batches, "{point:?}");
            all_commit([announced_add(&space, &number, 1)]);
            assert_eq!((number.load(), space.stats().batches), (6, batches + 1), "{point:?}");
            settle(&space, || census.live() == 2);
            drop((written, merged));
            settle(&space, || census.live() == 0);
        }
    }
}

/// §2.8: a hook that panics in a helper: the members get their outcome, and every value its end.
#[test]
fn s2_8_a_hook_that_panics_in_a_helper() {
    for point in [Point::Validate, Point::Swap, Point::Decided, Point::Swapped] {
        let (space, census) = (Space::new(), Census::new());
        let [written, merged, theirs] = [0, 0, 0].map(|id| TVar::new_in(&space, census.value(id)));
        merged.store(census.value(0));
        let member = {
            let (written, merged, census) = (written.clone(), merged.clone(), census.clone());
            announced(&space, move |tx| {
                tx.write(&written, census.value(1));
                let census = census.clone();
                tx.merge(&merged, move |old| census.value(old.id + 10));
                Ok(())
            })
        };
        let (mine, c) = (theirs.clone(), census.clone());
        elsewhere(move || {
            let _hook = panics_at(point);
            panic_of(|| mine.store(c.value(1)));
        });
        let done = [Point::Decided, Point::Swapped].contains(&point);
        let snapshot = space.snapshot();
        let seen = [&written, &merged, &theirs].map(|var| snapshot.read(var).id);
        assert_eq!(seen, if done { [1, 10, 1] } else { [0; 3] }, "{point:?}");
        drop(snapshot);
        all_commit([member]);
        let snapshot = space.snapshot();
        let seen = [&written, &merged, &theirs].map(|var| snapshot.read(var).id);
        assert_eq!(seen, [1, 10, u64::from(done)], "{point:?}");
        drop(snapshot);
        settle(&space, || census.live() == 3);
        drop((written, merged, theirs));
        settle(&space, || census.live() == 0);
    }
}

/// §2.8: a hook that panics in the announcer after another has decided it: what was committed stays committed.
#[test]
fn s2_8_a_hook_that_panics_after_another_has_decided() {
    for verdict in ["committed", "conflict", "panic"] {
        let (space, [mine, read, theirs]) = vars([0, 0, 0]);
        let census = Census::new();
        let (pause, options) = (Pause::new(), at_once(&space));
        let thread = {
            let (pause, mine, read, census) = (pause.clone(), mine.clone(), read.clone(), census.clone());
            thread::spawn(move || {
                let _hook = hooks::on_this_thread(move |point| {
                    if point == Point::Announced {
                        pause.stop();
                        panic!("the hook");
                    }
                });
                panic_message(|| {
                    options.run(|tx| {
                        tx.read(&read);
                        let census = census.clone();
                        tx.merge(&mine, move |n| {
                            if verdict == "panic" {
                                panic_any(census.value(1));
                            }
                            n + 1
                        });
                        Ok(())
                    })
                })
            })
        };
        pause.reached();
        if verdict == "conflict" {
            read.store(1)
        } else {
            theirs.store(1)
        }
        pause.release();
        assert_eq!(thread.join().expect("caught"), "the hook");
        assert_eq!(mine.load(), i64::from(verdict == "committed"), "{verdict}");
        assert_eq!((census.live(), space.stats().batches), (0, 1), "{verdict}");
        all_commit([announced_add(&space, &mine, 1)]);
    }
}

/// §7.1, §4.3: hooks of a call are run once, on its own thread, also if another has committed it.
#[test]
fn s7_1_commit_hooks_of_a_member_run_on_its_own_thread() {
    let (space, [mine, theirs]) = vars([0, 0]);
    let ran = Arc::new(AtomicUsize::new(0));
    let member = {
        let (mine, count) = (mine.clone(), ran.clone());
        announced(&space, move |tx| {
            let (here, count) = (thread::current().id(), count.clone());
            tx.on_commit(move || {
                assert_eq!(thread::current().id(), here);
                count.fetch_add(1, Ordering::SeqCst);
            });
            tx.on_rollback(|| unreachable!("it commits"));
            tx.write(&mine, 1);
            Ok(())
        })
    };
    theirs.store(1);
    assert_eq!((mine.load(), ran.load(Ordering::SeqCst)), (1, 0));
    all_commit([member]);
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}
