//! A root that is being built: paths are copied as slots are written, and taken apart again if the swap fails (I2).

use super::limbo::{Limbo, Retired, What};
use super::node::{self, Child, FAN, JOURNAL, Journal, Leaf, Root, Slot};
use super::pool::Pool;
use super::value::Word;
use super::writes::Entry;
use crate::sync::atomic::Ordering;

/// The draft of a commit.
pub(super) struct Draft<'a> {
    /// Pinned.
    pub(super) base: &'a Root,
    /// The version that it will be.
    pub(super) version: u64,
    /// Null until something changes.
    pub(super) root: *mut Root,
    pub(super) pool: &'a mut Pool,
    pub(super) limbo: &'a mut Limbo,
}

impl Draft<'_> {
    /// There will be a root.
    #[inline(always)]
    pub(super) fn begin(&mut self) {
        if self.root.is_null() {
            self.root = self.pool.root(self.base, self.version);
        }
    }

    /// Writes an entry's slot, which the base has as `old`; `false` if that would change nothing (C3).
    #[inline(always)]
    pub(super) fn write(&mut self, entry: &Entry, old: Slot, word: Word) -> bool {
        let changes = !entry.keeps(old, word);
        if changes {
            self.put(entry, old, word);
        }
        changes
    }

    /// The same, whatever the base has.
    #[inline(always)]
    pub(super) fn put(&mut self, entry: &Entry, old: Slot, word: Word) {
        let version = self.version;
        if old.stamp <= entry.born {
            let cell = entry.before.cell.as_ref().expect("unwritten in the base, so in the snapshot");
            self.limbo.push(Retired::new(0, version, What::Initial(cell.retire_initial())));
        } else if !entry.state.is_inline() {
            // SAFETY: a stamp after `born` is of this variable (I6), whose type is boxed.
            let header = unsafe { old.word.header() };
            // The nodes and rows of a map are the new version's (M2).
            let what = if entry.state.ends_plainly() { What::Plain(header) } else { What::Value(header) };
            self.limbo.push(Retired::new(old.stamp, version, what));
        }
        self.begin();
        // SAFETY: I2: the draft is private, the base pinned.
        unsafe { set(self.root, entry.slot, Slot { stamp: version, word }, self.pool, self.limbo) };
    }
}

/// Writes a slot, copying the path to it where the draft does not own it yet: a node's birth tells. What is replaced goes
/// straight into the limbo; a swap that fails takes it out again.
///
/// # Safety
/// I2: the draft is the caller's; the root that it is a copy of is pinned.
#[inline(always)]
pub(super) unsafe fn set(root: *mut Root, slot: u32, new: Slot, pool: &mut Pool, limbo: &mut Limbo) {
    let version = new.stamp;
    // SAFETY: the caller's promise, for everything below.
    unsafe {
        while u64::from(slot) >= (*root).capacity {
            grow(root, pool);
        }
        let mut level = u32::from((*root).height) + 1;
        let mut place: *mut Child = &raw mut (*root).children.0[node::digit(slot, level)];
        loop {
            level -= 1;
            if level == 0 {
                break;
            }
            let inner = *place;
            if inner.is_null() || (*inner).birth != version {
                if !inner.is_null() {
                    limbo.push(Retired::new((*inner).birth, version, What::Inner(inner)));
                }
                *place = pool.inner(inner, version);
            }
            place = &raw mut (**place).children.0[node::digit(slot, level)];
        }
        let mut leaf = (*place).cast::<Leaf>();
        if leaf.is_null() || (*leaf).birth != version {
            if !leaf.is_null() {
                limbo.push(Retired::new((*leaf).birth, version, What::Leaf(leaf)));
            }
            leaf = pool.leaf(leaf, version);
            *place = leaf.cast();
        }
        (*leaf).slots.0[node::digit(slot, 0)] = new;
    }
}

/// One level more: the old children go under the first child.
///
/// # Safety
/// As for [`set`].
#[cold]
#[inline(never)]
unsafe fn grow(root: *mut Root, pool: &mut Pool) {
    // SAFETY: the caller's promise; the new inner node is private.
    unsafe {
        let children = &mut (*root).children;
        if children.0.iter().any(|child| !child.is_null()) {
            let inner = pool.inner(std::ptr::null(), (*root).version);
            (*inner).children = *children;
            children.0 = [std::ptr::null_mut(); FAN];
            children.0[0] = inner;
        }
        (*root).height += 1;
        (*root).capacity = node::capacity(u32::from((*root).height));
    }
}

/// Notes in the root what it changes, together with what its base still owes, for whoever must pay it (W3).
///
/// # Safety
/// As for [`set`].
#[cold]
pub(super) unsafe fn keep_journal(root: *mut Root, base: &Root, changed: &[u32]) {
    let (mut owed, mut slots) = (0, [0; JOURNAL]);
    // ORDERING: Acquire: partner: `set_told`.
    if !base.told.load(Ordering::Acquire) {
        // The base's debts become this root's, until its own committer has paid them (§4.1).
        let Journal::Slots { len, slots: of_base } = base.journal else { return };
        (owed, slots) = (usize::from(len), of_base);
    }
    let len = owed + changed.len();
    if let Some(room) = slots.get_mut(owed..len) {
        room.copy_from_slice(changed);
        // SAFETY: the root is private.
        unsafe { (*root).journal = Journal::Slots { len: len as u8, slots } };
    }
}

/// Takes a draft that was not published apart: its own nodes are those born in its version.
///
/// # Safety
/// Its nodes are the caller's.
#[cold]
pub(super) unsafe fn unmake(root: *mut Root, slots: impl Iterator<Item = u32> + Clone, pool: &mut Pool) {
    // SAFETY: never published: nobody else has seen the nodes.
    unsafe {
        // From the leaves up, so that the way to a node is there until the node goes. A tree that has grown has new nodes on the path to
        // slot 0 as well.
        for level in 0..=u32::from((*root).height) {
            for slot in slots.clone().chain([0]) {
                take_out(root, slot, level, pool);
            }
        }
        if !(*root).batch.is_null() {
            drop(Box::from_raw((*root).batch));
        }
        pool.put_root(root);
    }
}

/// Takes the node at `level` on the path to a slot out of a draft, if it is the draft's own.
///
/// # Safety
/// As for [`unmake`].
unsafe fn take_out(root: *mut Root, slot: u32, level: u32, pool: &mut Pool) {
    // SAFETY: the caller's promise: nodes that are not the draft's own are only looked at, under the base's pin (I3).
    unsafe {
        let version = (*root).version;
        let mut at = u32::from((*root).height) + 1;
        let mut place: *mut Child = &raw mut (*root).children.0[node::digit(slot, at)];
        loop {
            at -= 1;
            if (*place).is_null() || node::birth(*place) != version {
                return;
            }
            if at == level {
                break;
            }
            place = &raw mut (**place).children.0[node::digit(slot, at)];
        }
        let child = std::mem::replace(&mut *place, std::ptr::null_mut());
        if level == 0 { pool.put_leaf(child.cast()) } else { pool.put_inner(child) }
    }
}
