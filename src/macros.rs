//! `atomically!` and `try_atomically!`.

/// Runs a transaction: [`atomically`](crate::atomically()) with a body instead of a closure that returns `Ok`.
///
/// * `atomically!(|tx| body)`: the value of the body is the value of the transaction; `?` works inside. `move |tx|` moves what the
///   body uses, for closures of threads.
/// * `atomically!(|tx| { a } or |tx| { b } ...)`: alternatives, tried from left to right (§3.2): [`Tx::or_else`](crate::Tx::or_else).
/// * `atomically!(key = value, ...; |tx| ...)`: with options, in any order; the result is then a
///   `Result<_, `[`TxError`](crate::TxError)`>`. The keys are the methods of [`TxOptions`](crate::TxOptions): `timeout`,
///   `max_attempts`, `label`, `isolation`, `space`, `backoff`, `escalate_after`.
///
/// ```
/// use std::time::Duration;
/// use tvar::{Stm, TVar, Tx, TxError, atomically};
///
/// fn take(tx: &Tx<'_>, from: &TVar<Vec<u32>>) -> Stm<u32> {
///     let Some((first, rest)) = tx.read(from).split_first() else { return tx.retry() };
///     tx.write(from, rest.to_vec());
///     Ok(*first)
/// }
/// let (urgent, normal) = (TVar::new(vec![]), TVar::new(vec![1, 2]));
///
/// let job = atomically!(|tx| { take(tx, &urgent)? } or |tx| { take(tx, &normal)? });
/// assert_eq!(job, 1);
/// let left = atomically!(|tx| tx.read(&normal).len());
/// assert_eq!(left, 1);
/// let none: Result<u32, TxError> = atomically!(timeout = Duration::ZERO, label = "take"; |tx| take(tx, &urgent)?);
/// assert!(none.is_err());
/// let handle = std::thread::spawn(move || atomically!(move |tx| take(tx, &normal)?));
/// assert_eq!(handle.join().unwrap(), 2);
/// ```
#[macro_export]
macro_rules! atomically {
    ($($key:ident = $value:expr),+ $(,)?; $($body:tt)+) => {
        $crate::__tvar_body!(stm; ($crate::TxOptions::new()$(.$key($value))+.run) $($body)+)
    };
    ($($body:tt)+) => { $crate::__tvar_body!(stm; ($crate::atomically) $($body)+) };
}

/// Runs a transaction that may abort: [`try_atomically`](crate::try_atomically()) with a body instead of a closure that returns `Ok`.
///
/// The forms are those of [`atomically!`](crate::atomically!); the result is a `Result<_, E>` with the type of what the body aborts with, or with options a
/// `Result<_, `[`TryError`](crate::TryError)`<E>>`.
///
/// ```
/// use tvar::{TVar, try_atomically};
/// #[derive(Debug, PartialEq)]
/// struct NoFunds;
/// let a = TVar::new(3);
/// let r: Result<i64, NoFunds> = try_atomically!(|tx| { if *tx.read(&a) < 5 { tx.abort(NoFunds)? } *tx.read(&a) });
/// assert_eq!(r, Err(NoFunds));
/// ```
#[macro_export]
macro_rules! try_atomically {
    ($($key:ident = $value:expr),+ $(,)?; $($body:tt)+) => {
        $crate::__tvar_body!(typed; ($crate::TxOptions::new()$(.$key($value))+.try_run) $($body)+)
    };
    ($($body:tt)+) => { $crate::__tvar_body!(typed; ($crate::try_atomically) $($body)+) };
}

/// Runs a transaction as a future: [`atomically_async`](crate::atomically_async()) with a body instead of a closure that returns `Ok`.
///
/// The forms are those of [`atomically!`](crate::atomically!), to be awaited; with options the output is a `Result<_, `[`TxError`](crate::TxError)`>`. The
/// future of a task that is spawned needs `move |tx|`.
///
/// ```
/// use std::time::Duration;
/// use tvar::{TVar, TxError, atomically_async};
/// let slots = TVar::new(1);
/// futures::executor::block_on(async {
///     let left = atomically_async!(|tx| {
///         tx.check(*tx.read(&slots) > 0)?;
///         tx.modify(&slots, |n| n - 1);
///         *tx.read(&slots)
///     })
///     .await;
///     assert_eq!(left, 0);
///     let none: Result<(), TxError> = atomically_async!(timeout = Duration::ZERO; |tx| tx.check(*tx.read(&slots) > 0)?).await;
///     assert!(none.is_err());
/// });
/// ```
#[cfg(feature = "async")]
#[macro_export]
macro_rules! atomically_async {
    ($($key:ident = $value:expr),+ $(,)?; $($body:tt)+) => {
        $crate::__tvar_body!(stm; ($crate::TxOptions::new()$(.$key($value))+.run_async) $($body)+)
    };
    ($($body:tt)+) => { $crate::__tvar_body!(stm; ($crate::atomically_async) $($body)+) };
}

