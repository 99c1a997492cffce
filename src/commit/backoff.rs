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
