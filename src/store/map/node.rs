//! Nodes of a map's tree: a persistent B+ tree whose rows are found by rank or by number (M1).
//!
//! As in the tree of variables, a node is written only by the build that made it (I2), carries the version of that build as its
//! birth, and needs no reference count.

use super::super::value::Word;
use super::edit::Changes;
use crate::sync::probe::Probe;
use std::ptr;

/// Rows of a leaf, children of a branch.
pub(in crate::store) const FAN: usize = if cfg!(tvar_loom) { 4 } else { 32 };
/// A node that has lost rows and is smaller than this looks for a neighbour to join.
pub(super) const SMALL: usize = FAN / 4;
/// Two nodes join if they have no more than this together.
pub(super) const JOINED: usize = FAN * 3 / 4;
/// Free nodes that a thread keeps of each kind.
const KEEP: usize = if cfg!(tvar_loom) { 2 } else { 512 };

/// A row as a leaf holds it: key and value, if both are inline; else a pointer to a `Row<K, V>`, and nothing.
#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) key: Word,
    pub(super) value: Word,
}

/// Buffers of builds that it keeps.
const KEEP_CHANGES: usize = 2;

/// What both kinds of node begin with.
#[repr(C)]
pub(in crate::store) struct Node {
    pub(super) birth: u64,
    pub(super) len: usize,
    pub(super) probe: Probe,
    /// Of each row; of the first row of each child.
    pub(super) number: [u64; FAN],
    pub(super) key: [Word; FAN],
}

#[repr(C)]
pub(in crate::store) struct Leaf {
    pub(super) node: Node,
    pub(super) value: [Word; FAN],
    /// The version that wrote each row.
    pub(super) stamp: [u64; FAN],
}

#[repr(C)]
pub(in crate::store) struct Branch {
    pub(super) node: Node,
    /// Rows below this child and those before it.
    pub(super) upto: [usize; FAN],
    pub(super) child: [*mut Node; FAN],
}

impl Node {
    fn empty() -> Node {
        Node { birth: 0, len: 0, probe: Probe::new(), number: [0; FAN], key: [Word::EMPTY; FAN] }
    }
}

/// One thread's free nodes.
#[derive(Default)]
pub(in crate::store) struct NodePool {
    leaves: Vec<*mut Leaf>,
    branches: Vec<*mut Branch>,
    /// Buffers of builds.
    changes: Vec<Changes>,
}

// SAFETY: free nodes are plain memory, owned by the pool.
unsafe impl Send for NodePool {}

impl NodePool {
    /// A private leaf without rows, born in `birth`.
    pub(super) fn leaf(&mut self, birth: u64) -> *mut Leaf {
        let leaf = self.leaves.pop().unwrap_or_else(|| {
            Box::into_raw(Box::new(Leaf { node: Node::empty(), value: [Word::EMPTY; FAN], stamp: [0; FAN] }))
        });
        // SAFETY: I2: private.
        unsafe { begin(&mut (*leaf).node, birth) };
        leaf
    }

    /// A private branch without children, born in `birth`.
    pub(super) fn branch(&mut self, birth: u64) -> *mut Branch {
        let branch = self.branches.pop().unwrap_or_else(|| {
            Box::into_raw(Box::new(Branch { node: Node::empty(), upto: [0; FAN], child: [ptr::null_mut(); FAN] }))
        });
        // SAFETY: I2: private.
        unsafe { begin(&mut (*branch).node, birth) };
        branch
    }

    /// Empty lists for a build.
    pub(super) fn changes(&mut self) -> Changes {
        self.changes.pop().unwrap_or_default()
    }

    /// Takes them back, empty.
    pub(super) fn put_changes(&mut self, mut changes: Changes) {
        changes.jobs.clear();
        if self.changes.len() < KEEP_CHANGES && changes.is_small() {
            self.changes.push(changes);
        }
    }

    /// Takes a leaf back.
    ///
    /// # Safety
    /// No version that anybody has pinned or can still pin reaches it (I4), or it was never published.
    pub(in crate::store) unsafe fn put_leaf(&mut self, leaf: *mut Leaf) {
        // SAFETY: the caller owns the node now.
        unsafe { (*leaf).node.probe.write(false) };
        if self.leaves.len() < KEEP {
            self.leaves.push(leaf);
        } else {
            // SAFETY: made by `Box::into_raw` above.
            drop(unsafe { Box::from_raw(leaf) });
        }
    }

    /// Takes a branch back.
    ///
    /// # Safety
    /// As for [`NodePool::put_leaf`].
    pub(in crate::store) unsafe fn put_branch(&mut self, branch: *mut Branch) {
        // SAFETY: the caller owns the node now.
        unsafe { (*branch).node.probe.write(false) };
        if self.branches.len() < KEEP {
            self.branches.push(branch);
        } else {
            // SAFETY: made by `Box::into_raw` above.
            drop(unsafe { Box::from_raw(branch) });
        }
    }
}

fn begin(node: &mut Node, birth: u64) {
    node.probe.write(true);
    node.birth = birth;
    node.len = 0;
}

impl Drop for NodePool {
    fn drop(&mut self) {
        for leaf in self.leaves.drain(..) {
            // SAFETY: made by `Box::into_raw` above, and the pool's.
            drop(unsafe { Box::from_raw(leaf) });
        }
        for branch in self.branches.drain(..) {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(branch) });
        }
    }
}

/// Blocks in which a search by number looks: the last of each first, then one of them.
const BLOCK: usize = if FAN < 8 { FAN } else { 8 };

impl Node {
    /// How many numbers are not greater. Without branches, since nobody could foresee them.
    #[inline(always)]
    pub(super) fn upto_number(&self, number: u64) -> usize {
        self.probe.read();
        let len = self.len;
        let mut block = 0;
        for last in (BLOCK - 1..FAN - 1).step_by(BLOCK) {
            block += usize::from((last < len) & (self.number[last] <= number));
        }
        let from = block * BLOCK;
        let mut count = from;
        // Says once for all accesses that they are within bounds.
        let Some(numbers) = self.number.get(from..from + BLOCK) else { return len };
        for (i, other) in numbers.iter().enumerate() {
            count += usize::from((from + i < len) & (*other <= number));
        }
        count
    }
}

/// The first position in `0..len` for which the test does not hold; it holds for all before that.
#[inline(always)]
pub(super) fn partition(len: usize, test: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut size) = (0, len);
    while size > 0 {
        let half = size / 2;
        if test(from + half) {
            from += half + 1;
            size -= half + 1;
        } else {
            size = half;
        }
    }
    from
}
