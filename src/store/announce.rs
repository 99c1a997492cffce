//! Announced commits: write sets that lie open, for whoever builds the next root to take along (C5 to C8, §4.2).
//!
//! The board has a few cells. An announcement is linked into one by its owner, decided by the root that names it, and taken off by whoever
//! finishes that root's verdicts.

use super::claims::RetiredInitial;
use super::limbo::{Limbo, Retired, What};
use super::node::Root;
use super::reclaim::Garbage;
use super::writes::{Entry, WriteSet};
use crate::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::sync::plain;
use crate::sync::probe::Probe;
use crate::sync::thread;
use crossbeam_utils::CachePadded;
use std::any::Any;
use std::ptr::{self, NonNull};

/// Commits that can be announced at a time.
const CELLS: usize = if cfg!(tvar_loom) { 2 } else { 32 };

/// What became of an announced commit.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// In this version.
    Committed(u64),
    /// This slot was written since its snapshot.
    Conflict(u32),
    /// One of its merge functions panicked on the value that was current (§4.3).
    Panicked(Box<dyn Any + Send>),
    Withdrawn,
}

/// A verdict in one word: a tag, and above it a version, a slot, or the address of a payload that belongs to whoever takes the word for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

/// What a merge function has panicked with, at an address that leaves room for the tag.
#[repr(align(8))]
struct Payload(Box<dyn Any + Send>);

const TAG: u64 = 7;
const COMMITTED: u64 = 1;
const CONFLICT: u64 = 3;
const PANICKED: u64 = 4;

impl Word {
    const UNDECIDED: Word = Word(0);
    pub(super) const WITHDRAWN: Word = Word(2);

    /// In this version.
    pub(super) fn committed(version: u64) -> Word {
        Word(version << 3 | COMMITTED)
    }

    pub(super) fn conflict(slot: u32) -> Word {
        Word(u64::from(slot) << 3 | CONFLICT)
    }

    pub(super) fn panicked(payload: Box<dyn Any + Send>) -> Word {
        let payload = Box::into_raw(Box::new(Payload(payload)));
        Word(payload.expose_provenance() as u64 | PANICKED)
    }

    /// The payload of a panic.
    ///
    /// # Safety
    /// The word is the caller's, and nobody takes its payload twice.
    unsafe fn payload(self) -> Option<Box<dyn Any + Send>> {
        // SAFETY: made in `panicked`; taken once.
        (self.0 & TAG == PANICKED)
            .then(|| unsafe { Box::from_raw(ptr::with_exposed_provenance_mut::<Payload>((self.0 & !TAG) as usize)).0 })
    }

    /// What to drop if the verdict was not published.
    ///
    /// # Safety
    /// The word was never published.
    pub(super) unsafe fn into_garbage(self) -> Option<Garbage> {
        // SAFETY: the caller's promise.
        unsafe { self.payload() }.map(Garbage::Result)
    }
}

/// What a commit announces; it does not change while it is announced. Owned by the announcer, who retires it once there is a verdict.
#[derive(Default)]
pub(super) struct Content {
    pub(super) probe: Probe,
    /// Slots that must not have been written since the snapshot.
    pub(super) watched: Vec<u32>,
    /// Their handles are borrowed: they count for nothing, but the variables' cells stay as long as `claims`.
    pub(super) entries: Vec<Entry>,
    /// There are merge functions.
    pub(super) functions: bool,
    claims: Vec<RetiredInitial>,
}

/// Room for reads and writes that an empty one keeps.
const KEEP: usize = 64;

impl Content {
    /// Takes a write set over. The handles in it stay with the attempt, which has to end them as it would else: a limbo must not hold any,
    /// since a handle keeps the space that the limbo belongs to.
    pub(super) fn take(&mut self, writes: &mut WriteSet) {
        std::mem::swap(&mut self.entries, &mut writes.entries);
        self.functions = self.entries.iter().any(|entry| entry.state.is_merge());
        for entry in &mut self.entries {
            if let Some(cell) = entry.before.cell.take() {
                self.claims.push(cell.retire_initial());
                entry.before.cell = Some(cell.borrowed());
                writes.handles.push(cell);
            }
        }
    }

