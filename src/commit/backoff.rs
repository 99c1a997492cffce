//! Backing off after a lost swap: jittered, growing, bounded (§4.4).

use crate::sync::{random, thread};

/// What a transaction does after it has lost a root swap or a validation to another commit.
///
/// A cache line that moves between two cores costs more than a commit, so runs of commits on one core beat alternation;
/// jitter keeps losers from coming back in step.
///
/// ```
/// use tvar::{Backoff, TVar, TxOptions};
/// let n = TVar::new(1);
/// let options = TxOptions::new().backoff(Backoff::Jittered { min_spins: 16, max_spins: 1024 });
/// assert_eq!(options.run(|tx| Ok(*tx.read(&n))), Ok(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backoff {
    /// Try again at once.
    None,
    /// Spin for a random number of turns, up to a limit that doubles with every loss from `min_spins` to `max_spins`. A turn
    /// is a CPU pause, some 10 to 50 ns.
    Jittered {
        /// The limit after the first loss.
        min_spins: u32,
        /// The limit that is never exceeded.
        max_spins: u32,
    },
}

impl Backoff {
    /// Long enough for whoever holds the newest root in its cache to get a run of commits done (benches/LOG.md).
    pub(crate) const USUAL: Backoff = Backoff::Jittered { min_spins: 256, max_spins: 8192 };
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::USUAL
    }
}

/// The back-off of one call.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    losses: u32,
}

/// From this many losses on, the CPU is offered to other threads as well: the winner may be waiting for one.
const YIELD_AFTER: u32 = 6;

impl Pause {
    /// Waits a little, longer each time.
    pub(crate) fn wait(&mut self, policy: Backoff) {
        self.wait_unless(policy, || false);
    }

    /// The same, but no longer than until `over`.
    #[cold]
    pub(crate) fn wait_unless(&mut self, policy: Backoff, over: impl Fn() -> bool) {
        let Backoff::Jittered { min_spins, max_spins } = policy else { return };
        let limit = min_spins.saturating_mul(1 << self.losses.min(16)).min(max_spins);
        self.losses += 1;
        for _ in 0..random::up_to(limit) {
            if over() {
                return;
            }
            thread::spin();
        }
        if self.losses > YIELD_AFTER {
            thread::yield_now();
        }
    }
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// The most turns of many back-offs after so many losses.
    fn most_turns(policy: Backoff, losses: u32) -> u32 {
        let most = (0..100).map(|_| {
            let (mut pause, turns) = (Pause::default(), Cell::new(0));
            let count = || {
                turns.set(turns.get() + 1);
                false
            };
            for _ in 0..losses {
                turns.set(0);
                pause.wait_unless(policy, count);
            }
            turns.get()
        });
        most.max().expect("a hundred")
    }

    #[test]
    fn s4_4_limits_double_with_each_loss() {
        let policy = Backoff::Jittered { min_spins: 16, max_spins: 64 };
        // A hundred draws that all stay in the lower half of the limit: once in 2^100 runs.
        for (losses, limit) in [(1, 16), (2, 32), (3, 64), (4, 64), (40, 64)] {
            let most = most_turns(policy, losses);
            assert!((limit / 2..=limit).contains(&most), "{most} turns of {limit} after {losses} losses");
        }
        assert_eq!(most_turns(Backoff::None, 3), 0);
    }

    #[test]
    fn a_back_off_ends_when_there_is_nothing_to_wait_for() {
        let mut pause = Pause::default();
        let turns = Cell::new(0);
        // A billion turns would be seen.
        let policy = Backoff::Jittered { min_spins: u32::MAX, max_spins: u32::MAX };
        pause.wait_unless(policy, || {
            turns.set(turns.get() + 1);
            true
        });
        assert!(turns.get() <= 1);
    }
}
