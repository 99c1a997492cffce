//! §3.1, §3.7: many tasks at once: a commit wakes all whom it concerns and nobody else, and none leaves a trace.

mod async_common;
mod blocking_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_common::{ByHand, Pokes, take, tokio_workers};
use blocking_common::{eventually, guarded};
use tvar::{Space, TOrdMap, TVar};

#[test]
fn s3_1_a_thousand_tasks_on_one_variable_are_woken_by_one_commit() {
    guarded(|| {
        let space = Space::new();
        let v = TVar::new_in(&space, 0);
        let workers = tokio_workers(2);
        let runs = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..1_000)
            .map(|_| {
                let (v, runs) = (v.clone(), runs.clone());
                workers.spawn(space.atomically_async(move |tx| {
                    runs.fetch_add(1, Ordering::SeqCst);
                    tx.check(*tx.read(&v) > 0)
                }))
            })
            .collect();
        eventually("all sleep", || space.stats().parked == 1_000);
        assert_eq!((space.waiters(), v.waiters()), (1_000, 1_000));
        v.store(1);
        for task in tasks {
            workers.block_on(task).unwrap();
        }
        assert_eq!((space.waiters(), v.waiters(), runs.load(Ordering::SeqCst)), (0, 0, 2_000));
        let stats = space.stats();
        assert_eq!((stats.wakeups, stats.reruns, stats.conflicts), (1_000, 1_000, 0));
    });
}

#[test]
fn s3_1_of_ten_thousand_tasks_on_variables_of_their_own_one_is_woken() {
    let space = Space::new();
    let pokes = Pokes::new();
    let waker = pokes.clone().into();
    let mut calls: Vec<_> = (0..10_000_u64)
        .map(|_| {
            let v = TVar::new_in(&space, None);
            let call = ByHand::new(space.atomically_async({
                let v = v.clone();
                move |tx| take(tx, &v)
            }));
            (v, call)
        })
        .collect();
    assert!(calls.iter_mut().all(|(_, call)| call.poll_with(&waker).is_none()));
    assert_eq!((space.waiters(), space.stats().parked), (10_000, 10_000));
    calls[7_777].0.store(Some(3));
    assert_eq!(pokes.count(), 1);
    // Whoever is polled.
    let ended: Vec<_> = calls.iter_mut().filter_map(|(_, call)| call.poll_with(&waker)).collect();
    let stats = space.stats();
    assert_eq!((ended, stats.reruns, stats.wakeups, space.waiters()), (vec![3], 1, 1, 9_999));
    calls.truncate(5_000);
    assert_eq!(space.waiters(), 5_000);
    drop(calls);
    assert_eq!((space.waiters(), pokes.count()), (0, 1));
}

#[test]
fn s3_7_one_task_on_a_thousand_variables() {
    let space = Space::new();
    let vars: Vec<_> = (0..1_000).map(|_| TVar::new_in(&space, 0_u64)).collect();
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        let sum = vars.iter().map(|v| *tx.read(v)).sum::<u64>();
        tx.check(sum >= 2)?;
        Ok(sum)
    }));
    assert!(vars.iter().all(|v| v.waiters() == 1) && space.waiters() == 1);
    vars[0].store(1);
    assert_eq!((call.pokes.count(), call.poll()), (1, None));
    vars[999].store(1);
    assert_eq!((call.pokes.count(), call.poll()), (2, Some(2)));
    assert!(vars.iter().all(|v| v.waiters() == 0) && space.waiters() == 0);
}

#[test]
fn s6_2_tasks_on_neighbouring_ranges() {
    let space = Space::new();
    let map: TOrdMap<u64, u64> = TOrdMap::new_in(&space);
    let mut calls: Vec<_> = (0..100)
        .map(|n| {
            let map = map.clone();
            ByHand::asleep(space.atomically_async(move |tx| {
                let found = map.range(tx, n * 10..(n + 1) * 10).next().map(|(key, _)| *key);
                found.map_or_else(|| tx.retry(), Ok)
            }))
        })
        .collect();
    space.atomically(|tx| {
        map.upsert(tx, 505, 0);
        Ok(())
    });
    let ended: Vec<_> = calls.iter_mut().filter_map(ByHand::poll).collect();
    assert_eq!((ended, space.stats().reruns, space.waiters()), (vec![505], 1, 99));
    drop(calls);
    assert_eq!(space.waiters(), 0);
}
