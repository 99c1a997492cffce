//! Committing: validation against the newest root, publication, wake-ups (C1 to C9, ARCHITECTURE.md, "Commit").
//!
//! The only user code that runs in here are merge functions and destructors.

mod backoff;
mod coalesce;
mod observer;
mod publish;
mod turn;

pub use backoff::Backoff;
pub(crate) use backoff::Pause;
pub(crate) use observer::{Defeat, Observer, Tally};
pub(crate) use publish::{Line, Outcome, Rules, Undisturbed, bump, commit, commit_undisturbed};
pub(crate) use turn::{Turn, Turnstile};

use crate::lock::{LockTable, Party, Place};
use crate::wait::Registry;

/// What a space keeps beside its tree.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) turnstile: Turnstile,
    pub(crate) locks: LockTable,
    pub(crate) observer: Observer,
}

impl Shared {
    /// Whether another transaction holds a lock that overlaps this place. To be asked after the base was loaded (L2).
    #[inline]
    pub(crate) fn is_locked_for(&self, party: Party, place: Place) -> bool {
        self.locks.any() && self.locks.is_foreign(party, place)
    }
}
