//! Sleeping until something that was read has changed (§3.1, W1).

use super::access::Attempt;
use crate::store::{CallSite, Count, died_in_attempt};
use crate::sync::latch::Latch;
use crate::sync::steps::{Point, pass};
use crate::sync::time::Instant;
use crate::wait::Registry;

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parked {
    Woken,
    TimedOut,
}

impl Attempt<'_> {
    /// Whether nobody could ever end this wait (§3.4).
    pub(super) fn is_futile(&self, slots: &[u32]) -> bool {
        slots.is_empty() || died_in_attempt(self.ws.store(), slots)
    }

    /// Whether one of them has been written since the (ended) attempt's snapshot.
    pub(super) fn is_stale(&self, slots: &[u32]) -> bool {
        self.ws.any_stale(|is_stale| slots.iter().copied().any(is_stale))
    }

    /// Sleeps until one of `slots` has been written since the (ended) attempt's snapshot, or until the deadline.
    ///
    /// No snapshot is held: the stamps in the newest root say whether something is newer.
    pub(super) fn park(&self, registry: &Registry, slots: &[u32], until: Option<Instant>) -> Parked {
        let latch = Latch::new();
        let registration = registry.register(slots, &latch);
        pass(Point::Register);
        let mut slept = false;
        loop {
            // The look that closes the window between the snapshot and the registration.
            if self.is_stale(slots) {
                break;
            }
            if !slept {
                slept = true;
                self.ws.count(Count::Parked);
            }
            pass(Point::Park);
            if !latch.wait(until) {
                drop(registration);
                pass(Point::Wake);
                return Parked::TimedOut;
            }
            latch.reset();
        }
        drop(registration);
        if slept {
            self.ws.count(Count::Wakeups);
            pass(Point::Wake);
        }
        Parked::Woken
    }
}

#[cold]
#[inline(never)]
pub(super) fn futile(site: CallSite, reads: usize) -> ! {
    let why = if reads == 0 {
        "nothing was read"
    } else {
        "all that was read are variables made in the attempt, which nobody else can have"
    };
    panic!("tvar: futile retry in {site}: {why}, so nothing could ever wake it; give it a deadline to make it a sleep");
}
