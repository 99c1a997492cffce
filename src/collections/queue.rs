//! The unbounded queue.

use super::chain::{End, chain};
use crate::sync::Arc;
use crate::{Space, Stm, Tx};
use std::fmt;

/// An unbounded queue, first in, first out (§6.3); a cheap handle, clones are the same queue.
///
/// Whoever writes and whoever reads touch different variables: one producer and one consumer conflict only when the consumer finds the
/// queue empty. Producers conflict with each other, and so do consumers: each has one place to work at. Items need no `Clone`: what is read is a reference that lives as long as
/// the transaction, and the item is dropped soon after the commit (§1.7); for items to keep use `T: Clone`, such as an `Arc`.
///
/// *Costs*: two variables read and two written per operation, and one variable made per item; nothing is ever copied or reversed. Items are
/// held in segments of 31.
///
/// ```
/// use tvar::{TQueue, atomically};
/// let jobs = TQueue::new();
/// std::thread::scope(|s| {
///     let worker = s.spawn(|| (0..3).map(|_| atomically(|tx| jobs.read(tx).cloned())).collect::<Vec<_>>());
///     atomically(|tx| Ok(jobs.write(tx, "sweep")));
///     atomically(|tx| {
///         jobs.write(tx, "wash");
///         jobs.write(tx, "iron");
///         Ok(())
///     });
///     assert_eq!(worker.join().unwrap(), ["sweep", "wash", "iron"]);
/// });
/// ```
pub struct TQueue<T> {
    ends: Arc<Ends<T>>,
}

struct Ends<T> {
    head: End<T>,
    tail: End<T>,
}

impl<T: Send + Sync + 'static> TQueue<T> {
    /// A new, empty queue of the global space.
    pub fn new() -> Self {
        Self::new_in(Space::global())
    }

    /// A new, empty queue of a space.
    pub fn new_in(space: &Space) -> Self {
        Self::with_items_in(space, [])
    }

    /// A new queue of a space with these items. Not a transaction; O(items).
    pub fn with_items_in(space: &Space, items: impl IntoIterator<Item = T>) -> Self {
        let (head, tail) = chain(space, items);
        TQueue { ends: Arc::new(Ends { head, tail }) }
    }

    /// Adds an item at the end. Never blocks; wakes who waits for it. Conflicts with other writers.
    #[doc(alias("push", "send", "enqueue"))]
    pub fn write(&self, tx: &Tx<'_>, item: T) {
        self.ends.tail.push(tx, item);
    }

    /// Takes the first item out; blocks while there is none, until one is written or put back. Conflicts with other readers.
    ///
    /// # Errors
    /// The stop, while the queue is empty.
    #[doc(alias("pop", "recv", "dequeue"))]
    pub fn read<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_read(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// Takes the first item out if there is one. That there is none counts as read.
    ///
    /// ```
    /// use tvar::{TQueue, atomically};
    /// let queue: TQueue<i32> = (1..=2).collect();
    /// let sum = atomically(|tx| {
    ///     let mut sum = 0;
    ///     while let Some(n) = queue.try_read(tx) {
    ///         sum += n;
    ///     }
    ///     Ok(sum)
    /// });
    /// assert_eq!(sum, 3);
    /// ```
    pub fn try_read<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        let head = &self.ends.head;
        head.find(tx).map(|found| head.take(tx, &found))
    }

    /// Takes all items out, in order. Never blocks. Conflicts with readers and writers; O(items).
    ///
    /// ```
    /// use tvar::{TQueue, atomically};
    /// let queue: TQueue<i32> = (1..=3).collect();
    /// assert_eq!(atomically(|tx| Ok(queue.flush(tx).into_iter().sum::<i32>())), 6);
    /// assert!(atomically(|tx| Ok(queue.is_empty(tx))));
    /// ```
    #[doc(alias("drain", "clear"))]
    pub fn flush<'a>(&'a self, tx: &'a Tx<'_>) -> Vec<&'a T> {
        self.ends.head.take_all(tx)
    }

    /// The first item, which stays; blocks while there is none, like [`read`](TQueue::read).
    ///
    /// # Errors
    /// The stop, while the queue is empty.
    pub fn peek<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_peek(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// The first item, which stays, if there is one. In a transaction that writes, conflicts with readers, and with writers only if there is none.
    pub fn try_peek<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        self.ends.head.find(tx).map(|found| found.item)
    }

    /// Puts an item back: it is the first one now. Never blocks; works at the readers' side, and conflicts with readers alone.
    ///
    /// ```
    /// use tvar::{TQueue, atomically};
    /// let queue: TQueue<i32> = (1..=2).collect();
    /// atomically(|tx| Ok(queue.unget(tx, 0)));
    /// assert_eq!(atomically(|tx| Ok(*queue.read(tx)?)), 0);
    /// ```
    pub fn unget(&self, tx: &Tx<'_>, item: T) {
        self.ends.head.put_back(tx, item);
    }

    /// Whether there is no item. Conflicts like [`try_peek`](TQueue::try_peek).
    pub fn is_empty(&self, tx: &Tx<'_>) -> bool {
        self.try_peek(tx).is_none()
    }
}

impl<T> TQueue<T> {
    /// Whether two handles are of the same queue.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ends, &other.ends)
    }
}

impl<T> Clone for TQueue<T> {
    /// Another handle to the same queue.
    fn clone(&self) -> Self {
        TQueue { ends: self.ends.clone() }
    }
}

impl<T: Send + Sync + 'static> Default for TQueue<T> {
    fn default() -> Self {
        TQueue::new()
    }
}

impl<T: Send + Sync + 'static> FromIterator<T> for TQueue<T> {
    /// A new queue of the global space with these items: see [`TQueue::with_items_in`].
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        TQueue::with_items_in(Space::global(), items)
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for TQueue<T> {
    /// Shows the items as committed; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TQueue ")?;
        f.debug_list().entries(self.ends.head.items(&self.ends.head.snapshot())).finish()
    }
}
