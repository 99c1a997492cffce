//! What one client does, and what it expects.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::sleep;

use super::http::{Connection, Reply};
use super::pace::{Span, excess};
use super::rules::{Rule, Verdict};
use super::seen::Seen;
use super::tally::Tally;
use crate::http::{OUTCOME, REVISION, status};
use crate::render::PageId;
use crate::state::Outcome;

const SECOND_THOUGHT: Duration = Duration::from_millis(3);

/// What all clients know.
pub(super) struct World {
    pub(super) server: SocketAddr,
    pub(super) until: Instant,
    pub(super) pages: u32,
    pub(super) effort: u32,
    /// The time in which each client gets another token.
    pub(super) step: Duration,
    pub(super) burst: u32,
    pub(super) session_lasts: Duration,
    pub(super) seen: Seen,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Keeps to the rate.
    Reader,
    /// Keeps to the rate, and edits.
    Editor,
    /// Asks as fast as it gets answers.
    Greedy,
    /// Hangs up when an answer takes long.
    Impatient,
    /// Is not logged in. There is one only: all who are not share a bucket.
    Stranger,
}

impl Habit {
    fn of(number: u32) -> Habit {
        match number % 8 {
            0 => Habit::Editor,
            1 => Habit::Greedy,
            2 => Habit::Impatient,
            3 if number == 3 => Habit::Stranger,
            _ => Habit::Reader,
        }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

struct Client<'a> {
    world: &'a World,
    name: String,
    habit: Habit,
    random: SmallRng,
    connection: Connection,
    /// When the session was last used.
    used: Instant,
    /// The requests that were let in.
    let_in: Vec<Span>,
    tally: Tally,
}

/// Drives the server with one client; what it has counted.
pub(super) async fn drive(world: &World, number: u32) -> Tally {
    match Client::start(world, number).await {
        Ok(client) => client.run().await,
        Err(e) => {
            world.verdict.violated(Rule::Answers, format!("client {number} cannot start: {e}"));
            Tally::default()
        }
    }
}

/// Whether so many requests of one client may have been let in.
pub(super) fn check_limit(world: &World, name: &str, let_in: &[Span]) {
    if let Some(excess) = excess(let_in, world.step, world.burst) {
        world.verdict.violated(Rule::Limits, format!("{name}: {excess}"));
    }
}

/// One more request, when all others have ended.
pub(super) async fn last_look(world: &World, tally: &mut Tally) -> Result<(), Error> {
    let mut client = Client::start(world, 0).await?;
    sleep(world.step).await;
    client.read_page(1).await?;
    *tally = std::mem::take(tally).add(client.tally);
    Ok(())
}

impl<'a> Client<'a> {
    async fn start(world: &'a World, number: u32) -> Result<Self, Error> {
        let connection = Connection::open(world.server).await?;
        let mut client = Client {
            world,
            name: format!("client{number}"),
            habit: Habit::of(number),
            random: SmallRng::seed_from_u64(number.into()),
            connection,
            used: Instant::now(),
            let_in: Vec::new(),
            tally: Tally::default(),
        };
        if client.habit != Habit::Stranger {
            client.login().await?;
        }
        Ok(client)
    }

    async fn run(mut self) -> Tally {
        while Instant::now() < self.world.until {
            if let Err(e) = self.once().await {
                self.world.verdict.violated(Rule::Answers, format!("{} ({:?}): {e}", self.name, self.habit));
                break;
            }
        }
        check_limit(self.world, &self.name, &self.let_in);
        self.tally
    }

    /// One request, and what goes with it.
    async fn once(&mut self) -> Result<(), Error> {
        if self.habit != Habit::Greedy {
            sleep(self.world.step).await;
        }
        if self.habit == Habit::Reader && self.chance(200) && self.world.session_lasts * 3 < self.left() {
            sleep(self.world.session_lasts * 3 / 2).await;
        }
        if self.habit != Habit::Stranger {
            if self.chance(100) && self.used.elapsed() < self.world.session_lasts / 2 {
                let reply = self.connection.post("/logout", "").await?;
                self.tally.logouts += u64::from(reply.status.is_success());
            }
            if self.connection.cookie.is_none() || self.used.elapsed() > self.world.session_lasts / 2 {
                self.login().await?;
            }
        }
        let edits = matches!(self.habit, Habit::Editor | Habit::Stranger) && self.chance(6);
        if !edits {
            return self.read().await;
        }
        let id = self.any_page();
        self.edit(id).await?;
        if self.habit == Habit::Editor && self.world.burst > 2 && self.chance(2) {
            // A second thought, which may well come while the first one is being rendered.
            sleep(SECOND_THOUGHT).await;
            self.edit(id).await?;
            sleep(self.world.step).await;
        }
        Ok(())
    }

