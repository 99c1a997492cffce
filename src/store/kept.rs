//! Kept snapshots: pins that outlive attempts, with what they alone hold back (§1.5).
//!
//! Each has a record with a pin word of its own. The vacuum hangs on the record what only it keeps; dropping the snapshot
//! takes that back, whoever retired it.

use super::Store;
use super::cell::Var;
use super::limbo::{PURGE_AT, Retired};
use super::local;
use super::node::{self, Root};
use super::pins::{self, IDLE};
use super::value;
use crate::sync::Arc;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use crate::sync::plain;
use crate::sync::probe::Probe;
use std::ptr;

/// The registry's entry of one kept snapshot; reused, never freed while the store lives.
#[repr(align(128))]
pub(super) struct KeptRecord {
    pub(super) word: AtomicU64,
    hung: AtomicPtr<Batch>,
    /// How many entries have been hung here since `unhang`, and at how many void ones are looked for (0: to be decided).
    count: plain::AtomicU64,
    purge_at: plain::AtomicU64,
    /// A published version, for the marker while the next snapshot is being taken with this record.
    seen: plain::AtomicU64,
    pub(super) next: *const KeptRecord,
}

/// How new the kept snapshots of a store are, so that a vacuum need not look at each.
#[derive(Default)]
pub(super) struct Keeping {
    /// Snapshots that are being taken.
    taking: AtomicU64,
    /// The newest version that was ever kept.
    newest: AtomicU64,
}

impl Keeping {
    /// No kept snapshot, and none that is being taken, has a version above this one that was replaced before this call.
    #[inline(always)]
    pub(super) fn newest(&self) -> u64 {
        // ORDERING: SeqCst: after the retiring swaps in the total order; partner: `begin`. A snapshot that this does not see will load the
        // root after those swaps.
        if self.taking.load(Ordering::SeqCst) > 0 {
            return u64::MAX;
        }
        // ORDERING: Relaxed: the load above has acquired what `end` released with the count.
        self.newest.load(Ordering::Relaxed)
    }

    /// A snapshot is about to be taken.
    fn begin(&self) {
        // ORDERING: SeqCst: before the load of the root in the total order; partner: `newest`. For loom the fence of the marker follows.
        self.taking.fetch_add(1, Ordering::SeqCst);
    }

    /// It has pinned this version.
    fn end(&self, version: u64) {
        // ORDERING: Relaxed: it only grows.
        if self.newest.load(Ordering::Relaxed) < version {
            // ORDERING: Relaxed: released with the count.
            self.newest.fetch_max(version, Ordering::Relaxed);
        }
        // ORDERING: Release: the version comes before the count; partner: `newest`.
        self.taking.fetch_sub(1, Ordering::Release);
    }
}

/// What one vacuum hung on a record.
struct Batch {
    probe: Probe,
    entries: Vec<Retired>,
    next: *mut Batch,
}

// SAFETY: the word and the stack are atomic; `next` is written before the record is shared.
unsafe impl Send for KeptRecord {}
// SAFETY: as above.
unsafe impl Sync for KeptRecord {}

impl KeptRecord {
    pub(super) fn new() -> Box<KeptRecord> {
        Box::new(KeptRecord {
            word: AtomicU64::new(IDLE),
            hung: AtomicPtr::new(ptr::null_mut()),
            count: plain::AtomicU64::new(0),
            purge_at: plain::AtomicU64::new(PURGE_AT as u64),
            seen: plain::AtomicU64::new(0),
            next: ptr::null(),
        })
    }

    /// Hangs entries on the snapshot of `version`. If it has gone meanwhile, they (and whatever else hung there) go to
    /// `back`.
    ///
    /// # Safety
    /// The entries are the caller's, and were found kept by this record's pin on `version`.
    pub(super) unsafe fn hang(&self, version: u64, entries: Vec<Retired>, back: &mut Vec<Retired>) {
        let added = entries.len() as u64;
        let batch = Box::into_raw(Box::new(Batch { probe: Probe::new(), entries, next: ptr::null_mut() }));
        // ORDERING: Relaxed: a first guess for the exchange.
        let mut top = self.hung.load(Ordering::Relaxed);
        loop {
            // SAFETY: not shared until the exchange succeeds.
            unsafe {
                (*batch).probe.touch();
                (*batch).next = top;
            }
            // ORDERING: AcqRel: Release of the batch's content. Acquire: partner: `KeptSnapshot::drop`, which clears the word before it takes
            // the stack. Of the exchanges of this stack one is the first: if that is the push, the other takes the batch; if not,
            // the push acquires the cleared word.
            match self.hung.compare_exchange(top, batch, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => top = now,
            }
        }
        // ORDERING: Relaxed: acquired by the push.
        if self.word.load(Ordering::Relaxed) != pins::exact(version) {
            self.unhang(back);
            return;
        }
        // ORDERING: Relaxed (all): thresholds; a race makes a purge early or late.
        let count = self.count.fetch_add(added, plain::Ordering::Relaxed) + added;
        match self.purge_at.load(plain::Ordering::Relaxed) {
            // The first since a purge: what has come back counts.
            0 => self.purge_at.store((2 * count).max(PURGE_AT as u64), plain::Ordering::Relaxed),
            limit if count >= limit => {
                // Looked at again, void ones go (`Retired::is_void`) and the others come back.
                self.purge_at.store(0, plain::Ordering::Relaxed);
                self.unhang(back);
            }
            _ => {}
        }
    }

