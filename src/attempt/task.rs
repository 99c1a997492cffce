//! A call that runs in polls, and sleeps without a thread in between (§3.6, W4).

use super::access::Attempt;
use super::clock::Start;
use super::control::Abort;
use super::observe::{End, count};
use super::options::Options;
use super::park::{Registration, Waits, why_futile};
use super::rare::History;
use super::run::{Call, Ended, Failure, Loss, run_from};
use super::trace::event;
use crate::commit::Shared;
use crate::store::{Count, Look, Store, enter_call, leave_call};
use crate::sync::Arc;
use crate::sync::latch::Latch;
use crate::sync::site::{CallSite, Who};
use crate::sync::steps::{Point, pass};
use crate::sync::time::{Instant, after};
use crate::sync::waker::without_panics;
use crate::wait::{Registry, Sleeper};
use futures_timer::Delay;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Sleeps that one poll sees through, if something has changed again at once; then it is somebody else's turn in the executor.
const SLEEPS_PER_POLL: u32 = 32;

/// A call that runs in polls. Dropped, it is gone without a trace: between two polls it has no snapshot, no lock and no turn (§3.6).
pub(crate) struct Task {
    store: Arc<Store>,
    shared: Arc<Shared>,
    options: Options,
    site: CallSite,
    state: State,
}

enum State {
    /// Not polled yet.
    New,
    /// About to sleep.
    Suspended(Box<Suspended>),
    Asleep(Box<Sleep>),
    Over,
}

/// What an attempt leaves behind for the sleep after it.
pub(crate) struct Suspended {
    /// What the call has gone through; `None` if it has ended, and a new one begins after the sleep.
    history: Option<History>,
    /// When the call began.
    start: Instant,
    /// Of the attempt's snapshot.
    version: u64,
    waits: Waits,
    /// A deadline, of the call or of an alternative.
    until: Option<Instant>,
}

impl Attempt<'_> {
    /// Of an attempt that will have ended when the sleep begins.
    pub(super) fn suspend(&self, waits: Waits, until: Option<Instant>) -> Suspended {
        let history = Some(self.history());
        Suspended { history, start: self.start.latest(), version: self.ws.version(), waits, until }
    }
}

impl Task {
    pub(crate) fn new(store: &Arc<Store>, shared: &Arc<Shared>, options: &Options, site: CallSite) -> Task {
        let options = Options { is_task: true, ..options.clone() };
        Task { store: store.clone(), shared: shared.clone(), options, site, state: State::New }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    fn call(&self) -> Call<'_> {
        let Task { store, shared, options, site, .. } = self;
        Call { store, shared, options, site: *site }
    }

