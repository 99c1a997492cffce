//! §4.3: long chains of values, and long histories, are dropped iteratively. Every one of them is
//! dropped on a stack of 256 KiB.

mod common;

use std::cell::{Cell, RefCell};

use common::{Census, Counted, many, on_small_stack, settle, ticks};
use tvar::{Snapshot, Space, TVar};

struct Link {
    _next: Option<TVar<Link>>,
    _counted: Counted,
}

/// A list of variables inside each other, as initial values.
fn chain(space: &Space, census: &Census, length: usize) -> TVar<Link> {
    let mut head = None;
    for id in 0..length as u64 {
        let link = Link { _next: head.take(), _counted: census.value(id) };
        head = Some(TVar::new_in(space, link));
    }
    head.expect("not empty")
}

/// The same, every link written by a transaction.
fn written_chain(space: &Space, census: &Census, length: usize) -> TVar<Link> {
    let mut head: Option<TVar<Link>> = None;
    for id in 0..length as u64 {
        let var = TVar::new_in(space, Link { _next: None, _counted: census.value(id) });
        let next = RefCell::new(head.take());
        space.atomically(|tx| {
            let link = Link { _next: next.borrow_mut().take(), _counted: census.value(id) };
            tx.write(&var, link);
            Ok(())
        });
        head = Some(var);
    }
    head.expect("not empty")
}

#[test]
fn s4_3_a_chain_of_initial_values_dropped_on_a_small_stack() {
    let (space, census) = (Space::new(), Census::new());
    let head = chain(&space, &census, many(1_000_000));
    let theirs = census.clone();
    on_small_stack(move || {
        drop(head);
        assert_eq!(theirs.live(), 0);
    });
}

#[test]
fn s4_3_a_chain_of_written_values_dropped_on_a_small_stack() {
    let (space, census) = (Space::new(), Census::new());
    let head = written_chain(&space, &census, many(1_000_000));
    let (theirs, same) = (census.clone(), space.clone());
    on_small_stack(move || {
        drop(head);
        settle(&same, || theirs.live() == 0);
    });
    drop(space);
}

/// Dropped inside an attempt, inside a hook, with the space, with a snapshot, by being overwritten.
#[test]
fn s4_3_a_chain_dropped_in_other_places() {
    let length = many(200_000);
    for written in [false, true] {
        for place in 0..6 {
            let (space, census) = (Space::new(), Census::new());
            let head = if written { written_chain(&space, &census, length) } else { chain(&space, &census, length) };
            let theirs = census.clone();
            on_small_stack(move || {
                match place {
                    0 => {
                        let head = Cell::new(Some(head));
                        space.atomically(|_| {
                            drop(head.take());
                            Ok(())
                        });
                    }
                    1 => {
                        let head = Cell::new(Some(head));
                        space.atomically(|tx| {
                            let head = head.take();
                            tx.on_commit(move || drop(head));
                            Ok(())
                        });
                    }
                    2 => {
                        let owner = TVar::new_in(&space, Some(head));
                        let snapshot = space.snapshot();
                        owner.store(None);
                        ticks(&space, 10);
                        assert!(theirs.live() >= length);
                        drop(snapshot);
                        assert!(owner.load().is_none());
                    }
                    3 => {
                        let owner = TVar::new_in(&space, None);
                        owner.store(Some(head));
                        owner.store(None);
                    }
                    4 => {
                        // Written in an attempt that is undone.
                        let owner = TVar::new_in(&space, None);
                        let head = Cell::new(Some(head));
                        let result = space.try_atomically(|tx| {
                            tx.write(&owner, head.take());
                            tx.abort::<(), _>(())
                        });
                        assert_eq!(result, Err(()));
                    }
                    _ => {
                        let owner = TVar::new_in(&space, Some(head));
                        drop(space);
                        drop(owner);
                        assert_eq!(theirs.live(), 0, "with the space");
                        return;
                    }
                }
                settle(&space, || theirs.live() == 0);
            });
        }
    }
}

#[test]
fn s4_3_a_long_history_behind_a_snapshot_dropped_on_a_small_stack() {
    let (space, census) = (Space::new(), Census::new());
    let number = TVar::new_in(&space, 0);
    let boxed = TVar::new_in(&space, census.value(0));
    let snapshot = space.snapshot();
    let versions = many(1_000_000);
    for n in 1..=versions {
        if n % 16 == 0 {
            boxed.store(census.value(n as u64));
        } else {
            number.store(n);
        }
    }
    assert!(space.version() - snapshot.version() >= versions as u64);
    assert_eq!((*snapshot.read(&number), snapshot.read(&boxed).id), (0, 0));
    on_small_stack(move || drop(snapshot));
    ticks(&space, 2);
    assert_eq!(census.live(), 1);
}

/// A snapshot for every so many versions, all dropped at once.
#[test]
fn s4_3_many_snapshots_dropped_on_a_small_stack() {
    let (space, census) = (Space::new(), Census::new());
    let boxed = TVar::new_in(&space, census.value(0));
    let mut snapshots = Vec::new();
    for id in 0..5_000 {
        boxed.store(census.value(id));
        snapshots.push(space.snapshot());
    }
    assert!((0..).zip(&snapshots).all(|(id, snapshot)| snapshot.read(&boxed).id == id));
    on_small_stack(move || drop(snapshots));
    ticks(&space, 2);
    assert_eq!(census.live(), 1);
}

/// Each value keeps a snapshot, which alone keeps the value before it.
#[test]
fn s4_3_a_chain_of_snapshots_in_values() {
    struct Page {
        _before: Option<Snapshot>,
        _counted: Counted,
    }
    let (space, census) = (Space::new(), Census::new());
    let page = |before, id| Page { _before: before, _counted: census.value(id) };
    let length = 2_000;
    for overwritten in [false, true] {
        let var = TVar::new_in(&space, page(None, 0));
        for id in 1..length {
            var.store(page(Some(space.snapshot()), id));
        }
        assert_eq!(census.live(), length as usize);
        let last = page(None, length);
        on_small_stack(move || if overwritten { var.store(last) } else { drop(var) });
        settle(&space, || census.live() == 0);
    }
}

#[test]
fn s4_3_a_wide_value_of_many_variables() {
    let (space, census) = (Space::new(), Census::new());
    let count = many(100_000) as u64;
    let vars: Vec<_> = (0..count)
        .map(|id| {
            let var = TVar::new_in(&space, census.value(id));
            if id % 2 == 0 {
                var.store(census.value(id));
            }
            var
        })
        .collect();
    let owner = TVar::new_in(&space, vars);
    on_small_stack({
        let owner = owner.clone();
        move || owner.store(Vec::new())
    });
    settle(&space, || census.live() == 0);
    drop(owner);
}
