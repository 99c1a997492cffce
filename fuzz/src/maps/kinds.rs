//! Keys and values of all kinds, and both maps behind one face.

use std::fmt::Debug;
use std::hash::{BuildHasher, Hash, Hasher};

use tvar::map::{Entry, Iter};
use tvar::{Space, TMap, TOrdMap, Tx, View};

use super::super::values::{Counted, Ledger};

/// A key that stands for a number.
pub(super) trait Key: Ord + Hash + Clone + Debug + Send + Sync + 'static {
    fn of(number: u16) -> Self;
}

impl Key for u64 {
    fn of(number: u16) -> Self {
        u64::from(number)
    }
}

impl Key for i16 {
    fn of(number: u16) -> Self {
        number.wrapping_mul(0x4001) as i16
    }
}

/// Of many lengths; four in a row begin with the same eight bytes.
impl Key for String {
    fn of(number: u16) -> Self {
        let tail = ["", "\0", "a", "zz"][usize::from(number % 4)];
        format!("{:08x}{tail}", number / 4)
    }
}

/// Of a type that the crate knows nothing about: all keys have one number.
impl Key for (u8, u16) {
    fn of(number: u16) -> Self {
        ((number % 7) as u8, number)
    }
}

pub(super) trait Value: Send + Sync + 'static {
    /// Whether it is in the ledger.
    const COUNTED: bool;
    fn of(ledger: &Ledger, number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Value for u64 {
    const COUNTED: bool = false;

    fn of(_: &Ledger, number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

impl Value for Counted {
    const COUNTED: bool = true;

    fn of(ledger: &Ledger, number: u64) -> Self {
        ledger.value(number)
    }

    fn number(&self) -> u64 {
        self.number()
    }
}

/// A hasher with so many hashes; 0: with all.
#[derive(Clone, Default)]
pub(super) struct Spread(pub(super) u64);

pub(super) struct Mixing(u64, u64);

impl BuildHasher for Spread {
    type Hasher = Mixing;

    fn build_hasher(&self) -> Mixing {
        Mixing(self.0, 0)
    }
}

impl Hasher for Mixing {
    fn finish(&self) -> u64 {
        let mixed = self.1.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        if self.0 == 0 { mixed } else { mixed % self.0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.1 = self.1.wrapping_mul(31).wrapping_add(u64::from(*byte)));
    }
}

/// What both maps can do.
pub(super) trait Real<K: Key, V: Value>: Sized {
    fn filled(space: &Space, hashes: u64, entries: Vec<(K, V)>) -> Self;
    fn get<'a>(&'a self, view: &'a impl View, key: &K) -> Option<&'a V>;
    fn get_key_value<'a>(&'a self, view: &'a impl View, key: &K) -> Option<(&'a K, &'a V)>;
    fn len(&self, view: &impl View) -> usize;
    fn is_empty(&self, view: &impl View) -> bool;
    fn iter<'a>(&'a self, view: &'a impl View) -> Iter<'a, K, V>;
    fn insert<'a>(&'a self, tx: &'a Tx<'_>, key: K, value: V) -> Option<&'a V>;
    fn insert_new(&self, tx: &Tx<'_>, key: K, value: V) -> bool;
    fn upsert(&self, tx: &Tx<'_>, key: K, value: V);
    fn upsert_with(&self, tx: &Tx<'_>, key: K, value: V, f: impl Fn(&V) -> V + Send + Sync + 'static);
    fn remove<'a>(&'a self, tx: &'a Tx<'_>, key: &K) -> Option<&'a V>;
    fn modify(&self, tx: &Tx<'_>, key: &K, f: impl FnOnce(&V) -> V) -> bool;
    fn entry<'a>(&'a self, tx: &'a Tx<'_>, key: K) -> Entry<'a, K, V>;
    fn clear(&self, tx: &Tx<'_>);
    fn ordered(&self) -> Option<&TOrdMap<K, V>>;
}

macro_rules! real {
    ($map:ty, $made:expr, $ordered:expr) => {
        impl<K: Key, V: Value> Real<K, V> for $map {
            fn filled(space: &Space, hashes: u64, entries: Vec<(K, V)>) -> Self {
                $made(space, hashes, entries)
            }
            fn get<'a>(&'a self, view: &'a impl View, key: &K) -> Option<&'a V> {
                <$map>::get(self, view, key)
            }
            fn get_key_value<'a>(&'a self, view: &'a impl View, key: &K) -> Option<(&'a K, &'a V)> {
                <$map>::get_key_value(self, view, key)
            }
            fn len(&self, view: &impl View) -> usize {
                <$map>::len(self, view)
            }
            fn is_empty(&self, view: &impl View) -> bool {
                <$map>::is_empty(self, view)
            }
            fn iter<'a>(&'a self, view: &'a impl View) -> Iter<'a, K, V> {
                <$map>::iter(self, view)
            }
            fn insert<'a>(&'a self, tx: &'a Tx<'_>, key: K, value: V) -> Option<&'a V> {
                <$map>::insert(self, tx, key, value)
            }
            fn insert_new(&self, tx: &Tx<'_>, key: K, value: V) -> bool {
                <$map>::insert_new(self, tx, key, value)
            }
            fn upsert(&self, tx: &Tx<'_>, key: K, value: V) {
                <$map>::upsert(self, tx, key, value);
            }
            fn upsert_with(&self, tx: &Tx<'_>, key: K, value: V, f: impl Fn(&V) -> V + Send + Sync + 'static) {
                <$map>::upsert_with(self, tx, key, value, f);
            }
            fn remove<'a>(&'a self, tx: &'a Tx<'_>, key: &K) -> Option<&'a V> {
                <$map>::remove(self, tx, key)
            }
            fn modify(&self, tx: &Tx<'_>, key: &K, f: impl FnOnce(&V) -> V) -> bool {
                <$map>::modify(self, tx, key, f)
            }
            fn entry<'a>(&'a self, tx: &'a Tx<'_>, key: K) -> Entry<'a, K, V> {
                <$map>::entry(self, tx, key)
            }
            fn clear(&self, tx: &Tx<'_>) {
                <$map>::clear(self, tx);
            }
            fn ordered(&self) -> Option<&TOrdMap<K, V>> {
                $ordered(self)
            }
        }
    };
}

// A hasher that is not the default one has no constructor with entries.
real!(
    TMap<K, V, Spread>,
    |space: &Space, hashes, entries: Vec<(K, V)>| {
        let map = TMap::with_hasher_in(space, Spread(hashes));
        let entries = std::cell::Cell::new(entries);
        space.atomically(|tx| {
            entries.take().into_iter().for_each(|(key, value)| TMap::upsert(&map, tx, key, value));
            Ok(())
        });
        map
    },
    |_| None
);
real!(TOrdMap<K, V>, |space: &Space, _, entries: Vec<(K, V)>| TOrdMap::with_entries_in(space, entries), Some);
