//! Bounded queues of numbers that threads share: each library behind one trait, in the form that its documentation shows.

mod async_stm;
mod crossbeam;
mod fast_stm;
mod flume;
mod nothing;
mod tokio;
mod tvar;

pub use async_stm::AsyncRing;
pub use crossbeam::Crossbeam;
pub use fast_stm::Ring;
pub use flume::Flume;
pub use nothing::NoQueue;
pub use tokio::Tokio;
pub use tvar::Bounded;

/// A queue, first in, first out. A producer's part and a consumer's part are calls each, and not every item, so that what belongs to
/// a whole loop (a runtime, a handle of one's own) is not paid for by every item.
pub trait QueueEngine: 'static {
    /// The queue.
    type Queue: Send + Sync;

    /// An empty queue with room for so many.
    fn make(capacity: usize) -> Self::Queue;
    /// Puts these in, one after the other, and sleeps whenever there is no room. Each is a transaction, where there are transactions.
    fn send(queue: &Self::Queue, items: impl Iterator<Item = u64>);
    /// Takes items out, one after the other, until one is the `last`, and sleeps whenever there is none.
    fn receive(queue: &Self::Queue, last: impl FnMut(u64) -> bool);
}
