//! §7.2: the age of the oldest snapshot, the texts of statistics, and that what is observed agrees with what is counted, under stress.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod common;
mod observe_common;

use blocking_common::Paused;
use common::{elsewhere, many, ticks};
use observe_common::{attributed, labelled, observed, vars};
use std::thread;
use std::time::Duration;
use tvar::hooks::Point;
use tvar::{Isolation, LockMode, Space, TMap, TVar};

fn age(space: &Space) -> u64 {
    space.stats().snapshot_age
}

#[test]
fn s7_2_no_snapshot_has_no_age() {
    let space = Space::new();
    assert_eq!(age(&space), 0);
    ticks(&space, 10);
    assert_eq!(age(&space), 0);
    elsewhere(|| ticks(&space, 10));
    assert_eq!(age(&space), 0, "a thread that has ended, and one that does nothing, hold none");
    // Nor do those who sleep (§3.1).
    let v = TVar::new_in(&space, 0);
    let waiter = blocking_common::Waiter::closed(&space, {
        let v = v.clone();
        move |tx| Ok(*tx.read(&v))
    });
    ticks(&space, 10);
    blocking_common::eventually("a sleeper holds none, but while it looks", || age(&space) == 0);
    waiter.open();
    v.store(1);
    waiter.finish("it wakes");
}

#[test]
fn s7_2_kept_snapshots() {
    let space = Space::new();
    let first = space.snapshot();
    assert_eq!(age(&space), 0, "of the newest version");
    ticks(&space, 5);
    let second = space.snapshot();
    ticks(&space, 2);
    assert_eq!(age(&space), space.version() - first.version());
    let clone = first.clone();
    drop(first);
    assert_eq!(age(&space), space.version() - clone.version());
    drop(clone);
    assert_eq!(age(&space), space.version() - second.version());
    drop(second);
    assert_eq!(age(&space), 0);
}

#[test]
fn s7_2_running_attempts() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    v.store(1);
    space.atomically(|tx| {
        tx.read(&v);
        let before = space.version();
        elsewhere(|| ticks(&space, 7));
        // Asked by the thread itself, and by another.
        assert_eq!((age(&space), elsewhere(|| age(&space))), (space.version() - before, space.version() - before));
        assert!(space.version() > before);
        Ok(())
    });
    assert_eq!(age(&space), 0);
    // One that is about to commit, and one that moves forward for a lock: its first snapshot counts.
    let writer = {
        let (space, v) = (space.clone(), v.clone());
        Paused::at(Point::Validate, move || space.atomically(|tx| Ok(tx.modify(&v, |n| n + 1))))
    };
    let before = space.version();
    ticks(&space, 3);
    assert_eq!((age(&space), space.version() > before), (space.version() - before, true));
    writer.finish();
    assert_eq!(age(&space), 0);
    space.atomically(|tx| {
        if tx.attempt() == 1 {
            elsewhere(|| v.store(9));
        }
        tx.lock(&v, LockMode::Exclusive)?;
        assert!(age(&space) >= 1);
        Ok(())
    });
    assert_eq!(age(&space), 0);
}

#[test]
fn s7_2_texts() {
    let space = Space::new();
    let zero = "0 commits, 0 read-only, 0 conflicts, 0 lost swaps, 0 re-runs, 0 sleeps, 0 wake-ups, 0 escalations, \
                0 announced, 0 batches, 0 lock waits, 0 deadlocks, oldest snapshot 0 version(s) old";
    assert_eq!(space.stats().to_string(), zero);
    let [v] = vars(&space, ["v"]);
    let kept = space.snapshot();
    v.store(1);
    v.load();
    labelled(&space, "l").timeout(Duration::ZERO).run(|tx| tx.check(*tx.read(&v) > 5)).unwrap_err();
    let some = zero.replacen("0 commits, 0 read", "1 commits, 1 read", 1).replacen("0 sleeps", "1 sleeps", 1);
    assert_eq!(space.stats().to_string(), some.replace("0 version", "1 version"));
    drop(kept);
}

