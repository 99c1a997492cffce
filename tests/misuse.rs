//! §8 and §2.9: what the types cannot rule out fails loudly, early, and without side effects.
//! Foreign variables are in `spaces.rs`, foreign stops in `control_flow.rs`, what does not compile
//! in `compile_fail.rs`.

mod common;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{assert_names, panic_message, text_of};
use tvar::{Abort, Space, TVar, TxOptions, atomically, try_atomically};

/// How a panic message names a call on this line of this file.
fn at(line: u32) -> String {
    format!("{}:{line}:", file!())
}

type Call<'a> = (&'a str, u32, &'a dyn Fn());

/// Makes every kind of call on `var` inside whatever `outer` runs.
fn every_call(var: &TVar<i64>, space: &Space, mut outer: impl FnMut(Call<'_>)) {
    let options = TxOptions::new().space(space);
    let calls: [Call<'_>; 11] = [
        ("load", line!(), &|| drop(var.clone().load().to_string())),
        ("store", line!(), &|| var.store(1)),
        ("update", line!(), &|| var.update(|n| n + 1)),
        ("atomically", line!(), &|| atomically(|_| Ok(()))),
        ("atomically", line!(), &|| space.atomically(|_| Ok(()))),
        ("try_atomically", line!(), &|| try_atomically(|_| Ok::<_, Abort<()>>(())).unwrap()),
        ("try_atomically", line!(), &|| space.try_atomically(|_| Ok::<_, Abort<()>>(())).unwrap()),
        ("run", line!(), &|| options.run(|_| Ok(())).unwrap()),
        ("try_run", line!(), &|| assert!(options.try_run(|_| Ok::<_, Abort<()>>(())).is_ok())),
        ("atomically", line!(), &|| tvar::atomically!(|tx| tx.write(var, 1))),
        ("atomically", line!(), &|| space.atomically(|tx| tx.retry())),
    ];
    calls.into_iter().for_each(&mut outer);
}

/// Runs all calls inside an attempt of `space`, on a variable of `other`.
fn nested_calls(space: &Space, other: &Space) {
    let var = TVar::new_in(other, 0);
    let own = TVar::new_in(space, 0);
    every_call(&var, other, |(name, line, call)| {
        let versions = (space.version(), other.version());
        let runs = Cell::new(0);
        let outer = line!() + 2;
        let message = panic_message(|| {
            space.atomically(|tx| {
                runs.set(runs.get() + 1);
                tx.write(&own, 1);
                call();
                Ok(())
            });
        });
        assert!(message.starts_with("tvar: "), "{message}");
        assert_names(&message, &[name, &at(line), &at(outer)]);
        assert_eq!(runs.get(), 1);
        assert_eq!((space.version(), other.version()), versions, "{name}");
        assert_eq!((own.load(), var.load()), (0, 0), "{name}");
    });
    own.store(1);
    var.store(2);
    assert_eq!((own.load(), var.load()), (1, 2));
}

#[test]
fn s2_9_a_nested_call_panics_and_names_both_call_sites() {
    let space = Space::new();
    nested_calls(&space, &space);
}

#[test]
fn s2_9_a_nested_call_of_another_space_panics_too() {
    nested_calls(&Space::new(), &Space::new());
}

/// Whatever the outer call is.
#[test]
fn s2_9_a_nested_call_in_every_kind_of_call_panics() {
    let var = TVar::new(0);
    let check = |outer: u32, message: String| {
        assert!(message.starts_with("tvar: "), "{message}");
        assert_names(&message, &["load", &at(outer)]);
    };
    let inner = || var.load();
    let message = panic_message(|| atomically(|_| Ok(inner())));
    check(line!() - 1, message);
    let message = panic_message(|| try_atomically(|_| Ok::<_, Abort<()>>(inner())));
    check(line!() - 1, message);
    let message = panic_message(|| TxOptions::new().run(|_| Ok(inner())));
    check(line!() - 1, message);
    let message = panic_message(|| TxOptions::new().try_run(|_| Ok::<_, Abort<()>>(inner())));
    check(line!() - 1, message);
    let message = panic_message(|| Space::new().atomically(|_| Ok(inner())));
    check(line!() - 1, message);
    let message = panic_message(|| tvar::atomically!(|_tx| inner()));
    check(line!() - 1, message);
    let message = panic_message(|| var.update(|n| n + inner()));
    check(line!() - 1, message);
    let part = |tx: &tvar::Tx<'_>| tx.nested(|_| Ok::<_, Abort<()>>(inner()));
    let message = panic_message(|| atomically(part));
    check(line!() - 1, message);
    let alternative = |tx: &tvar::Tx<'_>| tx.or_else(|tx| tx.retry(), |_| Ok(inner()));
    let message = panic_message(|| atomically(alternative));
    check(line!() - 1, message);
    let in_modify = |tx: &tvar::Tx<'_>| {
        tx.modify(&var, |_| inner());
        Ok(())
    };
    let message = panic_message(|| atomically(in_modify));
    check(line!() - 1, message);
    assert_eq!(var.load(), 0);
}

