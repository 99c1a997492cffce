//! Walking over the rows of a map: those of a version, overlaid with an attempt's own writes.

use super::super::workspace::Workspace;
use super::any::AnyPart;
use super::ops::MapVar;
use super::part::{Job, Part};
use super::ranges::{End, RangeRead, ranks};
use super::row::{RowRef, view};
use super::tree::{LeafAt, Rows, Tree};
use super::{Key, Value};
use std::cmp::Ordering;
use std::ops::{Bound, Range};

/// One of the attempt's writes in the range.
struct OwnRow<'a, K, V> {
    rank: usize,
    new: bool,
    /// `None`: removed.
    row: Option<RowRef<'a, K, V>>,
}

/// Rows from both ends.
pub(crate) struct Walk<'a, K, V> {
    tree: Option<&'a Tree>,
    /// Ranks of the version's rows that are left.
    left: Range<usize>,
    /// All of them.
    all: Range<usize>,
    /// The leaves that the ends are in.
    at: [Option<LeafAt>; 2],
    own: std::vec::IntoIter<OwnRow<'a, K, V>>,
    rows: usize,
    /// Where to note how far the range was read.
    noted: Option<(&'a Part<K, V>, usize)>,
}

impl<K: Key, V: Value> MapVar<K, V> {
    /// All rows of a version.
    pub(crate) fn walk<'a>(&'a self, tree: &'a Tree) -> Walk<'a, K, V> {
        Walk::over(tree, 0..tree.len())
    }

    /// The rows of a version in a range of keys.
    pub(crate) fn walk_range<'a>(&'a self, tree: &'a Tree, low: Bound<&K>, high: Bound<&K>) -> Walk<'a, K, V> {
        // SAFETY: the tree is of this map, and borrowed from what pins it.
        let ranks = unsafe { ranks::<K, V>((low, high), self.kind, self.compare(), tree) };
        Walk::over(tree, ranks)
    }
}

impl Workspace<'_> {
    /// All rows that the attempt sees. To be noted as a read of the whole, and without merge functions.
    pub(crate) fn map_walk<'a, K, V>(&'a self, map: &'a MapVar<K, V>) -> Walk<'a, K, V>
    where
        K: Key,
        V: Value,
    {
        let tree = self.tree(map);
        match self.part(map).filter(|part| part.any_ops()) {
            None => Walk::over(tree, 0..tree.len()),
            Some(part) if part.is_cleared() => Walk::overlaid(None, 0..0, part, |_| true),
            Some(part) => Walk::overlaid(Some(tree), 0..tree.len(), part, |_| true),
        }
    }

    /// The rows that the attempt sees in a range of keys; what is walked over is noted. Merge functions in it run.
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
        let (part, tree) = (self.part_of(map), self.tree(map));
        let compare = map.compare();
        let contains = |key: &K| {
            (match &low {
                Bound::Unbounded => true,
                Bound::Included(low) => compare(key, low) != Ordering::Less,
                Bound::Excluded(low) => compare(key, low) == Ordering::Greater,
            }) && (match &high {
                Bound::Unbounded => true,
                Bound::Included(high) => compare(key, high) != Ordering::Greater,
                Bound::Excluded(high) => compare(key, high) == Ordering::Less,
            })
        };
        self.map_promote(map, contains);
        if part.is_cleared() {
            return Walk::overlaid(None, 0..0, part, contains);
        }
        // SAFETY: I3: the tree is of the snapshot, which is pinned as long as `self` can be borrowed.
        let ranks = unsafe { ranks::<K, V>((low.as_ref(), high.as_ref()), map.kind, compare, tree) };
        let everything = matches!((&low, &high), (Bound::Unbounded, Bound::Unbounded));
        let mut walk = if !part.any_ops() {
            Walk::over(tree, ranks)
        } else if let Some((front, back)) = everything.then(|| part.gone(tree)).flatten() {
            Walk::between(tree, front, back)
        } else {
            Walk::overlaid(Some(tree), ranks, part, contains)
        };
        let ranges = &mut part.state.borrow_mut().ranges;
        // Looks at the first or last entry, of which there may be many, share one.
        let at = ranges.iter().position(|range| everything && range.take_over(walk.all.len()));
        let at = at.unwrap_or_else(|| {
            ranges.push(RangeRead::new(low, high, walk.all.len()));
            ranges.len() - 1
        });
        walk.noted = Some((part, at));
        walk
    }
}

impl<K, V> Drop for Walk<'_, K, V> {
    fn drop(&mut self) {
        if let Some((part, at)) = self.noted {
            part.state.borrow().ranges[at].left.set(true);
        }
    }
}

