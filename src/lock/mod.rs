//! The lock table: pessimistic locks, kept apart from the data (L1 to L6, ARCHITECTURE.md, "Locks").
//!
//! This layer knows places (slots, and keys of maps by number) and parties; it never sees a value.

mod graph;
mod list;
mod mode;
mod place;
mod table;
#[cfg(all(test, not(tvar_loom)))]
mod tests;

pub use list::{LockInfo, LockParty};
pub(crate) use list::{LockWait, name_of};
pub use mode::LockMode;
pub(crate) use place::Place;
pub(crate) use table::{Answer, Asker, Cycle, LockTable, Outcome, Party};
