//! §7.1: `on_commit` and `on_rollback` run on the caller's thread, outside all locks, in order,
//! once; a panicking hook stops nothing.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use common::{Census, elsewhere, panic_message};
use tvar::{Space, Stm, TVar, Tx, TxOptions, atomically};

/// A shared log of what ran.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, text: impl Into<String>) -> impl FnOnce() + 'static {
        let (log, text) = (self.clone(), text.into());
        move || log.0.borrow_mut().push(text)
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

#[test]
fn s7_1_commit_hooks_run_once_in_order_after_the_commit() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let log = Log::default();
    let here = thread::current().id();
    space.atomically(|tx| {
        tx.on_commit(log.note("first"));
        tx.on_rollback(log.note("never"));
        tx.write(&var, 1);
        let (same, shared) = (var.clone(), log.clone());
        tx.on_commit(move || {
            assert_eq!(thread::current().id(), here);
            shared.note(format!("second sees {}", same.load()))();
        });
        assert!(log.0.borrow().is_empty());
        Ok(())
    });
    assert_eq!(log.take(), ["first", "second sees 1"]);
    space.atomically(|tx| {
        tx.write(&var, 2);
        Ok(())
    });
    assert!(log.take().is_empty());
}

#[test]
fn s7_1_hooks_of_read_only_transactions_run() {
    let var = TVar::new(1);
    let log = Log::default();
    atomically(|tx| {
        tx.on_commit(log.note(format!("read {}", tx.read(&var))));
        tx.on_rollback(log.note("never"));
        Ok(())
    });
    atomically(|tx| {
        tx.on_commit(log.note("nothing at all"));
        Ok(())
    });
    assert_eq!(log.take(), ["read 1", "nothing at all"]);
}

/// Every attempt that is rolled back runs its own rollback hooks, before the next one begins.
#[test]
fn s7_1_rollback_hooks_run_for_every_attempt_that_is_rolled_back() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let log = Log::default();
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        log.note(format!("begin {runs}"))();
        tx.on_rollback(log.note(format!("rollback {runs} a")));
        tx.on_commit(log.note(format!("commit {runs}")));
        let n = *tx.read(&var);
        if runs < 4 {
            elsewhere(|| var.update(|n| n + 1));
        }
        tx.on_rollback(log.note(format!("rollback {runs} b")));
        match runs {
            // A retry, a refresh, a conflict.
            1 => return tx.retry(),
            2 => tx.refresh()?,
            _ => tx.write(&var, n + 10),
        }
        Ok(())
    });
    let expected = [
        "begin 1",
        "rollback 1 a",
        "rollback 1 b",
        "begin 2",
        "rollback 2 a",
        "rollback 2 b",
        "begin 3",
        "rollback 3 a",
        "rollback 3 b",
        "begin 4",
        "commit 4",
    ];
    assert_eq!(log.take(), expected);
    assert_eq!(var.load(), 13);
}

#[test]
fn s7_1_rollback_hooks_run_on_abort_and_panic_and_at_a_limit() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let log = Log::default();
    let register = |tx: &Tx<'_>, name: &str| {
        tx.write(&var, 1);
        tx.on_commit(log.note("never"));
        tx.on_rollback(log.note(format!("{name} a")));
        tx.on_rollback(log.note(format!("{name} b")));
    };
    let result = space.try_atomically(|tx| {
        register(tx, "abort");
        tx.abort::<(), _>(())
    });
    assert_eq!(result, Err(()));
    assert_eq!(log.take(), ["abort a", "abort b"]);
    let message = panic_message(|| {
        space.atomically(|tx| -> Stm<()> {
            register(tx, "panic");
            panic!("the closure's own")
        });
    });
    assert_eq!(message, "the closure's own");
    assert_eq!(log.take(), ["panic a", "panic b"]);
    let limited = TxOptions::new().space(&space).max_attempts(1);
    let other = TVar::new_in(&space, 0);
    let result = limited.run(|tx| {
        tx.read(&other);
        register(tx, "limit");
        elsewhere(|| other.update(|n| n + 1));
        Ok(())
    });
    assert!(result.is_err());
    assert_eq!(log.take(), ["limit a", "limit b"]);
    let timed = TxOptions::new().space(&space).timeout(Duration::from_millis(1));
    let mut runs = 0;
    let result = timed.run(|tx| {
        runs += 1;
        tx.read(&other);
        register(tx, "timeout");
        tx.retry::<()>()
    });
    assert!(result.is_err_and(|error| error.is_timeout()));
    assert_eq!(log.take(), ["timeout a", "timeout b"].repeat(runs));
    assert_eq!(var.load(), 0);
}

