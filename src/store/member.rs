//! A thread's record in a store: its pin words, limbo, pool, spare slots and counters.
//!
//! Records are linked into a list that only grows; a record is reused after its thread has gone. `own` belongs to the
//! thread that holds `taken` (I9); the limbo does too, except while the first word says that it was adopted.

use super::limbo::Limbo;
use super::node::Root;
use super::pins::{self, ADOPTED, BUSY, IDLE, Pinned};
use super::pool::Pool;
use super::reads::ReadSet;
use super::reclaim::Garbage;
use super::vacuum::Pins;
use super::workspace::Scratch;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::sync::plain;
use crate::sync::probe::Probe;
use std::cell::UnsafeCell;

/// What a thread counts; each on its own line, written by the owner alone, read by anybody.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Commits,
    ReadOnly,
    Conflicts,
    LostSwaps,
    Reruns,
    Parked,
    Wakeups,
    Escalations,
    Announced,
    Batches,
    LockWaits,
    Deadlocks,
}
pub(crate) const COUNTS: usize = 12;

/// The first word of an owner that is idle: the address of its limbo, for an adopter. The tag bits of an address are clear.
fn idle_with(limbo: *mut Limbo) -> u64 {
    limbo.expose_provenance() as u64
}

/// The limbo that an idle word offers.
fn limbo_of(word: u64) -> Option<*mut Limbo> {
    let idle = pins::decode(word) == Pinned::Nothing && !matches!(word, IDLE | BUSY | ADOPTED);
    idle.then(|| std::ptr::with_exposed_provenance_mut(word as usize))
}

/// A record. Padded: its words are written by one thread and scanned by others.
#[repr(align(128))]
pub(super) struct Member {
    /// The snapshot of the running attempt as it began; the base of the running commit; the snapshot as it has moved forward (L3).
    pub(super) words: [AtomicU64; 3],
    /// A thread owns the record.
    taken: AtomicBool,
    /// Of what only the owner touches.
    probe: Probe,
    /// The store's, at hand.
    pub(super) fresh_tag: u32,
    limbo: AtomicPtr<Limbo>,
    /// Not zero if the limbo held anything when the owner last left it. Written by the owner alone: an adopter's write could come after the
    /// owner's next one.
    backlog: AtomicUsize,
    counts: [plain::AtomicU64; COUNTS],
    pub(super) next: *const Member,
    own: UnsafeCell<Own>,
    scratch: UnsafeCell<Scratch>,
    /// The running attempt's read set. Changed through shared references, by the owner alone (I9).
    pub(super) reads: ReadSet,
}

/// What only the owner touches.
#[derive(Default)]
pub(super) struct Own {
    /// A published version that this record has seen.
    pub(super) seen: u64,
    /// An attempt or a clean-up is using the record.
    pub(super) busy: bool,
    pub(super) pool: Pool,
    /// Free slots with the version from which their stamps count.
    pub(super) slots: Vec<(u32, u64)>,
    /// Slots of variables that have just gone; they enter the limbo in batches.
    pub(super) freed: Vec<Freed>,
    /// One of them may hold a boxed value: do not wait for the batch.
    pub(super) freed_boxed: bool,
    /// Slots that a vacuum has found free, with `born` and whether the tree may hold a value; empty between vacuums.
    pub(super) freeing: Vec<(u32, u64, bool)>,
    pub(super) garbage: Vec<Garbage>,
    pub(super) pins: Pins,
    /// The end of an attempt should look whether a vacuum is due, even if it published nothing.
    pub(super) attention: bool,
    /// Length of the limbo at which a vacuum is worth its scan.
    pub(super) due_at: usize,
}

pub(super) struct Freed {
    pub(super) slot: u32,
    pub(super) born: u64,
    pub(super) boxed: bool,
}

// SAFETY: the atomics are shared by design; `own`, the logs and the limbo are touched by one thread at a time (I9), and what
// they hold may move between threads.
unsafe impl Send for Member {}
// SAFETY: as above.
unsafe impl Sync for Member {}

