//! The crate `crossbeam-skiplist`: an ordered map without locks.

use super::{MapEngine, OrderedEngine};
use crossbeam_skiplist::SkipMap;

/// The `SkipMap` of the crate `crossbeam-skiplist`: an ordered map without locks. A sum is not one moment's.
#[derive(Debug)]
pub enum Skiplist {}

impl MapEngine for Skiplist {
    type Map = SkipMap<u64, u64>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        pairs.collect()
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        map.get(&key).map(|entry| *entry.value())
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        map.insert(key, value);
    }
}

impl OrderedEngine for Skiplist {
    fn sum_from(map: &Self::Map, from: u64, entries: usize) -> u64 {
        map.range(from..).take(entries).map(|entry| *entry.value()).sum()
    }
}
