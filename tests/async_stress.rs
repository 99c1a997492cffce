//! §3.6, §3.7 under load: tasks and threads on the same variables, with queues made of variables and random cancellations. What is sent
//! arrives exactly once, unless the wait for it was cancelled, and then it is not lost; sums hold; nobody is left behind.

mod async_common;
mod blocking_common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_common::tokio_workers;
use blocking_common::{guarded, join};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tvar::{Space, Stm, TVar, Tx};

const THREADS: u64 = 4;
const TASKS: u64 = 12;

/// Items that each of the senders sends.
fn items() -> u64 {
    if cfg!(debug_assertions) { 150 } else { 1_500 }
}

/// A bounded queue.
#[derive(Clone)]
struct Queue {
    items: TVar<VecDeque<u64>>,
    taken: TVar<u64>,
}

impl Queue {
    fn new(space: &Space) -> Queue {
        Queue { items: TVar::new_in(space, VecDeque::new()), taken: TVar::new_in(space, 0) }
    }

    fn put(&self, tx: &Tx<'_>, item: u64) -> Stm<()> {
        tx.check(tx.read(&self.items).len() < 4)?;
        tx.modify(&self.items, |items| items.iter().copied().chain([item]).collect());
        Ok(())
    }

    /// `None` at the end, when all have been taken.
    fn take(&self, tx: &Tx<'_>, all: u64) -> Stm<Option<u64>> {
        let mut items = tx.read(&self.items).clone();
        match items.pop_front() {
            Some(item) => {
                tx.write(&self.items, items);
                tx.modify(&self.taken, |taken| taken + 1);
                Ok(Some(item))
            }
            None if *tx.read(&self.taken) == all => Ok(None),
            None => tx.retry(),
        }
    }
}

/// What was received, by item.
struct Received(Vec<AtomicU64>);

