//! §7.2: `Space::report_blocked` reports each wait that lasts too long, once, and lets go of everything when it ends.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod common;
mod locks_common;
mod observe_common;

use blocking_common::{PATIENCE, eventually, join};
use locks_common::{Actor, Event, in_line};
use observe_common::{V, labelled, name, vars};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use tvar::{BlockedReports, LockMode, Space, TVar, Waiting};

const SOON: Duration = Duration::from_millis(1);

/// A watch that hands on what it reports, as `who: variables`.
fn watch(space: &Space, longer_than: Duration) -> (BlockedReports, Receiver<String>) {
    let (send, reports) = channel();
    let line = |wait: &Waiting| format!("{}: {}", name(&wait.who), wait.variables.join(", "));
    (space.report_blocked(longer_than, move |wait| drop(send.send(line(wait)))), reports)
}

#[track_caller]
fn next<T>(reports: &Receiver<T>) -> T {
    reports.recv_timeout(PATIENCE).expect("a report")
}

/// Nothing more is reported, as far as one can see.
#[track_caller]
fn silent(reports: &Receiver<String>) {
    thread::sleep(Duration::from_millis(30));
    assert_eq!(reports.try_iter().collect::<Vec<_>>(), [""; 0]);
}

/// A thread that waits under this label until the variable is at least so much.
fn waits(space: &Space, label: &'static str, v: &V, least: i64) -> thread::JoinHandle<()> {
    let (options, v) = (labelled(space, label), v.clone());
    thread::spawn(move || options.run(|tx| tx.check(*tx.read(&v) >= least)).unwrap())
}

#[test]
fn s7_2_each_wait_is_reported_once() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let (_watch, reports) = watch(&space, SOON);
    let one = waits(&space, "one", &v, 2);
    assert_eq!(next(&reports), "one: v");
    silent(&reports);
    // What else is committed makes no new wait; a wake-up does.
    (0..100).for_each(|n| w.store(n));
    silent(&reports);
    v.store(1);
    assert_eq!(next(&reports), "one: v");
    let two = waits(&space, "two", &v, 2);
    assert_eq!(next(&reports), "two: v");
    silent(&reports);
    v.store(2);
    join("both wake", one);
    join("both wake", two);
    silent(&reports);
}

#[test]
fn s7_2_a_report_says_how_long() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let (send, reports) = channel();
    let limit = Duration::from_millis(20);
    let _watch = space.report_blocked(limit, move |wait| drop(send.send(wait.clone())));
    let waiter = waits(&space, "slow", &v, 1);
    let report = next(&reports);
    assert!(report.waited > limit && report.behind.is_none());
    let text = report.to_string();
    assert!(text.starts_with("`slow` (TxOptions::run at ") && text.ends_with(" in retry for `v`"), "{text}");
    v.store(1);
    join("it wakes", waiter);
}

#[test]
fn s7_2_lock_waits_and_tasks() {
    let space = Space::new();
    let [v] = locks_common::vars(&space, ["v"]);
    let (send, reports) = channel();
    let _watch = space.report_blocked(SOON, move |wait| drop(send.send(wait.clone())));
    let (holder, waits) = (Actor::start(&space, "holder"), Actor::start(&space, "waits"));
    holder.lock(&v, LockMode::Exclusive);
    waits.want(&v, LockMode::Exclusive);
    let report = next(&reports);
    assert_eq!((name(&report.who).as_str(), name(&report.behind.unwrap()[0]).as_str()), ("waits", "holder"));
    holder.commit();
    assert_eq!(waits.event(), Event::Done(0));
    // The same call in another line.
    let other = TVar::named_in(&space, "other", 0);
    let holder = Actor::start(&space, "holder");
    holder.lock(&other, LockMode::Shared);
    waits.want(&other, LockMode::Exclusive);
    let report = next(&reports);
    assert_eq!((name(&report.who).as_str(), report.variables), ("waits", vec!["other".to_string()]));
    holder.commit();
    assert_eq!(waits.event(), Event::Done(0));
    waits.commit();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (options, asked) = (labelled(&space, "task"), v.clone());
    let task = thread::spawn(move || runtime.block_on(options.run_async(move |tx| tx.check(*tx.read(&asked) > 0))));
    let report = next(&reports);
    assert_eq!((name(&report.who).as_str(), report.who.function), ("task", "TxOptions::run_async"));
    v.store(1);
    assert_eq!(join("the task", task), Ok(()));
    assert!(reports.try_recv().is_err());
}

