//! One step, in the crate and in the model.

use std::collections::BTreeMap;
use std::ops::Bound;

use tvar::{Stm, Tx, View};

use super::kinds::{Key, Real, Value};
use super::{End, MOST_KEPT, MOST_THREADS, Many, Op, Step, World, elsewhere, ticks};

/// Parts in each other: closures lie on the stack.
const DEEPEST: usize = 30;

impl<M, K: Key> World<M, K> {
    pub(super) fn step<V: Value>(&mut self, step: &Step)
    where
        M: Real<K, V> + Sync,
    {
        match step {
            Step::Commit(ops) => {
                let model = self.space.atomically(|tx| {
                    let mut model = self.model.clone();
                    self.all(tx, &mut model, ops, DEEPEST)?;
                    Ok(model)
                });
                self.model = model;
            }
            Step::CommitElsewhere(ops) => {
                self.threads += 1;
                if self.threads <= MOST_THREADS {
                    let this = &*self;
                    self.model = elsewhere(|| {
                        this.space.atomically(|tx| {
                            let mut model = this.model.clone();
                            this.all(tx, &mut model, ops, DEEPEST)?;
                            Ok(model)
                        })
                    });
                }
            }
            Step::Abort(ops) => {
                let aborted = self.space.try_atomically(|tx| {
                    self.all(tx, &mut self.model.clone(), ops, DEEPEST)?;
                    tx.abort::<(), _>("undo")
                });
                assert_eq!(aborted, Err("undo"));
            }
            Step::Otherwise(a, b) => {
                let model = self.space.atomically(|tx| {
                    let mut model = self.model.clone();
                    tx.or_else(
                        |tx| {
                            self.all(tx, &mut self.model.clone(), a, DEEPEST)?;
                            tx.retry()
                        },
                        |tx| self.all(tx, &mut model, b, DEEPEST),
                    )?;
                    Ok(model)
                });
                self.model = model;
            }
            Step::Keep => {
                if self.kept.len() < MOST_KEPT {
                    self.kept.push((self.space.snapshot(), self.model.clone()));
                }
            }
            Step::Forget(at) => {
                if !self.kept.is_empty() {
                    let (snapshot, then) = self.kept.swap_remove(usize::from(*at) % self.kept.len());
                    self.same(&snapshot, &then);
                }
            }
            Step::Rebuild => {
                // What the snapshots show of the old map ends with it.
                self.kept.clear();
                let entries = self.model.iter().map(|(key, value)| (key.clone(), V::of(&self.ledger, *value)));
                self.map = M::filled(&self.space, self.hashes, entries.collect());
            }
            Step::Ticks(count) => ticks(&self.space, u64::from(*count)),
        }
    }

    /// Compares everything that a view shows.
    pub(super) fn same<V: Value>(&self, view: &impl View, model: &BTreeMap<K, u64>)
    where
        M: Real<K, V>,
    {
        assert_eq!((self.map.len(view), self.map.is_empty(view)), (model.len(), model.is_empty()));
        let mut shown: Vec<_> = self.map.iter(view).map(|(key, value)| (key, value.number())).collect();
        if self.map.ordered().is_none() {
            shown.sort_unstable();
        }
        assert!(shown.iter().copied().eq(model.iter().map(|(key, value)| (key, *value))), "{shown:?}\n{model:?}");
        // A few by their keys, those that are not there too.
        for number in (0..self.keys).step_by(usize::from(self.keys / 40)) {
            let key = K::of(number);
            assert_eq!(self.map.get(view, &key).map(V::number), model.get(&key).copied(), "{key:?}");
        }
    }

    fn key(&self, number: u16) -> K {
        // Half of them of a few, so that operations meet.
        K::of(number % if number & 1 << 15 == 0 { self.keys } else { 60 })
    }

    fn keys(&self, Many { from, stride, count }: Many) -> impl Iterator<Item = K> {
        let (first, stride) = (u32::from(from), u32::from(stride).max(1));
        let numbers = (0..u32::from(count)).map(move |n| (first + n * stride) as u16);
        numbers.map(|number| self.key(number))
    }

