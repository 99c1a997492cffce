//! Helpers of the tests of blocking, contention, progress and stress.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

pub(crate) mod crew;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tvar::hooks::{self, HookGuard, Point};
use tvar::{Space, Stm, Tx};

/// How long nothing may happen before a test fails instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A deadline that no test ever reaches.
pub(crate) const FAR: Duration = Duration::from_secs(3600);

/// Polls until `cond` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut cond: impl FnMut() -> bool) {
    let start = Instant::now();
    while !cond() {
        assert!(start.elapsed() < PATIENCE, "did not happen: {what}");
        thread::yield_now();
    }
}

/// Lets other threads run, so that a wrong wake-up has the chance to show.
pub(crate) fn settle() {
    for _ in 0..300 {
        thread::yield_now();
    }
}

/// Joins a thread, but not for ever; passes its panic on.
#[track_caller]
pub(crate) fn join<T>(what: &str, thread: JoinHandle<T>) -> T {
    eventually(what, || thread.is_finished());
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs `f` on another thread and waits for it.
#[track_caller]
pub(crate) fn elsewhere<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> T {
    join("work on another thread", thread::spawn(f))
}

/// Runs a test's calls on a thread of their own, so that one that never returns fails the test.
#[track_caller]
pub(crate) fn guarded(test: impl FnOnce() + Send + 'static) {
    join("the test ends", thread::spawn(test));
}

/// The message of the panic that `f` must end with.
#[track_caller]
pub(crate) fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("should have panicked"),
        Err(payload) => text_of(&*payload),
    }
}

fn text_of(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "(not text)".to_owned())
}

/// Runs `f` at the first `times` passages of `point` on this thread.
pub(crate) fn at(point: Point, times: u64, mut f: impl FnMut() + 'static) -> HookGuard {
    let mut left = times;
    hooks::on_this_thread(move |p| {
        if p == point && left > 0 {
            left -= 1;
            f();
        }
    })
}

/// Runs `f` on another thread, to its end, at the first `times` passages of `point` on this thread.
pub(crate) fn strike_at(point: Point, times: u64, f: impl Fn() + Send + Sync + 'static) -> HookGuard {
    let f = Arc::new(f);
    at(point, times, move || {
        let f = Arc::clone(&f);
        elsewhere(move || f());
    })
}

/// A place where one thread stops until another lets it go on.
#[derive(Clone, Default)]
pub(crate) struct Pause(Arc<(Mutex<Stage>, Condvar)>);

#[derive(Clone, Copy, Default, PartialEq)]
enum Stage {
    #[default]
    Ahead,
    Stopped,
    Released,
}

impl Pause {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Stops here until released; passes at once when released before.
    pub(crate) fn stop(&self) {
        let (stage, changed) = &*self.0;
        let mut stage = stage.lock().unwrap();
        if *stage == Stage::Released {
            return;
        }
        *stage = Stage::Stopped;
        changed.notify_all();
        let (stage, out) = changed.wait_timeout_while(stage, PATIENCE, |stage| *stage != Stage::Released).unwrap();
        drop(stage);
        assert!(!out.timed_out(), "a paused thread was never released");
    }

    /// Waits until the other thread has stopped.
    #[track_caller]
    pub(crate) fn reached(&self) {
        eventually("the thread reaches its pause", || *self.0.0.lock().unwrap() != Stage::Ahead);
    }

    pub(crate) fn release(&self) {
        *self.0.0.lock().unwrap() = Stage::Released;
        self.0.1.notify_all();
    }
}

/// A thread that stops at the first passage of a point.
pub(crate) struct Paused<R> {
    pause: Pause,
    thread: Option<JoinHandle<R>>,
}

