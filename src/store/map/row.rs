//! Rows: a key with its value, behind a type-erased front; and the search for one.

use super::super::value::Header;
use super::node::RowPtr;
use super::tree::{Found, Tree};
use crate::sync::Arc;
use std::cmp::Ordering;

/// An entry of a map. Shared by the log that made it and the versions that hold it.
#[repr(C)]
pub(crate) struct Row<K, V> {
    header: Header,
    pub(crate) key: K,
    pub(crate) value: V,
}

impl<K, V> Row<K, V> {
    pub(super) fn new(key: K, value: V) -> Arc<Row<K, V>> {
        Arc::new(Row { header: Header::new(free::<K, V>), key, value })
    }
}

/// A count of the row's, as the tree holds it.
pub(super) fn share<K, V>(row: &Arc<Row<K, V>>) -> RowPtr {
    give(row.clone())
}

/// The row as the tree holds it.
pub(super) fn give<K, V>(row: Arc<Row<K, V>>) -> RowPtr {
    Arc::into_raw(row).cast_mut().cast()
}

/// Another count of a row in a tree.
///
/// # Safety
/// The row is of a map of these types, in a pinned version.
pub(super) unsafe fn borrow<K, V>(row: RowPtr) -> Arc<Row<K, V>> {
    // SAFETY: made by `Arc::into_raw` in `give`; the tree's count keeps it.
    unsafe {
        Arc::increment_strong_count(row.cast::<Row<K, V>>());
        Arc::from_raw(row.cast::<Row<K, V>>())
    }
}

/// The row behind a pointer.
///
/// # Safety
/// The row is of a map of these types, and some count of it outlives `'a`.
#[inline(always)]
pub(super) unsafe fn view<'a, K, V>(row: RowPtr) -> &'a Row<K, V> {
    // SAFETY: the caller's promise.
    unsafe { &*row.cast::<Row<K, V>>() }
}

unsafe fn free<K, V>(header: *mut Header) {
    // SAFETY: gives up a count that `give` made.
    drop(unsafe { crate::sync::Arc::from_raw(header.cast::<Row<K, V>>()) });
}

/// How the rows of a map are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By the hash of the key; keys of one hash in any order.
    Hash,
    /// By a number that is the key's alone.
    Exact,
    /// By a number that grows with the key, then by the key.
    Ordered,
}

/// Where a key is or belongs.
pub(super) struct Spot {
    /// The rank of its row, or of the row before which it belongs.
    pub(super) rank: usize,
    pub(super) found: Option<Found>,
}

/// What is sought: a number, and how the key of a row compares with the one that is meant.
#[derive(Clone, Copy)]
pub(crate) struct Sought<C> {
    pub(crate) kind: Kind,
    pub(crate) number: u64,
    pub(crate) compare: C,
}

impl<C> Sought<C> {
    /// Finds the row of a key.
    ///
    /// # Safety
    /// The tree is of a map of these types and this kind, and pinned or the caller's own. Runs user code.
    #[inline(always)]
    pub(super) unsafe fn find<K: 'static, V: 'static>(&self, tree: &Tree) -> Option<Found>
    where
        C: Fn(&K) -> Ordering,
    {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            match self.kind {
                Kind::Ordered => {
                    let last = tree.last_not_greater(|number, row| self.is_reached::<K, V>(number, row))?;
                    self.matches::<K, V>(last).then_some(last)
                }
                Kind::Exact => {
                    tree.last_not_greater(|number, _| number <= self.number).filter(|last| last.number == self.number)
                }
                Kind::Hash => {
                    let last = tree.last_not_greater(|number, _| number <= self.number)?;
                    if last.number != self.number {
                        return None;
                    }
                    if self.matches::<K, V>(last) { Some(last) } else { self.spot::<K, V>(tree).found }
                }
            }
        }
    }

    /// Finds the row of a key, or where it belongs.
    ///
    /// # Safety
    /// As for [`Sought::find`].
    pub(super) unsafe fn spot<K: 'static, V: 'static>(&self, tree: &Tree) -> Spot
    where
        C: Fn(&K) -> Ordering,
    {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            let floor = match self.kind {
                Kind::Ordered => tree.floor(|number, row| self.is_reached::<K, V>(number, row)),
                Kind::Exact | Kind::Hash => tree.floor(|number, _| number <= self.number),
            };
            let (mut at, mut last) = (floor.rank, floor.last);
            while let Some(found) = last.filter(|found| found.number == self.number) {
                if self.matches::<K, V>(found) {
                    return Spot { rank: at - 1, found: Some(found) };
                }
                if self.kind != Kind::Hash {
                    break;
                }
                // Another key of the same hash.
                at -= 1;
                last = at.checked_sub(1).map(|before| tree.row_at(before));
            }
            Spot { rank: floor.rank, found: None }
        }
    }

    /// Whether a row is the one that is sought, or before it.
    unsafe fn is_reached<K: 'static, V: 'static>(&self, number: u64, row: RowPtr) -> bool
    where
        C: Fn(&K) -> Ordering,
    {
        // SAFETY: the caller's promise.
        number < self.number
            || (number == self.number && (self.compare)(unsafe { &view::<K, V>(row).key }) != Ordering::Greater)
    }

    /// Whether a row with the number that is sought has the key.
    unsafe fn matches<K: 'static, V: 'static>(&self, found: Found) -> bool
    where
        C: Fn(&K) -> Ordering,
    {
        // SAFETY: the caller's promise.
        found.number == self.number
            && (self.kind == Kind::Exact || (self.compare)(unsafe { &view::<K, V>(found.row).key }) == Ordering::Equal)
    }
}
