//! The step scheduler: runs a script, one step at a time.
//!
//! Each transaction has a thread of its own. Of all threads one is told to make a step; the next order is given when no thread runs any
//! more: each waits for an order, has stopped at a point, sleeps, has ended, or stands in the line for a lock. The lock table itself says
//! who stands in line ([`Space::locks`]). So what happens is the script's doing alone. A transaction that cannot make its step yet makes it,
//! and those that have become due meanwhile, as soon as it can. One that runs again makes again what it had made, and goes on from there.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tvar::Space;
use tvar::hooks::Point;

use crate::history::{Attempt, Call, End, History};
use crate::program::{Contents, Op, Step, Who, initial};
use crate::rows::Rows;
use crate::setting::Setting;
use crate::worker::{Event, Order, Worker};

/// How long nothing may happen before a run fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for news before a look at the line for locks.
const POLL: Duration = Duration::from_micros(50);

/// Where a transaction stops once, until nobody else can go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Halt {
    pub(crate) who: Who,
    pub(crate) at: Point,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Has not begun.
    Ahead,
    /// Waits for an order.
    Idle,
    /// On its way, or in the line for a lock.
    Running,
    /// Has stopped in its commit, as the script says.
    Stopped,
    Halted,
    Parked,
    Ended,
}

struct Actor {
    worker: Option<Worker>,
    state: State,
    steps: Vec<Op>,
    /// Steps that the script has come to, and those that the running attempt has made.
    due: usize,
    made: usize,
    /// Told of the line that it stands in.
    waits: bool,
    /// The newest version when it was given its last order.
    ordered_at: usize,
    call: Call,
}

struct Scheduler {
    setting: Setting,
    space: Space,
    rows: Rows,
    halt: Option<Halt>,
    actors: Vec<Actor>,
    events: Receiver<(Who, Event)>,
    tell: Sender<(Who, Event)>,
    versions: Vec<Contents>,
    /// What has happened, in words.
    trace: Vec<String>,
    /// The same, since the last order.
    news: Vec<(Who, String)>,
    clock: usize,
    /// Steps in the order in which they were begun for the first time; before anybody waited for a lock.
    begun: Vec<Step>,
    /// Somebody has had to wait.
    waited: bool,
}

/// Runs a script to its end.
pub(crate) fn run(setting: Setting, script: &[Step], halt: Option<Halt>) -> History {
    let space = Space::new();
    let (tell, events) = channel();
    let count = 1 + script.iter().map(|(who, _)| *who).max().expect("steps");
    let steps_of = |who| script.iter().filter(move |step| step.0 == who).map(|step| step.1).collect();
    let mut scheduler = Scheduler {
        rows: Rows::new(setting.kind, &space),
        setting,
        space,
        halt,
        actors: (0..count).map(|who| Actor::new(steps_of(who))).collect(),
        events,
        tell,
        versions: vec![initial()],
        trace: Vec::new(),
        news: Vec::new(),
        clock: 0,
        begun: Vec::new(),
        waited: false,
    };
    for (who, _) in script {
        scheduler.actors[*who].due += 1;
        scheduler.pump(*who);
    }
    if let Some(Halt { who, .. }) = halt
        && scheduler.actors[who].state == State::Halted
    {
        scheduler.order(who, Order::Go);
        scheduler.pump(who);
    }
    scheduler.check_begun(script);
    scheduler.end()
}

impl Actor {
    fn new(steps: Vec<Op>) -> Self {
        assert!(steps.last().is_some_and(|op| op.ends()), "a script says how each transaction ends");
        Actor {
            worker: None,
            state: State::Ahead,
            steps,
            due: 0,
            made: 0,
            waits: false,
            ordered_at: 0,
            call: Call::default(),
        }
    }
}

