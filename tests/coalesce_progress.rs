//! §4.1, §4.2: a thread stopped at any point of a coalesced commit holds up nobody, an announced commit is decided within two
//! swaps, and whoever waits for what a batch wrote is woken.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod coalesce_common;
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use blocking_common::{Paused, Waiter, strike_at};
use coalesce_common::{all_commit, announced, announced_add, announced_store, at_once, counts, stopped};
use common::{Census, elsewhere, settle, ticks};
use tvar::hooks::{self, Point};
use tvar::{Space, TVar};

/// Where an announced commit passes that nobody takes along; at `Validate` twice, the first time before it announces.
const POINTS: [Point; 5] = [Point::Announced, Point::Validate, Point::Swap, Point::Decided, Point::Swapped];

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

/// A store on a thread that stops at the point.
fn stopped_store(point: Point, var: &TVar<i64>, value: i64) -> Paused<()> {
    let var = var.clone();
    Paused::at(point, move || var.store(value))
}

/// §4.2: verdicts that the builder has not told are told by the next commit: the announcer returns.
#[test]
fn s4_1_a_third_commit_finishes_the_verdicts_of_a_stopped_helper() {
    let (space, [mine, theirs, third]) = vars([0, 0, 0]);
    let call = announced_add(&space, &mine, 1);
    let helper = stopped_store(Point::Decided, &theirs, 1);
    let version = space.version();
    assert_eq!(mine.load(), 1, "decided, not told");
    third.store(1);
    assert_eq!(space.version(), version + 1);
    assert_eq!(space.stats().batches, 1, "the third commit decides nothing");
    all_commit([call]);
    assert_eq!(space.version(), version + 1);
    helper.finish();
    assert_eq!(([mine, theirs, third].map(|var| var.load()), space.version()), ([1, 1, 1], version + 1));
    assert_eq!(counts(space.stats()), [3, 1, 1, 0, 0]);
}

/// §4.2: and by the announcer itself, if nobody else commits.
#[test]
fn s4_1_the_announcer_finishes_the_verdict_of_a_stopped_helper() {
    let (space, [mine, theirs]) = vars([0, 0]);
    let call = announced_add(&space, &mine, 1);
    let helper = stopped_store(Point::Decided, &theirs, 1);
    let version = space.version();
    all_commit([call]);
    assert_eq!((mine.load(), space.version()), (1, version));
    // It may announce again, while the helper still has to tell the first verdict.
    for n in 2..5 {
        assert_eq!(at_once(&space).run(|tx| Ok(tx.write(&mine, n))), Ok(()));
    }
    let again = announced_add(&space, &mine, 10);
    helper.finish();
    assert_eq!((mine.load(), space.stats().batches), (4, 4), "the helper tells what it has decided, and nothing else");
    all_commit([again]);
    assert_eq!((mine.load(), counts(space.stats())), (14, [6, 5, 5, 0, 0]));
}

/// §4.2: a conflict is told by others, too.
#[test]
fn s4_1_a_conflict_that_a_stopped_helper_has_not_told() {
    let (space, [read, mine]) = vars([1, 0]);
    let call = {
        let (read, mine) = (read.clone(), mine.clone());
        announced(&space, move |tx| {
            let n = *tx.read(&read);
            tx.write(&mine, n);
            Ok(n)
        })
    };
    let helper = stopped_store(Point::Decided, &read, 2);
    assert_eq!(call.finish(), (Ok(2), 2));
    helper.finish();
    assert_eq!((mine.load(), counts(space.stats())), (2, [2, 2, 2, 1, 0]));
}

/// §4.1: a helper that is stopped before its swap holds up nobody; the swap fails, and what it made is dropped.
#[test]
fn s4_1_a_helper_stopped_before_its_swap() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, census.value(0));
    let [theirs, third] = [0, 0].map(|n| TVar::new_in(&space, n));
    var.store(census.value(0));
    ticks(&space, 1);
    let commits = space.stats().commits;
    let call = {
        let (var, census) = (var.clone(), census.clone());
        announced(&space, move |tx| {
            let census = census.clone();
            tx.merge(&var, move |old| census.value(old.id + 1));
            Ok(())
        })
    };
    let helper = stopped_store(Point::Swap, &theirs, 1);
    assert_eq!((census.live(), space.snapshot().read(&var).id), (2, 0));
    elsewhere(|| third.store(1));
    assert_eq!((space.snapshot().read(&var).id, theirs.load(), third.load()), (1, 0, 1));
    all_commit([call]);
    helper.finish();
    assert_eq!((space.snapshot().read(&var).id, theirs.load()), (1, 1));
    assert_eq!(counts(space.stats()), [commits + 3, 1, 1, 0, 1]);
    settle(&space, || census.live() == 1);
    // The initial value, the one before, and the helper's result.
    assert_eq!(census.dropped(), 3);
}

