//! Helpers of the tests of locks: transactions that are led step by step, and the lock table in one line.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

pub(crate) mod maps;

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tvar::{LockMode, Space, Stm, TVar, Tx, TxError, TxOptions};

/// How long nothing may happen before a test fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type V = TVar<i64>;
type Step = Box<dyn FnOnce(&Tx<'_>) -> Stm<i64> + Send>;

/// Polls until `cond` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut cond: impl FnMut() -> bool) {
    let start = Instant::now();
    while !cond() {
        assert!(start.elapsed() < PATIENCE, "did not happen: {what}");
        thread::yield_now();
    }
}

/// Lets other threads run, so that a wrong step has the chance to show.
pub(crate) fn settle() {
    (0..300).for_each(|_| thread::yield_now());
}

/// Joins a thread, but not for ever; passes its panic on.
#[track_caller]
pub(crate) fn join<T>(what: &str, thread: JoinHandle<T>) -> T {
    eventually(what, || thread.is_finished());
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs `f` on another thread and waits for it, but not for ever.
#[track_caller]
pub(crate) fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    join("work on another thread", thread::spawn(f))
}

/// The lock table in a line: `a: Ax Bs < Cx; b: ...`: holders, then the line, by label (or number), with `s` or `x`.
pub(crate) fn table(space: &Space) -> String {
    let party = |party: &tvar::LockParty| {
        let name = party.label.as_deref().map_or_else(|| format!("#{}", party.number), str::to_owned);
        format!("{name}{}", if party.mode == LockMode::Shared { 's' } else { 'x' })
    };
    let list = |parties: &[tvar::LockParty]| parties.iter().map(party).collect::<Vec<_>>().join(" ");
    let line = |info: tvar::LockInfo| {
        let waiting = if info.waiting.is_empty() { String::new() } else { format!(" < {}", list(&info.waiting)) };
        format!("{}: {}{waiting}", info.variable, list(&info.holders))
    };
    space.locks().into_iter().map(line).collect::<Vec<_>>().join("; ")
}

/// How many stand in line, in all.
pub(crate) fn waiting(space: &Space) -> usize {
    space.locks().iter().map(|info| info.waiting.len()).sum()
}

/// Waits until so many stand in line.
#[track_caller]
pub(crate) fn in_line(space: &Space, count: usize) {
    let start = Instant::now();
    while waiting(space) != count {
        assert!(start.elapsed() < PATIENCE, "never {count} in line: {}", table(space));
        thread::yield_now();
    }
}

/// Nothing is left in the table; everybody can have every variable.
#[track_caller]
pub(crate) fn no_trace(space: &Space, vars: &[&V]) {
    assert_eq!(table(space), "");
    let (space, vars) = (space.clone(), vars.iter().copied().cloned().collect::<Vec<_>>());
    elsewhere(move || {
        for v in &vars {
            v.update(|n| *n);
            assert!(space.atomically(|tx| tx.try_lock(v, LockMode::Exclusive)));
        }
    });
}

pub(crate) fn vars<const N: usize>(space: &Space, names: [&str; N]) -> [V; N] {
    names.map(|name| TVar::named_in(space, name, 0))
}

/// What a led transaction tells.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// The closure runs, for the so many-th time.
    Began(u64),
    /// A step has been made.
    Done(i64),
    Ended(Result<(), TxError>),
}

/// A transaction on a thread of its own that is led step by step. It ends when told to, or dropped (by a panic then).
pub(crate) struct Actor {
    steps: Option<Sender<Option<Step>>>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Actor {
    /// Begins a transaction of this label.
    #[track_caller]
    pub(crate) fn start(space: &Space, label: &'static str) -> Actor {
        Actor::with(space.options().label(label))
    }

    #[track_caller]
    pub(crate) fn with(options: TxOptions) -> Actor {
        let (steps, next) = channel::<Option<Step>>();
        let (tell, events) = channel();
        let thread = thread::spawn(move || {
            let result = options.run(|tx| {
                tell.send(Event::Began(tx.attempt())).ok();
                loop {
                    match next.recv() {
                        Ok(Some(step)) => {
                            let done = step(tx)?;
                            tell.send(Event::Done(done)).ok();
                        }
                        Ok(None) => return Ok(()),
                        Err(_) => resume_unwind(Box::new("the test has ended")),
                    }
                }
            });
            tell.send(Event::Ended(result)).ok();
        });
        let actor = Actor { steps: Some(steps), events, thread: Some(thread) };
        assert_eq!(actor.event(), Event::Began(1));
        actor
    }

    /// The next thing that it tells.
    #[track_caller]
    pub(crate) fn event(&self) -> Event {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => panic!("the transaction does not go on"),
            Err(RecvTimeoutError::Disconnected) => panic!("the transaction has panicked"),
        }
    }

    /// Whether it has told nothing new.
    #[track_caller]
    pub(crate) fn is_silent(&self) -> bool {
        settle();
        self.events.try_recv().is_err()
    }

    /// Has a step made; does not wait for it.
    pub(crate) fn tell(&self, step: impl FnOnce(&Tx<'_>) -> Stm<i64> + Send + 'static) {
        self.steps.as_ref().unwrap().send(Some(Box::new(step))).expect("it runs");
    }

    /// Has a step made that must succeed.
    #[track_caller]
    pub(crate) fn ask(&self, step: impl FnOnce(&Tx<'_>) -> Stm<i64> + Send + 'static) -> i64 {
        self.tell(step);
        match self.event() {
            Event::Done(done) => done,
            other => panic!("the step did not succeed: {other:?}"),
        }
    }

    /// Locks at once.
    #[track_caller]
    pub(crate) fn lock(&self, v: &V, mode: LockMode) {
        self.want(v, mode);
        assert_eq!(self.event(), Event::Done(0));
    }

    /// Asks for a lock; does not wait for it.
    pub(crate) fn want(&self, v: &V, mode: LockMode) {
        let v = v.clone();
        self.tell(move |tx| tx.lock(&v, mode).map(|()| 0));
    }

    #[track_caller]
    pub(crate) fn try_lock(&self, v: &V, mode: LockMode) -> bool {
        let v = v.clone();
        self.ask(move |tx| tx.try_lock(&v, mode).map(i64::from)) == 1
    }

    #[track_caller]
    pub(crate) fn read(&self, v: &V) -> i64 {
        let v = v.clone();
        self.ask(move |tx| Ok(*tx.read(&v)))
    }

    #[track_caller]
    pub(crate) fn write(&self, v: &V, value: i64) {
        let v = v.clone();
        self.ask(move |tx| {
            tx.write(&v, value);
            Ok(0)
        });
    }

    /// Has it end; does not wait for that.
    pub(crate) fn end(&self) {
        self.steps.as_ref().unwrap().send(None).expect("it runs");
    }

    /// It has been told to end, or fails: what of it.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Result<(), TxError> {
        let event = self.event();
        join("its thread ends", self.thread.take().unwrap());
        match event {
            Event::Ended(result) => result,
            other => panic!("it goes on: {other:?}"),
        }
    }

    /// Has it commit.
    #[track_caller]
    pub(crate) fn commit(self) {
        self.end();
        assert_eq!(self.ended(), Ok(()));
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.steps = None;
    }
}
