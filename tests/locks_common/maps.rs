//! Both kinds of map, as tests of locks on keys see them.

use super::Actor;
use std::time::Duration;
use tvar::{LockMode, Snapshot, Space, Stm, TMap, TOrdMap, Tx};

/// A map of either kind.
pub(crate) trait Map: Clone + Send + Sync + 'static {
    fn make(space: &Space, entries: &[(u64, i64)]) -> Self;
    fn lock(&self, tx: &Tx<'_>, key: u64, mode: LockMode) -> Stm<()>;
    fn try_lock(&self, tx: &Tx<'_>, key: u64, mode: LockMode) -> Stm<bool>;
    fn lock_for(&self, tx: &Tx<'_>, key: u64, mode: LockMode, limit: Duration) -> Stm<bool>;
    fn read(&self, tx: &Tx<'_>, key: u64) -> Option<i64>;
    fn read_in(&self, snapshot: &Snapshot, key: u64) -> Option<i64>;
    fn write(&self, tx: &Tx<'_>, key: u64, value: i64, way: Way);
    fn size(&self, tx: &Tx<'_>) -> usize;
    fn sum(&self, tx: &Tx<'_>) -> i64;

    /// What is committed of a key.
    fn now(&self, space: &Space, key: u64) -> Option<i64> {
        self.read_in(&space.snapshot(), key)
    }
}

/// A way to write to a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Insert,
    InsertNew,
    Entry,
    Upsert,
    /// Gives an absent key the value, and adds it to one that is there.
    UpsertWith,
    Remove,
    Modify,
    /// Of the whole map.
    Clear,
}

pub(crate) const WAYS: [Way; 8] =
    [Way::Insert, Way::InsertNew, Way::Entry, Way::Upsert, Way::UpsertWith, Way::Remove, Way::Modify, Way::Clear];

impl Way {
    /// What it makes of an entry.
    pub(crate) fn applied(self, old: Option<i64>, value: i64) -> Option<i64> {
        match self {
            Way::Insert | Way::Upsert => Some(value),
            Way::InsertNew => old.or(Some(value)),
            Way::Entry | Way::UpsertWith => Some(old.map_or(value, |n| n + value)),
            Way::Modify => old.map(|n| n + value),
            Way::Remove | Way::Clear => None,
        }
    }

    /// Whether it writes anything to such an entry.
    pub(crate) fn writes(self, old: Option<i64>) -> bool {
        match self {
            Way::InsertNew => old.is_none(),
            Way::Remove | Way::Modify => old.is_some(),
            _ => true,
        }
    }

    /// Whether it writes without having read.
    pub(crate) fn is_blind(self) -> bool {
        matches!(self, Way::Upsert | Way::UpsertWith | Way::Clear)
    }
}

macro_rules! map {
    ($map:ident) => {
        impl Map for $map<u64, i64> {
            fn make(space: &Space, entries: &[(u64, i64)]) -> Self {
                let map = $map::named_in(space, "m");
                space.atomically(|tx| Ok(entries.iter().for_each(|(key, value)| map.upsert(tx, *key, *value))));
                map
            }

            fn lock(&self, tx: &Tx<'_>, key: u64, mode: LockMode) -> Stm<()> {
                self.lock_key(tx, &key, mode)
            }

            fn try_lock(&self, tx: &Tx<'_>, key: u64, mode: LockMode) -> Stm<bool> {
                self.try_lock_key(tx, &key, mode)
            }

            fn lock_for(&self, tx: &Tx<'_>, key: u64, mode: LockMode, limit: Duration) -> Stm<bool> {
                self.lock_key_for(tx, &key, mode, limit)
            }

            fn read(&self, tx: &Tx<'_>, key: u64) -> Option<i64> {
                self.get(tx, &key).copied()
            }

            fn read_in(&self, snapshot: &Snapshot, key: u64) -> Option<i64> {
                self.get(snapshot, &key).copied()
            }

            fn write(&self, tx: &Tx<'_>, key: u64, value: i64, way: Way) {
                match way {
                    Way::Insert => _ = self.insert(tx, key, value),
                    Way::InsertNew => _ = self.insert_new(tx, key, value),
                    Way::Entry => _ = self.entry(tx, key).and_modify(|n| n + value).or_insert(value),
                    Way::Upsert => self.upsert(tx, key, value),
                    Way::UpsertWith => self.upsert_with(tx, key, value, move |n| n + value),
                    Way::Remove => _ = self.remove(tx, &key),
                    Way::Modify => _ = self.modify(tx, &key, |n| n + value),
                    Way::Clear => self.clear(tx),
                }
            }

            fn size(&self, tx: &Tx<'_>) -> usize {
                self.len(tx)
            }

            fn sum(&self, tx: &Tx<'_>) -> i64 {
                self.values(tx).sum()
            }
        }
    };
}
map!(TMap);
map!(TOrdMap);

/// Steps of a led transaction.
impl Actor {
    pub(crate) fn want_key(&self, map: &impl Map, key: u64, mode: LockMode) {
        let map = map.clone();
        self.tell(move |tx| map.lock(tx, key, mode).map(|()| 0));
    }

    #[track_caller]
    pub(crate) fn lock_key(&self, map: &impl Map, key: u64, mode: LockMode) {
        let map = map.clone();
        self.ask(move |tx| map.lock(tx, key, mode).map(|()| 0));
    }

    #[track_caller]
    pub(crate) fn try_lock_key(&self, map: &impl Map, key: u64, mode: LockMode) -> bool {
        let map = map.clone();
        self.ask(move |tx| map.try_lock(tx, key, mode).map(i64::from)) == 1
    }

    /// The value of a key; -1 if it is absent.
    #[track_caller]
    pub(crate) fn get(&self, map: &impl Map, key: u64) -> i64 {
        let map = map.clone();
        self.ask(move |tx| Ok(map.read(tx, key).unwrap_or(-1)))
    }

    #[track_caller]
    pub(crate) fn put(&self, map: &impl Map, key: u64, value: i64, way: Way) {
        let map = map.clone();
        self.ask(move |tx| {
            map.write(tx, key, value, way);
            Ok(0)
        });
    }
}