#[test]
fn s7_1_hooks_of_an_undone_alternative_are_discarded() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let log = Log::default();
    let census = Census::new();
    let body = |tx: &Tx<'_>| -> Stm<()> {
        tx.on_commit(log.note("commit before"));
        tx.on_rollback(log.note("rollback before"));
        tx.or_else(
            |tx| {
                let captured = census.value(0);
                tx.on_commit(log.note("commit undone"));
                tx.on_commit(move || drop(captured));
                tx.on_rollback(log.note("rollback undone"));
                tx.write(&var, 9);
                tx.retry()
            },
            |tx| {
                tx.on_commit(log.note("commit taken"));
                tx.on_rollback(log.note("rollback taken"));
                Ok(())
            },
        )?;
        tx.on_commit(log.note("commit after"));
        tx.on_rollback(log.note("rollback after"));
        Ok(())
    };
    space.atomically(body);
    assert_eq!(log.take(), ["commit before", "commit taken", "commit after"]);
    let result = space.try_atomically(|tx| {
        body(tx)?;
        tx.abort::<(), _>(())
    });
    assert_eq!(result, Err(()));
    assert_eq!(log.take(), ["rollback before", "rollback taken", "rollback after"]);
    assert_eq!(census.live(), 0);
}

#[test]
fn s7_1_a_panicking_commit_hook_undoes_nothing_and_stops_no_other() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let log = Log::default();
    let mut runs = 0;
    let message = panic_message(|| {
        space.atomically(|tx| {
            runs += 1;
            tx.write(&var, 1);
            tx.on_rollback(log.note("never"));
            tx.on_commit(log.note("first"));
            tx.on_commit(|| panic!("the first panic"));
            tx.on_commit(log.note("second"));
            tx.on_commit(|| panic!("the second panic"));
            tx.on_commit(log.note("third"));
            Ok(())
        });
    });
    assert_eq!(message, "the first panic");
    assert_eq!(log.take(), ["first", "second", "third"]);
    assert_eq!((runs, var.load()), (1, 1));
    var.store(2);
    assert_eq!(elsewhere(|| var.load()), 2);
}

#[test]
fn s7_1_a_panicking_rollback_hook_stops_no_other() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let log = Log::default();
    let register = |tx: &Tx<'_>| {
        tx.write(&var, 1);
        tx.on_rollback(log.note("first"));
        tx.on_rollback(|| panic!("a hook's"));
        tx.on_rollback(log.note("second"));
    };
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let _ = space.try_atomically(|tx| {
            register(tx);
            tx.abort::<(), _>("the error")
        });
    }));
    let payload = caught.expect_err("the hook's panic");
    assert_eq!(common::text_of(payload.as_ref()), "a hook's");
    assert_eq!(log.take(), ["first", "second"]);
    // The closure's own panic came first.
    let message = panic_message(|| {
        space.atomically(|tx| -> Stm<()> {
            register(tx);
            panic!("the closure's own")
        });
    });
    assert_eq!(message, "the closure's own");
    assert_eq!(log.take(), ["first", "second"]);
    // In an attempt that lost: the call ends with the panic, and nothing is committed.
    let other = TVar::new_in(&space, 0);
    let message = panic_message(|| {
        space.atomically(|tx| {
            let n = *tx.read(&other);
            register(tx);
            if n == 0 {
                elsewhere(|| other.store(5));
            }
            Ok(())
        });
    });
    assert_eq!(message, "a hook's");
    assert_eq!(log.take(), ["first", "second"]);
    assert_eq!((var.load(), other.load()), (0, 5));
    var.store(3);
    assert_eq!(var.load(), 3);
}

