//! The variable behind a handle: slot number, initial value, name.
//!
//! Two counts, as in `Arc`: `strong` counts handles (and log entries that need the initial value), `weak` counts
//! limbo entries that will drop an overwritten initial value, plus one for all handles together. The initial value
//! is dropped by whoever comes first, the last handle or the vacuum (I8); the flag `GONE` decides.

use super::Store;
use super::claims::{RetiredInitial, WeakCell};
use super::local;
use super::reclaim::{self, Garbage};
use super::value::{Word, is_inline};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU32, Ordering, fence};
use crate::sync::plain;
use crate::sync::probe::Probe;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// The initial value was dropped.
pub(super) const GONE: u32 = 1;
/// An attempt has logged a write: the tree may hold a value of this variable.
const WRITTEN: u32 = 2;
/// The values are inline primitives.
const INLINE: u32 = 4;
/// It is a map, and known to its store as one.
const MAP: u32 = 8;

/// What does not depend on the type of the value.
///
/// Whoever holds a weak count only must not make a reference to the whole of it: the last handle takes home and name out.
#[repr(C)]
pub(super) struct CellHead {
    probe: Probe,
    pub(super) strong: AtomicU32,
    weak: plain::AtomicU32,
    /// The variable's place in the tree.
    slot: u32,
    pub(super) state: plain::AtomicU32,
    /// Stamps up to this one are of an earlier owner of the slot (I6).
    born: u64,
    kind: &'static Kind,
}

/// What depends on it, and on whether the cell has an [`Extra`].
struct Kind {
    /// The word of an inline initial value.
    initial_word: unsafe fn(*const CellHead) -> Word,
    drop_initial: unsafe fn(*mut CellHead),
    free: unsafe fn(*mut CellHead),
    extra: Option<unsafe fn(*mut CellHead) -> *mut Extra>,
}

/// A plain variable: of the global space, without a name. 40 bytes for a word-sized value, 48 with what an allocator adds.
#[repr(C)]
struct Cell<T> {
    head: CellHead,
    initial: UnsafeCell<ManuallyDrop<T>>,
}

/// Any other variable.
#[repr(C)]
struct ExtraCell<T> {
    cell: Cell<T>,
    extra: Extra,
}

/// What a plain variable does not need.
#[derive(Default)]
struct Extra {
    /// `None` for the global space, which lives for ever.
    home: Option<Arc<Store>>,
    name: Option<Box<str>>,
}

impl<T: 'static> Cell<T> {
    const KIND: &'static Kind =
        &Kind { initial_word: initial_word::<T>, drop_initial: drop_initial::<T>, free: free::<Cell<T>>, extra: None };
    const EXTRA_KIND: &'static Kind = &Kind {
        initial_word: initial_word::<T>,
        drop_initial: drop_initial::<T>,
        free: free::<ExtraCell<T>>,
        extra: Some(extra_of::<T>),
    };
}

unsafe fn extra_of<T>(head: *mut CellHead) -> *mut Extra {
    // SAFETY: the caller's promise: `head` is the front of an `ExtraCell<T>` that is allocated.
    unsafe { &raw mut (*head.cast::<ExtraCell<T>>()).extra }
}

unsafe fn initial_word<T: 'static>(head: *const CellHead) -> Word {
    if is_inline::<T>() {
        // SAFETY: `head` is the front of a `Cell<T>`; an inline `T` is `Copy` and never dropped (I10).
        Word::encode(unsafe { (*head.cast::<Cell<T>>()).initial.get().cast::<T>().read() })
    } else {
        Word::EMPTY
    }
}

/// The initial value of the variable that `head` is the front of.
///
/// # Safety
/// It is a variable of type `T`, unwritten in a version that the caller has pinned (I8).
pub(super) unsafe fn initial_of<'a, T>(head: *const CellHead) -> &'a T {
    // SAFETY: the caller's promise.
    unsafe { &*(*head.cast::<Cell<T>>()).initial.get() }
}

unsafe fn drop_initial<T>(head: *mut CellHead) {
    // SAFETY: the caller won `GONE`, so this happens once; I8: nobody can read the value any more.
    unsafe { ManuallyDrop::drop(&mut *(*head.cast::<Cell<T>>()).initial.get()) }
}

unsafe fn free<C>(head: *mut CellHead) {
    // SAFETY: both counts are gone, the caller owns the allocation, a `C`; the initial value was dropped before.
    drop(unsafe { Box::from_raw(head.cast::<C>()) });
}

