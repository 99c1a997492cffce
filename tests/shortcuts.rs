//! §1.6: `load`, `store` and `update` are one-variable transactions.

mod common;

use std::cell::Cell;
use std::sync::mpsc;
use std::thread;

use common::{Census, elsewhere};
use tvar::hooks::{self, Point};
use tvar::{Space, TVar, atomically};

#[test]
fn s1_6_load_store_update() {
    let var = TVar::new(String::from("a"));
    assert_eq!(var.load(), "a");
    var.store("b".into());
    assert_eq!(var.load(), "b");
    var.update(|text| format!("{text}c"));
    assert_eq!(var.load(), "bc");
    assert_eq!(elsewhere(|| var.load()), "bc");
}

#[test]
fn s1_6_store_is_a_commit_and_load_is_none() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let version = space.version();
    assert_eq!(var.load(), 0);
    assert_eq!(space.version(), version);
    var.store(1);
    assert!(space.version() > version);
    let version = space.version();
    var.update(|n| n + 1);
    assert!(space.version() > version);
}

/// Strictly serialisable: what was stored before is seen, on whatever thread.
#[test]
fn s1_6_load_sees_every_store_that_came_before() {
    let var = TVar::new(0);
    let (ping, pinged) = mpsc::channel();
    let (pong, ponged) = mpsc::channel();
    let theirs = var.clone();
    let partner = thread::spawn(move || {
        for n in pinged {
            assert_eq!(theirs.load(), n);
            theirs.store(n + 1);
            pong.send(n + 1).expect("the test runs");
        }
    });
    for _ in 0..500 {
        ping.send(var.load()).expect("the partner runs");
        let n = ponged.recv().expect("the partner runs");
        assert_eq!(var.load(), n);
        var.store(n + 1);
    }
    drop(ping);
    partner.join().expect("the partner");
    assert_eq!(var.load(), 1_000);
}

/// `update` is a read and a write: a foreign commit in between makes it run again.
#[test]
fn s1_6_update_loses_no_update() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let runs = Cell::new(0);
    var.update(|n| {
        runs.set(runs.get() + 1);
        if runs.get() == 1 {
            elsewhere(|| var.store(10));
        }
        n + 1
    });
    assert_eq!((runs.get(), var.load()), (2, 11));
    let threads = 2;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..5_000).for_each(|_| var.update(|n| n + 1)));
        }
    });
    assert_eq!(var.load(), 11 + threads * 5_000);
}

/// `store` is blind (§2.4): a foreign commit in between is no conflict.
#[test]
fn s1_6_store_conflicts_with_nobody() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let foreign = var.clone();
    let guard = common::at_first(Point::Swap, move || foreign.store(10));
    var.store(1);
    drop(guard);
    assert_eq!(var.load(), 1);
    let stats = space.stats();
    assert_eq!((stats.commits, stats.conflicts, stats.reruns), (2, 0, 0));
    assert!(stats.lost_swaps >= 1);
}

/// A value needs no `Clone` to be stored or updated, only to be loaded.
#[test]
fn s1_6_store_and_update_need_no_clone() {
    let space = Space::new();
    let census = Census::new();
    let var = TVar::new_in(&space, census.value(1));
    var.store(census.value(2));
    var.update(|old| census.value(old.id + 1));
    assert_eq!(space.snapshot().read(&var).id, 3);
    var.update(|old| census.value(old.id + 1));
    TVar::new_in(&space, 0).store(1);
    assert_eq!(census.live(), 1);
}

fn wakes_a_waiter(change: impl FnOnce(&TVar<i64>)) {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let theirs = var.clone();
    let (parked, is_parked) = mpsc::channel();
    let waiter = thread::spawn(move || {
        let _guard = hooks::on_this_thread(move |point| {
            if point == Point::Park {
                let _ = parked.send(());
            }
        });
        let mut runs = 0;
        let seen = theirs.space().atomically(|tx| {
            runs += 1;
            tx.check(*tx.read(&theirs) != 0)?;
            Ok(*tx.read(&theirs))
        });
        (runs, seen)
    });
    is_parked.recv().expect("the waiter parks");
    assert_eq!((var.waiters(), space.waiters()), (1, 1));
    change(&var);
    assert_eq!(waiter.join().expect("the waiter"), (2, 9));
    assert_eq!((var.waiters(), space.waiters()), (0, 0));
}

#[test]
fn s1_6_store_wakes_waiters() {
    wakes_a_waiter(|var| var.store(9));
}

#[test]
fn s1_6_update_wakes_waiters() {
    wakes_a_waiter(|var| var.update(|n| n + 9));
}

/// Load returns a clone that lives on its own.
#[test]
fn s1_6_load_clones() {
    let var = TVar::new(vec![1, 2, 3]);
    let mut copy = var.load();
    copy.push(4);
    assert_eq!(var.load(), [1, 2, 3]);
    atomically(|tx| {
        tx.write(&var, copy.clone());
        Ok(())
    });
    assert_eq!(var.load(), [1, 2, 3, 4]);
}
