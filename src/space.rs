//! Spaces: independent universes of variables.

use crate::attempt::{Abort, Stm};
use crate::commit::Shared;
use crate::lock::LockInfo;
use crate::options::TxOptions;
use crate::snapshot::Snapshot;
use crate::stats::Stats;
use crate::store::{CallSite, KeptSnapshot, Store};
use crate::sync::Arc;
use crate::tx::Tx;
use std::any::Any;
use std::fmt;

/// One universe of variables with one published root (§1.1); a cheap handle.
///
/// There is a global default space, and `Space::new` makes an independent one. A transaction works in one space; using a variable
/// of another one in it is a panic that names both. A space lives as long as a handle, variable or snapshot of it.
///
/// ```
/// use tvar::{Space, TVar};
/// let space = Space::named("billing");
/// let total = TVar::new_in(&space, 0);
/// space.atomically(|tx| Ok(tx.modify(&total, |n| n + 1)));
/// assert_eq!(total.load(), 1);
/// ```
#[derive(Clone)]
pub struct Space {
    pub(crate) store: Arc<Store>,
    pub(crate) shared: Arc<Shared>,
}

crate::sync::global!(
    fn global_space() -> &'static Space {
        Space::of(Store::global())
    }
);

impl Space {
    /// The global default space.
    #[inline]
    pub fn global() -> &'static Space {
        global_space()
    }

    /// A new, independent space.
    #[allow(clippy::new_without_default, reason = "each call makes a distinct space")]
    pub fn new() -> Space {
        Space::of(&Store::new(None))
    }

    /// A new, independent space with a name for messages.
    pub fn named(name: impl Into<String>) -> Space {
        Space::of(&Store::new(Some(name.into().into_boxed_str())))
    }

    /// The space around a store.
    pub(crate) fn of(store: &Arc<Store>) -> Space {
        let upper = store.upper(|| Arc::new(Shared::default()) as Arc<dyn Any + Send + Sync>);
        let shared = upper.clone().downcast().expect("nothing else is ever kept beside a tree");
        Space { store: store.clone(), shared }
    }

    /// "global", the name that it was given, or "space #" and a number.
    pub fn name(&self) -> String {
        self.store.name()
    }

    /// A snapshot to keep (§1.5): one immutable version of the whole space.
    ///
    /// O(1); never blocks or aborts a writer. Inside a running transaction of this space it is the snapshot of the running
    /// attempt, without its own writes, so that both agree.
    ///
    /// ```
    /// use tvar::{Space, TVar};
    /// let (a, b) = (TVar::new(1), TVar::new(2));
    /// let before = Space::global().snapshot();
    /// a.store(10);
    /// assert_eq!((*before.read(&a), *before.read(&b)), (1, 2));
    /// ```
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(KeptSnapshot::take(&self.store))
    }

    /// Like [`atomically`](crate::atomically()), in this space.
    #[track_caller]
    #[inline]
    pub fn atomically<R>(&self, f: impl FnMut(&Tx<'_>) -> Stm<R>) -> R {
        crate::call::atomically_in(self, CallSite::here("Space::atomically"), f)
    }

    /// Like [`try_atomically`](crate::try_atomically()), in this space.
    ///
    /// # Errors
    /// What the closure aborted with.
    #[track_caller]
    #[inline]
    pub fn try_atomically<R, E>(&self, f: impl FnMut(&Tx<'_>) -> Result<R, Abort<E>>) -> Result<R, E> {
        crate::call::try_atomically_in(self, CallSite::here("Space::try_atomically"), f)
    }

    /// Options for a transaction in this space.
    pub fn options(&self) -> TxOptions {
        TxOptions::new().space(self)
    }

    /// The number of the newest version; grows with every commit that changes something.
    pub fn version(&self) -> u64 {
        self.store.version()
    }

    /// How many calls sleep in `retry` at this moment (§3.7).
    pub fn waiters(&self) -> usize {
        self.shared.registry.parked()
    }

    /// What the space has counted so far (§7.2).
    pub fn stats(&self) -> Stats {
        Stats::of(&self.store)
    }

    /// Who holds which lock, and who waits for it, in the order of the line (§5.6). O(locks); who wants to lock
    /// something waits for the listing, commits do not.
    ///
    /// ```
    /// use tvar::{LockMode, Space, TVar};
    /// let space = Space::new();
    /// let seat = TVar::named_in(&space, "seat 12", false);
    /// let listed = space.atomically(|tx| {
    ///     tx.lock(&seat, LockMode::Exclusive)?;
    ///     Ok(space.locks())
    /// });
    /// assert_eq!(listed[0].to_string(), "seat 12: held by transaction #1 (exclusive)");
    /// assert!(space.locks().is_empty());
    /// ```
    pub fn locks(&self) -> Vec<LockInfo> {
        self.shared.locks.list(|place| self.store.describe(place))
    }

    /// Whether two handles are of the same space.
    pub fn ptr_eq(&self, other: &Space) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space")
            .field("name", &self.name())
            .field("version", &self.version())
            .field("waiters", &self.waiters())
            .finish()
    }
}
