//! §7.2 with the feature `tracing`: what is sent, with which fields and level; and subscribers that run transactions, or panic.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod common;
mod locks_common;
mod observe_common;
#[path = "observe_common/subscriber.rs"]
mod subscriber;

use blocking_common::eventually;
use common::{elsewhere, panic_message};
use locks_common::{Actor, Event, in_line};
use observe_common::{V, labelled, lose, vars, win};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use subscriber::Notes;
use tracing::Level;
use tracing::subscriber::with_default;
use tvar::{LockMode, Space, TVar};

/// The events of what `f` does on this thread.
fn events<R>(least: Level, f: impl FnOnce() -> R) -> (Vec<String>, R) {
    let notes = Notes::new(least);
    let result = with_default(notes.clone(), f);
    (notes.take(), result)
}

fn all(f: impl FnOnce()) -> Vec<String> {
    events(Level::TRACE, f).0
}

#[test]
fn s7_2_commits() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let sent = all(|| {
        labelled(&space, "label").run(|tx| Ok(tx.write(&v, 1))).unwrap();
        labelled(&space, "label").run(|tx| Ok(*tx.read(&v))).unwrap();
        v.store(2);
        labelled(&space, "rare").run(|tx| Ok(tx.on_commit(|| {}))).unwrap();
    });
    let one = r#"TRACE committed label="label" attempts=1"#;
    assert_eq!(sent, [one, one, "TRACE committed attempts=1", r#"TRACE committed label="rare" attempts=1"#]);
    let aborted = all(|| assert!(labelled(&space, "label").try_run(|tx| tx.abort::<(), _>(())).is_err()));
    assert!(aborted.is_empty());
}

/// The version of a commit: the one that published it, alone or with others (§4.2); if nothing changed, the one that it was validated in; if
/// nothing was written, its snapshot's, which a lock may have moved (§5.3).
#[test]
fn s7_2_the_version_of_a_commit() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let told = |f: &dyn Fn()| {
        let notes = Notes::new(Level::TRACE);
        with_default(notes.clone(), f);
        std::mem::take(&mut *notes.versions.lock().unwrap())
    };
    let commit = |f: &dyn Fn()| {
        let versions = told(f);
        assert_eq!(versions, [space.version()]);
        versions[0]
    };
    let first = commit(&|| v.store(1));
    assert_eq!(commit(&|| v.update(|n| n + 1)), first + 1);
    assert_eq!(commit(&|| assert_eq!(v.load(), 2)), first + 1);
    assert_eq!(commit(&|| v.store(2)), first + 1, "the same bits (§3.1)");
    let other = || elsewhere(|| w.update(|n| n + 1));
    // Blind: validated on a newer version than its snapshot's.
    let unchanged = |tx: &tvar::Tx<'_>| {
        other();
        Ok(tx.write(&v, 2))
    };
    assert_eq!(commit(&|| space.atomically(unchanged)), first + 2);
    let read_only = |tx: &tvar::Tx<'_>| {
        other();
        tx.check(*tx.read(&v) == 2)
    };
    assert_eq!(told(&|| space.atomically(read_only)), [first + 2]);
    let moved = |tx: &tvar::Tx<'_>| {
        other();
        tx.lock(&w, LockMode::Shared)
    };
    let moves = told(&|| space.atomically(moved))[0];
    assert_eq!(moves, space.version());
    let at_once = labelled(&space, "announced").coalesce_after(0);
    assert_eq!(commit(&|| at_once.run(|tx| Ok(tx.write(&v, 3))).unwrap()), moves + 1);
    assert_eq!(space.stats().batches, 1);
    let hooked = |tx: &tvar::Tx<'_>| {
        tx.write(&v, 4);
        let w = w.clone();
        Ok(tx.on_commit(move || w.store(9)))
    };
    assert_eq!(told(&|| space.atomically(hooked)), [moves + 2, moves + 3], "before the hook's own");
}

#[test]
fn s7_2_the_place_is_that_of_the_call() {
    let notes = Notes::new(Level::TRACE);
    let v = TVar::new(0);
    with_default(notes.clone(), || v.store(1));
    let line = notes.lines.lock().unwrap().pop().unwrap();
    let here = format!("at={}:{}:", file!(), line!() - 2);
    assert!(line.contains(&here), "{line} {here}");
}