impl Scheduler {
    /// Has everybody make the steps that are due and can be made; `mover` first.
    fn pump(&mut self, mover: Who) {
        let can_move = |actor: &Actor| {
            actor.made < actor.due && matches!(actor.state, State::Ahead | State::Idle | State::Stopped)
        };
        loop {
            let mut order = std::iter::once(mover).chain(0..self.actors.len());
            let Some(who) = order.find(|who| can_move(&self.actors[*who])) else { return };
            match self.actors[who].state {
                State::Ahead => self.begin(who),
                State::Stopped => self.order(who, Order::Go),
                _ => {
                    let op = self.actors[who].steps[self.actors[who].made];
                    self.order(who, Order::Make(op));
                }
            }
        }
    }

    /// Begins a transaction's call.
    fn begin(&mut self, who: Who) {
        let halt = self.halt.filter(|halt| halt.who == who).map(|halt| halt.at);
        let options = self.setting.options(&self.space).label(label(who));
        self.actors[who].worker = Some(Worker::start(who, options, self.rows.clone(), halt, self.tell.clone()));
        self.actors[who].call.began = self.clock + 1;
        self.moves(who);
    }

    fn order(&mut self, who: Who, order: Order) {
        let actor = &self.actors[who];
        let begun = self.begun.iter().filter(|(other, _)| *other == who).count();
        if !self.waited && begun == actor.made {
            self.begun.push((who, actor.steps[actor.made]));
        }
        actor.worker.as_ref().expect("it has begun").tell(order);
        self.moves(who);
    }

    /// Waits until nobody runs.
    fn moves(&mut self, who: Who) {
        self.clock += 1;
        let actor = &mut self.actors[who];
        if matches!(actor.state, State::Ahead | State::Idle) {
            actor.ordered_at = self.versions.len() - 1;
        }
        actor.state = State::Running;
        let start = Instant::now();
        loop {
            while let Ok((who, event)) = self.events.recv_timeout(POLL) {
                self.note(who, event);
                if !(0..self.actors.len()).any(|who| self.is_on_its_way(who)) {
                    break;
                }
            }
            let running: Vec<Who> = (0..self.actors.len()).filter(|who| self.is_on_its_way(*who)).collect();
            if running.is_empty() {
                break;
            }
            // Nobody else runs, so who stands in line stays there.
            let line = self.line();
            if running.iter().all(|who| line.contains(label(*who))) {
                for who in running {
                    if !std::mem::replace(&mut self.actors[who].waits, true) {
                        self.waited = true;
                        let Actor { steps, made, .. } = &self.actors[who];
                        self.news.push((who, format!("waits at {:?}", steps[*made])));
                    }
                }
                break;
            }
            assert!(start.elapsed() < PATIENCE, "{} does not go on:\n{self:?}", label(who));
        }
        // Those who were let go by one step are independent of each other.
        self.news.sort_by_key(|(other, _)| (*other != who, *other));
        self.trace.extend(self.news.drain(..).map(|(who, what)| format!("{} {what}", label(who))));
    }

    /// Whether it will tell something without an order: it runs, stands in line, or sleeps although what it has seen has changed.
    fn is_on_its_way(&self, who: Who) -> bool {
        match self.actors[who].state {
            State::Running => true,
            State::Parked => {
                let told = self.actors.iter().all(|actor| {
                    actor.call.version != Some(self.versions.len() - 1)
                        || !matches!(actor.state, State::Halted | State::Stopped)
                });
                told && self.actors[who].call.last().saw_otherwise(self.versions.last().expect("the first"))
            }
            _ => false,
        }
    }

    /// Who stands in the line for a lock.
    fn line(&self) -> HashSet<String> {
        let waiting = self.space.locks().into_iter().flat_map(|info| info.waiting);
        waiting.filter_map(|party| party.label.map(|label| label.into_owned())).collect()
    }

