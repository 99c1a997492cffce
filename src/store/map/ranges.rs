//! Ranges of ordered maps that an attempt has read, and whether anything in them has changed (no phantoms, §6.2).

use super::row::{Kind, Sought, Spot};
use super::tree::Tree;
use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::{Bound, Range};
use std::ptr::NonNull;

/// A range as it was read: from both ends, so far.
pub(super) struct RangeRead<K> {
    low: Bound<K>,
    high: Bound<K>,
    /// How many rows of the snapshot it has.
    rows: Cell<usize>,
    /// Each end's last row that was given out, the snapshot's or the attempt's own, with how many of the snapshot's it and those before it are.
    front: Cell<Option<(NonNull<K>, usize)>>,
    back: Cell<Option<(NonNull<K>, usize)>>,
    /// An end has found no more.
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

/// An end of a range.
#[derive(Clone, Copy)]
pub(super) enum End {
    Front,
    Back,
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

impl<K: 'static> RangeRead<K> {
    pub(super) fn new(low: Bound<K>, high: Bound<K>, rows: usize) -> Self {
        let (front, back, whole, left) = Default::default();
        RangeRead { low, high, rows: Cell::new(rows), front, back, whole, left }
    }

    /// Whether this is a read of everything that nobody goes on with: then another one can go on with it, in a version with so many rows.
    pub(super) fn take_over(&self, rows: usize) -> bool {
        let free = self.left.get() && matches!((&self.low, &self.high), (Bound::Unbounded, Bound::Unbounded));
        if free {
            self.left.set(false);
            self.rows.set(rows);
        }
        free
    }

    /// Notes that an end has come to a row, which stays where it is until the attempt ends. An earlier walk may have come further.
    pub(super) fn note(&self, end: End, key: &K, rows: usize, compare: Compare<K>) {
        let (at, further) = match end {
            End::Front => (&self.front, Ordering::Greater),
            End::Back => (&self.back, Ordering::Less),
        };
        // SAFETY: as in `parts`.
        if at.get().is_none_or(|(last, _)| compare(key, unsafe { &*last.as_ptr().cast_const() }) == further) {
            at.set(Some((NonNull::from(key), rows)));
        }
    }

    /// What of it was looked at, with the rows that it had; `to_come`: all of it, for as long as somebody may walk on.
    fn parts(&self, to_come: bool) -> impl Iterator<Item = (Bound<&K>, Bound<&K>, usize)> {
        let (low, high) = (self.low.as_ref(), self.high.as_ref());
        // SAFETY: M3: rows of the snapshot, and own ones that were given out, stay until the attempt ends, and the part is asked before that.
        let key = |at: NonNull<K>| Bound::Included(unsafe { &*at.as_ptr().cast_const() });
        let ends = move || {
            let front = self.front.get().map(|(at, rows)| (low, key(at), rows));
            [front, self.back.get().map(|(at, rows)| (key(at), high, rows))]
        };
        let parts = if self.whole.get() || (to_come && !self.left.get()) {
            [Some((low, high, self.rows.get())), None]
        } else {
            ends()
        };
        parts.into_iter().flatten()
    }

    /// The same, to be kept.
    pub(super) fn segments(&self) -> impl Iterator<Item = Segment<K>>
    where
        K: Clone,
    {
        self.parts(false).map(|(low, high, rows)| Segment { low: low.cloned(), high: high.cloned(), rows })
    }

    /// Whether anything that was looked at is different in `now`; `to_come`: or anything that a walk that goes on can come to.
    ///
    /// # Safety
    /// As for [`ranks`].
    pub(super) unsafe fn is_stale<V: 'static>(
        &self,
        kind: Kind,
        compare: Compare<K>,
        now: &Tree,
        version: u64,
        to_come: bool,
    ) -> bool {
        self.parts(to_come).any(|(low, high, rows)| {
            // SAFETY: the caller's promise.
            unsafe { is_stale::<K, V>((low, high), rows, kind, compare, now, version) }
        })
    }
}

/// Whether a range that had so many rows is different in `now`.
///
/// # Safety
/// As for [`ranks`].
unsafe fn is_stale<K: 'static, V: 'static>(
    bounds: (Bound<&K>, Bound<&K>),
    rows: usize,
    kind: Kind,
    compare: Compare<K>,
    now: &Tree,
    version: u64,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let ranks = ranks::<K, V>(bounds, kind, compare, now);
        // A row that has gone makes them fewer, unless another has come, which is newer.
        ranks.len() != rows || now.any_newer(ranks, version)
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
        unsafe { is_stale::<K, V>((self.low.as_ref(), self.high.as_ref()), self.rows, kind, compare, now, version) }
    }
}

/// Ranges that a sleeper looks at, without a version pinned.
pub(in crate::store) trait Settled: Send + Sync {
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

impl<K: Send + Sync + 'static, V: 'static> Settled for Segments<K, V> {
    unsafe fn are_stale(&self, now: &Tree, version: u64) -> bool {
        // SAFETY: the caller's promise.
        self.all.iter().any(|segment| unsafe { segment.is_stale::<V>(self.kind, self.compare, now, version) })
    }
}
