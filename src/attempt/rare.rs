//! What few calls need: hooks, promoted reads, deadlines of alternatives, losses. Made on first use, so that all others
//! pay for one null pointer.

use super::access::Attempt;
use super::hooks::Hooks;
use super::locks::Locks;
use crate::commit::Pause;
use crate::sync::time::Instant;
use std::cell::{OnceCell, RefCell, RefMut};

/// The rare part of a call.
#[derive(Default)]
pub(super) struct Rare {
    pub(super) hooks: Hooks,
    pub(super) locks: Locks,
    /// Reads of the attempt promoted by `ensure`; the same as reads unless isolation is by snapshot.
    pub(super) ensured: Vec<u32>,
    /// The earliest deadline among the attempt's alternatives that are waiting.
    pub(super) wake_at: Option<Instant>,
    pub(super) pause: Pause,
    pub(super) history: History,
    /// The call is to be counted under its label.
    pub(super) observed: bool,
}

/// What a call has gone through.
#[derive(Clone, Copy, Default)]
pub(super) struct History {
    /// Runs of the closure that did not commit.
    pub(super) reruns: u64,
    /// Attempts lost to other commits, and the variable of the last such loss.
    pub(super) lost: u64,
    pub(super) lost_to: Option<u32>,
    /// Times that the call slept.
    pub(super) waits: u64,
    /// Times that it stood in line for a lock; of a running call, before its last sleep.
    pub(super) lock_waits: u64,
    /// Deadlocks in which it has given way.
    pub(super) deadlocks: u64,
}

/// The place for it.
#[derive(Default)]
pub(super) struct Lazy(OnceCell<Box<RefCell<Rare>>>);

impl Lazy {
    pub(super) fn get(&self) -> RefMut<'_, Rare> {
        self.0.get_or_init(Box::default).borrow_mut()
    }
}

impl Attempt<'_> {
    /// The rare part. The borrow must end before any code of the user runs.
    pub(super) fn rare(&self) -> RefMut<'_, Rare> {
        self.rare.get()
    }

    /// What the rare part says, if there is one.
    pub(super) fn if_rare<R: Default>(&self, f: impl FnOnce(&mut Rare) -> R) -> R {
        self.rare.0.get().map_or_else(R::default, |rare| f(&mut rare.borrow_mut()))
    }

    /// The end of a call that has not committed.
    pub(super) fn drop_rare(&mut self) {
        drop(self.rare.0.take());
    }

    #[inline(always)]
    pub(super) fn has_rare(&self) -> bool {
        self.rare.0.get().is_some()
    }
}
