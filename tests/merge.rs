//! §4.5 and §4.3: merge functions are applied at commit to the newest value, never conflict with
//! each other, and what a failed application did counts for nothing.

mod common;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{Census, at_first, elsewhere, many, panic_message};
use tvar::hooks::Point;
use tvar::{Abort, AfterCommit, Space, TVar};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

#[test]
fn s4_5_a_merge_is_applied_at_commit() {
    let space = Space::new();
    let number = TVar::new_in(&space, 1);
    let set = TVar::new_in(&space, BTreeSet::from([1]));
    let applied = Arc::new(AtomicUsize::new(0));
    space.atomically(|tx| {
        let count = applied.clone();
        tx.merge(&number, move |n| {
            count.fetch_add(1, Ordering::SeqCst);
            n + 1
        });
        tx.merge(&set, |set| set.iter().copied().chain([2]).collect());
        // Not yet.
        assert_eq!(applied.load(Ordering::SeqCst), 0);
        Ok(())
    });
    assert_eq!((number.load(), set.load()), (2, BTreeSet::from([1, 2])));
    assert_eq!(applied.load(Ordering::SeqCst), 1);
    assert_eq!(space.stats().commits, 1);
}

#[test]
fn s4_5_merges_of_one_variable_never_conflict() {
    for point in [Point::Begin, Point::Validate, Point::Swap] {
        let space = Space::new();
        let number = TVar::new_in(&space, 0);
        let list = TVar::new_in(&space, Vec::new());
        let other = TVar::new_in(&space, 0);
        let theirs = (space.clone(), number.clone(), list.clone());
        let guard = at_first(point, move || {
            let (space, number, list) = theirs;
            space.atomically(|tx| {
                tx.merge(&number, |n| n + 10);
                tx.merge(&list, |list| [&**list, &["foreign"]].concat());
                Ok(())
            });
        });
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            tx.merge(&number, |n| n + 1);
            tx.merge(&list, |list| [&**list, &["own"]].concat());
            tx.modify(&other, |n| n + 1);
            Ok(())
        });
        drop(guard);
        assert_eq!((runs, number.load(), other.load()), (1, 11, 1), "{point:?}");
        assert_eq!(list.load(), ["foreign", "own"]);
        assert_eq!(space.stats().conflicts, 0);
    }
}

/// A merge is like a blind write to other kinds of write, too.
#[test]
fn s4_5_a_merge_does_not_conflict_with_a_write_of_another() {
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.merge(&var, |n| n + 1);
        elsewhere(|| var.store(100));
        Ok(())
    });
    assert_eq!((runs, var.load()), (1, 101));
}

/// Whoever has read the variable conflicts with a merge that came in between.
#[test]
fn s4_5_a_merge_is_a_write_for_readers() {
    let (space, [var, other]) = vars([0, 0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        if runs == 1 {
            elsewhere(|| {
                space.atomically(|tx| {
                    tx.merge(&var, |n| n + 1);
                    Ok(())
                });
            });
        }
        tx.write(&other, n);
        Ok(())
    });
    assert_eq!((runs, other.load()), (2, 1));
}

#[test]
fn s4_5_merges_on_two_threads_never_re_run_a_closure() {
    let (space, [total, count]) = vars([0, 0]);
    let rounds = many(50_000) as i64;
    thread::scope(|scope| {
        for by in [1, 1_000_000] {
            let (space, total, count) = (&space, &total, &count);
            scope.spawn(move || {
                let mut runs = 0;
                for _ in 0..rounds {
                    space.atomically(|tx| {
                        runs += 1;
                        tx.merge(total, move |n| n + by);
                        tx.merge(count, |n| n + 1);
                        Ok(())
                    });
                }
                assert_eq!(runs, rounds);
            });
        }
    });
    assert_eq!((total.load(), count.load()), (rounds * 1_000_001, rounds * 2));
    assert_eq!(space.stats().conflicts, 0);
}

#[test]
fn s4_5_several_merges_in_one_transaction_apply_in_order() {
    let space = Space::new();
    let text = TVar::new_in(&space, String::from("a"));
    space.atomically(|tx| {
        for letter in ["b", "c", "d"] {
            tx.merge(&text, move |text| format!("{text}{letter}"));
        }
        elsewhere(|| text.store("A".into()));
        Ok(())
    });
    assert_eq!(text.load(), "Abcd");
}

/// On a value that the transaction itself has written, and overwritten by it afterwards.
#[test]
fn s4_5_merges_and_writes_of_one_transaction() {
    let (space, [written, overwritten, modified]) = vars([1, 1, 1]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.write(&written, 10);
        tx.merge(&written, |n| n + 1);
        tx.merge(&overwritten, |n| n + 1);
        tx.write(&overwritten, 20);
        tx.merge(&overwritten, |n| n + 2);
        tx.modify(&modified, |n| n * 2);
        tx.merge(&modified, |n| n + 3);
        if runs == 1 {
            elsewhere(|| {
                written.store(1_000);
                overwritten.store(1_000);
            });
        }
        Ok(())
    });
    assert_eq!(runs, 1);
    assert_eq!((written.load(), overwritten.load(), modified.load()), (11, 22, 5));
}

