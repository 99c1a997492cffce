//! The attempt loop, and the calls that start it.

use std::cell::Cell;
use std::convert::Infallible;
use std::panic::Location;

use super::commit::{commit, still_current};
use super::space::RefSpace;
use super::stop::{RefAbort, RefStm};
use super::tx::{Ended, RefTx};

/// Runs the closure in the global space until an attempt commits, and returns its value (§2.1).
///
/// ```
/// use tvar::reference::{RefVar, atomically};
///
/// let (urgent, normal) = (RefVar::new(None), RefVar::new(Some("tea")));
/// let job = atomically(|tx| {
///     let take = |var: &RefVar<Option<&'static str>>| match *tx.read(var) {
///         Some(job) => {
///             tx.write(var, None);
///             Ok(job)
///         }
///         None => tx.retry(),
///     };
///     tx.or_else(|_| take(&urgent), |_| take(&normal))
/// });
/// assert_eq!((job, normal.load()), ("tea", None));
/// ```
///
/// # Panics
/// Inside another transaction of this engine on the same thread (§2.9), when it would sleep with nothing read
/// (§3.4), when the closure returns a stop that its `RefTx` did not issue or swallows an abort (§2.6). A panic of
/// the closure goes on to the caller; nothing is published (§2.8).
#[track_caller]
pub fn atomically<R>(body: impl FnMut(&RefTx<'_>) -> RefStm<R>) -> R {
    RefSpace::global().atomically(body)
}

/// Like [`atomically`], for a closure that may give up with an error of its own (§2.7): nothing is published then.
///
/// # Panics
/// As [`atomically`] does.
#[track_caller]
pub fn try_atomically<R, E>(body: impl FnMut(&RefTx<'_>) -> Result<R, RefAbort<E>>) -> Result<R, E> {
    RefSpace::global().try_atomically(body)
}

impl RefSpace {
    /// Like the free function [`atomically`], in this space.
    ///
    /// # Panics
    /// As [`atomically`] does.
    #[track_caller]
    pub fn atomically<R>(&self, mut body: impl FnMut(&RefTx<'_>) -> RefStm<R>) -> R {
        let Ok(value) = self.try_atomically(|tx| Ok::<_, RefAbort<Infallible>>(body(tx)?));
        value
    }

    /// Like the free function [`try_atomically`], in this space.
    ///
    /// # Panics
    /// As [`atomically`] does.
    #[track_caller]
    pub fn try_atomically<R, E>(&self, mut body: impl FnMut(&RefTx<'_>) -> Result<R, RefAbort<E>>) -> Result<R, E> {
        let called_at = Location::caller();
        loop {
            // The mark goes before the attempt does, also when unwinding: destructors may run transactions.
            let tx = RefTx::begin(self);
            let running = Running::enter(called_at);
            let ended = tx.part(&mut body);
            drop(running);

            let (reads, writes) = (tx.reads.take(), tx.writes.take());
            match ended {
                Ended::Done(value) if commit(self, &tx.begun, &reads, &writes) => return Ok(value),
                Ended::Done(_) => {}
                Ended::Failed(error) => return Err(error),
                Ended::Retry => {
                    assert!(!reads.is_empty(), "tvar: futile retry: nothing was read that could change");
                    // A parked attempt holds no snapshot (§3.1): only what it read.
                    drop((tx, writes));
                    self.sleep_until(|root| !still_current(&reads, root));
                }
            }
        }
    }
}

thread_local! {
    static RUNNING: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Marks that a closure runs on this thread (§2.9).
struct Running;

impl Running {
    fn enter(called_at: &'static Location<'static>) -> Self {
        if let Some(outer) = RUNNING.get() {
            panic!("tvar: `atomically` at {called_at} called inside the transaction at {outer}");
        }
        RUNNING.set(Some(called_at));
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.set(None);
    }
}
