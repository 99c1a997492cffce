//! Ranges of ordered maps that an attempt has read, and whether anything in them has changed (no phantoms, §6.2).

use super::row::{Kind, Sought, Spot, key_of};
use super::tree::Tree;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Bound, Range};

/// A range as it was read: from both ends, so far.
pub(super) struct RangeRead<K> {
    low: Bound<K>,
    high: Bound<K>,
    /// The version that was read; pinned until the attempt ends.
    then: *const Tree,
    /// Rows of the snapshot that were looked at from the front, and from the back.
    pub(super) front: Cell<usize>,
    pub(super) back: Cell<usize>,
    /// One of the ends has met the other, or the end of the range.
    pub(super) whole: Cell<bool>,
    /// Nobody walks on.
    pub(super) left: Cell<bool>,
}

/// A range that was read as a whole, and how many rows it had.
pub(super) struct Segment<K> {
    low: Bound<K>,
    high: Bound<K>,
    rows: usize,
}

/// How keys compare, and in which maps.
type Compare<K> = fn(&K, &K) -> Ordering;

/// The ranks of the rows in a range.
///
/// # Safety
/// The tree is pinned, and of a map of these types and this kind. Runs user code.
pub(super) unsafe fn ranks<K: 'static, V: 'static>(
    (low, high): (Bound<&K>, Bound<&K>),
    kind: Kind,
    compare: Compare<K>,
    tree: &Tree,
) -> Range<usize> {
    let spot = |key: &K| {
        let number = super::number::number_of::<K, K>(key).expect("a key has a number");
        // SAFETY: the caller's promise.
        let spot = unsafe { Sought { kind, number, compare: |other: &K| compare(other, key) }.spot::<K, V>(tree) };
        (spot.rank, spot)
    };
    let from = match low {
        Bound::Unbounded => 0,
        Bound::Included(key) => spot(key).0,
        Bound::Excluded(key) => {
            let (rank, Spot { found, .. }) = spot(key);
            rank + usize::from(found.is_some())
        }
    };
    let to = match high {
        Bound::Unbounded => tree.len(),
        Bound::Excluded(key) => spot(key).0,
        Bound::Included(key) => {
            let (rank, Spot { found, .. }) = spot(key);
            rank + usize::from(found.is_some())
        }
    };
    from..to.max(from)
}

impl<K: Clone + 'static> RangeRead<K> {
    pub(super) fn new(low: Bound<K>, high: Bound<K>, then: &Tree) -> Self {
        let (front, back, whole, left) = Default::default();
        RangeRead { low, high, then, front, back, whole, left }
    }

    /// All of it, for as long as somebody may walk on.
    ///
    /// # Safety
    /// As for [`RangeRead::segments`].
    unsafe fn to_come<V: 'static>(&self, kind: Kind, compare: Compare<K>) -> Option<Segment<K>> {
        if self.left.get() {
            return None;
        }
        // SAFETY: the caller's promise.
        let all = unsafe { ranks::<K, V>((self.low.as_ref(), self.high.as_ref()), kind, compare, &*self.then) };
        Some(Segment { low: self.low.clone(), high: self.high.clone(), rows: all.len() })
    }

    /// What of it was looked at, with the rows that it had then.
    ///
    /// # Safety
    /// As for [`ranks`], of the version that was read.
    pub(super) unsafe fn segments<V: 'static>(&self, kind: Kind, compare: Compare<K>) -> Vec<Segment<K>> {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            let then = &*self.then;
            let all = ranks::<K, V>((self.low.as_ref(), self.high.as_ref()), kind, compare, then);
            let (front, back) = (self.front.get(), self.back.get());
            // Nobody has looked beyond the rows at the ends, unless they have met.
            if self.whole.get() || front + back > all.len() {
                return vec![Segment { low: self.low.clone(), high: self.high.clone(), rows: all.len() }];
            }
            let key = |rank: usize| Bound::Included(key_of::<K, V>(then.row_at(rank).key).clone());
            let mut parts = Vec::new();
            if front > 0 {
                parts.push(Segment { low: self.low.clone(), high: key(all.start + front - 1), rows: front });
            }
            if back > 0 {
                parts.push(Segment { low: key(all.end - back), high: self.high.clone(), rows: back });
            }
            parts
        }
    }

    /// Whether anything that was looked at is different in `now`; `to_come`: or anything that a walk that goes on can come to.
    ///
    /// # Safety
    /// As for [`ranks`], of both versions.
    pub(super) unsafe fn is_stale<V: 'static>(
        &self,
        kind: Kind,
        compare: Compare<K>,
        now: &Tree,
        version: u64,
        to_come: bool,
    ) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let all = if to_come { self.to_come::<V>(kind, compare) } else { None };
            let segments = all.map_or_else(|| self.segments::<V>(kind, compare), |all| vec![all]);
            segments.iter().any(|segment| segment.is_stale::<V>(kind, compare, now, version))
        }
    }
}

impl<K: Clone + 'static> Segment<K> {
    /// One key, that was there or not.
    pub(super) fn point(key: K, present: bool) -> Self {
        Segment { low: Bound::Included(key.clone()), high: Bound::Included(key), rows: usize::from(present) }
    }
}

impl<K: 'static> Segment<K> {
    /// # Safety
    /// As for [`ranks`].
    unsafe fn is_stale<V: 'static>(&self, kind: Kind, compare: Compare<K>, now: &Tree, version: u64) -> bool {
        // SAFETY: the caller's promise.
        unsafe {
            let ranks = ranks::<K, V>((self.low.as_ref(), self.high.as_ref()), kind, compare, now);
            // A row that has gone makes them fewer, unless another has come, which is newer.
            ranks.len() != self.rows || now.any_newer(ranks, version)
        }
    }
}

/// Ranges that a sleeper looks at, without a version pinned.
pub(in crate::store) trait Settled {
    /// Whether one of them is different from what it was in `version`. Runs user code.
    ///
    /// # Safety
    /// The tree is pinned, and of the map that the ranges are of.
    unsafe fn are_stale(&self, now: &Tree, version: u64) -> bool;
}

pub(super) struct Segments<K, V> {
    kind: Kind,
    compare: Compare<K>,
    all: Vec<Segment<K>>,
    _values: std::marker::PhantomData<fn() -> V>,
}

impl<K, V> Segments<K, V> {
    pub(super) fn new(kind: Kind, compare: Compare<K>, all: Vec<Segment<K>>) -> Self {
        Segments { kind, compare, all, _values: std::marker::PhantomData }
    }
}

impl<K: 'static, V: 'static> Settled for Segments<K, V> {
    unsafe fn are_stale(&self, now: &Tree, version: u64) -> bool {
        // SAFETY: the caller's promise.
        self.all.iter().any(|segment| unsafe { segment.is_stale::<V>(self.kind, self.compare, now, version) })
    }
}