/// Reading afterwards promotes: the value is seen, and protected from then on.
#[test]
fn s4_5_reading_after_a_merge_promotes_it() {
    let (space, [var, seen]) = vars([1, 0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.merge(&var, |n| n + 10);
        tx.merge(&var, |n| n * 2);
        let now = *tx.read(&var);
        tx.write(&seen, now);
        if runs == 1 {
            elsewhere(|| var.store(2));
        }
        Ok(())
    });
    assert_eq!((runs, var.load(), seen.load()), (2, 24, 24));
}

/// Every operation that looks at the value promotes.
#[test]
fn s4_5_other_reading_operations_promote_too() {
    let (space, [modified, replaced, compared]) = vars([1, 1, 1]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        for var in [&modified, &replaced, &compared] {
            tx.merge(var, |n| n + 10);
        }
        tx.modify(&modified, |n| n * 2);
        let old = *tx.replace(&replaced, 5);
        let same = !tx.write_if_changed(&compared, old);
        assert_eq!((old, same), (11, true));
        Ok(())
    });
    assert_eq!(runs, 1);
    assert_eq!((modified.load(), replaced.load(), compared.load()), (22, 5, 11));
}

/// A merge after a read is no way around the validation of the read.
#[test]
fn s4_5_a_merge_after_a_read_leaves_the_read_validated() {
    let (space, [var]) = vars([1]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let seen = *tx.read(&var);
        tx.merge(&var, move |n| n * 100 + seen);
        if runs == 1 {
            elsewhere(|| var.store(2));
        }
        Ok(())
    });
    assert_eq!((runs, var.load()), (2, 202));
}

#[test]
fn s4_5_merge_then_tells_about_the_published_value() {
    let (space, [var]) = vars([1]);
    let mut runs = 0;
    let ticket = space.atomically(|tx| {
        runs += 1;
        let ticket = tx.merge_then(&var, |n| n + 1, |new| format!("number {new}"));
        assert!(!ticket.is_ready() && ticket.get().is_none() && ticket.take().is_none());
        elsewhere(|| var.store(41));
        Ok(ticket)
    });
    assert_eq!((runs, var.load()), (1, 42));
    let same = ticket.clone();
    assert!(ticket.is_ready());
    assert_eq!(ticket.get().as_deref(), Some("number 42"));
    assert_eq!(same.take().as_deref(), Some("number 42"));
    // Taken is taken, for all clones.
    assert!(ticket.take().is_none() && ticket.get().is_none());
    let again = space.atomically(|tx| Ok(tx.merge_then(&var, |n| n + 1, |n| *n)));
    assert_eq!(again.unwrap(), 43);
}

/// Whatever else the transaction does to the variable, and if its value stays the same.
#[test]
fn s4_5_merge_then_is_about_the_published_value() {
    let (space, [merged, written, same]) = vars([1, 1, 1]);
    let tickets = space.atomically(|tx| {
        let tickets = [&merged, &written].map(|var| tx.merge_then(var, |n| n + 1, |n| *n));
        tx.merge(&merged, |n| n * 10);
        tx.write(&written, 50);
        Ok(tickets)
    });
    assert_eq!(tickets.map(AfterCommit::unwrap), [20, 50]);
    let ticket = space.atomically(|tx| Ok(tx.merge_then(&same, |n| *n, |n| *n)));
    assert_eq!((ticket.unwrap(), same.load()), (1, 1));
}

/// Available to the hooks of the same commit.
#[test]
fn s4_5_merge_then_and_on_commit() {
    let (space, [var]) = vars([1]);
    let seen = Rc::new(Cell::new(0));
    space.atomically(|tx| {
        let ticket = tx.merge_then(&var, |n| n + 1, |n| *n);
        let seen = seen.clone();
        tx.on_commit(move || seen.set(ticket.unwrap()));
        Ok(())
    });
    assert_eq!(seen.get(), 2);
}

#[test]
fn s4_5_nothing_is_available_without_a_commit() {
    let (space, [var]) = vars([1]);
    let mut tickets: Vec<AfterCommit<i64>> = Vec::new();
    let result = space.try_atomically(|tx| {
        tickets.push(tx.merge_then(&var, |n| n + 1, |n| *n));
        tx.abort::<(), _>(())
    });
    assert_eq!(result, Err(()));
    space.atomically(|tx| {
        // An undone part, and an attempt that loses.
        let part = tx.nested(|tx| {
            tickets.push(tx.merge_then(&var, |n| n + 100, |n| *n));
            tx.abort::<(), _>(())
        })?;
        assert_eq!(part, Err(()));
        tickets.push(tx.merge_then(&var, |n| n + 1, |n| *n));
        if tx.attempt() == 1 {
            tx.ensure(&var);
            elsewhere(|| var.store(5));
        }
        Ok(())
    });
    assert_eq!(var.load(), 6);
    let ready: Vec<_> = tickets.iter().map(AfterCommit::get).collect();
    assert_eq!(ready, [None, None, None, None, Some(6)]);
    let message = panic_message(|| tickets.swap_remove(0).unwrap());
    assert!(message.starts_with("tvar: "), "{message}");
    assert!(tickets.iter().all(|ticket| ticket.get() != Some(2)));
}