    /// Gives it back, if it was not announced after all.
    pub(super) fn give_back(&mut self, writes: &mut WriteSet) {
        let mut handles = writes.handles.drain(..);
        for entry in &mut self.entries {
            if let Some(borrowed) = entry.before.cell.take() {
                std::mem::forget(borrowed);
                entry.before.cell = handles.next();
            }
        }
        drop(handles);
        std::mem::swap(&mut self.entries, &mut writes.entries);
        self.claims.clear();
        self.functions = false;
    }

    /// Whether its end may run user code.
    pub(super) fn has_values(&self, published: bool) -> bool {
        self.entries.iter().any(|entry| entry.has_values(published))
    }

    /// Empties it. The boxes of `published` writes are the tree's.
    pub(super) fn clear(&mut self, published: bool, garbage: &mut Vec<Garbage>) {
        for mut entry in self.entries.drain(..) {
            std::mem::forget(entry.before.cell.take());
            entry.discard(published, garbage);
        }
        self.claims.clear();
        self.watched.clear();
        self.entries.shrink_to(KEEP);
        self.watched.shrink_to(KEEP);
        self.functions = false;
    }
}

/// An announced commit as the board and the batches know it.
pub(super) struct Announcement {
    pub(super) probe: Probe,
    verdict: AtomicU64,
    /// Its place on the board.
    cell: usize,
    /// The version of the snapshot that it was made on.
    pub(super) version: u64,
    /// A version that its owner has pinned until the verdict, that one or an earlier.
    pub(super) pinned: u64,
    /// Who announces, for whoever decides what may be published (L5).
    party: plain::AtomicU64,
    /// There at least until the verdict.
    pub(super) content: NonNull<Content>,
}

impl Announcement {
    pub(super) fn new(version: u64, pinned: u64, party: u64, content: NonNull<Content>) -> Box<Announcement> {
        let (verdict, party) = (AtomicU64::new(Word::UNDECIDED.0), plain::AtomicU64::new(party));
        let probe = Probe::new();
        let announcement = Box::new(Announcement { probe, verdict, cell: 0, version, pinned, party, content });
        announcement.probe.write(true);
        announcement
    }

    pub(super) fn party(&self) -> u64 {
        // ORDERING: Relaxed: whoever sees an older one leaves the commit to others.
        self.party.load(plain::Ordering::Relaxed)
    }

    pub(super) fn set_party(&self, party: u64) {
        // ORDERING: Relaxed: as above.
        self.party.store(party, plain::Ordering::Relaxed);
    }

    fn word(&self) -> Word {
        self.probe.read();
        // ORDERING: Acquire: the swap that decided comes before whatever its owner does next; partner: `Board::settle`.
        Word(self.verdict.load(Ordering::Acquire))
    }

    pub(super) fn is_decided(&self) -> bool {
        self.word() != Word::UNDECIDED
    }

    /// What became of it; for its owner, once.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let word = self.word();
        match word.0 & TAG {
            COMMITTED => Some(Verdict::Committed(word.0 >> 3)),
            CONFLICT => Some(Verdict::Conflict((word.0 >> 3) as u32)),
            // SAFETY: the root was published: the payload is the owner's, who asks once.
            PANICKED => unsafe { word.payload() }.map(Verdict::Panicked),
            _ if word == Word::WITHDRAWN => Some(Verdict::Withdrawn),
            _ => None,
        }
    }
}

/// A linked announcement, for its owner.
#[derive(Clone, Copy)]
pub(crate) struct Announced(pub(super) NonNull<Announcement>);

/// What a root decided about one member of its batch.
#[derive(Clone, Copy)]
pub(super) struct Ruling {
    pub(super) member: NonNull<Announcement>,
    pub(super) verdict: Word,
}

/// The announced commits that one root decided, in the order in which they take effect.
pub(super) struct Batch {
    pub(super) probe: Probe,
    pub(super) rulings: Vec<Ruling>,
}