impl<R: Send + 'static> Paused<R> {
    /// Starts `f` and waits until it has stopped at `point`.
    #[track_caller]
    pub(crate) fn at(point: Point, f: impl FnOnce() -> R + Send + 'static) -> Self {
        let paused = Self::soon_at(point, f);
        paused.pause.reached();
        paused
    }

    /// Starts `f`; the point may need something from outside to be reached.
    pub(crate) fn soon_at(point: Point, f: impl FnOnce() -> R + Send + 'static) -> Self {
        let pause = Pause::new();
        let inside = pause.clone();
        let thread = thread::spawn(move || {
            let _hook = at(point, 1, move || inside.stop());
            f()
        });
        let thread = Some(thread);
        Self { pause, thread }
    }

    #[track_caller]
    pub(crate) fn reached(&self) {
        self.pause.reached();
    }

    /// Lets the thread go on, and waits for its end.
    #[track_caller]
    pub(crate) fn finish(mut self) -> R {
        self.pause.release();
        join("the paused thread ends", self.thread.take().unwrap())
    }
}

impl<R> Drop for Paused<R> {
    fn drop(&mut self) {
        self.pause.release();
    }
}

/// One call of `atomically` on a thread of its own, with its runs counted.
pub(crate) struct Waiter<R> {
    runs: Arc<AtomicU64>,
    open: Arc<AtomicBool>,
    thread: JoinHandle<R>,
}

impl<R: Send + 'static> Waiter<R> {
    pub(crate) fn start(space: &Space, mut f: impl FnMut(&Tx<'_>) -> Stm<R> + Send + 'static) -> Self {
        Self::hooked(space, || None, move |tx| f(tx))
    }

    /// Starts the call and waits until it sleeps.
    #[track_caller]
    pub(crate) fn asleep(space: &Space, f: impl FnMut(&Tx<'_>) -> Stm<R> + Send + 'static) -> Self {
        let before = space.stats().parked;
        let waiter = Self::start(space, f);
        eventually("the call parks", || space.stats().parked > before);
        waiter
    }

    /// A sleeping call that reads with `f` and retries until `open` was called.
    #[track_caller]
    pub(crate) fn closed(space: &Space, mut f: impl FnMut(&Tx<'_>) -> Stm<R> + Send + 'static) -> Self {
        let open = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&open);
        let mut waiter = Self::asleep(space, move |tx| {
            let result = f(tx)?;
            tx.check(seen.load(Ordering::SeqCst))?;
            Ok(result)
        });
        waiter.open = open;
        waiter
    }

    /// The call runs under the hook that `hook` installs.
    pub(crate) fn hooked(
        space: &Space,
        hook: impl FnOnce() -> Option<HookGuard> + Send + 'static,
        mut f: impl FnMut(&Tx<'_>) -> Stm<R> + Send + 'static,
    ) -> Self {
        let runs = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&runs);
        let space = space.clone();
        let thread = thread::spawn(move || {
            let _guard = hook();
            space.atomically(|tx| {
                counter.fetch_add(1, Ordering::SeqCst);
                f(tx)
            })
        });
        let open = Arc::default();
        Self { runs, open, thread }
    }

    /// How often the closure has begun to run.
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    /// From now on a run of a `closed` call succeeds.
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::SeqCst);
    }

    /// Waits for the end: the result, and how often the closure ran.
    #[track_caller]
    pub(crate) fn finish(self, what: &str) -> (R, u64) {
        let result = join(what, self.thread);
        (result, self.runs.load(Ordering::SeqCst))
    }
}

/// A boxed value that counts the living, and notices a second drop.
pub(crate) struct Counted {
    live: Arc<AtomicI64>,
    seal: u64,
    pub(crate) value: u64,
}

const SEAL: u64 = 0x5eed_ab1e_cafe_f00d;

impl Counted {
    pub(crate) fn new(live: &Arc<AtomicI64>, value: u64) -> Self {
        live.fetch_add(1, Ordering::SeqCst);
        let live = Arc::clone(live);
        Self { live, seal: SEAL, value }
    }

    /// The value, after a look at whether it still lives.
    pub(crate) fn get(&self) -> u64 {
        assert_eq!(self.seal, SEAL, "read after drop");
        self.value
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.seal != SEAL {
            eprintln!("a value was dropped twice");
            std::process::abort();
        }
        self.seal = 0;
        self.live.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A live count that starts at zero.
pub(crate) fn live_count() -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(0))
}
