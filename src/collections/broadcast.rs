//! The broadcast and its receivers.

use super::chain::{End, chain};
use crate::sync::Arc;
use crate::{Space, Stm, Tx};
use std::fmt;

/// Sends every item to every receiver (§6.3); a cheap handle, clones are the same broadcast.
///
/// Receivers are made with [`subscribe`](TBroadcast::subscribe), and each sees all items that are written after that, in order. Writers conflict with
/// each other; a receiver conflicts with writers only when it finds nothing to read, and with other receivers never. There is no bound: a receiver that
/// is kept and not read keeps all items that it has not read.
///
/// Items are held in segments of 31: one lives until every receiver has begun a later segment than its own, or has gone; items of the newest segment
/// live on until there is another. *Costs*: two variables read and two written per operation, and one variable made per item, whatever the number of receivers.
///
/// ```
/// use tvar::{TBroadcast, atomically};
/// let news = TBroadcast::new();
/// let (ada, bob) = atomically(|tx| Ok((news.subscribe(tx), news.subscribe(tx))));
/// atomically(|tx| Ok(news.write(tx, "rain")));
/// let late = atomically(|tx| Ok(news.subscribe(tx)));
/// assert_eq!(atomically(|tx| ada.read(tx).copied()), "rain");
/// assert_eq!(atomically(|tx| bob.read(tx).copied()), "rain");
/// assert!(atomically(|tx| Ok(late.is_empty(tx))));
/// ```
pub struct TBroadcast<T> {
    tail: Arc<End<T>>,
}

/// One reader of a [`TBroadcast`]; a cheap handle, clones are the same receiver: each item goes to one of them.
///
/// For a receiver of its own see [`duplicate`](TReceiver::duplicate). A receiver outlives its broadcast, with what it has not read; then it blocks for ever, or, if nothing else
/// is read, its transaction panics where that is seen (§3.4).
///
/// ```
/// use tvar::{TBroadcast, atomically};
/// let news = TBroadcast::new();
/// let reader = atomically(|tx| Ok(news.subscribe(tx)));
/// std::thread::scope(|s| {
///     let first = s.spawn(|| atomically(|tx| reader.read(tx).copied()));
///     atomically(|tx| Ok(news.write(tx, 7)));
///     assert_eq!(first.join().unwrap(), 7);
/// });
/// ```
pub struct TReceiver<T> {
    head: Arc<End<T>>,
}

impl<T: Send + Sync + 'static> TBroadcast<T> {
    /// A new broadcast of the global space, without receivers.
    pub fn new() -> Self {
        Self::new_in(Space::global())
    }

    /// A new broadcast of a space, without receivers.
    pub fn new_in(space: &Space) -> Self {
        TBroadcast { tail: Arc::new(chain(space, []).1) }
    }

    /// Sends an item to all receivers that there are. Never blocks; wakes those that wait. Conflicts with other writers.
    #[doc(alias("send", "publish"))]
    pub fn write(&self, tx: &Tx<'_>, item: T) {
        self.tail.push(tx, item);
    }

    /// A new receiver, for the items that are written from here on, by this transaction too. In a transaction that writes anything, conflicts with writers.
    pub fn subscribe(&self, tx: &Tx<'_>) -> TReceiver<T> {
        TReceiver { head: Arc::new(self.tail.another(tx)) }
    }
}

impl<T: Send + Sync + 'static> TReceiver<T> {
    /// The next item; blocks while there is none, until one is written or put back.
    ///
    /// # Errors
    /// The stop, while there is none.
    #[doc(alias("recv", "pop"))]
    pub fn read<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_read(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// The next item if there is one. That there is none counts as read.
    pub fn try_read<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        self.head.find(tx).map(|found| self.head.pass(tx, &found))
    }

    /// The next item, which stays the next; blocks like [`read`](TReceiver::read).
    ///
    /// # Errors
    /// The stop, while there is none.
    pub fn peek<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_peek(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// The next item, which stays the next, if there is one.
    pub fn try_peek<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        self.head.find(tx).map(|found| found.item)
    }

    /// Puts an item before all others, for this receiver alone. Never blocks. Makes two variables.
    ///
    /// ```
    /// use tvar::{TBroadcast, atomically};
    /// let news = TBroadcast::new();
    /// let reader = atomically(|tx| Ok(news.subscribe(tx)));
    /// atomically(|tx| Ok(news.write(tx, 2)));
    /// atomically(|tx| Ok(reader.unget(tx, 1)));
    /// assert_eq!(atomically(|tx| Ok((*reader.read(tx)?, *reader.read(tx)?))), (1, 2));
    /// ```
    pub fn unget(&self, tx: &Tx<'_>, item: T) {
        self.head.put_back_apart(tx, item);
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self, tx: &Tx<'_>) -> bool {
        self.try_peek(tx).is_none()
    }

    /// A new receiver of the same broadcast that is where this one is: it will see all that this one has not read, items put back included.
    ///
    /// ```
    /// use tvar::{TBroadcast, atomically};
    /// let news = TBroadcast::new();
    /// let reader = atomically(|tx| Ok(news.subscribe(tx)));
    /// atomically(|tx| Ok(news.write(tx, 7)));
    /// let other = atomically(|tx| Ok(reader.duplicate(tx)));
    /// assert_eq!(atomically(|tx| Ok((*reader.read(tx)?, *other.read(tx)?))), (7, 7));
    /// ```
    pub fn duplicate(&self, tx: &Tx<'_>) -> TReceiver<T> {
        TReceiver { head: Arc::new(self.head.another(tx)) }
    }
}

impl<T> TBroadcast<T> {
    /// Whether two handles are of the same broadcast.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tail, &other.tail)
    }
}

impl<T> TReceiver<T> {
    /// Whether two handles are of the same receiver.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.head, &other.head)
    }
}

impl<T> Clone for TBroadcast<T> {
    /// Another handle to the same broadcast.
    fn clone(&self) -> Self {
        TBroadcast { tail: self.tail.clone() }
    }
}

impl<T> Clone for TReceiver<T> {
    /// Another handle to the same receiver.
    fn clone(&self) -> Self {
        TReceiver { head: self.head.clone() }
    }
}

impl<T: Send + Sync + 'static> Default for TBroadcast<T> {
    fn default() -> Self {
        TBroadcast::new()
    }
}

impl<T: Send + Sync + 'static> fmt::Debug for TBroadcast<T> {
    /// Shows how many items have been written; inside a transaction, as of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.tail.count(&self.tail.snapshot());
        f.debug_struct("TBroadcast").field("written", &written).finish_non_exhaustive()
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for TReceiver<T> {
    /// Shows the items that are yet to be read; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TReceiver ")?;
        f.debug_list().entries(self.head.items(&self.head.snapshot())).finish()
    }
}
