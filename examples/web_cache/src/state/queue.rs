//! A bounded queue: whoever writes to a full one or reads from an empty one sleeps.
//!
//! By hand, since `tvar::TBoundedQueue` tells its length in a transaction only, and the statistics ask a snapshot for it.

use tvar::{Space, Stm, TVar, Tx};

use super::look::Look;

/// A ring of variables. Writers and readers touch different ones unless it is full or empty, so they do not make each
/// other run again.
pub(crate) struct TBoundedQueue<T> {
    places: Box<[TVar<Option<T>>]>,
    written: TVar<u64>,
    read: TVar<u64>,
}

impl<T: Send + Sync + 'static> TBoundedQueue<T> {
    pub(crate) fn new_in(space: &Space, capacity: usize) -> Self {
        assert!(capacity > 0, "a queue without room");
        TBoundedQueue {
            places: (0..capacity).map(|n| TVar::named_in(space, format!("place {n} of the queue"), None)).collect(),
            written: TVar::named_in(space, "written to the queue", 0),
            read: TVar::named_in(space, "read from the queue", 0),
        }
    }

    /// Retries while the queue is full.
    pub(crate) fn write(&self, tx: &Tx<'_>, value: T) -> Stm<()> {
        let number = *tx.read(&self.written);
        let place = self.place(number);
        tx.check(tx.read(place).is_none())?;
        tx.write(place, Some(value));
        tx.write(&self.written, number + 1);
        Ok(())
    }

    /// Retries while the queue is empty.
    pub(crate) fn read<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        let number = *tx.read(&self.read);
        let place = self.place(number);
        let Some(value) = tx.read(place) else { return tx.retry() };
        tx.write(place, None);
        tx.write(&self.read, number + 1);
        Ok(value)
    }

    pub(crate) fn len(&self, view: &impl Look) -> u64 {
        view.value(&self.written) - view.value(&self.read)
    }

    fn place(&self, number: u64) -> &TVar<Option<T>> {
        &self.places[(number % self.places.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(capacity: usize) -> (Space, TBoundedQueue<u64>) {
        let space = Space::new();
        let queue = TBoundedQueue::new_in(&space, capacity);
        (space, queue)
    }

    #[test]
    fn first_in_first_out_and_never_more_than_there_is_room_for() {
        let (space, queue) = queue(3);
        let write = |n| space.atomically(|tx| tx.or_else(|tx| queue.write(tx, n).map(|()| true), |_| Ok(false)));
        let read = || space.atomically(|tx| tx.or_else(|tx| queue.read(tx).map(|n| Some(*n)), |_| Ok(None)));
        assert_eq!(read(), None);
        assert_eq!([1, 2, 3, 4].map(write), [true, true, true, false]);
        assert_eq!(queue.len(&space.snapshot()), 3);
        assert_eq!(read(), Some(1));
        assert!(write(5));
        assert_eq!([(); 4].map(|()| read()), [Some(2), Some(3), Some(5), None]);
        assert_eq!(queue.len(&space.snapshot()), 0);
    }

    #[test]
    fn writers_and_readers_sleep_and_wake_each_other() {
        let (space, queue) = queue(2);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..500).for_each(|n| space.atomically(|tx| queue.write(tx, n))));
            let read: Vec<u64> = (0..500).map(|_| space.atomically(|tx| queue.read(tx).copied())).collect();
            assert_eq!(read, (0..500).collect::<Vec<_>>());
        });
        assert_eq!(space.waiters(), 0);
    }
}
