//! §2.6 and §2.10: a stop is recorded at the call, swallowing it does not commit, a foreign one is
//! a panic; `refresh` restarts an attempt whose reads are stale.

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use common::{assert_names, elsewhere, panic_message};
use tvar::hooks::{self, Point};
use tvar::{Abort, Isolation, Space, Stm, Stop, TVar, Tx, TxOptions};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

/// Calls `stop` in the first attempt, after the variable it waits for has changed, and swallows
/// what it says. The attempt must not commit, the second one does.
fn swallowed(stop: impl Fn(&Tx<'_>) -> Stm<()>) {
    // Reading only, so that nothing but the stop can keep the first attempt from committing; or
    // writing as well, blindly.
    for (writing, isolation) in [(false, Isolation::Serializable), (true, Isolation::Snapshot)] {
        let (space, [var, written]) = vars([0, 0]);
        let rolled_back = Rc::new(Cell::new(0));
        let mut runs = 0;
        let options = TxOptions::new().space(&space).isolation(isolation);
        let seen = options.run(|tx| {
            runs += 1;
            let count = rolled_back.clone();
            tx.on_rollback(move || count.set(count.get() + 1));
            let n = *tx.read(&var);
            if writing {
                tx.write(&written, runs);
            }
            if runs == 1 {
                elsewhere(|| var.store(5));
                assert!(stop(tx).is_err());
                if writing {
                    tx.write(&written, 10);
                }
            }
            Ok(n)
        });
        assert_eq!((seen, runs, rolled_back.get()), (Ok(5), 2, 1));
        assert_eq!(written.load(), if writing { 2 } else { 0 });
    }
}

#[test]
fn s2_6_a_swallowed_retry_does_not_commit() {
    swallowed(|tx| tx.retry());
}

#[test]
fn s2_6_a_swallowed_check_does_not_commit() {
    swallowed(|tx| tx.check(false));
}

#[test]
fn s2_6_a_swallowed_retry_with_a_deadline_does_not_commit() {
    swallowed(|tx| tx.retry_for(Duration::from_secs(3_600)));
    swallowed(|tx| tx.retry_until(Instant::now() + Duration::from_secs(3_600)));
}

#[test]
fn s2_6_a_swallowed_refresh_does_not_commit() {
    swallowed(|tx| tx.refresh());
}

#[test]
fn s2_6_a_retry_swallowed_in_a_part_does_not_commit() {
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    let seen = space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        if runs == 1 {
            elsewhere(|| var.store(5));
            let _swallowed = tx.nested(|tx| {
                let _swallowed = tx.retry::<()>();
                Ok::<_, Abort<()>>(())
            });
        }
        Ok(n)
    });
    assert_eq!((seen, runs), (5, 2));
}

/// An alternative that swallowed its retry has retried: the other one runs.
#[test]
fn s2_6_a_retry_swallowed_in_an_alternative_does_not_take_it() {
    let (space, [var, written]) = vars([0, 0]);
    let taken = space.atomically(|tx| {
        tx.or_else(
            |tx| {
                let _swallowed = tx.check(*tx.read(&var) != 0);
                tx.write(&written, 1);
                Ok("first")
            },
            |_| Ok("second"),
        )
    });
    assert_eq!((taken, written.load()), ("second", 0));
}

#[test]
fn s2_6_check_and_retry_that_are_not_needed_are_nothing() {
    let (space, [var]) = vars([3]);
    let mut runs = 0;
    let seen = space.atomically(|tx| {
        runs += 1;
        tx.check(*tx.read(&var) == 3)?;
        if *tx.read(&var) != 3 {
            tx.retry::<()>()?;
        }
        tx.retry_until(Instant::now() - Duration::from_secs(1))?;
        tx.retry_for(Duration::ZERO)?;
        tx.refresh()?;
        Ok(*tx.read(&var))
    });
    assert_eq!((seen, runs), (3, 1));
}

/// The error that a swallowed abort carried is gone: it cannot be reported, so it is a panic.
#[test]
fn s2_6_a_swallowed_abort_panics() {
    let (space, [var]) = vars([0]);
    let version = space.version();
    let mut runs = 0;
    let message = panic_message(|| {
        space.try_atomically(|tx| {
            runs += 1;
            tx.write(&var, 1);
            let _swallowed = tx.abort::<(), _>("gone");
            Ok::<_, Abort<&str>>(())
        })
    });
    assert!(message.starts_with("tvar: swallowed abort"), "{message}");
    assert_eq!((runs, var.load(), space.version()), (1, 0, version));
    var.store(2);
    assert_eq!(var.load(), 2);
}

#[test]
fn s2_6_an_abort_swallowed_in_a_read_only_transaction_panics() {
    let message = panic_message(|| {
        tvar::try_atomically(|tx| {
            let _swallowed = tx.abort::<(), _>(());
            Ok::<_, Abort<()>>(())
        })
    });
    assert!(message.starts_with("tvar: swallowed abort"), "{message}");
}

/// A stop that belongs to nobody any more.
fn stolen_stop() -> Stop {
    let var = TVar::new(0);
    let mut stolen = None;
    panic_message(|| {
        tvar::atomically(|tx| {
            tx.read(&var);
            stolen = tx.retry::<()>().err();
            panic!("the end of it");
            #[allow(unreachable_code)]
            Ok(())
        });
    });
    stolen.expect("a stop")
}

