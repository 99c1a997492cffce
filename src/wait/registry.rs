//! Who waits for which variable.
//!
//! A waiter registers, looks at the newest root again, and only then sleeps; a committer swaps the root and then looks for waiters
//! (W1). Both sides store and then load, so both are SeqCst: one of the two sees the other, and no wake-up is lost.
//!
//! A commit never waits for a bucket's lock (§4.1): a committer that finds it taken leaves a note, and whoever holds it wakes the whole
//! bucket after letting go (W2). Who is woken for nothing finds its variables unchanged and sleeps on.

use super::sleeper::Sleeper;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use crate::sync::{Arc, Mutex, MutexGuard, OnceLock};
use crossbeam_utils::CachePadded;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Lists by slot number; a power of two.
const BUCKETS: usize = if cfg!(tvar_loom) { 1 } else { 256 };
/// Counts by slot number; a power of two.
const COUNTS: usize = if cfg!(tvar_loom) { 1 } else { 2048 };

/// Instead of a slot, for a call that waits for its deadline alone: no variable has this number.
const NOTHING: u32 = u32::MAX;

/// In the count of registered calls: commits are to be observed.
const OBSERVED: usize = 1 << (usize::BITS - 1);

/// The waiters of one space.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// Calls that are registered. On a line that commits only read while nobody waits.
    parked: CachePadded<Parked>,
    /// Made when the first call waits.
    lists: OnceLock<Lists>,
}

#[derive(Debug)]
struct Lists {
    buckets: Box<[Bucket]>,
    /// How many wait, by slot, finer than the buckets: commits look here first.
    waiting: Box<[AtomicUsize]>,
}

#[derive(Debug)]
struct Parked(AtomicUsize);

impl Default for Parked {
    fn default() -> Self {
        Parked(AtomicUsize::new(0))
    }
}

#[derive(Debug)]
struct Bucket {
    /// A committer found the list locked: the holder wakes everybody when it lets go.
    owed: AtomicBool,
    list: Mutex<Waiters>,
}

/// Who waits for the slots of a bucket: by slot and ticket, so that leaving costs the logarithm of their number.
type Waiters = BTreeMap<(u32, u64), Arc<Sleeper>>;

/// Where a call is entered that waits for these slots.
fn entries(slots: &[u32]) -> &[u32] {
    if slots.is_empty() { &[NOTHING] } else { slots }
}

/// Where a slot belongs among so many. Fibonacci hashing: slots of one leaf spread.
#[cfg_attr(tvar_loom, allow(clippy::modulo_one, reason = "models have one of each"))]
fn spread(slot: u32, among: usize) -> usize {
    (slot.wrapping_mul(0x9E37_79B9) >> 16) as usize % among
}

/// The waiters of a slot.
fn of(slot: u32) -> RangeInclusive<(u32, u64)> {
    (slot, 0)..=(slot, u64::MAX)
}

impl Bucket {
    fn new() -> Self {
        Bucket { owed: AtomicBool::new(false), list: Mutex::default() }
    }

    /// Works on the list, then pays what committers left owing meanwhile.
    fn change(&self, change: impl FnOnce(&mut Waiters)) {
        let mut list = self.list.lock();
        change(&mut list);
        self.unlock(list);
    }

    fn unlock(&self, list: MutexGuard<'_, Waiters>) {
        drop(list);
        loop {
            // ORDERING: SeqCst fence: the unlocking comes before the look at the note; partner: the fence in `wake`.
            fence(Ordering::SeqCst);
            // ORDERING: Relaxed: ordered by the fence; the exchange below synchronises.
            if !self.owed.load(Ordering::Relaxed) {
                return;
            }
            let Some(list) = self.list.try_lock() else { return };
            // ORDERING: AcqRel: what the committers whose notes this clears have published comes before the waiters' look at the
            // root; partner: the swap in `wake`.
            self.owed.swap(false, Ordering::AcqRel);
            let all: Vec<_> = list.values().cloned().collect();
            drop(list);
            all.iter().for_each(|sleeper| sleeper.latch.open());
        }
    }