impl<'a, K: Key, V: Value> Walk<'a, K, V> {
    fn over(tree: &'a Tree, ranks: Range<usize>) -> Self {
        let rows = ranks.len();
        Walk {
            tree: Some(tree),
            left: ranks.clone(),
            all: ranks,
            at: [None; 2],
            own: Vec::new().into_iter(),
            rows,
            noted: None,
        }
    }

    /// All but so many at the ends.
    fn between(tree: &'a Tree, front: usize, back: usize) -> Self {
        let left = front..tree.len() - back;
        let mut walk = Walk::over(tree, 0..tree.len());
        (walk.rows, walk.left) = (left.len(), left);
        walk
    }

    fn overlaid(
        tree: Option<&'a Tree>,
        ranks: Range<usize>,
        part: &'a Part<K, V>,
        contains: impl Fn(&K) -> bool,
    ) -> Self {
        let empty = Tree::dead(Rows::Inline);
        let mut jobs = Vec::new();
        part.jobs(tree.unwrap_or(&empty), &mut jobs);
        let mut rows = ranks.len();
        let mut own = Vec::new();
        for Job { rank, old, op, .. } in jobs {
            let new = old.is_none();
            let inside = if new { ranks.start <= rank && rank <= ranks.end } else { ranks.contains(&rank) };
            if !inside {
                continue;
            }
            let row = part.state.borrow_mut().ops[op].lend();
            if new && !row.is_some_and(|row| contains(row.key)) {
                continue;
            }
            match (new, row) {
                (true, _) => rows += 1,
                (false, None) => rows -= 1,
                (false, Some(_)) => {}
            }
            own.push(OwnRow { rank, new, row });
        }
        Walk { tree, left: ranks.clone(), all: ranks, at: [None; 2], own: own.into_iter(), rows, noted: None }
    }

    /// So many are left.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    pub(crate) fn next_front(&mut self) -> Option<RowRef<'a, K, V>> {
        loop {
            let own = self.own.as_slice().first();
            match own {
                Some(own) if own.rank == self.left.start && (own.new || !self.left.is_empty()) => {
                    let (row, new) = (own.row, own.new);
                    self.own.next();
                    if !new {
                        self.left.start += 1;
                    }
                    if let Some(row) = row {
                        self.rows -= 1;
                        return Some(self.give(End::Front, row));
                    }
                }
                _ if self.left.is_empty() => {
                    self.note_end();
                    return None;
                }
                _ => {
                    let rank = self.left.start;
                    self.left.start += 1;
                    self.rows -= 1;
                    let row = self.row(rank, 0);
                    return Some(self.give(End::Front, row));
                }
            }
        }
    }

    pub(crate) fn next_back(&mut self) -> Option<RowRef<'a, K, V>> {
        loop {
            let own = self.own.as_slice().last();
            match own {
                Some(own) if own.new && own.rank == self.left.end || !own.new && own.rank + 1 == self.left.end => {
                    let (row, new) = (own.row, own.new);
                    self.own.next_back();
                    if !new {
                        self.left.end -= 1;
                    }
                    if let Some(row) = row {
                        self.rows -= 1;
                        return Some(self.give(End::Back, row));
                    }
                }
                _ if self.left.is_empty() => {
                    self.note_end();
                    return None;
                }
                _ => {
                    self.left.end -= 1;
                    let rank = self.left.end;
                    self.rows -= 1;
                    let row = self.row(rank, 1);
                    return Some(self.give(End::Back, row));
                }
            }
        }
    }

    /// The version's row of this rank, of which one is left at this end.
    fn row(&mut self, rank: usize, end: usize) -> RowRef<'a, K, V> {
        let tree = self.tree.expect("there are rows");
        // SAFETY: the tree is borrowed from what pins it for `'a`, and so are its rows.
        unsafe {
            let fits = |at: &LeafAt| {
                (*at.leaf).node.probe.read();
                rank.checked_sub(at.first).is_some_and(|i| i < (*at.leaf).node.len)
            };
            let at = match self.at[end] {
                Some(at) if fits(&at) => at,
                _ => *self.at[end].insert(tree.leaf_at(rank)),
            };
            view(&(*at.leaf).at(rank - at.first))
        }
    }

    /// Notes how far the range has been read: up to this row.
    fn give(&self, end: End, row: RowRef<'a, K, V>) -> RowRef<'a, K, V> {
        if let Some((part, at)) = self.noted {
            let rows = match end {
                End::Front => self.left.start - self.all.start,
                End::Back => self.all.end - self.left.end,
            };
            part.state.borrow().ranges[at].note(end, row.key, rows, part.compare);
        }
        row
    }

    /// The ends have met: all of the range is known.
    fn note_end(&self) {
        let Some((part, at)) = self.noted else { return };
        part.state.borrow().ranges[at].whole.set(true);
    }
}
