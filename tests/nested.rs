//! §2.9: closed nesting. A nested part joins the transaction when it ends well; its typed abort
//! undoes its own writes and hooks only, and its reads stay in the read set.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::{Census, elsewhere};
use tvar::{Abort, Space, Stm, TVar, Tx};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

#[test]
fn s2_9_a_nested_part_joins_the_transaction() {
    let (space, [a, b]) = vars([1, 10]);
    let version = space.version();
    let sum = space.atomically(|tx| {
        tx.write(&a, 2);
        let part = tx.nested(|tx| {
            // It sees what came before, and what it writes is seen after it.
            let sum = *tx.read(&a) + *tx.read(&b);
            tx.modify(&a, |n| n * 100);
            tx.write(&b, sum);
            Ok::<_, Abort<&str>>(sum)
        })?;
        assert_eq!((*tx.read(&a), *tx.read(&b)), (200, 12));
        // Nothing was published by it alone.
        assert_eq!(elsewhere(|| (a.load(), b.load())), (1, 10));
        Ok(part)
    });
    assert_eq!((sum, a.load(), b.load()), (Ok(12), 200, 12));
    assert!(space.version() > version);
    assert_eq!(space.stats().commits, 1);
}

#[test]
fn s2_9_an_abort_undoes_the_writes_of_the_part_only() {
    let space = Space::new();
    let [a, b, c] = [1, 10, 100].map(|n| TVar::new_in(&space, n));
    let text = TVar::new_in(&space, String::from("initial"));
    let fresh = TVar::new_in(&space, String::from("fresh"));
    c.store(100);
    space.atomically(|tx| {
        tx.write(&a, 2);
        tx.write(&text, "outer".into());
        let before = tx.read(&text);
        let part = tx.nested(|tx| {
            tx.write(&a, 3);
            tx.write(&b, 11);
            tx.modify(&c, |n| n + 1);
            tx.modify(&text, |text| format!("{text}, inner"));
            tx.replace(&fresh, "inner".into());
            assert_eq!(tx.read(&text), "outer, inner");
            tx.abort::<(), _>(*tx.read(&c))
        })?;
        assert_eq!(part, Err(101));
        assert_eq!((*tx.read(&a), *tx.read(&b), *tx.read(&c)), (2, 10, 100));
        assert_eq!((before.as_str(), tx.read(&text).as_str()), ("outer", "outer"));
        assert_eq!(tx.read(&fresh), "fresh");
        tx.modify(&b, |n| n + 5);
        Ok(())
    });
    assert_eq!((a.load(), b.load(), c.load()), (2, 15, 100));
    assert_eq!((text.load(), fresh.load()), ("outer".into(), "fresh".into()));
}

#[test]
fn s2_9_a_part_that_is_undone_is_no_commit() {
    let (space, [a]) = vars([1]);
    let older = space.snapshot();
    let result = space.atomically(|tx| {
        tx.nested(|tx| {
            tx.write(&a, 2);
            tx.abort::<(), _>("undone")
        })
    });
    assert_eq!(result, Err("undone"));
    assert!(!older.diff(&space.snapshot()).changed(&a));
}

/// A blind write that was undone does not overwrite what others commit, nor conflict with it.
#[test]
fn s2_9_an_undone_write_is_no_write() {
    let (space, [a, b]) = vars([1, 1]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let part = tx.nested(|tx| {
            tx.write(&a, 9);
            tx.abort::<(), _>("undone")
        })?;
        assert_eq!(part, Err("undone"));
        elsewhere(|| a.store(5));
        tx.write(&b, 2);
        Ok(())
    });
    assert_eq!((runs, a.load(), b.load()), (1, 5, 2));
}

/// The outer code goes on from the error, which rests on what the part read.
#[test]
fn s2_9_the_reads_of_an_undone_part_stay_in_the_read_set() {
    type Reading = fn(&Tx<'_>, &TVar<i64>);
    let operations: [(&str, Reading); 5] = [
        ("read", |tx, var| {
            tx.read(var);
        }),
        ("modify", |tx, var| tx.modify(var, |n| n + 1)),
        ("replace", |tx, var| {
            tx.replace(var, 1);
        }),
        ("write_if_changed", |tx, var| {
            tx.write_if_changed(var, 1);
        }),
        ("read in a part of the part", |tx, var| {
            let part = tx.nested(|tx| tx.abort::<(), _>(*tx.read(var)));
            assert!(matches!(part, Ok(Err(_))));
        }),
    ];
    for (name, operation) in operations {
        let (space, [a, b]) = vars([0, 0]);
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            let part = tx.nested(|tx| {
                operation(tx, &a);
                tx.abort::<(), _>("undone")
            })?;
            assert_eq!(part, Err("undone"));
            if runs == 1 {
                elsewhere(|| a.store(5));
            }
            tx.write(&b, runs);
            Ok(())
        });
        assert_eq!((runs, a.load(), b.load()), (2, 5, 2), "{name}");
    }
}

