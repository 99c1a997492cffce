//! A range that is walked while a lock moves the snapshot (§5.3, §6.2): what is read after the move is not older than the move.

use tvar::LockMode::Exclusive;
use tvar::{Space, Stm, TOrdMap, TVar, Tx};

/// Walks, calls what locks, walks on; the values that it has come to.
type Walk = fn(&TOrdMap<u64, u64>, &Tx<'_>, &mut dyn FnMut() -> Stm<()>) -> Stm<Vec<u64>>;

/// A transaction walks a range, locks a variable that is written meanwhile together with an entry that the walk has not come to, and walks on.
fn walk_across_a_move(walk: Walk) {
    let space = Space::new();
    let (map, v) = (TOrdMap::with_entries_in(&space, (0..4).map(|key| (key, 0))), TVar::new_in(&space, 0));
    let mut runs = 0;
    let (values, locked) = space.atomically(|tx| {
        runs += 1;
        let mut locked = 0;
        let values = walk(&map, tx, &mut || {
            if runs == 1 {
                std::thread::scope(|scope| {
                    let write = || {
                        space.atomically(|tx| {
                            map.upsert(tx, 2, 7);
                            tx.write(&v, 7);
                            Ok(())
                        });
                    };
                    scope.spawn(write).join().unwrap();
                });
            }
            locked = *tx.read_locked(&v, Exclusive)?;
            Ok(())
        })?;
        assert_eq!(values.contains(&7), locked == 7, "one part of a commit was seen without the other");
        tx.write(&v, 8);
        Ok((values, locked))
    });
    assert_eq!((values.contains(&7), locked), (true, 7));
}

#[test]
fn a_walk_that_goes_on() {
    walk_across_a_move(|map, tx, lock| {
        let mut range = map.range(tx, ..);
        let first = range.next().map(|(_, value)| *value);
        lock()?;
        Ok(first.into_iter().chain(range.map(|(_, value)| *value)).collect())
    });
}

#[test]
fn a_walk_that_begins_later() {
    walk_across_a_move(|map, tx, lock| {
        let range = map.range(tx, 1..);
        lock()?;
        Ok(range.map(|(_, value)| *value).collect())
    });
}
