//! Committing: validation against the newest root, publication, wake-ups (C1 to C9, ARCHITECTURE.md, "Commit").
//!
//! The only user code that runs in here are merge functions and destructors.

mod backoff;
mod coalesce;
mod publish;
mod turn;

pub use backoff::Backoff;
pub(crate) use backoff::Pause;
pub(crate) use publish::{Outcome, Rules, Undisturbed, bump, commit, commit_undisturbed};
pub(crate) use turn::{Turn, Turnstile};

use crate::wait::Registry;

/// What a space keeps beside its tree.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) turnstile: Turnstile,
}
