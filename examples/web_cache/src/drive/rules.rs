//! What must hold, and what was found not to.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rule {
    /// Every page is the one that was asked for, is sealed, and is as new as what anybody has seen of it before.
    Pages,
    /// Each generation of a page is rendered once.
    Once,
    /// Nobody gets more than their rate, and nobody who keeps to it is refused.
    Limits,
    /// In every version of the site all sums agree, and nothing holds more than it may.
    Sums,
    /// The site has counted what the clients have seen.
    Tally,
    /// Nobody waits any more when the server has ended.
    Waiters,
    /// Every request is answered, as its outcome demands.
    #[value(skip)]
    Answers,
}

#[derive(Clone, Debug)]
pub(super) struct Violation {
    rule: Rule,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = match self.rule {
            Rule::Pages => "pages",
            Rule::Once => "once",
            Rule::Limits => "limits",
            Rule::Sums => "sums",
            Rule::Tally => "tally",
            Rule::Waiters => "waiters",
            Rule::Answers => "answers",
        };
        write!(f, "{rule}: {}", self.what)
    }
}

/// Tells the first violation at once, since the program may not come to its end after that, and keeps it.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    first: Mutex<Option<Violation>>,
}

impl Verdict {
    pub(super) fn violated(&self, rule: Rule, what: impl Into<String>) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            let violation = Violation { rule, what: what.into() };
            eprintln!("web_cache: violated: {violation}");
            *first = Some(violation);
        }
    }

    pub(super) fn check(&self, rule: Rule, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violated(rule, what());
        }
    }

    pub(super) fn into_first(self) -> Option<Violation> {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
