//! §2.3, §2.4, §2.5: who conflicts with whom. Disjoint transactions, blind writes and read-only
//! transactions never make a closure run again.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::thread;

use common::{at_first, elsewhere, many};
use tvar::hooks::{self, Point};
use tvar::{Isolation, Space, TVar, TxOptions};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

/// Neighbours in one leaf: the root swap fails, the closure does not run again.
#[test]
fn s2_3_disjoint_writers_do_not_conflict() {
    for point in [Point::Begin, Point::Read, Point::Validate, Point::Swap] {
        let (space, [mine, theirs]) = vars([0, 0]);
        let foreign = theirs.clone();
        let guard = at_first(point, move || foreign.update(|n| n + 1));
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            let n = *tx.read(&mine);
            tx.write(&mine, n + 1);
            Ok(())
        });
        drop(guard);
        assert_eq!((runs, mine.load(), theirs.load()), (1, 1, 1), "{point:?}");
        let stats = space.stats();
        assert_eq!((stats.commits, stats.conflicts, stats.reruns), (2, 0, 0));
        if point == Point::Swap {
            assert_eq!(stats.lost_swaps, 1);
        }
    }
}

/// The root is lost several times in a row.
#[test]
fn s2_3_a_lost_root_re_applies_the_write_set_again_and_again() {
    let space = Space::new();
    let number = TVar::new_in(&space, 0);
    let text = TVar::new_in(&space, String::from("a"));
    let theirs = TVar::new_in(&space, 0);
    let foreign = theirs.clone();
    let lost = Rc::new(Cell::new(0));
    let seen = lost.clone();
    let guard = hooks::on_this_thread(move |point| {
        if point == Point::Swap && seen.get() < 3 {
            seen.set(seen.get() + 1);
            let foreign = foreign.clone();
            let step = move || foreign.update(|n| n + 1);
            thread::spawn(step).join().expect("the foreign commit");
        }
    });
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.modify(&number, |n| n + 1);
        tx.modify(&text, |text| format!("{text}b"));
        Ok(())
    });
    drop(guard);
    assert_eq!((runs, lost.get()), (1, 3));
    assert_eq!((number.load(), text.load(), theirs.load()), (1, "ab".into(), 3));
    assert_eq!(space.stats().conflicts, 0);
}

/// Two threads that never touch the same variable: not one closure runs twice.
#[test]
fn s2_3_disjoint_writers_on_two_threads_never_re_run_each_other() {
    let space = Space::new();
    let rounds = many(50_000);
    let vars: Vec<_> = (0..2).map(|_| (TVar::new_in(&space, 0_usize), TVar::new_in(&space, String::new()))).collect();
    thread::scope(|scope| {
        for (number, text) in &vars {
            let space = &space;
            scope.spawn(move || {
                let mut runs = 0;
                for _ in 0..rounds {
                    space.atomically(|tx| {
                        runs += 1;
                        tx.modify(number, |n| n + 1);
                        let text_now = tx.read(number).to_string();
                        tx.write(text, text_now);
                        Ok(())
                    });
                }
                assert_eq!(runs, rounds);
            });
        }
    });
    for (number, text) in &vars {
        assert_eq!((number.load(), text.load()), (rounds, rounds.to_string()));
    }
    let stats = space.stats();
    assert_eq!((stats.conflicts, stats.reruns), (0, 0));
}

/// Readers of one variable that both write others.
#[test]
fn s2_3_a_shared_read_is_no_conflict() {
    let (space, [shared, mine, theirs]) = vars([7, 0, 0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&shared);
        elsewhere(|| {
            space.atomically(|tx| {
                let n = *tx.read(&shared);
                tx.write(&theirs, n);
                Ok(())
            });
        });
        tx.write(&mine, n);
        Ok(())
    });
    assert_eq!((runs, mine.load(), theirs.load()), (1, 7, 7));
}

/// Far apart in the tree, with new variables being made all the time.
#[test]
fn s2_3_the_growth_of_the_tree_is_no_conflict() {
    let (space, [mine]) = vars([0]);
    let mut runs = 0;
    let made = space.atomically(|tx| {
        runs += 1;
        tx.modify(&mine, |n| n + 1);
        let made: Vec<_> = elsewhere(|| {
            let made: Vec<_> = (0..3_000).map(|n| TVar::new_in(&space, n)).collect();
            made.iter().for_each(|var| var.store(1));
            made
        });
        Ok(made)
    });
    assert_eq!((runs, mine.load()), (1, 1));
    assert!(made.iter().all(|var| var.load() == 1));
}

/// What an earlier attempt of the call did is forgotten: reads, ensured variables, writes.
#[test]
fn s2_3_a_re_run_conflicts_over_its_own_variables_only() {
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let (space, [first, second, written]) = vars([0, 0, 0]);
        let mut runs = 0;
        let result = TxOptions::new().space(&space).isolation(isolation).run(|tx| {
            runs += 1;
            if runs == 1 {
                tx.ensure(&first);
                tx.write(&second, 7);
                elsewhere(|| first.store(1));
            } else {
                elsewhere(|| {
                    first.store(2);
                    second.store(2);
                });
            }
            tx.write(&written, runs);
            Ok(())
        });
        assert_eq!((result, runs), (Ok(()), 2));
        assert_eq!((first.load(), second.load(), written.load()), (2, 2, 2));
    }
}

