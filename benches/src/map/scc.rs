//! The crate `scc`: a lock for every bucket of entries.

use super::{HashEngine, MapEngine};
use ::scc::HashMap;

/// The `HashMap` of the crate `scc`: a lock for every bucket of entries.
#[derive(Debug)]
pub enum Scc {}

impl MapEngine for Scc {
    type Map = HashMap<u64, u64>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        let map = HashMap::with_capacity(pairs.len());
        pairs.for_each(|(key, value)| _ = map.upsert_sync(key, value));
        map
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        map.read_sync(&key, |_, value| *value)
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        map.upsert_sync(key, value);
    }
}

impl HashEngine for Scc {
    fn insert(map: &Self::Map, key: u64, value: u64) -> bool {
        map.upsert_sync(key, value).is_none()
    }

    fn remove(map: &Self::Map, key: u64) -> bool {
        map.remove_sync(&key).is_some()
    }
}
