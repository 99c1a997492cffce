//! Helpers shared by the integration tests: foreign commits at a chosen place, values that count
//! themselves, small stacks, panic messages.
#![allow(dead_code, unreachable_pub)]

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use tvar::hooks::{self, HookGuard, Point};
use tvar::{Space, TVar};

/// Runs `f` on another thread to its end. Called inside a closure, it is a foreign commit at
/// exactly that place of the attempt.
pub fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| match scope.spawn(f).join() {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    })
}

/// Runs `f` on another thread to its end the first time that this thread passes `point`.
pub fn at_first(point: Point, f: impl FnOnce() + Send + 'static) -> HookGuard {
    let mut f = Some(f);
    hooks::on_this_thread(move |passed| {
        if passed == point
            && let Some(f) = f.take()
        {
            thread::spawn(f).join().expect("the foreign step");
        }
    })
}

/// Runs `f` on a thread with a stack of 256 KiB, far too small for recursion over a long chain.
pub fn on_small_stack<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let thread = thread::Builder::new().stack_size(256 * 1024).spawn(f).expect("a thread");
    match thread.join() {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}

/// A big count: the full one in optimised builds, a tenth of it in debug builds.
pub fn many(full: usize) -> usize {
    if cfg!(debug_assertions) { full / 10 } else { full }
}

/// So many commits that have nothing to do with anything.
pub fn ticks(space: &Space, count: usize) {
    let tick = TVar::new_in(space, 0);
    for n in 0..count {
        tick.store(n);
    }
}

/// Commits until `done`, for what is reclaimed along with later commits; fails if a good many of
/// them do not suffice.
#[track_caller]
pub fn settle(space: &Space, done: impl Fn() -> bool) {
    let tick = TVar::new_in(space, 0);
    for n in 0..10_000 {
        if done() {
            return;
        }
        tick.store(n);
    }
    panic!("not reclaimed by ten thousand commits");
}

/// The panic payload of `f`, which has to panic.
pub fn panic_of<R>(f: impl FnOnce() -> R) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("expected a panic"),
        Err(payload) => payload,
    }
}

/// The panic message of `f`, which has to panic.
pub fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    text_of(panic_of(f).as_ref())
}

/// The text of a panic payload.
pub fn text_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        panic!("the panic carries no text")
    }
}

/// Fails unless `message` contains every one of `parts`.
#[track_caller]
pub fn assert_names(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

/// Counts the values it has handed out and that have not been dropped.
#[derive(Clone, Default)]
pub struct Census(Arc<Mutex<Register>>);

#[derive(Default)]
struct Register {
    alive: HashMap<u64, usize>,
    live: usize,
    peak: usize,
    dropped: usize,
}

impl Census {
    pub fn new() -> Self {
        Self::default()
    }

    fn register(&self) -> MutexGuard<'_, Register> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value that counts itself. The id need not be unique.
    pub fn value(&self, id: u64) -> Counted {
        let mut register = self.register();
        *register.alive.entry(id).or_default() += 1;
        register.live += 1;
        register.peak = register.peak.max(register.live);
        drop(register);
        Counted { id, census: self.clone() }
    }

    /// How many values are alive.
    pub fn live(&self) -> usize {
        self.register().live
    }

    /// How many were alive at once, at most.
    pub fn peak(&self) -> usize {
        self.register().peak
    }

    /// How many were dropped so far.
    pub fn dropped(&self) -> usize {
        self.register().dropped
    }

    /// Whether a value with this id is alive.
    pub fn alive(&self, id: u64) -> bool {
        self.register().alive.contains_key(&id)
    }
}

/// A value that counts itself in its [`Census`]. No `Clone`, has a destructor, lives in a box.
pub struct Counted {
    pub id: u64,
    census: Census,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut register = self.census.register();
        let count = register.alive.get_mut(&self.id).expect("dropped twice");
        *count -= 1;
        if *count == 0 {
            register.alive.remove(&self.id);
        }
        register.live -= 1;
        register.dropped += 1;
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counted({})", self.id)
    }
}