#[test]
fn s7_2_losses_turns_and_limits() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let loser = labelled(&space, "loser");
    let sent = all(|| lose(&loser, &v, || v.store(7)));
    let lost = r#"DEBUG lost to another commit label="loser" variable="v""#;
    assert_eq!(sent, [lost, r#"TRACE committed label="loser" attempts=2"#]);
    let sent = all(|| lose(&loser.clone().escalate_after(1), &v, || v.store(7)));
    let turn = r#"INFO takes the turn label="loser" lost=1"#;
    assert_eq!(sent, [lost, turn, r#"TRACE committed label="loser" attempts=2"#]);
    let sent = all(|| {
        let limited = loser.clone().max_attempts(1).run(|tx| {
            let n = *tx.read(&v);
            elsewhere(|| v.update(|n| n + 1));
            Ok(tx.write(&v, n))
        });
        assert!(limited.is_err());
    });
    assert_eq!(sent, [lost, r#"INFO ran into a limit of its options label="loser" attempts=1"#]);
    // §2.10: it is not known which variable.
    let sent = all(|| {
        let refresh = |tx: &tvar::Tx<'_>| {
            tx.read(&v);
            if tx.attempt() == 1 {
                elsewhere(|| v.update(|n| n + 1));
            }
            tx.refresh()
        };
        loser.run(refresh).unwrap();
    });
    assert_eq!(sent, [r#"DEBUG lost to another commit label="loser""#, r#"TRACE committed label="loser" attempts=2"#]);
}

#[test]
fn s7_2_sleeps() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let short = labelled(&space, "short").timeout(Duration::from_millis(1));
    let expected = [
        r#"DEBUG waits for a change label="short" reads=2"#,
        r#"INFO ran into a limit of its options label="short" attempts=1"#,
    ];
    let sent = all(|| assert!(short.run(|tx| tx.check(*tx.read(&v) > *tx.read(&w))).is_err()));
    assert_eq!(sent, expected);
    let sent = all(|| {
        let future = short.run_async(|tx| tx.check(*tx.read(&v) > *tx.read(&w)));
        assert!(futures::executor::block_on(future).is_err());
    });
    assert_eq!(sent, expected, "as a task");
    let sent = all(|| {
        let mut future = Box::pin(labelled(&space, "task").run_async(|tx| tx.check(*tx.read(&v) > 0)));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut cx).is_pending());
        v.store(1);
        assert!(future.as_mut().poll(&mut cx).is_ready());
    });
    let task = [r#"DEBUG waits for a change label="task" reads=1"#, "TRACE committed attempts=1"];
    assert_eq!(sent, [task[0], task[1], r#"TRACE committed label="task" attempts=2"#]);
}

#[test]
fn s7_2_deadlocks() {
    let space = Space::new();
    let [a, b] = vars(&space, ["a", "b"]);
    let other = Actor::start(&space, "other");
    other.lock(&b, LockMode::Exclusive);
    let sent = all(|| {
        let deadlock = labelled(&space, "victim").fail_on_deadlock().run(|tx| {
            tx.lock(&a, LockMode::Exclusive)?;
            other.want(&a, LockMode::Exclusive);
            in_line(&space, 1);
            tx.lock(&b, LockMode::Exclusive)
        });
        assert!(deadlock.unwrap_err().is_deadlock());
    });
    let limit = r#"INFO ran into a limit of its options label="victim" attempts=1"#;
    assert_eq!(sent, [r#"WARN gave way in a deadlock label="victim""#, limit]);
    assert_eq!(other.event(), Event::Done(0));
    other.commit();
}

#[test]
fn s7_2_levels_are_the_subscribers_choice() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let counts = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN].map(|least| {
        events(least, || lose(&labelled(&space, "loser").escalate_after(1), &v, || v.update(|n| n + 1))).0.len()
    });
    assert_eq!(counts, [3, 2, 1, 0]);
}

/// A subscriber is the user's code: it runs transactions of its own, on the same variables, when asked and when told; they send nothing.
#[test]
fn s7_2_a_subscriber_runs_transactions() {
    let space = Space::new();
    let [v, events, questions] = vars(&space, ["v", "events", "questions"]);
    let (at_event, at_question) = (events.clone(), questions.clone());
    let (hit, label) = (v.clone(), labelled(&space, "subscriber"));
    let notes = Notes::new(Level::TRACE)
        .at_events(move || {
            at_event.update(|n| n + 1);
            label.run(|tx| Ok(tx.write(&hit, 100))).unwrap();
        })
        .at_questions(move || at_question.update(|n| n + 1));
    with_default(notes.clone(), || {
        lose(&labelled(&space, "loser").escalate_after(1), &v, || v.store(7));
        let short = labelled(&space, "short").timeout(Duration::ZERO);
        assert!(short.run(|tx| tx.check(*tx.read(&v) < 0)).is_err());
        space.atomically(|tx| tx.lock(&v, LockMode::Exclusive));
        let mut future = Box::pin(space.atomically_async(|tx| tx.check(*tx.read(&v) < 0)));
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    });
    let sent = notes.take();
    assert_eq!(sent.len(), 7, "{sent:#?}");
    assert!(!sent.iter().any(|line| line.contains("subscriber")));
    assert_eq!(events.load(), 7);
    assert!(questions.load() >= 7);
}

/// A panic in a subscriber, which the panic hook has reported, ends there: it fails no transaction, and undoes none.
#[test]
fn s7_2_a_subscriber_that_panics() {
    let space = Space::new();
    space.observe(true);
    let [v] = vars(&space, ["v"]);
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    let at_events = Notes::new(Level::TRACE).at_events(|| panic!("subscriber"));
    let at_questions = Notes::new(Level::TRACE).at_questions(move || {
        count.fetch_add(1, Ordering::SeqCst);
        panic!("subscriber");
    });
    for (n, notes) in [at_events, at_questions].into_iter().enumerate() {
        with_default(notes.clone(), || {
            lose(&labelled(&space, "loser").escalate_after(1), &v, || v.store(7));
            let short = labelled(&space, "short").timeout(Duration::ZERO);
            assert!(short.run(|tx| tx.check(*tx.read(&v) < 0)).unwrap_err().is_timeout());
            assert_eq!(space.atomically(|tx| Ok(*tx.read(&v))), 8);
        });
        assert_eq!(notes.take().len(), if n == 0 { 6 } else { 0 });
    }
    assert!(asked.load(Ordering::SeqCst) >= 6);
    assert!(space.label_stats().iter().all(|label| label.panics == 0));
    assert_eq!((space.waiters(), space.locks().len()), (0, 0));
    // A closure's own panic is not touched.
    let sent = all(|| assert_eq!(panic_message(|| space.atomically::<()>(|_| panic!("closure"))), "closure"));
    assert!(sent.is_empty());
}

/// The event tells of the commit even if a hook panics after it.
#[test]
fn s7_2_a_commit_hook_that_panics() {
    let space = Space::new();
    let hook = |tx: &tvar::Tx<'_>| Ok(tx.on_commit(|| panic!("hook")));
    let sent = all(|| assert_eq!(panic_message(|| labelled(&space, "label").run(hook)), "hook"));
    assert_eq!(sent, [r#"TRACE committed label="label" attempts=1"#]);
}

/// Events come in the destructor of a thread that panics, too, and do not end the process.
#[test]
fn s7_2_while_the_thread_panics() {
    struct Runs(V);
    impl Drop for Runs {
        fn drop(&mut self) {
            self.0.store(1);
        }
    }
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let notes = Notes::new(Level::TRACE).at_events(|| panic!("subscriber"));
    with_default(notes.clone(), || {
        let unwind = || {
            let _runs = Runs(v.clone());
            panic!("unwinding");
        };
        assert_eq!(panic_message(unwind), "unwinding");
    });
    assert_eq!((notes.take().len(), v.load()), (1, 1));
}

/// A lost attempt's locks stay (§5.2) while the event is sent; they are not in the way of what the subscriber does on that thread.
#[test]
fn s7_2_a_subscriber_and_the_locks_of_the_call() {
    let space = Space::new();
    let [v, locked] = vars(&space, ["v", "locked"]);
    let write = locked.clone();
    let notes = Notes::new(Level::DEBUG).at_events(move || write.update(|n| n + 1));
    with_default(notes.clone(), || {
        let run = |tx: &tvar::Tx<'_>| {
            tx.lock(&locked, LockMode::Exclusive)?;
            let n = *tx.read(&v);
            if tx.attempt() == 1 {
                elsewhere(|| win(&space, "winner", &v, 3));
            }
            Ok(tx.write(&v, n + 1))
        };
        labelled(&space, "loser").run(run).unwrap();
    });
    eventually("it is done", || (locked.load(), v.load()) == (1, 4));
    assert_eq!(notes.take().len(), 1);
}
