//! An attempt's view of the store: a pinned snapshot and a write set over it.
//!
//! All methods are safe: references that they hand out are tied to the workspace and to the handle, the snapshot stays
//! pinned until the attempt ends (I3), and no user code runs while the write set is borrowed (I9).

use super::Store;
use super::cell::Var;
use super::local::{self, Seat};
use super::map::{MapLog, MapWaits, Tree};
use super::member::Count;
use super::newest::Newest;
use super::node::{self, Root, Slot};
use super::reads::ReadSet;
use super::reclaim::{self, Garbage};
use super::value::{self, Word, is_inline};
use super::writes::{Before, IN_USE, LENT, Mark, WriteSet, flags_of};
use super::{pins, vacuum};
use crate::sync::Arc;
use std::cell::Cell;
use std::ptr;

/// Buffers that a record keeps from attempt to attempt.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) writes: WriteSet,
    pub(super) build: super::build::Buffers,
    pub(super) maps: MapLog,
    pub(super) trash: Vec<Garbage>,
}

/// What the write set has of a variable.
pub(crate) enum Own<'a, T> {
    Nothing,
    Value(&'a T),
    /// Merge functions: the value is not known before the commit.
    Merges,
}

/// A snapshot and the buffered writes over it.
pub(crate) struct Workspace<'s> {
    pub(super) seat: Seat<'s>,
    /// Pinned by the record's first word while not null; or, if the snapshot has moved forward (L3), kept by the attempt.
    pub(super) root: Cell<*const Root>,
    /// The root's version, which outlives the pin.
    pub(super) version: Cell<u64>,
    /// What the next root is built on, pinned by one of the words; null before a commit, unless the snapshot
    /// has moved forward: then it is not taken for the base (L3).
    pub(super) base: Cell<*const Root>,
    /// The word that pins the base.
    pub(super) base_word: usize,
    pub(super) published: bool,
    /// The published root while it is pinned; else null.
    pub(super) new_root: *const Root,
}

impl<'s> Workspace<'s> {
    /// The workspace of a call's first attempt, on the newest snapshot.
    #[inline(always)]
    pub(crate) fn begin(store: &'s Arc<Store>) -> Self {
        let seat = Seat::take(store);
        // The pin first: the exchange in it waits for the stores before it, and those that follow need not wait.
        let (root, version) = Workspace::pin(&seat);
        let (root, version) = (Cell::new(root), Cell::new(version));
        Workspace {
            seat,
            root,
            version,
            base: Cell::new(ptr::null()),
            base_word: 0,
            published: false,
            new_root: ptr::null(),
        }
    }

    /// The write set and the buffers.
    ///
    /// # Safety
    /// I9: no other reference from here is alive, and no user code runs while this one is.
    #[allow(clippy::mut_from_ref, reason = "exclusive by I9")]
    #[inline(always)]
    pub(super) unsafe fn scratch(&self) -> &mut Scratch {
        // SAFETY: the caller's promise; the seat's owner is this thread.
        unsafe { self.seat.member.scratch() }
    }

    /// # Safety
    /// As for [`Workspace::scratch`].
    #[allow(clippy::mut_from_ref, reason = "exclusive by I9")]
    #[inline(always)]
    pub(super) unsafe fn writes(&self) -> &mut WriteSet {
        // SAFETY: the caller's promise.
        unsafe { &mut self.scratch().writes }
    }

