//! §2.1: reads hand out references that stay valid, own writes are read back, and rewriting one
//! variable in an attempt uses bounded memory.

mod common;

use std::cell::{Cell, RefCell};

use common::{Census, elsewhere, many};
use tvar::{Abort, Space, TVar, atomically};

#[test]
fn s2_1_returns_the_value_of_the_closure() {
    let var = TVar::new(String::from("text"));
    let length = atomically(|tx| Ok(tx.read(&var).len()));
    assert_eq!(length, 4);
    let mut runs = 0;
    atomically(|_| {
        runs += 1;
        Ok(())
    });
    assert_eq!(runs, 1);
}

#[test]
fn s2_1_own_writes_are_read_back() {
    let number = TVar::new(1);
    let text = TVar::new(String::from("a"));
    atomically(|tx| {
        tx.write(&number, 2);
        assert_eq!(*tx.read(&number), 2);
        tx.modify(&number, |n| n * 10);
        assert_eq!(*tx.read(&number), 20);
        assert_eq!(*tx.replace(&number, 5), 20);
        assert!(!tx.write_if_changed(&number, 5));
        assert!(tx.write_if_changed(&number, 6));
        tx.write(&text, "b".into());
        tx.modify(&text, |t| format!("{t}c"));
        assert_eq!(tx.replace(&text, "d".into()), "bc");
        assert!(!tx.write_if_changed(&text, "d".into()));
        assert!(tx.write_if_changed(&text, "e".into()));
        assert_eq!((*tx.read(&number), tx.read(&text).as_str()), (6, "e"));
        // Nothing of it is visible outside yet.
        elsewhere(|| assert_eq!((number.load(), text.load()), (1, "a".into())));
        Ok(())
    });
    assert_eq!((number.load(), text.load()), (6, "e".into()));
}

#[test]
fn s2_1_replace_returns_the_old_value() {
    let text = TVar::new(String::from("initial"));
    let old = atomically(|tx| {
        let first = tx.replace(&text, "one".into());
        let second = tx.replace(&text, "two".into());
        tx.write(&text, "three".into());
        Ok((first.clone(), second.clone()))
    });
    assert_eq!(old, ("initial".into(), "one".into()));
    assert_eq!(text.load(), "three");
    let committed = atomically(|tx| Ok(tx.replace(&text, "four".into()).clone()));
    assert_eq!(committed, "three");
}

#[test]
fn s2_1_write_if_changed_compares_with_partial_eq() {
    #[derive(Clone)]
    struct Loose(i32);
    impl PartialEq for Loose {
        fn eq(&self, other: &Self) -> bool {
            self.0 / 10 == other.0 / 10
        }
    }
    let space = Space::new();
    let var = TVar::new_in(&space, Loose(11));
    let version = space.version();
    let written = space.atomically(|tx| Ok(tx.write_if_changed(&var, Loose(15))));
    assert_eq!((written, var.load().0, space.version()), (false, 11, version));
    let written = space.atomically(|tx| Ok(tx.write_if_changed(&var, Loose(25))));
    assert_eq!((written, var.load().0), (true, 25));
    // `NaN != NaN`: always a write.
    let nan = TVar::new_in(&space, f64::NAN);
    assert!(space.atomically(|tx| Ok(tx.write_if_changed(&nan, f64::NAN))));
}

/// A reference to an inline value is not overwritten in place.
#[test]
fn s2_1_references_to_inline_values_outlive_later_writes() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0_u64);
    for _ in 0..2 {
        // The second round reads what the first has committed.
        let first = var.load();
        space.atomically(|tx| {
            let mut seen = vec![tx.read(&var)];
            for n in 1..1_000 {
                match n % 4 {
                    0 => tx.write(&var, first + n),
                    1 => tx.modify(&var, |value| value + 1),
                    2 => assert_eq!(*tx.replace(&var, first + n), first + n - 1),
                    _ => assert!(tx.write_if_changed(&var, first + n)),
                }
                seen.push(tx.read(&var));
            }
            assert!((first..).zip(seen).all(|(n, value)| *value == n));
            Ok(())
        });
    }
    assert_eq!(var.load(), 1_998);
}

#[test]
fn s2_1_references_to_boxed_values_outlive_later_writes() {
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(0));
    space.atomically(|tx| {
        let mut seen = vec![tx.read(&var)];
        for n in 1..1_000 {
            match n % 3 {
                0 => tx.write(&var, census.value(n)),
                1 => tx.modify(&var, |value| census.value(value.id + 1)),
                _ => assert!(std::ptr::eq(tx.replace(&var, census.value(n)), seen[n as usize - 1])),
            }
            seen.push(tx.read(&var));
        }
        assert_eq!(census.live(), 1_000);
        assert!((0..).zip(seen).all(|(n, value)| value.id == n));
        Ok(())
    });
    assert_eq!(var.space().snapshot().read(&var).id, 999);
    // Those that were only ever written in the attempt are gone with it.
    assert!(census.live() <= 2, "{} alive", census.live());
}

