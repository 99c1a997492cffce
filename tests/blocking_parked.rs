//! §3.1, §3.7: nothing is held while asleep, and nothing is left after it.

mod blocking_common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocking_common::{Counted, Pause, Paused, Waiter, at, eventually, guarded, join, live_count, panic_message};
use tvar::hooks::Point;
use tvar::{Space, Stm, TVar, TxOptions};

/// §3.7: nothing is left after a wake-up, a deadline, a timeout, an abort and a panic.
#[test]
fn no_trace_is_left() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let w = TVar::new_in(&space, 0i64);
        let both = |tx: &tvar::Tx<'_>| *tx.read(&v) + *tx.read(&w);
        let idle = || assert_eq!((space.waiters(), v.waiters(), w.waiters()), (0, 0, 0));

        let late = space.atomically(|tx| {
            let sum = both(tx);
            tx.retry_for(Duration::from_millis(5))?;
            Ok(sum)
        });
        assert_eq!(late, 0);
        idle();

        let options = TxOptions::new().space(&space);
        let timed_out: Result<(), _> = options.timeout(Duration::from_millis(5)).run(|tx| tx.check(both(tx) != 0));
        assert!(timed_out.is_err_and(|e| e.is_timeout()));
        idle();

        let (v1, w1, s1) = (v.clone(), w.clone(), space.clone());
        let aborter = std::thread::spawn(move || {
            s1.try_atomically(|tx| match *tx.read(&v1) + *tx.read(&w1) {
                0 => Ok(tx.retry()?),
                sum => tx.abort::<(), i64>(sum),
            })
        });
        eventually("the aborter parks", || w.waiters() == 1);
        w.store(2);
        assert_eq!(join("the aborter ends", aborter), Err(2));
        idle();

        let (v1, w1) = (v.clone(), w.clone());
        let panicker = Waiter::asleep(&space, move |tx| -> Stm<()> {
            match *tx.read(&v1) + *tx.read(&w1) {
                2 => tx.retry(),
                _ => resume_unwind(Box::new("planned")),
            }
        });
        eventually("the panicker parks", || v.waiters() == 1);
        v.store(3);
        let message = panic_message(|| panicker.finish("the panicker ends"));
        assert_eq!(message, "planned");
        idle();
        v.store(4);
        assert_eq!(v.load() + w.load(), 6);
    });
}

/// §3.7, §7.1: a rollback hook that panics before the sleep leaves no waiter behind.
#[test]
fn a_panicking_hook_leaves_no_waiter() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let result = catch_unwind(AssertUnwindSafe(|| {
            space.atomically(|tx| {
                tx.on_rollback(|| resume_unwind(Box::new("planned")));
                tx.check(*tx.read(&v) != 0)
            })
        }));
        assert!(result.is_err());
        assert_eq!((space.waiters(), v.waiters()), (0, 0));
        v.store(1);
        space.atomically(|tx| tx.check(*tx.read(&v) == 1));
    });
}

/// §3.1: a parked attempt holds no snapshot: what is replaced meanwhile is dropped.
#[test]
fn the_parked_hold_no_snapshot() {
    let live = live_count();
    let space = Space::new();
    let gate = TVar::new_in(&space, false);
    let payload = TVar::new_in(&space, Counted::new(&live, 0));
    payload.store(Counted::new(&live, 1));
    let (g, p) = (gate.clone(), payload.clone());
    let waiter = Waiter::asleep(&space, move |tx| {
        tx.check(*tx.read(&g))?;
        Ok(tx.read(&p).get())
    });
    for i in 2..200 {
        payload.store(Counted::new(&live, i));
    }
    gate.store(false);
    TVar::new_in(&space, 0).store(1);
    assert_eq!(live.load(Ordering::SeqCst), 1);
    assert_eq!((waiter.runs(), gate.waiters()), (1, 1));
    gate.store(true);
    assert_eq!(waiter.finish("woken by the gate"), (199, 2));
}