/// They are also what a later retry of the outer code waits for.
#[test]
fn s2_9_the_reads_of_an_undone_part_wake_a_retry() {
    let (space, [a]) = vars([0]);
    let mut runs = 0;
    let seen = space.atomically(|tx| {
        runs += 1;
        let part: Result<i64, &str> = tx.nested(|tx| {
            let n = *tx.read(&a);
            if n == 0 {
                tx.abort("empty")?;
            }
            Ok(n)
        })?;
        if runs == 1 {
            elsewhere(|| a.store(5));
        }
        part.or_else(|_| tx.retry())
    });
    assert_eq!((seen, runs), (5, 2));
}

#[test]
fn s2_9_hooks_of_an_undone_part_are_discarded() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let log = Rc::new(RefCell::new(Vec::new()));
    let note = |tx: &Tx<'_>, text: &'static str| {
        let (commit, rollback) = (log.clone(), log.clone());
        tx.on_commit(move || commit.borrow_mut().push((text, "commit")));
        tx.on_rollback(move || rollback.borrow_mut().push((text, "rollback")));
    };
    let body = |tx: &Tx<'_>| -> Stm<()> {
        note(tx, "before");
        let part = tx.nested(|tx| {
            note(tx, "undone");
            let inner = tx.nested(|tx| {
                note(tx, "joined to the undone");
                Ok::<_, Abort<()>>(())
            })?;
            assert_eq!(inner, Ok(()));
            tx.abort::<(), _>(1)
        })?;
        assert_eq!(part, Err(1));
        let part = tx.nested(|tx| {
            note(tx, "joined");
            Ok::<_, Abort<()>>(())
        })?;
        assert_eq!(part, Ok(()));
        note(tx, "after");
        tx.modify(&var, |n| n + 1);
        Ok(())
    };
    space.atomically(body);
    let names = ["before", "joined", "after"];
    assert_eq!(*log.borrow(), names.map(|name| (name, "commit")));
    log.borrow_mut().clear();
    let result = space.try_atomically(|tx| {
        body(tx)?;
        tx.abort::<(), _>("all of it")
    });
    assert_eq!(result, Err("all of it"));
    assert_eq!(*log.borrow(), names.map(|name| (name, "rollback")));
    assert_eq!(var.load(), 1);
}

#[test]
fn s2_9_parts_within_parts() {
    let (space, [a]) = vars([0]);
    let trail = space.atomically(|tx| {
        let mut trail = vec![*tx.read(&a)];
        tx.write(&a, 1);
        let outer: Result<(), &str> = tx.nested(|tx| {
            tx.write(&a, 2);
            let inner: Result<(), &str> = tx.nested(|tx| {
                tx.write(&a, 3);
                trail.push(*tx.read(&a));
                tx.abort("inner")
            })?;
            assert_eq!(inner, Err("inner"));
            trail.push(*tx.read(&a));
            let inner: Result<(), &str> = tx.nested(|tx| {
                tx.write(&a, 4);
                Ok(())
            })?;
            assert_eq!(inner, Ok(()));
            trail.push(*tx.read(&a));
            // Undoes the inner part that ended well, too.
            tx.abort("outer")
        })?;
        assert_eq!(outer, Err("outer"));
        trail.push(*tx.read(&a));
        Ok(trail)
    });
    assert_eq!(trail, [0, 3, 2, 4, 1]);
    assert_eq!(a.load(), 1);
}

/// What one part wrote and handed on is what the undoing of a later part goes back to.
#[test]
fn s2_9_an_abort_goes_back_to_what_an_earlier_part_wrote() {
    let space = Space::new();
    let number = TVar::new_in(&space, 0);
    let text = TVar::new_in(&space, String::from("initial"));
    let write = |tx: &Tx<'_>, n: i64, undone: bool| {
        tx.nested(|tx| {
            tx.write(&number, n);
            tx.write(&text, n.to_string());
            if undone { tx.abort(n) } else { Ok(()) }
        })
    };
    space.atomically(|tx| {
        assert_eq!(write(tx, 1, false)?, Ok(()));
        assert_eq!(write(tx, 2, true)?, Err(2));
        assert_eq!((*tx.read(&number), tx.read(&text).as_str()), (1, "1"));
        let outer = tx.nested(|tx| {
            assert_eq!(write(tx, 3, false)?, Ok(()));
            assert_eq!(write(tx, 4, true)?, Err(4));
            assert_eq!((*tx.read(&number), tx.read(&text).as_str()), (3, "3"));
            tx.abort::<(), _>("outer")
        })?;
        assert_eq!(outer, Err("outer"));
        Ok(())
    });
    assert_eq!((number.load(), text.load()), (1, "1".into()));
}

