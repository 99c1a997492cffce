//! A version of a map that is being built: rows put in, replaced and taken out by rank, on copies of the nodes (I2).

use super::super::limbo::{Retired, What};
use super::node::{Branch, FAN, JOINED, Leaf, Node, NodePool, SMALL, Words};
use super::part::Job;
use super::tree::{Rows, Tree};
use crate::sync::plain::AtomicBool;
use crate::sync::probe::Probe;
use std::ptr;

/// Nodes that a build has made, and what it has replaced.
#[derive(Default)]
pub(in crate::store) struct Changes {
    leaves: Vec<*mut Leaf>,
    branches: Vec<*mut Branch>,
    /// To be retired once the build is published.
    pub(super) retired: Vec<Retired>,
    /// A buffer.
    pub(super) jobs: Vec<Job>,
}

// SAFETY: nodes that nobody else has seen, and entries that are on their way into a limbo.
unsafe impl Send for Changes {}

impl Changes {
    /// The build is not published: its nodes go.
    ///
    /// # Safety
    /// Nobody else has seen them, and they are not used any more.
    pub(in crate::store) unsafe fn forget(&mut self, pool: &mut NodePool) {
        self.retired.clear();
        // SAFETY: the caller's promise.
        unsafe {
            self.leaves.drain(..).for_each(|leaf| pool.put_leaf(leaf));
            self.branches.drain(..).for_each(|branch| pool.put_branch(branch));
        }
    }

    /// Whether the lists are worth keeping.
    pub(super) fn is_small(&self) -> bool {
        self.retired.capacity().max(self.leaves.capacity()).max(self.jobs.capacity()) <= 1024
    }

    /// The build was published: what it has replaced is for the limbo.
    pub(super) fn publish(&mut self) -> &mut Vec<Retired> {
        self.leaves.clear();
        self.branches.clear();
        &mut self.retired
    }
}

/// A row that is put in.
#[derive(Clone, Copy)]
struct New {
    number: u64,
    stamp: u64,
    words: Words,
}

/// What to do at a rank.
#[derive(Clone, Copy)]
enum Step {
    Insert(New),
    Replace(New),
    Remove,
}

/// What has become of a node.
struct Became {
    /// Null: it has no rows left.
    node: *mut Node,
    /// A second one, to its right.
    more: *mut Node,
}

/// The builder of a version.
pub(super) struct Editor<'e> {
    pub(super) root: *mut Node,
    pub(super) height: u32,
    pub(super) len: usize,
    rows: Rows,
    version: u64,
    /// What new rows are stamped with.
    pub(super) stamp: u64,
    pub(super) pool: &'e mut NodePool,
    pub(super) changes: &'e mut Changes,
}

impl<'e> Editor<'e> {
    /// Begins with what a version has.
    pub(super) fn new(base: &Tree, version: u64, pool: &'e mut NodePool, changes: &'e mut Changes) -> Self {
        Editor {
            root: base.root(),
            height: base.height,
            len: base.len,
            rows: base.rows,
            version,
            stamp: version,
            pool,
            changes,
        }
    }

    /// The version as it is now; its nodes are the build's until it is published (M2).
    pub(super) fn tree(&self, shape: u64) -> Tree {
        Tree {
            root: self.root,
            height: self.height,
            len: self.len,
            shape,
            rows: self.rows,
            dead: AtomicBool::new(true),
            probe: Probe::alive(),
        }
    }

    /// Puts a row in before the one of this rank.
    ///
    /// # Safety
    /// (Of all edits) the tree that the editor began with is pinned, or was made in this build; the rank is one of it.
    pub(super) unsafe fn insert(&mut self, rank: usize, number: u64, words: Words) {
        debug_assert!(rank <= self.len);
        // SAFETY: the caller's promise.
        unsafe { self.step(rank, Step::Insert(New { number, stamp: self.stamp, words })) };
        self.len += 1;
    }

    /// Puts a row in place of the one of this rank.
    ///
    /// # Safety
    /// As for [`Editor::insert`].
    pub(super) unsafe fn replace(&mut self, rank: usize, number: u64, words: Words) {
        debug_assert!(rank < self.len);
        // SAFETY: the caller's promise.
        unsafe { self.step(rank, Step::Replace(New { number, stamp: self.stamp, words })) };
    }

