//! The newest version, pinned for a look that is apart from the snapshot of any attempt.

use super::local::Seat;
use super::node::Root;
use super::pins;

/// The newest version, pinned by the second word of a record until dropped.
pub(super) struct Newest<'s> {
    seat: &'s Seat<'s>,
    pub(super) root: *const Root,
}

impl<'s> Newest<'s> {
    /// # Safety
    /// I9: the seat's owner is this thread, and nothing else uses the second word meanwhile.
    pub(super) unsafe fn pin(seat: &'s Seat<'_>) -> Self {
        // SAFETY: the caller's promise.
        Newest { seat, root: unsafe { seat.member.pin_base(seat.store.newest()) } }
    }
}

impl Drop for Newest<'_> {
    /// Also when code of the user's panics.
    fn drop(&mut self) {
        pins::release(&self.seat.member.words[1]);
    }
}
