//! §2.2, `Isolation::Snapshot`: first committer wins on writes, blind ones too; reads do not
//! conflict; `ensure` promotes one read.

mod common;

use common::elsewhere;
use tvar::{Isolation, Space, TVar, TxOptions};

fn relaxed(space: &Space) -> TxOptions {
    TxOptions::new().space(space).isolation(Isolation::Snapshot)
}

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

#[test]
fn s2_2_snapshot_isolation_loses_no_update() {
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    let result = relaxed(&space).run(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        if runs == 1 {
            elsewhere(|| var.store(5));
        }
        tx.write(&var, n + 1);
        Ok(())
    });
    assert_eq!((result, runs, var.load()), (Ok(()), 2, 6));
}

#[test]
fn s2_2_snapshot_isolation_a_blind_write_conflicts() {
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    let result = relaxed(&space).run(|tx| {
        runs += 1;
        tx.write(&var, 1);
        if runs == 1 {
            elsewhere(|| var.store(5));
        }
        Ok(())
    });
    assert_eq!((result, runs, var.load()), (Ok(()), 2, 1));
    assert_eq!(space.stats().conflicts, 1);
}

/// The write comes only after the foreign commit: what counts is the snapshot.
#[test]
fn s2_2_snapshot_isolation_a_blind_write_after_the_foreign_commit_conflicts() {
    let space = Space::new();
    let var = TVar::new_in(&space, String::from("initial"));
    let mut runs = 0;
    let result = relaxed(&space).run(|tx| {
        runs += 1;
        if runs == 1 {
            elsewhere(|| var.store("foreign".into()));
        }
        tx.write(&var, "own".into());
        Ok(())
    });
    assert_eq!((result, runs, var.load()), (Ok(()), 2, "own".into()));
}

/// From A to B and back to A: there was a commit since the snapshot.
#[test]
fn s2_2_snapshot_isolation_a_value_that_came_back_conflicts_with_a_write() {
    for blind in [true, false] {
        for initial in [true, false] {
            let (space, [var]) = vars([1]);
            if !initial {
                var.store(2);
                var.store(1);
            }
            let mut runs = 0;
            let result = relaxed(&space).run(|tx| {
                runs += 1;
                if !blind {
                    tx.read(&var);
                }
                if runs == 1 {
                    elsewhere(|| {
                        var.store(2);
                        var.store(1);
                    });
                }
                tx.write(&var, 3);
                Ok(())
            });
            assert_eq!((result, runs, var.load()), (Ok(()), 2, 3), "{blind} {initial}");
        }
    }
}

#[test]
fn s2_2_snapshot_isolation_reads_do_not_conflict() {
    let (space, [read, written]) = vars([0, 0]);
    let mut runs = 0;
    let result = relaxed(&space).run(|tx| {
        runs += 1;
        let n = *tx.read(&read);
        elsewhere(|| read.store(5));
        assert_eq!(*tx.read(&read), n);
        tx.write(&written, n + 1);
        Ok(())
    });
    assert_eq!((result, runs), (Ok(()), 1));
    assert_eq!((read.load(), written.load()), (5, 1));
    assert_eq!(space.stats().conflicts, 0);
}

/// Two doctors on call; each leaves if the other stays. Returns how often the first one's closure
/// ran, and who is on call in the end.
fn doctors(ensure: bool) -> (u32, i64, i64) {
    let (space, [a, b]) = vars([1, 1]);
    let mut runs = 0;
    let result = relaxed(&space).run(|tx| {
        runs += 1;
        if *tx.read(&a) + *tx.read(&b) > 1 {
            tx.write(&a, 0);
            if ensure {
                tx.ensure(&b);
            }
        }
        if runs == 1 {
            let other = elsewhere(|| {
                relaxed(&space).run(|tx| {
                    if *tx.read(&a) + *tx.read(&b) > 1 {
                        tx.write(&b, 0);
                    }
                    Ok(())
                })
            });
            assert_eq!(other, Ok(()));
        }
        Ok(())
    });
    assert_eq!(result, Ok(()));
    (runs, a.load(), b.load())
}

#[test]
fn s2_2_snapshot_isolation_allows_write_skew() {
    assert_eq!(doctors(false), (1, 0, 0));
}

#[test]
fn s2_2_ensure_prevents_write_skew() {
    assert_eq!(doctors(true), (2, 1, 0));
}

/// `ensure` looks at the snapshot, wherever in the closure it stands.
#[test]
fn s2_2_ensure_after_the_foreign_commit() {
    let (space, [ensured, written]) = vars([0, 0]);
    let mut runs = 0;
    let result = relaxed(&space).run(|tx| {
        runs += 1;
        let n = *tx.read(&ensured);
        if runs == 1 {
            elsewhere(|| ensured.store(5));
        }
        tx.ensure(&ensured);
        tx.write(&written, n + 1);
        Ok(())
    });
    assert_eq!((result, runs, written.load()), (Ok(()), 2, 6));
}

/// `ensure` promises that the variable did not change; it is no write.
#[test]
fn s2_2_ensure_is_no_write() {
    let (space, [ensured, written]) = vars([0, 0]);
    let older = space.snapshot();
    let mut theirs = 0;
    let result = relaxed(&space).run(|tx| {
        tx.ensure(&ensured);
        tx.write(&written, 1);
        // Nor does it conflict with another one that ensures the same.
        elsewhere(|| {
            relaxed(&space)
                .run(|tx| {
                    theirs += 1;
                    tx.ensure(&ensured);
                    Ok(())
                })
                .expect("no limit");
        });
        Ok(())
    });
    assert_eq!((result, theirs), (Ok(()), 1));
    assert!(!older.diff(&space.snapshot()).changed(&ensured));
    assert!(older.diff(&space.snapshot()).changed(&written));
}

#[test]
fn s2_2_snapshot_isolation_is_one_snapshot() {
    let (space, [x, y]) = vars([0, 0]);
    let result = relaxed(&space).run(|tx| {
        let before = *tx.read(&x);
        elsewhere(|| {
            space.atomically(|tx| {
                tx.write(&x, 1);
                tx.write(&y, 1);
                Ok(())
            });
        });
        Ok((before, *tx.read(&y)))
    });
    assert_eq!(result, Ok((0, 0)));
}

/// A write that an undone part made is no write.
#[test]
fn s2_2_snapshot_isolation_forgets_the_writes_of_an_undone_part() {
    let (space, [var, other]) = vars([0, 0]);
    let mut runs = 0;
    let result = relaxed(&space).run(|tx| {
        runs += 1;
        let part = tx.nested(|tx| {
            tx.write(&var, 9);
            tx.abort::<(), _>("undone")
        })?;
        assert_eq!(part, Err("undone"));
        elsewhere(|| var.store(5));
        tx.write(&other, 1);
        Ok(())
    });
    assert_eq!((result, runs), (Ok(()), 1));
    assert_eq!((var.load(), other.load()), (5, 1));
}

/// The two isolations meet: the serialisable one is still protected.
#[test]
fn s2_2_a_relaxed_writer_does_not_weaken_a_serialisable_one() {
    let (space, [a, b]) = vars([1, 1]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let sum = *tx.read(&a) + *tx.read(&b);
        if runs == 1 {
            let other = elsewhere(|| {
                relaxed(&space).run(|tx| {
                    tx.write(&b, 0);
                    Ok(())
                })
            });
            assert_eq!(other, Ok(()));
        }
        if sum > 1 {
            tx.write(&a, 0);
        }
        Ok(())
    });
    assert_eq!((runs, a.load(), b.load()), (2, 1, 0));
}
