//! `tvar` itself: `TMap` and `TOrdMap`, in the global space.

use super::{HashEngine, MapEngine, OrderedEngine};
use ::tvar::{TMap, TOrdMap, atomically};

/// The hash map of this library.
#[derive(Debug)]
pub enum Hash {}

impl MapEngine for Hash {
    type Map = TMap<u64, u64>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        let pairs: Vec<_> = pairs.collect();
        let map: Self::Map = pairs.iter().copied().collect();
        // No entry is measured at its initial value: a program's maps have been written.
        for chunk in pairs.chunks(1_000) {
            atomically(|tx| {
                chunk.iter().for_each(|&(key, value)| map.upsert(tx, key, value));
                Ok(())
            });
        }
        map
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        atomically(|tx| Ok(map.get(tx, &key).copied()))
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        atomically(|tx| {
            map.upsert(tx, key, value);
            Ok(())
        });
    }
}

impl HashEngine for Hash {
    fn insert(map: &Self::Map, key: u64, value: u64) -> bool {
        atomically(|tx| Ok(map.insert(tx, key, value).is_none()))
    }

    fn remove(map: &Self::Map, key: u64) -> bool {
        atomically(|tx| Ok(map.remove(tx, &key).is_some()))
    }
}

/// The ordered map of this library.
#[derive(Debug)]
pub enum Ordered {}

impl MapEngine for Ordered {
    type Map = TOrdMap<u64, u64>;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map {
        let pairs: Vec<_> = pairs.collect();
        let map: Self::Map = pairs.iter().copied().collect();
        // As above.
        for chunk in pairs.chunks(1_000) {
            atomically(|tx| {
                chunk.iter().for_each(|&(key, value)| map.upsert(tx, key, value));
                Ok(())
            });
        }
        map
    }

    fn get(map: &Self::Map, key: u64) -> Option<u64> {
        atomically(|tx| Ok(map.get(tx, &key).copied()))
    }

    fn upsert(map: &Self::Map, key: u64, value: u64) {
        atomically(|tx| {
            map.upsert(tx, key, value);
            Ok(())
        });
    }
}

impl OrderedEngine for Ordered {
    fn sum_from(map: &Self::Map, from: u64, entries: usize) -> u64 {
        atomically(|tx| Ok(map.range(tx, from..).take(entries).map(|(_, value)| *value).sum()))
    }
}
