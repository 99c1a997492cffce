//! Results that exist once a transaction has committed.

use crate::store::Outbox;
use std::fmt;

/// The result of a [`Tx::merge_then`](crate::Tx::merge_then): there once the transaction has committed (§4.5).
///
/// Hand it out of the closure as (a part of) its value. The result is that of the attempt that committed; handles from
/// attempts that did not commit stay empty.
///
/// ```
/// use tvar::{TVar, atomically};
/// let tickets = TVar::new(0u64);
/// let mine = atomically(|tx| Ok(tx.merge_then(&tickets, |n| n + 1, |n| *n)));
/// assert_eq!(mine.unwrap(), 1);
/// ```
pub struct AfterCommit<R> {
    outbox: Outbox<R>,
}

impl<R> AfterCommit<R> {
    pub(crate) fn new(outbox: Outbox<R>) -> Self {
        AfterCommit { outbox }
    }

    /// Whether the result is there: the transaction has committed, and nobody has taken it.
    pub fn is_ready(&self) -> bool {
        self.outbox.with(|result| result.is_some())
    }

    /// Takes the result; `None` before the commit, and when it was taken already.
    pub fn take(&self) -> Option<R> {
        self.outbox.with(Option::take)
    }

    /// A copy of the result; `None` before the commit, and when it was taken. Other handles to the same result wait while it is
    /// being cloned.
    pub fn get(&self) -> Option<R>
    where
        R: Clone,
    {
        self.outbox.with(|result| result.clone())
    }

    /// The result.
    ///
    /// # Panics
    /// When the transaction has not committed, or the result was taken.
    #[track_caller]
    pub fn unwrap(self) -> R {
        match self.take() {
            Some(result) => result,
            None => panic!(
                "tvar: the result of `merge_then` is not there: the transaction has not committed, or it was taken"
            ),
        }
    }
}

impl<R> Clone for AfterCommit<R> {
    /// Another handle to the same result.
    fn clone(&self) -> Self {
        AfterCommit { outbox: self.outbox.clone() }
    }
}

impl<R> fmt::Debug for AfterCommit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterCommit").field("ready", &self.is_ready()).finish()
    }
}
