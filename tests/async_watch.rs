//! `watch`: an item for each change that is looked at, never without the last one (§3.1, §3.6).

mod async_common;
mod blocking_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use async_common::{ByHand, tokio_current, tokio_workers};
use blocking_common::{Counted, eventually, guarded, live_count};
use futures::StreamExt;
use tvar::{Space, TMap, TOrdMap, TVar};

const LAST: u64 = 10_000;

#[test]
fn s3_1_a_watcher_never_misses_the_last_value() {
    guarded(|| {
        for _ in 0..if cfg!(debug_assertions) { 5 } else { 50 } {
            let space = Space::new();
            let v = TVar::new_in(&space, 0);
            let watchers: Vec<_> = (0..2)
                .map(|_| {
                    let mut values = v.watch();
                    thread::spawn(move || {
                        futures::executor::block_on(async {
                            let mut last = None;
                            while last != Some(LAST) {
                                let next = values.next().await;
                                assert!(last < Some(next), "{last:?} before {next}");
                                last = Some(next);
                            }
                        });
                    })
                })
                .collect();
            let writer = v.clone();
            thread::spawn(move || (1..=LAST).for_each(|n| writer.store(n))).join().unwrap();
            watchers.into_iter().for_each(|watcher| watcher.join().unwrap());
            assert_eq!((space.waiters(), v.load()), (0, LAST));
        }
    });
}

#[test]
fn versions_may_be_passed_over_and_an_item_comes_once() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let mut values = v.watch();
    assert_eq!(ByHand::new(values.next()).end(), 0);
    for n in 1..=5 {
        v.store(n);
    }
    assert_eq!(ByHand::new(values.next()).end(), 5);
    let mut next = ByHand::asleep(values.next());
    v.store(5);
    assert_eq!((next.pokes.count(), next.poll()), (0, None), "the same bits are no change");
    v.store(6);
    assert_eq!((next.pokes.count(), next.poll()), (1, Some(6)));
}

#[test]
fn s3_7_registered_while_it_waits_and_not_between_items() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let mut values = v.watch();
    assert_eq!(space.waiters(), 0);
    for n in 1..=3 {
        assert_eq!((ByHand::new(values.next()).end(), space.waiters()), (n - 1, 0));
        let next = ByHand::asleep(values.next());
        assert_eq!((space.waiters(), v.waiters()), (1, 1));
        v.store(n);
        assert_eq!((next.end(), space.waiters()), (n, 0));
        // An item that was missed meanwhile comes at once.
        v.store(n + 100);
        assert_eq!((ByHand::new(values.next()).end(), space.waiters()), (n + 100, 0));
        v.store(n);
    }
    ByHand::new(values.next()).end();
    drop(ByHand::asleep(values.next()));
    // `next` is cancel-safe: what comes meanwhile is not lost.
    v.store(50);
    assert_eq!((ByHand::new(values.next()).end(), space.waiters()), (50, 0));
    drop(ByHand::asleep(values.next()));
    drop(values);
    assert_eq!((space.waiters(), v.waiters()), (0, 0));
}

#[test]
fn a_closure_that_retries_shows_what_it_wants() {
    let space = Space::new();
    let v = TVar::new_in(&space, 1);
    let runs = AtomicU64::new(0);
    let mut even = space.watch(|tx| {
        runs.fetch_add(1, Ordering::SeqCst);
        let n = *tx.read(&v);
        tx.check(n % 2 == 0)?;
        Ok(n)
    });
    let mut next = ByHand::asleep(even.next());
    v.store(3);
    assert_eq!(next.poll(), None);
    v.store(4);
    assert_eq!(next.end(), 4);
    let next = ByHand::asleep(even.next());
    for n in [5, 7, 4] {
        v.store(n);
    }
    // Written again: a new value, though the same number.
    assert_eq!((next.end(), runs.load(Ordering::SeqCst)), (4, 4));
    assert_eq!(space.waiters(), 0);
}

#[test]
fn what_is_watched_may_change_from_item_to_item() {
    let space = Space::new();
    let [which, a, b] = std::array::from_fn(|n| TVar::new_in(&space, n));
    let mut values = space.watch(|tx| Ok(if *tx.read(&which) == 0 { *tx.read(&a) } else { *tx.read(&b) }));
    assert_eq!(ByHand::new(values.next()).end(), 1);
    let mut next = ByHand::asleep(values.next());
    b.store(20);
    assert_eq!(next.poll(), None);
    which.store(1);
    assert_eq!(next.end(), 20);
    let mut next = ByHand::asleep(values.next());
    a.store(10);
    assert_eq!((next.poll(), a.waiters(), b.waiters()), (None, 0, 1));
    b.store(21);
    assert_eq!(next.poll(), Some(21));
}

