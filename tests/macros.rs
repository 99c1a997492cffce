//! The macros `atomically!` and `try_atomically!`: the same calls with less ceremony. What they
//! mean is §2.1, §2.7 and §3.2; what the options mean is §2.2, §3.5 and §4.4.

mod common;

use std::fmt;
use std::thread;
use std::time::Duration;

use common::elsewhere;
use tvar::{Backoff, Isolation, Space, Stm, TVar, TryError, Tx, TxError, atomically, try_atomically};

#[derive(Debug, PartialEq)]
struct NoFunds;

impl fmt::Display for NoFunds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no funds")
    }
}

impl std::error::Error for NoFunds {}

fn transfer(tx: &Tx<'_>, from: &TVar<i64>, to: &TVar<i64>, amount: i64) -> Stm<()> {
    tx.check(*tx.read(from) >= amount)?;
    tx.modify(from, |b| b - amount);
    tx.modify(to, |b| b + amount);
    Ok(())
}

fn take(tx: &Tx<'_>, queue: &TVar<Vec<i64>>) -> Stm<i64> {
    let (last, rest) = match tx.read(queue).split_last() {
        Some((last, rest)) => (*last, rest.to_vec()),
        None => return tx.retry(),
    };
    tx.write(queue, rest);
    Ok(last)
}

#[test]
fn s2_1_the_body_is_the_value() {
    let (a, b) = (TVar::new(100), TVar::new(0));
    let left: i64 = atomically!(|tx| {
        transfer(tx, &a, &b, 30)?;
        *tx.read(&a)
    });
    assert_eq!((left, b.load()), (70, 30));
    let sum = atomically!(|tx| *tx.read(&a) + *tx.read(&b));
    assert_eq!(sum, 100);
    atomically!(|tx| tx.write(&a, 1));
    atomically!(|tx| {
        tx.write(&b, 2);
    });
    assert_eq!((a.load(), b.load()), (1, 2));
    // By its path, as an expression.
    let text: String = tvar::atomically!(|tx| tx.read(&a).to_string());
    assert_eq!(text, "1");
}

#[test]
fn s2_1_move_closures() {
    let var = TVar::new(1);
    let theirs = var.clone();
    let worker = thread::spawn(move || {
        let step = 4;
        atomically!(move |tx| {
            tx.modify(&theirs, |n| n + step);
            *tx.read(&theirs)
        })
    });
    assert_eq!(worker.join().expect("the worker"), 5);
    let theirs = var.clone();
    let job = move || atomically!(|tx| tx.modify(&theirs, |n| n + 1));
    thread::spawn(job).join().expect("the worker");
    assert_eq!(var.load(), 6);
}

#[test]
fn s2_1_mutable_captures() {
    let var = TVar::new(1);
    let mut seen = Vec::new();
    atomically!(|tx| seen.push(*tx.read(&var)));
    assert_eq!(seen, [1]);
}

#[test]
fn s3_2_or() {
    let urgent = TVar::new(vec![7]);
    let normal = TVar::new(vec![1, 2]);
    let idle = TVar::new(0);
    let job = || atomically!(|tx| { take(tx, &urgent)? } or |tx| { take(tx, &normal)? });
    assert_eq!([job(), job(), job()], [7, 2, 1]);
    let any = || {
        atomically!(|tx| {
            Some(take(tx, &urgent)?)
        } or |tx| {
            Some(take(tx, &normal)?)
        } or |tx| {
            tx.modify(&idle, |n| n + 1);
            None
        })
    };
    assert_eq!(any(), None);
    normal.store(vec![5]);
    assert_eq!([any(), any()], [Some(5), None]);
    assert_eq!(idle.load(), 2);
}

#[test]
fn s3_2_or_with_move_and_options() {
    let urgent = TVar::new(Vec::new());
    let normal = TVar::new(vec![3]);
    let (theirs, others) = (urgent.clone(), normal.clone());
    let worker =
        thread::spawn(move || atomically!(move |tx| { take(tx, &theirs)? } or move |tx| { take(tx, &others)? }));
    assert_eq!(worker.join().expect("the worker"), 3);
    let result: Result<i64, TxError> = atomically!(
        timeout = Duration::from_millis(1);
        |tx| { take(tx, &urgent)? } or |tx| { take(tx, &normal)? }
    );
    assert!(result.is_err_and(|error| error.is_timeout()));
}

