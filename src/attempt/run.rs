//! The attempt loop: run the closure until an attempt commits (A1).

use super::access::Attempt;
use super::clock::Start;
use super::control::{Abort, Reason, Recorded, Stop, StopKind};
use super::hooks::{discard, run_all};
use super::observe::End;
use super::options::{Isolation, Options};
use super::rare::{History, Rare};
#[cfg(feature = "async")]
use super::task::Suspended;
use super::trace::event;
use crate::commit::{self, Line, Outcome, Rules, Shared, Turn, Undisturbed};
use crate::lock::Cycle;
use crate::store::{Count, Store, Watch, drop_panic, enter_call, leave_call};
use crate::sync::Arc;
use crate::sync::site::{CallSite, Who};
use crate::sync::steps::{Point, pass};
use crate::sync::thread;
use crate::sync::time::Instant;
use std::any::Any;
use std::mem::ManuallyDrop;
use std::panic::{Location, resume_unwind};

/// A call of a transaction.
pub(crate) struct Call<'s> {
    pub(crate) store: &'s Arc<Store>,
    pub(crate) shared: &'s Shared,
    pub(crate) options: &'s Options,
    pub(crate) site: CallSite,
}

impl Call<'_> {
    /// As reports name it.
    pub(super) fn who(&self) -> Who {
        Who::new(self.options.label.as_ref(), self.site)
    }
}

/// Why a call ended without a result.
pub(crate) enum Failure<E> {
    Aborted(E),
    Ended(Ended),
}

/// What ended a call that has neither committed nor aborted.
pub(crate) enum Ended {
    TimedOut(Loss),
    TooManyAttempts(Loss),
    Deadlock(Loss),
    /// It sleeps without a thread (W4).
    #[cfg(feature = "async")]
    Suspended(Box<Suspended>),
}

/// What a failed call went through.
pub(crate) struct Loss {
    /// Attempts lost to other commits.
    pub(crate) lost: u64,
    /// Runs of the closure.
    pub(crate) attempts: u64,
    /// Times that it slept.
    pub(crate) waits: u64,
    /// The variable of the last conflict.
    pub(crate) lost_to: Option<u32>,
    /// The deadlock in which it gave way.
    pub(crate) cycle: Cycle,
}

impl Loss {
    pub(super) fn of(history: &History, cycle: Cycle) -> Loss {
        let History { reruns, lost, lost_to, waits, .. } = *history;
        Loss { lost, attempts: 1 + reruns, waits, lost_to, cycle }
    }
}

/// Why an attempt did not commit, if not by an abort.
enum Lost {
    Commit(Outcome),
    Retry,
    Refresh,
    /// A lock has brought to light that something is stale.
    Stale,
    GaveWay,
    TimedOut,
}

/// What becomes of the locks of an attempt that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Locked {
    Released,
    /// With the call: the lock table forgets it.
    Left,
    /// They stay for the next attempt (§5.2).
    Carried,
}

/// Everything that must end when the call does, however it does.
pub(super) struct Session<'s> {
    pub(super) attempt: Attempt<'s>,
    turn: Option<Turn<'s>>,
    /// An attempt has begun and has not ended.
    open: bool,
}

impl<'s> Session<'s> {
    /// Ends the attempt without a commit (A2): lets go of snapshot and writes, then runs the rollback hooks. Returns the first
    /// panic among them.
    fn roll_back(&mut self, locked: Locked) -> Option<Box<dyn Any + Send>> {
        self.end_attempt(locked);
        self.run_rollback_hooks()
    }

    /// The attempt has ended, however it has: the turn ends with it (§4.4), and only then do destructors run, which may run
    /// transactions of their own.
    #[inline(always)]
    pub(super) fn end_attempt(&mut self, locked: Locked) {
        self.open = false;
        self.attempt.ws.end();
        if self.turn.is_some() {
            self.turn = None;
        }
        if self.attempt.has_rare() {
            self.end_locks(locked);
        }
        self.attempt.ws.dispose();
    }

    /// Lets go of what the locks of the attempt hold.
    #[cold]
    fn end_locks(&mut self, locked: Locked) {
        let table = &self.attempt.call.shared.locks;
        let mut rare = self.attempt.rare();
        match locked {
            Locked::Released => rare.locks.release(table),
            Locked::Left => rare.locks.leave(table),
            Locked::Carried => rare.locks.carry(table),
        }
        let snapshots = rare.locks.take_snapshots();
        drop(rare);
        self.attempt.ws.end_moved();
        // What they alone have kept ends with them.
        drop(snapshots);
    }

