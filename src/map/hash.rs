//! The hash map.

use super::base;
use super::{Entry, Iter, Keys, Values, View};
use crate::attempt::{Patience, Stm};
use crate::lock::LockMode;
use crate::snapshot::Diff;
use crate::space::Space;
use crate::store::{Kind, MapVar, Sought, compare_by_eq};
use crate::sync::time::Duration;
use crate::tx::Tx;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

/// A hash map in which transactions conflict per key, present or absent (§6.1); a cheap handle, clones are the same map.
///
/// Two transactions that touch different keys never conflict, whatever they insert or remove. Reads give references and see
/// the transaction's own writes; they work on a [`Snapshot`](crate::Snapshot) as well ([`View`]). [`upsert`](TMap::upsert) conflicts with nobody;
/// [`upsert_with`](TMap::upsert_with) neither, and depends on what is there at the commit. Iteration and [`len`](TMap::len) are of one version, never
/// abort, and in a transaction that writes they conflict with any insert or removal (§6.2). A retry that has read keys sleeps until one of
/// them has changed.
///
/// Keys are cloned when the value of an entry is replaced in place ([`modify`](TMap::modify)). *Costs*: O(log₃₂ n) per operation, some 100 ns for a
/// lookup among 100,000; a commit copies the path to each entry that it writes. The entries lie in a B+ tree by hash; keys of the same hash
/// are told apart by `Eq`, but count as one where conflicts and [locks](TMap::lock_key) are concerned.
///
/// ```
/// use tvar::{TMap, atomically};
/// let stock: TMap<String, u32> = TMap::new();
/// atomically(|tx| {
///     stock.insert(tx, "apples".into(), 3);
///     stock.insert(tx, "pears".into(), 5);
///     Ok(())
/// });
/// let sold = atomically(|tx| Ok(stock.modify(tx, "apples", |n| n - 1)));
/// assert!(sold);
/// assert_eq!(atomically(|tx| Ok(stock.values(tx).sum::<u32>())), 7);
/// ```
pub struct TMap<K, V, S = RandomState> {
    pub(super) map: MapVar<K, V>,
    hasher: S,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, V: Send + Sync + 'static> TMap<K, V> {
    /// A new, empty map of the global space.
    pub fn new() -> Self {
        Self::with_hasher_in(Space::global(), RandomState::new())
    }

    /// A new, empty map of the global space, with a name for errors and `Debug`.
    pub fn named(name: impl Into<String>) -> Self {
        Self::named_in(Space::global(), name)
    }

    /// A new, empty map of a space.
    pub fn new_in(space: &Space) -> Self {
        Self::with_hasher_in(space, RandomState::new())
    }

