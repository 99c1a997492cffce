//! The store: the persistent tree, its root, pins, vacuum and slots. The only layer with `unsafe` code.
//!
//! It knows nothing of waiting, locks or conflicts. Invariants I1 to I10 are ARCHITECTURE.md's, "The store".
#![allow(unsafe_code, reason = "the one layer that has it")]

mod announce;
mod batch;
mod build;
mod cell;
mod claims;
mod diff;
mod draft;
mod forward;
mod functions;
mod index;
mod kept;
mod limbo;
mod local;
#[cfg(feature = "async")]
mod look;
mod map;
mod member;
mod merge;
mod newest;
mod node;
mod pins;
mod pool;
mod reads;
mod reclaim;
mod slots;
mod tear_down;
#[cfg(all(test, not(tvar_loom)))]
mod tests;
mod vacuum;
mod value;
mod workspace;
mod writes;

pub(crate) use announce::{Announced, Verdict};
pub(crate) use build::{Base, Published, Watch};
pub(crate) use cell::Var;
pub(crate) use kept::KeptSnapshot;
#[cfg(tvar_loom)]
pub(crate) use local::leave_thread;
pub(crate) use local::{clear_died, died_in_attempt, enter_call, leave_call, outside_attempt};
#[cfg(feature = "async")]
pub(crate) use look::Look;
pub(crate) use map::{
    Key, Keys, Kind, MapVar, MapWaits, RowRef, Sought, Value, Walk, compare_by_eq, kind_of, number_of,
};
pub(crate) use member::Count;
pub(crate) use merge::Outbox;
pub(crate) use node::Journal;
pub(crate) use reclaim::drop_panic;
pub(crate) use workspace::{Own, Workspace};
pub(crate) use writes::Mark;

use crate::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use crate::sync::plain;
use crate::sync::{Arc, Mutex, OnceLock};
use announce::Board;
use claims::WeakCell;
use crossbeam_utils::CachePadded;
use kept::{Keeping, KeptRecord};
use member::{COUNTS, Member};
use node::{FAN, Root};
use pins::Pinned;
use slots::FreeSlots;
use std::any::Any;
use std::collections::HashMap;
use std::ptr;

/// Slots that a thread takes at a time: a leaf's worth, so that threads do not share leaves.
const SLOT_BLOCK: u64 = FAN as u64;

/// One universe of variables with one published root.
pub(crate) struct Store {
    /// Unique for the life of the process; 1 is the global store.
    id: u64,
    fresh_tag: u32,
    name: Option<Box<str>>,
    newest: CachePadded<AtomicPtr<Root>>,
    members: AtomicPtr<Member>,
    member_count: AtomicUsize,
    kept: AtomicPtr<KeptRecord>,
    keeping: CachePadded<Keeping>,
    board: Board,
    spare_kept: Mutex<Vec<SparePtr>>,
    next_slot: AtomicU64,
    spare_slots: Mutex<FreeSlots>,
    /// Names of the variables that have one, by slot, for messages.
    names: Mutex<HashMap<u32, Box<str>>>,
    /// The maps, by slot.
    maps: Mutex<HashMap<u32, WeakCell>>,
    /// What the layers above keep beside the tree.
    upper: OnceLock<Arc<dyn Any + Send + Sync>>,
}

/// A free record of the registry.
struct SparePtr(*const KeptRecord);
// SAFETY: records are shared by design and live as long as the store.
unsafe impl Send for SparePtr {}

// SAFETY: nodes are immutable once published and freed under I4; everything else is atomic or behind a mutex; values are
// `Send + Sync`.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

const GLOBAL_ID: u64 = 1;

crate::sync::global!(
    fn global_store() -> &'static Arc<Store> {
        Arc::new(Store::with_id(GLOBAL_ID, Some("global".into())))
    }
);

