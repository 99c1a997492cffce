//! What a space has counted.

use crate::store::{Count, Store};
use crate::sync::Arc;
use std::fmt;

/// Counters of a space since it was made (§7.2); from [`Space::stats`](crate::Space::stats).
///
/// Each thread counts for itself, so counting costs a commit next to nothing, and the sums are of slightly different moments
/// while other threads run.
///
/// ```
/// use tvar::{Space, TVar};
/// let space = Space::new();
/// let n = TVar::new_in(&space, 1);
/// n.store(2);
/// n.load();
/// assert_eq!((space.stats().commits, space.stats().read_only), (1, 1));
/// println!("{}", space.stats());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Transactions that wrote and committed.
    pub commits: u64,
    /// Transactions that committed without having written.
    pub read_only: u64,
    /// Attempts lost to another commit: what they had read (or, under snapshot isolation, written) had changed.
    pub conflicts: u64,
    /// Root swaps lost to another commit; the write set is applied again, no closure runs for it.
    pub lost_swaps: u64,
    /// Runs of a closure after the first of its call, for whatever reason.
    pub reruns: u64,
    /// Times that a call went to sleep in `retry`.
    pub parked: u64,
    /// Times that such a call was woken by a change to what it had read.
    pub wakeups: u64,
    /// Transactions that had lost so often that they got a turn of their own (§4.4).
    pub escalations: u64,
    /// Commits that had lost so many swaps that they were announced, for whoever built the next root to take along (§4.2).
    pub announced: u64,
    /// Root swaps that decided announced commits, whatever the verdict.
    pub batches: u64,
    /// Times that a transaction, or a commit, waited for a lock (§5).
    pub lock_waits: u64,
    /// Deadlocks that ended with a transaction giving way, or being refused.
    pub deadlocks: u64,
    /// How many versions the oldest live snapshot is behind the newest: that of a running attempt or one that is [kept](crate::Space::snapshot). 0 if there is none.
    pub snapshot_age: u64,
}

impl Stats {
    pub(crate) fn of(store: &Arc<Store>) -> Stats {
        let counts = store.counts();
        let of = |count: Count| counts[count as usize];
        Stats {
            commits: of(Count::Commits),
            read_only: of(Count::ReadOnly),
            conflicts: of(Count::Conflicts),
            lost_swaps: of(Count::LostSwaps),
            reruns: of(Count::Reruns),
            parked: of(Count::Parked),
            wakeups: of(Count::Wakeups),
            escalations: of(Count::Escalations),
            announced: of(Count::Announced),
            batches: of(Count::Batches),
            lock_waits: of(Count::LockWaits),
            deadlocks: of(Count::Deadlocks),
            snapshot_age: store.oldest_pinned().map_or(0, |oldest| store.version().saturating_sub(oldest)),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.commits, "commits"),
            (self.read_only, "read-only"),
            (self.conflicts, "conflicts"),
            (self.lost_swaps, "lost swaps"),
            (self.reruns, "re-runs"),
            (self.parked, "sleeps"),
            (self.wakeups, "wake-ups"),
            (self.escalations, "escalations"),
            (self.announced, "announced"),
            (self.batches, "batches"),
            (self.lock_waits, "lock waits"),
            (self.deadlocks, "deadlocks"),
        ];
        for (at, (count, what)) in parts.into_iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {what}")?;
        }
        write!(f, ", oldest snapshot {} version(s) old", self.snapshot_age)
    }
}