    /// Takes the row of this rank out.
    ///
    /// # Safety
    /// As for [`Editor::insert`].
    pub(super) unsafe fn remove(&mut self, rank: usize) {
        debug_assert!(rank < self.len);
        // SAFETY: the caller's promise.
        unsafe { self.step(rank, Step::Remove) };
        self.len -= 1;
    }

    unsafe fn step(&mut self, rank: usize, step: Step) {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            if self.root.is_null() {
                let leaf = self.new_leaf();
                let Step::Insert(new) = step else { unreachable!("there is no row") };
                insert_row(&mut *leaf, 0, new);
                self.root = leaf.cast();
                return;
            }
            let Became { node, more } = self.change(self.root, self.height, rank, step);
            self.root = node;
            if node.is_null() {
                self.height = 0;
            } else if !more.is_null() {
                let root = self.new_branch();
                (*root).node.len = 2;
                for (at, child) in [node, more].into_iter().enumerate() {
                    (*root).child[at] = child;
                    adopt_first(&mut *root, at);
                    (*root).upto[at] = (*child).rows(self.height) + if at > 0 { (*root).upto[0] } else { 0 };
                }
                self.root = root.cast();
                self.height += 1;
            }
            while self.height > 0 && (*self.root).len == 1 {
                let branch = self.root.cast::<Branch>();
                self.root = (*branch).child[0];
                self.retire_branch(branch);
                self.height -= 1;
                (*self.root).probe.read();
            }
        }
    }

    unsafe fn change(&mut self, node: *mut Node, height: u32, rank: usize, step: Step) -> Became {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            if height == 0 {
                return self.change_leaf(node.cast(), rank, step);
            }
            let branch = self.own_branch(node.cast());
            let b = &mut *branch;
            let len = b.node.len;
            let inserts = matches!(step, Step::Insert(_));
            let at = super::node::partition(len, |i| if inserts { b.upto[i] < rank } else { b.upto[i] <= rank });
            let before = if at > 0 { b.upto[at - 1] } else { 0 };
            let Became { node: child, more } = self.change(b.child[at], height - 1, rank - before, step);
            match step {
                Step::Insert(_) => b.upto[at..len].iter_mut().for_each(|upto| *upto += 1),
                Step::Replace(_) => {}
                Step::Remove => b.upto[at..len].iter_mut().for_each(|upto| *upto -= 1),
            }
            if child.is_null() {
                take_child(b, at);
                return if b.node.len > 0 {
                    Became { node: branch.cast(), more: ptr::null_mut() }
                } else {
                    self.retire_branch(branch);
                    Became { node: ptr::null_mut(), more: ptr::null_mut() }
                };
            }
            b.child[at] = child;
            adopt_first(b, at);
            if more.is_null() {
                if matches!(step, Step::Remove) && (*child).len < SMALL && b.node.len > 1 {
                    self.join(b, at, height - 1);
                }
                return Became { node: branch.cast(), more };
            }
            if b.node.len < FAN {
                put_second(b, at, more, height - 1);
                return Became { node: branch.cast(), more: ptr::null_mut() };
            }
            let right = self.split_branch(b, at + 1);
            let left_len = b.node.len;
            if at < left_len {
                put_second(b, at, more, height - 1);
            } else {
                put_second(&mut *right, at - left_len, more, height - 1);
            }
            Became { node: branch.cast(), more: right.cast() }
        }
    }

    unsafe fn change_leaf(&mut self, leaf: *mut Leaf, rank: usize, step: Step) -> Became {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            let leaf = self.own_leaf(leaf);
            let l = &mut *leaf;
            let mut more: *mut Leaf = ptr::null_mut();
            match step {
                Step::Insert(new) if l.node.len < FAN => insert_row(l, rank, new),
                Step::Insert(new) => {
                    more = self.new_leaf();
                    // Rows that come in order fill their leaves.
                    let keep = if rank == FAN { FAN } else { FAN / 2 };
                    move_rows(l, keep, &mut *more);
                    if rank <= keep && rank < FAN {
                        insert_row(l, rank, new)
                    } else {
                        insert_row(&mut *more, rank - keep, new)
                    }
                }
                Step::Replace(new) => {
                    l.node.number[rank] = new.number;
                    l.node.key[rank] = new.words.key;
                    l.value[rank] = new.words.value;
                    l.stamp[rank] = new.stamp;
                }
                Step::Remove => {
                    let len = l.node.len;
                    l.node.number.copy_within(rank + 1..len, rank);
                    l.node.key.copy_within(rank + 1..len, rank);
                    l.value.copy_within(rank + 1..len, rank);
                    l.stamp.copy_within(rank + 1..len, rank);
                    l.node.len -= 1;
                    if l.node.len == 0 {
                        self.retire_leaf(leaf);
                        return Became { node: ptr::null_mut(), more: ptr::null_mut() };
                    }
                }
            }
            Became { node: leaf.cast(), more: more.cast() }
        }
    }

    /// Joins a small child with a neighbour, if both are small enough together. `height` is the children's.
    unsafe fn join(&mut self, b: &mut Branch, at: usize, height: u32) {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            let size = |i: usize| {
                (*b.child[i]).probe.read();
                (*b.child[i]).len
            };
            let fits = |i: usize| size(i) + size(i + 1) <= JOINED;
            let left = if at + 1 < b.node.len && fits(at) {
                at
            } else if at > 0 && fits(at - 1) {
                at - 1
            } else {
                return;
            };
            let (to, from) = (b.child[left], b.child[left + 1]);
            let joined = if height == 0 {
                let (to, from) = (self.own_leaf(to.cast()), from.cast::<Leaf>());
                append_rows(&mut *to, &*from);
                self.retire_leaf(from);
                to.cast()
            } else {
                let (to, from) = (self.own_branch(to.cast()), from.cast::<Branch>());
                append_children(&mut *to, &*from);
                self.retire_branch(from);
                to.cast()
            };
            b.child[left] = joined;
            b.upto[left] = b.upto[left + 1];
            take_child(b, left + 1);
        }
    }

    /// Moves the upper half of a full branch, that will get one more child at `at`, to a new one.
    unsafe fn split_branch(&mut self, b: &mut Branch, at: usize) -> *mut Branch {
        let right = self.new_branch();
        // SAFETY: just made.
        let r = unsafe { &mut *right };
        let keep = if at == FAN { FAN - 1 } else { FAN / 2 };
        let len = b.node.len;
        let base = b.upto[keep - 1];
        r.node.len = len - keep;
        r.node.number[..len - keep].copy_from_slice(&b.node.number[keep..len]);
        r.node.key[..len - keep].copy_from_slice(&b.node.key[keep..len]);
        r.child[..len - keep].copy_from_slice(&b.child[keep..len]);
        for (to, from) in r.upto.iter_mut().zip(&b.upto[keep..len]) {
            *to = from - base;
        }
        b.node.len = keep;
        right
    }

    fn new_leaf(&mut self) -> *mut Leaf {
        let leaf = self.pool.leaf(self.version);
        self.changes.leaves.push(leaf);
        leaf
    }

    fn new_branch(&mut self) -> *mut Branch {
        let branch = self.pool.branch(self.version);
        self.changes.branches.push(branch);
        branch
    }

    /// A leaf that this build may write.
    unsafe fn own_leaf(&mut self, leaf: *mut Leaf) -> *mut Leaf {
        // SAFETY: pinned, or of this build.
        unsafe {
            (*leaf).node.probe.read();
            if (*leaf).node.birth == self.version {
                return leaf;
            }
            let own = self.new_leaf();
            append_rows(&mut *own, &*leaf);
            self.retire_leaf(leaf);
            own
        }
    }

    /// A branch that this build may write.
    unsafe fn own_branch(&mut self, branch: *mut Branch) -> *mut Branch {
        // SAFETY: pinned, or of this build.
        unsafe {
            (*branch).node.probe.read();
            if (*branch).node.birth == self.version {
                return branch;
            }
            let own = self.new_branch();
            append_children(&mut *own, &*branch);
            self.retire_branch(branch);
            own
        }
    }

    /// The new version does not have this leaf. (One of this build goes with the others if the build does.)
    unsafe fn retire_leaf(&mut self, leaf: *mut Leaf) {
        // SAFETY: pinned, or of this build.
        let birth = unsafe { (*leaf).node.birth };
        self.changes.retired.push(Retired::new(birth, self.version, What::MapLeaf(leaf)));
    }

    unsafe fn retire_branch(&mut self, branch: *mut Branch) {
        // SAFETY: pinned, or of this build.
        let birth = unsafe { (*branch).node.birth };
        self.changes.retired.push(Retired::new(birth, self.version, What::MapBranch(branch)));
    }
}

