//! Where a call of the crate stands in the user's code.

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