    /// Opens the latches of these waiters, or has somebody else open them all (`false`).
    fn wake(&self, whose: RangeInclusive<(u32, u64)>) -> bool {
        let list = self.list.try_lock().or_else(|| {
            // ORDERING: AcqRel: partner: the swap in `unlock`.
            self.owed.swap(true, Ordering::AcqRel);
            // ORDERING: SeqCst fence: the note comes before the second try; partner: the fence in `unlock`. Either the try
            // succeeds, or the holder sees the note.
            fence(Ordering::SeqCst);
            self.list.try_lock()
        });
        let Some(list) = list else { return false };
        let picked: Vec<_> = list.range(whose).map(|(_, sleeper)| sleeper.clone()).collect();
        self.unlock(list);
        picked.iter().for_each(|sleeper| sleeper.latch.open());
        true
    }
}

impl Registry {
    /// Makes the lists: loom does not see how a `OnceLock` hands them over.
    #[cfg(tvar_loom)]
    pub(crate) fn prepare(&self) {
        self.lists();
    }

    fn lists(&self) -> &Lists {
        self.lists.get_or_init(|| Lists {
            buckets: (0..BUCKETS).map(|_| Bucket::new()).collect(),
            waiting: (0..COUNTS).map(|_| AtomicUsize::new(0)).collect(),
        })
    }

    fn bucket(&self, slot: u32) -> &Bucket {
        &self.lists().buckets[spread(slot, BUCKETS)]
    }

    /// How many wait for slots like this one.
    fn waiting(&self, slot: u32) -> &AtomicUsize {
        &self.lists().waiting[spread(slot, COUNTS)]
    }

