//! What the models share: running one, threads that end inside it, and values that tell when they are misused.
//!
//! Compiles to nothing without `--cfg tvar_loom`.
#![cfg(tvar_loom)]

use loom::cell::UnsafeCell;
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake};
use std::time::Instant;
use tvar::internals;

/// A value read or dropped without the order that the store promises; seen here even if the panic is caught on its way.
static MISUSED: AtomicBool = AtomicBool::new(false);
/// Values that live.
static VALUES: AtomicIsize = AtomicIsize::new(0);

/// Runs every schedule of `f` with at most so many preemptions, and checks after each that no value and no node is left.
///
/// One model at a time: what is counted is counted for the whole process.
pub fn model(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let schedules: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = builder.max_branches.max(10_000);
    builder.check(move || {
        schedules.fetch_add(1, Relaxed);
        f();
        internals::leave_thread();
        assert!(!MISUSED.load(Relaxed), "a value was read or dropped out of order");
        assert_eq!(VALUES.load(Relaxed), 0, "values are left, or were dropped twice");
        assert_eq!(internals::nodes_in_use(), 0, "nodes are left, or were freed twice");
    });
    let name = std::thread::current().name().unwrap_or("model").to_string();
    println!("{name}: bound {preemptions}, {} schedules, {:.1?}", schedules.load(Relaxed), began.elapsed());
}

/// A thread that hands back its records before it ends; see [`internals::leave_thread`].
pub fn spawn<R: 'static>(f: impl FnOnce() -> R + 'static) -> loom::thread::JoinHandle<R> {
    loom::thread::spawn(move || {
        let result = f();
        internals::leave_thread();
        result
    })
}

/// Wakes a task that a thread of the model runs.
pub struct Bell(loom::sync::Notify);

impl Bell {
    /// A bell that has not rung.
    pub fn new() -> Arc<Bell> {
        Arc::new(Bell(loom::sync::Notify::new()))
    }

    /// Sleeps until it has rung.
    pub fn wait(&self) {
        self.0.wait();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Runs a future to its end; a wake-up that is lost is a deadlock.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let bell = Bell::new();
    let waker = bell.clone().into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => bell.wait(),
        }
    }
}

/// A boxed value that checks the order of its reads and its end.
pub struct Tracked {
    number: u64,
    access: UnsafeCell<()>,
    dropped: Cell<bool>,
}

// SAFETY: the fields that are not `Sync` are checkers; loom runs one thread at a time.
unsafe impl Send for Tracked {}
// SAFETY: as above.
unsafe impl Sync for Tracked {}

impl Tracked {
    /// A value to be told apart by its number.
    pub fn new(number: u64) -> Tracked {
        VALUES.fetch_add(1, Relaxed);
        Tracked { number, access: UnsafeCell::new(()), dropped: Cell::new(false) }
    }

    /// The number, if the value lives and its making comes before.
    pub fn get(&self) -> u64 {
        let alarm = Alarm;
        assert!(!self.dropped.get(), "a value was read after its end");
        self.access.with(|_| ());
        std::mem::forget(alarm);
        self.number
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        let alarm = Alarm;
        assert!(!self.dropped.replace(true), "a value was dropped twice");
        self.access.with_mut(|_| ());
        std::mem::forget(alarm);
        VALUES.fetch_sub(1, Relaxed);
    }
}

/// Values that live at this moment.
pub fn values() -> isize {
    VALUES.load(Relaxed)
}

struct Alarm;

impl Drop for Alarm {
    fn drop(&mut self) {
        MISUSED.store(true, Relaxed);
    }
}
