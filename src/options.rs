//! Transactions with options.

use crate::attempt::{Abort, Call, Isolation, Label, Options, Stm, run};
use crate::commit::Backoff;
use crate::error::{TryError, TxError};
use crate::space::Space;
use crate::sync::site::CallSite;
use crate::sync::time::Duration;
use crate::tx::Tx;
use std::convert::Infallible;

/// How a transaction is to be run; the function form behind `atomically!(timeout = ..., label = ...; |tx| ...)`.
///
/// A transaction with options can fail, and says how: see [`TxError`]. The options can be kept and used for many transactions.
///
/// ```
/// use std::time::Duration;
/// use tvar::{TVar, TxOptions};
/// let stock = TVar::named("stock", 5u32);
/// let checkout = TxOptions::new().label("checkout").timeout(Duration::from_secs(1)).max_attempts(100);
/// let left = checkout.run(|tx| {
///     tx.check(*tx.read(&stock) > 0)?;
///     tx.modify(&stock, |n| n - 1);
///     Ok(*tx.read(&stock))
/// });
/// assert_eq!(left, Ok(4));
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `run` or `try_run`"]
pub struct TxOptions {
    space: Option<Space>,
    options: Options,
}

impl Default for TxOptions {
    fn default() -> Self {
        TxOptions::new()
    }
}

impl TxOptions {
    /// The options of a plain transaction: the global space, serialisable, without limits.
    pub fn new() -> Self {
        TxOptions { space: None, options: Options::PLAIN }
    }

    /// Runs in this space instead of the global one.
    pub fn space(mut self, space: &Space) -> Self {
        self.space = Some(space.clone());
        self
    }

    /// What the transaction is isolated from (§2.2).
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.options.isolation = isolation;
        self
    }

    /// A limit for the whole call: waiting, turns of others and re-runs alike (§3.5). A commit that is under way is not cut off (but its wait in line for a lock is),
    /// and the closure runs at least once.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.timeout = Some(limit);
        self
    }

    /// A limit for the number of attempts that are lost to other commits (§4.4). Runs after a sleep in `retry` do not count.
    ///
    /// # Panics
    /// When `limit` is 0.
    #[track_caller]
    pub fn max_attempts(mut self, limit: u64) -> Self {
        assert!(limit > 0, "tvar: max_attempts = 0 would never run the transaction");
        self.options.max_attempts = Some(limit);
        self
    }

    /// A name for errors and statistics.
    pub fn label(mut self, label: impl Into<Label>) -> Self {
        self.options.label = Some(label.into());
        self
    }

    /// What to do after a loss (§4.4).
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = backoff;
        self
    }

    /// How many attempts may be lost before the transaction gets a turn during which nobody else commits (§4.4); 16 unless
    /// set. The turn bounds the number of re-runs: the first attempt in it has nobody to lose to.
    pub fn escalate_after(mut self, lost: u64) -> Self {
        self.options.escalate_after = lost;
        self
    }

    /// How many root swaps a commit may lose before it is announced, so that whoever builds the next root takes it along (§4.2); 3
    /// unless set. An announced commit is decided by the second commit that follows, at the latest. 0 announces at once,
    /// `u32::MAX` never. Never announced, but given a turn after a long row of lost swaps, is a commit with `merge_then`, with a merge of a boxed
    /// variable that was never written, or with more than a thousand reads and writes.
    ///
    /// Coalescing bounds a commit's time; as long as few swaps are lost, throughput is better without.
    pub fn coalesce_after(mut self, lost_swaps: u32) -> Self {
        self.options.coalesce_after = lost_swaps;
        self
    }

    /// Locks every variable by itself (§5.2): shared before a read, exclusive before a write. For transactions that would lose again and
    /// again otherwise, since they are long and what they touch is hot. Of a map it locks the key, or the range of a range read; all keys for
    /// its length, an iteration or a pop.
    ///
    /// A read still cannot fail: if a lock shows that something read before is stale, or ends in a deadlock or behind the deadline, the closure
    /// goes on with its snapshot, to no effect, and runs again (or the call fails) when it returns. In a deadlock it has let go of all its locks by
    /// then, also of those from [`Tx::lock`].
    pub fn pessimistic(mut self) -> Self {
        self.options.pessimistic = true;
        self
    }

    /// Fails with [`TxError::Deadlock`] when the transaction has to give way in a deadlock (§5.4). Otherwise it runs again by itself.
    pub fn fail_on_deadlock(mut self) -> Self {
        self.options.fail_on_deadlock = true;
        self
    }

    /// Runs the closure until an attempt of it commits.
    ///
    /// # Errors
    /// [`TxError`] when a limit is reached; nothing was committed then.
    ///
    /// # Panics
    /// As [`atomically`](crate::atomically()).
    #[track_caller]
    pub fn run<R>(&self, mut f: impl FnMut(&Tx<'_>) -> Stm<R>) -> Result<R, TxError> {
        let result = self.call::<R, Infallible>(CallSite::here("TxOptions::run"), |tx| f(tx).map_err(Abort::from));
        result.map_err(|error| match error {
            TryError::Failed(error) => error,
            TryError::Aborted(never) => match never {},
        })
    }

    /// Runs the closure until an attempt of it commits, or it aborts.
    ///
    /// # Errors
    /// [`TryError::Aborted`] with what the closure aborted with, [`TryError::Failed`] when a limit is reached; nothing
    /// was committed then.
    ///
    /// # Panics
    /// As [`atomically`](crate::atomically()).
    #[track_caller]
    pub fn try_run<R, E>(&self, f: impl FnMut(&Tx<'_>) -> Result<R, Abort<E>>) -> Result<R, TryError<E>> {
        self.call(CallSite::here("TxOptions::try_run"), f)
    }

    /// The space to run in, and the rest.
    pub(crate) fn parts(&self) -> (&Space, &Options) {
        (self.space.as_ref().unwrap_or_else(|| Space::global()), &self.options)
    }

    fn call<R, E>(&self, site: CallSite, mut f: impl FnMut(&Tx<'_>) -> Result<R, Abort<E>>) -> Result<R, TryError<E>> {
        let (space, options) = self.parts();
        let call = Call { store: &space.store, shared: &space.shared, options, site };
        run(&call, |attempt| f(&Tx { attempt }))
            .map_err(|failure| TryError::new(failure, options.label.as_ref(), &space.store))
    }
}
