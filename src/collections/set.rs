//! The set.

use crate::map::Keys;
use crate::{Space, TMap, Tx, View};
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

/// A hash set in which transactions conflict per element, present or absent (§6.1); a cheap handle, clones are the same set.
///
/// A [`TMap`] without values, with the same promises and costs.
///
/// ```
/// use tvar::{TSet, atomically};
/// let guests: TSet<String> = TSet::new();
/// let news = atomically(|tx| Ok(["ada", "bob", "ada"].map(|name| guests.insert(tx, name.into()))));
/// assert_eq!(news, [true, true, false]);
/// assert!(atomically(|tx| Ok(guests.contains(tx, "bob"))));
/// ```
pub struct TSet<K> {
    map: TMap<K, ()>,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> TSet<K> {
    /// A new, empty set of the global space.
    pub fn new() -> Self {
        Self::new_in(Space::global())
    }

    /// A new, empty set of a space.
    pub fn new_in(space: &Space) -> Self {
        TSet { map: TMap::new_in(space) }
    }

    /// A new set of a space with these elements. Not a transaction; O(n log n).
    pub fn with_elements_in(space: &Space, elements: impl IntoIterator<Item = K>) -> Self {
        TSet { map: TMap::with_entries_in(space, elements.into_iter().map(|element| (element, ()))) }
    }

    /// Puts an element in; whether it was absent. It counts as read.
    pub fn insert(&self, tx: &Tx<'_>, element: K) -> bool {
        self.map.insert_new(tx, element, ())
    }

    /// Takes an element out; whether it was there. It counts as read.
    pub fn remove<Q>(&self, tx: &Tx<'_>, element: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.remove(tx, element).is_some()
    }

    /// Whether an element is there. In a transaction it counts as read, also if it is absent.
    pub fn contains<Q>(&self, view: &impl View, element: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.map.contains_key(view, element)
    }

    /// How many elements there are. In a transaction that writes, conflicts with any insert or removal (§6.2).
    pub fn len(&self, view: &impl View) -> usize {
        self.map.len(view)
    }

    /// Whether there are none. Conflicts like [`len`](TSet::len).
    pub fn is_empty(&self, view: &impl View) -> bool {
        self.map.is_empty(view)
    }

    /// All elements, in no particular order, of one version (§6.2). In a transaction that writes, conflicts with any change of the set.
    ///
    /// ```
    /// use tvar::{Space, TSet};
    /// let primes: TSet<u32> = [2, 3, 5, 7].into_iter().collect();
    /// assert_eq!(primes.iter(&Space::global().snapshot()).sum::<u32>(), 17);
    /// ```
    pub fn iter<'a>(&'a self, view: &'a impl View) -> Keys<'a, K, ()> {
        self.map.keys(view)
    }

    /// Takes all elements out. A blind write: what others put in meanwhile goes too. The commit is O(n).
    pub fn clear(&self, tx: &Tx<'_>) {
        self.map.clear(tx);
    }

    /// Whether two handles are of the same set.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.map.ptr_eq(&other.map)
    }
}

impl<K> Clone for TSet<K> {
    /// Another handle to the same set.
    fn clone(&self) -> Self {
        TSet { map: self.map.clone() }
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> Default for TSet<K> {
    fn default() -> Self {
        TSet::new()
    }
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static> FromIterator<K> for TSet<K> {
    /// A new set of the global space with these elements.
    fn from_iter<I: IntoIterator<Item = K>>(elements: I) -> Self {
        TSet::with_elements_in(Space::global(), elements)
    }
}

impl<K: Hash + Eq + Clone + fmt::Debug + Send + Sync + 'static> fmt::Debug for TSet<K> {
    /// Shows the elements as committed; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TSet ")?;
        f.debug_set().entries(self.iter(&self.map.space().snapshot())).finish()
    }
}
