//! The ordered map.

use super::base;
use super::view::sealed::Source;
use super::{Entry, Iter, Keys, Range, Values, View};
use crate::attempt::{Patience, Stm};
use crate::lock::LockMode;
use crate::snapshot::Diff;
use crate::space::Space;
use crate::store::{Kind, MapVar, Sought, kind_of, number_of};
use crate::sync::time::Duration;
use crate::tx::Tx;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds, RangeInclusive};

/// An ordered map in which transactions conflict per key and per range read (§6.2); a cheap handle, clones are the same map.
///
/// Like [`TMap`](crate::TMap), and in order: [`range`](TOrdMap::range), [`first`](TOrdMap::first), [`pop_first`](TOrdMap::pop_first). What a range read
/// has come to is what it conflicts with: an entry that another transaction puts in there makes the reader's commit fail (no phantoms), one outside does not.
///
/// Keys are cloned into the read set where they are not integers. *Costs*: O(log₃₂ n) per operation; a search compares integers, and the first eight
/// bytes of strings, without looking at the keys themselves.
///
/// ```
/// use tvar::{TOrdMap, atomically};
/// let bids: TOrdMap<u64, &str> = TOrdMap::new();
/// atomically(|tx| {
///     for (price, who) in [(30, "bob"), (10, "ada"), (20, "cleo")] {
///         bids.upsert(tx, price, who);
///     }
///     assert_eq!(bids.last(tx), Some((&30, &"bob")));
///     assert_eq!(bids.range(tx, 10..30).map(|(price, _)| *price).collect::<Vec<_>>(), [10, 20]);
///     Ok(())
/// });
/// assert_eq!(atomically(|tx| Ok(bids.pop_first(tx).map(|(price, _)| *price))), Some(10));
/// ```
pub struct TOrdMap<K, V> {
    pub(super) map: MapVar<K, V>,
}

impl<K: Ord + Clone + Send + Sync + 'static, V: Send + Sync + 'static> TOrdMap<K, V> {
    /// A new, empty map of the global space.
    pub fn new() -> Self {
        Self::new_in(Space::global())
    }