fn insert_row(l: &mut Leaf, at: usize, new: New) {
    let len = l.node.len;
    l.node.number.copy_within(at..len, at + 1);
    l.node.key.copy_within(at..len, at + 1);
    l.value.copy_within(at..len, at + 1);
    l.stamp.copy_within(at..len, at + 1);
    l.node.number[at] = new.number;
    l.node.key[at] = new.words.key;
    l.value[at] = new.words.value;
    l.stamp[at] = new.stamp;
    l.node.len = len + 1;
}

/// Moves all rows from `keep` on.
fn move_rows(from: &mut Leaf, keep: usize, to: &mut Leaf) {
    let len = from.node.len;
    to.node.number[..len - keep].copy_from_slice(&from.node.number[keep..len]);
    to.node.key[..len - keep].copy_from_slice(&from.node.key[keep..len]);
    to.value[..len - keep].copy_from_slice(&from.value[keep..len]);
    to.stamp[..len - keep].copy_from_slice(&from.stamp[keep..len]);
    to.node.len = len - keep;
    from.node.len = keep;
}

fn append_rows(to: &mut Leaf, from: &Leaf) {
    let (at, len) = (to.node.len, from.node.len);
    to.node.number[at..at + len].copy_from_slice(&from.node.number[..len]);
    to.node.key[at..at + len].copy_from_slice(&from.node.key[..len]);
    to.value[at..at + len].copy_from_slice(&from.value[..len]);
    to.stamp[at..at + len].copy_from_slice(&from.stamp[..len]);
    to.node.len = at + len;
}