    /// Runs `f` until an attempt of it commits, the call fails, or it has to sleep.
    ///
    /// # Panics
    /// After the end.
    pub(crate) fn poll<R, E>(
        &mut self,
        cx: &mut Context<'_>,
        mut f: impl FnMut(&Attempt<'_>) -> Result<R, Abort<E>>,
    ) -> Poll<Result<R, Failure<E>>> {
        for _ in 0..SLEEPS_PER_POLL {
            // However this ends, by a panic too: over, unless the call goes to sleep again.
            let (start, history) = match std::mem::replace(&mut self.state, State::Over) {
                State::New => (Instant::now(), None),
                State::Suspended(suspended) => {
                    self.state = State::Asleep(Box::new(Sleep::begin(self, *suspended)));
                    continue;
                }
                State::Asleep(mut sleep) => {
                    match sleep.poll(cx, &self.store, &self.site) {
                        Poll::Ready(Woken::ByChange) => {}
                        Poll::Ready(Woken::ByDeadline) => {
                            let Suspended { start, history, .. } = &sleep.suspended;
                            let deadline = self.options.timeout.and_then(|limit| after(*start, limit));
                            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                                let history = history.unwrap_or_default();
                                if let Some(label) = &self.options.label {
                                    count(&self.shared, label, &history, End::Failed);
                                }
                                event!(
                                    INFO,
                                    &self.call(),
                                    attempts = 1 + history.reruns,
                                    "ran into a limit of its options"
                                );
                                let loss = Loss::of(&history, Default::default());
                                return Poll::Ready(Err(Failure::Ended(Ended::TimedOut(loss))));
                            }
                            // An alternative's own: the closure goes on from there.
                        }
                        Poll::Pending => {
                            self.state = State::Asleep(sleep);
                            return Poll::Pending;
                        }
                    }
                    match sleep.suspended {
                        Suspended { start, history: Some(mut history), .. } => {
                            pass(Point::Restart);
                            history.reruns += 1;
                            (start, Some(history))
                        }
                        Suspended { history: None, .. } => (Instant::now(), None),
                    }
                }
                State::Over => panic!("tvar: {} was polled after its end", self.site),
            };
            match run_from(&self.call(), Start::at(start), history, &mut f) {
                Err(Failure::Ended(Ended::Suspended(suspended))) => self.state = State::Suspended(suspended),
                result => return Poll::Ready(result),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// [Runs](Task::poll) `f`, which must not write; after it has returned, the next poll sleeps until what it has read has changed.
    ///
    /// # Panics
    /// When `f` has written, or has read nothing that could change.
    pub(crate) fn poll_next<R, E>(
        &mut self,
        cx: &mut Context<'_>,
        mut f: impl FnMut(&Attempt<'_>) -> Result<R, Abort<E>>,
    ) -> Poll<Result<R, Failure<E>>> {
        let site = self.site;
        let mut seen = None;
        let polled = self.poll(cx, |attempt| {
            let value = f(attempt)?;
            assert!(attempt.ws.is_read_only(), "tvar: the closure of {site} has written: what is watched is only read");
            let waits = attempt.waits();
            if attempt.is_futile(&waits) {
                let why = why_futile(&waits);
                panic!("tvar: futile watch in {site}: {why}, so nothing could ever come after the first item");
            }
            let mut suspended = attempt.suspend(waits, None);
            suspended.history = None;
            seen = Some(Box::new(suspended));
            Ok(value)
        });
        if let Poll::Ready(Ok(_)) = polled {
            self.state = State::Suspended(seen.expect("the closure has returned"));
        }
        polled
    }
}

/// A call that sleeps.
struct Sleep {
    suspended: Suspended,
    registration: Registration<Lists, Vec<u32>>,
    timer: Option<Delay>,
    /// A look has found that nothing had changed.
    slept: bool,
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // Whoever is about to open the latch, or looks at who waits, may have it for longer than the task lives.
        self.registration.sleeper.latch.forget_waker();
    }
}

enum Woken {
    ByChange,
    ByDeadline,
}

impl Sleep {
    fn begin(task: &Task, mut suspended: Suspended) -> Sleep {
        let latch = Latch::for_task();
        // For the first look, which closes the window between the snapshot and the registration (W1).
        latch.open();
        let timer = suspended.until.map(|until| Delay::new(until.saturating_duration_since(Instant::now())));
        let slots = std::mem::take(&mut suspended.waits.slots);
        let sleeper = Arc::new(Sleeper::new(latch, Who::new(task.options.label.as_ref(), task.site)));
        let registration = Registration::begin(Lists(task.shared.clone()), slots, sleeper);
        pass(Point::Register);
        Sleep { suspended, registration, timer, slept: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>, store: &Arc<Store>, site: &CallSite) -> Poll<Woken> {
        for _ in 0..SLEEPS_PER_POLL {
            let latch = &self.registration.sleeper.latch;
            if !latch.poll(cx.waker()) {
                return self.poll_timer(cx);
            }
            latch.reset();
            if self.look(store, site) {
                return Poll::Ready(Woken::ByChange);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether something is different from what the attempt has read.
    fn look(&mut self, store: &Arc<Store>, site: &CallSite) -> bool {
        let _running = Running::begin(site);
        let Suspended { version, waits, .. } = &self.suspended;
        let look = Look::begin(store);
        let stale = look.is_stale(*version, &waits.read, &waits.maps);
        match (stale, self.slept) {
            (false, false) => {
                self.slept = true;
                look.count(Count::Parked);
                pass(Point::Park);
            }
            (true, true) => {
                look.count(Count::Wakeups);
                pass(Point::Wake);
            }
            _ => {}
        }
        stale
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Woken> {
        let (Some(timer), Some(until)) = (&mut self.timer, self.suspended.until) else { return Poll::Pending };
        let waker = without_panics(cx.waker());
        while Pin::new(&mut *timer).poll(&mut Context::from_waker(&waker)).is_ready() {
            let now = Instant::now();
            if now >= until {
                pass(Point::Wake);
                return Poll::Ready(Woken::ByDeadline);
            }
            timer.reset(until - now);
        }
        Poll::Pending
    }
}

/// The lists of those who wait in a space.
struct Lists(Arc<Shared>);

impl Deref for Lists {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.0.registry
    }
}

/// The thread is running a call of the crate: comparisons of keys are the user's code, which must not begin a transaction.
struct Running;

impl Running {
    fn begin(site: &CallSite) -> Running {
        enter_call(site);
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        leave_call();
    }
}
