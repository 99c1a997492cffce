//! The guide: how to use the crate well, a page each.
//!
//! 1. [Transactions](transactions): variables, reading and writing, composing, failing.
//! 2. [Blocking](blocking): `retry`, alternatives, deadlines.
//! 3. [Threads and tasks](asynchronous): transactions as futures, cancellation, streams of values.
//! 4. [Choosing isolation](isolation): what the two levels promise, and what conflicts.
//! 5. [Maps](maps): conflicts per key, upserts, ranges, locks on keys.
//! 6. [Collections](collections): queues, broadcasts, priorities, semaphores, promises, barriers.
//! 7. [What to avoid](avoid): the mistakes that are easy to make, and what the crate says to them.
//! 8. [How it works](internals): the tree, the commit, the vacuum, the waiting.

#[doc = include_str!("../docs/guide/transactions.md")]
pub mod transactions {}

#[doc = include_str!("../docs/guide/blocking.md")]
pub mod blocking {}

#[doc = include_str!("../docs/guide/asynchronous.md")]
pub mod asynchronous {}

#[doc = include_str!("../docs/guide/isolation.md")]
pub mod isolation {}

#[doc = include_str!("../docs/guide/maps.md")]
pub mod maps {}

#[doc = include_str!("../docs/guide/collections.md")]
pub mod collections {}

#[doc = include_str!("../docs/guide/avoid.md")]
pub mod avoid {}

#[doc = include_str!("../docs/guide/internals.md")]
pub mod internals {}