fn append_children(to: &mut Branch, from: &Branch) {
    let (at, len) = (to.node.len, from.node.len);
    let base = if at > 0 { to.upto[at - 1] } else { 0 };
    to.node.number[at..at + len].copy_from_slice(&from.node.number[..len]);
    to.node.key[at..at + len].copy_from_slice(&from.node.key[..len]);
    to.child[at..at + len].copy_from_slice(&from.child[..len]);
    to.upto[at..at + len].copy_from_slice(&from.upto[..len]);
    if base > 0 {
        to.upto[at..at + len].iter_mut().for_each(|upto| *upto += base);
    }
    to.node.len = at + len;
}

/// The rows of the child at `at` are in two now: `more` has the later ones.
///
/// # Safety
/// Both are of this build; `height` is theirs.
unsafe fn put_second(b: &mut Branch, at: usize, more: *mut Node, height: u32) {
    let (len, upto) = (b.node.len, b.upto[at]);
    // SAFETY: the caller's promise.
    b.upto[at] = upto - unsafe { (*more).rows(height) };
    b.node.number.copy_within(at + 1..len, at + 2);
    b.node.key.copy_within(at + 1..len, at + 2);
    b.upto.copy_within(at + 1..len, at + 2);
    b.child.copy_within(at + 1..len, at + 2);
    b.child[at + 1] = more;
    b.upto[at + 1] = upto;
    b.node.len = len + 1;
    // SAFETY: the caller's promise.
    unsafe { adopt_first(b, at + 1) };
}

fn take_child(b: &mut Branch, at: usize) {
    let len = b.node.len;
    b.node.number.copy_within(at + 1..len, at);
    b.node.key.copy_within(at + 1..len, at);
    b.upto.copy_within(at + 1..len, at);
    b.child.copy_within(at + 1..len, at);
    b.node.len = len - 1;
}

/// The first row of a child, for the search.
///
/// # Safety
/// The child is pinned, or of this build, and has a row.
unsafe fn adopt_first(b: &mut Branch, at: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        b.node.number[at] = (*b.child[at]).number[0];
        b.node.key[at] = (*b.child[at]).key[0];
    }
}
