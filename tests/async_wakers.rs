//! §3.6, §4.1: any waker will do: a new one at each poll, another thread's, and hostile ones. A commit has happened whatever they do.

mod async_common;
mod blocking_common;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use async_common::{ByHand, Pokes, take};
use blocking_common::{eventually, guarded, join};
use tvar::{LockMode, Space, TVar};

/// A waker that does this when it is woken.
struct Does<F>(F);

impl<F: Fn() + Send + Sync> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn does(f: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Does(f)).into()
}

/// Space, a variable that is awaited, and how to await it.
fn awaited() -> (Space, TVar<u64>) {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    (space, v)
}

fn at_least(space: &Space, v: &TVar<u64>, least: u64) -> impl Future<Output = u64> + Send + use<> {
    let v = v.clone();
    space.atomically_async(move |tx| {
        let n = *tx.read(&v);
        tx.check(n >= least)?;
        Ok(n)
    })
}

#[test]
fn s3_6_the_newest_waker_is_woken() {
    let (space, v) = awaited();
    let (old, new) = (Pokes::new(), Pokes::new());
    let mut call = ByHand::new(at_least(&space, &v, 1));
    assert_eq!(call.poll_with(&old.clone().into()), None);
    assert_eq!(call.poll_with(&new.clone().into()), None);
    assert_eq!(Arc::strong_count(&old), 1, "the old one is not kept");
    v.store(1);
    assert_eq!((old.count(), new.count()), (0, 1));
    assert_eq!((call.poll_with(&old.into()), space.waiters()), (Some(1), 0));
}

#[test]
fn s3_6_woken_once_until_polled_again() {
    let (space, v) = awaited();
    let mut call = ByHand::asleep(at_least(&space, &v, 100));
    for n in 1..=10 {
        v.store(n);
    }
    assert_eq!(call.pokes.count(), 1);
    assert_eq!(call.poll(), None);
    v.store(11);
    assert_eq!(call.pokes.count(), 2);
}

#[test]
fn s3_6_a_future_moves_between_threads_between_polls() {
    guarded(|| {
        let (space, v) = awaited();
        let mut call = ByHand::new(at_least(&space, &v, 8));
        for n in 1..=8 {
            call = join(
                "a poll",
                thread::spawn(move || {
                    assert_eq!(call.poll(), None);
                    call
                }),
            );
            assert_eq!((space.waiters(), v.waiters()), (1, 1));
            v.store(n);
            assert_eq!(call.pokes.count(), n);
        }
        assert_eq!(call.poll(), Some(8));
        assert_eq!(space.stats().parked, 8, "one for each value");
        assert_eq!(space.waiters(), 0);
    });
}

#[test]
fn s4_1_a_waker_that_panics_fails_no_commit_and_keeps_nobody_asleep() {
    guarded(|| {
        let (space, v) = awaited();
        let mut calls: Vec<_> = (0..5).map(|_| ByHand::new(at_least(&space, &v, 1))).collect();
        let panics = does(|| panic!("of a waker"));
        for (n, call) in calls.iter_mut().enumerate() {
            let polled = if n % 2 == 0 { call.poll_with(&panics) } else { call.poll() };
            assert_eq!(polled, None);
        }
        let committed = Arc::new(AtomicU64::new(0));
        let seen = committed.clone();
        space.atomically(|tx| {
            let seen = seen.clone();
            tx.on_rollback(|| panic!("it has committed"));
            tx.on_commit(move || assert_eq!(seen.fetch_add(1, Ordering::SeqCst), 0));
            tx.write(&v, 1);
            Ok(())
        });
        assert_eq!((v.load(), committed.load(Ordering::SeqCst)), (1, 1));
        assert_eq!((calls[1].pokes.count(), calls[3].pokes.count()), (1, 1));
        assert!(calls.into_iter().all(|call| call.end() == 1));
        assert_eq!(space.waiters(), 0);
    });
}

