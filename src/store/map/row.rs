//! Rows: a key with its value; and the search for one.

use super::super::value::{self, Header, Word, is_inline};
use super::node::Words;
use super::tree::{Found, NotGreater, Number, Rows, Tree};
use crate::sync::Arc;
use std::cmp::Ordering;
use std::mem::needs_drop;

/// A row behind a pointer, shared by the log that made it and the versions that hold it.
#[repr(C)]
pub(crate) struct Row<K, V> {
    header: Header,
    pub(crate) key: K,
    pub(crate) value: V,
}

/// A row, wherever it is.
pub(crate) struct RowRef<'a, K, V> {
    pub(crate) key: &'a K,
    pub(crate) value: &'a V,
    /// The word that tells the key: the pointer to the row, which `key` is too narrow for, or the key itself.
    pub(super) word: Word,
}

impl<K, V> Clone for RowRef<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for RowRef<'_, K, V> {}

/// What the rows of maps of these types are.
pub(super) fn rows_of<K: 'static, V: 'static>() -> Rows {
    if is_inline::<K>() && is_inline::<V>() {
        Rows::Inline
    } else if needs_drop::<(K, V)>() {
        Rows::Boxed
    } else {
        Rows::Plain
    }
}

#[inline(always)]
pub(super) fn are_inline<K: 'static, V: 'static>() -> bool {
    is_inline::<K>() && is_inline::<V>()
}

impl<K, V> Row<K, V> {
    pub(super) fn new(key: K, value: V) -> Arc<Row<K, V>> {
        Arc::new(Row { header: Header::new(free::<K, V>), key, value })
    }
}

impl<K: 'static, V: 'static> Row<K, V> {
    pub(super) fn view(&self) -> RowRef<'_, K, V> {
        let word = if are_inline::<K, V>() {
            // SAFETY: an inline type, which is `Copy`.
            Word::encode(unsafe { std::ptr::from_ref(&self.key).read() })
        } else {
            Word::of_header(std::ptr::from_ref(self).cast_mut().cast())
        };
        RowRef { key: &self.key, value: &self.value, word }
    }
}

/// A count of a row as a front.
pub(super) fn give<K, V>(row: Arc<Row<K, V>>) -> *mut Header {
    Arc::into_raw(row).cast_mut().cast()
}

/// The word of a row, without a count of its own.
pub(super) fn word_of<K, V>(row: &Arc<Row<K, V>>) -> Word {
    Word::of_header(Arc::as_ptr(row).cast_mut().cast())
}

/// Key and value in words; for inline types.
pub(super) fn words<K: 'static, V: 'static>(key: K, value: V) -> Words {
    Words { key: Word::encode(key), value: Word::encode(value) }
}

/// The row that a leaf has.
///
/// # Safety
/// The row is of a map of these types, and its leaf and itself outlive `'a`.
#[inline(always)]
pub(super) unsafe fn view<'a, K: 'static, V: 'static>(found: &Found) -> RowRef<'a, K, V> {
    // SAFETY: the caller's promise, throughout.
    unsafe {
        let word = *found.key;
        if are_inline::<K, V>() {
            RowRef { key: value::view(found.key), value: value::view(found.value), word }
        } else {
            let row = &*word.header().cast::<Row<K, V>>();
            RowRef { key: &row.key, value: &row.value, word }
        }
    }
}

/// The key of a row, from its first word.
///
/// # Safety
/// As for [`view`].
#[inline(always)]
pub(super) unsafe fn key_of<'a, K: 'static, V: 'static>(word: *const Word) -> &'a K {
    // SAFETY: the caller's promise, throughout.
    unsafe { if are_inline::<K, V>() { value::view(word) } else { &(*(*word).header().cast::<Row<K, V>>()).key } }
}

unsafe fn free<K, V>(header: *mut Header) {
    // SAFETY: gives up a count that `give` made.
    drop(unsafe { Arc::from_raw(header.cast::<Row<K, V>>()) });
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
        // SAFETY: the caller's promise.
        unsafe { self.find_among::<K, V>(tree) }.0
    }

    /// The same, and whether other rows may have its number.
    ///
    /// # Safety
    /// As for [`Sought::find`].
    #[inline(always)]
    pub(super) unsafe fn find_among<K: 'static, V: 'static>(&self, tree: &Tree) -> (Option<Found>, bool)
    where
        C: Fn(&K) -> Ordering,
    {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            match self.kind {
                Kind::Ordered => {
                    let last = tree.last_of(&NotGreater(|number, key: &Word| self.is_reached::<K, V>(number, key)));
                    (last.filter(|last| self.matches::<K, V>(last)), true)
                }
                Kind::Exact => (tree.last_of(&Number(self.number)).filter(|last| last.number == self.number), false),
                Kind::Hash => match tree.last_of(&Number(self.number)).filter(|last| last.number == self.number) {
                    None => (None, false),
                    Some(last) if self.matches::<K, V>(&last) => (Some(last), !last.alone),
                    Some(_) => (self.spot::<K, V>(tree).found, true),
                },
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
                Kind::Ordered => tree.floor(&NotGreater(|number, key: &Word| self.is_reached::<K, V>(number, key))),
                Kind::Exact | Kind::Hash => tree.floor(&Number(self.number)),
            };
            let (mut at, mut last) = (floor.rank, floor.last);
            while let Some(found) = last.filter(|found| found.number == self.number) {
                if self.matches::<K, V>(&found) {
                    return Spot { rank: at - 1, found: Some(found) };
                }
                if self.kind != Kind::Hash {
                    break;
                }
                // Another key of the same hash.
                at -= 1;
                // Which has company: the one after it.
                last = at.checked_sub(1).map(|before| Found { alone: false, ..tree.row_at(before) });
            }
            Spot { rank: floor.rank, found: None }
        }
    }

    /// Whether a row is the one that is sought, or before it.
    #[inline(always)]
    unsafe fn is_reached<K: 'static, V: 'static>(&self, number: u64, key: &Word) -> bool
    where
        C: Fn(&K) -> Ordering,
    {
        // SAFETY: the caller's promise.
        number < self.number
            || (number == self.number && (self.compare)(unsafe { key_of::<K, V>(key) }) != Ordering::Greater)
    }

    /// Whether a row with the number that is sought has the key.
    #[inline(always)]
    unsafe fn matches<K: 'static, V: 'static>(&self, found: &Found) -> bool
    where
        C: Fn(&K) -> Ordering,
    {
        // SAFETY: the caller's promise.
        found.number == self.number
            && (self.kind == Kind::Exact || (self.compare)(unsafe { key_of::<K, V>(found.key) }) == Ordering::Equal)
    }
}