#[test]
fn s7_2_no_limit_and_an_endless_one() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let (zero, reports) = watch(&space, Duration::ZERO);
    let (endless, never) = watch(&space, Duration::MAX);
    let waiter = waits(&space, "one", &v, 1);
    assert_eq!(next(&reports), "one: v");
    drop(endless);
    assert!(never.try_recv().is_err());
    drop(zero);
    v.store(1);
    join("it wakes", waiter);
}

#[test]
fn s7_2_several_watches_and_spaces() {
    let (space, other) = (Space::new(), Space::new());
    let ([v], [w]) = (vars(&space, ["v"]), vars(&other, ["w"]));
    let (first, one) = watch(&space, SOON);
    let (_second, two) = watch(&space, SOON);
    let (_third, three) = watch(&other, SOON);
    let waiter = waits(&space, "here", &v, 2);
    assert_eq!((next(&one).as_str(), next(&two).as_str()), ("here: v", "here: v"));
    drop(first);
    v.store(1);
    assert_eq!(next(&two), "here: v");
    assert!(one.try_recv().is_err(), "its watch has ended");
    let there = waits(&other, "there", &w, 1);
    assert_eq!(next(&three), "there: w");
    silent(&two);
    v.store(2);
    w.store(1);
    join("they wake", waiter);
    join("they wake", there);
}

/// A panic in a report ends neither the reports nor anything else.
#[test]
fn s7_2_a_report_that_panics() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let (send, reports) = channel();
    let watch = space.report_blocked(SOON, move |wait| {
        send.send(name(&wait.who)).ok();
        // With a payload that panics in turn.
        struct Again;
        impl Drop for Again {
            fn drop(&mut self) {
                panic!("the payload of a report");
            }
        }
        std::panic::panic_any(Again);
    });
    for label in ["one", "two"] {
        let waiter = waits(&space, label, &v, 1);
        assert_eq!(next(&reports), label);
        v.store(1);
        join("it wakes", waiter);
        v.store(0);
    }
    drop(watch);
}

#[test]
fn s7_2_a_report_runs_transactions_and_ends_the_wait() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let (inner, woken) = (space.clone(), v.clone());
    let seen = TVar::new_in(&space, Vec::new());
    let log = seen.clone();
    let _watch = space.report_blocked(SOON, move |wait| {
        let who = name(&wait.who);
        inner.atomically(|tx| {
            tx.modify(&woken, |n| n + 1);
            Ok(tx.modify(&log, |all| [&all[..], std::slice::from_ref(&who)].concat()))
        });
        assert!(inner.waiting().len() <= 3, "the space may be listed too");
    });
    let all: Vec<_> = ["a", "b", "c"].map(|label| waits(&space, label, &v, 3)).into_iter().collect();
    all.into_iter().for_each(|waiter| join("it wakes", waiter));
    assert!(seen.load().len() >= 3);
}

