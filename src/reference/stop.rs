//! How control leaves a closure before its end (§2.6): through its `Result`.

use std::error::Error;

/// What a closure that can only wait, and never fails, returns: `Err` is a [`RefTx::retry`](super::RefTx::retry).
pub type RefStm<T> = Result<T, RefStop>;

/// The token with which `retry` leaves the closure (§2.6); only a [`RefTx`](super::RefTx) makes one.
#[derive(Debug)]
pub struct RefStop {
    pub(super) _issued_by_a_tx: (),
}

/// What a closure that may fail with `E` is left with early: a typed abort (§2.7) or a [`RefStop`].
///
/// `?` makes it from a [`RefStop`] and from any `E` that is an error; [`RefTx::abort`](super::RefTx::abort) takes any `E`.
#[derive(Debug)]
pub struct RefAbort<E>(pub(super) Why<E>);

#[derive(Debug)]
pub(super) enum Why<E> {
    Stopped(RefStop),
    Failed(E),
}

impl<E> From<RefStop> for RefAbort<E> {
    fn from(stop: RefStop) -> Self {
        Self(Why::Stopped(stop))
    }
}

impl<E: Error> From<E> for RefAbort<E> {
    fn from(error: E) -> Self {
        Self(Why::Failed(error))
    }
}