/// A handle to a variable of type `T`.
///
/// It carries what every access needs, so that the cell, mostly not in the cache, need not be looked at.
pub(crate) struct Var<T> {
    cell: NonNull<Cell<T>>,
    slot: u32,
    tag: u32,
    _owns: PhantomData<Cell<T>>,
}

/// What a handle says of its store: its number and whether no other variable ever had the slot; 0 if that does not fit.
#[inline]
fn tag_of(store: &Store, born: u64) -> u32 {
    match store.fresh_tag() {
        0 => 0,
        tag => tag - u32::from(born > 0),
    }
}

// SAFETY: a handle is a counted pointer to a cell whose counts are atomic; `T: Send + Sync` lets the value be read
// and dropped on any thread.
unsafe impl<T: Send + Sync> Send for Var<T> {}
// SAFETY: as above; `&Var` gives `&T` and clones of the handle, nothing else.
unsafe impl<T: Send + Sync> Sync for Var<T> {}

impl<T: Send + Sync + 'static> Var<T> {
    /// A new variable of `store`.
    pub(crate) fn new(store: &Arc<Store>, name: Option<Box<str>>, value: T) -> Self {
        let (slot, born) = local::take_slot(store);
        if let Some(name) = &name {
            store.set_name(slot, Some(name));
        }
        let extra = Extra { home: (!store.is_global()).then(|| store.clone()), name };
        let has_extra = extra.home.is_some() || extra.name.is_some();
        let head = CellHead {
            probe: Probe::new(),
            strong: AtomicU32::new(1),
            weak: plain::AtomicU32::new(1),
            slot,
            state: plain::AtomicU32::new(if is_inline::<T>() { INLINE } else { 0 }),
            born,
            kind: if has_extra { Cell::<T>::EXTRA_KIND } else { Cell::<T>::KIND },
        };
        let cell = Cell { head, initial: UnsafeCell::new(ManuallyDrop::new(value)) };
        let cell: NonNull<Cell<T>> = if has_extra {
            NonNull::from(Box::leak(Box::new(ExtraCell { cell, extra }))).cast()
        } else {
            NonNull::from(Box::leak(Box::new(cell)))
        };
        Var { cell, slot, tag: tag_of(store, born), _owns: PhantomData }
    }

    /// The value that the variable has where nobody has written it.
    pub(super) fn initial(&self) -> &T {
        // SAFETY: I8: the caller found the slot unwritten in a version that it has pinned, so the vacuum leaves the
        // initial value alone, and the borrow of this handle keeps the last handle from going.
        unsafe { &*self.cell.as_ref().initial.get() }
    }

    /// The same variable as a type-erased handle of its own.
    pub(super) fn erase(&self) -> CellRef {
        let head = self.cell.cast::<CellHead>();
        // SAFETY: this handle keeps the cell alive.
        unsafe { add_strong(head) };
        CellRef { head }
    }
}

impl<T> Var<T> {
    fn head(&self) -> &CellHead {
        // SAFETY: a handle keeps its cell allocated.
        let head = unsafe { &self.cell.as_ref().head };
        head.probe.look();
        head
    }

    #[inline(always)]
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    /// Stamps up to this one are of an earlier owner of the slot (I6).
    #[inline(always)]
    pub(super) fn born(&self) -> u64 {
        if self.tag & 1 == 1 { 0 } else { self.head().born }
    }

    /// The version of the write that a stamp in the variable's slot stands for; 0 (unwritten) if it is an earlier owner's (I6).
    pub(crate) fn written_at(&self, stamp: u64) -> u64 {
        if stamp > self.born() { stamp } else { 0 }
    }

    fn extra(&self) -> Option<&Extra> {
        let head = self.cell.cast::<CellHead>();
        // SAFETY: the handle keeps the cell, and what its extra holds; the kind belongs to the cell.
        self.head().kind.extra.map(|extra| unsafe { &*extra(head.as_ptr()) })
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.extra()?.name.as_deref()
    }

    /// The store that the variable lives in; `None` for the global one.
    pub(crate) fn home(&self) -> Option<&Arc<Store>> {
        self.extra()?.home.as_ref()
    }

    /// Whether the variable lives in `store`.
    #[inline(always)]
    pub(crate) fn lives_in(&self, store: &Store) -> bool {
        self.lives_in_tagged(store.fresh_tag(), store)
    }

