//! §1.1: spaces are separate universes, and mixing them fails before anything is published.

mod common;

use std::cell::Cell;

use common::{assert_names, elsewhere, panic_message};
use tvar::{Space, TVar, Tx, TxOptions, atomically};

#[test]
fn s1_1_the_default_space_is_global() {
    let var = TVar::new(1);
    assert!(var.space().ptr_eq(Space::global()));
    assert_eq!(Space::global().name(), "global");
    assert!(Space::global().clone().ptr_eq(Space::global()));
    // The free function and the space's own one are the same.
    Space::global().atomically(|tx| {
        tx.modify(&var, |n| n + 1);
        Ok(())
    });
    assert_eq!(atomically(|tx| Ok(*tx.read(&var))), 2);
}

#[test]
fn s1_1_names_tell_spaces_apart() {
    let named = Space::named("orders");
    assert_eq!(named.name(), "orders");
    let (a, b) = (Space::new(), Space::new());
    assert_ne!(a.name(), b.name());
    assert!(a.name().starts_with("space #"), "{}", a.name());
    assert!(!a.ptr_eq(&b));
    assert!(a.ptr_eq(&a.clone()));
    let var = TVar::new_in(&a, 0);
    assert!(var.space().ptr_eq(&a) && !var.space().ptr_eq(&b));
}

#[test]
fn s1_1_each_space_has_its_own_root() {
    let (a, b) = (Space::new(), Space::new());
    let (x, y) = (TVar::new_in(&a, 0), TVar::new_in(&b, 0));
    let before = b.version();
    for n in 1..=100 {
        x.store(n);
    }
    assert_eq!(b.version(), before);
    assert_eq!((x.load(), y.load()), (100, 0));
    let stats = b.stats();
    assert_eq!(stats.commits, 0);
}

#[test]
fn s1_1_a_commit_in_one_space_never_re_runs_a_transaction_of_another() {
    let (a, b) = (Space::new(), Space::new());
    let (x, y) = (TVar::new_in(&a, 0), TVar::new_in(&b, 0));
    let mut runs = 0;
    a.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&x);
        elsewhere(|| y.store(7));
        tx.write(&x, n + 1);
        Ok(())
    });
    assert_eq!((runs, x.load(), y.load()), (1, 1, 7));
}

#[test]
fn s1_1_a_space_lives_as_long_as_something_of_it() {
    let var = TVar::new_in(&Space::new(), 1);
    var.store(2);
    assert_eq!(var.load(), 2);
    let space = var.space();
    space.atomically(|tx| {
        tx.modify(&var, |n| n + 1);
        Ok(())
    });
    let snapshot = space.snapshot();
    drop(space);
    var.store(9);
    assert_eq!(*snapshot.read(&var), 3);
}

type Operation = fn(&Tx<'_>, &TVar<i64>);

const OPERATIONS: [(&str, Operation); 9] = [
    ("read", |tx, var| {
        tx.read(var);
    }),
    ("write", |tx, var| tx.write(var, 1)),
    ("modify", |tx, var| tx.modify(var, |n| n + 1)),
    ("replace", |tx, var| {
        tx.replace(var, 1);
    }),
    ("write_if_changed", |tx, var| {
        tx.write_if_changed(var, 0);
    }),
    ("ensure", |tx, var| tx.ensure(var)),
    ("merge", |tx, var| tx.merge(var, |n| n + 1)),
    ("merge_then", |tx, var| {
        tx.merge_then(var, |n| n + 1, |n| *n);
    }),
    ("nested write", |tx, var| {
        let _ = tx.nested(|tx| {
            tx.write(var, 1);
            Ok::<_, tvar::Abort<()>>(())
        });
    }),
];

/// §1.1 and §8: the panic names both spaces and the variable, and nothing was published.
#[test]
fn s1_1_every_operation_on_a_foreign_variable_panics_and_publishes_nothing() {
    let (alpha, beta) = (Space::named("alpha"), Space::named("beta"));
    let own = TVar::new_in(&alpha, 0_i64);
    let foreign = TVar::named_in(&beta, "stranger", 0_i64);
    for (name, operation) in OPERATIONS {
        let versions = (alpha.version(), beta.version());
        let runs = Cell::new(0);
        let rolled_back = std::rc::Rc::new(Cell::new(0));
        let message = panic_message(|| {
            alpha.atomically(|tx| {
                runs.set(runs.get() + 1);
                let rolled_back = rolled_back.clone();
                tx.on_rollback(move || rolled_back.set(rolled_back.get() + 1));
                tx.write(&own, 1);
                operation(tx, &foreign);
                Ok(())
            });
        });
        assert!(message.starts_with("tvar: "), "{name}: {message}");
        assert_names(&message, &["alpha", "beta", "stranger"]);
        assert_eq!(runs.get(), 1, "{name}");
        assert_eq!(rolled_back.get(), 1, "{name}");
        assert_eq!((alpha.version(), beta.version()), versions, "{name}");
        assert_eq!((own.load(), foreign.load()), (0, 0), "{name}");
    }
    // Both spaces are usable afterwards.
    own.store(5);
    foreign.store(6);
    assert_eq!((own.load(), foreign.load()), (5, 6));
}

/// The same through the options, and against the global space.
#[test]
fn s1_1_the_global_space_is_named_too() {
    let beta = Space::named("beta");
    let foreign = TVar::new_in(&beta, 0);
    let message = panic_message(|| atomically(|tx| Ok(*tx.read(&foreign))));
    assert_names(&message, &["tvar: ", "global", "beta"]);
    let own = TVar::new(0);
    let message = panic_message(|| {
        TxOptions::new().space(&beta).run(|tx| {
            tx.write(&own, 1);
            Ok(())
        })
    });
    assert_names(&message, &["tvar: ", "global", "beta"]);
    assert_eq!(own.load(), 0);
}

/// §1.1, §8: a snapshot knows only the variables of its own space.
#[test]
fn s1_1_a_snapshot_refuses_a_foreign_variable() {
    let (alpha, beta) = (Space::named("alpha"), Space::named("beta"));
    let (own, foreign) = (TVar::new_in(&alpha, 1), TVar::new_in(&beta, 2));
    let older = alpha.snapshot();
    own.store(3);
    let newer = alpha.snapshot();
    let message = panic_message(|| *older.read(&foreign));
    assert_names(&message, &["tvar: ", "alpha", "beta"]);
    let diff = older.diff(&newer);
    let message = panic_message(|| diff.changed(&foreign));
    assert_names(&message, &["tvar: ", "alpha", "beta"]);
    let message = panic_message(|| older.diff(&beta.snapshot()).len());
    assert_names(&message, &["tvar: ", "alpha", "beta"]);
    assert_eq!((*older.read(&own), *newer.read(&own)), (1, 3));
}
