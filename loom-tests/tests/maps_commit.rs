//! Commits to one map (M2, M4): transactions that touch different keys do not make each other run again, and nothing of either is lost when a swap
//! is; of two that put one key in, one finds it absent. Nodes and rows of a replaced version stay as they are while a reader is in them, and
//! come home when none is.
//! Bound: 3 preemptions; two writers, or a reader in a tree of two levels (a node has four rows) beside two commits.
#![cfg(tvar_loom)]

use tvar::{Space, TOrdMap, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

type Map = TOrdMap<u64, u64>;

/// Two transactions on a map with these keys, each of which must run once.
fn both_run_once(keys: &'static [u64], left: fn(&Map, &Space), right: fn(&Map, &Space)) {
    model(3, move || {
        let space = internals::space();
        let map = Map::with_entries_in(&space, keys.iter().map(|key| (*key, 0)));
        let other = spawn({
            let (space, map) = (space.clone(), map.clone());
            move || {
                right(&map, &space);
                map
            }
        });
        left(&map, &space);
        let handle = other.join().unwrap();
        let rows: Vec<_> = {
            let snapshot = space.snapshot();
            map.iter(&snapshot).map(|(key, value)| (*key, *value)).collect()
        };
        let untouched = keys.iter().filter(|key| ![1, 8].contains(*key)).map(|key| (*key, 0));
        let mut expected: Vec<_> = untouched.chain([(1, 10), (8, 80)]).collect();
        expected.sort_unstable();
        assert_eq!(rows, expected);
        drop(handle);
    });
}

/// Runs a transaction that nothing may make run again.
fn once(space: &Space, mut f: impl FnMut(&tvar::Tx<'_>)) {
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        f(tx);
        Ok(())
    });
    assert_eq!(runs, 1, "another key is nobody's business");
}

#[test]
fn upserts_of_different_keys_are_both_there() {
    let left = |map: &Map, space: &Space| once(space, |tx| map.upsert(tx, 1, 10));
    both_run_once(&[], left, |map, space| once(space, |tx| map.upsert(tx, 8, 80)));
}

/// With reads, in leaves that split: the map has two full ones.
#[test]
fn inserts_of_different_keys_do_not_conflict() {
    let left = |map: &Map, space: &Space| once(space, |tx| assert!(map.insert_new(tx, 1, 10)));
    both_run_once(&[0, 2, 3, 4, 5, 6, 7, 9], left, |map, space| once(space, |tx| assert!(map.insert_new(tx, 8, 80))));
}

#[test]
fn one_of_two_puts_a_key_in() {
    model(3, || {
        let space = internals::space();
        let map = Map::new_in(&space);
        let put = |space: &Space, map: &Map, value| space.atomically(|tx| Ok(map.insert_new(tx, 1, value)));
        let other = spawn({
            let (space, map) = (space.clone(), map.clone());
            move || (put(&space, &map, 20), map)
        });
        let mine = put(&space, &map, 10);
        let (theirs, handle) = other.join().unwrap();
        assert!(mine != theirs, "both found the key absent, or neither did");
        assert_eq!(space.atomically(|tx| Ok(*map.get(tx, &1).unwrap())), if mine { 10 } else { 20 });
        drop(handle);
    });
}

#[test]
fn nodes_stay_while_somebody_is_in_them() {
    model(3, || {
        let space = internals::space();
        let map = TOrdMap::with_entries_in(&space, (0..5).map(|key| (key, Tracked::new(0))));
        let reader = spawn({
            let (space, map) = (space.clone(), map.clone());
            move || {
                space.atomically(|tx| {
                    let first = map.get(tx, &4).unwrap();
                    let all: Vec<_> = map.values(tx).map(Tracked::get).collect();
                    assert_eq!(all, [0, 0, 0, 0, first.get()]);
                    assert!(map.get(tx, &5).is_none());
                    Ok(())
                });
                map
            }
        });
        for number in 1..3 {
            space.atomically(|tx| {
                map.upsert(tx, 4, Tracked::new(number));
                Ok(())
            });
        }
        drop(reader.join().unwrap());
        // Whatever the reader has kept is free at the next commit.
        space.atomically(|tx| {
            map.upsert(tx, 4, Tracked::new(3));
            Ok(())
        });
        assert_eq!(values(), 5);
        assert_eq!(
            internals::nodes_in_use(),
            6,
            "root and leaf of the space, the version, a branch and two leaves of the map"
        );
    });
}
