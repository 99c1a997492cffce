//! §7.2: what the transactions of a label have gone through is counted, each call once, when it ends.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod common;
mod locks_common;
mod observe_common;

use blocking_common::Paused;
use common::{elsewhere, panic_of};
use locks_common::{Actor, in_line};
use observe_common::{V, labelled, lose, observed, vars, win};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tvar::hooks::Point;
use tvar::{LockMode, Space, TVar, TryError, TxError};

/// The label's line, as it is shown.
#[track_caller]
fn line(space: &Space, label: &str) -> String {
    let all = space.label_stats();
    let of_label: Vec<_> = all.iter().filter(|stats| stats.label == label).collect();
    assert!(of_label.len() <= 1, "{all:?}");
    of_label.first().map_or("none".into(), |stats| stats.to_string().replace(&format!("`{label}`: "), ""))
}

fn poll<T>(future: &mut Pin<Box<impl Future<Output = T> + ?Sized>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn s7_2_commits() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let label = labelled(&space, "label");
    for n in 0..3 {
        label.run(|tx| Ok(tx.write(&v, n))).unwrap();
    }
    assert_eq!(line(&space, "label"), "3 commits");
    label.run(|tx| Ok(*tx.read(&v))).unwrap();
    label.run(|_| Ok(())).unwrap();
    label.run(|tx| Ok(tx.write(&v, 2))).unwrap();
    label.try_run::<_, ()>(|tx| Ok(tx.merge(&v, |n| n + 1))).unwrap();
    label.clone().coalesce_after(0).run(|tx| Ok(tx.write(&v, 7))).unwrap();
    label.clone().isolation(tvar::Isolation::Snapshot).run(|tx| Ok(tx.write(&v, 8))).unwrap();
    label.clone().pessimistic().run(|tx| Ok(tx.write(&v, 9))).unwrap();
    assert_eq!(line(&space, "label"), "10 commits");
    // Without a label: in no line.
    v.store(4);
    space.options().run(|tx| Ok(tx.write(&v, 3))).unwrap();
    assert_eq!(space.label_stats().len(), 1);
}

#[test]
fn s7_2_owned_labels_are_counted_by_their_text() {
    let space = observed();
    for n in 0..6 {
        space.options().label(format!("user {}", n % 2)).run(|_| Ok(())).unwrap();
    }
    labelled(&space, "user 1").run(|_| Ok(())).unwrap();
    let lines: Vec<_> = space.label_stats().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["`user 0`: 3 commits", "`user 1`: 4 commits"]);
}

#[test]
fn s7_2_aborts_and_failures() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let label = labelled(&space, "label");
    let aborted = label.try_run(|tx| {
        tx.write(&v, 1);
        tx.abort::<(), _>("no")
    });
    assert_eq!(aborted, Err(TryError::Aborted("no")));
    // One inside that is caught is none.
    let caught = label.try_run::<_, ()>(|tx| Ok(tx.nested(|tx| tx.abort::<(), _>("no"))?.is_err()));
    assert_eq!(caught, Ok(true));
    assert_eq!(line(&space, "label"), "1 commits, 1 aborts");
    let timed_out = label.clone().timeout(Duration::ZERO).run(|tx| tx.check(*tx.read(&v) > 0));
    assert!(timed_out.unwrap_err().is_timeout());
    assert_eq!(line(&space, "label"), "1 commits, 1 aborts, 1 failures, 1 sleeps");
    let lost = label.clone().max_attempts(2).run(|tx| {
        let n = *tx.read(&v);
        elsewhere(|| v.update(|n| n + 1));
        Ok(tx.write(&v, n))
    });
    assert!(matches!(lost, Err(TxError::TooManyAttempts { .. })));
    let expected = "1 commits, 1 aborts, 2 failures, 1 re-runs, 2 conflicts, 1 sleeps";
    assert_eq!(line(&space, "label"), expected);
}

#[test]
fn s7_2_panics() {
    struct Ouch;
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let label = labelled(&space, "label");
    let ouch = || std::panic::panic_any(Ouch);
    assert!(panic_of(|| label.run(|_| -> tvar::Stm<()> { ouch() })).is::<Ouch>());
    assert_eq!(line(&space, "label"), "0 commits, 1 panics");
    // A merge function; announced, too.
    for options in [label.clone(), label.clone().coalesce_after(0)] {
        v.store(1);
        drop(panic_of(|| options.run(|tx| Ok(tx.merge(&v, |_| panic!("merge"))))));
    }
    // Misuse: a retry that nobody could wake, an abort that was swallowed.
    drop(panic_of(|| label.run(|tx| tx.retry::<()>())));
    drop(panic_of(|| {
        label.try_run::<(), ()>(|tx| {
            let _ = tx.abort::<(), _>(());
            Ok(())
        })
    }));
    assert_eq!(line(&space, "label"), "0 commits, 5 panics");
    // A rollback hook ends a call that would have run again.
    drop(panic_of(|| {
        label.run(|tx| {
            let n = *tx.read(&v);
            tx.on_rollback(|| panic!("rollback hook"));
            elsewhere(|| v.update(|n| n + 1));
            Ok(tx.write(&v, n))
        })
    }));
    assert_eq!(line(&space, "label"), "0 commits, 6 panics");
}

