//! What a call of a transaction can be told.

use crate::commit::Backoff;
use crate::sync::time::Duration;
use std::borrow::Cow;

/// A transaction's name in errors and statistics.
pub type Label = Cow<'static, str>;

/// What a transaction is isolated from (§2.2).
///
/// ```
/// use tvar::{Isolation, TVar, TxOptions};
/// let (a, b) = (TVar::new(1), TVar::new(1));
/// // One of the two must stay on call: under snapshot isolation the read that this rests on is promoted.
/// let result = TxOptions::new().isolation(Isolation::Snapshot).run(|tx| {
///     tx.ensure(&b);
///     if *tx.read(&b) == 1 {
///         tx.write(&a, 0);
///     }
///     Ok(())
/// });
/// assert_eq!(result, Ok(()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Strictly serialisable: as if the committed transactions had run one after another, in an order that agrees with real
    /// time. A transaction that writes conflicts with commits to what it read.
    #[default]
    Serializable,
    /// Snapshot isolation: reads never conflict, every write conflicts with a commit to the same variable since the
    /// snapshot (the first committer wins). Write skew is possible; [`Tx::ensure`](crate::Tx::ensure) promotes a read.
    Snapshot,
}

/// Lost attempts after which a transaction takes the turn, unless told otherwise (§4.4).
pub(crate) const ESCALATE_AFTER: u64 = 16;

/// Lost swaps after which a commit is announced, unless told otherwise (§4.2).
pub(crate) const COALESCE_AFTER: u32 = 3;

/// The plain data behind `TxOptions`.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) isolation: Isolation,
    pub(crate) timeout: Option<Duration>,
    pub(crate) max_attempts: Option<u64>,
    pub(crate) label: Option<Label>,
    pub(crate) backoff: Backoff,
    pub(crate) escalate_after: u64,
    pub(crate) coalesce_after: u32,
    pub(crate) pessimistic: bool,
    pub(crate) fail_on_deadlock: bool,
    /// The call sleeps without a thread (W4).
    #[cfg(feature = "async")]
    pub(crate) is_task: bool,
}

impl Options {
    /// What a transaction without options goes by.
    pub(crate) const PLAIN: Options = Options {
        isolation: Isolation::Serializable,
        timeout: None,
        max_attempts: None,
        label: None,
        backoff: Backoff::USUAL,
        escalate_after: ESCALATE_AFTER,
        coalesce_after: COALESCE_AFTER,
        pessimistic: false,
        fail_on_deadlock: false,
        #[cfg(feature = "async")]
        is_task: false,
    };
}
