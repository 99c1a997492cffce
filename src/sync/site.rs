//! Where a call of the crate stands in the user's code, and how reports name a transaction.

use std::borrow::Cow;
use std::fmt;
use std::panic::Location;

/// Where a call of the crate stands in the user's code, and what it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallSite {
    pub(crate) what: &'static str,
    pub(crate) at: &'static Location<'static>,
}

impl CallSite {
    /// The user's call of the function that calls this (both `#[track_caller]`).
    #[track_caller]
    #[inline]
    pub(crate) fn here(what: &'static str) -> CallSite {
        CallSite { what, at: Location::caller() }
    }
}

impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at {}", self.what, self.at)
    }
}

/// A transaction as reports name it: by its label, and by the call that runs it.
///
/// ```
/// use tvar::{Space, TVar, TxOptions};
/// let space = Space::new();
/// space.observe(true);
/// let sales = TVar::new_in(&space, 0);
/// TxOptions::new().space(&space).label("sale").run(|tx| Ok(tx.modify(&sales, |n| n + 1))).unwrap();
/// assert_eq!(space.label_stats()[0].label, "sale");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Who {
    /// The label from its options.
    pub label: Option<Cow<'static, str>>,
    /// The function that was called, such as `atomically`.
    pub function: &'static str,
    /// Where in the program.
    pub location: &'static Location<'static>,
}

impl Who {
    pub(crate) fn new(label: Option<&Cow<'static, str>>, site: CallSite) -> Who {
        Who { label: label.cloned(), function: site.what, location: site.at }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.label {
            Some(label) => write!(f, "`{label}` ({} at {})", self.function, self.location),
            None => write!(f, "`{}` at {}", self.function, self.location),
        }
    }
}
