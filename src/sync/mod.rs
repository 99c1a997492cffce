//! The shim: the one place that names `std::sync`, `std::thread` and `loom`.
//!
//! Production code gets the standard primitives; under `--cfg tvar_loom` the same names are loom's, so that
//! the models drive the crate's own code. Layers above import from here only.

pub(crate) mod latch;
pub(crate) mod probe;
pub(crate) mod random;
pub(crate) mod site;
pub(crate) mod steps;
pub(crate) mod time;
#[cfg(feature = "async")]
pub(crate) mod waker;

#[cfg(not(tvar_loom))]
pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    /// Nothing: production code relies on its `SeqCst` accesses.
    // ORDERING: see each call.
    #[inline(always)]
    pub(crate) fn model_fence() {}
}

#[cfg(tvar_loom)]
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    /// loom takes `SeqCst` accesses for `AcqRel`; where an algorithm needs the total order, the model adds the fence.
    // ORDERING: see each call.
    #[inline(always)]
    pub(crate) fn model_fence() {
        // ORDERING: stands for the SeqCst accesses on both sides of it, partner: every other `model_fence`.
        loom::sync::atomic::fence(Ordering::SeqCst);
    }
}

/// Atomics that stay the standard ones under loom: counts that order nothing that a model looks at, and statistics. They add
/// no branches to a model.
pub(crate) mod plain {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
}

pub(crate) use std::sync::{Arc, OnceLock, Weak};

#[cfg(tvar_loom)]
mod model;
#[cfg(tvar_loom)]
pub(crate) use model::{Mutex, MutexGuard, thread};

#[cfg(not(tvar_loom))]
pub(crate) use std::sync::MutexGuard;

/// A mutex without poison: what it guards is never left half changed by a panic (no user code runs inside).
#[cfg(not(tvar_loom))]
#[derive(Debug)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

#[cfg(not(tvar_loom))]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// `None` if somebody else holds it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(not(tvar_loom))]
pub(crate) mod thread {
    pub(crate) use std::thread::{Builder, JoinHandle, Thread, current, panicking, park, yield_now};

    /// Sleeps until unparked or until `limit` has passed; may return early.
    pub(crate) fn park_timeout(limit: std::time::Duration) {
        std::thread::park_timeout(limit);
    }

    /// Tells the CPU that this is a spin loop.
    #[inline(always)]
    pub(crate) fn spin() {
        std::hint::spin_loop();
    }

    /// A number that no other running thread has; never 0.
    #[inline(always)]
    pub(crate) fn token() -> usize {
        std::thread_local!(static TOKEN: u8 = const { 0 });
        TOKEN.with(|token| std::ptr::from_ref(token).addr())
    }

    /// Number of CPUs that this process may use, read once.
    pub(crate) fn cpus() -> usize {
        static CPUS: std::sync::LazyLock<usize> =
            std::sync::LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        *CPUS
    }
}

/// `thread_local!` of the standard library or of loom, by the same spelling.
macro_rules! tls {
    ($(#[$attr:meta])* static $name:ident: $ty:ty = $init:expr) => {
        #[cfg(not(tvar_loom))]
        std::thread_local! { $(#[$attr])* static $name: $ty = const { $init } }
        #[cfg(tvar_loom)]
        loom::thread_local! { $(#[$attr])* static $name: $ty = $init }
    };
}
pub(crate) use tls;

/// A value made on first use that lives as long as the process (as long as a model's run, under loom).
macro_rules! global {
    ($(#[$attr:meta])* $vis:vis fn $name:ident() -> &'static $ty:ty { $init:expr }) => {
        $(#[$attr])*
        #[inline]
        $vis fn $name() -> &'static $ty {
            #[cfg(not(tvar_loom))]
            static VALUE: std::sync::LazyLock<$ty> = std::sync::LazyLock::new(|| $init);
            #[cfg(not(tvar_loom))]
            return &VALUE;
            #[cfg(tvar_loom)]
            loom::lazy_static! { static ref VALUE: $ty = $init; }
            #[cfg(tvar_loom)]
            return &VALUE;
        }
    };
}
pub(crate) use global;
