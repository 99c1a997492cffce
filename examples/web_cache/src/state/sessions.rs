//! Who is logged in.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tvar::{Space, TMap, TVar, Tx, View};

use super::counters::add_one;
use super::deadlines::{Deadlines, Subject};
use crate::clock::Moment;

/// What a browser sends to say who it is.
pub(crate) type Token = Arc<str>;

#[derive(Clone, Debug)]
struct Session {
    user: Arc<str>,
    expires: Moment,
}

pub(crate) struct Sessions {
    open: TMap<Token, Session>,
    /// How long a session lasts that nobody uses.
    lasts: Duration,
    most: usize,
    logins: TVar<u64>,
    logouts: TVar<u64>,
    expired: TVar<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionStats {
    pub(crate) open: u64,
    pub(crate) logins: u64,
    pub(crate) logouts: u64,
    pub(crate) expired: u64,
}

impl Sessions {
    pub(crate) fn new_in(space: &Space, lasts: Duration, most: usize) -> Self {
        let counter = |name: &str| TVar::named_in(space, name, 0);
        Sessions {
            open: TMap::named_in(space, "sessions"),
            lasts,
            most,
            logins: counter("logins"),
            logouts: counter("logouts"),
            expired: counter("expired sessions"),
        }
    }

    /// Whether there was room for another session.
    pub(crate) fn login(&self, tx: &Tx<'_>, deadlines: &Deadlines, token: Token, user: Arc<str>, now: Moment) -> bool {
        if self.open.len(tx) >= self.most {
            return false;
        }
        let expires = now.plus(self.lasts);
        deadlines.remind(tx, expires, Subject::Session(token.clone()));
        // Tokens are random; that of somebody else is not given out again.
        let new = self.open.insert_new(tx, token, Session { user, expires });
        if new {
            add_one(tx, &self.logins);
        }
        new
    }

    /// Whether there was a session to end.
    pub(crate) fn logout(&self, tx: &Tx<'_>, token: &str) -> bool {
        let was_open = self.open.remove(tx, token).is_some();
        if was_open {
            add_one(tx, &self.logouts);
        }
        was_open
    }

    /// The user of a session, which lasts longer for being used. It is written only if it has lost a quarter of its time, so that
    /// requests of one session seldom conflict.
    pub(crate) fn visit(&self, tx: &Tx<'_>, token: &str, now: Moment) -> Option<Arc<str>> {
        let session = self.open.get(tx, token).filter(|session| session.expires > now)?;
        let expires = now.plus(self.lasts);
        if expires.since(session.expires) > self.lasts / 4 {
            self.open.upsert(tx, token.into(), Session { expires, ..session.clone() });
        }
        Some(session.user.clone())
    }

    /// Ends a session whose time is over, or looks again when it may be.
    pub(crate) fn tidy(&self, tx: &Tx<'_>, deadlines: &Deadlines, token: Token, now: Moment) {
        match self.open.get(tx, &token).map(|session| session.expires) {
            Some(at) if at > now => deadlines.remind(tx, at, Subject::Session(token)),
            Some(_) => {
                self.open.remove(tx, &token);
                add_one(tx, &self.expired);
            }
            None => {}
        }
    }

    pub(crate) fn stats(&self, view: &impl View) -> SessionStats {
        SessionStats {
            open: self.open.len(view) as u64,
            logins: *view.read(&self.logins),
            logouts: *view.read(&self.logouts),
            expired: *view.read(&self.expired),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTS: Duration = Duration::from_secs(4);

    fn at(second: u64) -> Moment {
        Moment(second * 1_000_000)
    }

    #[test]
    fn a_session_lasts_as_long_as_it_is_used() {
        let space = Space::new();
        let (sessions, deadlines) = (Sessions::new_in(&space, LASTS, 2), Deadlines::new_in(&space));
        let login = |token: &str, user: &str| {
            space.atomically(|tx| Ok(sessions.login(tx, &deadlines, token.into(), user.into(), at(0))))
        };
        let visit =
            |token: &str, now| space.atomically(|tx| Ok(sessions.visit(tx, token, at(now)).as_deref() == Some("ada")));
        let tidy = |token: &str, now| {
            space.atomically(|tx| {
                sessions.tidy(tx, &deadlines, token.into(), at(now));
                Ok(())
            })
        };
        assert!(login("one", "ada") && login("two", "ada") && !login("three", "bob"));
        assert!(visit("one", 3) && !visit("none", 3));
        tidy("one", 4);
        tidy("two", 4);
        assert!(visit("one", 6) && !visit("two", 3), "the one was used, the other was not");
        assert!(!visit("one", 10), "over, though nobody has tidied up yet");
        assert!(space.atomically(|tx| Ok(sessions.logout(tx, "one"))));
        assert!(!space.atomically(|tx| Ok(sessions.logout(tx, "one"))));
        tidy("one", 10);
        let stats = sessions.stats(&space.snapshot());
        assert_eq!(stats, SessionStats { open: 0, logins: 2, logouts: 1, expired: 1 });
    }
}