    async fn login(&mut self) -> Result<(), Error> {
        self.connection.cookie = None;
        let reply = self.connection.post("/login", &format!("user={}", self.name)).await?;
        if !reply.status.is_success() {
            return Err(format!("cannot log in: {} {}", reply.status, reply.body).into());
        }
        self.used = reply.sent;
        self.tally.logins += 1;
        Ok(())
    }

    async fn read(&mut self) -> Result<(), Error> {
        let id = if self.chance(50) { self.world.pages + 1 } else { self.any_page() };
        self.read_page(id).await
    }

    async fn read_page(&mut self, id: PageId) -> Result<(), Error> {
        let missing = id > self.world.pages;
        let floor = self.world.seen.floor(id);
        let path = format!("/page/{id}");
        let reply = if self.habit == Habit::Impatient && self.chance(4) {
            match self.connection.get_or_hang_up(&path, Duration::from_millis(2)).await? {
                Some(reply) => reply,
                None => {
                    self.tally.hung_up += 1;
                    return Ok(());
                }
            }
        } else {
            self.connection.get(&path).await?
        };
        match self.outcome(&reply).await? {
            Outcome::Hit | Outcome::Miss | Outcome::Joined if !missing => {
                self.world.seen.page(id, floor, &reply, self.world.effort, &self.world.verdict);
            }
            Outcome::NotFound if missing => {}
            Outcome::Limited | Outcome::Full | Outcome::Late => {}
            outcome => return Err(format!("page {id} was answered with {outcome:?}").into()),
        }
        Ok(())
    }

    async fn edit(&mut self, id: PageId) -> Result<(), Error> {
        let floor = self.world.seen.floor(id);
        let reply = self.connection.post(&format!("/page/{id}"), "").await?;
        match self.outcome(&reply).await? {
            Outcome::Edited if self.habit == Habit::Editor => {
                let revision = reply.number(REVISION).ok_or("an edit without a revision")?;
                self.world.seen.edit(id, floor, revision, &self.world.verdict);
            }
            // The session may have expired on the way.
            Outcome::Stranger => self.connection.cookie = None,
            Outcome::Limited => {}
            outcome => return Err(format!("an edit of page {id} was answered with {outcome:?}").into()),
        }
        Ok(())
    }

    /// How the request has ended, according to the server; counts it.
    async fn outcome(&mut self, reply: &Reply) -> Result<Outcome, Error> {
        let idle = reply.received - std::mem::replace(&mut self.used, reply.sent);
        let name = reply.header(OUTCOME).ok_or_else(|| format!("an answer without an outcome: {}", reply.status))?;
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.name() == name).ok_or("an unknown outcome")?;
        if status(outcome) != reply.status {
            return Err(format!("{outcome:?} with status {}", reply.status).into());
        }
        self.tally.count(outcome, reply.received - reply.sent);
        if outcome != Outcome::Limited {
            self.let_in.push((reply.sent, reply.received));
            return Ok(outcome);
        }
        reply.number("retry-after").filter(|seconds| *seconds > 0).ok_or("limited, and not told for how long")?;
        // Those whose session has expired on the way take from the bucket of all who are not logged in; and nobody knows when a request was
        // let in that was hung up on.
        let in_time = idle < self.world.session_lasts / 2 && self.tally.hung_up == 0;
        let sure = in_time && !matches!(self.habit, Habit::Greedy | Habit::Stranger);
        self.world.verdict.check(Rule::Limits, !sure, || format!("{} ({:?}) was refused", self.name, self.habit));
        sleep(Duration::from_millis(1)).await;
        Ok(outcome)
    }

    /// Pages with small numbers are asked for more often.
    fn any_page(&mut self) -> PageId {
        let skewed = self.random.random::<f64>().powi(3) * f64::from(self.world.pages);
        1 + (skewed as u32).min(self.world.pages - 1)
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.random.random_ratio(1, one_in)
    }

    fn left(&self) -> Duration {
        self.world.until.saturating_duration_since(Instant::now())
    }
}
