//! The hash map that a user of `fast-stm` would write: a variable for each bucket of some entries.

use super::{HashEngine, MapEngine};
use ::fast_stm::{TVar, atomically};
use std::hash::{BuildHasher, RandomState};

/// A hash map of variables of `fast-stm`.
#[derive(Debug)]
pub enum Buckets {}

/// The entries of one bucket, in no order.
type Bucket = Vec<(u64, u64)>;

/// Buckets of two entries each, on average, when it was made. Their number never changes.
pub struct Table {
    hasher: RandomState,
    buckets: Vec<TVar<Bucket>>,
}

impl Table {
    fn bucket(&self, key: u64) -> &TVar<Bucket> {
        &self.buckets[place(&self.hasher, key, self.buckets.len())]
    }
}

/// In which of so many buckets a key is.
fn place(hasher: &RandomState, key: u64, buckets: usize) -> usize {
    (hasher.hash_one(key) % buckets as u64) as usize
}

/// Gives a key a value. Whether it had none.
fn put(bucket: &mut Bucket, key: u64, value: u64) -> bool {
    let entry = bucket.iter_mut().find(|(theirs, _)| *theirs == key);
    let absent = entry.is_none();
    match entry {
        Some(entry) => entry.1 = value,
        None => bucket.push((key, value)),
    }
    absent
}

impl MapEngine for Buckets {
    type Map = Table;

    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Table {
        let (hasher, mut buckets) = (RandomState::new(), vec![Vec::new(); (pairs.len() / 2).max(1)]);
        for (key, value) in pairs {
            let at = place(&hasher, key, buckets.len());
            buckets[at].push((key, value));
        }
        Table { hasher, buckets: buckets.into_iter().map(TVar::new).collect() }
    }

    fn get(map: &Table, key: u64) -> Option<u64> {
        let bucket = map.bucket(key);
        let value = |bucket: Bucket| bucket.iter().find(|(theirs, _)| *theirs == key).map(|(_, value)| *value);
        atomically(|tx| bucket.read(tx).map(value))
    }

    fn upsert(map: &Table, key: u64, value: u64) {
        Self::insert(map, key, value);
    }
}

impl HashEngine for Buckets {
    fn insert(map: &Table, key: u64, value: u64) -> bool {
        let bucket = map.bucket(key);
        atomically(|tx| {
            let mut entries = bucket.read(tx)?; // a clone: it can be changed in place
            let absent = put(&mut entries, key, value);
            bucket.write(tx, entries)?;
            Ok(absent)
        })
    }

    fn remove(map: &Table, key: u64) -> bool {
        let bucket = map.bucket(key);
        atomically(|tx| {
            let mut entries = bucket.read(tx)?;
            let Some(at) = entries.iter().position(|(theirs, _)| *theirs == key) else { return Ok(false) };
            entries.swap_remove(at);
            bucket.write(tx, entries)?;
            Ok(true)
        })
    }
}