/// What the attempt writes moves no value that it has handed out.
#[test]
fn s2_1_references_outlive_writes_to_many_other_variables() {
    let space = Space::new();
    let numbers: Vec<_> = (0..5_000_u64).map(|n| TVar::new_in(&space, n)).collect();
    let texts: Vec<_> = (0..5_000_u64).map(|n| TVar::new_in(&space, n.to_string())).collect();
    let rounds = 2;
    for round in 0..rounds {
        space.atomically(|tx| {
            let old: Vec<_> = numbers.iter().map(|var| tx.read(var)).collect();
            let old_texts: Vec<_> = texts.iter().map(|var| tx.read(var)).collect();
            let mut new = Vec::new();
            for (number, text) in numbers.iter().zip(&texts) {
                tx.modify(number, |n| n + 1);
                tx.modify(text, |text| format!("{text}."));
                new.push((tx.read(number), tx.read(text)));
            }
            for (n, (new, new_text)) in (round..).zip(&new) {
                let index = usize::try_from(n - round).expect("small");
                assert_eq!((*old[index], **new), (n, n + 1));
                assert_eq!(format!("{}.", old_texts[index]), **new_text);
            }
            Ok(())
        });
    }
}

#[test]
fn s2_1_a_reference_to_an_initial_value_outlives_the_first_write() {
    let space = Space::new();
    let var = TVar::new_in(&space, String::from("initial"));
    let same = var.clone();
    space.atomically(|tx| {
        let initial = tx.read(&var);
        if tx.attempt() == 1 {
            elsewhere(|| same.store("foreign".into()));
        }
        tx.write(&same, "own".into());
        assert_eq!(tx.read(&same), "own");
        let expected = if tx.attempt() == 1 { "initial" } else { "foreign" };
        assert_eq!(initial, expected);
        Ok(())
    });
    assert_eq!(var.load(), "own");
}

/// The old value that `modify` hands to its function may be superseded before the function ends.
#[test]
fn s2_1_modify_may_be_entered_again_for_the_same_variable() {
    let space = Space::new();
    let census = Census::new();
    let boxed = TVar::new_in(&space, census.value(1));
    let inline = TVar::new_in(&space, 1);
    for _ in 0..2 {
        space.atomically(|tx| {
            tx.modify(&boxed, |old| {
                tx.modify(&boxed, |inner| census.value(inner.id + 100));
                tx.modify(&boxed, |inner| census.value(inner.id + 100));
                tx.write(&boxed, census.value(7));
                assert_eq!(tx.read(&boxed).id, 7);
                census.value(old.id + 1)
            });
            tx.modify(&boxed, |old| {
                for _ in 0..100 {
                    tx.modify(&boxed, |_| census.value(50));
                }
                census.value(old.id + 1)
            });
            tx.modify(&inline, |old| {
                tx.modify(&inline, |inner| inner + 100);
                tx.write(&inline, 7);
                old + 1
            });
            Ok(())
        });
    }
    let snapshot = space.snapshot();
    assert_eq!((snapshot.read(&boxed).id, *snapshot.read(&inline)), (5, 3));
}

#[test]
fn s2_1_the_transaction_may_be_used_inside_the_function_of_modify() {
    let space = Space::new();
    let [a, b, c] = [1, 10, 100].map(|n| TVar::new_in(&space, n));
    space.atomically(|tx| {
        tx.modify(&a, |x| {
            tx.modify(&b, |y| {
                tx.write(&c, *tx.read(&c) + x + y);
                let aborted = tx.nested(|tx| {
                    tx.write(&a, 1_000);
                    tx.write(&c, 1_000);
                    tx.abort::<(), _>("undone")
                });
                assert!(matches!(aborted, Ok(Err("undone"))));
                let other = tx.or_else(|tx| tx.retry(), |_| Ok(2));
                x + y + other.unwrap_or(0)
            });
            x + *tx.read(&b)
        });
        Ok(())
    });
    assert_eq!((a.load(), b.load(), c.load()), (14, 13, 111));
}

