//! Spaces: the published map, and the bell that commits ring for parked threads.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use imbl::OrdMap;

use super::snapshot::RefSnapshot;
use super::value::Value;
use super::var::VarCore;

/// One universe of reference variables, with one published map (§1.1); a cheap handle.
#[derive(Clone)]
pub struct RefSpace {
    inner: Arc<Inner>,
}

struct Inner {
    id: u64,
    root: ArcSwap<Root>,
    /// How many commits have rung; parked threads compare it under the mutex, so that no ring is missed.
    rings: Mutex<u64>,
    rung: Condvar,
}

/// One immutable version of a whole space.
#[derive(Clone, Default)]
pub(super) struct Root {
    pub(super) version: u64,
    /// The variables that some transaction has written; all others hold their initial value (§1.2).
    pub(super) values: OrdMap<u64, Value>,
}

impl Root {
    pub(super) fn value(&self, var: &VarCore) -> Value {
        let written = self.values.get(&var.id);
        written.unwrap_or(&var.initial).clone()
    }
}

/// A number for a variable or a space, never given twice: an entry can belong to one variable only.
pub(super) fn fresh_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // ORDERING: only that no two calls get the same number matters.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl RefSpace {
    /// An independent, empty space (§1.1).
    #[expect(clippy::new_without_default, reason = "every call makes a space of its own")]
    pub fn new() -> Self {
        let inner = Inner { id: fresh_id(), root: ArcSwap::default(), rings: Mutex::new(0), rung: Condvar::new() };
        Self { inner: Arc::new(inner) }
    }

    /// The space of [`RefVar::new`](super::RefVar::new) and [`atomically`](super::atomically).
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<RefSpace> = LazyLock::new(RefSpace::new);
        &GLOBAL
    }

    /// The newest version of the whole space, to keep (§1.5).
    pub fn snapshot(&self) -> RefSnapshot {
        RefSnapshot { space: self.clone(), root: self.newest() }
    }

    /// Whether both are handles of one space.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Panics, naming both spaces, unless the variable belongs to this one (§1.1).
    #[track_caller]
    pub(super) fn admit(&self, var: &VarCore) {
        assert!(
            self.ptr_eq(&var.space),
            "tvar: variable #{} belongs to {:?}, but is used in {self:?}",
            var.id,
            var.space
        );
    }

    pub(super) fn newest(&self) -> Arc<Root> {
        self.inner.root.load_full()
    }

    /// Publishes `next` if `current` still is the newest root; otherwise tells what is.
    pub(super) fn swap(&self, current: &Arc<Root>, next: Root) -> Result<(), Arc<Root>> {
        // Our own count on `next` lets the values in it go here, not inside of `compare_and_swap`, if it loses.
        let next = Arc::new(next);
        let found = Guard::into_inner(self.inner.root.compare_and_swap(current, Arc::clone(&next)));
        if Arc::ptr_eq(&found, current) { Ok(()) } else { Err(found) }
    }

    /// Takes the entry of a variable whose last handle is gone out of the map (§1.3).
    pub(super) fn reclaim(&self, id: u64) {
        let mut current = self.newest();
        while current.values.contains_key(&id) {
            let next = Root { version: current.version, values: current.values.without(&id) };
            match self.swap(&current, next) {
                Ok(()) => return,
                Err(newer) => current = newer,
            }
        }
    }

    /// Tells the parked threads that a new root is out.
    pub(super) fn ring(&self) {
        *self.rings() += 1;
        self.inner.rung.notify_all();
    }

    /// Sleeps until `changed` says so of the newest root. Each round notes the rings first and looks at the root
    /// after: a commit that the look misses rings later, and the wait does not begin.
    pub(super) fn sleep_until(&self, changed: impl Fn(&Root) -> bool) {
        loop {
            let heard = *self.rings();
            if changed(&self.newest()) {
                return;
            }
            let rings = self.rings();
            let woken = self.inner.rung.wait_while(rings, |rings| *rings == heard);
            drop(woken);
        }
    }

    /// Nothing but the count is touched under this mutex, so a panic cannot leave it half changed.
    fn rings(&self) -> MutexGuard<'_, u64> {
        self.inner.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RefSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reference space #{}", self.inner.id)
    }
}
