//! §2.2, §3.5, §4.4 and §5 for futures: deadlines and limits.

mod async_common;
mod blocking_common;

use std::cell::Cell;
use std::time::{Duration, Instant};

use async_common::{ByHand, take, tokio_current};
use blocking_common::{FAR, elsewhere, eventually, guarded};
use tvar::{Abort, Isolation, LockMode, Space, TVar, TryError, TxError, TxOptions};

const SHORT: Duration = Duration::from_millis(3);

/// Runs a future whose deadline ends it, by a timer that wakes it.
fn run<F: Future>(future: F) -> F::Output {
    futures::executor::block_on(future)
}

#[test]
fn s3_5_a_timeout_ends_a_sleep_with_an_error_that_tells() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, None);
        let options = space.options().timeout(SHORT).label("take");
        let error = run(options.run_async(|tx| take(tx, &v))).unwrap_err();
        // A stalled thread finds its deadline past without a sleep.
        let slept = space.stats().parked;
        assert!(
            matches!(&error, TxError::TimedOut { attempts: 1, waits, lost_to: None, .. } if *waits == slept),
            "{error:?}"
        );
        assert!(slept <= 1);
        assert_eq!((error.label(), space.waiters()), (Some("take"), 0));
        assert!(error.to_string().contains("take"), "{error}");
        let typed = run(options.try_run_async::<_, (), _>(|tx| Ok(take(tx, &v)?))).unwrap_err();
        assert!(matches!(typed, TryError::Failed(error) if error.is_timeout()));
        assert_eq!(space.stats().wakeups, 0);
    });
}

#[test]
fn s3_5_a_timeout_counts_from_the_first_poll_and_over_all_sleeps() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let mut call = ByHand::new(space.options().timeout(SHORT).run_async(|tx| tx.check(*tx.read(&v) < 0)));
        // Before the first poll no time counts.
        std::thread::sleep(2 * SHORT);
        let began = Instant::now();
        let mut polls = 0;
        let result = loop {
            polls += 1;
            match call.poll() {
                Some(result) => break result,
                None => v.update(|n| n + 1),
            }
        };
        assert!(began.elapsed() >= SHORT);
        // Each poll but the last one went to sleep; the last one may have found no time left, or have slept, too.
        let slept = space.stats().parked;
        assert!(slept + 1 >= polls, "{slept} sleeps, {polls} polls");
        let error = result.unwrap_err();
        assert!(matches!(error, TxError::TimedOut { attempts, waits, .. } if waits == slept && attempts >= waits));
        assert_eq!(space.waiters(), 0);
    });
}

#[test]
fn s3_5_a_timeout_covers_conflicts() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::named_in(&space, "hot", 0);
        let call = space.options().timeout(SHORT).escalate_after(u64::MAX).run_async(|tx| {
            let n = *tx.read(&v);
            tx.write(&v, n + 1);
            let v = v.clone();
            elsewhere(move || v.update(|n| n + 1));
            Ok(())
        });
        let error = ByHand::new(call).end().unwrap_err();
        assert!(
            matches!(&error, TxError::TimedOut { waits: 0, lost_to: Some(name), .. } if name.contains("hot")),
            "{error:?}"
        );
    });
}

#[test]
fn s4_4_max_attempts_counts_conflicts_over_sleeps_and_not_the_sleeps() {
    let space = Space::new();
    let v = TVar::named_in(&space, "hot", 0);
    let runs = Cell::new(0);
    let mut call = ByHand::new(space.options().max_attempts(2).label("loser").run_async(|tx| {
        runs.set(runs.get() + 1);
        let n = *tx.read(&v);
        tx.write(&v, 1_000);
        if runs.get() % 2 == 0 {
            tx.retry()?;
        }
        let v = v.clone();
        elsewhere(move || v.store(n + 1));
        Ok(())
    }));
    assert_eq!(call.poll(), None);
    assert_eq!(runs.get(), 2);
    v.store(500);
    let error = call.poll().expect("the second loss ends it").unwrap_err();
    assert!(
        matches!(&error, TxError::TooManyAttempts { attempts: 2, lost_to: Some(name), .. } if name.contains("hot")),
        "{error:?}"
    );
    assert_eq!((error.label(), runs.get(), space.waiters()), (Some("loser"), 3, 0));
}

#[test]
fn s3_5_retry_for_goes_on_after_its_deadline() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let runs = Cell::new(0);
        let late = run(space.atomically_async(|tx| {
            runs.set(runs.get() + 1);
            if *tx.read(&v) == 0 {
                tx.retry_for(SHORT)?;
            }
            tx.write(&v, 5);
            Ok("late")
        }));
        // A run before the sleep and one after it; a stalled thread does not sleep.
        assert_eq!((late, runs.get(), v.load(), space.waiters()), ("late", 1 + space.stats().parked, 5, 0));
        // §3.4: with a deadline a futile retry is a sleep.
        run(space.atomically_async(|tx| tx.retry_for(SHORT)));
    });
}