#[test]
fn s2_9_deep_nesting() {
    fn descend(tx: &Tx<'_>, var: &TVar<i64>, depth: i64) -> Stm<i64> {
        if depth == 0 {
            return Ok(*tx.read(var));
        }
        let part = tx.nested(|tx| {
            tx.modify(var, |n| n + 1);
            let below = descend(tx, var, depth - 1)?;
            if depth % 2 == 0 {
                return tx.abort(below);
            }
            Ok(below)
        })?;
        Ok(part.unwrap_or_else(|below| below))
    }
    let (space, [a]) = vars([0]);
    let deepest = space.atomically(|tx| descend(tx, &a, 100));
    // At the bottom all hundred are seen; on the way up the topmost abort undoes everything.
    assert_eq!((deepest, a.load()), (100, 0));
    let deepest = space.atomically(|tx| descend(tx, &a, 99));
    assert_eq!((deepest, a.load()), (99, 1));
}

/// A conflict found at commit re-runs the whole transaction, nested parts included.
#[test]
fn s2_9_a_conflict_re_runs_the_whole_transaction() {
    let (space, [a, b]) = vars([0, 0]);
    let mut runs = (0, 0);
    space.atomically(|tx| {
        runs.0 += 1;
        let part = tx.nested(|tx| {
            runs.1 += 1;
            let n = *tx.read(&a);
            tx.write(&b, n + 1);
            Ok::<_, Abort<()>>(())
        })?;
        assert_eq!(part, Ok(()));
        if runs.0 == 1 {
            elsewhere(|| a.store(5));
        }
        Ok(())
    });
    assert_eq!((runs, b.load()), ((2, 2), 6));
}

/// A retry inside a part stops the whole attempt.
#[test]
fn s2_9_a_retry_in_a_part_retries_the_whole_transaction() {
    let (space, [a, b]) = vars([0, 0]);
    let mut after = 0;
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.modify(&b, |n| n + 1);
        let part: Result<(), ()> = tx.nested(|tx| {
            let n = *tx.read(&a);
            if runs == 1 {
                elsewhere(|| a.store(1));
            }
            tx.check(n == 1)?;
            Ok(())
        })?;
        assert_eq!(part, Ok(()));
        after += 1;
        Ok(())
    });
    assert_eq!((runs, after, b.load()), (2, 1, 1));
}

/// Stops and errors mix: the outer transaction's own error type may differ from the part's.
#[test]
fn s2_9_parts_in_a_typed_transaction() {
    let (space, [a]) = vars([3]);
    let result: Result<i64, String> = space.try_atomically(|tx| {
        tx.modify(&a, |n| n * 2);
        let part: Result<(), u8> = tx.nested(|tx| {
            tx.write(&a, 0);
            tx.abort(7_u8)
        })?;
        match part {
            Ok(()) => Ok(0),
            Err(code) => tx.abort(format!("code {code} with {}", tx.read(&a))),
        }
    });
    assert_eq!((result, a.load()), (Err("code 7 with 6".into()), 3));
}

#[test]
fn s2_9_values_of_undone_parts_are_dropped() {
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(0));
    for _ in 0..100 {
        space.atomically(|tx| {
            tx.write(&var, census.value(1));
            let part = tx.nested(|tx| {
                tx.write(&var, census.value(2));
                tx.abort::<(), _>(())
            })?;
            assert_eq!(part, Err(()));
            Ok(())
        });
    }
    TVar::new_in(&space, 0).store(1);
    assert_eq!(census.live(), 1);
    assert!(census.alive(1));
}

/// Variables made in an undone part exist all the same, with their initial values.
#[test]
fn s2_9_a_variable_made_in_an_undone_part() {
    let space = Space::new();
    let made = RefCell::new(None);
    let seen = space.atomically(|tx| {
        let part = tx.nested(|tx| {
            let var = TVar::new_in(&space, 1);
            tx.write(&var, 2);
            *made.borrow_mut() = Some(var);
            tx.abort::<(), _>(())
        })?;
        assert_eq!(part, Err(()));
        let made = made.borrow();
        Ok(*tx.read(made.as_ref().expect("made")))
    });
    assert_eq!(seen, 1);
    assert_eq!(made.into_inner().expect("made").load(), 1);
}
