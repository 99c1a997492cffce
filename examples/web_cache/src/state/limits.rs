//! How often each client may ask: a token bucket per client.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tvar::{Space, TMap, Tx, View};

use super::deadlines::{Deadlines, Subject};
use crate::clock::{Moment, micros};

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Client {
    /// Who is logged in, wherever.
    User(Arc<str>),
    /// All who are not, and come from one address.
    Address(IpAddr),
}

/// A bucket holds `burst` tokens and gets `rate` new ones per second. All there is to keep of it is the moment at which it
/// will be full again: each token that is taken puts that off by the time in which one comes in.
pub(crate) struct Limits {
    full_again: TMap<Client, Moment>,
    /// The time in which one token comes in.
    step: Duration,
    burst: u32,
}

/// A full bucket is thrown away, but not at once: requests that are under way think that it is a little earlier.
const KEPT: Duration = Duration::from_secs(1);

impl Limits {
    pub(crate) fn new_in(space: &Space, rate: u32, burst: u32) -> Self {
        Limits { full_again: TMap::named_in(space, "limits"), step: step(rate), burst }
    }

    /// Takes a token; if there is none, how long it will be until there is.
    pub(crate) fn take(&self, tx: &Tx<'_>, deadlines: &Deadlines, client: Client, now: Moment) -> Result<(), Duration> {
        let full_again = self.full_again.get(tx, &client).copied();
        let next = full_again.unwrap_or(now).max(now).plus(self.step);
        let latest = now.plus(self.step * self.burst);
        if next > latest {
            return Err(next.since(latest));
        }
        if full_again.is_none() {
            deadlines.remind(tx, next.plus(KEPT), Subject::Client(client.clone()));
        }
        self.full_again.upsert(tx, client, next);
        Ok(())
    }

    /// Throws a bucket away that is full, or looks again when it may be.
    pub(crate) fn tidy(&self, tx: &Tx<'_>, deadlines: &Deadlines, client: Client, now: Moment) {
        match self.full_again.get(tx, &client).map(|at| at.plus(KEPT)) {
            Some(at) if at > now => deadlines.remind(tx, at, Subject::Client(client)),
            Some(_) => _ = self.full_again.remove(tx, &client),
            None => {}
        }
    }

    pub(crate) fn clients(&self, view: &impl View) -> usize {
        self.full_again.len(view)
    }
}

/// The time between two tokens. Rounded up: never more than `rate` of them.
pub(crate) fn step(rate: u32) -> Duration {
    Duration::from_micros(micros(Duration::from_secs(1)).div_ceil(u64::from(rate.max(1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    struct Fixture(Space, Limits, Deadlines);

    impl Fixture {
        fn new(rate: u32, burst: u32) -> Self {
            let space = Space::new();
            let (limits, deadlines) = (Limits::new_in(&space, rate, burst), Deadlines::new_in(&space));
            Fixture(space, limits, deadlines)
        }

        fn take(&self, user: &str, now: u64) -> Result<(), Duration> {
            let Fixture(space, limits, deadlines) = self;
            space.atomically(|tx| Ok(limits.take(tx, deadlines, Client::User(user.into()), Moment(now))))
        }
    }

    #[test]
    fn a_burst_and_then_as_many_as_come_in() {
        let fixture = Fixture::new(10, 3);
        assert!((0..3).all(|_| fixture.take("ada", 0).is_ok()));
        assert_eq!(fixture.take("ada", 0), Err(Duration::from_millis(100)));
        assert_eq!(fixture.take("ada", SECOND / 20), Err(Duration::from_millis(50)));
        assert!(fixture.take("bob", 0).is_ok());
        assert!(fixture.take("ada", SECOND / 10).is_ok());
        assert!(fixture.take("ada", SECOND / 10).is_err());
        let later = (0..100).filter(|_| fixture.take("ada", 60 * SECOND).is_ok()).count();
        assert_eq!(later, 3, "a bucket holds no more than a burst");
    }

    #[test]
    fn a_full_bucket_is_thrown_away_and_makes_no_difference() {
        let Fixture(space, limits, deadlines) = &Fixture::new(10, 3);
        let ada = || Client::User("ada".into());
        let clients = || limits.clients(&space.snapshot());
        let tidy = |now| {
            space.atomically(|tx| {
                limits.tidy(tx, deadlines, ada(), Moment(now));
                Ok(())
            })
        };
        assert!(space.atomically(|tx| Ok(limits.take(tx, deadlines, ada(), Moment(0)))).is_ok());
        tidy(SECOND);
        assert_eq!(clients(), 1);
        tidy(2 * SECOND);
        assert_eq!(clients(), 0);
        tidy(2 * SECOND);
    }
}