/// §4.1: the same when the announcer itself ends the wait: it does not need the helper.
#[test]
fn s4_1_an_announcer_does_not_wait_for_a_stopped_helper() {
    for point in [Point::Begin, Point::Validate, Point::Swap] {
        let (space, [mine, theirs]) = vars([0, 0]);
        let call = announced_add(&space, &mine, 1);
        let helper = stopped_store(point, &theirs, 1);
        all_commit([call]);
        assert_eq!((mine.load(), theirs.load()), (1, 0), "{point:?}");
        helper.finish();
        assert_eq!((mine.load(), theirs.load()), (1, 1), "{point:?}");
        assert_eq!(space.stats().batches, 1, "{point:?}");
    }
}

/// §4.1: an announcer stopped anywhere holds up no commit and no announcement of others.
#[test]
fn s4_1_a_stopped_announcer_holds_up_nobody() {
    for point in POINTS {
        let (space, [mine, hot, other]) = vars([0, 0, 0]);
        let text = TVar::new_in(&space, String::new());
        let call = {
            let mine = mine.clone();
            stopped(point, at_once(&space), move |tx| {
                tx.modify(&mine, |n| n + 1);
                Ok(())
            })
        };
        for n in 1..=50 {
            elsewhere(|| hot.update(|n| n + 1));
            let result = at_once(&space).run(|tx| {
                tx.modify(&other, |n| n + 1);
                tx.merge(&text, |text| format!("{text}x"));
                Ok(*tx.read(&hot))
            });
            assert_eq!(result, Ok(n), "{point:?}");
        }
        let decided = i64::from(point != Point::Validate);
        assert_eq!((mine.load(), other.load(), text.load().len()), (decided, 50, 50), "{point:?}");
        all_commit([call]);
        assert_eq!((mine.load(), space.stats().conflicts), (1, 0), "{point:?}");
    }
}

/// §4.1: announcers and helpers stopped at every point at the same time.
#[test]
fn s4_1_stopped_everywhere_at_once() {
    let (space, [sum, last]) = vars([0, 0]);
    let mut calls = Vec::new();
    for round in 0..2 {
        for point in POINTS {
            let sum = sum.clone();
            let options = if round == 0 { at_once(&space) } else { at_once(&space).coalesce_after(u32::MAX) };
            if round == 1 && [Point::Announced, Point::Decided].contains(&point) {
                continue;
            }
            calls.push(stopped(point, options, move |tx| {
                tx.merge(&sum, |n| n + 1);
                Ok(())
            }));
        }
    }
    last.store(1);
    elsewhere(|| last.store(2));
    let stuck = sum.load();
    all_commit(calls);
    assert_eq!((sum.load(), last.load(), space.stats().commits), (8, 2, 10));
    assert!(stuck >= 4, "what was announced does not wait: {stuck}");
}

/// C5: with an adversary that commits at every point of the announcer, at most one swap of its own is lost, and two of others
/// come before the verdict.
#[test]
fn s4_2_an_adversary_at_every_point() {
    for at in POINTS {
        let (space, [mine, hot]) = vars([0, 0]);
        let strikes = Arc::new(AtomicU64::new(0));
        let strike = {
            let (hot, strikes) = (hot.clone(), strikes.clone());
            move || {
                hot.update(|n| n + 1);
                strikes.fetch_add(1, Ordering::SeqCst);
            }
        };
        let hook = strike_at(at, u64::MAX, strike);
        let before = space.version();
        let mut runs = 0;
        let result = at_once(&space).run(|tx| {
            runs += 1;
            tx.modify(&mine, |n| n + 1);
            Ok(())
        });
        drop(hook);
        let strikes = strikes.load(Ordering::SeqCst);
        assert_eq!((result, runs, mine.load()), (Ok(()), 1, 1), "{at:?}");
        // One before it announces, one that takes it along.
        assert!(strikes <= 1 + u64::from(at == Point::Validate), "{strikes} strikes at {at:?}");
        let own = u64::from([Point::Decided, Point::Swapped].contains(&at));
        assert_eq!(space.version(), before + strikes + own, "{at:?}");
        assert_eq!((space.stats().batches, space.stats().announced), (1, 1), "{at:?}");
    }
}

/// C5: of the swaps that follow an announcement the first may have been prepared before it; the second decides it, whoever's it is.
#[test]
fn s4_2_the_second_swap_decides() {
    let (space, [mine, one, two, three]) = vars([0, 0, 0, 0]);
    let prepared = [&one, &two].map(|var| stopped_store(Point::Swap, var, 1));
    let call = announced_add(&space, &mine, 1);
    let before = space.version();
    let [first, second] = prepared;
    first.finish();
    assert_eq!((space.version(), mine.load(), space.stats().batches), (before + 1, 0, 0), "built without a look");
    // Its swap fails; the next draft has the announced commit.
    second.finish();
    assert_eq!((space.version(), mine.load(), space.stats().batches), (before + 2, 1, 1));
    three.store(1);
    all_commit([call]);
    assert_eq!(space.version(), before + 3);
    assert_eq!(counts(space.stats()), [4, 1, 1, 0, 1]);
}