    /// Registers a call that is about to wait for any of `slots` (distinct). It must look at the newest root after this, and
    /// [leave](Registry::leave) in the end.
    pub(crate) fn enter(&self, slots: &[u32], sleeper: &Arc<Sleeper>) {
        for &slot in entries(slots) {
            let bucket = self.bucket(slot);
            bucket.change(|list| drop(list.insert((slot, sleeper.ticket), sleeper.clone())));
            // ORDERING: SeqCst: as `parked` below.
            self.waiting(slot).fetch_add(1, Ordering::SeqCst);
        }
        // ORDERING: SeqCst: the registration comes before the look at the root in the total order; partner: `anyone`, after
        // the committer's swap. For loom the fence of the marker follows, by which the look pins the root.
        self.parked.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes a call out: no trace of it is left (§3.7).
    pub(crate) fn leave(&self, slots: &[u32], sleeper: &Sleeper) {
        for &slot in entries(slots) {
            let bucket = self.bucket(slot);
            bucket.change(|list| drop(list.remove(&(slot, sleeper.ticket))));
            // ORDERING: Relaxed: a committer that still sees the count finds nothing in the bucket, which has a lock of its own.
            self.waiting(slot).fetch_sub(1, Ordering::Relaxed);
        }
        // ORDERING: Relaxed: as above.
        self.parked.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Makes commits go the longer way: they are to be observed (O2).
    pub(crate) fn set_observed(&self, observed: bool) {
        // ORDERING: SeqCst: as the other changes of this word.
        if observed {
            self.parked.0.fetch_or(OBSERVED, Ordering::SeqCst);
        } else {
            self.parked.0.fetch_and(!OBSERVED, Ordering::SeqCst);
        }
    }

    /// Whether commits are to be observed.
    pub(crate) fn is_observed(&self) -> bool {
        // ORDERING: Relaxed: what is observed goes through a mutex.
        self.parked.0.load(Ordering::Relaxed) & OBSERVED != 0
    }

    /// Whether any call waits, or commits are observed; asked by every commit, after its swap.
    #[inline(always)]
    pub(crate) fn anyone(&self) -> bool {
        // ORDERING: SeqCst: after the swap in the total order; partner: `enter`.
        self.parked.0.load(Ordering::SeqCst) > 0
    }

    /// Wakes whoever waits for one of these slots; `false` if some of that was left to others.
    #[cold]
    pub(crate) fn wake(&self, slots: &[u32]) -> bool {
        let mut delivered = true;
        for &slot in slots {
            // ORDERING: SeqCst: as `anyone`.
            if self.waiting(slot).load(Ordering::SeqCst) > 0 {
                delivered &= self.bucket(slot).wake(of(slot));
            }
        }
        delivered
    }

    /// Wakes everybody, when it is not known for whom a wake-up is owed; `false` as for [`Registry::wake`].
    #[cold]
    pub(crate) fn wake_all(&self) -> bool {
        let mut delivered = true;
        for bucket in self.lists.get().into_iter().flat_map(|lists| &lists.buckets) {
            delivered &= bucket.wake((0, 0)..=(u32::MAX, u64::MAX));
        }
        delivered
    }

    /// Calls that wait.
    pub(crate) fn parked(&self) -> usize {
        // ORDERING: Relaxed: a count to look at.
        self.parked.0.load(Ordering::Relaxed) & !OBSERVED
    }

    /// Every call that waits, with the slots that it waits for in their order, in the order in which they began. As with every change, the caller may
    /// have to wake others (W2).
    pub(crate) fn list(&self) -> Vec<(Arc<Sleeper>, Vec<u32>)> {
        let mut all: BTreeMap<u64, (Arc<Sleeper>, Vec<u32>)> = BTreeMap::new();
        for bucket in self.lists.get().into_iter().flat_map(|lists| &lists.buckets) {
            bucket.change(|list| {
                for ((slot, ticket), sleeper) in list.iter() {
                    let (_, slots) = all.entry(*ticket).or_insert_with(|| (sleeper.clone(), Vec::new()));
                    slots.extend(Some(*slot).filter(|slot| *slot != NOTHING));
                }
            });
        }
        all.values_mut().for_each(|(_, slots)| slots.sort_unstable());
        all.into_values().collect()
    }

    /// Runs this while the slot's bucket is locked, by somebody who then lets go and stops before paying what committers left owing.
    #[cfg(all(test, not(tvar_loom)))]
    pub(crate) fn with_stopped_holder<R>(&self, slot: u32, f: impl FnOnce() -> R) -> R {
        let _list = self.bucket(slot).list.lock();
        f()
    }

    /// Calls that wait for this slot.
    pub(crate) fn waiting_for(&self, slot: u32) -> usize {
        let mut count = 0;
        if self.lists.get().is_some() {
            self.bucket(slot).change(|list| count = list.range(of(slot)).count());
        }
        count
    }
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::*;

    fn sleeper() -> Arc<Sleeper> {
        Arc::new(Sleeper::new(Latch::new(), Who::new(None, CallSite::here("test"))))
    }

    fn is_open(sleeper: &Sleeper) -> bool {
        sleeper.latch.wait(Some(Instant::now()))
    }

    #[test]
    fn only_waiters_of_the_slot_are_woken() {
        let registry = Registry::default();
        let (a, b) = (sleeper(), sleeper());
        registry.enter(&[1, 2], &a);
        registry.enter(&[3], &b);
        assert_eq!((registry.parked(), registry.waiting_for(2)), (2, 1));
        let listed: Vec<_> = registry.list().into_iter().map(|(sleeper, slots)| (sleeper.ticket, slots)).collect();
        assert_eq!(listed.iter().find(|(ticket, _)| *ticket == b.ticket).unwrap().1, [3]);
        assert_eq!(listed[0].1.len() + listed[1].1.len(), 3);
        registry.wake(&[2, 7]);
        assert!(is_open(&a) && !is_open(&b));
        registry.leave(&[1, 2], &a);
        assert_eq!((registry.waiting_for(2), registry.waiting_for(3)), (0, 1));
        registry.leave(&[3], &b);
        assert_eq!((registry.parked(), registry.waiting_for(3), registry.anyone()), (0, 0, false));
    }

    #[test]
    fn a_committer_that_finds_a_bucket_locked_has_the_holder_wake_it() {
        let registry = Registry::default();
        let sleeper = sleeper();
        registry.enter(&[5], &sleeper);
        let bucket = registry.bucket(5);
        bucket.change(|_| assert!(!registry.wake(&[5]), "left to the holder"));
        assert!(is_open(&sleeper));
    }

    #[test]
    fn a_call_that_waits_for_nothing_is_listed() {
        let registry = Registry::default();
        let sleeper = sleeper();
        registry.enter(&[], &sleeper);
        let listed: Vec<_> = registry.list().into_iter().map(|(sleeper, slots)| (sleeper.ticket, slots)).collect();
        assert_eq!((listed, registry.parked()), (vec![(sleeper.ticket, vec![])], 1));
        registry.leave(&[], &sleeper);
        assert!(registry.list().is_empty() && !registry.anyone());
    }

    #[test]
    fn observed_is_not_a_waiter() {
        let registry = Registry::default();
        registry.set_observed(true);
        assert_eq!((registry.parked(), registry.anyone(), registry.is_observed()), (0, true, true));
        registry.set_observed(false);
        assert_eq!((registry.anyone(), registry.is_observed()), (false, false));
    }

    use crate::sync::latch::Latch;
    use crate::sync::site::{CallSite, Who};
    use crate::sync::time::Instant;
}