    /// Takes everything that hangs here.
    pub(super) fn unhang(&self, back: &mut Vec<Retired>) {
        // ORDERING: AcqRel: Acquire of the content, partner: the push; Release of the cleared word, partner: a push that comes later.
        let mut batch = self.hung.swap(ptr::null_mut(), Ordering::AcqRel);
        // ORDERING: Relaxed: see `hang`.
        self.count.store(0, plain::Ordering::Relaxed);
        while !batch.is_null() {
            // SAFETY: the swap made the whole stack this thread's.
            let mut taken = unsafe { Box::from_raw(batch) };
            taken.probe.touch();
            back.append(&mut taken.entries);
            batch = taken.next;
        }
    }
}

/// A pinned version of a store to keep.
pub(crate) struct KeptSnapshot {
    store: Arc<Store>,
    record: *const KeptRecord,
    root: *const Root,
}

// SAFETY: the root is immutable and pinned; the record's fields are atomic; values are `Send + Sync`.
unsafe impl Send for KeptSnapshot {}
// SAFETY: as above.
unsafe impl Sync for KeptSnapshot {}

impl KeptSnapshot {
    /// Pins the newest version, or the running attempt's if this thread is inside one of the same store (I5: the pin enters
    /// the registry while the attempt's word still holds it).
    pub(crate) fn take(store: &Arc<Store>) -> KeptSnapshot {
        KeptSnapshot::with(store, local::attempt_root(store))
    }

    /// Pins a version that a word of this thread pins.
    pub(super) fn of(store: &Arc<Store>, root: *const Root) -> KeptSnapshot {
        KeptSnapshot::with(store, Some(root))
    }

    /// Pins the newest version.
    pub(crate) fn take_newest(store: &Arc<Store>) -> KeptSnapshot {
        KeptSnapshot::with(store, None)
    }

    fn with(store: &Arc<Store>, attempt: Option<*const Root>) -> KeptSnapshot {
        let record = store.take_kept_record();
        // SAFETY: records live as long as the store.
        let (word, seen) = unsafe { (&(*record).word, &(*record).seen) };
        store.keeping.begin();
        let root = match attempt {
            Some(root) => {
                // SAFETY: I3: the attempt has pinned it.
                let version = unsafe { (*root).version };
                // ORDERING: Relaxed: released by the attempt when it leaves its word, which comes after; partner: `scan_words`, which
                // acquires that, before `scan_kept`.
                word.store(pins::exact(version), Ordering::Relaxed);
                root
            }
            None => {
                // ORDERING: Relaxed (both): any published version will do; the record is this snapshot's alone.
                let known = seen.load(plain::Ordering::Relaxed).max(local::seen(store));
                let (root, _) = pins::acquire(word, known, store.newest());
                // SAFETY: I3: pinned just now.
                seen.store(unsafe { (*root).version }, plain::Ordering::Relaxed);
                root
            }
        };
        // SAFETY: I3: pinned above.
        store.keeping.end(unsafe { (*root).version });
        KeptSnapshot { store: store.clone(), record, root }
    }

    pub(crate) fn version(&self) -> u64 {
        // SAFETY: I3: pinned for the life of this value.
        unsafe { (*self.root).version }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The value of a variable of this store in this version.
    pub(crate) fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a Var<T>) -> &'a T {
        debug_assert!(var.lives_in(&self.store));
        // SAFETY: I3: the root is pinned as long as this value is borrowed; I6: a stamp after `born` is of this variable.
        unsafe {
            let found = node::find(self.root, var.slot());
            if !found.is_null() && (*found).stamp > var.born() {
                value::view(&raw const (*found).word)
            } else {
                var.initial()
            }
        }
    }

    /// Whether the version has a leaf for a slot.
    #[cfg(test)]
    pub(super) fn has_leaf(&self, slot: u32) -> bool {
        // SAFETY: I3: the root is pinned.
        unsafe { !node::find(self.root, slot).is_null() }
    }

    /// The slots that differ between two versions of one store, with their stamps in both, in ascending order.
    pub(crate) fn diff(&self, other: &KeptSnapshot) -> Vec<(u32, u64, u64)> {
        // SAFETY: I3: both roots are pinned.
        let mut all = unsafe { super::diff::diff(self.root, other.root) };
        // What the newer one does not have any more was cut off with its variable, which nobody can ask for.
        let newer_is_other = self.version() < other.version();
        all.retain(|(_, here, there)| if newer_is_other { *there > 0 } else { *here > 0 });
        all
    }
}

impl Drop for KeptSnapshot {
    fn drop(&mut self) {
        // SAFETY: records live as long as the store, which `self.store` keeps.
        let record = unsafe { &*self.record };
        // ORDERING: Release: as in `pins::release`. The exchange of the stack, which follows, carries it to `KeptRecord::hang`.
        record.word.store(IDLE, Ordering::Release);
        let mut back = Vec::new();
        record.unhang(&mut back);
        // ORDERING: Relaxed: for the next snapshot that uses the record.
        record.purge_at.store(PURGE_AT as u64, plain::Ordering::Relaxed);
        self.store.give_kept_record(self.record);
        if !back.is_empty() {
            local::adopt_retired(&self.store, back);
        }
    }
}
