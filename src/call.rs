//! Running transactions without options.

use crate::attempt::{Abort, Call, Failure, Options, Stm, run};
use crate::space::Space;
use crate::sync::site::CallSite;
use crate::tx::Tx;
use std::convert::Infallible;

/// Runs a transaction in the global space: the closure runs until an attempt of it commits, and its value is returned (§2.1).
///
/// All that the closure reads is from one snapshot; its writes become visible together, if nothing that it read has changed
/// meanwhile; else it runs again. So the closure should have no other effects than on variables: see
/// [`Tx::on_commit`] for those.
///
/// *Blocks* while the closure decides to [`retry`](Tx::retry), until something that it read is written. Never waits for readers or for
/// transactions on other variables. *Costs* tens of nanoseconds plus the closure; the commit of a writer copies a path of
/// the tree for each variable written, O(log₃₂ n) nodes.
///
/// # Panics
/// With the closure's own panic, which rolls back (§2.8); inside another transaction of the same thread (use the `Tx`
/// that is running, or [`Tx::nested`]); with a variable of another space; when a retry could never be woken (§3.4).
///
/// ```
/// use tvar::{TVar, atomically};
/// let (a, b) = (TVar::new(70), TVar::new(30));
/// let moved = atomically(|tx| {
///     let amount = *tx.read(&a) / 2;
///     tx.modify(&a, |n| n - amount);
///     tx.modify(&b, |n| n + amount);
///     Ok(amount)
/// });
/// assert_eq!((moved, a.load(), b.load()), (35, 35, 65));
/// ```
#[track_caller]
#[inline(always)]
pub fn atomically<R>(f: impl FnMut(&Tx<'_>) -> Stm<R>) -> R {
    atomically_in(Space::global(), CallSite::here("atomically"), f)
}

/// Runs a transaction that may abort with an error of its own (§2.7).
///
/// Like [`atomically`]; in addition the closure can end the whole call with [`Tx::abort`], or with `?` on any result whose error
/// is a `std::error::Error`. An abort rolls back, and is reported as of a consistent snapshot.
///
/// # Errors
/// What the closure aborted with.
///
/// # Panics
/// As [`atomically`].
///
/// ```
/// use tvar::{TVar, try_atomically};
/// #[derive(Debug, PartialEq)]
/// struct NoFunds;
/// let account = TVar::new(3);
/// let result = try_atomically(|tx| {
///     tx.modify(&account, |n| n - 5);
///     if *tx.read(&account) < 0 {
///         tx.abort(NoFunds)?;
///     }
///     Ok(())
/// });
/// assert_eq!((result, account.load()), (Err(NoFunds), 3));
/// ```
#[track_caller]
#[inline(always)]
pub fn try_atomically<R, E>(f: impl FnMut(&Tx<'_>) -> Result<R, Abort<E>>) -> Result<R, E> {
    try_atomically_in(Space::global(), CallSite::here("try_atomically"), f)
}

#[inline(always)]
pub(crate) fn atomically_in<R>(space: &Space, site: CallSite, mut f: impl FnMut(&Tx<'_>) -> Stm<R>) -> R {
    match try_atomically_in::<R, Infallible>(space, site, |tx| f(tx).map_err(Abort::from)) {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

#[inline(always)]
pub(crate) fn try_atomically_in<R, E>(
    space: &Space,
    site: CallSite,
    mut f: impl FnMut(&Tx<'_>) -> Result<R, Abort<E>>,
) -> Result<R, E> {
    let call = Call { store: &space.store, shared: &space.shared, options: const { &Options::PLAIN }, site };
    run(&call, |attempt| f(&Tx { attempt })).map_err(|failure| match failure {
        Failure::Aborted(error) => error,
        Failure::Ended(_) => unreachable!("a plain call has no limits"),
    })
}