/// §3.1, §1.7: a parked attempt has let go of the values that it wrote, and of those that its thread replaced before.
#[test]
fn the_parked_hold_no_values() {
    let live = live_count();
    let space = Space::new();
    let gate = TVar::new_in(&space, false);
    let payload = TVar::new_in(&space, Counted::new(&live, 0));
    let (counter, g, p, s) = (live.clone(), gate.clone(), payload.clone(), space.clone());
    let thread = std::thread::spawn(move || {
        for i in 0..10 {
            p.store(Counted::new(&counter, i));
        }
        s.atomically(|tx| {
            tx.write(&p, Counted::new(&counter, 50));
            let fresh = TVar::new_in(&s, Counted::new(&counter, 51));
            tx.write(&fresh, Counted::new(&counter, 52));
            tx.or_else(
                |tx| {
                    tx.write(&p, Counted::new(&counter, 53));
                    tx.retry()
                },
                |tx| tx.check(*tx.read(&g)),
            )
        });
    });
    eventually("parks", || space.stats().parked == 1);
    assert_eq!(live.load(Ordering::SeqCst), 1);
    gate.store(true);
    join("woken by the gate", thread);
    assert_eq!(payload.load_value(), 50);
}

/// §1.7: what a thread could not drop before it parked is dropped by those who go on committing.
#[test]
fn the_backlog_of_the_parked_is_taken_over() {
    let live = live_count();
    let space = Space::new();
    let gate = TVar::new_in(&space, 0i64);
    let payload = TVar::new_in(&space, Counted::new(&live, 0));
    let start = Pause::new();
    let (counter, go, s, g, p) = (live.clone(), start.clone(), space.clone(), gate.clone(), payload.clone());
    let thread = std::thread::spawn(move || {
        for round in 1..=50 {
            p.store(Counted::new(&counter, round));
            go.stop();
            p.store(Counted::new(&counter, round));
            s.atomically(|tx| tx.check(*tx.read(&g) >= round as i64));
        }
    });
    start.reached();
    // Its snapshot reaches a value that the other thread replaces before it parks.
    let (s, p) = (space.clone(), payload.clone());
    let reader = Paused::at(Point::Read, move || {
        s.atomically(|tx| Ok(tx.read(&p).get()));
    });
    start.release();
    eventually("parks", || space.stats().parked == 1);
    assert_eq!(live.load(Ordering::SeqCst), 2);
    reader.finish();
    let noise = TVar::new_in(&space, String::new());
    let mut commits = 0;
    while live.load(Ordering::SeqCst) > 1 && commits < 10_000 {
        noise.store("noise".into());
        commits += 1;
    }
    assert_eq!(live.load(Ordering::SeqCst), 1);
    assert_eq!(space.waiters(), 1);
    // The thread goes on with a new backlog.
    gate.store(50);
    join("goes on after the loss of its backlog", thread);
    noise.store("last".into());
    assert_eq!((live.load(Ordering::SeqCst), payload.load_value()), (1, 50));
}

/// Reads a counted value without a clone.
trait LoadValue {
    fn load_value(&self) -> u64;
}

impl LoadValue for TVar<Counted> {
    fn load_value(&self) -> u64 {
        let space = self.space();
        space.atomically(|tx| Ok(tx.read(self).get()))
    }
}

/// §3.1, §7.1: rollback hooks run on the caller's thread before it sleeps, commit hooks only after the commit.
#[test]
fn rollback_hooks_run_before_the_sleep() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let log = Arc::new(Mutex::new(Vec::new()));
    let (mine, s, l) = (v.clone(), space.clone(), log.clone());
    let thread = std::thread::spawn(move || {
        let me = std::thread::current().id();
        let note = move |l: &Mutex<Vec<_>>, what| {
            assert_eq!(std::thread::current().id(), me);
            l.lock().unwrap().push(what);
        };
        let parks = l.clone();
        let _hook = at(Point::Park, 9, move || note(&parks, "park"));
        s.atomically(|tx| {
            note(&l, "run");
            let (a, b, c) = (l.clone(), l.clone(), l.clone());
            tx.on_rollback(move || note(&a, "first"));
            tx.on_commit(move || note(&b, "commit"));
            tx.on_rollback(move || note(&c, "second"));
            tx.check(*tx.read(&mine) != 0)
        });
    });
    eventually("parks", || log.lock().unwrap().contains(&"park"));
    assert_eq!(*log.lock().unwrap(), ["run", "first", "second", "park"]);
    v.store(1);
    join("woken", thread);
    let expected = ["run", "first", "second", "park", "run", "commit"];
    assert_eq!(*log.lock().unwrap(), expected);
}

/// §3.1: a rollback hook may commit to what is waited on; that wakes.
#[test]
fn a_rollback_hook_that_commits_is_not_lost() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let mine = v.clone();
    let waiter = Waiter::start(&space, move |tx| {
        let hook = mine.clone();
        tx.on_rollback(move || hook.store(1));
        tx.check(*tx.read(&mine) != 0)
    });
    assert_eq!(waiter.finish("woken by its own hook"), ((), 2));
}
