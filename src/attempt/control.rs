//! Control flow out of a closure: stops and typed aborts (§2.6, §2.7).

use std::error::Error;
use std::fmt;
use std::panic::Location;

/// The result of a step of a transaction: `?` passes on the decision to stop.
///
/// ```
/// use tvar::{Stm, TVar, Tx, atomically};
/// fn take(tx: &Tx<'_>, from: &TVar<u32>) -> Stm<u32> {
///     tx.check(*tx.read(from) > 0)?;
///     tx.modify(from, |n| n - 1);
///     Ok(*tx.read(from))
/// }
/// let stock = TVar::new(3);
/// assert_eq!(atomically(|tx| take(tx, &stock)), 2);
/// ```
pub type Stm<T> = Result<T, Stop>;

/// The decision of a running attempt not to go on; made by `retry`, `check`, `refresh` and the like, handed up with `?`.
///
/// It carries no information for the user, cannot be made or copied, and belongs to the attempt that issued it: returned
/// from the closure of another attempt it is a panic (§2.6).
#[must_use = "a stop does nothing unless it is returned from the closure (with `?`)"]
pub struct Stop {
    pub(super) attempt: u64,
    pub(super) kind: StopKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopKind {
    /// Sleep until something read has changed.
    Retry,
    /// Run again at once on a newer snapshot.
    Refresh,
    /// Something that was read is stale, which a lock has brought to light.
    Stale,
    /// The transaction has given way in a deadlock.
    GaveWay,
    /// The deadline of the call has passed in the line for a lock.
    TimedOut,
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.kind).finish()
    }
}

/// What the closure of a typed transaction returns as its error: a stop, or an abort with a value of type `E` (§2.7).
///
/// `?` makes one of a [`Stop`], of every `E: Error`, and of what [`Tx::abort`](crate::Tx::abort) returns.
///
/// ```
/// use tvar::{TVar, try_atomically};
/// let text = TVar::new("12x".to_string());
/// let parsed: Result<i32, std::num::ParseIntError> = try_atomically(|tx| Ok(tx.read(&text).parse::<i32>()?));
/// assert!(parsed.is_err());
/// ```
#[must_use = "an abort does nothing unless it is returned from the closure (with `?`)"]
pub struct Abort<E>(pub(super) Reason<E>);

pub(super) enum Reason<E> {
    Stop(Stop),
    /// `issued`: the attempt whose `abort` made it; `None` if it came from an error by `?`.
    Error {
        error: E,
        issued: Option<u64>,
    },
}

impl<E> From<Stop> for Abort<E> {
    fn from(stop: Stop) -> Self {
        Abort(Reason::Stop(stop))
    }
}

impl<E: Error> From<E> for Abort<E> {
    fn from(error: E) -> Self {
        Abort(Reason::Error { error, issued: None })
    }
}

impl<E: fmt::Debug> fmt::Debug for Abort<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Stop(stop) => stop.fmt(f),
            Reason::Error { error, .. } => f.debug_tuple("Abort").field(error).finish(),
        }
    }
}

/// A decision as the attempt recorded it when it was made: it holds even if the closure swallows the `Err` (A3).
#[derive(Clone, Copy, Debug)]
pub(super) enum Recorded {
    Stop(StopKind),
    /// Where `abort` was called.
    Abort(&'static Location<'static>),
}

impl Recorded {
    /// What no alternative can make good: the attempt goes on to no effect.
    pub(super) fn doom(self) -> Option<StopKind> {
        match self {
            Recorded::Stop(kind @ (StopKind::Stale | StopKind::GaveWay | StopKind::TimedOut)) => Some(kind),
            _ => None,
        }
    }
}