    fn note(&mut self, who: Who, event: Event) {
        let newest = self.versions.len() - 1;
        let actor = &mut self.actors[who];
        match event {
            Event::Began(number) => {
                if number > 1 {
                    actor.call.end_attempt(newest);
                    self.news.push((who, "runs again".into()));
                }
                assert_eq!(actor.call.attempts.len() as u64 + 1, number);
                actor.call.attempts.push(Attempt { log: Vec::new(), from: actor.ordered_at, to: newest });
                (actor.made, actor.state, actor.waits) = (0, State::Idle, false);
            }
            Event::Saw(op, seen) => actor.call.attempts.last_mut().expect("it has begun").log.push((op, seen)),
            Event::Done => {
                actor.made += 1;
                (actor.state, actor.waits) = (State::Idle, false);
            }
            Event::At(point) => {
                if matches!(point, Point::Decided | Point::Swapped) {
                    self.look_at_swap(who);
                }
                let actor = &mut self.actors[who];
                if actor.steps.get(actor.made) == Some(&Op::CommitTo(point)) {
                    actor.made += 1;
                    actor.state = State::Stopped;
                } else if let Some(Halt { at, .. }) = self.halt.filter(|halt| halt.who == who && halt.at == point)
                    && !actor.call.halted
                {
                    actor.call.halted = true;
                    actor.state = State::Halted;
                    self.news.push((who, format!("stops at {at:?}")));
                } else {
                    actor.worker.as_ref().expect("it runs").tell(Order::Go);
                }
            }
            Event::Passed(point) => actor.call.passed.push(point),
            Event::Parked => {
                if actor.state != State::Parked {
                    actor.state = State::Parked;
                    self.news.push((who, "sleeps".into()));
                }
            }
            Event::Committed | Event::Aborted => {
                let (end, what) = match event {
                    Event::Committed => (End::Committed, "commits"),
                    _ => (End::Aborted, "aborts"),
                };
                actor.made = actor.steps.len();
                (actor.state, actor.waits) = (State::Ended, false);
                actor.call.end_attempt(newest);
                (actor.call.end, actor.call.ended) = (Some(end), self.clock);
                self.news.push((who, what.into()));
            }
        }
    }

    /// Notes what a swap has published. Its thread stands still, and whoever could publish next waits for an order, or for that thread.
    fn look_at_swap(&mut self, who: Who) {
        let contents = self.rows.contents(&self.space.snapshot());
        if self.versions.last() != Some(&contents) {
            self.versions.push(contents);
            self.actors[who].call.version = Some(self.versions.len() - 1);
        }
    }

    /// The steps were begun in the order of the script, as long as nobody had to wait or was made to halt.
    fn check_begun(&self, script: &[Step]) {
        if self.halt.is_none() {
            let count = self.begun.len();
            assert!(self.waited || count == script.len(), "{:?} of {script:?}", self.begun);
            assert_eq!(self.begun, script[..count], "{self:?}");
        }
    }

    fn end(mut self) -> History {
        assert!(self.actors.iter().all(|actor| actor.state == State::Ended), "somebody is stuck:\n{self:?}");
        self.actors.iter_mut().filter_map(|actor| actor.worker.take()).for_each(Worker::join);
        assert_eq!(self.space.locks(), [], "{self:?}");
        let last = self.rows.contents(&self.space.snapshot());
        assert_eq!((self.space.waiters(), Some(&last)), (0, self.versions.last()), "{self:?}");
        History {
            setting: self.setting,
            versions: std::mem::take(&mut self.versions),
            trace: std::mem::take(&mut self.trace),
            stats: self.space.stats(),
            calls: self.actors.into_iter().map(|actor| actor.call).collect(),
        }
    }
}

impl std::fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}; {}; {:?}", self.setting, self.trace.join(", "), self.news)?;
        for (who, actor) in self.actors.iter().enumerate() {
            let Actor { state, steps, due, made, .. } = actor;
            writeln!(f, "{} is {state:?}, has made {made} steps of {due} of {steps:?}", label(who))?;
        }
        self.space.locks().iter().try_for_each(|info| writeln!(f, "{info}"))
    }
}

pub(crate) fn label(who: Who) -> &'static str {
    ["T1", "T2", "T3", "T4"][who]
}
