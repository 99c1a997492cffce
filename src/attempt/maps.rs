//! The operations of an attempt on maps (§6.1, §6.2, M3).

use super::access::Attempt;
use super::control::Stm;
use super::locks::Patience;
use crate::lock::{LockMode, Place};
use crate::store::{Key, MapVar, RowRef, Sought, Value, Walk};
use crate::sync::Arc;
use crate::sync::steps::{Point, pass};
use std::cmp::Ordering;
use std::ops::{Bound, RangeInclusive};

impl Attempt<'_> {
    #[inline]
    pub(crate) fn map_get<'a, K, V, C>(
        &'a self,
        map: &'a MapVar<K, V>,
        sought: &Sought<C>,
        owned: impl FnOnce() -> K,
    ) -> Option<RowRef<'a, K, V>>
    where
        K: Key,
        V: Value,
        C: Fn(&K) -> Ordering,
    {
        self.check_space(&map.var);
        if self.pessimistic {
            self.lock_key_access(map, sought.number, LockMode::Shared);
        }
        let row = self.ws.map_get(map, sought, owned);
        pass(Point::Read);
        row
    }

    /// A key is about to be read and written.
    pub(crate) fn map_will_write<K, V>(&self, map: &MapVar<K, V>, number: u64) {
        self.check_space(&map.var);
        if self.pessimistic {
            self.lock_key_access(map, number, LockMode::Exclusive);
        }
    }

    /// Keys are about to be written of which it is not known yet which ones.
    pub(crate) fn map_will_write_any<K, V>(&self, map: &MapVar<K, V>) {
        self.check_space(&map.var);
        if self.pessimistic {
            self.lock_keys_access(map, LockMode::Exclusive);
        }
    }

    /// Keys in a range are about to be read.
    pub(crate) fn map_will_read<K, V>(&self, map: &MapVar<K, V>, numbers: impl FnOnce() -> RangeInclusive<u64>) {
        self.check_space(&map.var);
        if self.pessimistic {
            let numbers = numbers();
            if !numbers.is_empty() {
                let _ = self.map_lock(map, numbers.into_inner(), LockMode::Shared, Patience::Until(None));
            }
        }
    }

    /// Locks keys of a map, there or not, by their numbers, both included (§5.5); whether it could.
    pub(crate) fn map_lock<K, V>(
        &self,
        map: &MapVar<K, V>,
        (low, high): (u64, u64),
        mode: LockMode,
        patience: Patience,
    ) -> Stm<bool> {
        self.check_space(&map.var);
        let place = Place::range(map.var.slot(), low, high);
        self.lock_place(place, mode, patience, |attempt| attempt.ws.is_map_stale(map, (low, high)))
    }

    /// A lock that the options ask for: as for variables (A3).
    #[cold]
    #[inline(never)]
    fn lock_key_access<K, V>(&self, map: &MapVar<K, V>, number: u64, mode: LockMode) {
        let _ = self.map_lock(map, (number, number), mode, Patience::Until(None));
    }

    #[cold]
    #[inline(never)]
    fn lock_keys_access<K, V>(&self, map: &MapVar<K, V>, mode: LockMode) {
        let _ = self.map_lock(map, (0, u64::MAX), mode, Patience::Until(None));
    }

    pub(crate) fn map_put<K, V>(&self, map: &MapVar<K, V>, number: u64, key: K, value: V)
    where
        K: Key,
        V: Value,
    {
        self.map_will_write(map, number);
        self.ws.map_put(map, number, key, value);
    }

    pub(crate) fn map_merge<K, V>(
        &self,
        map: &MapVar<K, V>,
        number: u64,
        key: K,
        initial: V,
        f: impl Fn(&V) -> V + Send + Sync + 'static,
    ) where
        K: Key,
        V: Value,
    {
        self.map_will_write(map, number);
        self.ws.map_merge(map, number, key, initial, Arc::new(f));
    }

    /// Replaces a value by a function of it; `false`: the key is not there.
    pub(crate) fn map_modify<K, V, C>(
        &self,
        map: &MapVar<K, V>,
        sought: &Sought<C>,
        owned: impl FnOnce() -> K,
        f: impl FnOnce(&V) -> V,
    ) -> bool
    where
        K: Key,
        V: Value,
        C: Fn(&K) -> Ordering,
    {
        self.map_will_write(map, sought.number);
        let done = self.ws.map_modify(map, sought, owned, f);
        pass(Point::Read);
        done
    }

    pub(crate) fn map_remove<K, V>(&self, map: &MapVar<K, V>, number: u64, row: RowRef<'_, K, V>)
    where
        K: Key,
        V: Value,
    {
        self.ws.map_remove(map, number, row);
    }

    pub(crate) fn map_clear<K, V>(&self, map: &MapVar<K, V>)
    where
        K: Key,
        V: Value,
    {
        self.map_will_write_any(map);
        self.ws.map_clear(map);
    }

    pub(crate) fn map_len<K, V>(&self, map: &MapVar<K, V>) -> usize
    where
        K: Key,
        V: Value,
    {
        self.check_space(&map.var);
        if self.pessimistic {
            self.lock_keys_access(map, LockMode::Shared);
        }
        let len = self.ws.map_len(map);
        pass(Point::Read);
        len
    }

    /// All rows, in the order of the map.
    pub(crate) fn map_walk<'a, K, V>(&'a self, map: &'a MapVar<K, V>) -> Walk<'a, K, V>
    where
        K: Key,
        V: Value,
    {
        self.check_space(&map.var);
        if self.pessimistic {
            self.lock_keys_access(map, LockMode::Shared);
        }
        self.ws.map_promote(map, |_| true);
        self.ws.map_read_whole(map);
        let walk = self.ws.map_walk(map);
        pass(Point::Read);
        walk
    }

    /// The rows in a range of keys. They are locked already, if they must be.
    pub(crate) fn map_walk_range<'a, K, V>(
        &'a self,
        map: &'a MapVar<K, V>,
        low: Bound<K>,
        high: Bound<K>,
    ) -> Walk<'a, K, V>
    where
        K: Key,
        V: Value,
    {
        self.check_space(&map.var);
        let walk = self.ws.map_walk_range(map, low, high);
        pass(Point::Read);
        walk
    }
}