/// §7.1: a hook that panics after the commit does not undo it.
#[test]
fn s7_2_a_commit_hook_that_panics_follows_a_commit() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    for writes in [true, false] {
        drop(panic_of(|| {
            labelled(&space, "label").run(|tx| {
                tx.on_commit(|| panic!("commit hook"));
                if writes {
                    tx.write(&v, 1);
                }
                Ok(())
            })
        }));
    }
    assert_eq!((line(&space, "label").as_str(), v.load()), ("2 commits", 1));
    // Of an abort: the call has ended by that.
    drop(panic_of(|| {
        labelled(&space, "abort").try_run(|tx| {
            tx.on_rollback(|| panic!("rollback hook"));
            tx.abort::<(), _>(())
        })
    }));
    assert_eq!(line(&space, "abort"), "0 commits, 1 aborts");
}

/// A transaction inside the destructor of a thread that panics ends like any other.
#[test]
fn s7_2_a_call_while_the_thread_panics() {
    struct Runs(Space, V);
    impl Drop for Runs {
        fn drop(&mut self) {
            let label = labelled(&self.0, "label");
            label.run(|tx| Ok(tx.write(&self.1, 5))).unwrap();
            assert!(label.try_run(|tx| tx.abort::<(), _>(())).is_err());
            assert!(label.clone().timeout(Duration::ZERO).run(|tx| tx.check(*tx.read(&self.1) > 5)).is_err());
            let mut sleeps = Box::pin(label.run_async(|tx| tx.check(*tx.read(&self.1) > 5)));
            assert!(poll(&mut sleeps).is_pending());
        }
    }
    let space = observed();
    let [v] = vars(&space, ["v"]);
    drop(panic_of(|| {
        let _runs = Runs(space.clone(), v.clone());
        panic!("unwinding");
    }));
    assert_eq!(line(&space, "label"), "1 commits, 1 aborts, 1 failures, 1 sleeps");
}

#[test]
fn s7_2_conflicts_and_reruns() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    lose(&labelled(&space, "loser"), &v, || win(&space, "winner", &v, 4));
    assert_eq!(line(&space, "loser"), "1 commits, 1 re-runs, 1 conflicts");
    assert_eq!(line(&space, "winner"), "1 commits");
    // A part that fails is part of its call.
    let run = |tx: &tvar::Tx<'_>| tx.or_else(|tx| tx.retry(), |tx| Ok(tx.write(&v, 1)));
    labelled(&space, "or").run(run).unwrap();
    assert_eq!(line(&space, "or"), "1 commits");
}

#[test]
fn s7_2_sleeps() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let sleeper = {
        let (label, v) = (labelled(&space, "label"), v.clone());
        std::thread::spawn(move || label.run(|tx| tx.check(*tx.read(&v) >= 2)))
    };
    for parked in 1..=2 {
        blocking_common::eventually("it sleeps", || space.stats().parked == parked);
        assert_eq!(line(&space, "label"), "none", "it has not ended");
        v.update(|n| n + 1);
    }
    sleeper.join().unwrap().unwrap();
    assert_eq!(line(&space, "label"), "1 commits, 2 re-runs, 2 sleeps");
}

#[test]
fn s7_2_lock_waits_and_deadlocks() {
    let space = observed();
    let [a, b] = locks_common::vars(&space, ["a", "b"]);
    let holder = Actor::start(&space, "holder");
    holder.lock(&a, LockMode::Exclusive);
    let (locks, writes) = (Actor::start(&space, "locks"), Actor::start(&space, "writes"));
    locks.want(&a, LockMode::Exclusive);
    in_line(&space, 1);
    writes.write(&a, 3);
    writes.end();
    in_line(&space, 2);
    holder.commit();
    assert_eq!(locks.event(), locks_common::Event::Done(0));
    locks.commit();
    assert_eq!(writes.ended(), Ok(()));
    assert_eq!(line(&space, "holder"), "1 commits");
    assert_eq!(line(&space, "locks"), "1 commits, 1 lock waits");
    assert_eq!(line(&space, "writes"), "1 commits, 1 lock waits");
    // A deadlock; the victim fails.
    let (one, two) = (Actor::start(&space, "one"), Actor::with(labelled(&space, "two").fail_on_deadlock()));
    one.lock(&a, LockMode::Exclusive);
    two.lock(&b, LockMode::Exclusive);
    one.want(&b, LockMode::Exclusive);
    in_line(&space, 1);
    two.want(&a, LockMode::Exclusive);
    assert!(two.ended().unwrap_err().is_deadlock());
    assert_eq!(one.event(), locks_common::Event::Done(0));
    one.commit();
    assert_eq!(line(&space, "one"), "1 commits, 1 lock waits");
    let two = line(&space, "two");
    assert!(two == "0 commits, 1 failures, 1 deadlocks", "{two}");
    assert_eq!((space.stats().lock_waits, space.stats().deadlocks), (3, 1));
}

