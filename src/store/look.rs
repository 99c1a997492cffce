//! A look by a call that sleeps without a thread: by whoever polls it.

use super::Store;
use super::local::Seat;
use super::map::MapWaits;
use super::member::Count;
use super::newest::Newest;
use super::node;
use crate::sync::Arc;

/// A look at whether something is newer than it was.
pub(crate) struct Look<'s> {
    seat: Seat<'s>,
}

impl<'s> Look<'s> {
    pub(crate) fn begin(store: &'s Arc<Store>) -> Self {
        Look { seat: Seat::take(store) }
    }

    /// Whether one of these slots has a stamp above `version` in the newest version, or something in a map is different from what it
    /// was then. Runs user code.
    pub(crate) fn is_stale(&self, version: u64, read: &[u32], maps: &MapWaits) -> bool {
        // SAFETY: I9: nothing else uses the second word of a seat that was taken for the look.
        let newest = unsafe { Newest::pin(&self.seat) };
        // SAFETY: I3: pinned just now.
        let is_newer = |slot: &u32| unsafe { node::is_newer(newest.root, *slot, version) };
        read.iter().any(is_newer) || maps.are_stale(&newest, version)
    }

    pub(crate) fn count(&self, what: Count) {
        self.seat.member.count(what);
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.seat.leave();
    }
}
