//! §2.7: a typed abort rolls back and is reported once, as of one snapshot.

mod common;

use std::cell::Cell;
use std::fmt;
use std::num::ParseIntError;
use std::rc::Rc;

use common::{Census, elsewhere};
use tvar::{Abort, Space, Stm, TVar, TryError, Tx, TxOptions, try_atomically};

#[derive(Debug, PartialEq)]
struct NoFunds {
    short_of: i64,
}

impl fmt::Display for NoFunds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} short", self.short_of)
    }
}

impl std::error::Error for NoFunds {}

fn withdraw(tx: &Tx<'_>, from: &TVar<i64>, amount: i64) -> Result<(), NoFunds> {
    let balance = *tx.read(from);
    tx.write(from, balance - amount);
    if balance < amount {
        let short_of = amount - balance;
        return Err(NoFunds { short_of });
    }
    Ok(())
}

#[test]
fn s2_7_an_abort_rolls_back_and_is_returned() {
    let space = Space::new();
    let var = TVar::new_in(&space, 10);
    let version = space.version();
    let mut runs = 0;
    let result = space.try_atomically(|tx| {
        runs += 1;
        withdraw(tx, &var, 30)?;
        Ok(*tx.read(&var))
    });
    assert_eq!(result, Err(NoFunds { short_of: 20 }));
    assert_eq!((runs, var.load(), space.version()), (1, 10, version));
    let result = space.try_atomically(|tx| {
        withdraw(tx, &var, 3)?;
        Ok(*tx.read(&var))
    });
    assert_eq!((result, var.load()), (Ok(7), 7));
}

#[test]
fn s2_7_abort_takes_any_error() {
    struct Opaque(#[allow(dead_code)] Rc<i64>);
    let result = try_atomically(|tx| tx.abort::<(), _>(Opaque(Rc::new(1))));
    assert_eq!(result.map_err(|Opaque(n)| *n), Err(1));
    assert_eq!(try_atomically(|tx| tx.abort::<(), _>(())), Err(()));
    assert_eq!(try_atomically(|tx| tx.abort::<(), _>("text")), Err("text"));
    let boxed: Result<(), Box<dyn std::error::Error>> = try_atomically(|tx| tx.abort(Box::from("boxed")));
    assert_eq!(boxed.expect_err("an abort").to_string(), "boxed");
}

#[test]
fn s2_7_the_question_mark_takes_every_error() {
    let text = TVar::new(String::from("x1"));
    let parse = || -> Result<i32, ParseIntError> {
        try_atomically(|tx| {
            let n: i32 = tx.read(&text).parse()?;
            tx.write(&text, format!("{}", n + 1));
            Ok(n)
        })
    };
    assert!(parse().is_err());
    text.store("41".into());
    assert_eq!(parse(), Ok(41));
    assert_eq!(text.load(), "42");
}

/// A helper that only blocks composes in a typed transaction; its retry is no error.
#[test]
fn s2_7_a_stop_passes_through_a_typed_transaction() {
    fn take(tx: &Tx<'_>, var: &TVar<Option<i64>>) -> Stm<i64> {
        match *tx.replace(var, None) {
            Some(n) => Ok(n),
            None => tx.retry(),
        }
    }
    let space = Space::new();
    let var = TVar::new_in(&space, None);
    let mut runs = 0;
    let result = space.try_atomically(|tx| {
        runs += 1;
        if runs == 1 {
            elsewhere(|| var.store(Some(3)));
        }
        let n = take(tx, &var)?;
        if n < 5 {
            tx.abort(NoFunds { short_of: 5 - n })?;
        }
        Ok(n)
    });
    assert_eq!((result, runs), (Err(NoFunds { short_of: 2 }), 2));
    // The taking was undone with the rest.
    assert_eq!(var.load(), Some(3));
}

#[test]
fn s2_7_an_abort_is_reported_as_of_a_consistent_snapshot() {
    let space = Space::new();
    let [x, y] = [5, -5].map(|n| TVar::new_in(&space, n));
    let result = space.try_atomically(|tx| {
        let first = *tx.read(&x);
        elsewhere(|| {
            space.atomically(|tx| {
                tx.write(&x, 7);
                tx.write(&y, -7);
                Ok(())
            });
        });
        tx.write(&x, 100);
        tx.abort::<(), _>(first + *tx.read(&y))
    });
    assert_eq!((result, x.load(), y.load()), (Err(0), 7, -7));
}

#[test]
fn s2_7_the_error_is_moved_not_copied() {
    let census = Census::new();
    let result = try_atomically(|tx| tx.abort::<(), _>(census.value(1)));
    assert_eq!(census.live(), 1);
    drop(result);
    assert_eq!((census.live(), census.dropped()), (0, 1));
}

#[test]
fn s2_7_what_the_attempt_wrote_is_dropped() {
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(0));
    let mut written = Vec::new();
    let result = space.try_atomically(|tx| {
        tx.write(&var, census.value(1));
        tx.modify(&var, |old| census.value(old.id + 1));
        let made = TVar::new_in(&space, census.value(10));
        tx.write(&made, census.value(11));
        written.push(made);
        tx.abort::<(), _>(tx.read(&var).id)
    });
    assert_eq!(result, Err(2));
    assert_eq!(space.snapshot().read(&written[0]).id, 10);
    drop(written);
    TVar::new_in(&space, 0).store(1);
    assert_eq!(census.live(), 1);
    assert!(census.alive(0));
}

#[test]
fn s2_7_rollback_hooks_run_once_and_commit_hooks_do_not() {
    let space = Space::new();
    let log = Rc::new(Cell::new((0, 0)));
    let result = space.try_atomically(|tx| {
        let (first, second) = (log.clone(), log.clone());
        tx.on_commit(move || first.set((first.get().0 + 1, first.get().1)));
        tx.on_rollback(move || second.set((second.get().0, second.get().1 + 1)));
        tx.abort::<(), _>("end")
    });
    assert_eq!((result, log.get()), (Err("end"), (0, 1)));
}

#[test]
fn s2_7_through_the_options() {
    let space = Space::new();
    let var = TVar::new_in(&space, 1);
    let options = TxOptions::new().space(&space).max_attempts(5);
    let result = options.try_run(|tx| {
        tx.write(&var, 2);
        tx.abort::<(), _>("end")
    });
    assert!(matches!(result, Err(TryError::Aborted("end"))));
    let result = options.try_run(|tx| {
        tx.write(&var, 3);
        Ok::<_, Abort<()>>(*tx.read(&var))
    });
    assert!(matches!(result, Ok(3)));
    assert_eq!(var.load(), 3);
}

/// An abort in an alternative does not fall through.
#[test]
fn s2_7_an_abort_ends_all_alternatives() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let result = space.try_atomically(|tx| {
        tx.try_or_else(
            |tx| {
                tx.write(&var, 1);
                tx.abort::<(), _>("first")
            },
            |tx| tx.abort("second"),
        )
    });
    assert_eq!((result, var.load()), (Err("first"), 0));
}