impl Member {
    /// A record that the calling thread owns.
    pub(super) fn new(seen: u64, fresh_tag: u32) -> Box<Member> {
        let limbo: *mut Limbo = Box::into_raw(Box::default());
        Box::new(Member {
            words: [AtomicU64::new(idle_with(limbo)), AtomicU64::new(IDLE), AtomicU64::new(IDLE)],
            taken: AtomicBool::new(true),
            probe: Probe::new(),
            fresh_tag,
            limbo: AtomicPtr::new(limbo),
            backlog: AtomicUsize::new(0),
            counts: Default::default(),
            next: std::ptr::null(),
            own: UnsafeCell::new(Own { seen, ..Own::default() }),
            scratch: UnsafeCell::default(),
            reads: ReadSet::new(),
        })
    }

    /// Makes a record without owner the caller's.
    pub(super) fn try_take(&self) -> bool {
        // ORDERING: Acquire: what the last owner did to `own` comes first; partner: the Release of `give_back`.
        let took = self.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok();
        if took {
            self.probe.touch();
        }
        took
    }

    /// The owner leaves.
    pub(super) fn give_back(&self) {
        self.probe.touch();
        // ORDERING: Release: partner: the Acquire of `try_take`.
        self.taken.store(false, Ordering::Release);
    }

    pub(super) fn has_owner(&self) -> bool {
        // ORDERING: Relaxed: a hint for adoption, which has its own synchronisation.
        self.taken.load(Ordering::Relaxed)
    }

