//! The bounded queue.

use super::slot::Slot;
use crate::sync::{Arc, OnceLock};
use crate::{Space, Stm, TVar, Tx, View};
use std::fmt;

/// Slots that are made at once.
const BLOCK: usize = 32;
/// Blocks whose places are made at once.
const GROUP: usize = 1024;
/// Indices and laps are the two halves of a position.
const MOST: usize = u32::MAX as usize;

/// A queue with room for a fixed number of items, first in, first out (§6.3); a cheap handle, clones are the same queue.
///
/// Whoever writes blocks while it is full. Whoever writes and whoever reads touch different variables: one producer and one consumer
/// conflict only when the one finds it full or the other finds it empty. Producers conflict with each other, and so do consumers. Items need no `Clone`: what is read is a reference that lives as long as the transaction, and the item is dropped soon after the
/// commit (§1.7).
///
/// *Costs*: two variables read and two written per operation; for items that are numbers, `bool` or `char`, which variables keep without a box, a third one, and no memory is asked for. The slots are variables that are made when they are first needed, 32 at a time, and used again and again: a large
/// capacity costs nothing until it is used.
///
/// ```
/// use tvar::{TBoundedQueue, atomically};
/// let queue = TBoundedQueue::new(2);
/// std::thread::scope(|s| {
///     s.spawn(|| (0..100).for_each(|n| atomically(|tx| queue.write(tx, n))));
///     let sum: u32 = (0..100).map(|_| atomically(|tx| queue.read(tx).copied())).sum();
///     assert_eq!(sum, 4950);
/// });
/// ```
pub struct TBoundedQueue<T> {
    ring: Arc<Ring<T>>,
}

/// A slot for each item: full from the head to the tail, empty elsewhere (Q5).
struct Ring<T> {
    head: TVar<u64>,
    tail: TVar<u64>,
    capacity: usize,
    groups: Box<[OnceLock<Group<T>>]>,
}

type Group<T> = Box<[OnceLock<Block<T>>]>;
type Block<T> = Box<[Slot<T>]>;

/// The slot of a position.
fn index(position: u64) -> usize {
    position as u32 as usize
}

/// Makes what is not there yet. Nothing runs while the place is being filled, so nobody waits for anybody (Q6).
fn get_or_make<X>(place: &OnceLock<X>, make: impl FnOnce() -> X) -> &X {
    if let Some(made) = place.get() {
        return made;
    }
    // Whoever comes second drops its own.
    let _ = place.set(make());
    place.get().expect("it has just been made")
}

impl<T: Send + Sync + 'static> Ring<T> {
    /// The position after another: the lap in the upper half, the index in the lower, so that there is nothing to divide.
    #[inline]
    fn after(&self, position: u64) -> u64 {
        if index(position) + 1 == self.capacity { (position >> 32).wrapping_add(1) << 32 } else { position + 1 }
    }

    fn before(&self, position: u64) -> u64 {
        if index(position) > 0 {
            return position - 1;
        }
        (position >> 32).wrapping_sub(1) << 32 | (self.capacity - 1) as u64
    }

    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        let (block, at) = (index(position) / BLOCK, index(position) % BLOCK);
        let made = self.groups[block / GROUP].get().and_then(|group| group[block % GROUP].get());
        match made {
            Some(block) => &block[at],
            None => &self.make(block)[at],
        }
    }

    #[cold]
    fn make(&self, block: usize) -> &Block<T> {
        let blocks = self.capacity.div_ceil(BLOCK) - block / GROUP * GROUP;
        let group = || (0..blocks.min(GROUP)).map(|_| OnceLock::new()).collect();
        let place = &get_or_make(&self.groups[block / GROUP], group)[block % GROUP];
        let slots = (self.capacity - block * BLOCK).min(BLOCK);
        let space = self.head.space();
        get_or_make(place, || (0..slots).map(|_| Slot::new_in(&space)).collect())
    }

    /// How many items are between two positions.
    fn distance(&self, head: u64, tail: u64) -> usize {
        let laps = (tail >> 32).wrapping_sub(head >> 32) as u32 as usize;
        laps * self.capacity + index(tail) - index(head)
    }
}