/// C5, worst case: the announcer loses its own swap to a commit that was prepared before, and is decided by the next.
#[test]
fn s4_2_the_announcer_loses_once() {
    let (space, [mine, one, two]) = vars([0, 0, 0]);
    let prepared = stopped_store(Point::Swap, &one, 1);
    let call = {
        let mine = mine.clone();
        stopped(Point::Swap, at_once(&space), move |tx| {
            tx.modify(&mine, |n| n + 1);
            Ok(())
        })
    };
    let before = space.version();
    prepared.finish();
    assert_eq!(mine.load(), 0);
    elsewhere(|| two.store(1));
    assert_eq!((mine.load(), space.version()), (1, before + 2));
    all_commit([call]);
    assert_eq!((space.version(), counts(space.stats())), (before + 2, [3, 1, 1, 0, 1]));
}

/// §3.1: whoever waits for what a batch wrote is woken, by the builder.
#[test]
fn s3_1_a_batch_wakes_who_waits_for_its_members() {
    let (space, [a, b, theirs]) = vars([0, 0, 0]);
    let waiters = [&a, &b, &theirs].map(|var| {
        let var = var.clone();
        Waiter::asleep(&space, move |tx| tx.check(*tx.read(&var) != 0))
    });
    let calls = [announced_store(&space, &a, 1), announced_add(&space, &b, 1)];
    theirs.store(1);
    // The members' threads have not moved.
    for waiter in waiters {
        assert_eq!(waiter.finish("woken by the batch"), ((), 2));
    }
    all_commit(calls);
    assert_eq!(space.waiters(), 0);
}

/// §3.1, §4.1: if the builder stops before it wakes anybody, the announcer wakes who waits for its own writes, and the next commit wakes
/// all.
#[test]
fn s4_1_wake_ups_of_a_stopped_helper() {
    for point in [Point::Decided, Point::Swapped] {
        for next in ["the announcer", "another commit", "another announced commit"] {
            let (space, [mine, theirs, other]) = vars([0, 0, 0]);
            let [waiter, for_theirs] = [&mine, &theirs].map(|var| {
                let var = var.clone();
                Waiter::asleep(&space, move |tx| tx.check(*tx.read(&var) != 0))
            });
            let call = announced_store(&space, &mine, 1);
            let helper = stopped_store(point, &theirs, 1);
            match next {
                "the announcer" => {
                    all_commit([call]);
                    assert_eq!(waiter.finish("woken by the announcer"), ((), 2));
                    helper.finish();
                    assert_eq!(for_theirs.finish("woken by the helper"), ((), 2));
                }
                _ => {
                    if next == "another commit" {
                        elsewhere(|| other.store(1));
                    } else {
                        assert_eq!(at_once(&space).run(|tx| Ok(tx.write(&other, 1))), Ok(()));
                    }
                    assert_eq!(waiter.finish("woken by the next"), ((), 2));
                    assert_eq!(for_theirs.finish("woken by the next"), ((), 2));
                    all_commit([call]);
                    helper.finish();
                }
            }
            assert_eq!(space.waiters(), 0, "{point:?}, {next}");
        }
    }
}

/// §3.1: a waiter that registers while a batch is being decided is not missed.
#[test]
fn s3_1_a_waiter_that_comes_while_a_batch_is_decided() {
    for at in [Point::Register, Point::Park] {
        for stop in [Point::Swap, Point::Decided, Point::Swapped] {
            let (space, [mine, theirs]) = vars([0, 0]);
            let waiter = {
                let (space, mine) = (space.clone(), mine.clone());
                Paused::at(at, move || space.atomically(|tx| tx.check(*tx.read(&mine) != 0)))
            };
            let call = announced_store(&space, &mine, 1);
            let helper = stopped_store(stop, &theirs, 1);
            all_commit([call]);
            waiter.finish();
            helper.finish();
            assert_eq!((mine.load(), space.waiters()), (1, 0), "{at:?} {stop:?}");
        }
    }
}

/// The points come in this order; a commit that somebody else takes along does not swap.
#[test]
fn s4_2_the_points_of_an_announced_commit() {
    let (space, [mine, theirs]) = vars([0, 0]);
    for helped in [false, true] {
        let passed = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let log = passed.clone();
        let theirs = theirs.clone();
        let hook = hooks::on_this_thread(move |point| {
            log.borrow_mut().push(point);
            if helped && point == Point::Announced {
                elsewhere(|| theirs.store(1));
            }
        });
        assert_eq!(at_once(&space).run(|tx| Ok(tx.write(&mine, 1 + i64::from(helped)))), Ok(()));
        drop(hook);
        let alone: Vec<_> = [Point::Begin, Point::Validate].into_iter().chain(POINTS).collect();
        assert_eq!(*passed.borrow(), alone[..if helped { 3 } else { alone.len() }]);
    }
}
