//! A call that waits.

use crate::sync::latch::Latch;
use crate::sync::plain;
use crate::sync::site::Who;
use crate::sync::time::Instant;

/// A call that waits for variables: its latch, and what a listing says of it.
#[derive(Debug)]
pub(crate) struct Sleeper {
    pub(crate) latch: Latch,
    pub(crate) who: Who,
    pub(crate) since: Instant,
    /// A number that no other has.
    pub(crate) ticket: u64,
}

impl Sleeper {
    pub(crate) fn new(latch: Latch, who: Who) -> Sleeper {
        static NEXT: plain::AtomicU64 = plain::AtomicU64::new(0);
        // ORDERING: Relaxed: only uniqueness counts.
        let ticket = NEXT.fetch_add(1, plain::Ordering::Relaxed);
        Sleeper { latch, who, since: Instant::now(), ticket }
    }
}
