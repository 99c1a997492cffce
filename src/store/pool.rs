//! Node memory: free nodes stay with the thread that retired them (nodes come home), up to a cap.

use super::announce::Content;
use super::map::NodePool;
use super::node::{self, FAN, Inner, Journal, Leaf, Lines, Root, Slot};
use super::reclaim::Garbage;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::probe::Probe;
use std::ptr;

/// Free nodes that a thread keeps per kind; beyond that memory goes back to the allocator.
const KEEP: usize = if cfg!(tvar_loom) { 2 } else { 512 };

/// Free contents of announcements that it keeps.
const KEEP_CONTENTS: usize = if cfg!(tvar_loom) { 1 } else { 16 };

/// One thread's free nodes.
#[derive(Default)]
pub(super) struct Pool {
    leaves: FreeList<Leaf>,
    inners: FreeList<Inner>,
    roots: FreeList<Root>,
    #[allow(clippy::vec_box, reason = "they are shared by address while they are in use")]
    contents: Vec<Box<Content>>,
    pub(super) maps: NodePool,
}

/// Free nodes, each with the address of the next in its first word.
struct FreeList<N> {
    first: *mut N,
    len: usize,
}

impl<N> Default for FreeList<N> {
    fn default() -> Self {
        FreeList { first: ptr::null_mut(), len: 0 }
    }
}

impl<N> FreeList<N> {
    #[inline(always)]
    fn pop(&mut self) -> Option<*mut N> {
        let node = self.first;
        if node.is_null() {
            return None;
        }
        // SAFETY: a node in the list is the list's, with what `push` has written.
        self.first = unsafe { *node.cast::<*mut N>() };
        self.len -= 1;
        Some(node)
    }

    /// # Safety
    /// The caller owns the node, which came from a `Box`.
    #[inline(always)]
    unsafe fn push(&mut self, node: *mut N) {
        if self.len == KEEP {
            // SAFETY: the caller's promise.
            drop(unsafe { Box::from_raw(node) });
            return;
        }
        // SAFETY: the caller's promise; every node has room for a pointer, and no reader is left.
        unsafe { *node.cast::<*mut N>() = self.first };
        self.first = node;
        self.len += 1;
    }
}

impl<N> Drop for FreeList<N> {
    fn drop(&mut self) {
        while let Some(node) = self.pop() {
            // SAFETY: as in `push`.
            drop(unsafe { Box::from_raw(node) });
        }
    }
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
                (*fresh).slots.0 = [Slot::EMPTY; FAN];
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
                (*fresh).children.0 = [ptr::null_mut(); FAN];
            } else {
                (*old).probe.read();
                (&raw mut (*fresh).children).copy_from_nonoverlapping(&raw const (*old).children, 1);
            }
        }
        fresh
    }

    /// A private root with the base's content.
    #[inline(always)]
    pub(super) fn root(&mut self, base: &Root, version: u64) -> *mut Root {
        let fresh = self.roots.pop().unwrap_or_else(new_root);
        // SAFETY: I2: `fresh` came from the pool or the allocator and is private.
        unsafe {
            (*fresh).probe.write(true);
            (*fresh).version = version;
            (*fresh).capacity = base.capacity;
            (*fresh).cut = base.cut;
            (*fresh).batch = ptr::null_mut();
            (*fresh).height = base.height;
            // ORDERING: Relaxed: private until the swap (Release) publishes it.
            (*fresh).told.store(false, Ordering::Relaxed);
            (*fresh).journal = Journal::Unknown;
            (*fresh).children = base.children;
        }
        fresh
    }

    /// An empty content for an announcement.
    pub(super) fn content(&mut self) -> *mut Content {
        let content = self.contents.pop().unwrap_or_default();
        content.probe.write(true);
        Box::into_raw(content)
    }

    /// Takes one back; what it held ends in `garbage`, but for the boxes of `published` writes.
    ///
    /// # Safety
    /// It came from [`Pool::content`], and nobody can look at it any more (C8), or never could.
    #[cold]
    pub(super) unsafe fn put_content(&mut self, content: *mut Content, published: bool, garbage: &mut Vec<Garbage>) {
        // SAFETY: the caller's promise.
        let mut content = unsafe { Box::from_raw(content) };
        content.probe.write(false);
        content.clear(published, garbage);
        if self.contents.len() < KEEP_CONTENTS {
            self.contents.push(content);
        }
    }

    /// Takes a leaf back.
    ///
    /// # Safety
    /// No version that anybody has pinned or can still pin reaches it (I4), or it was never published.
    #[inline(always)]
    pub(super) unsafe fn put_leaf(&mut self, leaf: *mut Leaf) {
        // SAFETY: the caller owns the node now.
        unsafe {
            (*leaf).probe.write(false);
            self.leaves.push(leaf);
        }
    }

    /// Takes an inner node back.
    ///
    /// # Safety
    /// As for [`Pool::put_leaf`].
    #[inline(always)]
    pub(super) unsafe fn put_inner(&mut self, inner: *mut Inner) {
        // SAFETY: the caller owns the node now.
        unsafe {
            (*inner).probe.write(false);
            self.inners.push(inner);
        }
    }

    /// Takes a root back.
    ///
    /// # Safety
    /// As for [`Pool::put_leaf`].
    #[inline(always)]
    pub(super) unsafe fn put_root(&mut self, root: *mut Root) {
        // SAFETY: the caller owns the node now.
        unsafe {
            (*root).probe.write(false);
            self.roots.push(root);
        }
    }
}

/// The root of an empty store, with nobody to tell.
pub(super) fn first_root() -> *mut Root {
    let root = new_root();
    // SAFETY: private.
    unsafe {
        (*root).probe.write(true);
        (*root).version = 1;
        (*root).capacity = node::capacity(0);
    }
    root
}

// Out of line, so that the making of nodes stays out of the code (and the stack frame) of the commits that find one in the pool.

#[cold]
#[inline(never)]
fn new_leaf() -> *mut Leaf {
    Box::into_raw(Box::new(Leaf { birth: 0, probe: Probe::new(), slots: Lines([Slot::EMPTY; FAN]) }))
}

#[cold]
#[inline(never)]
fn new_inner() -> *mut Inner {
    Box::into_raw(Box::new(Inner { birth: 0, probe: Probe::new(), children: Lines([ptr::null_mut(); FAN]) }))
}

#[cold]
#[inline(never)]
fn new_root() -> *mut Root {
    Box::into_raw(Box::new(Root {
        version: 0,
        capacity: 0,
        cut: 0,
        batch: ptr::null_mut(),
        journal: Journal::Unknown,
        told: AtomicBool::new(true),
        height: 0,
        probe: Probe::new(),
        children: Lines([ptr::null_mut(); FAN]),
    }))
}
