//! Queues, barriers and the like, made of variables and maps (§6.3).
//!
//! All of them are cheap handles: clones are the same collection. What waits does so by [`Tx::retry`](crate::Tx::retry), so it composes
//! with alternatives and wakes nobody for nothing; its `try_` twin does not wait. They are built on what the crate offers to everybody: variables,
//! maps and transactions.

mod array;
mod barrier;
mod bounded;
mod broadcast;
mod chain;
mod mvar;
mod once;
mod priority;
mod queue;
mod semaphore;
mod set;
mod slot;

pub use array::TArray;
pub use barrier::{BarrierTicket, TBarrier};
pub use bounded::TBoundedQueue;
pub use broadcast::{TBroadcast, TReceiver};
pub use mvar::TMVar;
pub use once::TOnce;
pub use priority::TPriorityQueue;
pub use queue::TQueue;
pub use semaphore::TSemaphore;
pub use set::TSet;
