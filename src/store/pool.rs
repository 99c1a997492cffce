//! Node memory: free nodes stay with the thread that retired them (nodes come home), up to a cap.

use super::node::{Child, FAN, Inner, Journal, Leaf, Root, Slot};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::probe::Probe;

/// Free nodes that a thread keeps per kind; beyond that memory goes back to the allocator.
const KEEP: usize = if cfg!(tvar_loom) { 2 } else { 512 };

/// One thread's free nodes.
#[derive(Default)]
pub(super) struct Pool {
    leaves: Vec<*mut Leaf>,
    inners: Vec<*mut Inner>,
    roots: Vec<*mut Root>,
}

impl Pool {
    /// A private copy of `old` (an empty leaf if null), born in `birth`.
    ///
    /// # Safety
    /// `old` is null or a leaf of a root that the caller has pinned.
    pub(super) unsafe fn leaf(&mut self, old: *const Leaf, birth: u64) -> *mut Leaf {
        let fresh = self.leaves.pop().unwrap_or_else(new_leaf);
        // SAFETY: I2: `fresh` is private; `old` is pinned by the caller (I3), so both are valid and distinct.
        unsafe {
            (*fresh).probe.write(true);
            (*fresh).birth = birth;
            if old.is_null() {
                (*fresh).slots = [Slot::EMPTY; FAN];
            } else {
                (*old).probe.read();
                (&raw mut (*fresh).slots).copy_from_nonoverlapping(&raw const (*old).slots, 1);
            }
        }
        fresh
    }

    /// A private copy of `old` (without children if null), born in `birth`.
    ///
    /// # Safety
    /// `old` is null or an inner node of a root that the caller has pinned.
    pub(super) unsafe fn inner(&mut self, old: *const Inner, birth: u64) -> *mut Inner {
        let fresh = self.inners.pop().unwrap_or_else(new_inner);
        // SAFETY: I2: `fresh` is private; `old` is pinned by the caller (I3), so both are valid and distinct.
        unsafe {
            (*fresh).probe.write(true);
            (*fresh).birth = birth;
            if old.is_null() {
                (*fresh).children = [std::ptr::null_mut(); FAN];
            } else {
                (*old).probe.read();
                (&raw mut (*fresh).children).copy_from_nonoverlapping(&raw const (*old).children, 1);
            }
        }
        fresh
    }

    /// A private root with these children, `height` and `version`.
    pub(super) fn root(&mut self, children: &[Child; FAN], height: u32, version: u64) -> *mut Root {
        let fresh = self.roots.pop().unwrap_or_else(new_root);
        // SAFETY: I2: `fresh` came from the pool or the allocator and is private.
        unsafe {
            (*fresh).probe.write(true);
            (*fresh).version = version;
            (*fresh).height = height;
            // ORDERING: Relaxed: private until the swap (Release) publishes it.
            (*fresh).announced.store(false, Ordering::Relaxed);
            (*fresh).journal = Journal::Unknown;
            (*fresh).children = *children;
        }
        fresh
    }

    /// Takes a leaf back.
    ///
    /// # Safety
    /// No version that anybody has pinned or can still pin reaches it (I4), or it was never published.
    pub(super) unsafe fn put_leaf(&mut self, leaf: *mut Leaf) {
        // SAFETY: the caller owns the node now.
        unsafe {
            (*leaf).probe.write(false);
            if self.leaves.len() < KEEP { self.leaves.push(leaf) } else { drop(Box::from_raw(leaf)) }
        }
    }

    /// Takes an inner node back.
    ///
    /// # Safety
    /// As for [`Pool::put_leaf`].
    pub(super) unsafe fn put_inner(&mut self, inner: *mut Inner) {
        // SAFETY: the caller owns the node now.
        unsafe {
            (*inner).probe.write(false);
            if self.inners.len() < KEEP { self.inners.push(inner) } else { drop(Box::from_raw(inner)) }
        }
    }

    /// Takes a root back.
    ///
    /// # Safety
    /// As for [`Pool::put_leaf`].
    pub(super) unsafe fn put_root(&mut self, root: *mut Root) {
        // SAFETY: the caller owns the node now.
        unsafe {
            (*root).probe.write(false);
            if self.roots.len() < KEEP { self.roots.push(root) } else { drop(Box::from_raw(root)) }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: pooled nodes are owned by the pool alone.
        unsafe {
            self.leaves.drain(..).for_each(|p| drop(Box::from_raw(p)));
            self.inners.drain(..).for_each(|p| drop(Box::from_raw(p)));
            self.roots.drain(..).for_each(|p| drop(Box::from_raw(p)));
        }
    }
}

// Out of line, so that the making of nodes stays out of the code (and the stack frame) of the commits that find one in the pool.

#[cold]
#[inline(never)]
fn new_leaf() -> *mut Leaf {
    Box::into_raw(Box::new(Leaf { birth: 0, probe: Probe::new(), slots: [Slot::EMPTY; FAN] }))
}

#[cold]
#[inline(never)]
fn new_inner() -> *mut Inner {
    Box::into_raw(Box::new(Inner { birth: 0, probe: Probe::new(), children: [std::ptr::null_mut(); FAN] }))
}

#[cold]
#[inline(never)]
fn new_root() -> *mut Root {
    Box::into_raw(Box::new(Root {
        version: 0,
        height: 0,
        announced: AtomicBool::new(true),
        journal: Journal::Unknown,
        probe: Probe::new(),
        children: [std::ptr::null_mut(); FAN],
    }))
}