/// The guard is dropped inside a report: that is the last one, although others are due.
#[test]
fn s7_2_a_report_ends_the_reports() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let waiters: Vec<_> = ["a", "b", "c"].map(|label| waits(&space, label, &v, 1)).into_iter().collect();
    eventually("all sleep", || space.waiting().len() == 3);
    let guard = Arc::new(Mutex::new(None::<BlockedReports>));
    let (own, reports) = (guard.clone(), Arc::new(AtomicU64::new(0)));
    let (count, (send, ended)) = (reports.clone(), channel::<()>());
    let barrier = Arc::new(Barrier::new(2));
    let start = barrier.clone();
    *guard.lock().unwrap() = Some(space.report_blocked(Duration::ZERO, move |_| {
        let _ends_with_the_thread = &send;
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            start.wait();
            drop(own.lock().unwrap().take());
        }
    }));
    barrier.wait();
    assert!(ended.recv_timeout(PATIENCE).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Disconnected));
    assert_eq!(reports.load(Ordering::SeqCst), 1);
    v.store(1);
    waiters.into_iter().for_each(|waiter| join("it wakes", waiter));
}

/// Whoever drops the guard waits for the report that is being made, and there is none after.
#[test]
fn s7_2_the_drop_waits_for_a_report() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let waiters: Vec<_> = ["a", "b", "c"].map(|label| waits(&space, label, &v, 1)).into_iter().collect();
    eventually("all sleep", || space.waiting().len() == 3);
    let [made, finished] = [0, 0].map(|n| Arc::new(AtomicU64::new(n)));
    let (count, ended) = (made.clone(), finished.clone());
    let watch = space.report_blocked(Duration::ZERO, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        thread::sleep(Duration::from_millis(20));
        ended.fetch_add(1, Ordering::SeqCst);
    });
    eventually("a report is being made", || made.load(Ordering::SeqCst) > 0);
    drop(watch);
    let reports = made.load(Ordering::SeqCst);
    assert_eq!(finished.load(Ordering::SeqCst), reports);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(made.load(Ordering::SeqCst), reports);
    v.store(1);
    waiters.into_iter().for_each(|waiter| join("it wakes", waiter));
}

/// The watch does not keep the space: when that goes, its values are dropped and the thread ends.
#[test]
fn s7_2_the_space_goes_while_it_is_watched() {
    struct Value(#[allow(dead_code, reason = "held")] Arc<()>);
    for written in [false, true] {
        let space = Space::new();
        let alive = Arc::new(());
        let v = TVar::new_in(&space, None);
        if written {
            v.store(Some(Value(alive.clone())));
        }
        let (send, ended) = channel::<()>();
        let watch = space.report_blocked(SOON, move |_| _ = send.send(()));
        thread::sleep(Duration::from_millis(5));
        drop((v, space));
        assert_eq!(
            ended.recv_timeout(PATIENCE),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected),
            "the thread ends"
        );
        eventually("the value is dropped", || Arc::strong_count(&alive) == 1);
        drop(watch);
    }
}

/// A guard inside a value of the very space that it watches.
#[test]
fn s7_2_the_space_owns_its_watch() {
    let space = Space::new();
    let owner = TVar::new_in(&space, None);
    let (send, ended) = channel::<()>();
    owner.store(Some(Mutex::new(space.report_blocked(SOON, move |_| _ = send.send(())))));
    thread::sleep(Duration::from_millis(5));
    drop((owner, space));
    assert_eq!(ended.recv_timeout(PATIENCE), Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
}

/// Nothing is missed and nothing reported twice while many come and go.
#[test]
fn s7_2_many_waits_under_watch() {
    let space = Space::new();
    let v = TVar::named_in(&space, "v", 0);
    let (watch, reports) = watch(&space, Duration::ZERO);
    const WAITS: usize = 300;
    let mut waiters = Vec::new();
    for _ in 0..WAITS {
        let v = v.clone();
        let options = labelled(&space, "many");
        waiters.push(Box::pin(async move { options.run_async(|tx| tx.check(*tx.read(&v) > 0)).await }));
    }
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for waiter in &mut waiters {
        assert!(std::future::Future::poll(waiter.as_mut(), &mut cx).is_pending());
    }
    for _ in 0..WAITS {
        assert_eq!(next(&reports), "many: v");
    }
    silent(&reports);
    drop(watch);
    // No thread holds anything: lines are free.
    let actor = Actor::start(&space, "free");
    in_line(&space, 0);
    actor.commit();
}