    pub(crate) fn store(&self) -> &'s Arc<Store> {
        self.seat.store
    }

    /// Begins another attempt on the newest snapshot; the one before must have ended.
    pub(crate) fn begin_again(&mut self) {
        self.new_root = ptr::null();
        let (root, version) = Workspace::pin(&self.seat);
        self.root.set(root);
        self.version.set(version);
    }

    #[inline(always)]
    fn pin(seat: &Seat<'_>) -> (*const Root, u64) {
        // SAFETY: I9: the seat's owner is this thread.
        let root = unsafe { seat.member.pin(seat.store.newest()) };
        seat.member.reads.clear();
        local::offer_root(seat.store, root);
        // SAFETY: I3: pinned just now.
        (root, unsafe { (*root).version })
    }

    /// Notes that the attempt has read a variable.
    #[inline(always)]
    pub(crate) fn log_read(&self, slot: u32) {
        self.seat.member.reads.push(slot);
    }

    /// What the attempt has read.
    #[inline(always)]
    pub(crate) fn reads(&self) -> &ReadSet {
        &self.seat.member.reads
    }

    #[inline(always)]
    pub(crate) fn count(&self, what: Count) {
        self.seat.member.count(what);
    }

    /// The slot of a variable in the snapshot; `None` if it is unwritten there.
    #[inline(always)]
    pub(super) fn lookup<T: 'static>(&self, var: &Var<T>) -> Option<*const Slot> {
        debug_assert!(!self.root.get().is_null());
        // SAFETY: I3: the snapshot is pinned; I6: only stamps after `born` are of this variable.
        unsafe {
            let found = node::find(self.root.get(), var.slot());
            (!found.is_null() && (*found).stamp > var.born()).then_some(found)
        }
    }

    /// The committed value in the snapshot.
    #[inline(always)]
    pub(crate) fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a Var<T>) -> &'a T {
        match self.lookup(var) {
            // SAFETY: I3: the word and its box stay as they are while the snapshot is pinned, that is, longer than `self` can
            // be borrowed.
            Some(slot) => unsafe { value::view(&raw const (*slot).word) },
            None => var.initial(),
        }
    }

    /// Whether a variable is of this workspace's store.
    #[inline(always)]
    pub(crate) fn is_home_of<T>(&self, var: &Var<T>) -> bool {
        var.lives_in_tagged(self.seat.member.fresh_tag, self.seat.store)
    }

    /// Whether the write set has something of this variable.
    #[inline(always)]
    pub(crate) fn has_own(&self, slot: u32) -> bool {
        // SAFETY: I9: a short look.
        unsafe { self.writes() }.find(slot).is_some()
    }

    /// Whether what it has are merge functions.
    pub(crate) fn has_merges(&self, slot: u32) -> bool {
        // SAFETY: I9: a short look.
        let writes = unsafe { self.writes() };
        writes.find(slot).is_some_and(|at| writes.entries[at].state.is_merge())
    }

    /// The attempt's own value of a variable, if it has written one.
    #[inline]
    pub(crate) fn own<'a, T: Send + Sync + 'static>(&'a self, var: &'a Var<T>) -> Own<'a, T> {
        // SAFETY: I9: no user code runs here; references into the set end before the return.
        let writes = unsafe { self.writes() };
        let Some(at) = writes.find(var.slot()) else { return Own::Nothing };
        if writes.entries[at].state.is_merge() {
            return Own::Merges;
        }
        if is_inline::<T>() {
            let place = writes.lend_inline(at);
            // SAFETY: the arena keeps the place, unchanged, until the attempt ends.
            Own::Value(unsafe { value::view(place) })
        } else {
            let state = &mut writes.entries[at].state;
            state.flags |= LENT;
            // SAFETY: the box is not dropped before the attempt ends, since it is lent; `view` only copies the pointer out.
            Own::Value(unsafe { value::view(&raw const state.word) })
        }
    }

    /// What the log keeps of a variable that the attempt is about to write: its slot in the snapshot, or a handle if it is unwritten
    /// there, since the commit may retire its initial value.
    #[inline(always)]
    pub(super) fn before<T: Send + Sync + 'static>(&self, var: &Var<T>) -> Before {
        match self.lookup(var) {
            Some(slot) => {
                // SAFETY: I3: the snapshot is pinned.
                unsafe { node::prefetch(self.root.get(), var.slot(), slot) };
                Before { slot, cell: None }
            }
            None => {
                let cell = var.erase();
                cell.set_written();
                Before { slot: ptr::null(), cell: Some(cell) }
            }
        }
    }

    /// Buffers a value.
    #[inline]
    pub(crate) fn write<T: Send + Sync + 'static>(&self, var: &Var<T>, value: T) {
        let word = Word::encode(value);
        // SAFETY: I9: no user code runs while the reference is alive.
        let writes = unsafe { self.writes() };
        let superseded = match writes.find(var.slot()) {
            Some(at) => writes.replace(at, word),
            None => {
                writes.insert(var.slot(), var.born(), self.before(var), word, flags_of::<T>());
                None
            }
        };
        if let Some(boxed) = superseded {
            reclaim::dispose_one(Garbage::Value(boxed));
        }
    }

    /// Buffers `f` of the snapshot's value. Not for a variable in the write set.
    #[inline(always)]
    pub(crate) fn modify_first<T: Send + Sync + 'static>(&self, var: &Var<T>, f: impl FnOnce(&T) -> T) {
        let Some(slot) = self.lookup(var) else { return self.modify_initial(var, f) };
        // SAFETY: I3: the snapshot is pinned.
        unsafe { node::prefetch(self.root.get(), var.slot(), slot) };
        // SAFETY: as in `read`.
        let new = f(unsafe { value::view(&raw const (*slot).word) });
        // SAFETY: I9: no user code runs while the reference is alive.
        let writes = unsafe { self.writes() };
        if writes.find(var.slot()).is_some() {
            // `f` has written the variable itself.
            return self.write(var, new);
        }
        let before = Before { slot, cell: None };
        writes.insert(var.slot(), var.born(), before, Word::encode(new), flags_of::<T>());
    }

    /// The same for a variable that is unwritten in the snapshot.
    #[inline(never)]
    fn modify_initial<T: Send + Sync + 'static>(&self, var: &Var<T>, f: impl FnOnce(&T) -> T) {
        self.write(var, f(var.initial()));
    }

    /// Buffers `f` of the attempt's own value. Not for a variable with merges.
    pub(crate) fn modify_own<T: Send + Sync + 'static>(&self, var: &Var<T>, f: impl FnOnce(&T) -> T) {
        // SAFETY: I9: a short look.
        let Some(at) = unsafe { self.writes() }.find(var.slot()) else { return self.modify_first(var, f) };
        // SAFETY: I9: no user code runs while this reference is alive.
        let state = unsafe { &mut self.writes().entries[at].state };
        debug_assert!(!state.is_merge());
        let word = state.word;
        if is_inline::<T>() {
            // SAFETY: the word was encoded from a `T`, an inline one: `old` is a copy.
            let old: T = unsafe { value::copy_out(word) };
            let new = f(&old);
            return self.write(var, new);
        }
        let nested = state.flags & IN_USE != 0;
        state.flags |= IN_USE;
        // SAFETY: the box is kept while it is `IN_USE`, whatever `f` does with the variable; `word` is a local copy of the pointer.
        let new = f(unsafe { value::view(&raw const word) });
        // SAFETY: I9: `f` has returned.
        let writes = unsafe { self.writes() };
        // `f` may have written, or undone, the variable itself; then the old box is in the graveyard already, and the new one in no
        // use: what began to use that has ended within `f`.
        if !nested && let Some(at) = writes.find(var.slot()) {
            writes.entries[at].state.flags &= !IN_USE;
        }
        self.write(var, new);
    }

    /// Notes that a map will get a next version.
    pub(super) fn note_map_write(&self, var: &Var<Tree>) {
        // SAFETY: I9: no user code runs.
        let writes = unsafe { self.writes() };
        if writes.find(var.slot()).is_none() {
            writes.insert_map(var.slot(), var.born(), self.before(var));
        }
    }

    /// How many parts that can be undone are under way.
    pub(super) fn depth(&self) -> u32 {
        // SAFETY: I9: a short look.
        unsafe { self.writes() }.depth
    }

    /// Begins a part that [`Workspace::undo`] can take back.
    pub(crate) fn mark(&self) -> Mark {
        // SAFETY: I9: no user code runs.
        unsafe { self.writes() }.enter()
    }

    /// Ends the part; its writes stay.
    pub(crate) fn keep(&self, mark: Mark) {
        self.with_trash(|Scratch { writes, maps, .. }, trash| {
            maps.keep(writes.depth, trash);
            writes.keep(mark, trash);
        });
    }

    /// Ends the part; exactly its writes are undone.
    pub(crate) fn undo(&self, mark: Mark) {
        self.with_trash(|Scratch { writes, maps, .. }, trash| {
            maps.undo(writes.depth, trash);
            writes.undo(mark, trash);
        });
    }

    fn with_trash(&self, f: impl FnOnce(&mut Scratch, &mut Vec<Garbage>)) {
        let mut trash = Vec::new();
        // SAFETY: I9: `f` is the logs' own code; the garbage is dropped after the borrow.
        f(unsafe { self.scratch() }, &mut trash);
        reclaim::dispose(&mut trash);
    }

    /// The version of the snapshot, also after the attempt's end.
    #[cfg(feature = "async")]
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// Whether nothing was written or merged.
    #[inline(always)]
    pub(crate) fn is_read_only(&self) -> bool {
        // SAFETY: I9: a short look.
        unsafe { self.writes() }.entries.is_empty()
    }

    /// Looks at the newest version: `look` gets a test that says whether a slot was written since the snapshot.
    pub(crate) fn any_stale(&self, look: impl FnOnce(&mut dyn FnMut(u32) -> bool) -> bool) -> bool {
        let running = !self.root.get().is_null();
        // SAFETY: I9: nothing else uses the second word before the commit.
        let newest = unsafe { Newest::pin(&self.seat) };
        // SAFETY: I3: pinned just now.
        look(&mut |slot| unsafe {
            if running {
                node::stamp(newest.root, slot) > self.version.get()
            } else {
                node::is_newer(newest.root, slot, self.version.get())
            }
        })
    }

    /// Whether something in maps is different in the newest version from what the (ended) attempt has read. Runs user code.
    pub(crate) fn waits_are_stale(&self, waits: &MapWaits) -> bool {
        // SAFETY: I9: nothing else uses the second word before the commit.
        !waits.is_empty() && waits.are_stale(&unsafe { Newest::pin(&self.seat) }, self.version.get())
    }

    /// Ends the attempt: lets the snapshot go, frees what can be freed, forgets the writes. Destructors wait for
    /// [`Workspace::dispose`].
    #[inline(always)]
    pub(crate) fn end(&mut self) {
        let member = self.seat.member;
        local::withdraw_root();
        self.root.set(ptr::null());
        let published = std::mem::take(&mut self.published);
        if !self.base.get().is_null() {
            pins::release(&member.words[1]);
            self.base.set(ptr::null());
        }
        // SAFETY: I9: the first word is not idle; no user code runs before `dispose`, and no reference outlives its statement.
        unsafe {
            let own = member.own();
            if own.attention || (published && own.due(member.limbo())) {
                self.tidy();
            }
            member.leave();
            let scratch = self.scratch();
            scratch.writes.clear(published, &mut scratch.trash);
            scratch.maps.clear(&mut scratch.trash);
        }
    }

    /// Runs the destructors of what ended attempts have left.
    #[inline(always)]
    pub(crate) fn dispose(&mut self) {
        // SAFETY: I9: a short look.
        if !unsafe { self.scratch() }.trash.is_empty() {
            self.dispose_trash();
        }
    }

    /// Ends what lost its last handle after the attempt's end: in a rollback hook, or with one.
    pub(crate) fn dispose_late(&mut self) {
        // SAFETY: I9: a short look.
        if vacuum::due_for_values(unsafe { self.seat.member.own() }) {
            self.dispose_trash();
        }
    }

    /// Gives the record back; to be called once, after the last attempt has ended.
    #[inline(always)]
    pub(crate) fn leave(&mut self) {
        debug_assert!(self.root.get().is_null());
        self.seat.member.reads.give_back();
        self.seat.leave();
    }

    /// # Safety
    /// I9: no reference to the record's parts or to the scratch is alive; the second word is unused.
    #[inline(never)]
    unsafe fn tidy(&self) {
        let (store, member) = (self.seat.store, self.seat.member);
        // SAFETY: I9: the caller's promise.
        unsafe {
            if !vacuum::due(member.own(), member.limbo()) {
                vacuum::leave_rest(member.own(), member.limbo(), member);
                return;
            }
            if !member.own().freed.is_empty() {
                let newest = (*member.pin(store.newest())).version;
                vacuum::retire_freed(member.own(), member.limbo(), newest);
            }
            member.unpin_busy();
            vacuum::vacuum(store, member);
            let (trash, garbage) = (&mut self.scratch().trash, &mut member.own().garbage);
            if trash.is_empty() {
                std::mem::swap(trash, garbage);
            } else {
                trash.append(garbage);
            }
        }
    }

    #[cold]
    fn dispose_trash(&mut self) {
        let (store, member) = (self.seat.store, self.seat.member);
        loop {
            // SAFETY: I9: taken out, so that the destructors find nothing borrowed.
            let mut trash = std::mem::take(unsafe { &mut self.scratch().trash });
            reclaim::dispose(&mut trash);
            // SAFETY: I9: the destructors have run, and the attempt has ended; no reference outlives its statement.
            unsafe {
                // What the destructors let go (the next link of a chain) goes in the same go.
                if vacuum::due_for_values(member.own()) {
                    local::clean_up(store, member, false);
                    trash.append(&mut member.own().garbage);
                }
                let more = !trash.is_empty();
                self.scratch().trash = trash;
                if !more {
                    return;
                }
            }
        }
    }
}

/// A slot as the build sees it.
#[inline]
pub(super) fn slot_at(root: *const Root, slot: u32) -> Slot {
    // SAFETY: I3: called with a pinned base.
    unsafe {
        let found = node::find(root, slot);
        if found.is_null() { Slot::EMPTY } else { *found }
    }
}