    /// What only the owner touches.
    ///
    /// # Safety
    /// I9: the caller is the owner, and no other reference from this function is alive.
    #[allow(clippy::mut_from_ref, reason = "exclusive by I9")]
    #[inline(always)]
    pub(super) unsafe fn own(&self) -> &mut Own {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.own.get() }
    }

    /// The write set and the buffers of the owner's attempt.
    ///
    /// # Safety
    /// I9: the caller is the owner, no other reference from here is alive, and no user code runs while this one is.
    #[allow(clippy::mut_from_ref, reason = "exclusive by I9")]
    #[inline(always)]
    pub(super) unsafe fn scratch(&self) -> &mut Scratch {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.scratch.get() }
    }

    /// The owner's limbo.
    ///
    /// # Safety
    /// I9: the caller is the owner, its first word is not idle, and no other reference from here is alive.
    #[allow(clippy::mut_from_ref, reason = "exclusive by I9")]
    #[inline(always)]
    pub(super) unsafe fn limbo(&self) -> &mut Limbo {
        // ORDERING: Relaxed: the owner alone writes the pointer.
        // SAFETY: the caller's promise; an adopter takes the limbo only while the word is idle.
        let limbo = unsafe { &mut *self.limbo.load(Ordering::Relaxed) };
        limbo.probe.touch();
        limbo
    }

    /// Pins the newest root in the first word, which also makes the limbo the owner's.
    ///
    /// # Safety
    /// I9: the caller is the owner.
    #[inline(always)]
    pub(super) unsafe fn pin(&self, newest: &AtomicPtr<Root>) -> *const Root {
        // SAFETY: the caller is the owner.
        let own = unsafe { self.own() };
        let (root, before) = pins::acquire(&self.words[0], own.seen, newest);
        if before == ADOPTED {
            self.renew_limbo();
        }
        // SAFETY: the root was pinned just now.
        own.seen = unsafe { (*root).version };
        root
    }

    /// Pins the newest root in the second word; what it pinned before is let go.
    ///
    /// # Safety
    /// I9: the caller is the owner.
    #[inline]
    pub(super) unsafe fn pin_base(&self, newest: &AtomicPtr<Root>) -> *const Root {
        // SAFETY: the caller is the owner.
        let own = unsafe { self.own() };
        let (root, _) = pins::acquire(&self.words[1], own.seen, newest);
        // SAFETY: the root was pinned just now.
        own.seen = unsafe { (*root).version };
        root
    }

    /// The first word: no pin any more, but the limbo stays the owner's.
    pub(super) fn unpin_busy(&self) {
        // ORDERING: Release: as in `pins::release`.
        self.words[0].store(BUSY, Ordering::Release);
    }

    /// The first word: idle; others may adopt the limbo from now on.
    #[inline(always)]
    pub(super) fn leave(&self) {
        // ORDERING: Relaxed: the owner alone writes the pointer.
        let limbo = self.limbo.load(Ordering::Relaxed);
        // ORDERING: Release: as in `pins::release`, and for the limbo's content; partner: the exchange in `adopt`.
        self.words[0].store(idle_with(limbo), Ordering::Release);
    }

    /// Tells others whether the limbo that its owner is about to leave holds anything.
    #[inline(always)]
    pub(super) fn set_backlog(&self, limbo: &Limbo) {
        // ORDERING: Relaxed: a hint.
        self.backlog.store(limbo.recent.len() + limbo.groups.len(), Ordering::Relaxed);
    }

    /// Somebody took the limbo over: a new one.
    #[cold]
    fn renew_limbo(&self) {
        // ORDERING: Relaxed: published to the next adopter by the Release of the word (`leave`).
        self.limbo.store(Box::into_raw(Box::default()), Ordering::Relaxed);
        self.backlog.store(0, Ordering::Relaxed);
    }

    /// Whether there is a limbo to adopt with something in it, as far as a glance can tell.
    pub(super) fn offers_backlog(&self) -> bool {
        // ORDERING: Relaxed (both): hints for adoption, which has its own synchronisation.
        self.backlog.load(Ordering::Relaxed) > 0 && limbo_of(self.words[0].load(Ordering::Relaxed)).is_some()
    }

    /// Takes over the limbo of an idle owner (or of nobody).
    pub(super) fn adopt(&self) -> Option<Box<Limbo>> {
        // ORDERING: Relaxed: a guess for the exchange.
        let idle = self.words[0].load(Ordering::Relaxed);
        let limbo = limbo_of(idle)?;
        // ORDERING: SeqCst: Acquire for the limbo's content, partner: the Release of `leave`; and the entries' swaps come
        // before the adopter's scan in the total order.
        self.words[0].compare_exchange(idle, ADOPTED, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        // SAFETY: I9: the word passed from idle with this limbo to adopted here, so the limbo passed to this thread. (A pointer that
        // was read apart from the word could be that of the owner's next one.)
        let limbo = unsafe { Box::from_raw(limbo) };
        limbo.probe.touch();
        Some(limbo)
    }

    /// Adds one to a counter of the owner's.
    #[inline(always)]
    pub(super) fn count(&self, what: Count) {
        let counter = &self.counts[what as usize];
        // ORDERING: Relaxed: statistics, one writer.
        counter.store(counter.load(plain::Ordering::Relaxed) + 1, plain::Ordering::Relaxed);
    }

    /// Attempts that have ended, roughly: lets others see that the owner is idle.
    pub(super) fn activity(&self) -> u64 {
        self.counted().iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    pub(super) fn counted(&self) -> [u64; COUNTS] {
        // ORDERING: Relaxed: statistics.
        std::array::from_fn(|i| self.counts[i].load(plain::Ordering::Relaxed))
    }

    /// Takes everything out at the end of the store.
    pub(super) fn dismantle(&mut self) -> Option<Box<Limbo>> {
        // ORDERING: Relaxed (both): `&mut`: nobody else is there.
        if self.words[0].load(Ordering::Relaxed) == ADOPTED {
            return None;
        }
        let limbo = self.limbo.load(Ordering::Relaxed);
        // SAFETY: I9: not adopted, so the limbo is the record's own, and it is taken once.
        Some(unsafe { Box::from_raw(limbo) })
    }
}
