//! Locks on keys and ranges of maps (L1, L2, L4, L5): nobody publishes a write to a locked key, there or not, nor into a locked range, not even with a swap
//! that was prepared before; no grant is lost, whether the line is left by a release, an upgrade or a deadlock.
//! Bound: 2 preemptions; two threads with one transaction each.
#![cfg(tvar_loom)]

use tvar::LockMode::{Exclusive, Shared};
use tvar::{Space, Stm, TOrdMap, Tx, internals};
use tvar_loom_tests::{model, spawn};

type Map = TOrdMap<u64, u64>;
type Lock = fn(&Map, &Tx<'_>) -> Stm<()>;

const KEY: Lock = |map, tx| map.lock_key(tx, &5, Exclusive);
const RANGE: Lock = |map, tx| map.lock_range(tx, 3..=7, Exclusive);

fn add(map: &Map, tx: &Tx<'_>, key: u64, n: u64) {
    if !map.modify(tx, &key, |old| old + n) {
        map.upsert(tx, key, n);
    }
}

fn get(space: &Space, map: &Map, key: u64) -> Option<u64> {
    map.get(&space.snapshot(), &key).copied()
}

/// A transaction that locks the absent key 5, or a range around it, and adds ten there, against another commit of one more.
fn a_holder_against(preemptions: usize, lock: Lock, commit: fn(&Map, &Tx<'_>) -> Stm<()>) {
    model(preemptions, move || {
        let space = internals::space();
        let map = Map::new_in(&space);
        let holder = spawn({
            let (space, map) = (space.clone(), map.clone());
            move || {
                let mut locked = 0;
                space.atomically(|tx| {
                    lock(&map, tx)?;
                    locked += 1;
                    // Read after the lock: validated at the commit, which nobody can make fail.
                    add(&map, tx, 5, 10);
                    Ok(())
                });
                assert_eq!(locked, 1, "somebody committed a write to what was locked");
                map
            }
        });
        // On this thread, so that no preemption is needed to begin with it.
        space.atomically(|tx| commit(&map, tx));
        drop(holder.join().unwrap());
        assert_eq!(get(&space, &map, 5), Some(11));
        assert!(space.locks().is_empty());
    });
}

fn insert(map: &Map, tx: &Tx<'_>) -> Stm<()> {
    add(map, tx, 5, 1);
    Ok(())
}

#[test]
fn an_insert_waits_for_the_holder_of_the_key() {
    a_holder_against(2, KEY, insert);
}

#[test]
fn an_insert_waits_for_the_holder_of_the_range() {
    a_holder_against(2, RANGE, insert);
}

#[test]
fn so_does_one_that_merges() {
    a_holder_against(2, RANGE, |map, tx| {
        map.upsert_with(tx, 5, 1, |n| n + 1);
        Ok(())
    });
}

/// A key and a range around it: neither is the other's place, and who waits for one is woken by the release of the other.
#[test]
fn so_does_who_locks_the_range() {
    a_holder_against(2, KEY, |map, tx| {
        RANGE(map, tx)?;
        insert(map, tx)
    });
}

#[test]
fn and_who_locks_a_key_in_it() {
    a_holder_against(2, RANGE, |map, tx| {
        KEY(map, tx)?;
        insert(map, tx)
    });
}

/// Two transactions that lock two places, in orders of their own, and then add one.
fn two_lockers(preemptions: usize, left: [Lock; 2], right: [Lock; 2]) {
    model(preemptions, move || {
        let space = internals::space();
        let map = Map::new_in(&space);
        let run = |space: &Space, map: &Map, locks: [Lock; 2]| {
            space.atomically(|tx| {
                locks.iter().try_for_each(|lock| lock(map, tx))?;
                add(map, tx, 5, 1);
                Ok(())
            });
        };
        let other = spawn({
            let (space, map) = (space.clone(), map.clone());
            move || {
                run(&space, &map, right);
                map
            }
        });
        run(&space, &map, left);
        drop(other.join().unwrap());
        assert_eq!(get(&space, &map, 5), Some(2));
        assert!(space.locks().is_empty());
    });
}

#[test]
fn an_upgrade_is_granted_or_refused_and_never_forgotten() {
    let upgrade: [Lock; 2] = [|map, tx| map.lock_key(tx, &5, Shared), KEY];
    two_lockers(2, upgrade, upgrade);
}

#[test]
fn a_deadlock_between_keys_and_a_range_ends() {
    let other: Lock = |map, tx| map.lock_key(tx, &1, Exclusive);
    two_lockers(2, [other, RANGE], [KEY, other]);
}
