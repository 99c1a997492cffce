//! One version of a map: its tree, found by rank or by number.

use super::super::limbo::{Retired, What};
use super::super::reclaim::{self, Garbage};
use super::super::value::Word;
use super::node::{Branch, FAN, Leaf, Node, NodePool, Words, partition};
use crate::sync::plain::{AtomicBool, Ordering};
use crate::sync::probe::Probe;
use std::ops::Range;
use std::ptr;

/// The value of a map's slot, and its initial value.
pub(crate) struct Tree {
    pub(super) root: *mut Node,
    /// Branches between the root, if that is one, and the leaves; 0: the root is a leaf, or there is none.
    pub(super) height: u32,
    pub(super) len: usize,
    /// The version that last added or removed a row.
    pub(super) shape: u64,
    /// What the rows are.
    pub(super) rows: Rows,
    /// A newer version has taken the nodes over (M2), or this one was never published.
    pub(super) dead: AtomicBool,
    pub(super) probe: Probe,
}

// SAFETY: nodes are immutable once published and freed under I4; maps are made for keys and values that are `Send + Sync` alone.
unsafe impl Send for Tree {}
// SAFETY: as above.
unsafe impl Sync for Tree {}

/// What the rows of a map are, as far as their ends are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    /// Words in the leaves.
    Inline,
    /// Behind pointers, without code of the user's at their end.
    Plain,
    /// Behind pointers.
    Boxed,
}

/// A row in a leaf.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) stamp: u64,
    /// Where the leaf has it.
    pub(super) key: *const Word,
    pub(super) value: *const Word,
    /// The row before it has another number, as far as the leaf can tell.
    pub(super) alone: bool,
}

/// A search: for the last row that is not greater than something.
pub(super) trait Search {
    /// How many rows of a node (or first rows of its children) are not greater; at most its length.
    fn upto(&self, node: &Node) -> usize;
}

/// A search by number alone.
pub(super) struct Number(pub(super) u64);

impl Search for Number {
    #[inline(always)]
    fn upto(&self, node: &Node) -> usize {
        node.upto_number(self.0)
    }
}

/// A search by number and key: the test holds for a row only if it holds for all rows before it.
pub(super) struct NotGreater<F>(pub(super) F);

impl<F: Fn(u64, &Word) -> bool> Search for NotGreater<F> {
    #[inline(always)]
    fn upto(&self, node: &Node) -> usize {
        node.probe.read();
        // Says once for all accesses that they are within bounds.
        let len = node.len.min(FAN);
        partition(len, |i| (self.0)(node.number[i], &node.key[i]))
    }
}

/// Where a search ended.
pub(super) struct Floor {
    /// So many rows are not greater.
    pub(super) rank: usize,
    /// The last of them.
    pub(super) last: Option<Found>,
}

/// A leaf with the rank of its first row.
#[derive(Clone, Copy)]
pub(super) struct LeafAt {
    pub(super) leaf: *const Leaf,
    pub(super) first: usize,
}

impl Tree {
    /// A map without rows.
    fn empty(rows: Rows) -> Tree {
        let (dead, probe) = (AtomicBool::new(false), Probe::alive());
        Tree { root: ptr::null_mut(), height: 0, len: 0, shape: 0, rows, dead, probe }
    }

    /// The same, for somebody else's nodes.
    pub(super) fn dead(rows: Rows) -> Tree {
        let tree = Tree::empty(rows);
        tree.give_up();
        tree
    }

    pub(crate) fn len(&self) -> usize {
        self.probe.read();
        self.len
    }

    /// The topmost node; null: there are no rows.
    #[inline(always)]
    pub(super) fn root(&self) -> *mut Node {
        self.probe.read();
        self.root
    }

    /// The nodes are another version's from now on, or not this one's yet.
    pub(super) fn give_up(&self) {
        self.set_alive(false);
    }

    /// Says whether the nodes are this version's.
    pub(in crate::store) fn set_alive(&self, alive: bool) {
        // ORDERING: Relaxed: read by the drop, which the limbo (or the build that gives up) orders after this.
        self.dead.store(!alive, Ordering::Relaxed);
    }