impl Store {
    /// The store of the global space.
    #[inline]
    pub(crate) fn global() -> &'static Arc<Store> {
        global_store()
    }

    pub(crate) fn new(name: Option<Box<str>>) -> Arc<Store> {
        static NEXT_ID: plain::AtomicU64 = plain::AtomicU64::new(GLOBAL_ID + 1);
        // ORDERING: Relaxed: only uniqueness counts.
        Arc::new(Store::with_id(NEXT_ID.fetch_add(1, plain::Ordering::Relaxed), name))
    }

    fn with_id(id: u64, name: Option<Box<str>>) -> Store {
        let root = pool::first_root();
        Store {
            id,
            fresh_tag: u32::try_from(2 * id + 1).unwrap_or(0),
            name,
            newest: CachePadded::new(AtomicPtr::new(root)),
            members: AtomicPtr::new(ptr::null_mut()),
            member_count: AtomicUsize::new(0),
            kept: AtomicPtr::new(ptr::null_mut()),
            keeping: CachePadded::new(Keeping::default()),
            board: Board::default(),
            spare_kept: Mutex::new(Vec::new()),
            next_slot: AtomicU64::new(0),
            spare_slots: Mutex::new(FreeSlots::default()),
            names: Mutex::new(HashMap::new()),
            maps: Mutex::new(HashMap::new()),
            upper: OnceLock::new(),
        }
    }

    #[inline(always)]
    pub(crate) fn is_global(&self) -> bool {
        self.id == GLOBAL_ID
    }

    /// The tag in handles of this store whose slot no other variable ever had (odd); 0 if the store's number is too large for one.
    #[inline(always)]
    fn fresh_tag(&self) -> u32 {
        self.fresh_tag
    }

    /// "global", the given name, or "space #3".
    pub(crate) fn name(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => format!("space #{}", self.id),
        }
    }

    /// What the layers above keep beside this tree, made by `init` on first use.
    pub(crate) fn upper(&self, init: impl FnOnce() -> Arc<dyn Any + Send + Sync>) -> &Arc<dyn Any + Send + Sync> {
        self.upper.get_or_init(init)
    }

    /// What a message calls the variable in a slot.
    pub(crate) fn describe(&self, slot: u32) -> String {
        match self.names.lock().get(&slot) {
            Some(name) => name.to_string(),
            None => format!("variable #{slot}"),
        }
    }

    fn set_name(&self, slot: u32, name: Option<&str>) {
        let mut names = self.names.lock();
        match name {
            Some(name) => drop(names.insert(slot, name.into())),
            None => drop(names.remove(&slot)),
        }
    }

    /// The version of the newest root.
    pub(crate) fn version(self: &Arc<Self>) -> u64 {
        KeptSnapshot::take_newest(self).version()
    }

    /// The oldest version that a thread or a kept snapshot pins.
    pub(crate) fn oldest_pinned(&self) -> Option<u64> {
        let words = self.members().flat_map(|member| &member.words).chain(self.kept_records().map(|kept| &kept.word));
        words
            // ORDERING: Relaxed: a figure to look at.
            .filter_map(|word| match pins::decode(word.load(Ordering::Relaxed)) {
                Pinned::Exactly(version) => Some(version),
                // Whoever is about to pin the newest version says the last one that it saw, which may be ages ago.
                Pinned::From(_) | Pinned::Nothing => None,
            })
            .min()
    }

    /// Sums over all threads, the ones gone included, in the order of [`Count`].
    pub(crate) fn counts(&self) -> [u64; COUNTS] {
        let mut sum = [0; COUNTS];
        for member in self.members() {
            for (total, own) in sum.iter_mut().zip(member.counted()) {
                *total += own;
            }
        }
        sum
    }

    fn newest(&self) -> &AtomicPtr<Root> {
        &self.newest
    }

    fn member_count(&self) -> usize {
        // ORDERING: Relaxed: scales a threshold.
        self.member_count.load(Ordering::Relaxed)
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        // ORDERING: SeqCst: a record is linked before its owner's first marker; partner: `take_member`. A scan that misses
        // the record comes before that marker in the total order, and so before the load of the root.
        let mut next = self.members.load(Ordering::SeqCst).cast_const();
        std::iter::from_fn(move || {
            // SAFETY: records are linked when complete, and freed with the store.
            let member = unsafe { next.as_ref() }?;
            next = member.next;
            Some(member)
        })
    }

    fn kept_records(&self) -> impl Iterator<Item = &KeptRecord> {
        // ORDERING: SeqCst: as in `members`; partner: `take_kept_record`.
        let mut next = self.kept.load(Ordering::SeqCst).cast_const();
        std::iter::from_fn(move || {
            // SAFETY: as in `members`.
            let record = unsafe { next.as_ref() }?;
            next = record.next;
            Some(record)
        })
    }

    /// A record for the calling thread: a left one, or a new one.
    fn take_member(&self) -> &Member {
        if let Some(member) = self.members().find(|member| member.try_take()) {
            return member;
        }
        // ORDERING: Relaxed: a statistic.
        self.member_count.fetch_add(1, Ordering::Relaxed);
        let member = Box::into_raw(Member::new(1, self.fresh_tag));
        link(&self.members, member, |member, next| {
            // SAFETY: not shared yet.
            unsafe { (*member).next = next }
        });
        // SAFETY: freed with the store.
        unsafe { &*member }
    }

    fn take_kept_record(&self) -> *const KeptRecord {
        if let Some(spare) = self.spare_kept.lock().pop() {
            return spare.0;
        }
        let record = Box::into_raw(KeptRecord::new());
        link(&self.kept, record, |record, next| {
            // SAFETY: not shared yet.
            unsafe { (*record).next = next }
        });
        record
    }

    fn give_kept_record(&self, record: *const KeptRecord) {
        self.spare_kept.lock().push(SparePtr(record));
    }

    /// Fills `slots` with free ones: shared ones, or a fresh block.
    ///
    /// # Panics
    /// When 2³² variables exist at once.
    fn fill_slots(&self, slots: &mut Vec<(u32, u64)>) {
        if let Some(mut spare) = self.spare_slots.try_lock() {
            spare.take(slots);
        }
        if slots.is_empty() {
            // ORDERING: Relaxed: only uniqueness counts.
            let first = self.next_slot.fetch_add(SLOT_BLOCK, Ordering::Relaxed);
            assert!(first + SLOT_BLOCK <= 1 << 32, "tvar: a space cannot hold more than 2^32 variables at once");
            // Descending, since slots are taken from the end.
            slots.extend((first..first + SLOT_BLOCK).rev().map(|slot| (slot as u32, 0)));
        }
    }

    /// Gives all but `keep` of a thread's free slots to whoever needs some.
    fn share_slots(&self, slots: &mut Vec<(u32, u64)>, keep: usize) {
        if let Some(mut spare) = self.spare_slots.try_lock() {
            spare.give(slots.drain(keep.min(slots.len())..));
        }
    }
}

