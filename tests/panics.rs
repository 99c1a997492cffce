//! §2.8: a panic rolls back, runs the rollback hooks, reaches the caller, and leaves the thread
//! and the space fully usable, whatever user code it comes from.

mod common;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::rc::Rc;

use common::{Census, elsewhere, panic_message, panic_of};
use tvar::{Abort, Space, TVar, Tx, hooks};

/// One transaction that writes, registers hooks, and panics in `body`.
fn panics(body: impl Fn(&Space, &Tx<'_>, &TVar<i64>)) {
    let space = Space::new();
    let census = Census::new();
    let number = TVar::new_in(&space, 1);
    let boxed = TVar::new_in(&space, census.value(1));
    boxed.store(census.value(2));
    number.store(1);
    let version = space.version();
    let log = Rc::new(RefCell::new(Vec::new()));
    let runs = Cell::new(0);
    let payload = panic_of(|| {
        space.atomically(|tx| {
            runs.set(runs.get() + 1);
            for (n, commit) in [(1, false), (2, true), (3, false)] {
                let log = log.clone();
                if commit {
                    tx.on_commit(move || log.borrow_mut().push(n));
                } else {
                    tx.on_rollback(move || log.borrow_mut().push(n));
                }
            }
            tx.write(&number, 2);
            tx.modify(&boxed, |old| census.value(old.id + 1));
            body(&space, tx, &number);
            Ok(())
        });
    });
    assert_eq!(payload.downcast_ref::<u32>(), Some(&42));
    assert_eq!(runs.get(), 1);
    assert_eq!(*log.borrow(), [1, 3]);
    assert_eq!((number.load(), space.version()), (1, version));
    assert_eq!(space.snapshot().read(&boxed).id, 2);
    // The same thread goes on as if nothing had been, and so do others.
    let go_on = || {
        space.atomically(|tx| {
            tx.modify(&number, |n| n + 10);
            tx.modify(&boxed, |old| census.value(old.id + 10));
            Ok(())
        });
    };
    go_on();
    elsewhere(go_on);
    assert_eq!((number.load(), space.waiters()), (21, 0));
    assert_eq!(space.snapshot().read(&boxed).id, 22);
    number.store(0);
    assert!(census.live() <= 2, "{} alive", census.live());
    drop((number, boxed, space));
    assert_eq!(census.live(), 0);
}

#[test]
fn s2_8_a_panic_in_the_closure() {
    panics(|_, _, _| panic_any(42_u32));
}

#[test]
fn s2_8_a_panic_in_modify() {
    panics(|_, tx, number| tx.modify(number, |_| panic_any(42_u32)));
}

#[test]
fn s2_8_a_panic_in_a_nested_part() {
    panics(|_, tx, number| {
        let _never = tx.nested(|tx| -> Result<(), Abort<()>> {
            tx.write(number, 9);
            panic_any(42_u32)
        });
    });
}

#[test]
fn s2_8_a_panic_in_either_alternative() {
    panics(|_, tx, number| {
        let _never = tx.or_else::<()>(
            |tx| {
                tx.write(number, 9);
                panic_any(42_u32)
            },
            |_| unreachable!("a panic does not fall through"),
        );
    });
    panics(|_, tx, number| {
        let _never = tx.or_else::<()>(
            |tx| {
                tx.write(number, 9);
                tx.retry()
            },
            |_| panic_any(42_u32),
        );
    });
}

#[test]
fn s2_8_a_panic_in_partial_eq() {
    struct Touchy;
    impl PartialEq for Touchy {
        fn eq(&self, _: &Self) -> bool {
            panic_any(42_u32)
        }
    }
    panics(|space, tx, _| {
        let var = TVar::new_in(space, Touchy);
        tx.write_if_changed(&var, Touchy);
    });
}

#[test]
fn s2_8_a_panic_after_a_stop() {
    panics(|_, tx, number| {
        tx.read(number);
        let _swallowed = tx.retry::<()>();
        panic_any(42_u32)
    });
}

#[test]
fn s2_8_a_panic_while_another_thread_commits() {
    panics(|space, tx, number| {
        tx.read(number);
        // Not to `number`, which the checks look at.
        let other = TVar::new_in(space, 0);
        tx.write(&other, 1);
        panic_any(42_u32)
    });
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let message = panic_message(|| {
        space.atomically(|tx| {
            tx.modify(&var, |n| n + 1);
            elsewhere(|| var.store(5));
            if *tx.read(&var) == 1 {
                panic!("seen in a doomed attempt");
            }
            Ok(())
        });
    });
    assert_eq!((message.as_str(), var.load()), ("seen in a doomed attempt", 5));
}

#[test]
fn s2_8_a_panic_in_a_typed_transaction() {
    let var = TVar::new(1);
    let message = panic_message(|| {
        tvar::try_atomically(|tx| -> Result<(), Abort<&str>> {
            tx.write(&var, 2);
            panic!("{}", tx.read(&var))
        })
    });
    assert_eq!((message.as_str(), var.load()), ("2", 1));
}

#[derive(PartialEq)]
struct Fragile(u64);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert_ne!(self.0, 13, "no clone of 13");
        Self(self.0)
    }
}

