//! The operations of an attempt on maps (§6.1, §6.2, M3).

use super::access::Attempt;
use crate::store::{MapVar, RowRef, Sought, Walk};
use crate::sync::Arc;
use crate::sync::steps::{Point, pass};
use std::cmp::Ordering;
use std::ops::Bound;

impl Attempt<'_> {
    #[inline]
    pub(crate) fn map_get<'a, K, V, C>(
        &'a self,
        map: &'a MapVar<K, V>,
        sought: &Sought<C>,
        owned: impl FnOnce() -> K,
    ) -> Option<RowRef<'a, K, V>>
    where
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
        C: Fn(&K) -> Ordering,
    {
        self.check_space(&map.var);
        let row = self.ws.map_get(map, sought, owned);
        pass(Point::Read);
        row
    }

    pub(crate) fn map_put<K, V>(&self, map: &MapVar<K, V>, number: u64, key: K, value: V)
    where
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        self.check_space(&map.var);
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
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        self.check_space(&map.var);
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
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
        C: Fn(&K) -> Ordering,
    {
        self.check_space(&map.var);
        let done = self.ws.map_modify(map, sought, owned, f);
        pass(Point::Read);
        done
    }

    pub(crate) fn map_remove<K, V>(&self, map: &MapVar<K, V>, number: u64, row: RowRef<'_, K, V>)
    where
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        self.ws.map_remove(map, number, row);
    }

    pub(crate) fn map_clear<K, V>(&self, map: &MapVar<K, V>)
    where
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        self.check_space(&map.var);
        self.ws.map_clear(map);
    }

    pub(crate) fn map_len<K, V>(&self, map: &MapVar<K, V>) -> usize
    where
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        self.check_space(&map.var);
        let len = self.ws.map_len(map);
        pass(Point::Read);
        len
    }

    /// All rows, in the order of the map.
    pub(crate) fn map_walk<'a, K, V>(&'a self, map: &'a MapVar<K, V>) -> Walk<'a, K, V>
    where
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        self.check_space(&map.var);
        self.ws.map_promote_all(map);
        self.ws.map_read_whole(map);
        let walk = self.ws.map_walk(map);
        pass(Point::Read);
        walk
    }

    /// The rows in a range of keys.
    pub(crate) fn map_walk_range<'a, K, V>(
        &'a self,
        map: &'a MapVar<K, V>,
        low: Bound<K>,
        high: Bound<K>,
    ) -> Walk<'a, K, V>
    where
        K: Clone + Send + Sync + 'static,
        V: Send + Sync + 'static,
    {
        self.check_space(&map.var);
        self.ws.map_promote_all(map);
        let walk = self.ws.map_walk_range(map, low, high);
        pass(Point::Read);
        walk
    }
}
