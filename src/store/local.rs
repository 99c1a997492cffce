//! What a thread keeps: its records in stores, and the transaction that it is running.
//!
//! The fast path is one thread-local without a destructor, so it works at any time of a thread's life; the list whose
//! destructor hands the records back is registered on a thread's first use of a store.

use super::Store;
use super::limbo::Retired;
use super::member::{Freed, Member};
use super::node::Root;
use super::{reclaim, vacuum};
use crate::sync::site::CallSite;
use crate::sync::{Arc, Weak};
use std::cell::{Cell, RefCell};
use std::ptr;

struct State {
    /// The record used last, valid for the store with this id (0: none).
    store: Cell<u64>,
    member: Cell<*const Member>,
    /// The call that is running a transaction.
    running: Cell<*const CallSite>,
    /// The running attempt's snapshot, in the store with this id (0: none).
    attempt_store: Cell<u64>,
    attempt_root: Cell<*const Root>,
    /// How many attempts of this thread wait for destructors.
    suspended: Cell<u32>,
    /// `DIED` is not empty.
    any_died: Cell<bool>,
}

crate::sync::tls!(
    static STATE: State = State {
        store: Cell::new(0),
        member: Cell::new(ptr::null()),
        running: Cell::new(ptr::null()),
        attempt_store: Cell::new(0),
        attempt_root: Cell::new(ptr::null()),
        suspended: Cell::new(0),
        any_died: Cell::new(false),
    }
);
crate::sync::tls!(static SEATS: Seats = Seats { list: RefCell::new(Vec::new()) });
crate::sync::tls!(
    /// Stores and slots of variables whose last handle went during the running attempt (§3.4).
    static DIED: RefCell<Vec<(u64, u32)>> = RefCell::new(Vec::new())
);

/// The records of a thread, one for each store that it has used and that may still live.
struct Seats {
    list: RefCell<Vec<Assigned>>,
}

struct Assigned {
    id: u64,
    member: *const Member,
    store: Weak<Store>,
}

impl Drop for Seats {
    fn drop(&mut self) {
        // Transactions in later destructors of this thread take a record for each call.
        let _ = STATE.try_with(|state| state.store.set(0));
        for assigned in self.list.take() {
            if let Some(store) = assigned.store.upgrade() {
                // SAFETY: the store lives, and with it the record, which this thread owns and is not using.
                Seat { store: &store, member: unsafe { &*assigned.member }, spare: true }.leave();
            }
        }
    }
}

/// The end of a thread as the destructor of its locals makes it. loom destroys all locals of a thread at once, so that this
/// destructor would find none of them.
#[cfg(tvar_loom)]
pub(crate) fn leave_thread() {
    SEATS.with(|seats| drop(Seats { list: RefCell::new(seats.list.take()) }));
}

/// The right to use a record of a store, until [`Seat::leave`].
#[must_use = "a seat that is not left keeps its record"]
pub(super) struct Seat<'s> {
    pub(super) store: &'s Arc<Store>,
    pub(super) member: &'s Member,
    /// Not the thread's assigned record: goes back to the store.
    spare: bool,
}

impl<'s> Seat<'s> {
    /// The thread's own record, or another if that one is in use (a destructor inside an attempt) or the thread is ending.
    #[inline(always)]
    pub(super) fn take(store: &'s Arc<Store>) -> Seat<'s> {
        let (member, spare) = Seat::find(store);
        Seat { store, member, spare }
    }

    /// Its record, and whether that is a spare one. (In registers: a seat that went through memory here would have to be copied.)
    #[inline(always)]
    fn find(store: &'s Arc<Store>) -> (&'s Member, bool) {
        let cached = STATE.with(|state| if state.store.get() == store.id { state.member.get() } else { ptr::null() });
        if !cached.is_null() {
            // SAFETY: I9: the cache holds a record that this thread owns, of a store that lives.
            let member: &'s Member = unsafe { &*cached };
            // SAFETY: I9: this thread is the owner; the reference ends here.
            let own = unsafe { member.own() };
            if !own.busy {
                own.busy = true;
                return (member, false);
            }
        }
        Seat::find_slow(store)
    }

    #[cold]
    #[inline(never)]
    fn find_slow(store: &'s Arc<Store>) -> (&'s Member, bool) {
        if let Some(member) = assigned(store) {
            // SAFETY: I9: as above.
            let own = unsafe { member.own() };
            if !own.busy {
                own.busy = true;
                return (member, false);
            }
        }
        let member = store.take_member();
        // SAFETY: I9: taken just now.
        unsafe { member.own() }.busy = true;
        (member, true)
    }
}

impl Seat<'_> {
    /// Gives it up.
    #[inline(always)]
    pub(super) fn leave(&mut self) {
        if self.spare {
            retire_record(self.store, self.member);
        } else {
            // SAFETY: I9: the seat's owner is this thread.
            unsafe { self.member.own() }.busy = false;
        }
    }
}

