//! What a request does to the state, from its first transaction to its last.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tvar::{TxError, atomically_async};

use super::cache::{Found, Job};
use super::counters::Outcome;
use super::limits::Client;
use super::sessions::Token;
use super::site::Site;
use crate::render::{Page, PageId};

/// Who sends a request.
#[derive(Clone, Debug)]
pub(crate) struct Visitor {
    pub(crate) token: Option<Token>,
    pub(crate) address: IpAddr,
}

/// What there is to answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// With a hit, a miss or a join.
    Page(Outcome, Arc<Page>),
    /// The new revision of the text.
    Edited(u64),
    /// Too many requests; the next one may come after so long.
    Limited(Duration),
    /// There is nothing to say but how it ended.
    No(Outcome),
}

impl Answer {
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Answer::Page(outcome, _) | Answer::No(outcome) => *outcome,
            Answer::Edited(_) => Outcome::Edited,
            Answer::Limited(_) => Outcome::Limited,
        }
    }
}

/// A request that was counted and has not ended. When its client hangs up the server drops the future in which it is, wherever that
/// is waiting, and this is how that is noticed.
struct Open<'a> {
    site: &'a Site,
    outcome: Outcome,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let (counters, outcome) = (&self.site.counters, self.outcome);
        self.site.space.atomically(|tx| {
            counters.end(tx, outcome);
            Ok(())
        });
    }
}

/// Why a request had to stop waiting.
enum GaveUp {
    Closing,
    TimedOut,
}

impl Site {
    /// A page, from the cache or as soon as it was rendered.
    pub(crate) async fn visit(&self, visitor: &Visitor, id: PageId) -> Answer {
        self.request(visitor, async |_| match self.has(id) {
            true => self.page(id).await,
            false => Answer::No(Outcome::NotFound),
        })
        .await
    }

    /// A new text for a page, from somebody who is logged in.
    pub(crate) async fn edit(&self, visitor: &Visitor, id: PageId) -> Answer {
        self.request(visitor, async |client| match client {
            Client::Address(_) => Answer::No(Outcome::Stranger),
            Client::User(_) if !self.has(id) => Answer::No(Outcome::NotFound),
            Client::User(_) => Answer::Edited(self.space.atomically_async(|tx| Ok(self.cache.edit(tx, id))).await),
        })
        .await
    }

    /// Counts the request and lets it in, if the client has a token left.
    async fn request(&self, visitor: &Visitor, serve: impl AsyncFnOnce(Client) -> Answer) -> Answer {
        let now = self.now();
        let (client, admitted) = self
            .space
            .atomically_async(|tx| {
                self.counters.begin(tx);
                let user = visitor.token.as_deref().and_then(|token| self.sessions.visit(tx, token, now));
                let client = user.map_or(Client::Address(visitor.address), Client::User);
                let admitted = self.limits.take(tx, &self.deadlines, client.clone(), now);
                Ok((client, admitted))
            })
            .await;
        let mut open = Open { site: self, outcome: Outcome::Abandoned };
        let answer = match admitted {
            Ok(()) => serve(client).await,
            Err(wait) => Answer::Limited(wait),
        };
        open.outcome = answer.outcome();
        answer
    }

    async fn page(&self, id: PageId) -> Answer {
        let until = Instant::now() + self.patience;
        let mut outcome = Outcome::Hit;
        loop {
            let job = match self.find(id, until).await {
                Ok(Found::Page(page)) => return Answer::Page(outcome, page),
                Ok(Found::Coming(job)) => {
                    if outcome == Outcome::Hit {
                        outcome = Outcome::Joined;
                    }
                    job
                }
                Ok(Found::Ordered(job)) => {
                    outcome = Outcome::Miss;
                    job
                }
                Err(GaveUp::Closing) => return Answer::No(Outcome::Closing),
                Err(GaveUp::TimedOut) => return Answer::No(Outcome::Full),
            };
            match self.wait_for(job, until).await {
                Ok(Some(page)) => return Answer::Page(outcome, page),
                // Thrown away again already: many pages for a small cache, or an edit.
                Ok(None) => {}
                Err(GaveUp::Closing) => return Answer::No(Outcome::Closing),
                Err(GaveUp::TimedOut) => return Answer::No(Outcome::Late),
            }
        }
    }

    /// Sleeps while the queue is full: until there is room, or until somebody else has ordered the page.
    async fn find(&self, id: PageId, until: Instant) -> Result<Found, GaveUp> {
        let now = self.now();
        let timeout = until.saturating_duration_since(Instant::now());
        ended(
            atomically_async!(space = &self.space, timeout = timeout, label = "find a page"; |tx| {
                Some(self.cache.find(tx, id, now)?)
            } or |tx| {
                tx.check(*tx.read(&self.closed))?;
                None
            })
            .await,
        )
    }

    async fn wait_for(&self, job: Job, until: Instant) -> Result<Option<Arc<Page>>, GaveUp> {
        let timeout = until.saturating_duration_since(Instant::now());
        ended(
            atomically_async!(space = &self.space, timeout = timeout, label = "wait for a page"; |tx| {
                Some(self.cache.wait_for(tx, job)?)
            } or |tx| {
                tx.check(*tx.read(&self.closed))?;
                None
            })
            .await,
        )
    }
}

fn ended<R>(result: Result<Option<R>, TxError>) -> Result<R, GaveUp> {
    match result {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(GaveUp::Closing),
        Err(_) => Err(GaveUp::TimedOut),
    }
}

#[cfg(test)]
mod tests;