/// Where announcements are linked.
#[derive(Default)]
pub(super) struct Board {
    /// At least as many as are linked.
    count: CachePadded<AtomicUsize>,
    cells: CachePadded<[AtomicPtr<Announcement>; CELLS]>,
}

impl Board {
    /// Whether anything may be linked. To be asked after the base was loaded (C5).
    #[inline(always)]
    pub(super) fn any(&self) -> bool {
        // ORDERING: SeqCst: after the load of the base in the total order; partner: `link`. Acquire of the verdicts that were finished
        // before a count of zero; partner: `settle`.
        self.count.load(Ordering::SeqCst) > 0
    }

    /// Links an announcement; gives it back if there is no room.
    ///
    /// # Safety
    /// Its content is of this board's store and of an attempt that goes on until there is a verdict, with pins as C8 says.
    pub(super) unsafe fn link(&self, announcement: Box<Announcement>) -> Result<Announced, Box<Announcement>> {
        let announcement = Box::into_raw(announcement);
        // ORDERING: SeqCst (both): before the announcer's next look at the root in the total order; partner: `any` and `gather`. The count
        // first, so that it is never lower than what is linked.
        self.count.fetch_add(1, Ordering::SeqCst);
        // Fibonacci hashing: the high bits are the well-mixed ones.
        let token = if cfg!(tvar_loom) { 0 } else { thread::token() as u64 };
        let first = (token.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize;
        for cell in (0..CELLS).map(|i| first.wrapping_add(i) % CELLS) {
            // SAFETY: private until the exchange succeeds.
            unsafe {
                (*announcement).probe.touch();
                (*announcement).cell = cell;
            }
            let null = ptr::null_mut();
            // ORDERING: SeqCst: as above, and Release of the content; Relaxed on failure: another cell is tried. For loom the fence of the
            // marker follows, by which the look pins the root.
            if self.cells[cell].compare_exchange(null, announcement, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                // SAFETY: it came out of a box.
                return Ok(Announced(unsafe { NonNull::new_unchecked(announcement) }));
            }
        }
        // ORDERING: Relaxed: nothing was linked.
        self.count.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: never linked.
        Err(unsafe { Box::from_raw(announcement) })
    }

    /// Adds what is linked and undecided. `false` if the base has been replaced.
    ///
    /// # Safety
    /// The base is a root of this board's store; it is pinned, and its verdicts are finished (C7, C8).
    pub(super) unsafe fn gather(
        &self,
        base: *const Root,
        newest: &AtomicPtr<Root>,
        found: &mut Vec<NonNull<Announcement>>,
    ) -> bool {
        // ORDERING: SeqCst: after the load of the base in the total order, and Acquire of the content; partner: `link`.
        found.extend(self.cells.iter().filter_map(|cell| NonNull::new(cell.load(Ordering::SeqCst))));
        // ORDERING: SeqCst: after the loads above in the total order: what was linked then was made on a version up to the base's.
        if !ptr::eq(newest.load(Ordering::SeqCst), base) {
            return false;
        }
        // SAFETY: C8: found on the board while the base, which is pinned, was the newest root.
        found.retain(|member| !unsafe { member.as_ref() }.is_decided());
        true
    }

    /// Makes a ruling of a published root final, and takes its member off (C7). Many may do it.
    ///
    /// # Safety
    /// C8: the ruling's root was published, and a version up to its own is pinned.
    pub(super) unsafe fn settle(&self, ruling: &Ruling) {
        // SAFETY: C8: the caller's promise.
        let announcement = unsafe { ruling.member.as_ref() };
        announcement.probe.read();
        // ORDERING: Release: the swap comes before the owner's return; partner: `word`. Relaxed on failure: the word is final, and whoever
        // loads a root that is built after this sees that.
        let _ = announcement.verdict.compare_exchange(
            Word::UNDECIDED.0,
            ruling.verdict.0,
            Ordering::Release,
            Ordering::Relaxed,
        );
        let cell = &self.cells[announcement.cell];
        let linked = ruling.member.as_ptr();
        // ORDERING: Relaxed: a guess for the exchange. It cannot be a later use of the same memory (C8).
        if ptr::eq(cell.load(Ordering::Relaxed), linked)
            // ORDERING: Relaxed: whoever reuses the cell need not know more; on failure another has taken it off.
            && cell.compare_exchange(linked, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            // ORDERING: Release: the verdict comes before a count without it; partner: `any`.
            self.count.fetch_sub(1, Ordering::Release);
        }
    }

    /// Finishes the verdicts of a root (C7).
    ///
    /// # Safety
    /// The root is published and pinned.
    #[cold]
    pub(super) unsafe fn finish(&self, root: &Root) {
        // SAFETY: C8: the batch is retired with its root.
        let Some(batch) = (unsafe { root.batch.as_ref() }) else { return };
        batch.probe.read();
        for ruling in &batch.rulings {
            // SAFETY: the caller's promise.
            unsafe { self.settle(ruling) };
        }
    }
}

/// Retires a replaced root's batch and its members (C8).
///
/// # Safety
/// The caller has replaced `root`, which is pinned, by `version`, and its verdicts are finished.
#[inline(always)]
pub(super) unsafe fn retire(root: &Root, version: u64, limbo: &mut Limbo) {
    if !root.batch.is_null() {
        // SAFETY: the caller's promise.
        unsafe { retire_batch(root, version, limbo) };
    }
}

/// # Safety
/// As for [`retire`]; there is a batch.
#[cold]
unsafe fn retire_batch(root: &Root, version: u64, limbo: &mut Limbo) {
    // SAFETY: the caller's promise.
    for ruling in unsafe { &(*root.batch).rulings } {
        // SAFETY: as above: retired with its root, here.
        let born = unsafe { ruling.member.as_ref() }.pinned;
        limbo.push(Retired::new(born, version, What::Announcement(ruling.member.as_ptr())));
    }
    limbo.push(Retired::new(root.version, version, What::Batch(root.batch)));
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::*;

    fn announcement(version: u64) -> Box<Announcement> {
        Announcement::new(version, version, 0, NonNull::dangling())
    }

    #[test]
    fn a_verdict_is_taken_as_it_was_put() {
        let of = |word: Word| {
            let mut announcement = announcement(1);
            announcement.verdict = AtomicU64::new(word.0);
            assert_eq!(announcement.is_decided(), word != Word::UNDECIDED);
            announcement.verdict()
        };
        assert!(of(Word::UNDECIDED).is_none());
        assert!(matches!(of(Word::committed(7)), Some(Verdict::Committed(7))));
        assert!(matches!(of(Word::WITHDRAWN), Some(Verdict::Withdrawn)));
        assert!(matches!(of(Word::conflict(u32::MAX)), Some(Verdict::Conflict(u32::MAX))));
        let Some(Verdict::Panicked(payload)) = of(Word::panicked(Box::new("ouch"))) else { panic!("another verdict") };
        assert_eq!(payload.downcast_ref(), Some(&"ouch"));
    }

    #[test]
    fn a_full_board_takes_no_more_and_a_settled_cell_is_free_again() {
        let board = Board::default();
        // SAFETY: the content is not looked at; nobody else sees the board; what is linked is freed once.
        unsafe {
            assert!(!board.any());
            let linked: Vec<_> =
                (0..CELLS).map(|_| board.link(announcement(7)).ok().expect("a cell is free")).collect();
            let one_more = board.link(announcement(7)).err().expect("no cell is free");
            let mut found = Vec::new();
            // Roots are compared, not looked at.
            let (base, newer) = (ptr::without_provenance_mut(64), ptr::without_provenance_mut(128));
            assert!(!board.gather(base, &AtomicPtr::new(newer), &mut found), "the base was replaced");
            found.clear();
            assert!(board.gather(base, &AtomicPtr::new(base), &mut found) && found.len() == CELLS);
            for member in found {
                let ruling = Ruling { member, verdict: Word::committed(8) };
                board.settle(&ruling);
                board.settle(&ruling);
            }
            assert!(!board.any());
            let last = board.link(one_more).ok().expect("all cells are free");
            linked.into_iter().chain([last]).for_each(|Announced(member)| drop(Box::from_raw(member.as_ptr())));
        }
    }
}
