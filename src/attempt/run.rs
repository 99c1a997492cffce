//! The attempt loop: run the closure until an attempt commits (A1).

use super::access::Attempt;
use super::control::{Abort, Reason, Recorded, Stop, StopKind};
use super::hooks::{Hook, discard, run_all};
use super::options::{Isolation, Options};
use super::park::Parked;
use crate::commit::{self, Outcome, Pause, Rules, Shared, Turn};
use crate::store::{CallSite, Count, Running, Store, Workspace, drop_panic};
use crate::sync::Arc;
use crate::sync::steps::{Point, pass};
use crate::sync::time::{Instant, after};
use std::any::Any;
use std::panic::{Location, resume_unwind};

/// A call of a transaction.
pub(crate) struct Call<'s> {
    pub(crate) store: &'s Arc<Store>,
    pub(crate) shared: &'s Shared,
    pub(crate) options: &'s Options,
    pub(crate) site: CallSite,
}

/// Why a call ended without a result.
pub(crate) enum Failure<E> {
    Aborted(E),
    TimedOut(Loss),
    TooManyAttempts(Loss),
}

/// What a failed call went through.
#[derive(Default)]
pub(crate) struct Loss {
    /// Attempts lost to other commits.
    pub(crate) lost: u64,
    /// Runs of the closure.
    pub(crate) attempts: u64,
    /// Times that it slept.
    pub(crate) waits: u64,
    /// The variable of the last conflict.
    pub(crate) lost_to: Option<u32>,
}

/// Why an attempt did not commit.
enum Lost<E> {
    Commit(Outcome),
    Retry,
    Refresh,
    Abort(E),
}

/// Everything that must end when the call does, however it does.
struct Session<'s> {
    attempt: Attempt<'s>,
    turn: Option<Turn<'s>>,
    /// `None` while hooks run.
    running: Option<Running>,
    site: CallSite,
    /// An attempt has begun and has not ended.
    open: bool,
}

impl Session<'_> {
    #[inline(always)]
    fn begin(&mut self) {
        self.attempt.begin();
        self.open = true;
        pass(Point::Begin);
    }

    /// Ends the attempt without a commit (A2): lets go of snapshot and writes, then runs the rollback hooks. Returns the first
    /// panic among them.
    fn roll_back(&mut self) -> Option<Box<dyn Any + Send>> {
        self.end_attempt();
        self.run_rollback_hooks()
    }

    /// The attempt has ended, however it has: the turn ends with it (§4.4), and only then do destructors run, which may run
    /// transactions of their own.
    #[inline]
    fn end_attempt(&mut self) {
        self.open = false;
        self.attempt.ws.end();
        self.turn = None;
        self.attempt.ws.dispose();
    }

    fn run_rollback_hooks(&mut self) -> Option<Box<dyn Any + Send>> {
        let hooks = self.attempt.hooks.take(false);
        if hooks.is_empty() {
            return None;
        }
        // Hooks may run transactions of their own.
        self.running = None;
        let panic = run_all(hooks);
        self.running = Some(Running::enter(self.site));
        panic
    }

    fn roll_back_or_unwind(&mut self) {
        if let Some(payload) = self.roll_back() {
            resume_unwind(payload);
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if self.open {
            // The closure panicked: that panic goes on, one in a hook does not replace it (§2.8).
            self.roll_back().into_iter().for_each(drop_panic);
        }
    }
}

