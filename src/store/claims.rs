//! Claims on a variable that are no handles: on its initial value, and on its being a map.

use super::cell::{CellHead, CellRef, GONE, drop_initial_once, drop_weak};
use crate::sync::atomic::Ordering;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// An overwritten initial value that waits in the limbo.
pub(super) struct RetiredInitial {
    pub(super) head: NonNull<CellHead>,
}

// SAFETY: as for `Var`; cells are made only for `T: Send + Sync`.
unsafe impl Send for RetiredInitial {}

impl RetiredInitial {
    /// The claim as an address.
    pub(super) fn into_raw(self) -> *mut () {
        ManuallyDrop::new(self).head.as_ptr().cast()
    }

    /// The claim behind an address.
    ///
    /// # Safety
    /// The address came out of `into_raw`, and nobody else makes a claim of it.
    pub(super) unsafe fn from_raw(raw: *mut ()) -> RetiredInitial {
        // SAFETY: it was not null in `into_raw`.
        RetiredInitial { head: unsafe { NonNull::new_unchecked(raw.cast()) } }
    }

    /// Whether the last handle has dropped the value.
    ///
    /// # Safety
    /// The address came out of `into_raw`, and its claim still stands.
    pub(super) unsafe fn is_gone(raw: *mut ()) -> bool {
        // ORDERING: Relaxed: only says that there is nothing left to do.
        // SAFETY: the claim's weak count keeps the cell allocated.
        unsafe { (*raw.cast::<CellHead>()).state.load(Ordering::Relaxed) & GONE != 0 }
    }

    /// Drops the initial value unless the last handle has done it. Runs user code.
    ///
    /// # Safety
    /// I8: every version in which the variable was unwritten has gone out of reach.
    pub(super) unsafe fn drop_value(&self) {
        // SAFETY: the weak count keeps the cell allocated; the caller's promise for the value.
        unsafe { drop_initial_once(self.head) };
    }
}

impl Drop for RetiredInitial {
    fn drop(&mut self) {
        // SAFETY: gives up the count taken in `retire_initial`.
        unsafe { drop_weak(self.head) };
    }
}

/// A map as its store knows it, until its last handle has gone.
pub(super) struct WeakCell {
    pub(super) head: NonNull<CellHead>,
}

// SAFETY: as for `Var`; cells are made only for `T: Send + Sync`.
unsafe impl Send for WeakCell {}

impl WeakCell {
    #[cfg(test)]
    pub(super) fn handles(&self) -> u32 {
        // ORDERING: Relaxed: a count to look at.
        // SAFETY: in the list, so the cell has not ended.
        unsafe { self.head.as_ref() }.strong.load(Ordering::Relaxed)
    }

    /// A handle, if there still is one. Under the lock of the list that this is in: the last handle leaves that before the cell ends.
    pub(super) fn upgrade(&self) -> Option<CellRef> {
        // SAFETY: in the list, so the cell has not ended.
        let strong = unsafe { &(*self.head.as_ptr()).strong };
        // ORDERING: Relaxed (both): as in `Arc`'s weak counts: who succeeds holds what another handle keeps.
        let raised =
            strong.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count > 0).then_some(count + 1));
        raised.ok().map(|_| CellRef { head: self.head })
    }
}
