//! What is counted, one variable each. `merge` adds at the commit, so that no two of those who count conflict.

use serde::{Deserialize, Serialize};
use tvar::{Space, TVar, Tx};

/// How a request for a page, or for its edit, has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The page was in the cache.
    Hit,
    /// This request has put the job into the queue, and waited for the page.
    Miss,
    /// The page was being rendered for somebody else already.
    Joined,
    Edited,
    /// More requests than the client may make.
    Limited,
    /// The queue was full for too long.
    Full,
    /// The page was not there in time.
    Late,
    /// The server is being shut down.
    Closing,
    /// Somebody who is not logged in wanted to edit.
    Stranger,
    NotFound,
    /// The client has hung up.
    Abandoned,
}

impl Outcome {
    pub(crate) const ALL: [Outcome; 11] = [
        Outcome::Hit,
        Outcome::Miss,
        Outcome::Joined,
        Outcome::Edited,
        Outcome::Limited,
        Outcome::Full,
        Outcome::Late,
        Outcome::Closing,
        Outcome::Stranger,
        Outcome::NotFound,
        Outcome::Abandoned,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Miss => "miss",
            Outcome::Joined => "joined",
            Outcome::Edited => "edited",
            Outcome::Limited => "limited",
            Outcome::Full => "full",
            Outcome::Late => "late",
            Outcome::Closing => "closing",
            Outcome::Stranger => "stranger",
            Outcome::NotFound => "not_found",
            Outcome::Abandoned => "abandoned",
        }
    }
}

pub(crate) struct Counters {
    pub(crate) requests: TVar<u64>,
    /// Requests that have not ended yet.
    pub(crate) open: TVar<u64>,
    /// Those that have, by how.
    pub(crate) ended: [TVar<u64>; Outcome::ALL.len()],
}

impl Counters {
    pub(crate) fn new_in(space: &Space) -> Self {
        Counters {
            requests: TVar::named_in(space, "requests", 0),
            open: TVar::named_in(space, "open requests", 0),
            ended: Outcome::ALL.map(|outcome| TVar::named_in(space, outcome.name(), 0)),
        }
    }

    pub(crate) fn begin(&self, tx: &Tx<'_>) {
        add_one(tx, &self.requests);
        add_one(tx, &self.open);
    }

    pub(crate) fn end(&self, tx: &Tx<'_>, outcome: Outcome) {
        tx.merge(&self.open, |n| n - 1);
        add_one(tx, &self.ended[outcome as usize]);
    }
}

pub(crate) fn add_one(tx: &Tx<'_>, counter: &TVar<u64>) {
    tx.merge(counter, |n| n + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_statistics() {
        for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, n);
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
        }
    }
}
