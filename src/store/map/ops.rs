//! The operations of an attempt on maps (M3).

use super::super::Store;
use super::super::cell::Var;
use super::super::reclaim::{self, Garbage};
use super::super::workspace::Workspace;
use super::any::AnyPart;
use super::build::{self, merged};
use super::part::{MergeFn, Own, Part, What};
use super::reads::Seen;
use super::row::{Kind, Row, RowRef, Sought, give, view};
use super::tree::Tree;
use super::{Key, Value};
use crate::sync::Arc;
use std::cmp::Ordering;
use std::marker::PhantomData;

/// A handle to a map.
pub(crate) struct MapVar<K, V> {
    pub(crate) var: Var<Tree>,
    pub(crate) kind: Kind,
    compare: fn(&K, &K) -> Ordering,
    _rows: PhantomData<Row<K, V>>,
}

impl<K, V> Clone for MapVar<K, V> {
    fn clone(&self) -> Self {
        MapVar { var: self.var.clone(), kind: self.kind, compare: self.compare, _rows: PhantomData }
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> MapVar<K, V> {
    /// A new map with these rows, which come in the order of its kind, with their numbers.
    pub(crate) fn new(
        store: &Arc<Store>,
        name: Option<Box<str>>,
        kind: Kind,
        compare: fn(&K, &K) -> Ordering,
        rows: impl Iterator<Item = (u64, K, V)>,
    ) -> Self {
        let tree = build::initial(rows);
        let var = Var::new(store, name, tree);
        var.note_map(store);
        MapVar { var, kind, compare, _rows: PhantomData }
    }

    /// How keys compare.
    pub(crate) fn compare(&self) -> fn(&K, &K) -> Ordering {
        self.compare
    }

    /// Finds a row in a version of the map.
    pub(crate) fn find_in<'a, C: Fn(&K) -> Ordering>(
        &'a self,
        tree: &'a Tree,
        sought: &Sought<C>,
    ) -> Option<RowRef<'a, K, V>> {
        // SAFETY: the tree is of this map, and borrowed from what pins it; so are its rows.
        unsafe { sought.find::<K, V>(tree).map(|found| view(&found)) }
    }
}

