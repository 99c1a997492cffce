//! The whole, and what its threads do with it.

use std::sync::Arc;
use std::time::Duration;

use tvar::{Space, TVar};

use super::cache::{Cache, Work};
use super::counters::Counters;
use super::deadlines::{Deadlines, Subject};
use super::limits::Limits;
use super::sessions::{Sessions, Token};
use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::render::{Page, PageId};

pub(crate) struct Site {
    pub(crate) space: Space,
    pub(crate) clock: Clock,
    pub(crate) cache: Cache,
    pub(crate) sessions: Sessions,
    pub(crate) limits: Limits,
    pub(crate) deadlines: Deadlines,
    pub(crate) counters: Counters,
    /// Set once, at the end. Whatever sleeps for something else reads it too.
    pub(crate) closed: TVar<bool>,
    pub(crate) patience: Duration,
    pub(crate) pages: u32,
    pub(crate) effort: u32,
}

impl Site {
    pub(crate) fn new(config: &Config, session_lasts: Duration) -> Self {
        let space = Space::named("site");
        Site {
            clock: Clock::new(),
            cache: Cache::new_in(&space, config.cached as usize, config.page_lasts, config.queue as usize),
            sessions: Sessions::new_in(&space, config.session_lasts.unwrap_or(session_lasts), config.sessions as usize),
            limits: Limits::new_in(&space, config.rate, config.burst),
            deadlines: Deadlines::new_in(&space),
            counters: Counters::new_in(&space),
            closed: TVar::named_in(&space, "closed", false),
            patience: config.patience,
            pages: config.pages,
            effort: config.effort,
            space,
        }
    }

    pub(crate) fn has(&self, id: PageId) -> bool {
        (1..=self.pages).contains(&id)
    }

    /// A session for a user, if there is room for one.
    pub(crate) async fn login(&self, user: &str) -> Option<Token> {
        let token: Token = format!("{:032x}", rand::random::<u128>()).into();
        let now = self.clock.now();
        let new = self
            .space
            .atomically_async(|tx| Ok(self.sessions.login(tx, &self.deadlines, token.clone(), user.into(), now)));
        new.await.then_some(token)
    }

    pub(crate) async fn logout(&self, token: &str) -> bool {
        self.space.atomically_async(|tx| Ok(self.sessions.logout(tx, token))).await
    }

    /// The next job, for a worker; none when the site is closed and all are done.
    pub(crate) fn next_work(&self) -> Option<Work> {
        self.space.atomically(|tx| {
            tx.or_else(
                |tx| self.cache.take(tx).map(Some),
                |tx| {
                    tx.check(*tx.read(&self.closed))?;
                    Ok(None)
                },
            )
        })
    }

    /// Hands in what was rendered; what there is to do again.
    pub(crate) fn hand_in(&self, work: Work, page: Page) -> Option<Work> {
        let (page, now) = (Arc::new(page), self.clock.now());
        self.space.atomically(|tx| Ok(self.cache.put(tx, &self.deadlines, work, &page, now)))
    }

    /// Waits for the next deadline and does what is due; whether the site is still open.
    pub(crate) fn tidy(&self) -> bool {
        self.space.atomically(|tx| {
            if *tx.read(&self.closed) {
                return Ok(false);
            }
            let (now, subject) = self.deadlines.next(tx, &self.clock)?;
            match subject {
                Subject::Page(id) => self.cache.tidy(tx, id, now),
                Subject::Session(token) => self.sessions.tidy(tx, &self.deadlines, token, now),
                Subject::Client(client) => self.limits.tidy(tx, &self.deadlines, client, now),
            }
            Ok(true)
        })
    }

    /// Wakes everybody who sleeps, for the last time.
    pub(crate) fn close(&self) {
        self.closed.store(true);
    }

    /// A moment as the state knows it.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }
}