    /// The same, for a caller that has the store's tag at hand.
    #[inline(always)]
    pub(super) fn lives_in_tagged(&self, tag: u32, store: &Store) -> bool {
        (self.tag | 1 == tag && tag != 0) || self.lives_in_slow(store)
    }

    #[cold]
    #[inline(never)]
    fn lives_in_slow(&self, store: &Store) -> bool {
        match self.home() {
            None => store.is_global(),
            Some(home) => std::ptr::eq(Arc::as_ptr(home), store),
        }
    }

    /// Makes the variable known to its store as a map.
    pub(super) fn note_map(&self, store: &Store) {
        // ORDERING: Relaxed: read by the last handle's drop, which the counts order after this.
        self.head().state.fetch_or(MAP, Ordering::Relaxed);
        store.maps.lock().insert(self.slot, WeakCell { head: self.cell.cast() });
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        self.cell == other.cell
    }
}

impl<T> Clone for Var<T> {
    fn clone(&self) -> Self {
        // SAFETY: this handle keeps the cell alive.
        unsafe { add_strong(self.cell.cast()) };
        Var { cell: self.cell, slot: self.slot, tag: self.tag, _owns: PhantomData }
    }
}

impl<T> Drop for Var<T> {
    fn drop(&mut self) {
        // SAFETY: gives up this handle's count.
        unsafe { drop_strong(self.cell.cast()) };
    }
}

/// A type-erased handle, kept by log entries that may overwrite or need the initial value.
pub(super) struct CellRef {
    pub(super) head: NonNull<CellHead>,
}

// SAFETY: as for `Var`; cells are made only for `T: Send + Sync`.
unsafe impl Send for CellRef {}

impl CellRef {
    pub(super) fn as_ptr(&self) -> *const CellHead {
        self.head.as_ptr()
    }

    pub(super) fn slot(&self) -> u32 {
        // SAFETY: the handle keeps the cell.
        unsafe { self.head.as_ref() }.slot
    }

    /// The word of the inline initial value; empty if the type is not inline.
    pub(super) fn initial_word(&self) -> Word {
        // SAFETY: the handle keeps the cell; the kind belongs to its type.
        unsafe { (self.head.as_ref().kind.initial_word)(self.head.as_ptr()) }
    }

    /// Notes that the tree may hold a value from now on.
    pub(super) fn set_written(&self) {
        // ORDERING: Relaxed: read by the last handle's drop, which the counts order after this.
        // SAFETY: the handle keeps the cell.
        unsafe { self.head.as_ref() }.state.fetch_or(WRITTEN, Ordering::Relaxed);
    }

    /// The same handle without a count: to be forgotten, not dropped, and used as long as the cell is kept in another way.
    pub(super) fn borrowed(&self) -> CellRef {
        CellRef { head: self.head }
    }

    /// A claim on dropping the initial value, for the limbo.
    pub(super) fn retire_initial(&self) -> RetiredInitial {
        // SAFETY: the handle keeps the cell.
        // ORDERING: Relaxed: a count is raised by somebody who holds one.
        unsafe { self.head.as_ref() }.weak.fetch_add(1, Ordering::Relaxed);
        RetiredInitial { head: self.head }
    }
}

impl Clone for CellRef {
    fn clone(&self) -> Self {
        // SAFETY: this handle keeps the cell alive.
        unsafe { add_strong(self.head) };
        CellRef { head: self.head }
    }
}

impl Drop for CellRef {
    fn drop(&mut self) {
        // SAFETY: gives up this handle's count.
        unsafe { drop_strong(self.head) };
    }
}

/// # Safety
/// The caller holds a handle to the cell.
unsafe fn add_strong(head: NonNull<CellHead>) {
    // ORDERING: Relaxed: a count is raised by somebody who holds one (as in `Arc`).
    // SAFETY: the caller holds a handle.
    let before = unsafe { head.as_ref() }.strong.fetch_add(1, Ordering::Relaxed);
    if before > u32::MAX / 2 {
        // As in `Arc`: only leaked handles get here, and an overflow would free a variable in use.
        std::process::abort();
    }
}