    /// The last row that a search comes to.
    ///
    /// # Safety
    /// The tree is of a pinned version, or the caller's own.
    #[inline(always)]
    pub(super) unsafe fn floor(&self, search: &impl Search) -> Floor {
        let mut rank = 0;
        // SAFETY: I3: everything reachable stays allocated and unchanged.
        let found = unsafe {
            self.descend(search, |branch, at| {
                if at > 0 {
                    rank += branch.upto[at - 1];
                }
            })
        };
        let Some((leaf, at)) = found else { return Floor { rank: 0, last: None } };
        rank += at;
        // SAFETY: as above.
        let last = (at > 0).then(|| unsafe { (*leaf).at(at - 1) });
        Floor { rank, last }
    }

    /// The same without the rank.
    ///
    /// # Safety
    /// As for [`Tree::floor`].
    #[inline(always)]
    pub(super) unsafe fn last_of(&self, search: &impl Search) -> Option<Found> {
        // SAFETY: the caller's promise.
        unsafe {
            let (leaf, at) = self.descend(search, |_, _| ())?;
            (at > 0).then(|| (*leaf).at(at - 1))
        }
    }

    /// # Safety
    /// As for [`Tree::floor`].
    #[inline(always)]
    unsafe fn descend(
        &self,
        search: &impl Search,
        mut passing: impl FnMut(&Branch, usize),
    ) -> Option<(*const Leaf, usize)> {
        let mut node = self.root().cast_const();
        if node.is_null() {
            return None;
        }
        // SAFETY: the caller's promise; the height tells the kinds of node apart.
        unsafe {
            for _ in 0..self.height {
                let at = search.upto(&*node).saturating_sub(1);
                let branch = &*node.cast::<Branch>();
                passing(branch, at);
                node = *branch.child.get_unchecked(at);
            }
            Some((node.cast::<Leaf>(), search.upto(&*node)))
        }
    }

    /// The leaf with the row of this rank, which is less than the length.
    ///
    /// # Safety
    /// The tree is of a pinned version, or the caller's own.
    pub(super) unsafe fn leaf_at(&self, rank: usize) -> LeafAt {
        debug_assert!(rank < self.len);
        let (mut node, mut rest) = (self.root().cast_const(), rank);
        // SAFETY: as in `descend`.
        unsafe {
            for _ in 0..self.height {
                (*node).probe.read();
                let branch = &*node.cast::<Branch>();
                let at = partition(branch.node.len, |i| branch.upto[i] <= rest);
                if at > 0 {
                    rest -= branch.upto[at - 1];
                }
                node = branch.child[at];
            }
            (*node).probe.read();
        }
        LeafAt { leaf: node.cast(), first: rank - rest }
    }

    /// # Safety
    /// As for [`Tree::leaf_at`].
    pub(super) unsafe fn row_at(&self, rank: usize) -> Found {
        // SAFETY: the caller's promise.
        unsafe {
            let LeafAt { leaf, first } = self.leaf_at(rank);
            (*leaf).at(rank - first)
        }
    }

    /// Whether a row of these ranks was written after `version`. Looks only at nodes that have changed since.
    ///
    /// # Safety
    /// As for [`Tree::leaf_at`].
    pub(super) unsafe fn any_newer(&self, ranks: Range<usize>, version: u64) -> bool {
        // SAFETY: the caller's promise.
        !ranks.is_empty() && unsafe { newer_below(self.root(), self.height, ranks, version) }
    }
}

/// # Safety
/// As for [`Tree::leaf_at`]; the ranks are of rows below the node.
unsafe fn newer_below(node: *const Node, height: u32, ranks: Range<usize>, version: u64) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        (*node).probe.read();
        if (*node).birth <= version {
            return false;
        }
        if height == 0 {
            return (&(*node.cast::<Leaf>()).stamp)[ranks].iter().any(|stamp| *stamp > version);
        }
        let branch = &*node.cast::<Branch>();
        let mut before = 0;
        for at in 0..branch.node.len {
            let upto = branch.upto[at];
            let (from, to) = (ranks.start.max(before), ranks.end.min(upto));
            if from < to && newer_below(branch.child[at], height - 1, from - before..to - before, version) {
                return true;
            }
            before = upto;
        }
        false
    }
}