#[test]
fn s2_6_a_foreign_stop_panics() {
    let (space, [var]) = vars([0]);
    let version = space.version();
    let mut stolen = Some(stolen_stop());
    let mut runs = 0;
    let message = panic_message(|| {
        space.atomically(|tx| {
            runs += 1;
            tx.write(&var, 1);
            stolen.take().map_or(Ok(()), Err)
        });
    });
    assert!(message.starts_with("tvar: foreign stop"), "{message}");
    assert_eq!((runs, var.load(), space.version()), (1, 0, version));
    var.store(2);
    assert_eq!(var.load(), 2);
}

#[test]
fn s2_6_a_foreign_stop_in_a_typed_transaction_panics() {
    let mut stolen = Some(stolen_stop());
    let message = panic_message(|| {
        tvar::try_atomically(|_| {
            stolen.take().map_or(Ok(()), Err)?;
            Ok::<_, Abort<&str>>(())
        })
    });
    assert!(message.starts_with("tvar: foreign stop"), "{message}");
}

/// It is no retry: the other alternative does not run.
#[test]
fn s2_6_a_foreign_stop_in_an_alternative_panics() {
    let mut stolen = Some(stolen_stop());
    let fell_through = Cell::new(false);
    let message = panic_message(|| {
        tvar::atomically(|tx| {
            tx.or_else(
                |_| stolen.take().map_or(Ok(()), Err),
                |_| {
                    fell_through.set(true);
                    Ok(())
                },
            )
        });
    });
    assert!(message.starts_with("tvar: foreign stop"), "{message}");
    assert!(!fell_through.get());
}

#[test]
fn s2_6_a_foreign_stop_in_a_nested_part_panics() {
    let mut stolen = Some(stolen_stop());
    let message = panic_message(|| {
        tvar::atomically(|tx| {
            let part = tx.nested(|_| {
                stolen.take().map_or(Ok(()), Err)?;
                Ok::<_, Abort<&str>>(())
            })?;
            assert_eq!(part, Ok(()));
            Ok(())
        });
    });
    assert!(message.starts_with("tvar: foreign stop"), "{message}");
}

/// Issued by a transaction of this thread that goes on, returned by another one in between.
#[test]
fn s2_6_a_stop_kept_for_later_is_foreign() {
    let (space, [var]) = vars([0]);
    let mut kept = None;
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        if n == 0 {
            elsewhere(|| var.store(1));
            kept = tx.retry::<()>().err();
        }
        Ok(())
    });
    assert_eq!(runs, 2);
    let message = panic_message(|| {
        space.atomically(|tx| {
            tx.read(&var);
            kept.take().map_or(Ok(()), Err)
        });
    });
    assert_names(&message, &["tvar: foreign stop"]);
}

#[test]
fn s2_10_refresh_restarts_an_attempt_with_stale_reads() {
    let (space, [var, written]) = vars([0, 0]);
    let restarts = Rc::new(Cell::new(0));
    let parks = Rc::new(Cell::new(0));
    let counts = (restarts.clone(), parks.clone());
    let guard = hooks::on_this_thread(move |point| match point {
        Point::Restart => counts.0.set(counts.0.get() + 1),
        Point::Park => counts.1.set(counts.1.get() + 1),
        _ => (),
    });
    let mut runs = 0;
    let mut turns = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.modify(&written, |n| n + 1);
        // A loop that only a newer value could end.
        while *tx.read(&var) == 0 {
            turns += 1;
            if turns == 3 {
                elsewhere(|| var.store(1));
            }
            tx.refresh()?;
            assert!(turns < 3, "the refresh was missed");
        }
        Ok(())
    });
    drop(guard);
    assert_eq!((runs, turns, written.load()), (2, 3, 1));
    assert_eq!((restarts.get(), parks.get()), (1, 0));
}

/// Only what was read counts: neither other variables nor those that are written only.
#[test]
fn s2_10_refresh_does_nothing_while_the_reads_are_current() {
    let (space, [read, other, written]) = vars([0, 0, 0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.read(&read);
        tx.write(&written, 1);
        elsewhere(|| {
            other.store(5);
            written.store(5);
        });
        tx.refresh()
    });
    assert_eq!((runs, written.load()), (1, 1));
    // Nor does it move the snapshot.
    let mut runs = 0;
    let seen = space.atomically(|tx| {
        runs += 1;
        tx.refresh()?;
        tx.read(&read);
        elsewhere(|| other.store(6));
        tx.refresh()?;
        Ok(*tx.read(&other))
    });
    assert_eq!((runs, seen), (1, 5));
}

/// In a read-only transaction and under snapshot isolation too, where nothing else looks at reads.
#[test]
fn s2_10_refresh_works_where_reads_are_not_validated() {
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        let (space, [var]) = vars([0]);
        let options = TxOptions::new().space(&space).isolation(isolation);
        let mut runs = 0;
        let seen = options.run(|tx| {
            runs += 1;
            let n = *tx.read(&var);
            if runs == 1 {
                elsewhere(|| var.store(1));
            }
            tx.refresh()?;
            Ok(n)
        });
        assert_eq!((runs, seen), (2, Ok(1)));
    }
}

/// Any number of helpers deep, `?` carries a stop out.
#[test]
fn s2_6_stops_travel_through_helpers() {
    fn positive(tx: &Tx<'_>, var: &TVar<i64>) -> Stm<i64> {
        let n = *tx.read(var);
        tx.check(n > 0)?;
        Ok(n)
    }
    fn twice(tx: &Tx<'_>, var: &TVar<i64>) -> Stm<i64> {
        Ok(positive(tx, var)? * 2)
    }
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    let seen = space.atomically(|tx| {
        runs += 1;
        if runs == 1 {
            elsewhere(|| var.store(4));
        }
        twice(tx, &var)
    });
    // The snapshot was taken before the closure began: the first attempt did not see the 4.
    assert_eq!((seen, runs), (8, 2));
}