#[test]
fn s2_8_a_panic_in_clone() {
    let space = Space::new();
    let var = TVar::new_in(&space, Fragile(13));
    assert!(panic_message(|| var.load()).contains("no clone of 13"));
    let message = panic_message(|| {
        space.atomically(|tx| {
            tx.write(&var, Fragile(12));
            tx.modify(&var, |old| Fragile(old.0 + 1));
            Ok(tx.read(&var).clone())
        })
    });
    assert!(message.contains("no clone of 13"));
    var.store(Fragile(14));
    assert!(var.load() == Fragile(14));
}

#[test]
fn s2_8_a_panic_in_the_clone_of_a_merge_result() {
    let var = TVar::new(1);
    let ticket = tvar::atomically(|tx| Ok(tx.merge_then(&var, |n| n + 1, |_| Fragile(13))));
    let message = panic_message(|| ticket.get().map(|_| ()));
    assert!(message.contains("no clone of 13"));
    assert!(ticket.is_ready());
    assert_eq!(ticket.take().map(|fragile| fragile.0), Some(13));
}

#[test]
fn s2_8_a_panic_in_update() {
    let space = Space::new();
    let var = TVar::new_in(&space, 1);
    let message = panic_message(|| var.update(|_| panic!("in update")));
    assert_eq!((message.as_str(), var.load()), ("in update", 1));
    var.update(|n| n + 1);
    assert_eq!(var.load(), 2);
}

/// Caught inside the closure, the panic is the closure's own affair: the variable is as it was.
#[test]
fn s2_8_a_panic_in_modify_that_the_closure_catches() {
    let space = Space::new();
    let census = Census::new();
    let number = TVar::new_in(&space, 1);
    let boxed = TVar::new_in(&space, census.value(1));
    space.atomically(|tx| {
        tx.write(&number, 2);
        for _ in 0..3 {
            let caught = catch_unwind(AssertUnwindSafe(|| {
                tx.modify(&number, |_| panic!("in modify"));
            }));
            assert!(caught.is_err());
            let caught = catch_unwind(AssertUnwindSafe(|| {
                tx.modify(&boxed, |old| {
                    let _half_made = census.value(old.id + 100);
                    panic!("in modify")
                });
            }));
            assert!(caught.is_err());
        }
        assert_eq!((*tx.read(&number), tx.read(&boxed).id), (2, 1));
        tx.modify(&number, |n| n * 10);
        tx.modify(&boxed, |old| census.value(old.id + 1));
        Ok(())
    });
    assert_eq!((number.load(), space.snapshot().read(&boxed).id), (20, 2));
}