/// Transfers, inserts, merges, locks and waits of eight threads, of every kind; returns the accounts and the counted merges at the end.
fn load(space: &Space, calls: usize) -> (i64, i64, usize) {
    let accounts: Vec<_> = (0..6).map(|n| TVar::named_in(space, format!("account {n}"), 100_i64)).collect();
    let total = TVar::named_in(space, "total", 0_i64);
    let map = TMap::<usize, usize>::named_in(space, "map");
    thread::scope(|scope| {
        for thread in 0..8 {
            let (accounts, total, map) = (&accounts, &total, &map);
            scope.spawn(move || {
                let kinds = [
                    labelled(space, "plain"),
                    labelled(space, "announced").coalesce_after(0),
                    labelled(space, "snapshot").isolation(Isolation::Snapshot),
                    labelled(space, "locks").pessimistic(),
                    space.options().label(format!("owned {thread}")).escalate_after(2),
                ];
                for n in 0..calls {
                    let kind = &kinds[(n + thread) % kinds.len()];
                    let (from, to) = (&accounts[(n * 7 + thread) % 6], &accounts[(n * 5 + thread * 3 + 1) % 6]);
                    let transfer = |tx: &tvar::Tx<'_>| {
                        if n % 16 == 3 && tx.attempt() == 1 {
                            thread::yield_now();
                        }
                        let amount = *tx.read(from) / 2;
                        tx.modify(from, |a| a - amount);
                        tx.modify(to, |a| a + amount);
                        if n % 3 == 0 {
                            tx.merge(total, |n| n + 1);
                        }
                        if n % 5 == 0 {
                            map.upsert_with(tx, n % 40, 1, |n| n + 1);
                        }
                        Ok(())
                    };
                    kind.run(transfer).unwrap();
                }
            });
        }
    });
    let sum = accounts.iter().map(TVar::load).sum();
    (sum, total.load(), space.atomically(|tx| Ok(map.iter(tx).map(|(_, n)| *n).sum())))
}

#[test]
fn s7_2_what_is_observed_agrees_with_what_is_counted() {
    let calls = many(4_000);
    let plain = load(&Space::new(), calls);
    let space = observed();
    assert_eq!(load(&space, calls), plain, "observing changes nothing");
    assert_eq!((plain.0, plain.1), (600, 8 * calls.div_ceil(3) as i64));
    let stats = space.stats();
    assert_eq!(attributed(&space), stats.conflicts);
    let labels = space.label_stats();
    let sum = |of: fn(&tvar::LabelStats) -> u64| labels.iter().map(of).sum::<u64>();
    assert_eq!(sum(|l| l.commits), 8 * calls as u64);
    assert_eq!((sum(|l| l.conflicts), sum(|l| l.reruns)), (stats.conflicts, stats.reruns));
    assert_eq!((sum(|l| l.lock_waits), sum(|l| l.deadlocks)), (stats.lock_waits, stats.deadlocks));
    assert_eq!(sum(|l| l.aborts + l.failures + l.panics), 0);
    // Everybody was observed all the time, and fewer writes are forgotten than conflicts found.
    for conflict in space.conflicts() {
        let winner = conflict.winner.as_ref().unwrap_or_else(|| panic!("{conflict}"));
        assert!(labels.iter().any(|l| Some(&l.label) == winner.label.as_ref()), "{conflict}");
        assert!(["total", "map"].contains(&conflict.variable.as_str()) || conflict.variable.starts_with("account "));
    }
}

/// Switched on and off all the while: nothing is lost of the transactions, and the switch is left as it was.
#[test]
fn s7_2_the_switch_under_load() {
    let space = Space::new();
    let calls = many(2_000);
    let plain = load(&Space::new(), calls);
    let (done, result) = (std::sync::atomic::AtomicBool::new(false), std::sync::Mutex::new(None));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut on = false;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                on = !on;
                space.observe(on);
                drop((space.conflicts(), space.label_stats(), space.waiting(), space.stats()));
                thread::yield_now();
            }
            space.observe(false);
        });
        *result.lock().unwrap() = Some(load(&space, calls));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(result.into_inner().unwrap(), Some(plain));
    assert_eq!((space.waiters(), space.waiting().len()), (0, 0));
}
