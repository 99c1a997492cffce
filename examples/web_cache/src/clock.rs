//! Time as the state keeps it: a number that can be compared, added to, and stored in a variable.

use std::time::{Duration, Instant};

/// Microseconds since the site was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn plus(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(micros(duration)))
    }

    /// How long it is from an earlier moment to this one; nothing if it is not earlier.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment(micros(self.start.elapsed()))
    }

    /// The same point in time, as `Tx::retry_until` wants it.
    pub(crate) fn instant(&self, moment: Moment) -> Instant {
        self.start + Duration::from_micros(moment.0)
    }
}