impl Received {
    fn note(&self, item: u64) {
        self.0[item as usize].fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls a call for a while, and cancels it if it has not ended then.
async fn cancelled_now_and_then<R>(rng: &mut SmallRng, call: impl Future<Output = R>) -> Option<R> {
    let yields = rng.random_range(0..4);
    let patience = async {
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        result = call => Some(result),
        () = patience => None,
    }
}

#[test]
fn s3_6_queues_between_tasks_and_threads_with_cancellations() {
    guarded(|| {
        let space = Space::new();
        let (first, second) = (Queue::new(&space), Queue::new(&space));
        let all = items() * (THREADS + TASKS);
        let received = Arc::new(Received((0..all).map(|_| AtomicU64::new(0)).collect()));
        let workers = tokio_workers(4);
        let mut tasks = Vec::new();
        let mut threads = Vec::new();
        for sender in 0..THREADS + TASKS {
            let (space, first) = (space.clone(), first.clone());
            let mine = sender * items()..(sender + 1) * items();
            if sender < THREADS {
                threads.push(thread::spawn(move || mine.for_each(|item| space.atomically(|tx| first.put(tx, item)))));
            } else {
                tasks.push(workers.spawn(async move {
                    let mut rng = SmallRng::seed_from_u64(sender);
                    for item in mine {
                        while cancelled_now_and_then(&mut rng, space.atomically_async(|tx| first.put(tx, item)))
                            .await
                            .is_none()
                        {}
                    }
                }));
            }
        }
        for mover in 0..4 {
            let (space, from, to) = (space.clone(), first.clone(), second.clone());
            let step = move |tx: &Tx<'_>| match from.take(tx, all)? {
                Some(item) => to.put(tx, item).map(|()| true),
                None => Ok(false),
            };
            if mover < 2 {
                threads.push(thread::spawn(move || while space.atomically(&step) {}));
            } else {
                tasks.push(workers.spawn(async move {
                    let mut rng = SmallRng::seed_from_u64(100 + mover);
                    while cancelled_now_and_then(&mut rng, space.atomically_async(&step)).await != Some(false) {}
                }));
            }
        }
        for taker in 0..THREADS {
            let (space, second, received) = (space.clone(), second.clone(), received.clone());
            if taker < 2 {
                threads.push(thread::spawn(move || {
                    while let Some(item) = space.atomically(|tx| second.take(tx, all)) {
                        received.note(item);
                    }
                }));
            } else {
                tasks.push(workers.spawn(async move {
                    let mut rng = SmallRng::seed_from_u64(200 + taker);
                    loop {
                        let call = space.atomically_async(|tx| second.take(tx, all));
                        match cancelled_now_and_then(&mut rng, call).await {
                            Some(Some(item)) => received.note(item),
                            Some(None) => break,
                            None => {}
                        }
                    }
                }));
            }
        }
        threads.into_iter().for_each(|thread| join("a thread ends", thread));
        tasks.into_iter().for_each(|task| workers.block_on(task).unwrap());
        assert!(received.0.iter().all(|count| count.load(Ordering::SeqCst) == 1), "each exactly once");
        assert_eq!((first.taken.load(), second.taken.load()), (all, all));
        assert_eq!((space.waiters(), space.locks().len()), (0, 0));
    });
}

#[test]
fn s3_6_transfers_that_wait_for_funds_keep_the_sum_and_watchers_see_it_whole() {
    guarded(|| {
        const ACCOUNTS: usize = 8;
        let space = Space::new();
        let accounts: Arc<[TVar<i64>]> = (0..ACCOUNTS).map(|_| TVar::new_in(&space, 10)).collect();
        let workers = tokio_workers(4);
        let over = TVar::new_in(&space, false);
        let transfer = |rng: &mut SmallRng| {
            let (from, amount) = (rng.random_range(0..ACCOUNTS), rng.random_range(1..25));
            let to = (from + rng.random_range(1..ACCOUNTS)) % ACCOUNTS;
            let (accounts, over) = (accounts.clone(), over.clone());
            move |tx: &Tx<'_>| {
                if *tx.read(&over) {
                    return Ok(());
                }
                tx.check(*tx.read(&accounts[from]) >= amount)?;
                tx.modify(&accounts[from], |balance| balance - amount);
                tx.modify(&accounts[to], |balance| balance + amount);
                Ok(())
            }
        };
        let watchers: Vec<_> = (0..2)
            .map(|_| {
                let accounts = accounts.clone();
                let watched = over.clone();
                let mut totals = space.watch(move |tx| {
                    let total = accounts.iter().map(|account| *tx.read(account)).sum::<i64>();
                    Ok((total, *tx.read(&watched)))
                });
                workers.spawn(async move {
                    loop {
                        let (total, over) = totals.next().await;
                        assert_eq!(total, 10 * ACCOUNTS as i64);
                        if over {
                            return;
                        }
                    }
                })
            })
            .collect();
        let tasks: Vec<_> = (0..TASKS)
            .map(|n| {
                let (space, mut rng) = (space.clone(), SmallRng::seed_from_u64(n));
                let calls: Vec<_> = (0..items()).map(|_| transfer(&mut rng)).collect();
                workers.spawn(async move {
                    for call in calls {
                        let options =
                            if rng.random_range(0..4) == 0 { space.options().pessimistic() } else { space.options() };
                        cancelled_now_and_then(&mut rng, options.run_async(call)).await.map(Result::unwrap);
                    }
                })
            })
            .collect();
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let (space, mut rng) = (space.clone(), SmallRng::seed_from_u64(50 + n));
                let calls: Vec<_> = (0..items()).map(|_| transfer(&mut rng)).collect();
                thread::spawn(move || {
                    for call in calls {
                        // May find too little for ever, once the others have ended.
                        let limit = std::time::Duration::from_millis(1);
                        let _ = space.options().timeout(limit).run(call);
                    }
                })
            })
            .collect();
        tasks.into_iter().for_each(|task| workers.block_on(task).unwrap());
        threads.into_iter().for_each(|thread| join("a thread ends", thread));
        over.store(true);
        watchers.into_iter().for_each(|watcher| workers.block_on(watcher).unwrap());
        assert_eq!(accounts.iter().map(TVar::load).sum::<i64>(), 10 * ACCOUNTS as i64);
        assert_eq!((space.waiters(), space.locks().len()), (0, 0));
    });
}

#[test]
fn s3_7_commits_race_with_registrations_wakes_and_drops() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0_u64);
        let workers = tokio_workers(4);
        let rounds = 20 * items();
        let tasks: Vec<_> = (0..8_u64)
            .map(|n| {
                let (space, v) = (space.clone(), v.clone());
                workers.spawn(async move {
                    let (mut rng, mut seen) = (SmallRng::seed_from_u64(n), 0);
                    while seen < rounds {
                        let next = space.atomically_async(|tx| {
                            let now = *tx.read(&v);
                            tx.check(now > seen)?;
                            Ok(now)
                        });
                        if let Some(now) = cancelled_now_and_then(&mut rng, next).await {
                            assert!(now > seen);
                            seen = now;
                        }
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let (v, half) = (v.clone(), rounds / 2);
                thread::spawn(move || (0..half).for_each(|_| v.update(|n| n + 1)))
            })
            .collect();
        writers.into_iter().for_each(|writer| join("a writer ends", writer));
        tasks.into_iter().for_each(|task| workers.block_on(task).unwrap());
        assert_eq!((v.load(), v.waiters(), space.waiters()), (rounds, 0, 0));
    });
}
