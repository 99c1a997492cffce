//! What loom's own primitives lack, under its cfg.

use loom::sync::Mutex as RawMutex;
use loom::sync::atomic::{AtomicBool, Ordering};
use std::ops::{Deref, DerefMut};

/// loom's mutex lets nobody run between locking and unlocking unless the critical section itself has a branch, so a
/// `try_lock` would never fail. `held` is that branch, and what a failing `try_lock` sees.
#[derive(Debug)]
pub(crate) struct Mutex<T> {
    held: AtomicBool,
    raw: RawMutex<T>,
}

pub(crate) struct MutexGuard<'a, T> {
    held: &'a AtomicBool,
    raw: loom::sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex { held: AtomicBool::new(false), raw: RawMutex::new(value) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        let raw = self.raw.lock().expect("loom does not poison");
        // ORDERING: Relaxed: the lock itself synchronises; partner: `try_lock`.
        self.held.store(true, Ordering::Relaxed);
        MutexGuard { held: &self.held, raw }
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // ORDERING: Relaxed: a failed try synchronises with nothing.
        if self.held.load(Ordering::Relaxed) {
            return None;
        }
        let raw = self.raw.try_lock().ok()?;
        // ORDERING: Relaxed: as in `lock`.
        self.held.store(true, Ordering::Relaxed);
        Some(MutexGuard { held: &self.held, raw })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.raw
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.raw
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        // ORDERING: Release: as the unlocking that follows.
        self.held.store(false, Ordering::Release);
    }
}

/// Parking on a `Notify` of its own: loom's `unpark` also lets a thread go on that is blocked on a mutex.
pub(crate) mod thread {
    pub(crate) use loom::thread::yield_now;
    use std::sync::Arc;
    pub(crate) use std::thread::panicking;

    loom::thread_local!(static PARKER: Thread = Thread { parker: Arc::new(loom::sync::Notify::new()) });

    #[derive(Clone, Debug)]
    pub(crate) struct Thread {
        parker: Arc<loom::sync::Notify>,
    }

    impl Thread {
        pub(crate) fn unpark(&self) {
            self.parker.notify();
        }
    }

    pub(crate) fn current() -> Thread {
        PARKER.with(Thread::clone)
    }

    pub(crate) fn park() {
        current().parker.wait();
    }

    /// loom has no clock: a timed sleep is a sleep.
    pub(crate) fn park_timeout(_limit: std::time::Duration) {
        park();
    }

    pub(crate) fn spin() {
        yield_now();
    }

    pub(crate) fn token() -> usize {
        std::ptr::from_ref(&*current().parker).addr()
    }

    pub(crate) fn cpus() -> usize {
        1
    }
}