#[test]
fn s6_1_maps_are_watched_by_what_was_read_in_them() {
    let space = Space::new();
    let (map, ordered) = (TMap::new_in(&space), TOrdMap::new_in(&space));
    let mut key = space.watch(|tx| Ok(map.get(tx, "k").copied()));
    let mut range = space.watch(|tx| Ok(ordered.range(tx, 10..20).map(|(key, _)| *key).collect::<Vec<_>>()));
    assert_eq!(ByHand::new(key.next()).end(), None);
    assert_eq!(ByHand::new(range.next()).end(), []);
    let (mut next_key, mut next_range) = (ByHand::asleep(key.next()), ByHand::asleep(range.next()));
    space.atomically(|tx| {
        map.upsert(tx, "other", 1);
        ordered.upsert(tx, 25, ());
        Ok(())
    });
    assert_eq!((next_key.poll(), next_range.poll()), (None, None));
    assert_eq!((space.stats().wakeups, space.waiters()), (0, 2));
    space.atomically(|tx| {
        map.upsert(tx, "k", 1);
        ordered.upsert(tx, 15, ());
        Ok(())
    });
    assert_eq!((next_key.end(), next_range.end()), (Some(1), vec![15]));
    assert_eq!(space.atomically(|tx| Ok(map.remove(tx, "k").copied())), Some(1));
    assert_eq!((ByHand::new(key.next()).end(), space.waiters()), (None, 0));
}

#[test]
fn a_stream_for_the_combinators() {
    guarded(|| {
        let v = TVar::new(0);
        let feeder = thread::spawn({
            let v = v.clone();
            move || {
                for n in 1..=5 {
                    eventually("the stream waits", || v.waiters() == 1);
                    v.store(n);
                }
            }
        });
        let seen =
            tokio_current().block_on(v.watch().take_while(|n| futures::future::ready(*n < 5)).collect::<Vec<_>>());
        assert!(seen.is_sorted() && seen[0] == 0 && !seen.contains(&5), "{seen:?}");
        feeder.join().unwrap();
        let doubled = v.watch().map(|n| n * 2);
        assert_eq!(futures::executor::block_on(Box::pin(doubled).next()), Some(10));
        assert!(format!("{:?}", v.watch()).starts_with("Watch"));
    });
}

#[test]
fn s3_6_watchers_on_workers_while_others_are_dropped() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let workers = tokio_workers(2);
        let tasks: Vec<_> = (0..20)
            .map(|n| {
                let mut values = v.watch();
                let task = workers.spawn(async move { while values.next().await < 1_000 {} });
                (n % 2 == 0, task)
            })
            .collect();
        for n in 1..=1_000 {
            if n == 500 {
                tasks.iter().filter(|(aborted, _)| *aborted).for_each(|(_, task)| task.abort());
            }
            v.store(n);
        }
        for (aborted, task) in tasks {
            assert!(workers.block_on(task).is_ok() || aborted);
        }
        assert_eq!((space.waiters(), v.waiters()), (0, 0));
    });
}

#[test]
fn s1_3_a_watch_keeps_its_variable_and_lets_it_go() {
    let (live, space) = (live_count(), Space::new());
    let mut values = {
        let v = TVar::new_in(&space, Arc::new(Counted::new(&live, 1)));
        v.watch()
    };
    assert_eq!(ByHand::new(values.next()).end().get(), 1);
    let next = ByHand::asleep(values.next());
    assert_eq!((space.waiters(), live.load(Ordering::SeqCst)), (1, 1));
    drop(next);
    drop(values);
    assert_eq!((space.waiters(), live.load(Ordering::SeqCst)), (0, 0));
}

#[test]
fn s1_5_a_waiting_watch_holds_no_old_version() {
    let (live, space) = (live_count(), Space::new());
    let v = TVar::new_in(&space, Counted::new(&live, 0));
    let mut values = space.watch(|tx| Ok(tx.read(&v).get()));
    assert_eq!(ByHand::new(values.next()).end(), 0);
    for n in 1..=10 {
        v.store(Counted::new(&live, n));
    }
    assert_eq!(live.load(Ordering::SeqCst), 1);
    assert_eq!(ByHand::new(values.next()).end(), 10);
}
