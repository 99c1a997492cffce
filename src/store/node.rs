//! The nodes of the persistent radix tree (I1).
//!
//! Every leaf lies at the same depth; a slot number's digits in base `FAN` are the path to it. A node is written
//! only between its allocation and the swap that publishes it (I2).

use super::announce::Batch;
use super::value::Word;
use crate::sync::atomic::AtomicBool;
use crate::sync::probe::Probe;

/// Bits of a slot number that one level resolves. Two-way under loom, so that deep trees need few variables.
pub(super) const BITS: u32 = if cfg!(tvar_loom) { 1 } else { 5 };
/// Children of a node, slots of a leaf.
pub(super) const FAN: usize = 1 << BITS;
const MASK: u32 = FAN as u32 - 1;
/// Slots that one commit can name in its root for whoever must finish its wake-ups.
pub(super) const JOURNAL: usize = 6;

/// One variable's place: the version that last wrote it (0: never) and its value.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Slot {
    pub(super) stamp: u64,
    pub(super) word: Word,
}

impl Slot {
    pub(super) const EMPTY: Slot = Slot { stamp: 0, word: Word::EMPTY };
}

/// A node below the root, as a pointer whose level decides what it is: `Leaf` at level 0, else `Inner`.
pub(super) type Child = *mut Inner;

/// Starts on a cache line: what is copied as a whole is copied line by line, and none is touched twice for it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Lines<T>(pub(super) T);

#[repr(C)]
pub(super) struct Leaf {
    pub(super) birth: u64,
    pub(super) probe: Probe,
    pub(super) slots: Lines<[Slot; FAN]>,
}

#[repr(C)]
pub(super) struct Inner {
    pub(super) birth: u64,
    pub(super) probe: Probe,
    pub(super) children: Lines<[Child; FAN]>,
}

/// What the commit of a root wrote, for the next committer to tell if this one's committer stopped (§4.1).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Journal {
    /// Nobody waited while the root was built: what it wrote was not noted down.
    Unknown,
    /// The first `len` slots.
    Slots { len: u8, slots: [u32; JOURNAL] },
}

/// One version of the whole space.
#[repr(C)]
pub(super) struct Root {
    /// Also the root's birth; a root is retired by the very next version.
    pub(super) version: u64,
    /// Slots that the tree can hold.
    pub(super) capacity: u64,
    /// The newest version, this one or an earlier, that cut leaves without variables off.
    pub(super) cut: u64,
    /// The announced commits that this version decided (C6); null for most.
    pub(super) batch: *mut Batch,
    pub(super) journal: Journal,
    /// Set once everybody who waited for what this commit wrote has been told.
    pub(super) told: AtomicBool,
    /// Levels of `Inner` between this root and the leaves.
    pub(super) height: u8,
    pub(super) probe: Probe,
    pub(super) children: Lines<[Child; FAN]>,
}

// What a commit writes of a root beside its children is one cache line.
#[cfg(not(tvar_loom))]
const _: () = assert!(std::mem::offset_of!(Root, children) == 64);

/// The version that made a node.
///
/// # Safety
/// It is a node of a pinned root (I3), or the caller's own.
pub(super) unsafe fn birth(node: Child) -> u64 {
    // SAFETY: the caller's promise; both kinds of node begin with their birth.
    unsafe { *node.cast::<u64>() }
}

/// How many slots a tree of this height can hold. The tallest one needed for all 32-bit numbers is the first to reach 2³².
pub(super) const fn capacity(height: u32) -> u64 {
    1u64 << (BITS * (height + 2))
}

const _: () = {
    let mut height = 0;
    while capacity(height) < 1 << u32::BITS {
        height += 1;
    }
    assert!(BITS * (height + 1) < u32::BITS, "`digit` would shift by too much");
};

/// The digit of `slot` that selects among the children of a node at `level` (leaves are level 0).
#[inline(always)]
pub(super) fn digit(slot: u32, level: u32) -> usize {
    debug_assert!(BITS * level < u32::BITS);
    // No tree is so high that all bits of a slot number were shifted out (see `capacity`).
    (slot.wrapping_shr(BITS * level) & MASK) as usize
}

/// Finds a slot in a version of the tree; null when nothing was ever written near it.
///
/// # Safety
/// `root` is published and pinned by the caller (I3), or private to it.
#[inline(always)]
pub(super) unsafe fn find(root: *const Root, slot: u32) -> *const Slot {
    // SAFETY: I3: everything reachable from a pinned root stays allocated and unchanged.
    unsafe {
        (*root).probe.read();
        if u64::from(slot) >= (*root).capacity {
            return std::ptr::null();
        }
        let mut level = u32::from((*root).height) + 1;
        let mut node: Child = (*root).children.0[digit(slot, level)];
        loop {
            if node.is_null() {
                return std::ptr::null();
            }
            level -= 1;
            if level == 0 {
                let leaf = node.cast::<Leaf>();
                (*leaf).probe.read();
                return &raw const (*leaf).slots.0[digit(slot, 0)];
            }
            (*node).probe.read();
            node = (*node).children.0[digit(slot, level)];
        }
    }
}

/// Height from which on leaves are mostly not in the cache.
const LARGE: u8 = 2;

/// Asks for the whole leaf around a slot that the caller will copy soon, if the tree is a large one. A hint, without effect on meaning.
///
/// # Safety
/// As for [`find`], which gave `found` for `slot`.
#[inline(always)]
pub(super) unsafe fn prefetch(root: *const Root, slot: u32, found: *const Slot) {
    // SAFETY: the caller's promise.
    if unsafe { (*root).height } >= LARGE {
        let leaf = found.wrapping_sub(digit(slot, 0)).wrapping_byte_sub(std::mem::offset_of!(Leaf, slots));
        for line in 0..size_of::<Leaf>().div_ceil(64) {
            prefetch_line(leaf.wrapping_byte_add(64 * line).cast());
        }
    }
}

#[inline(always)]
fn prefetch_line(_line: *const i8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch accepts any address; SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch(_line, std::arch::x86_64::_MM_HINT_T0);
    }
}

/// Whether a slot may have been written since a version that the caller has looked at, though it does not hold it any more.
///
/// A leaf that is missing may be one that was cut off since, after a write: then it counts as written. (An attempt that runs has pinned
/// what keeps its slots in use, and the stamp alone tells.)
///
/// # Safety
/// As for [`find`].
pub(super) unsafe fn is_newer(root: *const Root, slot: u32, version: u64) -> bool {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        let found = find(root, slot);
        if found.is_null() { (*root).cut > version } else { (*found).stamp > version }
    }
}

/// The version that last wrote a slot, 0 if none did.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub(super) unsafe fn stamp(root: *const Root, slot: u32) -> u64 {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        let found = find(root, slot);
        if found.is_null() { 0 } else { (*found).stamp }
    }
}
