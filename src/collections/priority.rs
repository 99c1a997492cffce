//! The priority queue.

use crate::sync::Arc;
use crate::sync::plain::{AtomicU64, Ordering};
use crate::{Space, Stm, TOrdMap, Tx, View};
use std::cmp::Reverse;
use std::fmt;

/// A queue that hands out the item of the greatest priority first (§6.3); a cheap handle, clones are the same queue.
///
/// Wrap priorities in [`Reverse`] to have the least first. Pushes never conflict with each other, whatever their priorities;
/// a push conflicts with who has looked at the first item only if its own comes before that. Takers conflict with each other.
///
/// Among items of *equal* priority the one whose `push` was called first comes first: in one transaction, and among transactions of which one has ended before the other
/// began. Where transactions overlap, their items of equal priority may come in any order, whichever commits first.
///
/// Priorities are cloned with their entries, items never. *Costs*: O(log n) comparisons of priorities per operation, as in [`TOrdMap`], in a loop of pops
/// as well; after pushes of the same transaction, to look at the first item or to take it out costs O(its pushes and pops) besides.
///
/// ```
/// use tvar::{TPriorityQueue, atomically};
/// let queue = TPriorityQueue::new();
/// atomically(|tx| {
///     for (priority, job) in [(1, "sweep"), (9, "put out the fire"), (1, "wash")] {
///         queue.push(tx, priority, job);
///     }
///     Ok(())
/// });
/// let next = || atomically(|tx| queue.pop(tx).map(|(_, job)| *job));
/// assert_eq!([next(), next(), next()], ["put out the fire", "sweep", "wash"]);
/// ```
pub struct TPriorityQueue<P, T> {
    entries: TOrdMap<Key<P>, T>,
    pushes: Arc<AtomicU64>,
}

/// The priority, and a number that no other push has (Q7). The first entry is the next item.
type Key<P> = (Reverse<P>, u64);

impl<P: Ord + Clone + Send + Sync + 'static, T: Send + Sync + 'static> TPriorityQueue<P, T> {
    /// A new, empty queue of the global space.
    pub fn new() -> Self {
        Self::new_in(Space::global())
    }

    /// A new, empty queue of a space.
    pub fn new_in(space: &Space) -> Self {
        Self::with_items_in(space, [])
    }

    /// A new queue of a space with these items. Not a transaction; O(n log n).
    pub fn with_items_in(space: &Space, items: impl IntoIterator<Item = (P, T)>) -> Self {
        let numbered = (0..).zip(items).map(|(number, (priority, item))| ((Reverse(priority), number), item));
        let entries: Vec<_> = numbered.collect();
        let pushes = Arc::new(AtomicU64::new(entries.len() as u64));
        TPriorityQueue { entries: TOrdMap::with_entries_in(space, entries), pushes }
    }

    /// Puts an item in. Never blocks. A blind write (§2.4): pushes conflict with no other push.
    #[doc(alias("insert", "write"))]
    pub fn push(&self, tx: &Tx<'_>, priority: P, item: T) {
        // ORDERING: Relaxed: the numbers are different, and those that one thread draws, or that are drawn in turn by threads that order
        // their transactions otherwise, ascend. Nothing is published by it.
        let number = self.pushes.fetch_add(1, Ordering::Relaxed);
        self.entries.upsert(tx, (Reverse(priority), number), item);
    }

    /// Takes the item of the greatest priority out; blocks while there is none, until one is pushed. Conflicts with takers, and with pushes that come before it.
    ///
    /// # Errors
    /// The stop, while the queue is empty.
    #[doc(alias("read"))]
    pub fn pop<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<(&'a P, &'a T)> {
        self.try_pop(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// Takes the item of the greatest priority out if there is one. That there is none counts as read.
    ///
    /// ```
    /// use std::cmp::Reverse;
    /// use tvar::{TPriorityQueue, atomically};
    /// let nearest: TPriorityQueue<Reverse<u32>, &str> = [(Reverse(12), "Rome"), (Reverse(3), "Ostia")].into_iter().collect();
    /// assert_eq!(atomically(|tx| Ok(nearest.try_pop(tx).map(|(_, town)| *town))), Some("Ostia"));
    /// ```
    pub fn try_pop<'a>(&'a self, tx: &'a Tx<'_>) -> Option<(&'a P, &'a T)> {
        self.entries.pop_first(tx).map(|((Reverse(priority), _), item)| (priority, item))
    }

    /// The item of the greatest priority, which stays; blocks while there is none, like [`pop`](TPriorityQueue::pop).
    ///
    /// # Errors
    /// The stop, while the queue is empty.
    pub fn peek<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<(&'a P, &'a T)> {
        self.try_peek(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// The item of the greatest priority, which stays, if there is one.
    pub fn try_peek<'a>(&'a self, view: &'a impl View) -> Option<(&'a P, &'a T)> {
        self.entries.first(view).map(|((Reverse(priority), _), item)| (priority, item))
    }

    /// How many items there are. In a transaction that writes, conflicts with every push and taker; as in [`TOrdMap::len`].
    pub fn len(&self, view: &impl View) -> usize {
        self.entries.len(view)
    }

    /// Whether there is no item. Conflicts like [`try_peek`](TPriorityQueue::try_peek), not like `len`.
    pub fn is_empty(&self, view: &impl View) -> bool {
        self.entries.first(view).is_none()
    }

    /// Takes all items out. A blind write: what others push meanwhile goes too. The commit is O(n).
    pub fn clear(&self, tx: &Tx<'_>) {
        self.entries.clear(tx);
    }

    /// Whether two handles are of the same queue.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.entries.ptr_eq(&other.entries)
    }
}

impl<P, T> Clone for TPriorityQueue<P, T> {
    /// Another handle to the same queue.
    fn clone(&self) -> Self {
        TPriorityQueue { entries: self.entries.clone(), pushes: self.pushes.clone() }
    }
}

impl<P: Ord + Clone + Send + Sync + 'static, T: Send + Sync + 'static> Default for TPriorityQueue<P, T> {
    fn default() -> Self {
        TPriorityQueue::new()
    }
}

impl<P: Ord + Clone + Send + Sync + 'static, T: Send + Sync + 'static> FromIterator<(P, T)> for TPriorityQueue<P, T> {
    /// A new queue of the global space with these items: see [`TPriorityQueue::with_items_in`].
    fn from_iter<I: IntoIterator<Item = (P, T)>>(items: I) -> Self {
        TPriorityQueue::with_items_in(Space::global(), items)
    }
}

impl<P, T> fmt::Debug for TPriorityQueue<P, T>
where
    P: Ord + Clone + Send + Sync + fmt::Debug + 'static,
    T: Send + Sync + fmt::Debug + 'static,
{
    /// Shows the committed items, the next one first; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TPriorityQueue ")?;
        let snapshot = self.entries.space().snapshot();
        let entries = self.entries.iter(&snapshot).map(|((Reverse(priority), _), item)| (priority, item));
        f.debug_list().entries(entries).finish()
    }
}