/// This thread's record in `store`, in use or not; `None` while the thread's locals are being destroyed.
#[inline]
fn own_record(store: &Arc<Store>) -> Option<&Member> {
    let cached = STATE.with(|state| if state.store.get() == store.id { state.member.get() } else { ptr::null() });
    // SAFETY: the cache holds a record that this thread owns, of a store that lives.
    unsafe { cached.as_ref() }.or_else(|| assigned(store))
}

/// As [`own_record`], the long way; assigned on first use.
#[cold]
fn assigned(store: &Arc<Store>) -> Option<&Member> {
    let member = SEATS
        .try_with(|seats| {
            let mut list = seats.list.borrow_mut();
            if let Some(found) = list.iter().find(|assigned| assigned.id == store.id) {
                return found.member;
            }
            list.retain(|assigned| assigned.store.strong_count() > 0);
            let member: *const Member = store.take_member();
            list.push(Assigned { id: store.id, member, store: Arc::downgrade(store) });
            member
        })
        .ok()?;
    STATE.with(|state| {
        state.store.set(store.id);
        state.member.set(member);
    });
    // SAFETY: records live as long as the store.
    Some(unsafe { &*member })
}

/// A record's owner goes: it frees what it can, and leaves the rest to be adopted.
#[cold]
fn retire_record(store: &Arc<Store>, member: &Member) {
    // SAFETY: I9: the caller owns the record; no reference to its parts is alive.
    let mut garbage = unsafe {
        clean_up(store, member, true);
        let own = member.own();
        store.share_slots(&mut own.slots, 0);
        own.pool = super::pool::Pool::default();
        own.busy = false;
        std::mem::take(&mut own.garbage)
    };
    member.give_back();
    reclaim::dispose(&mut garbage);
}

/// Retires freed slots and runs the vacuum, outside any attempt of this record; leaves the record idle.
///
/// Garbage stays in `own.garbage`.
///
/// # Safety
/// I9: the caller owns the record and is not in an attempt with it; no reference to its parts is alive.
pub(super) unsafe fn clean_up(store: &Store, member: &Member, always: bool) {
    // SAFETY: I9: the caller's promise.
    unsafe {
        let newest = (*member.pin(store.newest())).version;
        vacuum::retire_freed(member.own(), member.limbo(), newest);
        member.unpin_busy();
        if always {
            vacuum::adopt_ownerless(store, member);
        }
        if always || vacuum::due(member.own(), member.limbo()) {
            vacuum::vacuum(store, member);
        } else {
            vacuum::leave_rest(member.own(), member.limbo(), member);
        }
    }
    member.leave();
}

/// A slot for a new variable of `store`, and the version up to which its stamps are of earlier owners.
pub(super) fn take_slot(store: &Arc<Store>) -> (u32, u64) {
    if let Some(member) = own_record(store) {
        // SAFETY: I9: this thread owns the record; nothing else has a reference into `own` while this runs.
        let own = unsafe { member.own() };
        if own.slots.is_empty() {
            store.fill_slots(&mut own.slots);
        }
        if let Some((slot, born)) = own.slots.pop() {
            alive_again(store, slot);
            return (slot, born);
        }
    }
    let mut slots = Vec::new();
    store.fill_slots(&mut slots);
    let slot = slots.pop().expect("fill_slots gives at least one");
    store.share_slots(&mut slots, 0);
    slot
}

/// The last handle of a variable has gone (`home`: `None` for the global store): its slot is free once no attempt can have it
/// in its logs any more (I7). A running attempt of this thread keeps it until that attempt ends.
pub(super) fn retire_slot(home: Option<&Arc<Store>>, slot: u32, born: u64, boxed: bool) {
    let store = home.unwrap_or_else(|| Store::global());
    let freed = Freed { slot, born, boxed };
    if suspended_or_running() {
        let _ = DIED.try_with(|died| died.borrow_mut().push((store.id, slot)));
        STATE.with(|state| state.any_died.set(true));
    }
    if let Some(member) = own_record(store) {
        // SAFETY: I9: this thread owns the record; the reference ends before anything else runs.
        let (busy, enough) = unsafe {
            let own = member.own();
            own.freed.push(freed);
            own.freed_boxed |= boxed;
            own.attention |= own.freed_boxed || own.freed.len() >= vacuum::SLOT_BATCH;
            (own.busy, own.attention)
        };
        if enough && !busy {
            tidy(store);
        }
        return;
    }
    let mut seat = Seat::take(store);
    // SAFETY: I9: the seat's owner is this thread. The end of the seat cleans up.
    unsafe { seat.member.own() }.freed.push(freed);
    seat.leave();
}

/// Entries that hung on a snapshot that has gone: into this thread's limbo, and freed now if it is not in an attempt.
pub(super) fn adopt_retired(store: &Arc<Store>, entries: Vec<Retired>) {
    let mut seat = Seat::take(store);
    // SAFETY: I9: the seat's owner is this thread and not in an attempt with this record; pinned or busy, the limbo is its.
    let mut garbage = unsafe {
        seat.member.pin(store.newest());
        let limbo = seat.member.limbo();
        entries.into_iter().for_each(|entry| limbo.push(entry));
        seat.member.unpin_busy();
        vacuum::vacuum(store, seat.member);
        seat.member.leave();
        std::mem::take(&mut seat.member.own().garbage)
    };
    seat.leave();
    reclaim::dispose(&mut garbage);
}

