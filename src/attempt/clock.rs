//! When a call began: what `retry_for` and the timeout count from (§3.5, A6).
//!
//! A look at the clock takes as long as a small transaction, and few calls need it. So a thread that has run many calls in a row
//! without being asked stops looking, until it is asked again.

use crate::sync::time::Instant;
use std::cell::Cell;

/// Calls in a row that nobody asked for their beginning, after which a thread stops looking.
const LOOKS: u32 = 1024;

crate::sync::tls!(
    /// Looks that are left.
    static LEFT: Cell<u32> = Cell::new(LOOKS)
);

/// The beginning of a call.
pub(super) struct Start(Cell<Option<Instant>>);

impl Start {
    /// A call begins; `needed`: it has a timeout.
    #[inline(always)]
    pub(super) fn now(needed: bool) -> Start {
        let left = LEFT.with(Cell::get);
        Start(Cell::new(if left > 0 || needed { Start::look(left) } else { None }))
    }

    /// A call that began then.
    #[cfg(feature = "async")]
    pub(super) fn at(start: Instant) -> Start {
        Start(Cell::new(Some(start)))
    }

    #[cold]
    #[inline(never)]
    fn look(left: u32) -> Option<Instant> {
        LEFT.with(|looks| looks.set(left.saturating_sub(1)));
        Some(Instant::now())
    }

    /// When the call began; if nobody looked, when its first attempt asked or ended (A6).
    pub(super) fn get(&self) -> Instant {
        LEFT.with(|looks| looks.set(LOOKS));
        self.latest()
    }

    /// The first attempt has ended without a commit: the rest of the call is slow anyway.
    pub(super) fn latest(&self) -> Instant {
        let start = self.0.get().unwrap_or_else(Instant::now);
        self.0.set(Some(start));
        start
    }
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_not_asked_stops_looking_and_one_that_is_asked_looks_again() {
        std::thread::spawn(|| {
            for _ in 0..LOOKS {
                assert!(Start::now(false).0.get().is_some());
            }
            assert!(Start::now(false).0.get().is_none());
            assert!(Start::now(true).0.get().is_some());
            let unseen = Start::now(false);
            let first = unseen.get();
            assert_eq!(unseen.get(), first, "it does not move");
            assert!(Start::now(false).0.get().is_some());
        })
        .join()
        .unwrap();
    }
}