/// A nested part that panics is undone before the panic goes on, so catching it outside the part
/// leaves nothing of the part.
#[test]
fn s2_8_a_panic_in_a_part_that_the_closure_catches() {
    let space = Space::new();
    let var = TVar::new_in(&space, 1);
    let hooks = Rc::new(Cell::new(0));
    space.atomically(|tx| {
        tx.write(&var, 2);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _never = tx.nested(|tx| -> Result<(), Abort<()>> {
                tx.write(&var, 3);
                let hooks = hooks.clone();
                tx.on_commit(move || hooks.set(hooks.get() + 1));
                panic!("in a part")
            });
        }));
        assert!(caught.is_err());
        assert_eq!(*tx.read(&var), 2);
        Ok(())
    });
    assert_eq!((var.load(), hooks.get()), (2, 0));
}

/// A thousand panics leave nothing behind.
#[test]
fn s2_8_many_panics_leave_no_trace() {
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(0));
    for n in 0..1_000 {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            space.atomically(|tx| {
                let old = tx.read(&var).id;
                tx.write(&var, census.value(n));
                // Not `panic!`, which would print.
                std::panic::resume_unwind(Box::new(old))
            })
        }));
        let payload: Result<(), _> = caught;
        assert!(payload.expect_err("a panic").is::<u64>());
    }
    TVar::new_in(&space, 0).store(1);
    assert_eq!(census.live(), 1);
    var.store(census.value(1));
    TVar::new_in(&space, 0).store(1);
    assert_eq!(census.live(), 1);
}

/// A test's own hook is in the middle of a commit when it panics: nothing was replaced, nothing is freed.
#[test]
fn a_hook_that_panics_before_the_swap_leaves_everything_as_it_was() {
    let space = Space::new();
    let census = Census::new();
    let (v, other) = (TVar::new_in(&space, census.value(1)), TVar::new_in(&space, 0));
    v.store(census.value(2));
    let guard = hooks::on_this_thread(|point| assert!(point != hooks::Point::Swap, "stop"));
    assert_eq!(panic_message(|| v.store(census.value(3))), "stop");
    drop(guard);
    for n in 1..200 {
        other.store(n);
    }
    assert_eq!((census.live(), census.alive(2)), (1, true));
    assert_eq!(space.atomically(|tx| Ok(tx.read(&v).id)), 2);
}

/// What the closure returned, or aborted with, is dropped as outside the transaction even when the call itself panics: its destructor
/// may run transactions.
#[test]
fn what_is_left_when_the_call_panics_may_run_transactions() {
    struct Runs(TVar<i32>);
    impl Drop for Runs {
        fn drop(&mut self) {
            self.0.update(|n| n + 1);
        }
    }
    let n = TVar::new(0);
    panic_of(|| {
        tvar::try_atomically::<Runs, u8>(|tx| {
            let _ = tx.abort::<(), u8>(1);
            Ok(Runs(n.clone()))
        })
        .is_ok()
    });
    assert_eq!(n.load(), 1);
    panic_of(|| {
        tvar::try_atomically::<(), Runs>(|tx| {
            tx.on_rollback(|| panic!("hook"));
            tx.abort(Runs(n.clone()))
        })
        .is_ok()
    });
    assert_eq!(n.load(), 2);
}

/// §2.8: rollback hooks run even if a test's own hook panics in the middle of the commit.
#[test]
fn a_panic_within_the_commit_runs_the_rollback_hooks() {
    for point in [hooks::Point::Validate, hooks::Point::Swap] {
        let (v, ran) = (TVar::new(0), Rc::new(Cell::new(0)));
        let guard = hooks::on_this_thread(move |at| assert!(at != point, "stop"));
        panic_of(|| {
            tvar::atomically(|tx| {
                let ran = ran.clone();
                tx.on_rollback(move || ran.set(ran.get() + 1));
                tx.merge(&v, |n| n + 1);
                Ok(())
            });
        });
        drop(guard);
        assert_eq!(ran.get(), 1);
        let w = TVar::new(100);
        tvar::atomically(|tx| {
            tx.merge(&w, |n| n + 1);
            Ok(())
        });
        assert_eq!((v.load(), w.load()), (0, 101));
    }
}
