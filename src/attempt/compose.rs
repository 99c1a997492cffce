//! Alternatives and closed nesting: parts of an attempt that can be undone on their own (§2.9, §3.2).

use super::access::Attempt;
use super::control::{Abort, Reason, Recorded, Stm, Stop, StopKind};
use super::run::swallowed_abort;

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
        let before = self.recorded.take();
        let (writes, hooks) = (self.ws.mark(), self.hooks.mark());
        let result = a();
        if self.retried(&result) {
            drop(result);
            self.ws.undo(writes);
            self.hooks.undo(hooks);
            self.recorded.set(before);
            return b();
        }
        self.ws.keep(writes);
        self.recorded.set(before.or(self.recorded.get()));
        result
    }

    /// A part whose typed abort undoes its own writes and hooks only; its reads stay, since the outer code goes on from its error.
    pub(crate) fn nested<R, E>(&self, f: impl FnOnce() -> Result<R, Abort<E>>) -> Stm<Result<R, E>> {
        let before = self.recorded.take();
        let (writes, hooks) = (self.ws.mark(), self.hooks.mark());
        let result = f();
        let recorded = self.recorded.get();
        match result {
            Ok(value) => {
                self.ws.keep(writes);
                self.recorded.set(before.or(recorded));
                match recorded {
                    None => Ok(Ok(value)),
                    Some(Recorded::Stop(kind)) => Err(Stop { attempt: self.id(), kind }),
                    Some(Recorded::Abort(at)) => swallowed_abort(at),
                }
            }
            Err(Abort(Reason::Stop(stop))) => {
                // The whole attempt (or the alternative around this part) ends: that undoes the writes.
                self.ws.keep(writes);
                self.recorded.set(before.or(recorded));
                Err(stop)
            }
            Err(Abort(Reason::Error { error, issued })) => {
                self.check_issued(issued);
                self.ws.undo(writes);
                self.hooks.undo(hooks);
                self.recorded.set(before);
                Ok(Err(error))
            }
        }
    }
}