/// Runs `f` until an attempt of it commits, or the call fails.
#[inline]
pub(crate) fn run<R, E>(
    call: &Call<'_>,
    mut f: impl FnMut(&Attempt<'_>) -> Result<R, Abort<E>>,
) -> Result<R, Failure<E>> {
    let mut session = Session {
        running: Some(Running::enter(call.site)),
        attempt: Attempt::new(call.store),
        turn: None,
        site: call.site,
        open: false,
    };
    let deadline = call.options.timeout.and_then(|limit| after(session.attempt.started, limit));
    let mut pause = Pause::new(call.options.backoff);
    // The first attempt mostly commits: kept apart from the loop, so that it stays small.
    let value = match session.attempt_once(call, deadline, &mut pause, &mut f) {
        Ok(value) => value,
        Err(lost) => run_again(call, &mut session, deadline, pause, lost, f)?,
    };
    let hooks = session.finish();
    drop(session);
    run_commit_hooks(hooks);
    Ok(value)
}

/// Runs the commit hooks (§7.1), with nothing held any more.
#[inline]
fn run_commit_hooks(hooks: Vec<Hook>) {
    if !hooks.is_empty()
        && let Some(payload) = run_all(hooks)
    {
        resume_unwind(payload);
    }
}

/// The rest of the call, after a first attempt that did not commit.
#[cold]
#[inline(never)]
fn run_again<'s, R, E>(
    call: &Call<'s>,
    session: &mut Session<'s>,
    deadline: Option<Instant>,
    mut pause: Pause,
    mut lost: Lost<E>,
    mut f: impl FnMut(&Attempt<'_>) -> Result<R, Abort<E>>,
) -> Result<R, Failure<E>> {
    let mut loss = Loss::default();
    loop {
        loss.attempts = session.attempt.number();
        match lost {
            Lost::Abort(error) => {
                session.roll_back_or_unwind();
                return Err(Failure::Aborted(error));
            }
            Lost::Retry => {
                if session.sleep(call, deadline, &mut loss) == Parked::TimedOut {
                    return Err(Failure::TimedOut(loss));
                }
            }
            Lost::Commit(Outcome::Panicked(payload)) => {
                session.roll_back().into_iter().for_each(drop_panic);
                resume_unwind(payload);
            }
            Lost::Commit(Outcome::TimedOut) => {
                session.roll_back_or_unwind();
                return Err(Failure::TimedOut(loss));
            }
            Lost::Refresh => session.lose(None, call, deadline, &mut pause, &mut loss)?,
            Lost::Commit(Outcome::Conflict(slot)) => session.lose(Some(slot), call, deadline, &mut pause, &mut loss)?,
            Lost::Commit(Outcome::Committed) => unreachable!("a committed attempt is not lost"),
        }
        pass(Point::Restart);
        session.attempt.ws.count(Count::Reruns);
        lost = match session.attempt_once(call, deadline, &mut pause, &mut f) {
            Ok(value) => return Ok(value),
            Err(lost) => lost,
        };
    }
}

impl<'s> Session<'s> {
    /// One attempt: runs the closure and, if it wants to, commits.
    #[inline(always)]
    fn attempt_once<R, E>(
        &mut self,
        call: &Call<'s>,
        deadline: Option<Instant>,
        pause: &mut Pause,
        f: &mut impl FnMut(&Attempt<'_>) -> Result<R, Abort<E>>,
    ) -> Result<R, Lost<E>> {
        self.begin();
        let result = f(&self.attempt);
        let value = self.attempt.decide(result)?;
        match self.commit(call, deadline, pause) {
            Outcome::Committed => Ok(value),
            outcome => {
                discard(value);
                Err(Lost::Commit(outcome))
            }
        }
    }

    #[inline]
    fn commit(&mut self, call: &Call<'s>, deadline: Option<Instant>, pause: &mut Pause) -> Outcome {
        let Attempt { ws, reads, ensured, .. } = &mut self.attempt;
        let snapshot = call.options.isolation == Isolation::Snapshot;
        let ensured = ensured.get_mut();
        let ensured: &[u32] = ensured;
        let rules = Rules {
            find_conflict: |ws: &Workspace<'_>| {
                if snapshot {
                    let mut ensured = ensured.iter().copied();
                    ensured.find(|slot| ws.changed_since_snapshot(*slot)).or_else(|| ws.first_overwritten())
                } else {
                    reads.find(|slot| ws.changed_since_snapshot(slot))
                }
            },
            deadline,
            pause,
        };
        commit::commit(ws, call.shared, &mut self.turn, rules)
    }

    /// The attempt has committed: ends it and returns its commit hooks.
    #[inline]
    fn finish(&mut self) -> Vec<Hook> {
        self.end_attempt();
        self.attempt.hooks.take(true)
    }

    /// The attempt has lost to another commit: backs off, or takes the turn if it has lost too often (C4).
    fn lose<E>(
        &mut self,
        slot: Option<u32>,
        call: &Call<'s>,
        deadline: Option<Instant>,
        pause: &mut Pause,
        loss: &mut Loss,
    ) -> Result<(), Failure<E>> {
        self.roll_back_or_unwind();
        self.attempt.ws.count(Count::Conflicts);
        loss.lost += 1;
        loss.lost_to = slot.or(loss.lost_to);
        if call.options.max_attempts.is_some_and(|most| loss.lost >= most) {
            return Err(Failure::TooManyAttempts(std::mem::take(loss)));
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::TimedOut(std::mem::take(loss)));
        }
        if loss.lost < call.options.escalate_after {
            pause.wait();
            return Ok(());
        }
        self.turn = call.shared.turnstile.take(deadline);
        if self.turn.is_none() {
            return Err(Failure::TimedOut(std::mem::take(loss)));
        }
        // From here on nobody else publishes: the next attempt has nobody to lose to.
        let ws = &mut self.attempt.ws;
        ws.count(Count::Escalations);
        ws.begin();
        commit::bump(ws, call.shared);
        ws.end();
        Ok(())
    }

    /// The attempt has retried: sleeps until something that it read has changed, or a deadline has passed.
    fn sleep(&mut self, call: &Call<'_>, deadline: Option<Instant>, loss: &mut Loss) -> Parked {
        let slots = self.attempt.reads.distinct();
        let until = [deadline, self.attempt.wake_at.get()].into_iter().flatten().min();
        self.end_attempt();
        // Judged before the hooks: what died in the attempt is forgotten when they run.
        if until.is_none() && self.attempt.is_futile(&slots) {
            self.run_rollback_hooks().into_iter().for_each(drop_panic);
            super::park::futile(self.site, slots.len());
        }
        if let Some(payload) = self.run_rollback_hooks() {
            resume_unwind(payload);
        }
        loss.waits += 1;
        let parked = self.attempt.park(&call.shared.registry, &slots, until);
        match (parked, deadline) {
            // An alternative's own deadline: the closure goes on from there.
            (Parked::TimedOut, deadline) if deadline.is_none_or(|deadline| Instant::now() < deadline) => Parked::Woken,
            (parked, _) => parked,
        }
    }
}

impl Attempt<'_> {
    /// What the closure's result means, given what the attempt has recorded (A3).
    #[inline]
    fn decide<R, E>(&self, result: Result<R, Abort<E>>) -> Result<R, Lost<E>> {
        match (result, self.recorded.get()) {
            (Ok(value), None) => Ok(value),
            (Ok(value), Some(Recorded::Stop(kind))) => {
                discard(value);
                Err(kind.into())
            }
            (Ok(_), Some(Recorded::Abort(at))) => swallowed_abort(at),
            (Err(Abort(Reason::Stop(Stop { attempt, kind }))), _) => {
                self.check_issued(Some(attempt));
                Err(kind.into())
            }
            (Err(Abort(Reason::Error { error, issued })), _) => {
                self.check_issued(issued);
                Err(Lost::Abort(error))
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

impl<E> From<StopKind> for Lost<E> {
    fn from(kind: StopKind) -> Self {
        match kind {
            StopKind::Retry => Lost::Retry,
            StopKind::Refresh => Lost::Refresh,
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
