//! What clients have counted.

use std::time::Duration;

use super::rules::{Rule, Verdict};
use crate::clock::micros;
use crate::state::{Outcome, Stats};

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    ended: [u64; Outcome::ALL.len()],
    pub(super) logins: u64,
    pub(super) logouts: u64,
    /// Requests that the client did not wait for. The server may have answered them, or never seen them.
    pub(super) hung_up: u64,
    /// How long hits took, in microseconds.
    hits: Vec<u64>,
}

impl Tally {
    pub(super) fn count(&mut self, outcome: Outcome, took: Duration) {
        self.ended[outcome as usize] += 1;
        if outcome == Outcome::Hit {
            self.hits.push(micros(took));
        }
    }

    pub(super) fn add(mut self, other: Tally) -> Tally {
        for (mine, theirs) in self.ended.iter_mut().zip(other.ended) {
            *mine += theirs;
        }
        self.logins += other.logins;
        self.logouts += other.logouts;
        self.hung_up += other.hung_up;
        self.hits.extend(other.hits);
        self
    }

    pub(super) fn answers(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// So many of a thousand hits took no longer than this.
    pub(super) fn hits_within(&mut self, of_1000: usize) -> Duration {
        let Some(last) = self.hits.len().checked_sub(1) else { return Duration::ZERO };
        let (_, nth, _) = self.hits.select_nth_unstable(last * of_1000 / 1000);
        Duration::from_micros(*nth)
    }

    /// The server has counted what was answered, and of what nobody waited for at most all.
    pub(super) fn agrees_with(&self, stats: &Stats, verdict: &Verdict) {
        let mut more = 0;
        for outcome in Outcome::ALL {
            let (mine, theirs) = (self.ended[outcome as usize], stats.of(outcome));
            let what = || format!("{mine} answers were `{}`, and the server has counted {theirs}", outcome.name());
            verdict.check(Rule::Tally, mine <= theirs, what);
            more += theirs.saturating_sub(mine);
        }
        let what = || format!("{more} requests more than were answered, and only {} were hung up on", self.hung_up);
        verdict.check(Rule::Tally, more <= self.hung_up, what);
        let (mine, theirs) = ((self.logins, self.logouts), (stats.sessions.logins, stats.sessions.logouts));
        let what = || format!("{mine:?} logins and logouts, and the server has counted {theirs:?}");
        verdict.check(Rule::Tally, mine == theirs, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::state::Site;
    use clap::Parser;

    #[derive(Parser)]
    struct Defaults {
        #[command(flatten)]
        config: Config,
    }

    #[test]
    fn only_what_was_hung_up_on_may_be_missing() {
        let config = Defaults::parse_from(["test"]).config;
        let site = Site::new(&config, Duration::from_secs(1));
        for outcome in [Outcome::Hit, Outcome::Abandoned, Outcome::Miss] {
            site.space.atomically(|tx| {
                site.counters.begin(tx);
                site.counters.end(tx, outcome);
                Ok(())
            });
        }
        let agrees = |hits, hung_up, logins| {
            let mut tally = Tally { hung_up, logins, ..Tally::default() };
            (0..hits).for_each(|_| tally.count(Outcome::Hit, Duration::ZERO));
            let verdict = Verdict::default();
            tally.agrees_with(&site.stats(&site.space.snapshot()), &verdict);
            verdict.into_first().is_none()
        };
        assert!(agrees(1, 2, 0) && agrees(0, 3, 0));
        assert!(!agrees(2, 2, 0) && !agrees(1, 1, 0) && !agrees(1, 2, 1));
    }
}
