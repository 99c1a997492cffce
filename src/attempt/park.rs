//! Sleeping until something that was read has changed (§3.1, W1).

use super::access::Attempt;
use crate::store::{CallSite, Count, MapWaits, died_in_attempt};
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

/// What a sleeper waits for.
pub(super) struct Waits {
    /// Variables that were read.
    read: Vec<u32>,
    /// What was read in maps.
    maps: MapWaits,
    /// The slots of both.
    pub(super) slots: Vec<u32>,
}

impl Attempt<'_> {
    /// What the attempt, which is about to end, must wait for. Runs user code.
    pub(super) fn waits(&self) -> Waits {
        let (read, maps) = (self.ws.reads().distinct(), self.ws.map_waits());
        let mut slots: Vec<u32> = read.iter().copied().chain(maps.slots()).collect();
        slots.sort_unstable();
        slots.dedup();
        Waits { read, maps, slots }
    }

    /// Whether nobody could ever end this wait (§3.4).
    pub(super) fn is_futile(&self, waits: &Waits) -> bool {
        waits.slots.is_empty() || died_in_attempt(self.ws.store(), &waits.slots)
    }

    /// Whether something is different from what the (ended) attempt has read.
    pub(super) fn is_stale(&self, waits: &Waits) -> bool {
        self.ws.any_stale(|is_stale| waits.read.iter().copied().any(is_stale)) || self.ws.waits_are_stale(&waits.maps)
    }

    /// Sleeps until something is different from what the (ended) attempt has read, or until the deadline.
    ///
    /// No snapshot is held: the stamps in the newest root say whether something is newer.
    pub(super) fn park(&self, registry: &Registry, waits: &Waits, until: Option<Instant>) -> Parked {
        let latch = Latch::new();
        let registration = registry.register(&waits.slots, &latch);
        pass(Point::Register);
        let mut slept = false;
        loop {
            // The look that closes the window between the snapshot and the registration.
            if self.is_stale(waits) {
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
