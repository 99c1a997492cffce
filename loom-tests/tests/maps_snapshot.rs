//! Versions of maps that are kept (§1.5, M2): rows and nodes that only a snapshot reaches stay until it goes and are freed once; a map outlives
//! its last handle as long as an attempt may read it (I7).
//! Bound: 3 preemptions for a snapshot that is walked and dropped beside one commit; 2 beside three, and for an attempt beside one.
#![cfg(tvar_loom)]

use tvar::{Space, TOrdMap, TVar, Tx, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

type Map = TOrdMap<u64, Tracked>;
type Change = fn(&Map, &Tx<'_>);

/// Walks a snapshot of a map with five rows and drops it, while transactions change the map; `later`: more of them, after that.
fn walk_beside(preemptions: usize, changes: &'static [Change], later: &'static [Change], left: isize, nodes: isize) {
    model(preemptions, move || {
        let space = internals::space();
        // Two leaves and a branch: a node has four rows.
        let map = Map::with_entries_in(&space, (0..5).map(|key| (key, Tracked::new(key))));
        let snapshot = space.snapshot();
        let walker = spawn({
            let map = map.clone();
            move || {
                assert!(map.iter(&snapshot).all(|(key, value)| *key == value.get()));
                assert_eq!((map.len(&snapshot), map.get(&snapshot, &4).unwrap().get()), (5, 4));
                drop(snapshot);
                map
            }
        });
        let run = |change: &Change| {
            space.atomically(|tx| {
                change(&map, tx);
                Ok(())
            });
        };
        changes.iter().for_each(run);
        drop(walker.join().unwrap());
        later.iter().for_each(run);
        assert_eq!(values(), left);
        assert_eq!(internals::nodes_in_use(), nodes);
    });
}

/// All of it is freed without a further commit, whoever comes last.
#[test]
fn rows_that_are_replaced_and_removed() {
    const CHANGE: Change = |map, tx| {
        map.upsert(tx, 0, Tracked::new(7));
        assert!(map.remove(tx, &1).is_some());
    };
    // Root and leaf of the space, the version, a branch and two leaves.
    walk_beside(3, &[CHANGE], &[], 4, 6);
}

#[test]
fn a_leaf_that_goes_with_its_last_row() {
    walk_beside(3, &[|map, tx| assert!(map.remove(tx, &4).is_some())], &[], 4, 4);
}

#[test]
fn a_map_that_is_cleared() {
    const CHANGE: Change = |map, tx| {
        map.clear(tx);
        map.upsert(tx, 9, Tracked::new(9));
    };
    walk_beside(3, &[CHANGE], &[], 1, 4);
}

/// Nodes that the first commit makes and the second replaces. What a pin of the walker's own vacuum has kept waits for the commits after that.
#[test]
fn several_versions() {
    const FIRST: Change = |map, tx| map.upsert(tx, 0, Tracked::new(7));
    const LATER: Change = |map, tx| map.upsert(tx, 9, Tracked::new(9));
    walk_beside(2, &[FIRST, |map, tx| map.clear(tx)], &[LATER, LATER], 1, 4);
}

fn written(space: &Space, map: &Map, value: u64) {
    space.atomically(|tx| {
        map.upsert(tx, 1, Tracked::new(value));
        Ok(())
    });
}

/// The handle is in a variable that the attempt has read: the attempt's snapshot is all that keeps it.
#[test]
fn the_last_handle_goes_with_the_value_that_holds_it() {
    model(2, || {
        let space = internals::space();
        let holder = {
            let map = Map::with_entries_in(&space, [(1, Tracked::new(1)), (2, Tracked::new(2))]);
            written(&space, &map, 3);
            // Beside it a value that tells when it ends.
            TVar::new_in(&space, Some((map, Tracked::new(4))))
        };
        let reader = spawn({
            let (space, holder) = (space.clone(), holder.clone());
            move || {
                space.atomically(|tx| {
                    let Some((map, beside)) = tx.read(&holder) else { return Ok(()) };
                    assert_eq!(map.get(tx, &1).unwrap().get(), 3);
                    assert_eq!((map.values(tx).map(Tracked::get).sum::<u64>(), beside.get()), (5, 4));
                    Ok(())
                });
                holder
            }
        });
        holder.store(None);
        drop(reader.join().unwrap());
        holder.store(None);
        assert_eq!(values(), 0);
    });
}

/// The attempt drops its handle itself; the number of the map's slot is in its log, and another map wants one.
#[test]
fn an_attempt_outlives_the_handle_of_what_it_reads() {
    model(2, || {
        let space = internals::space();
        let (map, n) = (Map::new_in(&space), TVar::new_in(&space, 0));
        written(&space, &map, 1);
        let reader = spawn({
            let (space, map, n) = (space.clone(), map.clone(), n.clone());
            move || {
                let mut map = Some(map);
                space.atomically(|tx| {
                    let map = map.take().expect("nobody writes what the attempt has read");
                    let seen = map.get(tx, &1).unwrap().get();
                    drop(map);
                    tx.write(&n, seen);
                    Ok(())
                });
                n
            }
        });
        drop(map);
        let next = Map::new_in(&space);
        written(&space, &next, 2);
        drop(reader.join().unwrap());
        assert_eq!((n.load(), space.atomically(|tx| Ok(next.get(tx, &1).unwrap().get()))), (1, 2));
    });
}
