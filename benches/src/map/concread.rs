//! The crate `concread`: transactions on one map, whose readers see one moment and whose writers take turns.

use super::{HashEngine, MapEngine};
use ::concread::hashtrie::HashTrie;

/// The `HashTrie` of the crate `concread`, the faster of its two hash maps: many readers of one moment each, one writer at a time.
#[derive(Debug)]
pub enum Trie {}

impl MapEngine for Trie {
    type Map = HashTrie<u64, u64>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        pairs.collect()
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        map.read().get(&key).copied()
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        Self::insert(map, key, value);
    }
}

impl HashEngine for Trie {
    fn insert(map: &Self::Map, key: u64, value: u64) -> bool {
        let mut writer = map.write();
        let old = writer.insert(key, value);
        writer.commit();
        old.is_none()
    }

    fn remove(map: &Self::Map, key: u64) -> bool {
        let mut writer = map.write();
        let old = writer.remove(&key);
        writer.commit();
        old.is_some()
    }
}
