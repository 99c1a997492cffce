//! The statistics, all of one version of the site, and the sums that must agree in every version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tvar::View;

use super::cache::{Cache, State};
use super::counters::Outcome;
use super::sessions::SessionStats;
use super::site::Site;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stats {
    pub(crate) requests: u64,
    /// Requests that have not ended.
    pub(crate) open: u64,
    /// Those that have, by how.
    pub(crate) ended: BTreeMap<Outcome, u64>,
    pub(crate) jobs: JobStats,
    pub(crate) cache: CacheStats,
    pub(crate) sessions: SessionStats,
    /// Clients whose requests are being counted.
    pub(crate) clients: u64,
    pub(crate) closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobStats {
    pub(crate) capacity: u64,
    pub(crate) ordered: u64,
    pub(crate) queued: u64,
    pub(crate) running: u64,
    pub(crate) done: u64,
    pub(crate) outdated: u64,
    pub(crate) longest_queue: u64,
}

/// What the cache says, and what is found when its pages are gone through one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CacheStats {
    pub(crate) capacity: u64,
    pub(crate) ready: u64,
    pub(crate) expired: u64,
    pub(crate) evicted: u64,
    pub(crate) edited: u64,
    pub(crate) found_ready: u64,
    pub(crate) found_queued: u64,
    pub(crate) found_running: u64,
    pub(crate) generations: u64,
}

impl Site {
    /// From a snapshot, or in a transaction.
    pub(crate) fn stats(&self, view: &impl View) -> Stats {
        let counters = &self.counters;
        Stats {
            requests: *view.read(&counters.requests),
            open: *view.read(&counters.open),
            ended: Outcome::ALL.into_iter().zip(counters.ended.iter().map(|n| *view.read(n))).collect(),
            jobs: JobStats::of(&self.cache, view),
            cache: CacheStats::of(&self.cache, view),
            sessions: self.sessions.stats(view),
            clients: self.limits.clients(view) as u64,
            closed: *view.read(&self.closed),
        }
    }
}

impl JobStats {
    fn of(cache: &Cache, view: &impl View) -> Self {
        JobStats {
            capacity: cache.queue.capacity() as u64,
            ordered: *view.read(&cache.ordered),
            queued: cache.queue.len(view) as u64,
            running: *view.read(&cache.running),
            done: *view.read(&cache.done),
            outdated: *view.read(&cache.outdated),
            longest_queue: *view.read(&cache.longest_queue),
        }
    }
}

impl CacheStats {
    fn of(cache: &Cache, view: &impl View) -> Self {
        let mut stats = CacheStats {
            capacity: cache.capacity as u64,
            ready: cache.order.len(view) as u64,
            expired: *view.read(&cache.expired),
            evicted: *view.read(&cache.evicted),
            edited: *view.read(&cache.edited),
            found_ready: 0,
            found_queued: 0,
            found_running: 0,
            generations: 0,
        };
        for slot in cache.slots.values(view) {
            stats.generations += slot.generation;
            match slot.state {
                State::Absent => {}
                State::Queued => stats.found_queued += 1,
                State::Running => stats.found_running += 1,
                State::Ready { .. } => stats.found_ready += 1,
            }
        }
        stats
    }
}

impl Stats {
    /// The first sum that does not agree.
    pub(crate) fn check(&self) -> Result<(), String> {
        let Stats { jobs, cache, sessions, .. } = self;
        let ended: u64 = self.ended.values().sum();
        let equal = |what: &str, left: u64, right: u64| match left == right {
            true => Ok(()),
            false => Err(format!("{what}: {left} and {right}")),
        };
        let at_most = |what: &str, n: u64, most: u64| match n <= most {
            true => Ok(()),
            false => Err(format!("{what}: {n} and no more than {most}")),
        };
        equal("requests, and those that are open or have ended", self.requests, self.open + ended)?;
        equal("jobs ordered, and those queued, running or done", jobs.ordered, jobs.queued + jobs.running + jobs.done)?;
        equal("generations, and jobs ordered or done again", cache.generations, jobs.ordered + jobs.outdated)?;
        equal("jobs in the queue, and pages that are queued", jobs.queued, cache.found_queued)?;
        equal("jobs that are running, and pages that are being rendered", jobs.running, cache.found_running)?;
        equal("pages in order of use, and pages that are ready", cache.ready, cache.found_ready)?;
        let gone = cache.expired + cache.evicted + cache.edited;
        equal("jobs done, and pages that are ready or gone", jobs.done, cache.ready + gone)?;
        equal(
            "logins, and sessions that are open or over",
            sessions.logins,
            sessions.open + sessions.logouts + sessions.expired,
        )?;
        at_most("jobs in the queue", jobs.queued, jobs.capacity)?;
        at_most("jobs ever in the queue", jobs.longest_queue, jobs.capacity)?;
        at_most("pages in the cache", cache.ready, cache.capacity)
    }

    pub(crate) fn of(&self, outcome: Outcome) -> u64 {
        self.ended.get(&outcome).copied().unwrap_or(0)
    }
}
