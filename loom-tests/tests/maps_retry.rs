//! Waiting for keys of maps (W1, M4): no wake-up is lost, whatever else is put into the map in between, and nothing but a change of what was read makes
//! the closure run again. A lost wake-up is a deadlock, which ends the process.
//! Bound: 2 preemptions; one waiter that has found a key absent (or a range empty) beside one or two commits, of which the last ends its wait.
#![cfg(tvar_loom)]

use tvar::{TOrdMap, Tx, internals};
use tvar_loom_tests::{model, spawn};

type Map = TOrdMap<u64, u64>;

/// Waits until `look` finds 5; puts these keys in meanwhile, each with a value of its own number.
fn waiter_against(keys: &'static [u64], put: fn(&Map, &Tx<'_>, u64), look: fn(&Map, &Tx<'_>) -> Option<u64>) {
    model(2, move || {
        let space = internals::space();
        let map = Map::new_in(&space);
        let waiter = spawn({
            let (space, map) = (space.clone(), map.clone());
            move || {
                let mut runs = 0;
                let seen = space.atomically(|tx| {
                    runs += 1;
                    let seen = look(&map, tx);
                    tx.check(seen.is_some())?;
                    Ok(seen)
                });
                assert_eq!(seen, Some(5));
                assert!(runs <= 2, "woken for another key, it ran its closure");
                map
            }
        });
        for key in keys {
            space.atomically(|tx| {
                put(&map, tx, *key);
                Ok(())
            });
        }
        drop(waiter.join().unwrap());
        assert_eq!(space.waiters(), 0);
    });
}

#[test]
fn the_insert_of_the_key_wakes() {
    waiter_against(&[5], |map, tx, key| map.upsert(tx, key, key), |map, tx| map.get(tx, &5).copied());
}

#[test]
fn so_does_a_merge() {
    waiter_against(&[5], |map, tx, key| map.upsert_with(tx, key, key, |n| *n), |map, tx| map.get(tx, &5).copied());
}

#[test]
fn the_insert_of_another_key_does_not_end_the_wait() {
    waiter_against(&[1, 5], |map, tx, key| map.upsert(tx, key, key), |map, tx| map.get(tx, &5).copied());
}

#[test]
fn nor_does_one_outside_of_the_range() {
    let look = |map: &Map, tx: &Tx<'_>| map.range(tx, 3..7).next().map(|(_, value)| *value);
    waiter_against(&[1, 5], |map, tx, key| map.upsert(tx, key, key), look);
}
