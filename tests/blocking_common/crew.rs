//! Crews of threads for stress, under the eye of a watchdog.
//!
//! Each scenario runs for a fraction of a second; `TVAR_STRESS_SECONDS` sets how many seconds instead.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tvar::{Space, TVar};

use super::PATIENCE;

/// When a scenario ends, and how its threads tell that they get on.
#[derive(Clone)]
pub(crate) struct Clock {
    end: Instant,
    progress: Arc<AtomicU64>,
}

impl Clock {
    /// Whether to go on; each call is a sign of life.
    pub(crate) fn running(&self) -> bool {
        self.tick();
        Instant::now() < self.end
    }

    pub(crate) fn tick(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}

/// The threads of a scenario, under the eye of a watchdog.
pub(crate) struct Crew {
    what: &'static str,
    pub(crate) space: Space,
    clock: Clock,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    pub(crate) fn new(what: &'static str) -> Self {
        let seconds = match std::env::var("TVAR_STRESS_SECONDS") {
            Ok(text) => text.parse().expect("TVAR_STRESS_SECONDS is a number"),
            Err(_) => 0.6,
        };
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let clock = Clock { end, progress: Arc::default() };
        Self { what, space: Space::named(what), clock, threads: Vec::new() }
    }

    pub(crate) fn var<T: Send + Sync + 'static>(&self, value: T) -> TVar<T> {
        TVar::new_in(&self.space, value)
    }

    pub(crate) fn vars<T: Send + Sync + 'static>(&self, count: usize, value: impl Fn(usize) -> T) -> Arc<[TVar<T>]> {
        (0..count).map(|i| self.var(value(i))).collect()
    }

    pub(crate) fn spawn(&mut self, f: impl FnOnce(Clock, Space) + Send + 'static) {
        let (clock, space) = (self.clock.clone(), self.space.clone());
        self.threads.push(thread::spawn(move || f(clock, space)));
    }

    /// Waits for all threads; fails when one panicked or nothing moves any more.
    pub(crate) fn finish(mut self) -> Space {
        let mut seen = (0, self.threads.len());
        let mut since = Instant::now();
        while !self.threads.is_empty() {
            let (done, going): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.threads).into_iter().partition(JoinHandle::is_finished);
            self.threads = going;
            for thread in done {
                thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            }
            let now = (self.clock.progress.load(Ordering::Relaxed), self.threads.len());
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
            assert!(
                since.elapsed() < PATIENCE,
                "{}: no progress for {PATIENCE:?}: {} threads left, {} of them asleep\n{}",
                self.what,
                self.threads.len(),
                self.space.waiters(),
                self.space.stats(),
            );
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.space.waiters(), 0, "{}", self.what);
        self.space
    }
}

/// A small generator of pseudo-random numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: usize) -> Self {
        Self(seed as u64 + 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Two different numbers below `bound`.
    pub(crate) fn two_below(&mut self, bound: usize) -> (usize, usize) {
        let a = self.below(bound);
        (a, (a + 1 + self.below(bound - 1)) % bound)
    }
}

/// Commits until the backlogs of ended threads are taken over and `expected` values live.
#[track_caller]
pub(crate) fn settles_to(space: &Space, live: &AtomicI64, expected: i64) {
    let v = TVar::new_in(space, String::new());
    let mut commits = 0;
    while live.load(Ordering::SeqCst) != expected && commits < 2000 {
        v.store("next".into());
        commits += 1;
    }
    assert_eq!(live.load(Ordering::SeqCst), expected, "values live after {commits} commits");
}