    /// A new, empty map of a space, with a name for errors and `Debug`.
    pub fn named_in(space: &Space, name: impl Into<String>) -> Self {
        Self::make(space, Some(name.into().into_boxed_str()), RandomState::new(), Vec::new())
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, V: Send + Sync + 'static, S: BuildHasher> TMap<K, V, S> {
    /// A new, empty map of a space that hashes with `hasher`.
    ///
    /// A hasher that an attacker can foresee makes keys of one hash possible, which are searched one by one.
    pub fn with_hasher_in(space: &Space, hasher: S) -> Self {
        Self::make(space, None, hasher, Vec::new())
    }

    /// A new map of a space with this content: of several entries with one key, the last. Not a transaction; O(n log n).
    ///
    /// ```
    /// use tvar::{Space, TMap};
    /// let squares: TMap<u32, u32> = TMap::with_entries_in(Space::global(), (0..10).map(|n| (n, n * n)));
    /// assert_eq!(squares.get(&Space::global().snapshot(), &3), Some(&9));
    /// ```
    pub fn with_entries_in(space: &Space, entries: impl IntoIterator<Item = (K, V)>) -> Self
    where
        S: Default,
    {
        let hasher = S::default();
        let rows = entries.into_iter().map(|(key, value)| (hasher.hash_one(&key), key, value)).collect();
        Self::make(space, None, hasher, rows)
    }

    fn make(space: &Space, name: Option<Box<str>>, hasher: S, rows: Vec<(u64, K, V)>) -> Self {
        let rows = base::last_of_each(rows, |_, _| Ordering::Equal, |a, b| a == b);
        TMap { map: MapVar::new(&space.store, name, Kind::Hash, compare_by_eq::<K>, rows.into_iter()), hasher }
    }

    /// What to look for.
    #[inline]
    fn sought<'q, Q>(&self, key: &'q Q) -> Sought<impl Fn(&K) -> Ordering + use<'q, K, V, S, Q>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let compare = move |other: &K| if other.borrow() == key { Ordering::Equal } else { Ordering::Less };
        Sought { kind: Kind::Hash, number: self.hasher.hash_one(key), compare }
    }

    /// The value of a key: the transaction's own, or the view's (§6.1).
    ///
    /// Cannot fail, does not clone, never blocks. In a transaction the key counts as read, also if it is absent.
    ///
    /// ```
    /// use tvar::{TMap, atomically};
    /// let ages: TMap<&str, u8> = TMap::new();
    /// atomically(|tx| {
    ///     ages.insert(tx, "ada", 36);
    ///     assert_eq!((ages.get(tx, "ada"), ages.get(tx, "bob")), (Some(&36), None));
    ///     Ok(())
    /// });
    /// ```
    #[inline]
    pub fn get<'a, Q>(&'a self, view: &'a impl View, key: &Q) -> Option<&'a V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        base::get(&self.map, view, &self.sought(key), || unreachable!("hashes tell keys")).map(|row| row.value)
    }

    /// The key and the value of an entry.
    pub fn get_key_value<'a, Q>(&'a self, view: &'a impl View, key: &Q) -> Option<(&'a K, &'a V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let row = base::get(&self.map, view, &self.sought(key), || unreachable!("hashes tell keys"))?;
        Some((row.key, row.value))
    }

    /// Whether a key is there. In a transaction it counts as read, with its value.
    pub fn contains_key<Q>(&self, view: &impl View, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.get(view, key).is_some()
    }

    /// How many entries there are. O(1), or O(own writes); in a transaction that writes, conflicts with any insert or removal (§6.2).
    pub fn len(&self, view: &impl View) -> usize {
        base::len(&self.map, view)
    }

    /// Whether there are no entries. Conflicts like [`len`](TMap::len).
    pub fn is_empty(&self, view: &impl View) -> bool {
        self.len(view) == 0
    }

    /// All entries, in no particular order (§6.2).
    ///
    /// Of one version, that of the snapshot and the transaction's own writes so far; beside writers it neither blocks nor aborts. In a transaction that writes, it conflicts
    /// with any change of the map. Some 5 ns per entry, O(own writes) at the start.
    ///
    /// ```
    /// use tvar::{TMap, atomically};
    /// let stock: TMap<&str, u32> = [("apples", 3), ("pears", 5)].into_iter().collect();
    /// let total: u32 = atomically(|tx| Ok(stock.iter(tx).map(|(_, n)| n).sum()));
    /// assert_eq!(total, 8);
    /// ```
    pub fn iter<'a>(&'a self, view: &'a impl View) -> Iter<'a, K, V> {
        Iter(base::walk(&self.map, view))
    }

    /// All keys; see [`iter`](TMap::iter).
    pub fn keys<'a>(&'a self, view: &'a impl View) -> Keys<'a, K, V> {
        Keys(base::walk(&self.map, view))
    }

    /// All values; see [`iter`](TMap::iter).
    pub fn values<'a>(&'a self, view: &'a impl View) -> Values<'a, K, V> {
        Values(base::walk(&self.map, view))
    }

    /// Puts a value in; the value that was there before. The key counts as read.
    pub fn insert<'a>(&'a self, tx: &'a Tx<'_>, key: K, value: V) -> Option<&'a V> {
        base::insert(&self.map, tx, self.hasher.hash_one(&key), key, value)
    }

    /// Puts a value in if the key is absent; whether it was. The key counts as read.
    ///
    /// Of concurrent ones with one new key, one succeeds and the others find the entry, without error and without
    /// litter (§6.1).
    ///
    /// ```
    /// use tvar::{TMap, atomically};
    /// let users: TMap<&str, u32> = TMap::new();
    /// assert!(atomically(|tx| Ok(users.insert_new(tx, "ada", 1))));
    /// assert!(!atomically(|tx| Ok(users.insert_new(tx, "ada", 2))));
    /// ```
    pub fn insert_new(&self, tx: &Tx<'_>, key: K, value: V) -> bool {
        base::insert_new(&self.map, tx, self.hasher.hash_one(&key), key, value)
    }

    /// Gives a key a value, whatever was there: a blind write, which conflicts with nobody (§2.4).
    pub fn upsert(&self, tx: &Tx<'_>, key: K, value: V) {
        tx.attempt.map_put(&self.map, self.hasher.hash_one(&key), key, value);
    }

    /// Gives a key that is absent at the commit a value, and one that is there a function of its newest value (§4.5): two of these never conflict.
    ///
    /// `initial` is used as it is, without `f`. `f` may run several times, on values that are not published in the end, so it must not fail on any, nor wait, nor
    /// run long. Reading the key afterwards
    /// in the same transaction makes it an ordinary read and write.
    ///
    /// # Panics
    /// The commit panics when `f` does on a value that is current; nothing is published then.
    ///
    /// ```
    /// use tvar::{TMap, atomically};
    /// let hits: TMap<&str, u64> = TMap::new();
    /// for page in ["/", "/about", "/"] {
    ///     atomically(|tx| Ok(hits.upsert_with(tx, page, 1, |n| n + 1)));
    /// }
    /// assert_eq!(atomically(|tx| Ok(hits.get(tx, "/").copied())), Some(2));
    /// ```
    pub fn upsert_with(&self, tx: &Tx<'_>, key: K, initial: V, f: impl Fn(&V) -> V + Send + Sync + 'static) {
        tx.attempt.map_merge(&self.map, self.hasher.hash_one(&key), key, initial, f);
    }

    /// Takes an entry out; its value. The key counts as read.
    pub fn remove<'a, Q>(&'a self, tx: &'a Tx<'_>, key: &Q) -> Option<&'a V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let row = base::remove(&self.map, tx, &self.sought(key), || unreachable!("hashes tell keys"))?;
        Some(row.value)
    }

    /// Replaces the value of a key by a function of it; whether the key is there. A read and a write. The function may use the transaction.
    ///
    /// # Panics
    /// With `f`'s own panic.
    pub fn modify<Q>(&self, tx: &Tx<'_>, key: &Q, f: impl FnOnce(&V) -> V) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        tx.attempt.map_modify(&self.map, &self.sought(key), || unreachable!("hashes tell keys"), f)
    }

    /// One entry, present or not.
    pub fn entry<'a>(&'a self, tx: &'a Tx<'_>, key: K) -> Entry<'a, K, V> {
        base::entry(&self.map, tx, self.hasher.hash_one(&key), key)
    }

    /// Locks a key, whether it has an entry or not (§5.5): a value lock, the promise of an upsert. From here to the end of the transaction
    /// nobody else commits a change of it, and its newest entry is what [`get`](TMap::get) gives.
    ///
    /// Like [`Tx::lock`] in all else: waits in line, is found by deadlock detection, is let go at the end, whatever that is; so what an aborted
    /// or panicked transaction had reserved is free for the next. Keys of one hash are locked together.
    ///
    /// # Errors
    /// The stop, as [`Tx::lock`].
    ///
    /// ```
    /// use tvar::{LockMode, TMap, atomically};
    /// let sessions: TMap<u64, String> = TMap::new();
    /// let made = atomically(|tx| {
    ///     sessions.lock_key(tx, &7, LockMode::Exclusive)?; // nobody else can make session 7 now
    ///     Ok(sessions.insert_new(tx, 7, "ada".into()))
    /// });
    /// assert!(made);
    /// ```
    pub fn lock_key<Q>(&self, tx: &Tx<'_>, key: &Q, mode: LockMode) -> Stm<()>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock(tx, key, mode, Patience::Until(None)).map(|_| ())
    }

    /// Locks a key if that needs no wait; whether it did.
    ///
    /// # Errors
    /// The stop, as [`Tx::try_lock`].
    pub fn try_lock_key<Q>(&self, tx: &Tx<'_>, key: &Q, mode: LockMode) -> Stm<bool>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock(tx, key, mode, Patience::None)
    }

    /// Locks a key, waiting no longer than `limit`; whether it did.
    ///
    /// # Errors
    /// The stop, as [`Tx::lock_for`].
    pub fn lock_key_for<Q>(&self, tx: &Tx<'_>, key: &Q, mode: LockMode, limit: Duration) -> Stm<bool>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock(tx, key, mode, base::within(limit))
    }

    fn lock<Q>(&self, tx: &Tx<'_>, key: &Q, mode: LockMode, patience: Patience) -> Stm<bool>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let number = self.hasher.hash_one(key);
        tx.attempt.map_lock(&self.map, (number, number), mode, patience)
    }

    /// Takes all entries out. A blind write: what others put in meanwhile goes too. The commit is O(n).
    pub fn clear(&self, tx: &Tx<'_>) {
        tx.attempt.map_clear(&self.map);
    }

    /// Whether anything in the map was written between the two snapshots of a [`Diff`]. O(log n) in the number of changes.
    ///
    /// # Panics
    /// When the map is of another space.
    ///
    /// ```
    /// use tvar::{Space, TMap, atomically};
    /// let stock: TMap<&str, u32> = TMap::new();
    /// let before = Space::global().snapshot();
    /// atomically(|tx| Ok(stock.upsert(tx, "apples", 3)));
    /// assert!(stock.changed(&before.diff(&Space::global().snapshot())));
    /// ```
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

impl<K, V, S: Clone> Clone for TMap<K, V, S> {
    fn clone(&self) -> Self {
        TMap { map: self.map.clone(), hasher: self.hasher.clone() }
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, V: Send + Sync + 'static> Default for TMap<K, V> {
    fn default() -> Self {
        TMap::new()
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, V: Send + Sync + 'static> FromIterator<(K, V)> for TMap<K, V> {
    /// A new map of the global space with this content: see [`TMap::with_entries_in`].
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        TMap::with_entries_in(Space::global(), entries)
    }
}

impl<K, V, S> fmt::Debug for TMap<K, V, S>
where
    K: Clone + Send + Sync + fmt::Debug + 'static,
    V: Send + Sync + fmt::Debug + 'static,
{
    /// Shows the name and the newest committed entries; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base::debug(&self.map, "TMap", f)
    }
}

// A panic in a transaction rolls it back and leaves no half of it behind (§2.8).
impl<K, V, S> std::panic::UnwindSafe for TMap<K, V, S> {}
impl<K, V, S> std::panic::RefUnwindSafe for TMap<K, V, S> {}
