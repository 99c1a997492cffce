//! Maps of numbers to numbers that threads share: each library behind one trait, in the form that its documentation shows.
//!
//! All hash maps use the standard library's `RandomState`, so that hashing costs the same everywhere.

mod buckets;
mod concread;
mod dashmap;
mod nothing;
mod papaya;
mod rwlock;
mod scc;
mod skiplist;
mod tvar;

pub use buckets::Buckets;
pub use concread::Trie;
pub use dashmap::Sharded;
pub use nothing::NoMap;
pub use papaya::Papaya;
pub use rwlock::{LockedHash, LockedTree};
pub use scc::Scc;
pub use skiplist::Skiplist;
pub use tvar::{Hash, Ordered};

/// A map. Each function is one transaction, where there are transactions.
pub trait MapEngine: 'static {
    /// The map, and whatever else the operations on it need.
    type Map: Send + Sync;

    /// A map of these pairs, whose keys differ. Not a transaction.
    fn make(pairs: impl ExactSizeIterator<Item = (u64, u64)>) -> Self::Map;
    /// The value of a key.
    fn get(map: &Self::Map, key: u64) -> Option<u64>;
    /// Gives a key a value, whatever was there, in the way that conflicts least.
    fn upsert(map: &Self::Map, key: u64, value: u64);
}

/// A hash map.
pub trait HashEngine: MapEngine {
    /// Gives a key a value. Whether it had none.
    fn insert(map: &Self::Map, key: u64, value: u64) -> bool;
    /// Takes a key out. Whether it was there.
    fn remove(map: &Self::Map, key: u64) -> bool;
}

/// An ordered map.
pub trait OrderedEngine: MapEngine {
    /// Adds up the values of so many entries, from the first whose key is not less than `from`; fewer at the end of the map.
    fn sum_from(map: &Self::Map, from: u64, entries: usize) -> u64;
}