/// Pushes a record onto a list that only grows.
fn link<T>(head: &AtomicPtr<T>, record: *mut T, set_next: impl Fn(*mut T, *mut T)) {
    // ORDERING: Relaxed: a first guess for the exchange.
    let mut top = head.load(Ordering::Relaxed);
    loop {
        set_next(record, top);
        // ORDERING: SeqCst: Release for the record's content; the total order as told in `Store::members`.
        match head.compare_exchange(top, record, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => return,
            Err(now) => top = now,
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nobody has a handle, a snapshot or an attempt here any more: whatever is in a limbo is out of reach, and what
        // the tree itself still holds are dead variables' values that a limbo or a `freed` list names.
        let mut garbage = Vec::new();
        let root = self.newest.load(Ordering::Relaxed); // ORDERING: Relaxed (all below): `&mut`.
        let mut retired = Vec::new();
        let mut record = self.kept.load(Ordering::Relaxed);
        while !record.is_null() {
            // SAFETY: made by `Box::into_raw` in `take_kept_record`, and this is the end of the store.
            let taken = unsafe { Box::from_raw(record) };
            taken.unhang(&mut retired);
            record = taken.next.cast_mut();
        }
        let mut member = self.members.load(Ordering::Relaxed);
        while !member.is_null() {
            // SAFETY: made by `Box::into_raw` in `take_member`, and this is the end of the store.
            let mut taken = unsafe { Box::from_raw(member) };
            member = taken.next.cast_mut();
            if let Some(limbo) = taken.dismantle() {
                let mut all = limbo::Limbo::default();
                all.absorb(*limbo);
                retired.append(&mut all.recent);
            }
            // SAFETY: the record is owned here.
            let own = unsafe { taken.own() };
            for freed in own.freed.drain(..) {
                let what = limbo::What::Slot { slot: freed.slot, boxed: freed.boxed };
                retired.push(limbo::Retired::new(freed.born, 0, what));
            }
            garbage.append(&mut own.garbage);
        }
        let mut last = limbo::Limbo::default();
        // SAFETY: the newest root is out of reach; everybody who finished its verdicts has gone.
        unsafe { announce::retire(&*root, u64::MAX, &mut last) };
        retired.append(&mut last.recent);
        // SAFETY: everything is out of reach and owned here.
        unsafe { tear_down::tear_down(root, retired, &mut garbage) };
        reclaim::dispose(&mut garbage);
    }
}