#[test]
fn s2_7_try_atomically() {
    let a = TVar::new(10);
    let spend = |amount: i64| -> Result<i64, NoFunds> {
        try_atomically!(|tx| {
            if *tx.read(&a) < amount {
                tx.abort(NoFunds)?
            }
            tx.modify(&a, |n| n - amount);
            *tx.read(&a)
        })
    };
    assert_eq!(spend(3), Ok(7));
    assert_eq!(spend(30), Err(NoFunds));
    assert_eq!(a.load(), 7);
    // An error of the standard kind leaves by `?`.
    let parsed: Result<i64, std::num::ParseIntError> = try_atomically!(|tx| { "x".parse::<i64>()? + *tx.read(&a) });
    assert!(parsed.is_err());
    let moved: Result<i64, NoFunds> = {
        let a = a.clone();
        try_atomically!(move |tx| *tx.read(&a))
    };
    assert_eq!(moved, Ok(7));
}

#[test]
fn s2_7_try_atomically_with_or() {
    let urgent = TVar::new(Vec::new());
    let normal = TVar::new(vec![3]);
    let job = || -> Result<i64, NoFunds> {
        try_atomically!(|tx| {
            take(tx, &urgent)?
        } or |tx| {
            take(tx, &normal)?
        } or |tx| {
            tx.abort(NoFunds)?
        })
    };
    assert_eq!((job(), job()), (Ok(3), Err(NoFunds)));
}

#[test]
fn s4_4_options() {
    let space = Space::new();
    let var = TVar::named_in(&space, "stock", 0);
    let result: Result<i64, TxError> = atomically!(
        timeout = Duration::from_secs(60), max_attempts = 2, label = "checkout", space = &space;
        |tx| {
            let n = *tx.read(&var);
            elsewhere(|| var.update(|n| n + 1));
            tx.write(&var, n);
            n
        }
    );
    let error = result.expect_err("it loses every time");
    assert!(matches!(error, TxError::TooManyAttempts { attempts: 2, .. }), "{error}");
    assert_eq!((error.label(), error.lost_to()), (Some("checkout"), Some("stock")));
    let fine: Result<i64, TxError> = atomically!(
        space = &space, isolation = Isolation::Snapshot, backoff = Backoff::None, escalate_after = 5;
        |tx| *tx.read(&var)
    );
    assert_eq!(fine, Ok(2));
    let label = String::from("made at run time");
    let moved: Result<i64, TxError> = {
        let var = var.clone();
        atomically!(label = label, space = &space; move |tx| { tx.modify(&var, |n| n + 1); 5 })
    };
    assert_eq!((moved, var.load()), (Ok(5), 3));
}

#[test]
fn s4_4_options_of_try_atomically() {
    let space = Space::new();
    let var = TVar::new_in(&space, 1);
    let run = |limit: i64, disturb: bool| -> Result<i64, TryError<NoFunds>> {
        try_atomically!(space = &space, max_attempts = 1, label = "spend"; |tx| {
            let n = *tx.read(&var);
            if n < limit {
                tx.abort(NoFunds)?
            }
            if disturb {
                elsewhere(|| var.update(|n| n + 1));
            }
            tx.write(&var, n);
            n
        })
    };
    assert!(matches!(run(0, false), Ok(1)));
    assert!(matches!(run(5, false), Err(TryError::Aborted(NoFunds))));
    let Err(TryError::Failed(error)) = run(0, true) else { panic!("expected a limit") };
    assert_eq!((error.attempts(), error.label()), (1, Some("spend")));
}

/// The name of the transaction is the caller's choice, and nothing else of the macro is visible.
#[test]
fn s2_1_hygiene() {
    let tx = TVar::new(3);
    let options = TVar::new(4);
    let value: Result<i64, TxError> = atomically!(label = "l"; |t| *t.read(&tx) + *t.read(&options));
    assert_eq!(value, Ok(7));
    let nested = atomically!(|outer| {
        let part: Result<i64, NoFunds> = outer.nested(|inner| Ok(*inner.read(&tx)))?;
        part.unwrap_or_default()
    });
    assert_eq!(nested, 3);
}
