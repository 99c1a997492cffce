//! The end of a store: nodes and values go.

use super::limbo::{Retired, What};
use super::node::{self, Child, Leaf, Root};
use super::reclaim::Garbage;
use super::value::free_boxed;

/// Collects all values that the limbos of a store still hold and frees every node.
///
/// # Safety
/// Nobody uses the store any more; `root` is the newest root, `retired` what all limbos held.
pub(super) unsafe fn tear_down(root: *mut Root, retired: Vec<Retired>, garbage: &mut Vec<Garbage>) {
    // SAFETY: everything is out of reach and owned by the caller; each node is in the newest tree or in one limbo.
    unsafe {
        for entry in retired {
            let birth = entry.birth;
            match entry.into_what() {
                What::Leaf(leaf) => drop(Box::from_raw(leaf)),
                What::Inner(inner) => drop(Box::from_raw(inner)),
                What::Root(root) => drop(Box::from_raw(root)),
                What::Announcement(announcement) => drop(Box::from_raw(announcement)),
                What::Content { content, published, .. } => Box::from_raw(content).clear(published, garbage),
                What::Batch(batch) => drop(Box::from_raw(batch)),
                What::Value(header) => garbage.push(Garbage::Value(header)),
                What::Initial(initial) => garbage.push(Garbage::Initial(initial)),
                What::MapLeaf(leaf) => drop(Box::from_raw(leaf)),
                What::MapBranch(branch) => drop(Box::from_raw(branch)),
                What::Plain(header) => free_boxed(header),
                What::Slot { slot, boxed } => {
                    let found = node::find(root, slot);
                    if boxed && !found.is_null() && (*found).stamp > birth {
                        garbage.push(Garbage::Value((*found).word.header()));
                    }
                }
            }
        }
        let height = u32::from((*root).height);
        for child in (*root).children.0 {
            free_below(child, height);
        }
        drop(Box::from_raw(root));
    }
}

/// # Safety
/// The caller owns the node and everything below it; `level` 0 is a leaf.
unsafe fn free_below(node: Child, level: u32) {
    if node.is_null() {
        return;
    }
    // SAFETY: the caller's promise. Recursion is as deep as the tree is high.
    unsafe {
        if level == 0 {
            drop(Box::from_raw(node.cast::<Leaf>()));
        } else {
            for child in (*node).children.0 {
                free_below(child, level - 1);
            }
            drop(Box::from_raw(node));
        }
    }
}
