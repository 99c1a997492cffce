//! Clocks and deadlines.

pub(crate) use std::time::{Duration, Instant};

/// The point in time `limit` after `start`; `None` when that is beyond what the clock can say (never).
pub(crate) fn after(start: Instant, limit: Duration) -> Option<Instant> {
    start.checked_add(limit)
}