/// Outside all locks and outside the attempt: a hook may run transactions.
#[test]
fn s7_1_hooks_may_use_the_crate() {
    let space = Space::new();
    let other_space = Space::new();
    let var = TVar::new_in(&space, 0);
    let foreign = TVar::new_in(&other_space, 0);
    for commit in [true, false] {
        let theirs = (space.clone(), var.clone(), foreign.clone());
        let result = space.try_atomically(|tx| {
            tx.modify(&var, |n| n + 1);
            let (space, var, foreign) = theirs.clone();
            let hook = move || {
                let seen = space.atomically(|tx| {
                    tx.modify(&var, |n| n + 10);
                    tx.on_commit({
                        let foreign = foreign.clone();
                        move || foreign.update(|n| n + 1)
                    });
                    Ok(*tx.read(&var))
                });
                assert_eq!((var.load(), *space.snapshot().read(&var)), (seen, seen));
            };
            if commit {
                tx.on_commit(hook);
                return Ok(());
            }
            tx.on_rollback(hook);
            tx.abort(())
        });
        assert_eq!(result.is_ok(), commit);
    }
    assert_eq!((var.load(), foreign.load()), (21, 2));
}

/// Nothing is held while hooks run: they may wait for other threads' commits.
#[test]
fn s7_1_hooks_may_wait_for_other_threads() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let hook = |tx: &Tx<'_>| {
        for commit in [true, false] {
            let var = var.clone();
            let hook = move || elsewhere(|| var.update(|n| n + 1));
            if commit {
                tx.on_commit(hook);
            } else {
                tx.on_rollback(hook);
            }
        }
    };
    space.atomically(|tx| {
        hook(tx);
        let n = *tx.read(&var);
        if tx.attempt() < 3 {
            elsewhere(|| var.update(|n| n + 10));
        }
        tx.write(&var, n + 100);
        Ok(())
    });
    // Two rollbacks, each after a foreign commit, then the commit and its hook.
    assert_eq!(var.load(), 123);
    let result = space.try_atomically(|tx| {
        hook(tx);
        tx.write(&var, 0);
        tx.abort::<(), _>(())
    });
    assert_eq!((result, var.load()), (Err(()), 124));
}

/// A rollback hook's own commit may be the one that the retry waits for.
#[test]
fn s7_1_a_rollback_hook_may_end_the_wait() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let mut runs = 0;
    let seen = space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        let same = var.clone();
        tx.on_rollback(move || same.store(7));
        tx.check(n != 0)?;
        Ok(n)
    });
    assert_eq!((seen, runs), (7, 2));
}

#[test]
fn s7_1_captures_of_hooks_are_dropped_whether_they_run_or_not() {
    let space = Space::new();
    let census = Census::new();
    for commit in [true, false] {
        let result = space.try_atomically(|tx| {
            for id in 0..10 {
                let [a, b] = [census.value(id), census.value(id)];
                tx.on_commit(move || assert_eq!(a.id, id));
                tx.on_rollback(move || assert_eq!(b.id, id));
            }
            if commit { Ok(()) } else { tx.abort(()) }
        });
        assert_eq!((result.is_ok(), census.live()), (commit, 0));
    }
}

/// Hooks need not be `Send`, and see what the caller sees.
#[test]
fn s7_1_hooks_of_a_parked_call_run_on_its_thread() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let theirs = var.clone();
    let worker = thread::spawn(move || {
        let here = thread::current().id();
        let count = Rc::new(Cell::new(0));
        theirs.space().atomically(|tx| {
            let (first, second) = (count.clone(), count.clone());
            tx.on_rollback(move || {
                assert_eq!(thread::current().id(), here);
                first.set(first.get() + 1);
            });
            tx.on_commit(move || {
                assert_eq!(thread::current().id(), here);
                second.set(second.get() + 100);
            });
            let n = *tx.read(&theirs);
            if tx.attempt() == 1 {
                elsewhere(|| theirs.store(1));
            }
            tx.check(n == 1)
        });
        count.get()
    });
    assert_eq!(worker.join().expect("the worker"), 101);
}