#[test]
fn s7_2_a_future_is_counted_once_across_its_sleeps() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let label = space.options().label(String::from("future"));
    let mut future = Box::pin(label.run_async(|tx| tx.check(*tx.read(&v) >= 2)));
    for _ in 0..2 {
        assert!(poll(&mut future).is_pending());
        assert_eq!(line(&space, "future"), "none");
        v.update(|n| n + 1);
    }
    assert_eq!(poll(&mut future), Poll::Ready(Ok(())));
    assert_eq!(line(&space, "future"), "1 commits, 2 re-runs, 2 sleeps");
    // One that conflicts, then sleeps: what it went through before is kept over the sleep.
    let [w, locked] = vars(&space, ["w", "locked"]);
    let mut future = Box::pin(labelled(&space, "mixed").run_async(|tx| {
        let n = *tx.read(&w);
        tx.write(&locked, tx.attempt().cast_signed());
        match tx.attempt() {
            1 => elsewhere(|| w.update(|n| n + 1)),
            _ => tx.check(n >= 2)?,
        }
        Ok(())
    }));
    assert!(poll(&mut future).is_pending());
    w.store(2);
    assert!(poll(&mut future).is_ready());
    assert_eq!(line(&space, "mixed"), "1 commits, 2 re-runs, 1 conflicts, 1 sleeps");
}

#[test]
fn s7_2_futures_that_fail_panic_abort_or_are_dropped() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let label = labelled(&space, "label");
    let mut dropped = Box::pin(label.run_async(|tx| tx.check(*tx.read(&v) > 0)));
    assert!(poll(&mut dropped).is_pending());
    drop(dropped);
    drop(label.run_async(|_| Ok(())));
    assert_eq!(line(&space, "label"), "none");
    let late = label.clone().timeout(Duration::from_millis(1));
    let failed = futures::executor::block_on(late.run_async(|tx| tx.check(*tx.read(&v) > 0)));
    assert!(failed.unwrap_err().is_timeout());
    let mut aborted = Box::pin(label.try_run_async(|tx| tx.abort::<(), _>(())));
    assert!(poll(&mut aborted).is_ready());
    let mut panics = Box::pin(label.run_async(|_| -> tvar::Stm<()> { panic!("closure") }));
    drop(panic_of(|| poll(&mut panics)));
    assert_eq!(line(&space, "label"), "0 commits, 1 aborts, 1 failures, 1 panics, 1 sleeps");
}

/// Calls that begin while nobody observes, or end then, are not counted; those that are observed all the time are.
#[test]
fn s7_2_calls_across_the_switch() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let label = labelled(&space, "label");
    label.run(|_| Ok(space.observe(true))).unwrap();
    assert_eq!(line(&space, "label"), "none");
    label.run(|tx| Ok((tx.write(&v, 1), space.observe(false)))).unwrap();
    label.run(|_| Ok(())).unwrap();
    assert_eq!(line(&space, "label"), "none");
    space.observe(true);
    label.run(|_| Ok(())).unwrap();
    assert_eq!(line(&space, "label"), "1 commits");
}

/// A commit that is decided by somebody else counts for its own call, when that ends.
#[test]
fn s7_2_members_of_batches_count_for_themselves() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let member = {
        let (options, v) = (labelled(&space, "member").coalesce_after(0), v.clone());
        Paused::at(Point::Announced, move || options.run(|tx| Ok(tx.write(&v, 3))))
    };
    win(&space, "publisher", &TVar::new_in(&space, 0), 1);
    assert_eq!((line(&space, "member").as_str(), v.load()), ("none", 3));
    member.finish().unwrap();
    assert_eq!((line(&space, "member").as_str(), line(&space, "publisher").as_str()), ("1 commits", "1 commits"));
}

#[test]
fn s7_2_every_call_of_many_threads_is_counted() {
    let space = observed();
    let v = Arc::new(TVar::new_in(&space, 0));
    const CALLS: u64 = 500;
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (space, v) = (&space, &v);
            scope.spawn(move || {
                for n in 0..CALLS {
                    let label = space.options().label(if n % 2 == 0 { "even" } else { "odd" });
                    let abort = n % 10 == 9;
                    let result = label.try_run(|tx| {
                        tx.modify(v, |n| n + 1);
                        if abort { tx.abort(thread) } else { Ok(()) }
                    });
                    assert_eq!(result.is_err(), abort);
                }
            });
        }
    });
    let all = space.label_stats();
    let sum = |of: fn(&tvar::LabelStats) -> u64| all.iter().map(of).sum::<u64>();
    assert_eq!((all[0].commits, all[0].aborts), (8 * CALLS / 2, 0));
    assert_eq!((all[1].commits, all[1].aborts), (8 * CALLS * 4 / 10, 8 * CALLS / 10));
    let stats = space.stats();
    assert_eq!((sum(|l| l.conflicts), sum(|l| l.reruns)), (stats.conflicts, stats.reruns));
    assert_eq!((sum(|l| l.commits), v.load()), (stats.commits, stats.commits));
}