#[test]
fn s3_5_the_earliest_deadline_of_the_alternatives_wakes() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let patient = |tx: &tvar::Tx<'_>| tx.retry_for(FAR).map(|()| "patient");
        let hasty = |tx: &tvar::Tx<'_>| {
            tx.read(&v);
            tx.retry_for(SHORT).map(|()| "hasty")
        };
        assert_eq!(run(space.atomically_async(|tx| tx.or_else(patient, hasty))), "hasty");
        assert_eq!(run(space.atomically_async(|tx| tx.or_else(hasty, patient))), "hasty");
        // The whole call's own, if it is earlier; and not, if it is later.
        let ended = run(space.options().timeout(SHORT).run_async(|tx| patient(tx)));
        assert!(ended.unwrap_err().is_timeout());
        assert_eq!(run(space.options().timeout(FAR).run_async(|tx| hasty(tx))), Ok("hasty"));
        assert_eq!(space.waiters(), 0);
    });
}

#[test]
fn s3_5_a_deadline_that_never_comes_is_none() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    for limit in [FAR, Duration::from_secs(u64::MAX >> 1), Duration::MAX] {
        let mut call = ByHand::asleep(space.options().timeout(limit).run_async(|tx| tx.check(*tx.read(&v) == 1)));
        v.store(1);
        assert_eq!((call.poll(), space.waiters()), (Some(Ok(())), 0), "{limit:?}");
        v.store(0);
    }
    let last = last_moment();
    let mut call = ByHand::asleep(space.atomically_async(|tx| match *tx.read(&v) {
        0 => tx.retry_until(last),
        _ => Ok(()),
    }));
    v.store(1);
    assert_eq!((call.poll(), space.waiters()), (Some(()), 0));
}

/// The last moment that the clock can tell.
fn last_moment() -> Instant {
    let steps = (0..64).rev().map(|bit| Duration::from_secs(1 << bit));
    let below_a_second = (0..30).rev().map(|bit| Duration::from_nanos(1 << bit));
    let steps = steps.chain(below_a_second);
    steps.fold(Instant::now(), |last, step| last.checked_add(step).unwrap_or(last))
}

#[test]
fn s3_5_a_change_comes_before_a_deadline() {
    guarded(|| {
        let v = TVar::new(None);
        let sender = std::thread::spawn({
            let v = v.clone();
            move || {
                eventually("the task sleeps", || v.waiters() == 1);
                v.store(Some(3));
            }
        });
        let options = TxOptions::new().timeout(FAR);
        assert_eq!(tokio_current().block_on(options.run_async(|tx| take(tx, &v))), Ok(3));
        sender.join().unwrap();
    });
}

#[test]
fn s2_2_snapshot_isolation_lets_write_skew_pass() {
    let space = Space::new();
    for (isolation, runs) in [(Isolation::Snapshot, 1), (Isolation::Serializable, 2)] {
        let (read, written) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
        let count = Cell::new(0);
        let call = space.options().isolation(isolation).run_async(|tx| {
            count.set(count.get() + 1);
            let n = *tx.read(&read);
            tx.write(&written, n);
            if count.get() == 1 {
                let read = read.clone();
                elsewhere(move || read.store(1));
            }
            Ok(())
        });
        ByHand::new(call).end().unwrap();
        assert_eq!(count.get(), runs, "{isolation:?}");
    }
}

#[test]
fn s5_2_a_sleeping_call_holds_no_lock() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let mut call = ByHand::asleep(space.options().pessimistic().run_async(|tx| {
        tx.modify(&v, |n| n + 10);
        tx.check(*tx.read(&v) > 10)
    }));
    assert_eq!((space.locks().len(), space.waiters()), (0, 1));
    v.store(1);
    assert_eq!((call.poll(), v.load()), (Some(Ok(())), 11));
    assert_eq!((space.locks().len(), space.waiters()), (0, 0));
    let mut dropped = ByHand::asleep(space.atomically_async(|tx| {
        tx.lock(&v, LockMode::Exclusive)?;
        tx.check(*tx.read(&v) > 100)
    }));
    assert_eq!(space.locks().len(), 0);
    assert_eq!(dropped.poll(), None);
    drop(dropped);
    assert_eq!((space.locks().len(), space.waiters()), (0, 0));
}

#[test]
fn s5_4_a_deadlock_of_a_task_and_a_thread_ends_with_one_giving_way() {
    guarded(|| {
        let space = Space::new();
        let (a, b) = (TVar::named_in(&space, "a", 0), TVar::named_in(&space, "b", 0));
        let both = std::sync::Arc::new(std::sync::Barrier::new(2));
        let cross = |label: &str, first: TVar<i32>, second: TVar<i32>| {
            let (options, both) = (space.options().fail_on_deadlock().label(label.to_string()), both.clone());
            (options, move |tx: &tvar::Tx<'_>| {
                tx.lock(&first, LockMode::Exclusive)?;
                both.wait();
                tx.lock(&second, LockMode::Exclusive)?;
                Ok(())
            })
        };
        let (options, f) = cross("thread", a.clone(), b.clone());
        let thread = std::thread::spawn(move || options.run(f));
        let (options, f) = cross("task", b, a);
        let mine = ByHand::new(options.try_run_async(|tx| f(tx).map_err(Abort::<()>::from))).end();
        let other = thread.join().unwrap();
        let errors: Vec<TxError> = [
            mine.err().map(|e| match e {
                TryError::Failed(error) => error,
                TryError::Aborted(()) => unreachable!(),
            }),
            other.err(),
        ]
        .into_iter()
        .flatten()
        .collect();
        assert_eq!(errors.len(), 1);
        assert!(matches!(&errors[0], TxError::Deadlock { cycle, .. } if cycle.len() == 2), "{errors:?}");
        assert_eq!((space.locks().len(), space.stats().deadlocks), (0, 1));
    });
}
