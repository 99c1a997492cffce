//! Errors of transactions with options.

use crate::attempt::{Ended, Failure, Label, Loss};
use crate::lock::name_of;
use crate::store::Store;
use std::fmt;

/// Why a transaction with options ended without a result (§3.5, §4.4).
///
/// ```
/// use std::time::Duration;
/// use tvar::{TVar, TxError, atomically};
/// let empty = TVar::new(0);
/// let result: Result<(), TxError> = atomically!(timeout = Duration::ZERO, label = "take"; |tx| {
///     tx.check(*tx.read(&empty) > 0)?
/// });
/// let error = result.unwrap_err();
/// assert!(error.is_timeout());
/// assert_eq!(error.label(), Some("take"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TxError {
    /// The timeout of the whole call has passed.
    #[non_exhaustive]
    TimedOut {
        /// The transaction's label.
        label: Option<Label>,
        /// How often the closure ran.
        attempts: u64,
        /// How often the call slept.
        waits: u64,
        /// The variable of the last conflict: its name, or its number.
        lost_to: Option<String>,
    },
    /// As many attempts as allowed have lost to other commits.
    #[non_exhaustive]
    TooManyAttempts {
        /// The transaction's label.
        label: Option<Label>,
        /// How many attempts were lost.
        attempts: u64,
        /// The variable of the last conflict: its name, or its number.
        lost_to: Option<String>,
    },
    /// The transaction has given way in a deadlock, and was told to fail then ([`fail_on_deadlock`](crate::TxOptions::fail_on_deadlock)).
    #[non_exhaustive]
    Deadlock {
        /// The transaction's label.
        label: Option<Label>,
        /// How often the closure ran.
        attempts: u64,
        /// Who waits for which variable; the next one holds it, or stands before it in the line, and the first one comes after the last.
        cycle: Vec<String>,
    },
}

impl TxError {
    fn new(ended: Ended, label: Option<&Label>, store: &Store) -> TxError {
        let label = label.cloned();
        let name = |slot| store.describe(slot);
        match ended {
            Ended::TimedOut(Loss { attempts, waits, lost_to, .. }) => {
                TxError::TimedOut { label, attempts, waits, lost_to: lost_to.map(name) }
            }
            Ended::TooManyAttempts(Loss { lost, lost_to, .. }) => {
                TxError::TooManyAttempts { label, attempts: lost, lost_to: lost_to.map(name) }
            }
            Ended::Deadlock(Loss { attempts, cycle, .. }) => {
                let waits = cycle.into_iter().map(|(number, label, place)| {
                    format!("{} waits for `{}`", name_of(label.as_deref(), number), place.describe(name))
                });
                TxError::Deadlock { label, attempts, cycle: waits.collect() }
            }
            #[cfg(feature = "async")]
            Ended::Suspended(_) => unreachable!("whoever polls keeps it"),
        }
    }

    /// How often the closure ran (after a timeout), or how many attempts were lost.
    pub fn attempts(&self) -> u64 {
        match self {
            TxError::TimedOut { attempts, .. }
            | TxError::TooManyAttempts { attempts, .. }
            | TxError::Deadlock { attempts, .. } => *attempts,
        }
    }

    /// The transaction's label.
    pub fn label(&self) -> Option<&str> {
        match self {
            TxError::TimedOut { label, .. }
            | TxError::TooManyAttempts { label, .. }
            | TxError::Deadlock { label, .. } => label.as_deref(),
        }
    }

    /// The variable of the last conflict: its name, or "variable #" and its number.
    pub fn lost_to(&self) -> Option<&str> {
        match self {
            TxError::TimedOut { lost_to, .. } | TxError::TooManyAttempts { lost_to, .. } => lost_to.as_deref(),
            TxError::Deadlock { .. } => None,
        }
    }

    /// Whether the timeout has passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, TxError::TimedOut { .. })
    }

    /// Whether it was a deadlock.
    pub fn is_deadlock(&self) -> bool {
        matches!(self, TxError::Deadlock { .. })
    }
}

impl fmt::Display for TxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.label() {
            Some(label) => write!(f, "transaction `{label}` ")?,
            None => write!(f, "transaction ")?,
        }
        match self {
            TxError::TimedOut { attempts, waits, .. } => {
                write!(f, "timed out after {attempts} attempt(s) and {waits} wait(s)")?;
            }
            TxError::TooManyAttempts { attempts, .. } => write!(f, "lost {attempts} attempt(s) to other commits")?,
            TxError::Deadlock { attempts, cycle, .. } => {
                write!(f, "gave way in a deadlock, in attempt {attempts}: {}", cycle.join(", "))?;
            }
        }
        match self.lost_to() {
            Some(variable) => write!(f, ", the last conflict on `{variable}`"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for TxError {}

/// Why a typed transaction with options ended without a result.
///
/// ```
/// use tvar::{TVar, TryError, try_atomically};
/// let balance = TVar::new(3);
/// let result = try_atomically!(max_attempts = 10; |tx| {
///     if *tx.read(&balance) < 5 {
///         tx.abort("no funds")?
///     }
/// });
/// assert_eq!(result, Err(TryError::Aborted("no funds")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TryError<E> {
    /// The closure aborted with this value (§2.7).
    Aborted(E),
    /// The call gave up.
    Failed(TxError),
}

impl<E> TryError<E> {
    pub(crate) fn new(failure: Failure<E>, label: Option<&Label>, store: &Store) -> Self {
        match failure {
            Failure::Aborted(error) => TryError::Aborted(error),
            Failure::Ended(ended) => TryError::Failed(TxError::new(ended, label, store)),
        }
    }
}

impl<E: fmt::Display> fmt::Display for TryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryError::Aborted(error) => write!(f, "transaction aborted: {error}"),
            TryError::Failed(error) => error.fmt(f),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for TryError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TryError::Aborted(error) => Some(error),
            TryError::Failed(error) => Some(error),
        }
    }
}