impl Node {
    /// Rows below the node.
    ///
    /// # Safety
    /// `height` is its own.
    pub(super) unsafe fn rows(&self, height: u32) -> usize {
        if height == 0 {
            return self.len;
        }
        // SAFETY: not a leaf, so a branch; it has children.
        unsafe { (*ptr::from_ref(self).cast::<Branch>()).upto[self.len - 1] }
    }
}

impl Leaf {
    #[inline(always)]
    pub(super) fn at(&self, at: usize) -> Found {
        let number = self.node.number[at];
        let alone = at > 0 && self.node.number[at - 1] != number;
        Found {
            number,
            stamp: self.stamp[at],
            key: &raw const self.node.key[at],
            value: &raw const self.value[at],
            alone,
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.probe.write(false);
        // ORDERING: Relaxed: `&mut`; partner: `give_up`.
        if self.dead.load(Ordering::Relaxed) || self.root.is_null() {
            return;
        }
        // The newest version of a map that is gone: its rows and nodes are nobody else's (M2).
        let mut rows = Vec::new();
        let mut end = |row: Words| {
            if self.rows != Rows::Inline {
                // SAFETY: the rows are behind pointers.
                rows.push(Garbage::Value(unsafe { row.key.header() }));
            }
        };
        // SAFETY: M2: owned here.
        unsafe { tear_down(self.root, self.height, &mut NodePool::default(), &mut end) };
        reclaim::dispose(&mut rows);
    }
}

/// Frees a node and all below it.
///
/// # Safety
/// The caller owns them. Recursion is as deep as the tree is high.
pub(super) unsafe fn tear_down(node: *mut Node, height: u32, pool: &mut NodePool, end: &mut impl FnMut(Words)) {
    // SAFETY: the caller's promise.
    unsafe {
        (*node).probe.read();
        if height == 0 {
            let leaf = node.cast::<Leaf>();
            (0..(*leaf).node.len).for_each(|at| end((*leaf).words(at)));
            pool.put_leaf(leaf);
        } else {
            let branch = node.cast::<Branch>();
            for at in 0..(*branch).node.len {
                tear_down((*branch).child[at], height - 1, pool, end);
            }
            pool.put_branch(branch);
        }
    }
}

impl Leaf {
    pub(super) fn words(&self, at: usize) -> Words {
        Words { key: self.node.key[at], value: self.value[at] }
    }
}

/// Retires a row that a version does not have any more.
pub(super) fn retire_row(rows: Rows, row: Word, stamp: u64, version: u64, retired: &mut Vec<Retired>) {
    if rows == Rows::Inline {
        return;
    }
    // SAFETY: the rows are behind pointers.
    let row = unsafe { row.header() };
    let what = if rows == Rows::Plain { What::Plain(row) } else { What::Value(row) };
    retired.push(Retired::new(stamp, version, what));
}

/// Retires a node and all below it, with the rows, in favour of `version`.
///
/// # Safety
/// The node is of a pinned version.
pub(super) unsafe fn retire_below(node: *mut Node, height: u32, rows: Rows, version: u64, retired: &mut Vec<Retired>) {
    // SAFETY: the caller's promise.
    unsafe {
        (*node).probe.read();
        let (birth, len) = ((*node).birth, (*node).len);
        if height == 0 {
            let leaf = node.cast::<Leaf>();
            (0..len).for_each(|at| retire_row(rows, (*node).key[at], (*leaf).stamp[at], version, retired));
            retired.push(Retired::new(birth, version, What::MapLeaf(leaf)));
        } else {
            let branch = node.cast::<Branch>();
            (0..len).for_each(|at| retire_below((*branch).child[at], height - 1, rows, version, retired));
            retired.push(Retired::new(birth, version, What::MapBranch(branch)));
        }
    }
}