#[test]
fn s3_5_a_waker_that_panics_at_a_deadline_ends_no_other_deadline() {
    guarded(|| {
        let (space, v) = awaited();
        let options = space.options().timeout(Duration::from_millis(2));
        let rang = Arc::new(AtomicU64::new(0));
        let panics = does({
            let rang = rang.clone();
            move || {
                rang.fetch_add(1, Ordering::SeqCst);
                panic!("of a waker, at a deadline");
            }
        });
        let call = loop {
            let mut call = ByHand::new(options.run_async(|tx| tx.check(*tx.read(&v) > 0)));
            match call.poll_with(&panics) {
                None => break call,
                // A stalled thread finds its deadline past without a sleep.
                Some(ended) => assert!(ended.unwrap_err().is_timeout()),
            }
        };
        eventually("the deadline comes", || rang.load(Ordering::SeqCst) == 1);
        assert!(call.end().unwrap_err().is_timeout());
        let next = options.run_async(|tx| tx.check(*tx.read(&v) > 0));
        assert!(futures::executor::block_on(next).unwrap_err().is_timeout());
        assert_eq!(space.waiters(), 0);
    });
}

/// How the commit that wakes is made.
type Commit = fn(&Space, &TVar<u64>);

const COMMITS: [(&str, Commit); 5] = [
    ("plain", |_, v| v.store(1)),
    ("merged", |space, v| {
        space.atomically(|tx| {
            tx.merge(v, |_| 1);
            Ok(())
        })
    }),
    ("locked", |space, v| {
        space.atomically(|tx| {
            tx.lock(v, LockMode::Exclusive)?;
            tx.write(v, 1);
            Ok(())
        });
    }),
    ("in its own turn", |space, v| {
        let (options, hot) = (space.options().escalate_after(1), TVar::new_in(space, 0));
        let done = options.run(|tx| {
            tx.read(&hot);
            tx.write(v, 1);
            if tx.attempt() == 1 {
                // Lost to this one; the next attempt has the turn.
                let hot = hot.clone();
                blocking_common::elsewhere(move || hot.store(1));
            }
            Ok(())
        });
        done.unwrap();
        assert_eq!(space.stats().escalations, 1);
    }),
    ("pessimistic", |space, v| {
        space
            .options()
            .pessimistic()
            .run(|tx| {
                tx.modify(v, |n| n + 1);
                Ok(())
            })
            .unwrap()
    }),
];

#[test]
fn s4_3_a_waker_may_run_transactions_on_the_same_space_and_on_another() {
    guarded(|| {
        for (how, commit) in COMMITS {
            let ((space, v), (other, w)) = (awaited(), awaited());
            let log = TVar::new_in(&space, Vec::new());
            let mut call = ByHand::new(at_least(&space, &v, 1));
            let waker = does({
                let (space, v, log, other, w) = (space.clone(), v.clone(), log.clone(), other.clone(), w.clone());
                move || {
                    space.atomically(|tx| {
                        let seen = *tx.read(&v);
                        tx.modify(&log, |log| [log.as_slice(), &[seen]].concat());
                        // What the commit itself has just written, and may still have locked.
                        tx.write(&v, 7);
                        Ok(())
                    });
                    other
                        .options()
                        .pessimistic()
                        .run(|tx| {
                            tx.modify(&w, |n| n + 1);
                            Ok(())
                        })
                        .unwrap();
                    assert_eq!(v.waiters(), 1);
                    drop(space.snapshot());
                }
            });
            assert_eq!(call.poll_with(&waker), None, "{how}");
            commit(&space, &v);
            assert_eq!((v.load(), log.load(), w.load()), (7, vec![1], 1), "{how}");
            assert_eq!((call.poll(), space.waiters()), (Some(7), 0), "{how}");
            assert_eq!((space.locks().len(), space.stats().deadlocks), (0, 0), "{how}");
        }
    });
}

/// An executor that polls where it is woken, at once.
struct Inline<F: Future> {
    future: Mutex<Option<Pin<Box<F>>>>,
    result: Mutex<Option<F::Output>>,
}

impl<F: Future<Output: Send> + Send + 'static> Inline<F> {
    fn start(future: F) -> Arc<Self> {
        let task = Arc::new(Inline { future: Mutex::new(Some(Box::pin(future))), result: Mutex::new(None) });
        task.clone().wake();
        task
    }

    fn result(&self) -> Option<F::Output> {
        self.result.lock().unwrap().take()
    }
}

