//! Alternatives and closed nesting: parts of an attempt that can be undone on their own (§2.9, §3.2).

use super::access::Attempt;
use super::control::{Abort, Reason, Recorded, Stm, Stop, StopKind};
use super::hooks::{HookMark, discard};
use super::locks::LockMark;
use super::run::swallowed_abort;
use crate::store::Mark;

/// An error that may carry a stop.
pub(crate) trait Stopping {
    fn stop(&self) -> Option<&Stop>;
}

impl Stopping for Stop {
    fn stop(&self) -> Option<&Stop> {
        Some(self)
    }
}

impl<E> Stopping for Abort<E> {
    fn stop(&self) -> Option<&Stop> {
        match &self.0 {
            Reason::Stop(stop) => Some(stop),
            Reason::Error { .. } => None,
        }
    }
}

impl Attempt<'_> {
    /// Whether this result of a part means that it retried: by its stop, or by a stop that it swallowed (A3).
    fn retried<R, X: Stopping>(&self, result: &Result<R, X>) -> bool {
        match result {
            Ok(_) => matches!(self.recorded.get(), Some(Recorded::Stop(StopKind::Retry))),
            Err(error) => error.stop().is_some_and(|stop| stop.kind == StopKind::Retry && stop.attempt == self.id()),
        }
    }

    /// `a`, or `b` on the same snapshot if `a` retried, without `a`'s writes and hooks. What `a` read stays in the read set (§3.3).
    pub(crate) fn or_else<R, X: Stopping>(
        &self,
        a: impl FnOnce() -> Result<R, X>,
        b: impl FnOnce() -> Result<R, X>,
    ) -> Result<R, X> {
        let part = Part::begin(self);
        let result = a();
        if self.retried(&result) {
            discard(result);
            part.undo();
            return b();
        }
        part.keep();
        result
    }

    /// A part whose typed abort undoes its own writes and hooks only; its reads stay, since the outer code goes on from its error.
    pub(crate) fn nested<R, E>(&self, f: impl FnOnce() -> Result<R, Abort<E>>) -> Stm<Result<R, E>> {
        let part = Part::begin(self);
        let result = f();
        let recorded = self.recorded.get();
        match result {
            Ok(value) => match recorded {
                None => {
                    part.keep();
                    Ok(Ok(value))
                }
                Some(Recorded::Stop(kind)) => {
                    part.keep();
                    Err(Stop { attempt: self.id(), kind })
                }
                Some(Recorded::Abort(at)) => swallowed_abort(at),
            },
            Err(Abort(Reason::Stop(stop))) => {
                // The whole attempt (or the alternative around this part) ends: that undoes the writes.
                part.keep();
                Err(stop)
            }
            Err(Abort(Reason::Error { error, issued })) => {
                self.check_issued(issued);
                part.undo();
                if let Some(Recorded::Stop(_)) = recorded {
                    // Swallowed before the abort: it still stands (§2.6).
                    self.recorded.set(self.recorded.get().or(recorded));
                }
                Ok(Err(error))
            }
        }
    }
}

/// A part of an attempt that can be undone; undone when it is left by a panic, which the code around it may catch.
struct Part<'a, 's> {
    attempt: &'a Attempt<'s>,
    writes: Mark,
    hooks: HookMark,
    locks: LockMark,
    /// What had been decided before (and swallowed): it stands.
    recorded: Option<Recorded>,
}

impl<'a, 's> Part<'a, 's> {
    fn begin(attempt: &'a Attempt<'s>) -> Self {
        let recorded = attempt.recorded.get();
        if recorded.and_then(Recorded::doom).is_none() {
            attempt.recorded.set(None);
        }
        let (hooks, locks) = (attempt.mark_hooks(), attempt.mark_locks());
        Part { attempt, writes: attempt.ws.mark(), hooks, locks, recorded }
    }

    fn keep(self) {
        self.attempt.ws.keep(self.writes);
        self.attempt.recorded.set(self.recorded.or(self.attempt.recorded.get()));
        std::mem::forget(self);
    }

    fn undo(self) {
        drop(self);
    }
}

impl Drop for Part<'_, '_> {
    fn drop(&mut self) {
        self.attempt.ws.undo(self.writes);
        self.attempt.undo_locks(self.locks);
        self.attempt.undo_hooks(self.hooks);
        // What no alternative can make good stands (A3).
        let doom = self.attempt.recorded.get().filter(|recorded| recorded.doom().is_some());
        self.attempt.recorded.set(self.recorded.or(doom));
    }
}