    pub(super) fn run_rollback_hooks(&mut self) -> Option<Box<dyn Any + Send>> {
        let hooks = self.attempt.take_hooks(false);
        let mut panic = None;
        if !hooks.is_empty() {
            // Hooks may run transactions of their own, and run outside all locks (§7.1).
            self.end_locks(Locked::Released);
            leave_call();
            panic = run_all(hooks);
            enter_call(&self.attempt.call.site);
        }
        self.attempt.ws.dispose_late();
        panic
    }

    fn roll_back_or_unwind(&mut self, locked: Locked) {
        if let Some(payload) = self.roll_back(locked) {
            resume_unwind(payload);
        }
    }

    /// The attempt has committed: ends it and the call.
    #[inline(always)]
    fn finish(&mut self) {
        self.end_attempt(Locked::Left);
        leave_call();
        self.attempt.ws.leave();
    }
}

/// Ends the call if it ends without a commit.
struct Guard<'g, 's>(&'g mut Session<'s>);

impl Drop for Guard<'_, '_> {
    #[cold]
    fn drop(&mut self) {
        let session = &mut *self.0;
        if session.open {
            // The closure panicked: that panic goes on, one in a hook does not replace it (§2.8).
            session.roll_back(Locked::Released).into_iter().for_each(drop_panic);
        }
        session.turn = None;
        if thread::panicking() {
            session.attempt.ended(End::Panicked);
        }
        let table = &session.attempt.call.shared.locks;
        session.attempt.if_rare(|rare| rare.locks.leave(table));
        session.attempt.drop_rare();
        leave_call();
        session.attempt.ws.leave();
    }
}

/// Runs `f` until an attempt of it commits, or the call fails.
#[inline(always)]
pub(crate) fn run<R, E>(call: &Call<'_>, f: impl FnMut(&Attempt<'_>) -> Result<R, Abort<E>>) -> Result<R, Failure<E>> {
    run_from(call, Start::now(call.options.timeout.is_some()), None, f)
}