/// Runs what is due of this thread's clean-up in `store`, outside attempts.
fn tidy(store: &Arc<Store>) {
    let mut seat = Seat::take(store);
    // SAFETY: I9: the seat's owner is this thread and not in an attempt with this record.
    let mut garbage = unsafe {
        clean_up(store, seat.member, false);
        std::mem::take(&mut seat.member.own().garbage)
    };
    seat.leave();
    reclaim::dispose(&mut garbage);
}

/// A published version of `store` that this thread has seen; 0 if it has seen none.
pub(super) fn seen(store: &Arc<Store>) -> u64 {
    // SAFETY: I9: the thread's own record; the reference ends here.
    own_record(store).map_or(0, |member| unsafe { member.own() }.seen)
}

/// Marks this thread as running a transaction; one at a time (§2.9). Until [`leave_call`].
///
/// # Panics
/// Inside a running transaction of this thread, naming both call sites.
#[inline(always)]
pub(crate) fn enter_call(site: &CallSite) {
    STATE.with(|state| {
        if !state.running.get().is_null() {
            // SAFETY: set by a call that has not ended: it is further up this thread's stack, and `site` with it.
            nested_call(site, unsafe { &*state.running.get() });
        }
        state.running.set(site);
    });
}

/// The transaction is over.
#[inline(always)]
pub(crate) fn leave_call() {
    STATE.with(|state| state.running.set(ptr::null()));
    clear_died();
}

#[cold]
#[inline(never)]
fn nested_call(inner: &CallSite, outer: &CallSite) -> ! {
    panic!(
        "tvar: {inner} called inside the transaction {outer}; use the `Tx` that is running, or `tx.nested` for a part \
         that can fail on its own"
    );
}

/// Offers the running attempt's pinned snapshot to `KeptSnapshot::take`.
#[inline(always)]
pub(super) fn offer_root(store: &Store, root: *const Root) {
    STATE.with(|state| {
        state.attempt_store.set(store.id);
        state.attempt_root.set(root);
    });
}

/// Withdraws it.
#[inline(always)]
pub(super) fn withdraw_root() {
    STATE.with(|state| state.attempt_store.set(0));
}

/// The root that a running attempt of this thread in `store` has pinned.
pub(super) fn attempt_root(store: &Store) -> Option<*const Root> {
    STATE.with(|state| (state.attempt_store.get() == store.id).then(|| state.attempt_root.get()))
}

/// Runs destructors as if no transaction were running: they may start their own.
pub(crate) fn outside_attempt(f: impl FnOnce()) {
    let _suspended = Suspended::begin();
    f();
}

/// The attempt of this thread, put aside; goes on when dropped.
struct Suspended {
    running: *const CallSite,
    store: u64,
    root: *const Root,
}

impl Suspended {
    fn begin() -> Suspended {
        STATE.with(|state| {
            let running = state.running.replace(ptr::null());
            state.suspended.set(state.suspended.get() + u32::from(!running.is_null()));
            Suspended { running, store: state.attempt_store.take(), root: state.attempt_root.get() }
        })
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        STATE.with(|state| {
            state.suspended.set(state.suspended.get() - u32::from(!self.running.is_null()));
            state.running.set(self.running);
            state.attempt_store.set(self.store);
            state.attempt_root.set(self.root);
        });
    }
}

fn suspended_or_running() -> bool {
    STATE.with(|state| state.suspended.get() > 0 || !state.running.get().is_null())
}

/// Whether all of these variables of a store lost their last handle during the running attempt: nobody can ever write them.
pub(crate) fn died_in_attempt(store: &Store, slots: &[u32]) -> bool {
    DIED.try_with(|died| {
        let died = died.borrow();
        !died.is_empty() && slots.iter().all(|slot| died.contains(&(store.id, *slot)))
    })
    .unwrap_or(false)
}

/// A slot that a destructor's transaction freed is in use again.
fn alive_again(store: &Store, slot: u32) {
    if STATE.with(|state| state.any_died.get()) {
        let _ = DIED.try_with(|died| died.borrow_mut().retain(|dead| *dead != (store.id, slot)));
    }
}

/// Forgets them: a new attempt begins, or none runs any more.
#[inline(always)]
pub(crate) fn clear_died() {
    if STATE.with(|state| state.any_died.get()) {
        forget_died();
    }
}

#[cold]
fn forget_died() {
    // A transaction in a destructor leaves what the attempt around it must know.
    if STATE.with(|state| state.suspended.get() == 0 && state.any_died.replace(false)) {
        let _ = DIED.try_with(|died| died.borrow_mut().clear());
    }
}