impl<F: Future<Output: Send> + Send + 'static> Wake for Inline<F> {
    fn wake(self: Arc<Self>) {
        let mut future = self.future.lock().unwrap();
        if let Some(running) = future.as_mut() {
            let waker = self.clone().into();
            if let Poll::Ready(value) = running.as_mut().poll(&mut Context::from_waker(&waker)) {
                *self.result.lock().unwrap() = Some(value);
                *future = None;
            }
        }
    }
}

#[test]
fn s4_3_a_waker_may_poll_the_task_inside_the_commit() {
    guarded(|| {
        for (how, commit) in COMMITS {
            let (space, v) = awaited();
            let sum = TVar::new_in(&space, 0);
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let (space, v, sum) = (space.clone(), v.clone(), sum.clone());
                    Inline::start(async move {
                        let seen = at_least(&space, &v, 1).await;
                        space
                            .atomically_async(|tx| {
                                tx.modify(&sum, |sum| sum + 1);
                                tx.modify(&v, |v| v + 1);
                                Ok(())
                            })
                            .await;
                        seen
                    })
                })
                .collect();
            assert_eq!(space.waiters(), 20, "{how}");
            commit(&space, &v);
            assert_eq!((space.waiters(), sum.load(), v.load()), (0, 20, 21), "{how}");
            let mut seen: Vec<_> = tasks.iter().map(|task| task.result().expect("it has ended")).collect();
            seen.sort_unstable();
            assert!(seen[0] >= 1 && seen[19] <= 20, "{how}: {seen:?}");
        }
    });
}

#[test]
fn s3_7_a_waker_may_drop_the_future() {
    guarded(|| {
        for (how, commit) in COMMITS {
            let (space, v) = awaited();
            let taken = TVar::new_in(&space, None);
            let shared = Arc::new(Mutex::new(None));
            let mut call = ByHand::new({
                let (v, taken) = (v.clone(), taken.clone());
                space.atomically_async(move |tx| {
                    tx.check(*tx.read(&v) > 0)?;
                    tx.write(&taken, Some(1));
                    Ok(())
                })
            });
            let drops = does({
                let shared = shared.clone();
                move || drop(shared.lock().unwrap().take())
            });
            assert_eq!(call.poll_with(&drops), None);
            *shared.lock().unwrap() = Some(call);
            commit(&space, &v);
            assert!(shared.lock().unwrap().is_none(), "{how}");
            assert_eq!((space.waiters(), v.waiters(), taken.load()), (0, 0, None), "{how}");
        }
    });
}

#[test]
fn s3_6_a_waker_whose_clone_panics_ends_the_wait() {
    use std::task::{RawWaker, RawWakerVTable};
    static TABLE: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("of a clone"), |_| unreachable!(), |_| unreachable!(), |_| ());
    let (space, v) = awaited();
    // SAFETY: the table ignores its pointer.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) };
    let mut call = ByHand::new(at_least(&space, &v, 1));
    assert_eq!(blocking_common::panic_message(|| call.poll_with(&waker)), "of a clone");
    assert_eq!(space.waiters(), 0);
    assert!(blocking_common::panic_message(|| call.poll()).contains("after its end"));
    v.store(1);
}

#[test]
fn s3_6_an_inline_executor_drains_a_queue_of_a_thread() {
    guarded(|| {
        let space = Space::new();
        let (slot, sum) = (TVar::new_in(&space, None), TVar::new_in(&space, 0));
        let task = Inline::start({
            let (space, slot, sum) = (space.clone(), slot.clone(), sum.clone());
            async move {
                for _ in 0..200 {
                    space
                        .atomically_async(|tx| {
                            let n = take(tx, &slot)?;
                            tx.modify(&sum, |sum| sum + n);
                            Ok(())
                        })
                        .await;
                }
            }
        });
        for n in 1..=200 {
            slot.store(Some(n));
            assert_eq!(slot.load(), None, "taken inside the commit");
        }
        assert_eq!((sum.load(), task.result(), space.waiters()), (200 * 201 / 2, Some(()), 0));
    });
}