    /// A new, empty map of the global space, with a name for errors and `Debug`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::named_in(Space::global(), name)
    }

    /// A new, empty map of a space.
    pub fn new_in(space: &Space) -> Self {
        Self::make(space, None, Vec::new())
    }

    /// A new, empty map of a space, with a name for errors and `Debug`.
    pub fn named_in(space: &Space, name: impl Into<String>) -> Self {
        Self::make(space, Some(name.into().into_boxed_str()), Vec::new())
    }

    /// A new map of a space with this content: of several entries with one key, the last. Not a transaction; O(n log n).
    pub fn with_entries_in(space: &Space, entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::make(space, None, entries.into_iter().map(|(key, value)| (number(&key), key, value)).collect())
    }

    fn make(space: &Space, name: Option<Box<str>>, rows: Vec<(u64, K, V)>) -> Self {
        let rows = base::last_of_each(rows, K::cmp, |a, b| a == b);
        TOrdMap { map: MapVar::new(&space.store, name, kind_of::<K>(), K::cmp, rows.into_iter()) }
    }

    /// What to look for.
    fn sought<'q, Q>(&self, key: &'q Q) -> Sought<impl Fn(&K) -> Ordering + use<'q, K, V, Q>>
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized + 'static,
    {
        let compare = move |other: &K| other.borrow().cmp(key);
        let number = number_of::<K, Q>(key).unwrap_or_else(|| number(&key.to_owned()));
        Sought { kind: self.map.kind, number, compare }
    }

    /// The value of a key: the transaction's own, or the view's (§6.1).
    ///
    /// Cannot fail, does not clone the value, never blocks. In a transaction the key counts as read, also if it is absent.
    #[inline]
    pub fn get<'a, Q>(&'a self, view: &'a impl View, key: &Q) -> Option<&'a V>
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized + 'static,
    {
        base::get(&self.map, view, &self.sought(key), || key.to_owned()).map(|row| row.value)
    }

    /// The key and the value of an entry.
    pub fn get_key_value<'a, Q>(&'a self, view: &'a impl View, key: &Q) -> Option<(&'a K, &'a V)>
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized + 'static,
    {
        let row = base::get(&self.map, view, &self.sought(key), || key.to_owned())?;
        Some((row.key, row.value))
    }

    /// Whether a key is there. In a transaction it counts as read, with its value.
    pub fn contains_key<Q>(&self, view: &impl View, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized + 'static,
    {
        self.get(view, key).is_some()
    }

    /// How many entries there are. O(1), or O(own writes); in a transaction that writes, conflicts with any insert or removal (§6.2).
    pub fn len(&self, view: &impl View) -> usize {
        base::len(&self.map, view)
    }

    /// Whether there are no entries. Conflicts like [`len`](TOrdMap::len).
    pub fn is_empty(&self, view: &impl View) -> bool {
        self.len(view) == 0
    }

    /// All entries, in the order of their keys, from both ends (§6.2): of one version, that of the snapshot and the transaction's own writes so
    /// far. In a transaction that writes, it conflicts with any change of the map; [`range`](TOrdMap::range) with what it has come to.
    pub fn iter<'a>(&'a self, view: &'a impl View) -> Iter<'a, K, V> {
        Iter(base::walk(&self.map, view))
    }

    /// All keys, in order; see [`iter`](TOrdMap::iter).
    pub fn keys<'a>(&'a self, view: &'a impl View) -> Keys<'a, K, V> {
        Keys(base::walk(&self.map, view))
    }

    /// All values, in the order of their keys; see [`iter`](TOrdMap::iter).
    pub fn values<'a>(&'a self, view: &'a impl View) -> Values<'a, K, V> {
        Values(base::walk(&self.map, view))
    }

    /// The entries in a range of keys, in order, from both ends (§6.2).
    ///
    /// What the iterator has come to is read, and nothing else: the commit conflicts with any insert, removal or change there, and with
    /// nothing outside. Some 5 ns per entry; O(log n + own writes) at the start.
    ///
    /// # Panics
    /// When the range begins after its end, or is empty with both ends excluded.
    ///
    /// ```
    /// use tvar::{TOrdMap, atomically};
    /// let events: TOrdMap<u32, &str> = [(5, "e"), (1, "a"), (3, "c")].into_iter().collect();
    /// let next = atomically(|tx| Ok(events.range(tx, 2..).next().map(|(at, _)| *at)));
    /// assert_eq!(next, Some(3));
    /// ```
    pub fn range<'a>(&'a self, view: &'a impl View, range: impl RangeBounds<K>) -> Range<'a, K, V> {
        let (low, high) = checked(&range);
        if let Source::Tx(tx) = view.source() {
            tx.attempt.map_will_read(&self.map, || numbers(&range));
        }
        // Its keys end before there are rows to return: if that panics, these would be left behind.
        drop(range);
        Range(base::walk_range(&self.map, view, low, high))
    }

    /// The entry with the smallest key. Conflicts with changes up to it.
    pub fn first<'a>(&'a self, view: &'a impl View) -> Option<(&'a K, &'a V)> {
        self.range(view, ..).next()
    }

    /// The entry with the greatest key. Conflicts with changes from it on.
    pub fn last<'a>(&'a self, view: &'a impl View) -> Option<(&'a K, &'a V)> {
        self.range(view, ..).next_back()
    }

    /// Takes the entry with the smallest key out. O(log n), in a loop as well; after other writes of the transaction to the map O(log n + own writes).
    pub fn pop_first<'a>(&'a self, tx: &'a Tx<'_>) -> Option<(&'a K, &'a V)> {
        tx.attempt.map_will_write_any(&self.map);
        let row = base::walk_range(&self.map, tx, Bound::Unbounded, Bound::Unbounded).next_front()?;
        tx.attempt.map_remove(&self.map, number(row.key), row);
        Some((row.key, row.value))
    }

    /// Takes the entry with the greatest key out. O(log n), in a loop as well; after other writes of the transaction to the map O(log n + own writes).
    pub fn pop_last<'a>(&'a self, tx: &'a Tx<'_>) -> Option<(&'a K, &'a V)> {
        tx.attempt.map_will_write_any(&self.map);
        let row = base::walk_range(&self.map, tx, Bound::Unbounded, Bound::Unbounded).next_back()?;
        tx.attempt.map_remove(&self.map, number(row.key), row);
        Some((row.key, row.value))
    }

    /// Puts a value in; the value that was there before. The key counts as read.
    pub fn insert<'a>(&'a self, tx: &'a Tx<'_>, key: K, value: V) -> Option<&'a V> {
        base::insert(&self.map, tx, number(&key), key, value)
    }

    /// Puts a value in if the key is absent; whether it was. The key counts as read; see [`TMap::insert_new`](crate::TMap::insert_new).
    pub fn insert_new(&self, tx: &Tx<'_>, key: K, value: V) -> bool {
        base::insert_new(&self.map, tx, number(&key), key, value)
    }

    /// Gives a key a value, whatever was there: a blind write, which conflicts with nobody (§2.4) but who has read the key.
    pub fn upsert(&self, tx: &Tx<'_>, key: K, value: V) {
        tx.attempt.map_put(&self.map, number(&key), key, value);
    }

    /// Gives a key that is absent at the commit a value, and one that is there a function of its newest value (§4.5); see
    /// [`TMap::upsert_with`](crate::TMap::upsert_with).
    ///
    /// # Panics
    /// The commit panics when `f` does on a value that is current; nothing is published then.
    pub fn upsert_with(&self, tx: &Tx<'_>, key: K, initial: V, f: impl Fn(&V) -> V + Send + Sync + 'static) {
        tx.attempt.map_merge(&self.map, number(&key), key, initial, f);
    }

    /// Takes an entry out; its value. The key counts as read.
    pub fn remove<'a, Q>(&'a self, tx: &'a Tx<'_>, key: &Q) -> Option<&'a V>
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized + 'static,
    {
        let row = base::remove(&self.map, tx, &self.sought(key), || key.to_owned())?;
        Some(row.value)
    }

    /// Replaces the value of a key by a function of it; whether the key is there. A read and a write. The function may use the transaction.
    ///
    /// # Panics
    /// With `f`'s own panic.
    pub fn modify<Q>(&self, tx: &Tx<'_>, key: &Q, f: impl FnOnce(&V) -> V) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ToOwned<Owned = K> + ?Sized + 'static,
    {
        tx.attempt.map_modify(&self.map, &self.sought(key), || key.to_owned(), f)
    }

    /// One entry, present or not.
    pub fn entry<'a>(&'a self, tx: &'a Tx<'_>, key: K) -> Entry<'a, K, V> {
        base::entry(&self.map, tx, number(&key), key)
    }

    /// Locks a key, whether it has an entry or not (§5.5); see [`TMap::lock_key`](crate::TMap::lock_key).
    ///
    /// What is locked is the key's number: that of an integer, `bool` or `char` is its own; strings and byte vectors that begin with the same eight bytes
    /// are locked together, and so are all keys of any other type.
    ///
    /// # Errors
    /// The stop, as [`Tx::lock`].
    pub fn lock_key(&self, tx: &Tx<'_>, key: &K, mode: LockMode) -> Stm<()> {
        self.lock_numbers(tx, number(key)..=number(key), mode, Patience::Until(None)).map(|_| ())
    }

    /// Locks a key if that needs no wait; whether it did.
    ///
    /// # Errors
    /// The stop, as [`Tx::try_lock`].
    pub fn try_lock_key(&self, tx: &Tx<'_>, key: &K, mode: LockMode) -> Stm<bool> {
        self.lock_numbers(tx, number(key)..=number(key), mode, Patience::None)
    }

    /// Locks a key, waiting no longer than `limit`; whether it did.
    ///
    /// # Errors
    /// The stop, as [`Tx::lock_for`].
    pub fn lock_key_for(&self, tx: &Tx<'_>, key: &K, mode: LockMode, limit: Duration) -> Stm<bool> {
        self.lock_numbers(tx, number(key)..=number(key), mode, base::within(limit))
    }

    /// Locks all keys in a range, whether they have entries or not (§5.5): from here to the end of the transaction nobody else commits an insert, a
    /// removal or a change in there. As exact as the numbers of the keys: see [`lock_key`](TOrdMap::lock_key).
    ///
    /// # Panics
    /// As [`range`](TOrdMap::range).
    ///
    /// # Errors
    /// The stop, as [`Tx::lock`].
    ///
    /// ```
    /// use tvar::{LockMode, TOrdMap, atomically};
    /// let seats: TOrdMap<u32, &str> = [(10, "bob")].into_iter().collect();
    /// let seat = atomically(|tx| {
    ///     seats.lock_range(tx, 10..20, LockMode::Exclusive)?;
    ///     let free = (10..20).find(|seat| !seats.contains_key(tx, seat));
    ///     free.iter().for_each(|seat| seats.upsert(tx, *seat, "ada"));
    ///     Ok(free)
    /// });
    /// assert_eq!(seat, Some(11));
    /// ```
    pub fn lock_range(&self, tx: &Tx<'_>, range: impl RangeBounds<K>, mode: LockMode) -> Stm<()> {
        self.lock_numbers(tx, numbers(&range), mode, Patience::Until(None)).map(|_| ())
    }

    /// Locks a range if that needs no wait; whether it did.
    ///
    /// # Panics
    /// As [`range`](TOrdMap::range).
    ///
    /// # Errors
    /// The stop, as [`Tx::try_lock`].
    pub fn try_lock_range(&self, tx: &Tx<'_>, range: impl RangeBounds<K>, mode: LockMode) -> Stm<bool> {
        self.lock_numbers(tx, numbers(&range), mode, Patience::None)
    }

    /// Locks a range, waiting no longer than `limit`; whether it did.
    ///
    /// # Panics
    /// As [`range`](TOrdMap::range).
    ///
    /// # Errors
    /// The stop, as [`Tx::lock_for`].
    pub fn lock_range_for(
        &self,
        tx: &Tx<'_>,
        range: impl RangeBounds<K>,
        mode: LockMode,
        limit: Duration,
    ) -> Stm<bool> {
        self.lock_numbers(tx, numbers(&range), mode, base::within(limit))
    }

    fn lock_numbers(&self, tx: &Tx<'_>, numbers: RangeInclusive<u64>, mode: LockMode, patience: Patience) -> Stm<bool> {
        if numbers.is_empty() {
            return Ok(true);
        }
        tx.attempt.map_lock(&self.map, numbers.into_inner(), mode, patience)
    }

    /// Takes all entries out. A blind write: what others put in meanwhile goes too. The commit is O(n).
    pub fn clear(&self, tx: &Tx<'_>) {
        tx.attempt.map_clear(&self.map);
    }

    /// Whether anything in the map was written between the two snapshots of a [`Diff`]; see [`TMap::changed`](crate::TMap::changed).
    ///
    /// # Panics
    /// When the map is of another space.
    pub fn changed(&self, diff: &Diff) -> bool {
        diff.has(&self.map.var)
    }

    /// The name that the map was given.
    pub fn name(&self) -> Option<&str> {
        self.map.var.name()
    }

    /// The space that it belongs to.
    pub fn space(&self) -> Space {
        base::space(&self.map)
    }

    /// Whether two handles are of the same map.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.map.var.same(&other.map.var)
    }
}