/// Runs a transaction that may abort as a future: [`try_atomically_async`](crate::try_atomically_async()) with a body instead of a closure that
/// returns `Ok`.
///
/// The forms are those of [`try_atomically!`](crate::try_atomically!), to be awaited.
///
/// ```
/// use tvar::{TVar, try_atomically_async};
/// let a = TVar::new(3);
/// let sale = try_atomically_async!(|tx| { if *tx.read(&a) < 5 { tx.abort("no funds")? } *tx.read(&a) });
/// assert_eq!(futures::executor::block_on(sale), Err("no funds"));
/// ```
#[cfg(feature = "async")]
#[macro_export]
macro_rules! try_atomically_async {
    ($($key:ident = $value:expr),+ $(,)?; $($body:tt)+) => {
        $crate::__tvar_body!(typed; ($crate::TxOptions::new()$(.$key($value))+.try_run_async) $($body)+)
    };
    ($($body:tt)+) => { $crate::__tvar_body!(typed; ($crate::try_atomically_async) $($body)+) };
}

/// The closures of the macros.
#[doc(hidden)]
#[macro_export]
macro_rules! __tvar_body {
    ($kind:ident; ($($run:tt)+) |$tx:pat_param| $body:block) => {
        $($run)+(|$tx: &$crate::Tx<'_>| $crate::__tvar_ok!($kind; $body))
    };
    ($kind:ident; ($($run:tt)+) move |$tx:pat_param| $body:block) => {
        $($run)+(move |$tx: &$crate::Tx<'_>| $crate::__tvar_ok!($kind; $body))
    };
    ($kind:ident; ($($run:tt)+) |$tx:pat_param| $body:block $(or |$other:pat_param| $alternative:block)+) => {
        $($run)+(|tx: &$crate::Tx<'_>| $crate::__tvar_or!($kind; tx; |$tx| $body $(or |$other| $alternative)+))
    };
    ($kind:ident; ($($run:tt)+) move |$tx:pat_param| $body:block $(or $(move)? |$other:pat_param| $alternative:block)+) => {
        $($run)+(move |tx: &$crate::Tx<'_>| $crate::__tvar_or!($kind; tx; |$tx| $body $(or |$other| $alternative)+))
    };
    ($kind:ident; ($($run:tt)+) |$tx:pat_param| $body:expr) => {
        $($run)+(|$tx: &$crate::Tx<'_>| $crate::__tvar_ok!($kind; $body))
    };
    ($kind:ident; ($($run:tt)+) move |$tx:pat_param| $body:expr) => {
        $($run)+(move |$tx: &$crate::Tx<'_>| $crate::__tvar_ok!($kind; $body))
    };
}

/// Alternatives, nested to the right.
#[doc(hidden)]
#[macro_export]
macro_rules! __tvar_or {
    ($kind:ident; $outer:ident; |$tx:pat_param| $body:block) => {
        (|$tx: &$crate::Tx<'_>| $crate::__tvar_ok!($kind; $body))($outer)
    };
    (stm; $outer:ident; |$tx:pat_param| $body:block or $($rest:tt)+) => {
        $outer.or_else(
            |$tx: &$crate::Tx<'_>| $crate::__tvar_ok!(stm; $body),
            |tx: &$crate::Tx<'_>| $crate::__tvar_or!(stm; tx; $($rest)+),
        )
    };
    (typed; $outer:ident; |$tx:pat_param| $body:block or $($rest:tt)+) => {
        $outer.try_or_else(
            |$tx: &$crate::Tx<'_>| $crate::__tvar_ok!(typed; $body),
            |tx: &$crate::Tx<'_>| $crate::__tvar_or!(typed; tx; $($rest)+),
        )
    };
}

/// A body's value as the closure's result.
#[doc(hidden)]
#[macro_export]
macro_rules! __tvar_ok {
    (stm; $body:expr) => {{
        let value = $body;
        ::core::result::Result::<_, $crate::Stop>::Ok(value)
    }};
    (typed; $body:expr) => {{
        let value = $body;
        ::core::result::Result::<_, $crate::Abort<_>>::Ok(value)
    }};
}
