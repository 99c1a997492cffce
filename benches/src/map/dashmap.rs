//! The crate `dashmap`: many small maps, each behind its lock.

use super::{HashEngine, MapEngine};
use ::dashmap::DashMap;

/// The crate `dashmap`: many small maps, each behind its lock.
#[derive(Debug)]
pub enum Sharded {}

impl MapEngine for Sharded {
    type Map = DashMap<u64, u64>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        pairs.collect()
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        map.get(&key).map(|value| *value)
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        map.insert(key, value);
    }
}

impl HashEngine for Sharded {
    fn insert(map: &Self::Map, key: u64, value: u64) -> bool {
        map.insert(key, value).is_none()
    }

    fn remove(map: &Self::Map, key: u64) -> bool {
        map.remove(&key).is_some()
    }
}
