//! A latch: one thread sleeps until somebody opens it.

use super::Arc;
use super::atomic::{AtomicBool, Ordering};
use super::thread::{self, Thread};
use super::time::Instant;

/// Looks at the latch before sleeping: a partner that runs on another CPU answers sooner than a sleep takes.
const SPINS: u32 = 100;

/// Owned by the thread that made it; may be opened by any.
#[derive(Debug)]
pub(crate) struct Latch {
    open: AtomicBool,
    sleeper: Thread,
}

impl Latch {
    /// A closed latch for the calling thread.
    pub(crate) fn new() -> Arc<Latch> {
        Arc::new(Latch { open: AtomicBool::new(false), sleeper: thread::current() })
    }

    /// Lets the sleeper go on.
    pub(crate) fn open(&self) {
        // ORDERING: Release: what the opener did comes before the sleeper's next step; partner: the Acquire in `wait`.
        if !self.open.swap(true, Ordering::AcqRel) {
            self.sleeper.unpark();
        }
    }

    /// Closes the latch again; an `open` after this is seen by the next `wait`.
    pub(crate) fn reset(&self) {
        // ORDERING: AcqRel: the look at the variables that follows comes after the wake-up that is being consumed; partner:
        // `open`.
        self.open.swap(false, Ordering::AcqRel);
    }

    /// Sleeps until the latch is open (`true`) or the deadline has passed (`false`).
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if thread::cpus() > 1 {
            for _ in 0..SPINS {
                if self.is_open() {
                    return true;
                }
                thread::spin();
            }
        }
        while !self.is_open() {
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let now = Instant::now();
                    if now >= deadline {
                        return false;
                    }
                    thread::park_timeout(deadline - now);
                }
            }
        }
        true
    }

    fn is_open(&self) -> bool {
        // ORDERING: Acquire: partner: `open`.
        self.open.load(Ordering::Acquire)
    }
}
