//! What differs between two versions: both trees are walked together, skipping what they share (§1.5).

use super::node::{BITS, Child, FAN, Leaf, Root};

/// Slots whose stamps differ, ascending, with the stamps in `a` and in `b`. Time in proportion to the changes.
///
/// # Safety
/// Both roots are of one store and pinned by the caller (I3).
pub(super) unsafe fn diff(a: *const Root, b: *const Root) -> Vec<(u32, u64, u64)> {
    let mut all = Vec::new();
    // SAFETY: the caller's promise.
    unsafe {
        visit(a, b, &mut |slot, old, new| {
            all.push((slot, old, new));
            true
        });
    }
    all
}

/// Shows each of these to `see`, until that returns `false`; then returns `false` itself.
///
/// # Safety
/// As for [`diff`].
pub(super) unsafe fn visit(a: *const Root, b: *const Root, see: &mut dyn FnMut(u32, u64, u64) -> bool) -> bool {
    // SAFETY: I3 for everything reachable from the two roots; recursion is as deep as the tree is high (at most 32).
    unsafe {
        let height = u32::from((*a).height.max((*b).height));
        (0..FAN).all(|digit| {
            let left = child_at(a, height, digit);
            let right = child_at(b, height, digit);
            walk(left, right, height, digit as u64, see)
        })
    }
}

/// The child that a root would have under `digit` if it were `height` high: a lower tree hangs under the first digit.
///
/// # Safety
/// As for [`diff`].
unsafe fn child_at(root: *const Root, height: u32, digit: usize) -> Side {
    // SAFETY: the caller's promise.
    unsafe {
        if u32::from((*root).height) == height {
            Side::Node((*root).children.0[digit])
        } else if digit == 0 {
            Side::Lower(root)
        } else {
            Side::Node(std::ptr::null_mut())
        }
    }
}

/// One side of the walk: a node, or the root of a lower tree that stands for the nodes above it.
#[derive(Clone, Copy)]
enum Side {
    Node(Child),
    Lower(*const Root),
}

impl Side {
    /// # Safety
    /// As for [`diff`]; the side stands for an inner node with children at `level` below it.
    unsafe fn child(self, level: u32, digit: usize) -> Side {
        match self {
            Side::Node(node) if node.is_null() => self,
            // SAFETY: a node above level 0 is an inner one, reachable from a pinned root.
            Side::Node(node) => unsafe { Side::Node((*node).children.0[digit]) },
            // SAFETY: the root is pinned. Its own children lie `height + 1` levels above nothing, as those of an inner node
            // at that level do.
            Side::Lower(root) => unsafe { child_at(root, level, digit) },
        }
    }
}

/// # Safety
/// As for [`diff`]; both sides stand for nodes at `level` (0: leaves), under the same `prefix` of digits.
unsafe fn walk(a: Side, b: Side, level: u32, prefix: u64, see: &mut dyn FnMut(u32, u64, u64) -> bool) -> bool {
    if let (Side::Node(x), Side::Node(y)) = (a, b) {
        if x == y {
            return true;
        }
        if level == 0 {
            return (0..FAN).all(|digit| {
                // SAFETY: the caller's promise.
                let (old, new) = unsafe { (stamp(x.cast(), digit), stamp(y.cast(), digit)) };
                old == new || see((prefix << BITS) as u32 | digit as u32, old, new)
            });
        }
    }
    // SAFETY: the caller's promise; a lower tree's root never stands at level 0.
    (0..FAN).all(|digit| unsafe {
        let (x, y) = (a.child(level - 1, digit), b.child(level - 1, digit));
        walk(x, y, level - 1, prefix << BITS | digit as u64, see)
    })
}

/// # Safety
/// `leaf` is null or a leaf of a pinned root.
unsafe fn stamp(leaf: *const Leaf, digit: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { if leaf.is_null() { 0 } else { (*leaf).slots.0[digit].stamp } }
}