impl<T: Send + Sync + 'static> TBoundedQueue<T> {
    /// A new, empty queue of the global space with room for so many items.
    ///
    /// # Panics
    /// When the capacity is zero, or more than `u32::MAX`.
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        Self::new_in(Space::global(), capacity)
    }

    /// A new, empty queue of a space with room for so many items.
    ///
    /// # Panics
    /// When the capacity is zero, or more than `u32::MAX`.
    ///
    /// ```should_panic
    /// use tvar::{Space, TBoundedQueue};
    /// TBoundedQueue::<u8>::new_in(&Space::new(), 0); // tvar: a bounded queue of capacity zero ...
    /// ```
    #[track_caller]
    pub fn new_in(space: &Space, capacity: usize) -> Self {
        assert!(capacity > 0, "tvar: a bounded queue of capacity zero could never take an item; give it room for one");
        assert!(
            capacity <= MOST,
            "tvar: a bounded queue has room for {MOST} items at most, not {capacity}; a TQueue has no bound"
        );
        let groups = (0..capacity.div_ceil(BLOCK * GROUP)).map(|_| OnceLock::new()).collect();
        let (head, tail) = (TVar::new_in(space, 0), TVar::new_in(space, 0));
        TBoundedQueue { ring: Arc::new(Ring { head, tail, capacity, groups }) }
    }

    /// Adds an item at the end; blocks while the queue is full, until an item is taken. Conflicts with other writers.
    ///
    /// # Errors
    /// The stop, while the queue is full; the item is dropped, and the closure makes it anew.
    #[doc(alias("push", "send", "enqueue"))]
    pub fn write(&self, tx: &Tx<'_>, item: T) -> Stm<()> {
        self.try_write(tx, item).or_else(|_| tx.retry())
    }

    /// Adds an item if there is room. That there is none counts as read.
    ///
    /// # Errors
    /// The item, if the queue is full.
    ///
    /// ```
    /// use tvar::{TBoundedQueue, atomically};
    /// let queue = TBoundedQueue::new(1);
    /// assert_eq!(atomically(|tx| Ok(queue.try_write(tx, 1))), Ok(()));
    /// assert_eq!(atomically(|tx| Ok(queue.try_write(tx, 2))), Err(2));
    /// ```
    pub fn try_write(&self, tx: &Tx<'_>, item: T) -> Result<(), T> {
        let tail = *tx.read(&self.ring.tail);
        let slot = self.ring.slot(tail);
        if slot.is_full(tx) {
            return Err(item);
        }
        slot.fill(tx, item);
        tx.write(&self.ring.tail, self.ring.after(tail));
        Ok(())
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
    pub fn try_read<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        let head = *tx.read(&self.ring.head);
        let slot = self.ring.slot(head);
        let item = slot.get(tx)?;
        slot.clear(tx);
        tx.write(&self.ring.head, self.ring.after(head));
        Some(item)
    }

    /// Takes all items out, in order. Never blocks. Conflicts with readers and writers; O(items).
    #[doc(alias("drain", "clear"))]
    pub fn flush<'a>(&'a self, tx: &'a Tx<'_>) -> Vec<&'a T> {
        let begin = *tx.read(&self.ring.head);
        let (mut head, mut items) = (begin, Vec::new());
        // A full ring ends where it begins: there the slot has just been cleared.
        while let Some(item) = self.ring.slot(head).get(tx) {
            self.ring.slot(head).clear(tx);
            items.push(item);
            head = self.ring.after(head);
        }
        if head != begin {
            tx.write(&self.ring.head, head);
        }
        items
    }

    /// The first item, which stays; blocks while there is none, like [`read`](TBoundedQueue::read).
    ///
    /// # Errors
    /// The stop, while the queue is empty.
    pub fn peek<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_peek(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// The first item, which stays, if there is one. In a transaction that writes, conflicts with readers, and with writers only if there is none.
    pub fn try_peek<'a>(&'a self, view: &'a impl View) -> Option<&'a T> {
        self.ring.slot(*view.read(&self.ring.head)).get(view)
    }

    /// Puts an item back: it is the first one now. Blocks while the queue is full. Conflicts with readers, and with writers only when the
    /// queue is full or has room for one.
    ///
    /// # Errors
    /// The stop, while the queue is full.
    ///
    /// ```
    /// use tvar::{TBoundedQueue, atomically};
    /// let queue = TBoundedQueue::new(3);
    /// atomically(|tx| queue.write(tx, 2));
    /// atomically(|tx| queue.unget(tx, 1));
    /// assert_eq!(atomically(|tx| Ok((*queue.read(tx)?, *queue.read(tx)?))), (1, 2));
    /// ```
    pub fn unget(&self, tx: &Tx<'_>, item: T) -> Stm<()> {
        let head = self.ring.before(*tx.read(&self.ring.head));
        let slot = self.ring.slot(head);
        tx.check(!slot.is_full(tx))?;
        slot.fill(tx, item);
        tx.write(&self.ring.head, head);
        Ok(())
    }

    /// Whether there is no item. Conflicts like [`try_peek`](TBoundedQueue::try_peek).
    pub fn is_empty(&self, view: &impl View) -> bool {
        self.try_peek(view).is_none()
    }

    /// Whether there is no room. In a transaction that writes, conflicts with writers, and with readers only if there is none.
    pub fn is_full(&self, view: &impl View) -> bool {
        self.ring.slot(*view.read(&self.ring.tail)).is_full(view)
    }

    /// How many items there are. O(1). Reads both ends: in a transaction that writes anything, conflicts with every reader and writer, and a retry
    /// after it is woken by both. [`is_empty`](TBoundedQueue::is_empty) and [`is_full`](TBoundedQueue::is_full) are gentler.
    pub fn len(&self, view: &impl View) -> usize {
        self.ring.distance(*view.read(&self.ring.head), *view.read(&self.ring.tail))
    }
}

impl<T> TBoundedQueue<T> {
    /// For how many items there is room in all.
    pub fn capacity(&self) -> usize {
        self.ring.capacity
    }

    /// Whether two handles are of the same queue.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.ring, &other.ring)
    }
}

impl<T> Clone for TBoundedQueue<T> {
    /// Another handle to the same queue.
    fn clone(&self) -> Self {
        TBoundedQueue { ring: self.ring.clone() }
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for TBoundedQueue<T> {
    /// Shows the capacity and the items as committed; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ring, snapshot) = (&*self.ring, self.ring.head.space().snapshot());
        let (head, tail) = (*snapshot.read(&ring.head), *snapshot.read(&ring.tail));
        let positions = std::iter::successors(Some(head), |position| Some(ring.after(*position)));
        let slots = positions.take(ring.distance(head, tail)).map(|position| ring.slot(position).get(&snapshot));
        let items: Vec<&T> = slots.flatten().collect();
        f.debug_struct("TBoundedQueue").field("capacity", &ring.capacity).field("items", &items).finish()
    }
}
