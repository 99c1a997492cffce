//! The bounded queue of this library.

use super::QueueEngine;
use ::tvar::{TBoundedQueue, atomically};

/// The bounded queue of this library.
#[derive(Debug)]
pub enum Bounded {}

impl QueueEngine for Bounded {
    type Queue = TBoundedQueue<u64>;

    fn make(capacity: usize) -> Self::Queue {
        TBoundedQueue::new(capacity)
    }

    fn send(queue: &Self::Queue, items: impl Iterator<Item = u64>) {
        for item in items {
            atomically(|tx| queue.write(tx, item));
        }
    }

    fn receive(queue: &Self::Queue, mut last: impl FnMut(u64) -> bool) {
        while !last(atomically(|tx| queue.read(tx).copied())) {}
    }
}
