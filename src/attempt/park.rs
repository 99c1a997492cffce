//! Sleeping until something that was read has changed (§3.1, W1).

use super::access::Attempt;
use super::run::{Ended, Locked, Session};
use super::trace::event;
use crate::store::{Count, MapWaits, died_in_attempt, drop_panic, outside_attempt};
use crate::sync::Arc;
use crate::sync::latch::Latch;
use crate::sync::steps::{Point, pass};
use crate::sync::time::Instant;
use crate::wait::{Registry, Sleeper};
use std::ops::Deref;
use std::panic::resume_unwind;

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parked {
    Woken,
    TimedOut,
}

/// What a sleeper waits for.
pub(super) struct Waits {
    /// Variables that were read.
    pub(super) read: Vec<u32>,
    /// What was read in maps.
    pub(super) maps: MapWaits,
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
        let nobody = waits.slots.is_empty() || died_in_attempt(self.ws.store(), &waits.slots);
        nobody && !self.is_stale(waits)
    }

    /// Whether something is different from what the attempt has read.
    fn is_stale(&self, waits: &Waits) -> bool {
        self.ws.any_stale(|is_stale| waits.read.iter().copied().any(is_stale)) || self.ws.waits_are_stale(&waits.maps)
    }

    /// Sleeps until something is different from what the (ended) attempt has read, or until the deadline.
    ///
    /// No snapshot is held: the stamps in the newest root say whether something is newer.
    fn park(&self, registry: &Registry, waits: &Waits, until: Option<Instant>) -> Parked {
        let sleeper = Arc::new(Sleeper::new(Latch::new(), self.call.who()));
        let registration = Registration::begin(registry, &waits.slots, sleeper);
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
            if !registration.sleeper.latch.wait(until) {
                drop(registration);
                pass(Point::Wake);
                return Parked::TimedOut;
            }
            registration.sleeper.latch.reset();
        }
        drop(registration);
        if slept {
            self.ws.count(Count::Wakeups);
            pass(Point::Wake);
        }
        Parked::Woken
    }
}

impl Session<'_> {
    /// The attempt has retried: sleeps until something that it read has changed, or a deadline has passed.
    pub(super) fn sleep(&mut self) -> Result<(), Ended> {
        let waits = self.attempt.waits();
        let deadline = self.attempt.deadline();
        let until = [deadline, self.attempt.if_rare(|rare| rare.wake_at)].into_iter().flatten().min();
        self.end_attempt(Locked::Released);
        let site = self.attempt.call.site;
        // Judged before the hooks: what died in the attempt is forgotten when they run.
        if until.is_none() && self.attempt.is_futile(&waits) {
            self.run_rollback_hooks().into_iter().for_each(drop_panic);
            let why = why_futile(&waits);
            panic!(
                "tvar: futile retry in {site}: {why}, so nothing could ever wake it; give it a deadline to make it a sleep"
            );
        }
        if let Some(payload) = self.run_rollback_hooks() {
            resume_unwind(payload);
        }
        self.attempt.rare().history.waits += 1;
        event!(DEBUG, self.attempt.call, reads = waits.slots.len(), "waits for a change");
        #[cfg(feature = "async")]
        if self.attempt.call.options.is_task {
            return Err(Ended::Suspended(Box::new(self.attempt.suspend(waits, until))));
        }
        match self.attempt.park(&self.attempt.call.shared.registry, &waits, until) {
            // An alternative's own deadline: the closure goes on from there.
            Parked::TimedOut if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                Err(Ended::TimedOut(self.loss()))
            }
            Parked::TimedOut | Parked::Woken => Ok(()),
        }
    }
}

/// A call on the lists of those who wait, until dropped.
pub(super) struct Registration<R: Deref<Target = Registry>, S: AsRef<[u32]>> {
    registry: R,
    slots: S,
    pub(super) sleeper: Arc<Sleeper>,
}

impl<R: Deref<Target = Registry>, S: AsRef<[u32]>> Registration<R, S> {
    /// It must look at the newest version after this (W1).
    pub(super) fn begin(registry: R, slots: S, sleeper: Arc<Sleeper>) -> Self {
        // Others may be woken (W2), which may be an executor's code.
        outside_attempt(|| registry.enter(slots.as_ref(), &sleeper));
        Registration { registry, slots, sleeper }
    }
}

impl<R: Deref<Target = Registry>, S: AsRef<[u32]>> Drop for Registration<R, S> {
    fn drop(&mut self) {
        outside_attempt(|| self.registry.leave(self.slots.as_ref(), &self.sleeper));
    }
}

/// Why a wait is [futile](Attempt::is_futile).
#[cold]
#[inline(never)]
pub(super) fn why_futile(waits: &Waits) -> &'static str {
    if waits.slots.is_empty() {
        "nothing was read"
    } else {
        "all that was read are variables made in the attempt, which nobody else can have"
    }
}