fn number<K: 'static>(key: &K) -> u64 {
    number_of::<K, K>(key).expect("a key has a number")
}

/// The numbers of the keys in a range: no others, if no two keys have the same.
fn numbers<K: Ord + Clone + 'static>(range: &impl RangeBounds<K>) -> RangeInclusive<u64> {
    let (low, high) = checked(range);
    let (first, last) = match kind_of::<K>() {
        Kind::Exact => (1, 1),
        Kind::Hash | Kind::Ordered => (0, 0),
    };
    let none = RangeInclusive::new(1, 0);
    let low = match low {
        Bound::Unbounded => Some(0),
        Bound::Included(key) => Some(number(&key)),
        Bound::Excluded(key) => number(&key).checked_add(first),
    };
    let high = match high {
        Bound::Unbounded => Some(u64::MAX),
        Bound::Included(key) => Some(number(&key)),
        Bound::Excluded(key) => number(&key).checked_sub(last),
    };
    match (low, high) {
        (Some(low), Some(high)) => low..=high,
        _ => none,
    }
}

/// The ends of a range that begins before it ends.
fn checked<K: Ord + Clone>(range: &impl RangeBounds<K>) -> (Bound<K>, Bound<K>) {
    let (low, high) = (range.start_bound(), range.end_bound());
    if let (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) = (low, high) {
        let both_excluded = matches!((low, high), (Bound::Excluded(_), Bound::Excluded(_)));
        assert!(
            from < to || (from == to && !both_excluded),
            "tvar: a range of keys begins after its end, or excludes the one key that it has"
        );
    }
    (low.cloned(), high.cloned())
}

impl<K, V> Clone for TOrdMap<K, V> {
    fn clone(&self) -> Self {
        TOrdMap { map: self.map.clone() }
    }
}

impl<K: Ord + Clone + Send + Sync + 'static, V: Send + Sync + 'static> Default for TOrdMap<K, V> {
    fn default() -> Self {
        TOrdMap::new()
    }
}

impl<K: Ord + Clone + Send + Sync + 'static, V: Send + Sync + 'static> FromIterator<(K, V)> for TOrdMap<K, V> {
    /// A new map of the global space with this content: see [`TOrdMap::with_entries_in`].
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        TOrdMap::with_entries_in(Space::global(), entries)
    }
}

impl<K, V> fmt::Debug for TOrdMap<K, V>
where
    K: Clone + Send + Sync + fmt::Debug + 'static,
    V: Send + Sync + fmt::Debug + 'static,
{
    /// Shows the name and the newest committed entries; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base::debug(&self.map, "TOrdMap", f)
    }
}

// A panic in a transaction rolls it back and leaves no half of it behind (§2.8).
impl<K, V> std::panic::UnwindSafe for TOrdMap<K, V> {}
impl<K, V> std::panic::RefUnwindSafe for TOrdMap<K, V> {}
