//! §3.4: retries that nobody could end.

mod blocking_common;

use std::sync::mpsc;
use std::time::Duration;

use blocking_common::{Waiter, elsewhere, panic_message};
use tvar::{Space, Stm, TVar, Tx, TxOptions};

const SOON: Duration = Duration::from_millis(15);

/// Runs `f`, which must panic as a futile retry, and checks that the space has not suffered.
#[track_caller]
fn futile(f: impl FnMut(&Tx<'_>, &Space) -> Stm<()> + Send + 'static) {
    let space = Space::new();
    let (s, mut f) = (space.clone(), f);
    let message = elsewhere(move || panic_message(|| s.atomically(|tx| f(tx, &s))));
    assert!(message.starts_with("tvar: futile retry"), "{message}");
    assert_eq!((space.waiters(), space.stats().parked), (0, 0));
    let v = TVar::new_in(&space, 0);
    v.store(1);
    assert_eq!(v.load(), 1);
}

/// §3.4: nothing read.
#[test]
fn a_retry_without_reads_panics() {
    futile(|tx, _| tx.retry());
    futile(|tx, _| tx.check(false));
    futile(|tx, _| tx.or_else(|tx| tx.retry(), |tx| tx.retry()));
}

/// §3.4: blind writes are no reads.
#[test]
fn a_retry_after_blind_writes_panics() {
    let mut kept = None;
    futile(move |tx, space| {
        let v = kept.get_or_insert_with(|| TVar::new_in(space, 0));
        tx.write(v, 1);
        tx.merge(v, |x| x + 1);
        tx.retry()
    });
}

/// §3.4: only variables that were made in the attempt and are gone.
#[test]
fn a_retry_on_own_variables_panics() {
    futile(|tx, space| {
        let v = TVar::new_in(space, 0);
        tx.check(*tx.read(&v) != 0)
    });
    futile(|tx, space| {
        tx.or_else(
            |tx| {
                let v = TVar::new_in(space, 0);
                tx.check(*tx.read(&v) != 0)
            },
            |tx| {
                let v = TVar::new_in(space, String::new());
                tx.check(!tx.read(&v).is_empty())
            },
        )
    });
}

/// §3.4: the attempt as a whole counts: a side with nothing read may retry.
#[test]
fn one_side_with_a_read_is_not_futile() {
    for reader in 0..3 {
        let space = Space::new();
        let v = TVar::new_in(&space, 0i64);
        let mine = v.clone();
        let waiter = Waiter::asleep(&space, move |tx| {
            let look = |tx: &Tx<'_>| tx.check(*tx.read(&mine) != 0);
            match reader {
                0 => tx.or_else(look, |tx| tx.retry()),
                1 => tx.or_else(|tx| tx.retry(), look),
                _ => {
                    let part: Result<(), i64> = tx.nested(|tx| tx.abort(*tx.read(&mine)))?;
                    tx.check(part != Err(0))
                }
            }
        });
        v.store(1);
        assert_eq!(waiter.finish("woken"), ((), 2));
    }
}

/// §3.4: a variable made in the attempt that somebody else has is waited on.
#[test]
fn a_variable_given_away_is_not_futile() {
    let space = Space::new();
    let (send, receive) = mpsc::channel();
    let inner = space.clone();
    let mut kept = None;
    let waiter = Waiter::asleep(&space, move |tx| {
        let v = kept.get_or_insert_with(|| {
            let v = TVar::new_in(&inner, 0i64);
            send.send(v.clone()).unwrap();
            v
        });
        let x = *tx.read(v);
        tx.check(x != 0)?;
        Ok(x)
    });
    let v = receive.recv().unwrap();
    assert_eq!(v.waiters(), 1);
    v.store(4);
    assert_eq!(waiter.finish("woken by the receiver"), (4, 2));
}

/// §3.4: with a deadline a futile retry is a sleep.
#[test]
fn a_futile_retry_with_a_deadline_sleeps() {
    let space = Space::new();
    let inner = space.clone();
    let runs = elsewhere(move || {
        let mut runs = 0;
        inner.atomically(|tx| {
            runs += 1;
            tx.retry_for(SOON)
        });
        let mut both = 0;
        inner.atomically(|tx| {
            both += 1;
            tx.or_else(|tx| tx.retry(), |tx| tx.retry_for(SOON))
        });
        let mut own = 0;
        inner.atomically(|tx| {
            own += 1;
            let v = TVar::new_in(&inner, 0);
            if *tx.read(&v) == 0 {
                tx.retry_for(SOON)?;
            }
            Ok(())
        });
        [runs, both, own]
    });
    // A stalled thread finds its deadline past without a sleep.
    assert!(runs.iter().all(|r| *r <= 2), "{runs:?}");
    assert_eq!(runs.iter().sum::<u64>(), 3 + space.stats().parked);
    let inner = space.clone();
    let result = elsewhere(move || {
        let options = TxOptions::new().space(&inner).timeout(SOON);
        options.run(|tx| tx.retry::<()>())
    });
    assert!(result.is_err_and(|e| e.is_timeout() && e.attempts() == 1));
    assert_eq!(space.waiters(), 0);
}

/// What was read has been written, though nobody has the variable any more: the wait is over, not futile.
#[test]
fn a_retry_on_a_variable_that_was_written_and_then_dropped_runs_again() {
    let space = Space::new();
    let mut found = Some(TVar::new_in(&space, 0));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let Some(v) = found.take() else { return Ok(()) };
        let decided = tx.check(*tx.read(&v) == 1);
        let theirs = v.clone();
        elsewhere(move || theirs.store(1));
        decided
    });
    assert_eq!((runs, space.waiters()), (2, 0));
}

/// A value whose destructor runs this.
struct OnDrop(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|f| f());
    }
}

/// §3.4, §4.3: in the middle of an attempt a destructor's transactions wait for variables with the slots of others that ended in that attempt.
#[test]
fn a_slot_that_is_used_again_is_not_futile() {
    const VARS: usize = 500;
    let (space, other) = (Space::new(), Space::new());
    let (send, receive) = mpsc::channel::<TVar<i64>>();
    let waits = {
        let other = other.clone();
        std::thread::spawn(move || {
            let value = TVar::new_in(&space, OnDrop(None));
            let make = || (0..VARS).map(|_| TVar::new_in(&other, 0i64)).collect::<Vec<_>>();
            space.atomically(|tx| {
                drop(make());
                let (again, other, send) = (make(), other.clone(), send.clone());
                let wait = move || {
                    for v in again {
                        send.send(v.clone()).expect("the other thread is there");
                        other.atomically(|tx| tx.check(*tx.read(&v) > 0));
                    }
                };
                // An undone part drops what it has written.
                let undone: Result<(), ()> = tx.nested(|tx| {
                    tx.write(&value, OnDrop(Some(Box::new(wait))));
                    tx.abort(())
                })?;
                assert!(undone.is_err());
                Ok(())
            });
        })
    };
    let given = receive.into_iter().inspect(|v| {
        blocking_common::eventually("it sleeps", || v.waiters() == 1);
        v.store(1);
    });
    assert_eq!(given.count(), VARS);
    blocking_common::join("all have woken it", waits);
}
