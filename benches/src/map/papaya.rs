//! The crate `papaya`: a hash map without locks, with default features.

use super::{HashEngine, MapEngine};
use ::papaya::HashMap;

/// The crate `papaya`: a hash map without locks, with default features.
#[derive(Debug)]
pub enum Papaya {}

impl MapEngine for Papaya {
    type Map = HashMap<u64, u64>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        pairs.collect()
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        map.pin().get(&key).copied()
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        map.pin().insert(key, value);
    }
}

impl HashEngine for Papaya {
    fn insert(map: &Self::Map, key: u64, value: u64) -> bool {
        map.pin().insert(key, value).is_none()
    }

    fn remove(map: &Self::Map, key: u64) -> bool {
        map.pin().remove(&key).is_some()
    }
}