/// §3.1's notion of a change holds for conflicts as well: the same bits of an inline value are
/// none, another box is one, whatever is in it.
#[test]
fn s2_3_an_identical_inline_value_is_no_change() {
    let space = Space::new();
    let number = TVar::new_in(&space, 1.5);
    let text = TVar::new_in(&space, String::from("same"));
    let other = TVar::new_in(&space, 0);
    let older = space.snapshot();
    for written_before in [false, true] {
        if written_before {
            number.store(2.5);
            number.store(1.5);
        }
        let (mut runs, older) = (0, space.snapshot());
        space.atomically(|tx| {
            runs += 1;
            tx.read(&number);
            if runs == 1 {
                elsewhere(|| number.store(1.5));
            }
            tx.write(&other, runs);
            Ok(())
        });
        assert_eq!(runs, 1);
        assert!(!older.diff(&space.snapshot()).changed(&number));
    }
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.read(&text);
        if runs == 1 {
            elsewhere(|| text.store("same".into()));
        }
        tx.write(&other, runs);
        Ok(())
    });
    assert_eq!(runs, 2);
    assert!(older.diff(&space.snapshot()).changed(&text));
}

#[test]
fn s2_4_blind_writes_conflict_with_nobody() {
    for point in [Point::Begin, Point::Validate, Point::Swap] {
        let (space, [var, other]) = vars([0, 0]);
        let foreign = var.clone();
        let guard = at_first(point, move || foreign.store(5));
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            tx.write(&var, 1);
            // Reading back one's own write is no read of the variable.
            let own = *tx.read(&var);
            tx.write(&var, own + 1);
            tx.modify(&var, |n| n + 1);
            tx.modify(&other, |n| n + 1);
            Ok(())
        });
        drop(guard);
        assert_eq!((runs, var.load(), other.load()), (1, 3, 1), "{point:?}");
    }
}

/// Between two writers that are both blind the later commit wins.
#[test]
fn s2_4_the_later_blind_write_wins_as_a_whole() {
    let space = Space::new();
    let texts = ["", ""].map(|text| TVar::new_in(&space, text));
    let write = |text| {
        space.atomically(|tx| {
            texts.iter().for_each(|var| tx.write(var, text));
            Ok(())
        });
    };
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.write(&texts[0], "outer");
        elsewhere(|| write("inner"));
        tx.write(&texts[1], "outer");
        Ok(())
    });
    assert_eq!(runs, 1);
    assert_eq!(texts.each_ref().map(TVar::load), ["outer"; 2]);
}

/// A write does not hide an earlier read of the same variable.
#[test]
fn s2_4_a_write_after_a_read_is_not_blind() {
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.read(&var);
        tx.write(&var, 1);
        if runs == 1 {
            elsewhere(|| var.store(5));
        }
        Ok(())
    });
    assert_eq!((runs, var.load()), (2, 1));
}

#[test]
fn s2_5_a_read_only_transaction_never_re_runs() {
    let (space, [x, y, z]) = vars([1, 2, 3]);
    let version = space.version();
    let passed = Rc::new(Cell::new(0));
    let counted = passed.clone();
    let guard = hooks::on_this_thread(move |point| {
        if matches!(point, Point::Validate | Point::Swap | Point::Restart) {
            counted.set(counted.get() + 1);
        }
    });
    let mut runs = 0;
    let seen = space.atomically(|tx| {
        runs += 1;
        let first = *tx.read(&x);
        elsewhere(|| [&x, &y, &z].iter().for_each(|var| var.store(10)));
        tx.ensure(&z);
        let part = tx.nested(|tx| Ok::<_, tvar::Abort<()>>(*tx.read(&z)))?;
        tx.on_commit(|| ());
        Ok((first, *tx.read(&y), part))
    });
    drop(guard);
    assert_eq!((runs, seen), (1, (1, 2, Ok(3))));
    // It neither validated nor published.
    assert_eq!(passed.get(), 0);
    let stats = space.stats();
    assert_eq!((stats.commits, stats.read_only), (3, 1));
    assert_eq!((stats.conflicts, stats.reruns), (0, 0));
    assert!(space.version() > version);
    let version = space.version();
    space.atomically(|tx| Ok(*tx.read(&x)));
    assert_eq!(space.version(), version);
}

/// A long reader beside a writer that never pauses.
#[test]
fn s2_5_a_long_reader_runs_once_beside_a_busy_writer() {
    let space = Space::new();
    let vars: Vec<_> = (0..1_000).map(|_| TVar::new_in(&space, 0_i64)).collect();
    let rounds = many(20_000);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..rounds {
                space.atomically(|tx| {
                    tx.modify(&vars[round % 1_000], |n| n + 1);
                    tx.modify(&vars[(round * 7 + 1) % 1_000], |n| n - 1);
                    Ok(())
                });
            }
        });
        let mut scans = 0;
        let mut runs = 0;
        while !writer.is_finished() || scans == 0 {
            scans += 1;
            let sum: i64 = space.atomically(|tx| {
                runs += 1;
                Ok(vars.iter().map(|var| *tx.read(var)).sum())
            });
            assert_eq!(sum, 0);
        }
        assert_eq!(runs, scans);
    });
    assert_eq!(space.stats().conflicts, 0);
}