/// A count of a row that may be the last one: its end is like that of any value.
struct Held<K: Send + Sync + 'static, V: Send + Sync + 'static>(Option<Arc<Row<K, V>>>);

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Held<K, V> {
    fn row(&self) -> &Arc<Row<K, V>> {
        self.0.as_ref().expect("until the drop")
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Drop for Held<K, V> {
    fn drop(&mut self) {
        reclaim::dispose_one(Garbage::Value(give(self.0.take().expect("dropped once"))));
    }
}

/// Functions, perhaps the last count of them: likewise.
struct HeldFns<V: 'static>(Vec<MergeFn<V>>);

impl<V: 'static> Drop for HeldFns<V> {
    fn drop(&mut self) {
        for f in self.0.drain(..) {
            reclaim::dispose_one(Garbage::Result(Box::new(f)));
        }
    }
}

/// What is disposed of when the attempt goes on.
struct Spent(Vec<Garbage>);

impl Drop for Spent {
    fn drop(&mut self) {
        reclaim::dispose(&mut self.0);
    }
}

impl Workspace<'_> {
    /// The snapshot's version of a map.
    #[inline(always)]
    pub(crate) fn tree<'a, K, V>(&'a self, map: &'a MapVar<K, V>) -> &'a Tree {
        self.read(&map.var)
    }

    #[inline(always)]
    fn log_map(&self, slot: u32, seen: Seen) {
        // SAFETY: I9: a short look.
        let maps = unsafe { &mut self.scratch().maps };
        maps.used = true;
        maps.keys.push(slot, seen);
    }

    /// The attempt's part of a map, if it has one.
    #[inline(always)]
    pub(super) fn part<K: Key, V: Value>(&self, map: &MapVar<K, V>) -> Option<&Part<K, V>> {
        let slot = map.var.slot();
        // SAFETY: I9: a short look.
        let parts = unsafe { &self.scratch().maps.parts };
        let (_, part) = parts.iter().find(|(of, _)| *of == slot)?;
        let part: *const dyn AnyPart = &raw const **part;
        // SAFETY: a part of this map has the map's types; it is boxed, and stays until the attempt ends.
        Some(unsafe { &*part.cast::<Part<K, V>>() })
    }

    /// The attempt's part of a map.
    pub(super) fn part_of<K: Key, V: Value>(&self, map: &MapVar<K, V>) -> &Part<K, V> {
        if self.part(map).is_none() {
            // SAFETY: I9: no user code runs.
            let maps = unsafe { &mut self.scratch().maps };
            maps.used = true;
            let (slot, kind, compare) = (map.var.slot(), map.kind, map.compare);
            let part = maps.take_spare(|spare: &mut Part<K, V>| spare.begin(slot, kind, compare));
            let part = part.unwrap_or_else(|| Box::new(Part::<K, V>::new(slot, kind, compare)));
            maps.parts.push((slot, part));
        }
        let part = self.part(map).expect("just made");
        part.then.set(self.tree(map));
        part
    }

    /// Reads a key: the attempt's own row, or the snapshot's.
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
        if let Some(part) = self.part(map) {
            match part.own(sought) {
                Own::Row(row) => return Some(row),
                Own::Absent => return None,
                Own::Merge => return self.promote_key(map, part, sought),
                Own::Nothing => {}
            }
        }
        self.map_read(map, sought, owned)
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
        if let Some(row) = self.part(map).and_then(|part| part.own_for_now(sought)) {
            // Held by a count, not lent, so that a loop of these uses bounded memory (§2.1).
            let held = Held(Some(row));
            let row = held.row();
            let value = f(&row.value);
            self.push_op(map, sought.number, What::put(row.key.clone(), value));
            return true;
        }
        let Some(row) = self.map_get(map, sought, owned) else { return false };
        let value = f(row.value);
        self.push_op(map, sought.number, What::put(row.key.clone(), value));
        true
    }

    /// Reads a key of the snapshot.
    #[inline]
    fn map_read<'a, K, V, C>(
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
        let tree = self.tree(map);
        // SAFETY: I3: the tree is of the snapshot, which is pinned as long as `self` can be borrowed.
        let (found, shared) = unsafe { sought.find_among::<K, V>(tree) };
        match sought.kind {
            Kind::Hash | Kind::Exact => {
                // SAFETY: as above.
                let count = if shared { unsafe { tree.rows_of(sought.number) }.0 } else { u32::from(found.is_some()) };
                self.log_map(map.var.slot(), Seen::Number(sought.number, count));
            }
            Kind::Ordered => {
                if let Some(known) = self.part_of(map).log_point(owned(), found.is_some()) {
                    reclaim::dispose_one(known);
                }
            }
        }
        // SAFETY: as above.
        found.map(|found| unsafe { view(&found) })
    }

    /// The value of a key with merge functions is needed now: an ordinary read and write from here on (§4.5).
    #[cold]
    fn promote_key<'a, K, V, C>(
        &'a self,
        map: &'a MapVar<K, V>,
        part: &'a Part<K, V>,
        sought: &Sought<C>,
    ) -> Option<RowRef<'a, K, V>>
    where
        K: Key,
        V: Value,
        C: Fn(&K) -> Ordering,
    {
        let (initial, functions) = part.merges(sought)?;
        let (initial, functions, mut spent) = (Held(Some(initial)), HeldFns(functions), Spent(Vec::new()));
        let old = self.map_read(map, sought, || initial.row().key.clone());
        let row = merged(initial.row(), &functions.0, old.map(|row| row.value), &mut spent.0);
        self.push_op(map, sought.number, What::Put(row));
        match part.own(sought) {
            Own::Row(row) => Some(row),
            _ => None,
        }
    }

    /// Gives a key a value.
    pub(crate) fn map_put<K, V>(&self, map: &MapVar<K, V>, number: u64, key: K, value: V)
    where
        K: Key,
        V: Value,
    {
        self.push_op(map, number, What::put(key, value));
    }

    /// Gives a key that is absent at the commit a value, and one that is there a function of its value.
    pub(crate) fn map_merge<K, V>(&self, map: &MapVar<K, V>, number: u64, key: K, value: V, f: MergeFn<V>)
    where
        K: Key,
        V: Value,
    {
        let held = Held(Some(Row::new(key, value)));
        let initial = held.row();
        let mut f = HeldFns(vec![f]);
        let sought = Sought { kind: map.kind, number, compare: |other: &K| (map.compare)(other, &initial.key) };
        let part = self.part(map);
        if let Some(row) = part.and_then(|part| part.own_for_now(&sought)) {
            // The attempt's own value is known: nothing to defer. Held, not lent, as in `map_modify`.
            let own = Held(Some(row));
            let value = (f.0[0])(&own.row().value);
            return self.push_op(map, number, What::put(initial.key.clone(), value));
        }
        let what = match part.map_or(Own::Nothing, |part| part.own(&sought)) {
            Own::Row(_) | Own::Absent => What::Put(initial.clone()),
            Own::Merge => return self.part_of(map).push_merge(&sought, self.depth(), f.0.remove(0)),
            Own::Nothing => What::Merge(initial.clone(), std::mem::take(&mut f.0)),
        };
        self.push_op(map, number, what);
    }

    /// Takes a key out that is there: the row is what [`Workspace::map_get`] gave.
    pub(crate) fn map_remove<K, V>(&self, map: &MapVar<K, V>, number: u64, row: RowRef<'_, K, V>)
    where
        K: Key,
        V: Value,
    {
        self.push_op(map, number, What::Remove(row.word, None));
    }

    /// Takes all keys out.
    pub(crate) fn map_clear<K, V>(&self, map: &MapVar<K, V>)
    where
        K: Key,
        V: Value,
    {
        self.push_op(map, 0, What::Clear);
    }

    fn push_op<K, V>(&self, map: &MapVar<K, V>, number: u64, what: What<K, V>)
    where
        K: Key,
        V: Value,
    {
        let part = self.part_of(map);
        self.note_map_write(&map.var);
        if let Some(superseded) = part.push(number, self.depth(), what) {
            reclaim::dispose_one(superseded);
        }
    }

    /// How many keys the attempt sees.
    pub(crate) fn map_len<K, V>(&self, map: &MapVar<K, V>) -> usize
    where
        K: Key,
        V: Value,
    {
        let tree = self.tree(map);
        let Some(part) = self.part(map).filter(|part| part.any_ops()) else {
            self.log_map(map.var.slot(), Seen::Shape);
            return tree.len();
        };
        let cleared = part.is_cleared();
        if !cleared {
            self.log_map(map.var.slot(), Seen::Shape);
        }
        let empty = Tree::dead(tree.rows);
        let tree = if cleared { &empty } else { tree };
        part.len_over(tree)
    }

    /// Notes that all of a map is read.
    pub(crate) fn map_read_whole<K, V>(&self, map: &MapVar<K, V>) {
        self.log_map(map.var.slot(), Seen::Whole);
    }

    /// Turns the merge functions of these keys of a map into values, so that the rows can be walked.
    pub(crate) fn map_promote<K, V>(&self, map: &MapVar<K, V>, of: impl Fn(&K) -> bool)
    where
        K: Key,
        V: Value,
    {
        let Some(part) = self.part(map) else { return };
        for (number, row) in part.merged_rows().into_iter().filter(|(_, row)| of(&row.key)) {
            let held = Held(Some(row));
            let compare = |other: &K| (map.compare)(other, &held.row().key);
            self.promote_key(map, part, &Sought { kind: map.kind, number, compare });
        }
    }
}
