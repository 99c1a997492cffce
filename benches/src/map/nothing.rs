//! The harness's own cost: the loops of the workloads around operations that do nothing.

use super::{HashEngine, MapEngine, OrderedEngine};
use std::hint::black_box;

/// A map that only makes the compiler compute what an operation is given.
#[derive(Debug)]
pub enum NoMap {}

impl MapEngine for NoMap {
    type Map = ();

    fn make(_: impl ExactSizeIterator<Item = (u64, u64)>) {}

    fn get((): &(), key: u64) -> Option<u64> {
        Some(black_box(key))
    }

    fn upsert((): &(), key: u64, value: u64) {
        black_box((key, value));
    }
}

impl HashEngine for NoMap {
    fn insert((): &(), key: u64, value: u64) -> bool {
        black_box((key, value)).0 == 0
    }

    fn remove((): &(), key: u64) -> bool {
        black_box(key) == 0
    }
}

impl OrderedEngine for NoMap {
    fn sum_from((): &(), from: u64, entries: usize) -> u64 {
        black_box((from, entries)).0
    }
}