/// The same for a call that began then; `before`: and has gone through this, if it goes on after a sleep.
#[inline(always)]
pub(super) fn run_from<R, E>(
    call: &Call<'_>,
    start: Start,
    before: Option<History>,
    mut f: impl FnMut(&Attempt<'_>) -> Result<R, Abort<E>>,
) -> Result<R, Failure<E>> {
    enter_call(&call.site);
    let attempt = Attempt::begin(call, start);
    // Dropped by hand: on the way that most calls take nothing is left to drop.
    let mut session = ManuallyDrop::new(Session { attempt, turn: None, open: true });
    let guard = Guard(&mut session);
    if call.options.label.is_some() {
        guard.0.attempt.begin_labelled();
    }
    if let Some(history) = before {
        guard.0.attempt.rare().history = history;
        guard.0.attempt.ws.count(Count::Reruns);
    }
    pass(Point::Begin);
    // The closure is called in one place, so that it is inlined there; what follows a loss is out of line.
    let value = loop {
        let result = f(&guard.0.attempt);
        let lost = match guard.0.attempt.decide(result) {
            Decision::Commit(value) if guard.0.attempt.ws.is_read_only() => {
                // Serialises at its snapshot: nothing to validate (§2.5).
                guard.0.attempt.ws.count(Count::ReadOnly);
                break value;
            }
            Decision::Commit(value) => match guard.0.commit() {
                Outcome::Committed => break value,
                outcome => {
                    discard(value);
                    Lost::Commit(outcome)
                }
            },
            Decision::Again(kind) => kind.into(),
            Decision::Abort(error) => {
                guard.0.attempt.ended(End::Aborted);
                if let Some(payload) = guard.0.roll_back(Locked::Released) {
                    discard(error);
                    resume_unwind(payload);
                }
                return Err(Failure::Aborted(error));
            }
        };
        guard.0.after_loss(lost).map_err(Failure::Ended)?;
    };
    #[cfg(feature = "tracing")]
    let version = super::trace::is_wanted(tracing::Level::TRACE).then(|| guard.0.attempt.ws.committed_in());
    guard.0.finish();
    // Nothing is left that its drop would have to end.
    std::mem::forget(guard);
    event!(TRACE, call, attempts = session.attempt.number(), version, "committed");
    if session.attempt.has_rare() {
        run_commit_hooks(ManuallyDrop::into_inner(session).attempt);
    }
    Ok(value)
}

/// Runs the commit hooks (§7.1), with nothing held any more.
#[cold]
#[inline(never)]
fn run_commit_hooks(attempt: Attempt<'_>) {
    attempt.ended(End::Committed);
    if let Some(payload) = run_all(attempt.take_hooks(true)) {
        resume_unwind(payload);
    }
}

impl<'s> Session<'s> {
    /// Gets ready for another run of the closure: waits as the loss demands.
    #[cold]
    #[inline(never)]
    fn after_loss(&mut self, lost: Lost) -> Result<(), Ended> {
        self.attempt.start.latest();
        match lost {
            Lost::Retry => self.sleep()?,
            Lost::Commit(Outcome::Panicked(payload)) => {
                self.roll_back(Locked::Released).into_iter().for_each(drop_panic);
                resume_unwind(payload);
            }
            Lost::TimedOut | Lost::Commit(Outcome::TimedOut) => {
                self.roll_back_or_unwind(Locked::Released);
                return Err(Ended::TimedOut(self.loss()));
            }
            Lost::GaveWay | Lost::Commit(Outcome::GaveWay) => {
                self.roll_back_or_unwind(Locked::Released);
                self.attempt.ws.count(Count::Deadlocks);
                self.attempt.rare().history.deadlocks += 1;
                event!(WARN, self.attempt.call, "gave way in a deadlock");
                if self.attempt.call.options.fail_on_deadlock {
                    return Err(Ended::Deadlock(self.loss()));
                }
                if self.attempt.deadline().is_some_and(|deadline| Instant::now() >= deadline) {
                    return Err(Ended::TimedOut(self.loss()));
                }
                self.attempt.rare().pause.wait(self.attempt.call.options.backoff);
            }
            Lost::Stale => {
                let slot = self.attempt.rare().history.lost_to;
                self.lose(slot)?;
            }
            Lost::Refresh => self.lose(None)?,
            Lost::Commit(Outcome::Conflict(slot)) => self.lose(Some(slot))?,
            Lost::Commit(Outcome::Committed) => unreachable!("a committed attempt is not lost"),
        }
        pass(Point::Restart);
        self.attempt.ws.count(Count::Reruns);
        self.attempt.begin_again();
        self.open = true;
        pass(Point::Begin);
        Ok(())
    }

    pub(super) fn loss(&mut self) -> Loss {
        self.attempt.ended(End::Failed);
        event!(INFO, self.attempt.call, attempts = self.attempt.number(), "ran into a limit of its options");
        let mut rare = self.attempt.rare();
        let cycle = rare.locks.cycle.take().unwrap_or_default();
        Loss::of(&rare.history, cycle)
    }

    #[inline(never)]
    fn commit(&mut self) -> Outcome {
        let (ws, call) = (&mut self.attempt.ws, self.attempt.call);
        let mut went = Undisturbed::No;
        if self.turn.is_none() && call.options.isolation == Isolation::Serializable && call.options.coalesce_after > 0 {
            went = commit::commit_undisturbed(ws, call.shared);
            if went == Undisturbed::Committed {
                return Outcome::Committed;
            }
        }
        self.commit_disturbed(went == Undisturbed::Lost)
    }

    #[cold]
    #[inline(never)]
    fn commit_disturbed(&mut self, lost: bool) -> Outcome {
        // The hooks stay: they must run if this panics.
        let taken = |rare: &mut Rare| (std::mem::take(&mut rare.ensured), std::mem::take(&mut rare.pause));
        let (ensured, mut pause) = self.attempt.if_rare(taken);
        let (options, deadline) = (self.attempt.call.options, self.attempt.deadline());
        if lost {
            pause.wait(options.backoff);
        }
        let call = self.attempt.call;
        let Attempt { ws, rare, .. } = &mut self.attempt;
        let rare = &*rare;
        let mut line = |place, work, waits: &dyn Fn()| {
            let mut rare = rare.get();
            let line = rare.locks.stand_in_line(call, place, work, deadline, waits);
            rare.history.deadlocks += u64::from(line == Line::Left);
            line
        };
        let rules = Rules {
            watch: match options.isolation {
                Isolation::Snapshot => Watch::Writes { ensured: &ensured },
                Isolation::Serializable => Watch::Reads,
            },
            deadline,
            backoff: options.backoff,
            coalesce_after: options.coalesce_after,
            pause: &mut pause,
            party: super::locks::party_in(&call.shared.locks),
            line: &mut line,
        };
        let outcome = commit::commit(ws, call.shared, &mut self.turn, u32::from(lost), rules);
        if matches!(outcome, Outcome::Committed) {
            self.attempt.observe_commit();
        }
        self.attempt.if_rare(|rare| (rare.ensured, rare.pause) = (ensured, pause));
        outcome
    }

    /// The attempt has lost to another commit: backs off, or takes the turn if it has lost too often (C4).
    fn lose(&mut self, slot: Option<u32>) -> Result<(), Ended> {
        let met = slot.and_then(|slot| self.attempt.look_at_conflict(slot));
        self.roll_back_or_unwind(Locked::Carried);
        self.attempt.ws.count(Count::Conflicts);
        if let Some(met) = met {
            self.attempt.observe_conflict(met);
        }
        event!(
            DEBUG,
            self.attempt.call,
            variable = slot.map(|slot| self.attempt.ws.store().describe(slot)),
            "lost to another commit"
        );
        let (options, deadline) = (self.attempt.call.options, self.attempt.deadline());
        let mut rare = self.attempt.rare();
        let History { lost, lost_to, .. } = &mut rare.history;
        *lost += 1;
        *lost_to = slot.or(*lost_to);
        let lost = *lost;
        drop(rare);
        if options.max_attempts.is_some_and(|most| lost >= most) {
            return Err(Ended::TooManyAttempts(self.loss()));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Ended::TimedOut(self.loss()));
        }
        if lost < options.escalate_after {
            self.attempt.rare().pause.wait(options.backoff);
            return Ok(());
        }
        event!(INFO, self.attempt.call, lost, "takes the turn");
        self.turn = self.attempt.call.shared.turnstile.take(deadline);
        if self.turn.is_none() {
            return Err(Ended::TimedOut(self.loss()));
        }
        // From here on nobody else publishes: the next attempt has nobody to lose to.
        let ws = &mut self.attempt.ws;
        ws.count(Count::Escalations);
        self.open = true;
        ws.begin_again();
        commit::bump(ws, self.attempt.call.shared);
        ws.end();
        self.open = false;
        Ok(())
    }
}

