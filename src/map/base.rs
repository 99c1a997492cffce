//! What both maps have in common: reads from any view, and the making of a map.

use super::Entry;
use super::view::View;
use super::view::sealed::Source;
use crate::attempt::{Patience, check_same_space};
use crate::space::Space;
use crate::store::{KeptSnapshot, Key, MapVar, RowRef, Sought, Store, Value, Walk};
use crate::sync::time::{Duration, Instant};
use crate::tx::Tx;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Bound;

/// Reads a key.
#[inline]
pub(super) fn get<'a, K: Key, V: Value, C: Fn(&K) -> Ordering>(
    map: &'a MapVar<K, V>,
    view: &'a impl View,
    sought: &Sought<C>,
    owned: impl FnOnce() -> K,
) -> Option<RowRef<'a, K, V>> {
    match view.source() {
        Source::Tx(tx) => tx.attempt.map_get(map, sought, owned),
        Source::Snapshot(snapshot) => {
            check_same_space(&map.var, snapshot.kept().store());
            map.find_in(snapshot.kept().read(&map.var), sought)
        }
    }
}

pub(super) fn len<K: Key, V: Value>(map: &MapVar<K, V>, view: &impl View) -> usize {
    match view.source() {
        Source::Tx(tx) => tx.attempt.map_len(map),
        Source::Snapshot(snapshot) => {
            check_same_space(&map.var, snapshot.kept().store());
            snapshot.kept().read(&map.var).len()
        }
    }
}

/// All rows.
pub(super) fn walk<'a, K: Key, V: Value>(map: &'a MapVar<K, V>, view: &'a impl View) -> Walk<'a, K, V> {
    match view.source() {
        Source::Tx(tx) => tx.attempt.map_walk(map),
        Source::Snapshot(snapshot) => {
            check_same_space(&map.var, snapshot.kept().store());
            map.walk(snapshot.kept().read(&map.var))
        }
    }
}

/// The rows in a range of keys.
pub(super) fn walk_range<'a, K: Key, V: Value>(
    map: &'a MapVar<K, V>,
    view: &'a impl View,
    low: Bound<K>,
    high: Bound<K>,
) -> Walk<'a, K, V> {
    match view.source() {
        Source::Tx(tx) => tx.attempt.map_walk_range(map, low, high),
        Source::Snapshot(snapshot) => {
            check_same_space(&map.var, snapshot.kept().store());
            map.walk_range(snapshot.kept().read(&map.var), low.as_ref(), high.as_ref())
        }
    }
}

/// Puts a value in; what was there before.
pub(super) fn insert<'a, K: Key, V: Value>(
    map: &'a MapVar<K, V>,
    tx: &'a Tx<'_>,
    number: u64,
    key: K,
    value: V,
) -> Option<&'a V> {
    tx.attempt.map_will_write(map, number);
    let old = get_own(map, tx, number, &key);
    tx.attempt.map_put(map, number, key, value);
    old.map(|row| row.value)
}

/// Puts a value in if the key is absent; whether it was.
pub(super) fn insert_new<K: Key, V: Value>(map: &MapVar<K, V>, tx: &Tx<'_>, number: u64, key: K, value: V) -> bool {
    tx.attempt.map_will_write(map, number);
    let absent = get_own(map, tx, number, &key).is_none();
    if absent {
        tx.attempt.map_put(map, number, key, value);
    }
    absent
}

/// A key that will be changed.
pub(super) fn entry<'a, K: Key, V: Value>(
    map: &'a MapVar<K, V>,
    tx: &'a Tx<'_>,
    number: u64,
    key: K,
) -> Entry<'a, K, V> {
    tx.attempt.map_will_write(map, number);
    Entry { map, tx, number, key }
}

/// When a lock must be there.
pub(super) fn within(limit: Duration) -> Patience {
    Patience::Until(Instant::now().checked_add(limit))
}

/// Reads a key of which there is one like those of the map.
pub(super) fn get_own<'a, K: Key, V: Value>(
    map: &'a MapVar<K, V>,
    tx: &'a Tx<'_>,
    number: u64,
    key: &K,
) -> Option<RowRef<'a, K, V>> {
    let compare = |other: &K| (map.compare())(other, key);
    tx.attempt.map_get(map, &Sought { kind: map.kind, number, compare }, || key.clone())
}

/// Takes an entry out.
pub(super) fn remove<'a, K: Key, V: Value, C: Fn(&K) -> Ordering>(
    map: &'a MapVar<K, V>,
    tx: &'a Tx<'_>,
    sought: &Sought<C>,
    owned: impl FnOnce() -> K,
) -> Option<RowRef<'a, K, V>> {
    tx.attempt.map_will_write(map, sought.number);
    let row = tx.attempt.map_get(map, sought, owned)?;
    tx.attempt.map_remove(map, sought.number, row);
    Some(row)
}

/// The space that a map belongs to.
pub(super) fn space<K: Key, V: Value>(map: &MapVar<K, V>) -> Space {
    Space::of(map.var.home().unwrap_or_else(|| Store::global()))
}

/// A map as `Debug` shows it.
pub(super) fn debug<K: Key + fmt::Debug, V: Value + fmt::Debug>(
    map: &MapVar<K, V>,
    type_name: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    struct Entries<'a, K, V>(&'a MapVar<K, V>, &'a KeptSnapshot);
    impl<K: Key + fmt::Debug, V: Value + fmt::Debug> fmt::Debug for Entries<'_, K, V> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let mut walk = self.0.walk(self.1.read(&self.0.var));
            f.debug_map().entries(std::iter::from_fn(|| walk.next_front().map(|row| (row.key, row.value)))).finish()
        }
    }
    let snapshot = KeptSnapshot::take(map.var.home().unwrap_or_else(|| Store::global()));
    let mut out = f.debug_struct(type_name);
    if let Some(name) = map.var.name() {
        out.field("name", &name);
    }
    out.field("entries", &Entries(map, &snapshot)).finish()
}

/// The last entry of each key, in the order of the map.
pub(super) fn last_of_each<K, V>(
    mut rows: Vec<(u64, K, V)>,
    order: impl Fn(&K, &K) -> Ordering,
    same: impl Fn(&K, &K) -> bool,
) -> Vec<(u64, K, V)> {
    rows.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1)));
    let mut distinct: Vec<(u64, K, V)> = Vec::with_capacity(rows.len());
    for row in rows {
        let of_number = distinct.iter_mut().rev().take_while(|before| before.0 == row.0);
        let mut found = None;
        for before in of_number {
            if order(&before.1, &row.1) != Ordering::Equal {
                // Those before it are smaller still.
                break;
            }
            if same(&before.1, &row.1) {
                found = Some(before);
                break;
            }
        }
        match found {
            Some(before) => *before = row,
            None => distinct.push(row),
        }
    }
    distinct
}
