//! Spaces: independent universes of variables.

use crate::attempt::{Abort, Stm};
use crate::commit::Shared;
use crate::lock::LockInfo;
use crate::options::TxOptions;
use crate::snapshot::Snapshot;
use crate::stats::Stats;
use crate::store::{KeptSnapshot, Store};
use crate::sync::Arc;
use crate::sync::site::CallSite;
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
        self.shared.locks.list(|slot| self.store.describe(slot))
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

/// Locks on keys and ranges (§5.5), on the slot of a variable that stands for a map.
#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::*;
    use crate::TVar;
    use crate::attempt::Patience;
    use crate::lock::LockMode::{self, Exclusive, Shared};
    use crate::lock::Place;
    use crate::sync::latch::Latch;
    use crate::sync::site::{CallSite, Who};
    use crate::sync::time::Instant;
    use crate::wait::Sleeper;

    fn space() -> (Space, TVar<u64>, TVar<u64>) {
        let space = Space::new();
        let (map, v) = (TVar::named_in(&space, "m", 0), TVar::new_in(&space, 0));
        (space, map, v)
    }

    fn keys(map: &TVar<u64>, low: u64, high: u64) -> Place {
        Place::range(map.var.slot(), low, high)
    }

    fn lock(tx: &Tx<'_>, place: Place, mode: LockMode) -> Stm<bool> {
        tx.attempt.lock_place(place, mode, Patience::None, |_| false)
    }

    fn list(space: &Space) -> Vec<String> {
        let line = |info: LockInfo| {
            format!("{}: {}", info.variable.replace("000000000000", "").replace('#', ""), info.holders[0].mode)
        };
        space.locks().into_iter().map(line).collect()
    }

    #[test]
    fn a_range_covers_its_keys_and_a_part_that_is_undone_gives_back_what_it_took() {
        let (space, map, _) = space();
        space.atomically(|tx| {
            assert!(lock(tx, keys(&map, 0, 9), Shared)? && lock(tx, keys(&map, 5, 5), Shared)?);
            assert_eq!(list(&space), ["m keys 0000..=0009: shared"]);
            tx.or_else(
                |tx| {
                    assert!(lock(tx, keys(&map, 5, 5), Exclusive)? && lock(tx, keys(&map, 0, 9), Exclusive)?);
                    assert!(lock(tx, keys(&map, 6, 7), Exclusive)?);
                    assert_eq!(list(&space), ["m keys 0000..=0009: exclusive", "m key 0005: exclusive"]);
                    tx.retry()
                },
                |_| Ok(()),
            )?;
            assert_eq!(list(&space), ["m keys 0000..=0009: shared"]);
            Ok(())
        });
        assert!(list(&space).is_empty());
    }

    #[test]
    fn others_get_what_does_not_overlap() {
        let (space, map, _) = space();
        let others = |low, high, mode| {
            std::thread::scope(|scope| {
                let other = || space.atomically(|tx| lock(tx, keys(&map, low, high), mode));
                scope.spawn(other).join().unwrap()
            })
        };
        space.atomically(|tx| {
            assert!(lock(tx, keys(&map, 3, 5), Exclusive)? && lock(tx, keys(&map, 9, 9), Shared)?);
            let got = (0..12).filter(|key| others(*key, *key, Exclusive));
            assert_eq!(got.collect::<Vec<_>>(), [0, 1, 2, 6, 7, 8, 10, 11]);
            assert!(others(6, 12, Shared) && !others(6, 12, Exclusive) && !others(0, 3, Shared));
            Ok(())
        });
    }

    /// §5.2: keys that an attempt has asked for stay until the next one has ended without asking for them.
    #[test]
    fn a_lost_attempt_keeps_its_keys() {
        let (space, map, v) = space();
        let mut seen = Vec::new();
        space.atomically(|tx| {
            seen.push(list(&space));
            let attempt = tx.attempt();
            if attempt <= 2 {
                // The second attempt asks for a key inside only.
                let (low, high) = if attempt == 1 { (2, 4) } else { (3, 3) };
                lock(tx, keys(&map, low, high), Shared)?;
            }
            if attempt == 1 {
                lock(tx, keys(&map, 8, 8), Shared)?;
            }
            let n = *tx.read(&v);
            if attempt <= 4 {
                std::thread::scope(|scope| scope.spawn(|| v.update(|n| n + 1)).join().unwrap());
            }
            tx.write(&v, n + 1);
            Ok(())
        });
        let both = vec!["m keys 0002..=0004: shared".to_string(), "m key 0008: shared".to_string()];
        let one = both[..1].to_vec();
        assert_eq!(seen, [vec![], both, one, vec![], vec![]]);
    }

    /// W3: a wake-up that was left to the holder of a bucket's lock, who stops before it pays, is made by the next committer.
    fn left_to_a_stopped_holder(space: &Space, v: &TVar<u64>, commit: impl Fn() + Sync) {
        let (slot, registry) = (v.var.slot(), &space.shared.registry);
        let sleeper = Arc::new(Sleeper::new(Latch::new(), Who::new(None, CallSite::here("test"))));
        let is_open = || sleeper.latch.wait(Some(Instant::now()));
        registry.enter(&[slot], &sleeper);
        registry.with_stopped_holder(slot, || std::thread::scope(|s| s.spawn(&commit).join().expect("no panic")));
        assert!(!is_open(), "nobody has paid");
        TVar::new_in(space, 0).store(1);
        assert!(is_open());
        registry.leave(&[slot], &sleeper);
    }

    #[test]
    fn a_wake_up_left_to_a_stopped_holder() {
        let (space, v, _) = space();
        left_to_a_stopped_holder(&space, &v, || v.store(1));
    }

    /// The same for one whose slots nobody wrote down: those who come after it wake everybody.
    #[test]
    fn a_wake_up_of_everybody_left_to_a_stopped_holder() {
        let (space, v, other) = space();
        // Nobody waits yet.
        v.store(1);
        left_to_a_stopped_holder(&space, &v, || other.store(1));
    }
}