    fn all<V: Value>(&self, tx: &Tx<'_>, model: &mut BTreeMap<K, u64>, ops: &[Op], deepest: usize) -> Stm<()>
    where
        M: Real<K, V>,
    {
        ops.iter().try_for_each(|op| self.op(tx, model, op, deepest))
    }

    fn op<V: Value>(&self, tx: &Tx<'_>, model: &mut BTreeMap<K, u64>, op: &Op, deepest: usize) -> Stm<()>
    where
        M: Real<K, V>,
    {
        let map = &self.map;
        let value = |number: u64| V::of(&self.ledger, number);
        let next = |old: u64| (old * 3 + 1) % 1_000;
        let ledger = self.ledger.clone();
        let merge = move |old: &V| V::of(&ledger, next(old.number()));
        match *op {
            Op::Get(key) => {
                let key = self.key(key);
                let row = map.get_key_value(tx, &key).map(|(key, value)| (key, value.number()));
                assert_eq!(row, model.get_key_value(&key).map(|(key, value)| (key, *value)));
            }
            Op::Len => assert_eq!((map.len(tx), map.is_empty(tx)), (model.len(), model.is_empty())),
            Op::Insert(key, number) => {
                let (key, number) = (self.key(key), u64::from(number));
                let old = map.insert(tx, key.clone(), value(number)).map(V::number);
                assert_eq!(old, model.insert(key, number));
            }
            Op::InsertNew(key, number) => {
                let (key, number) = (self.key(key), u64::from(number));
                let absent = map.insert_new(tx, key.clone(), value(number));
                assert_eq!(absent, !model.contains_key(&key));
                model.entry(key).or_insert(number);
            }
            Op::Upsert(key, number) => {
                map.upsert(tx, self.key(key), value(u64::from(number)));
                model.insert(self.key(key), u64::from(number));
            }
            Op::UpsertWith(key, number) => {
                map.upsert_with(tx, self.key(key), value(u64::from(number)), merge);
                model.entry(self.key(key)).and_modify(|old| *old = next(*old)).or_insert(u64::from(number));
            }
            Op::Remove(key) => {
                let key = self.key(key);
                assert_eq!(map.remove(tx, &key).map(V::number), model.remove(&key));
            }
            Op::Modify(key) => {
                let key = self.key(key);
                let found = map.modify(tx, &key, |old| value(next(old.number())));
                assert_eq!(found, model.contains_key(&key));
                model.entry(key).and_modify(|old| *old = next(*old));
            }
            Op::AndModify(key, number) => {
                let (key, number) = (self.key(key), u64::from(number));
                let entry = map.entry(tx, key.clone()).and_modify(|old| value(next(old.number())));
                assert_eq!((entry.key(), entry.is_present()), (&key, model.contains_key(&key)));
                let real = entry.or_insert_with(|| value(number)).number();
                assert_eq!(real, *model.entry(key).and_modify(|old| *old = next(*old)).or_insert(number));
            }
            Op::EntryInsert(key, number) => {
                let (key, number) = (self.key(key), u64::from(number));
                assert_eq!(map.entry(tx, key.clone()).insert(value(number)).number(), number);
                model.insert(key, number);
            }
            Op::EntryRemove(key) => {
                let key = self.key(key);
                assert_eq!(map.entry(tx, key.clone()).remove().map(V::number), model.remove(&key));
            }
            Op::PutMany(many, number) => {
                for key in self.keys(many) {
                    map.upsert(tx, key.clone(), value(u64::from(number)));
                    model.insert(key, u64::from(number));
                }
            }
            Op::CountMany(many, number) => {
                for key in self.keys(many) {
                    map.upsert_with(tx, key.clone(), value(u64::from(number)), merge.clone());
                    model.entry(key).and_modify(|old| *old = next(*old)).or_insert(u64::from(number));
                }
            }
            Op::RemoveMany(many) => {
                for key in self.keys(many) {
                    assert_eq!(map.remove(tx, &key).map(V::number), model.remove(&key));
                }
            }
            Op::Clear => {
                map.clear(tx);
                model.clear();
            }
            Op::Iter { ends, write_after, key } => {
                let expected: Vec<_> = model.iter().map(|(key, value)| (key.clone(), *value)).collect();
                let iter = map.iter(tx);
                assert_eq!(iter.len(), expected.len());
                let shown = self.walk(tx, iter, ends, write_after, key, model);
                self.compare(shown, &expected, ends);
            }
            Op::Range { low, high, ends, write_after, key } => {
                let bounds = (self.bound(low), self.bound(high));
                if let (Some(ordered), true) = (map.ordered(), is_range(&bounds)) {
                    let range = model.range(bounds.clone());
                    let expected: Vec<_> = range.map(|(key, value)| (key.clone(), *value)).collect();
                    let shown = self.walk(tx, ordered.range(tx, bounds), ends, write_after, key, model);
                    self.compare(shown, &expected, ends);
                }
            }
            Op::First => {
                if let Some(ordered) = map.ordered() {
                    let first = ordered.first(tx).map(|(key, value)| (key, value.number()));
                    assert_eq!(first, model.first_key_value().map(|(key, value)| (key, *value)));
                }
            }
            Op::Last => {
                if let Some(ordered) = map.ordered() {
                    let last = ordered.last(tx).map(|(key, value)| (key, value.number()));
                    assert_eq!(last, model.last_key_value().map(|(key, value)| (key, *value)));
                }
            }
            Op::PopFirst(count) => {
                for _ in 0..map.ordered().map_or(0, |_| count) {
                    let popped = map.ordered().and_then(|map| map.pop_first(tx));
                    assert_eq!(popped.map(|(key, value)| (key.clone(), value.number())), model.pop_first());
                }
            }
            Op::PopLast(count) => {
                for _ in 0..map.ordered().map_or(0, |_| count) {
                    let popped = map.ordered().and_then(|map| map.pop_last(tx));
                    assert_eq!(popped.map(|(key, value)| (key.clone(), value.number())), model.pop_last());
                }
            }
            Op::Hold(key) => {
                let key = self.key(key);
                let held = map.get(tx, &key);
                map.upsert(tx, key.clone(), value(7));
                map.remove(tx, &key);
                assert_eq!(held.map(V::number), model.remove(&key));
            }
            Op::Undone(_) | Op::Part(_) if deepest == 0 => {}
            Op::Undone(ref ops) => {
                let undone = tx.nested(|tx| {
                    self.all(tx, &mut model.clone(), ops, deepest - 1)?;
                    tx.abort::<(), _>("undo")
                })?;
                assert_eq!(undone, Err("undo"));
            }
            Op::Part(ref ops) => {
                let kept: Result<(), ()> = tx.nested(|tx| Ok(self.all(tx, model, ops, deepest - 1)?))?;
                assert_eq!(kept, Ok(()));
            }
        }
        Ok(())
    }

    /// Takes entries from both ends; writes a key in the middle.
    fn walk<'a, V: Value>(
        &self,
        tx: &Tx<'_>,
        mut iter: impl DoubleEndedIterator<Item = (&'a K, &'a V)>,
        ends: u32,
        write_after: u8,
        key: u16,
        model: &mut BTreeMap<K, u64>,
    ) -> Vec<(K, u64)>
    where
        M: Real<K, V>,
        K: 'a,
    {
        let mut shown = Vec::new();
        for n in 0_u32.. {
            if n == u32::from(write_after) {
                self.map.upsert(tx, self.key(key), V::of(&self.ledger, 5));
                model.insert(self.key(key), 5);
            }
            let item = if ends.rotate_right(n) & 1 == 0 { iter.next() } else { iter.next_back() };
            let Some((key, value)) = item else { break };
            shown.push((key.clone(), value.number()));
        }
        assert!(iter.next().is_none() && iter.next_back().is_none());
        shown
    }

    fn compare<V: Value>(&self, mut shown: Vec<(K, u64)>, expected: &[(K, u64)], ends: u32)
    where
        M: Real<K, V>,
    {
        if self.map.ordered().is_none() {
            shown.sort_unstable();
            assert_eq!(shown, expected);
            return;
        }
        let mut expected = expected.iter();
        for (n, row) in (0..).zip(&shown) {
            let due = if u32::rotate_right(ends, n) & 1 == 0 { expected.next() } else { expected.next_back() };
            assert_eq!(Some(row), due);
        }
        assert_eq!(expected.next(), None);
    }

    fn bound(&self, end: End) -> Bound<K> {
        match end {
            End::None => Bound::Unbounded,
            End::At(number) => Bound::Included(self.key(number)),
            End::Beyond(number) => Bound::Excluded(self.key(number)),
        }
    }
}

/// What `BTreeMap` does not panic on.
fn is_range<K: Ord>((low, high): &(Bound<K>, Bound<K>)) -> bool {
    match (low, high) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
        (Bound::Excluded(low), Bound::Excluded(high)) => low < high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Included(high) | Bound::Excluded(high)) => low <= high,
    }
}