/// The reference was handed out by the outer transaction, while a nested one ran that was undone.
#[test]
fn s2_1_references_outlive_the_undoing_of_a_nested_part() {
    let space = Space::new();
    let census = Census::new();
    let boxed = TVar::new_in(&space, census.value(1));
    let inline = TVar::new_in(&space, 1);
    space.atomically(|tx| {
        let kept = RefCell::new(Vec::new());
        tx.write(&boxed, census.value(2));
        tx.write(&inline, 2);
        for (undone, id) in [(true, 3), (false, 4), (true, 5)] {
            let result = tx.nested(|part| {
                part.write(&boxed, census.value(id));
                tx.modify(&inline, |n| n * 10);
                kept.borrow_mut().push((tx.read(&boxed), tx.read(&inline)));
                if undone {
                    return part.abort("undone");
                }
                Ok(())
            })?;
            assert_eq!(result.is_err(), undone);
        }
        tx.or_else(
            |part| {
                part.write(&boxed, census.value(6));
                kept.borrow_mut().push((tx.read(&boxed), tx.read(&inline)));
                part.retry()
            },
            |_| Ok(()),
        )?;
        // Overwrite whatever memory came free.
        for n in 0..100 {
            tx.modify(&boxed, |old| census.value(old.id + n));
            tx.modify(&boxed, |_| census.value(4));
        }
        let kept: Vec<_> = kept.borrow().iter().map(|(a, b)| (a.id, **b)).collect();
        assert_eq!(kept, [(3, 20), (4, 20), (5, 200), (6, 20)]);
        assert!([3, 4, 5, 6].iter().all(|id| census.alive(*id)));
        assert_eq!((tx.read(&boxed).id, *tx.read(&inline)), (4, 20));
        Ok(())
    });
}

#[test]
fn s2_1_a_million_modifies_of_one_variable_use_bounded_memory() {
    let count = many(1_000_000) as u64;
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(0));
    let last = space.atomically(|tx| {
        for _ in 0..count {
            tx.modify(&var, |old| census.value(old.id + 1));
        }
        Ok(tx.read(&var).id)
    });
    assert_eq!(last, count);
    assert!(census.peak() <= 1_000, "{} at once", census.peak());
    TVar::new_in(&space, 0).store(1);
    assert_eq!(census.live(), 1);
}

/// The same inside a nested part and inside an alternative, whose undoing needs the value before.
#[test]
fn s2_1_many_modifies_in_a_part_use_bounded_memory() {
    let count = many(100_000) as u64;
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(0));
    space.atomically(|tx| {
        tx.write(&var, census.value(7));
        for undone in [true, false] {
            let result = tx.nested(|tx| {
                for _ in 0..count {
                    tx.modify(&var, |old| census.value(old.id + 1));
                }
                if undone {
                    return tx.abort(());
                }
                Ok(())
            })?;
            assert_eq!(result.is_err(), undone);
        }
        assert_eq!(tx.read(&var).id, count + 7);
        tx.or_else(
            |tx| {
                for _ in 0..count {
                    tx.modify(&var, |old| census.value(old.id + 1));
                }
                tx.retry()
            },
            |_| Ok(()),
        )
    });
    assert_eq!(space.snapshot().read(&var).id, count + 7);
    assert!(census.peak() <= 1_000, "{} at once", census.peak());
}

#[test]
fn s2_1_attempts_are_counted_from_one() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let seen = RefCell::new(Vec::new());
    space.atomically(|tx| {
        seen.borrow_mut().push(tx.attempt());
        let n = *tx.read(&var);
        if tx.attempt() < 3 {
            elsewhere(|| var.update(|n| n + 1));
        }
        tx.write(&var, n + 10);
        Ok(())
    });
    assert_eq!(*seen.borrow(), [1, 2, 3]);
    assert_eq!(var.load(), 12);
}

/// A helper that returns a reference borrowed from both the transaction and the handle.
#[test]
fn s2_1_helpers_can_return_references() {
    fn longest<'a>(tx: &'a tvar::Tx<'_>, a: &'a TVar<String>, b: &'a TVar<String>) -> tvar::Stm<&'a str> {
        let (a, b) = (tx.read(a), tx.read(b));
        tx.check(a.len() != b.len())?;
        Ok(if a.len() > b.len() { a } else { b })
    }
    let (a, b) = (TVar::new("long".to_owned()), TVar::new("longer".to_owned()));
    let found = atomically(|tx| {
        let found = longest(tx, &a, &b)?;
        tx.write(&b, String::new());
        Ok(found.to_owned())
    });
    assert_eq!((found.as_str(), b.load()), ("longer", String::new()));
    // The same helper in a typed transaction.
    let found: Result<usize, ()> = tvar::try_atomically(|tx| {
        let found = longest(tx, &a, &b)?;
        Ok::<_, Abort<()>>(found.len())
    });
    assert_eq!(found, Ok(4));
}

#[test]
fn s2_1_the_closure_may_mutate_what_it_captures() {
    let var = TVar::new(1);
    let calls = Cell::new(0);
    let mut log = Vec::new();
    atomically(|tx| {
        calls.set(calls.get() + 1);
        log.push(*tx.read(&var));
        Ok(())
    });
    assert_eq!((calls.get(), log), (1, vec![1]));
}