/// In every attempt of a call, also after hooks and destructors ran their own transactions.
#[test]
fn s2_9_a_nested_call_in_a_later_attempt_panics() {
    struct Busy(TVar<i64>);
    impl Drop for Busy {
        fn drop(&mut self) {
            self.0.update(|n| n + 1);
        }
    }
    let space = Space::new();
    let [var, log] = [0, 0].map(|n| TVar::new_in(&space, n));
    let busy = TVar::new_in(&space, Busy(log.clone()));
    let mut runs = 0;
    let message = panic_message(|| {
        space.atomically(|tx| {
            runs += 1;
            let same = log.clone();
            tx.on_rollback(move || same.update(|n| n + 10));
            let n = *tx.read(&var);
            tx.write(&busy, Busy(log.clone()));
            tx.write(&busy, Busy(log.clone()));
            match n {
                0 => common::elsewhere(|| var.store(1)),
                1 => {
                    common::elsewhere(|| var.store(2));
                    return tx.retry();
                }
                _ => var.store(9),
            }
            tx.write(&var, 5);
            Ok(())
        });
    });
    assert_names(&message, &["tvar: ", "store` at ", file!()]);
    assert_eq!((runs, var.load(), log.load()), (3, 2, 36));
}

/// The refused call had no effect, so a closure that survives it may go on.
#[test]
fn s2_9_a_refused_call_leaves_the_attempt_as_it_was() {
    let space = Space::new();
    let [a, b] = [1, 10].map(|n| TVar::new_in(&space, n));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.write(&a, 2);
        for _ in 0..3 {
            let caught = catch_unwind(AssertUnwindSafe(|| b.store(99)));
            let payload = caught.expect_err("refused");
            assert!(text_of(payload.as_ref()).starts_with("tvar: "));
        }
        tx.modify(&b, |n| n + *tx.read(&a));
        Ok(())
    });
    assert_eq!((runs, a.load(), b.load()), (1, 2, 12));
}

#[test]
fn s2_9_snapshots_debug_and_counts_are_allowed_inside() {
    let (space, other) = (Space::named("inner"), Space::new());
    let var = TVar::named_in(&space, "balance", 5);
    let foreign = TVar::named_in(&other, "elsewhere", 6);
    let mut runs = 0;
    let text = space.atomically(|tx| {
        runs += 1;
        tx.write(&var, 7);
        let snapshots = (space.snapshot(), other.snapshot());
        assert_eq!((*snapshots.0.read(&var), *snapshots.1.read(&foreign)), (5, 6));
        let _counts = (space.version(), space.waiters(), space.stats(), var.waiters());
        Ok(format!("{var:?} {foreign:?} {space:?} {snapshots:?} {:?}", space.stats()))
    });
    assert_names(&text, &["balance", "elsewhere", "inner"]);
    assert_eq!((runs, var.load()), (1, 7));
}

/// One after the other is not nested, nor is a call by another thread.
#[test]
fn s2_9_calls_beside_an_attempt_are_allowed() {
    let var = TVar::new(0);
    atomically(|tx| {
        let n = *tx.read(&var);
        if tx.attempt() == 1 {
            common::elsewhere(|| {
                var.store(1);
                atomically(|tx| {
                    tx.modify(&var, |n| n + 1);
                    Ok(())
                });
            });
        }
        tx.write(&var, n + 1);
        Ok(())
    });
    assert_eq!(var.load(), 3);
}

#[test]
fn s8_no_attempts_at_all_is_refused() {
    let message = panic_message(|| TxOptions::new().max_attempts(0));
    assert!(message.starts_with("tvar: "), "{message}");
}

/// §3.4: with nothing read it could never wake.
#[test]
fn s8_a_futile_retry_panics() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let version = space.version();
    for blind_write in [false, true] {
        let mut runs = 0;
        let message = panic_message(|| {
            space.atomically(|tx| -> tvar::Stm<()> {
                runs += 1;
                if blind_write {
                    tx.write(&var, 1);
                }
                tx.retry()
            });
        });
        assert!(message.starts_with("tvar: futile retry"), "{message}");
        assert_eq!((runs, space.version(), space.waiters()), (1, version, 0));
    }
    var.store(1);
    assert_eq!(var.load(), 1);
}

/// Errors are values that can be shown, compared and passed on.
#[test]
fn s8_errors_speak() {
    let space = Space::new();
    let var = TVar::named_in(&space, "stock", 0);
    let options = TxOptions::new().space(&space).label("checkout").max_attempts(3);
    let mut runs = 0;
    let result = options.run(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        common::elsewhere(|| var.update(|n| n + 1));
        tx.write(&var, n + 100);
        Ok(())
    });
    let error = result.expect_err("lost three times");
    assert_eq!((runs, error.attempts(), var.load()), (3, 3, 3));
    assert_eq!((error.label(), error.lost_to()), (Some("checkout"), Some("stock")));
    assert!(!error.is_timeout());
    assert_eq!(error.clone(), error);
    assert_names(&error.to_string(), &["checkout", "stock", "3"]);
    let boxed: Box<dyn std::error::Error + Send + Sync> = Box::new(error);
    assert!(boxed.source().is_none());
}
