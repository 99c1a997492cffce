//! The lock user's choice: a map of the standard library behind one lock for readers and writers.

use super::{HashEngine, MapEngine, OrderedEngine};
use parking_lot::RwLock;
use std::collections::{BTreeMap, HashMap};

/// A `parking_lot::RwLock` around a `HashMap`.
#[derive(Debug)]
pub enum LockedHash {}

impl MapEngine for LockedHash {
    type Map = RwLock<HashMap<u64, u64>>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        RwLock::new(pairs.collect())
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        map.read().get(&key).copied()
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        map.write().insert(key, value);
    }
}

impl HashEngine for LockedHash {
    fn insert(map: &Self::Map, key: u64, value: u64) -> bool {
        map.write().insert(key, value).is_none()
    }

    fn remove(map: &Self::Map, key: u64) -> bool {
        map.write().remove(&key).is_some()
    }
}

/// A `parking_lot::RwLock` around a `BTreeMap`.
#[derive(Debug)]
pub enum LockedTree {}

impl MapEngine for LockedTree {
    type Map = RwLock<BTreeMap<u64, u64>>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        RwLock::new(pairs.collect())
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        map.read().get(&key).copied()
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        map.write().insert(key, value);
    }
}

impl OrderedEngine for LockedTree {
    fn sum_from(map: &Self::Map, from: u64, entries: usize) -> u64 {
        map.read().range(from..).take(entries).map(|(_, value)| value).sum()
    }
}