/// What a closure's result means.
enum Decision<R, E> {
    Commit(R),
    Again(StopKind),
    Abort(E),
}

impl Attempt<'_> {
    /// What the closure's result means, given what the attempt has recorded (A3).
    #[inline(always)]
    fn decide<R, E>(&self, result: Result<R, Abort<E>>) -> Decision<R, E> {
        match (result, self.recorded.get()) {
            (Ok(value), None) => Decision::Commit(value),
            (Ok(value), Some(Recorded::Stop(kind))) => {
                discard(value);
                Decision::Again(kind)
            }
            (Ok(value), Some(Recorded::Abort(at))) => {
                discard(value);
                swallowed_abort(at)
            }
            (Err(Abort(Reason::Stop(Stop { attempt, kind }))), recorded) => {
                self.check_issued(Some(attempt));
                Decision::Again(recorded.and_then(Recorded::doom).unwrap_or(kind))
            }
            (Err(Abort(Reason::Error { error, issued })), _) => {
                self.check_issued(issued);
                Decision::Abort(error)
            }
        }
    }

    /// Panics if a stop or abort was issued by another attempt.
    pub(super) fn check_issued(&self, issued: Option<u64>) {
        if issued.is_some_and(|attempt| attempt != self.id()) {
            foreign_stop();
        }
    }
}

impl From<StopKind> for Lost {
    fn from(kind: StopKind) -> Self {
        match kind {
            StopKind::Retry => Lost::Retry,
            StopKind::Refresh => Lost::Refresh,
            StopKind::Stale => Lost::Stale,
            StopKind::GaveWay => Lost::GaveWay,
            StopKind::TimedOut => Lost::TimedOut,
        }
    }
}

#[cold]
#[inline(never)]
pub(super) fn swallowed_abort(at: &Location<'_>) -> ! {
    panic!(
        "tvar: swallowed abort: the closure went on after `abort` at {at} and returned Ok; its error is lost. Return it with `?`"
    );
}

#[cold]
#[inline(never)]
fn foreign_stop() -> ! {
    panic!("tvar: foreign stop: the closure returned a stop that another attempt issued");
}