#[test]
fn s4_5_merges_of_an_undone_part_are_undone() {
    let (space, [var, other]) = vars([1, 1]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.merge(&var, |n| n + 1);
        let part = tx.nested(|tx| {
            tx.merge(&var, |n| n + 10);
            tx.merge(&other, |n| n + 10);
            tx.abort::<(), _>(())
        })?;
        assert_eq!(part, Err(()));
        tx.or_else(
            |tx| {
                tx.merge(&var, |n| n + 100);
                tx.retry()
            },
            |tx| {
                tx.merge(&var, |n| n * 2);
                Ok(())
            },
        )?;
        let part = tx.nested(|tx| {
            tx.merge(&var, |n| n + 3);
            Ok::<_, Abort<()>>(())
        })?;
        assert_eq!(part, Ok(()));
        elsewhere(|| var.store(10));
        Ok(())
    });
    assert_eq!((runs, var.load(), other.load()), (1, 25, 1));
}

/// What was published is what one application of the function to the value before it gave.
#[test]
fn s4_5_only_the_published_application_counts() {
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(1));
    let applied = Arc::new(AtomicUsize::new(0));
    let mut runs = 0;
    let ticket = space.atomically(|tx| {
        runs += 1;
        let (count, makes) = (applied.clone(), census.clone());
        let (theirs, foreign) = (var.clone(), census.clone());
        Ok(tx.merge_then(
            &var,
            move |old| {
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    // The root moves on while the function runs.
                    elsewhere(|| theirs.store(foreign.value(50)));
                }
                makes.value(old.id + 1)
            },
            |new| new.id,
        ))
    });
    assert_eq!(applied.load(Ordering::SeqCst), 2);
    assert_eq!((runs, ticket.unwrap()), (1, 51));
    assert_eq!(space.snapshot().read(&var).id, 51);
    common::ticks(&space, 2);
    assert_eq!(census.live(), 1);
}

#[test]
fn s4_3_a_panic_in_a_merge_function_reaches_its_owner_and_undoes_everything() {
    let (space, [var, other]) = vars([1, 1]);
    let version = space.version();
    let rolled_back = Rc::new(Cell::new(0));
    let mut runs = 0;
    let message = panic_message(|| {
        space.atomically(|tx| {
            runs += 1;
            let rolled_back = rolled_back.clone();
            tx.on_rollback(move || rolled_back.set(rolled_back.get() + 1));
            tx.write(&other, 2);
            tx.merge(&var, |n| n + 1);
            tx.merge(&var, |n| panic!("cannot merge {n}"));
            Ok(())
        });
    });
    assert_eq!(message, "cannot merge 2");
    assert_eq!((runs, rolled_back.get()), (1, 1));
    assert_eq!((var.load(), other.load(), space.version()), (1, 1, version));
    space.atomically(|tx| {
        tx.merge(&var, |n| n + 1);
        Ok(())
    });
    assert_eq!(var.load(), 2);
}

#[test]
fn s4_3_a_panic_in_the_second_function_of_merge_then() {
    let (space, [var]) = vars([1]);
    let message = panic_message(|| {
        space.atomically(|tx| Ok(tx.merge_then(&var, |n| n + 1, |new| -> i64 { panic!("not {new}") })))
    });
    assert_eq!(message, "not 2");
    // Usable, whichever way the variable went.
    assert!([1, 2].contains(&var.load()));
    var.store(7);
    assert_eq!(var.load(), 7);
}

/// Applied to a value that is not the newest any more, a panic counts for nothing.
#[test]
fn s4_3_a_panic_on_an_outdated_value_does_not_count() {
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let theirs = var.clone();
        tx.merge(&var, move |n| {
            if *n == 0 {
                elsewhere(|| theirs.store(1));
                panic!("no merge with 0");
            }
            n + 10
        });
        Ok(())
    });
    assert_eq!((runs, var.load()), (1, 11));
}

/// A panic on a value that a later commit has set right before the swap.
#[test]
fn s4_3_a_panic_between_two_versions() {
    let (space, [var]) = vars([0]);
    let theirs = var.clone();
    let guard = at_first(Point::Begin, move || theirs.store(1));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.merge(&var, |n| {
            assert_ne!(*n, 0, "the newest value is 1");
            n + 10
        });
        Ok(())
    });
    drop(guard);
    assert_eq!((runs, var.load()), (1, 11));
}

/// On the attempt's own thread when promoted by a read: an ordinary panic of the closure.
#[test]
fn s4_3_a_panic_of_a_promoted_merge() {
    let (space, [var]) = vars([0]);
    let message = panic_message(|| {
        space.atomically(|tx| {
            tx.merge(&var, |_| panic!("promoted"));
            Ok(*tx.read(&var))
        })
    });
    assert_eq!((message.as_str(), var.load()), ("promoted", 0));
    var.update(|n| n + 1);
    assert_eq!(var.load(), 1);
}