/// # Safety
/// The caller gives up one handle.
unsafe fn drop_strong(head: NonNull<CellHead>) {
    // ORDERING: Release: uses of the variable through this handle come before its end; partner: the fence below.
    // SAFETY: the caller's handle keeps the cell.
    if unsafe { head.as_ref() }.strong.fetch_sub(1, Ordering::Release) == 1 {
        // ORDERING: Acquire: partner: the Release above, of every other handle.
        fence(Ordering::Acquire);
        // SAFETY: the handles' weak count keeps the cell.
        unsafe { head.as_ref() }.probe.touch();
        let dead = DeadCell { head };
        // ORDERING: Relaxed: never changes.
        // SAFETY: the handles' weak count keeps the cell.
        if unsafe { (*head.as_ptr()).state.load(Ordering::Relaxed) } & INLINE != 0 {
            // No code of the user's to run, nothing to drop; only a limbo entry would want to know.
            if !dead.is_alone() {
                dead.drop_value();
            }
            dead.release();
        } else {
            reclaim::dispose_one(Garbage::Cell(dead));
        }
    }
}

/// # Safety
/// The caller gives up one weak count.
pub(super) unsafe fn drop_weak(head: NonNull<CellHead>) {
    // ORDERING: Release: the end of the initial value comes before the end of the cell; partner: the fence below.
    // SAFETY: the caller's count keeps the cell.
    if unsafe { (*head.as_ptr()).weak.fetch_sub(1, Ordering::Release) } == 1 {
        // ORDERING: Acquire: partner: the Release above.
        fence(Ordering::Acquire);
        // SAFETY: the last count is gone.
        unsafe { ((*head.as_ptr()).kind.free)(head.as_ptr()) };
    }
}

/// # Safety
/// The caller holds a count, and nobody can read the initial value any more (I8).
pub(super) unsafe fn drop_initial_once(head: NonNull<CellHead>) {
    // ORDERING: AcqRel: the one that sets GONE first drops the value; partner: itself, on another thread.
    // SAFETY: the caller's count keeps the cell; dropped once, since one caller sees the flag clear.
    unsafe {
        if (*head.as_ptr()).state.fetch_or(GONE, Ordering::AcqRel) & GONE == 0 {
            ((*head.as_ptr()).kind.drop_initial)(head.as_ptr());
        }
    }
}

/// A variable whose last handle is gone, on its way out.
pub(super) struct DeadCell {
    head: NonNull<CellHead>,
}

// SAFETY: as for `Var`; cells are made only for `T: Send + Sync`.
unsafe impl Send for DeadCell {}

impl DeadCell {
    /// Whether no limbo entry counts the cell. Nobody can come who would.
    fn is_alone(&self) -> bool {
        // ORDERING: Acquire: partner: the Release in `drop_weak` of the entries that there were.
        // SAFETY: the handles' weak count keeps the cell.
        unsafe { (*self.head.as_ptr()).weak.load(Ordering::Acquire) == 1 }
    }

    /// Drops the initial value if it is still there. Runs user code; call once.
    pub(super) fn drop_value(&self) {
        // SAFETY: no handle is left, so nobody can read the value (I8); the handles' weak count keeps the cell.
        unsafe { drop_initial_once(self.head) };
    }

    /// Hands the slot back to the store and the cell to the allocator.
    #[inline]
    pub(super) fn release(self) {
        let head = self.head.as_ptr();
        // SAFETY: no handle is left, so this thread alone touches home and name; a limbo entry that still counts
        // the cell reads `state`, `weak` and `kind` only, and no reference to the whole head is made here.
        let (slot, born, extra, state) = unsafe {
            let extra = (*head).kind.extra.map(|extra| std::mem::take(&mut *extra(head)));
            // ORDERING: Relaxed: see `set_written`.
            ((*head).slot, (*head).born, extra, (*head).state.load(Ordering::Relaxed))
        };
        let Extra { home, name } = extra.unwrap_or_default();
        if state & MAP != 0 {
            home.as_ref().unwrap_or_else(|| Store::global()).maps.lock().remove(&slot);
        }
        let boxed = state & WRITTEN != 0 && state & INLINE == 0;
        if name.is_some() {
            home.as_ref().unwrap_or_else(|| Store::global()).set_name(slot, None);
        }
        local::retire_slot(home.as_ref(), slot, born, boxed);
        // SAFETY: gives up the count of all handles together; alone, this is the last count.
        unsafe {
            if self.is_alone() {
                ((*head).kind.free)(head);
            } else {
                drop_weak(self.head);
            }
        }
        drop(name);
        drop(home);
    }
}
