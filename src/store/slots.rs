//! Free slots that no thread keeps for itself, by leaf; and the leaves of the tree that hold none but such (I7).
//!
//! A leaf all of whose slots are free holds nothing that anybody can read in a newer version. Such leaves are cut off the tree, many in
//! one commit of its own, so that the memory of dropped variables comes back.

use super::Store;
use super::announce;
use super::draft;
use super::limbo::{Limbo, Retired, What};
use super::member::Member;
use super::node::{self, BITS, Child, FAN};
use super::pins;
use super::pool::Pool;
use crate::sync::atomic::Ordering;
use std::collections::BTreeMap;

/// Leaves without variables that wait before they are cut off.
const PRUNE_AT: usize = if cfg!(tvar_loom) { 1 } else { 64 };
/// Slots of one leaf, as bits.
const ALL: u32 = (u32::MAX) >> (u32::BITS - FAN as u32);

/// The shared free slots of a store.
#[derive(Default)]
pub(super) struct FreeSlots {
    /// By slot number without the last digit.
    leaves: BTreeMap<u32, FreeLeaf>,
    /// Leaves that became free altogether and have not been looked at since.
    whole: Vec<u32>,
}

struct FreeLeaf {
    /// One bit for each free slot.
    mask: u32,
    /// From which version on stamps are of a new owner, for all of them.
    born: u64,
}

impl FreeSlots {
    pub(super) fn give(&mut self, slots: impl Iterator<Item = (u32, u64)>) {
        for (slot, born) in slots {
            let leaf = self.leaves.entry(slot >> BITS).or_insert(FreeLeaf { mask: 0, born });
            leaf.mask |= 1 << node::digit(slot, 0);
            leaf.born = leaf.born.max(born);
            if leaf.mask == ALL {
                self.whole.push(slot >> BITS);
            }
        }
    }

    /// The free slots of one leaf, the last first.
    pub(super) fn take(&mut self, slots: &mut Vec<(u32, u64)>) {
        if let Some((number, leaf)) = self.leaves.pop_first() {
            let free = (0..FAN as u32).rev().filter(|digit| leaf.mask >> digit & 1 == 1);
            slots.extend(free.map(|digit| (number << BITS | digit, leaf.born)));
        }
    }

    /// Takes out the leaves that are still free altogether, if there are enough of them.
    fn take_whole(&mut self) -> Vec<(u32, FreeLeaf)> {
        if self.whole.len() < PRUNE_AT {
            return Vec::new();
        }
        let mut whole = std::mem::take(&mut self.whole);
        whole.sort_unstable();
        whole.dedup();
        whole.retain(|number| self.leaves.get(number).is_some_and(|leaf| leaf.mask == ALL));
        whole.into_iter().filter_map(|number| self.leaves.remove_entry(&number)).collect()
    }

    fn put_back(&mut self, leaves: Vec<(u32, FreeLeaf)>) {
        self.leaves.extend(leaves);
    }
}

/// Cuts leaves without variables off the tree, if enough have come together. Tries once: if somebody else commits meanwhile, they stay
/// until they have been used and freed again.
///
/// # Safety
/// I9: the caller owns `member`, whose first word is not idle and whose second word is unused.
pub(super) unsafe fn prune(store: &Store, member: &Member) {
    if store.board.any() {
        // An announced commit is not to wait for a swap that does not take it along (C5).
        return;
    }
    let Some(leaves) = store.spare_slots.try_lock().map(|mut spare| spare.take_whole()) else { return };
    if leaves.is_empty() {
        return;
    }
    // Nobody else can get at the slots now: no variable lives in these leaves, in any version from here on.
    // SAFETY: I9: the caller's promise; I3: the base is pinned until after the swap.
    unsafe {
        let base = member.pin_base(store.newest());
        if store.board.any() {
            // Again, after the load of the base.
            pins::release(&member.words[1]);
            return put_back(store, member, leaves);
        }
        let (own, limbo) = (member.own(), member.limbo());
        let rest = limbo.rest();
        let version = (*base).version + 1;
        let root = own.pool.root(&*base, version);
        for (number, _) in &leaves {
            let slot = number << BITS;
            if !node::find(base, slot).is_null() {
                let level = u32::from((*root).height) + 1;
                cut(
                    &raw mut (*root).children.0[node::digit(slot, level)],
                    level - 1,
                    slot,
                    version,
                    &mut own.pool,
                    limbo,
                );
            }
        }
        let slots = || leaves.iter().map(|(number, _)| number << BITS);
        if limbo.recent.len() == rest.len {
            // They are not in the tree.
            draft::unmake(root, slots(), &mut own.pool);
        } else {
            // What the base owes, its own committer pays, or else the next one does (W3).
            draft::keep_journal(root, &*base, &[]);
            (*root).cut = version;
            // ORDERING: SeqCst: as in `publish_draft`.
            let swap = store.newest().compare_exchange(base.cast_mut(), root, Ordering::SeqCst, Ordering::Relaxed);
            if swap.is_ok() {
                limbo.push(Retired::new(version - 1, version, What::Root(base.cast_mut())));
                announce::retire(&*base, version, limbo);
                own.seen = version;
                member.set_backlog(limbo);
            } else {
                draft::unmake(root, slots(), &mut own.pool);
                limbo.cut(rest);
            }
        }
        pins::release(&member.words[1]);
        put_back(store, member, leaves);
    }
}

/// Makes the slots of these leaves free again.
///
/// # Safety
/// I9: the caller owns `member`.
unsafe fn put_back(store: &Store, member: &Member, leaves: Vec<(u32, FreeLeaf)>) {
    if let Some(mut spare) = store.spare_slots.try_lock() {
        return spare.put_back(leaves);
    }
    // Nobody waits for a lock here (§4.1): the slots stay with this thread.
    // SAFETY: I9: the caller's promise.
    let own = unsafe { member.own() };
    let slots =
        leaves.iter().flat_map(|(number, leaf)| (0..FAN as u32).map(move |digit| (number << BITS | digit, leaf.born)));
    own.slots.extend(slots);
}

/// Takes the leaf of a slot out of a draft, and the nodes above it that become empty.
///
/// # Safety
/// I2: the draft is the caller's, the base pinned; `place` is in a node of the draft's own.
unsafe fn cut(place: *mut Child, level: u32, slot: u32, version: u64, pool: &mut Pool, limbo: &mut Limbo) {
    // SAFETY: the caller's promise; recursion is as deep as the tree is high.
    unsafe {
        let child = *place;
        if child.is_null() {
            return;
        }
        if level == 0 {
            limbo.push(Retired::new(node::birth(child), version, What::Leaf(child.cast())));
            *place = std::ptr::null_mut();
            return;
        }
        let mut inner = child;
        if (*inner).birth != version {
            inner = pool.inner(child, version);
        }
        cut(&raw mut (*inner).children.0[node::digit(slot, level)], level - 1, slot, version, pool, limbo);
        if inner != child {
            limbo.push(Retired::new((*child).birth, version, What::Inner(child)));
        }
        *place = inner;
        if (*inner).children.0.iter().all(|child| child.is_null()) {
            *place = std::ptr::null_mut();
            pool.put_inner(inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_slots_come_back_by_leaf_and_whole_leaves_are_known() {
        let mut free = FreeSlots::default();
        free.give((0..40).map(|slot| (slot, u64::from(slot))));
        assert!(free.take_whole().is_empty(), "too few");
        let leaves = PRUNE_AT as u32 + 1;
        free.give((0..leaves * FAN as u32).map(|slot| (slot, 100)));
        let whole = free.take_whole();
        assert_eq!(whole.len(), leaves as usize);
        let mut slots = Vec::new();
        free.take(&mut slots);
        assert!(slots.is_empty(), "nobody gets a slot of a leaf that is being cut off");
        free.put_back(whole);
        free.take(&mut slots);
        assert_eq!((slots.len(), slots.last()), (FAN, Some(&(0, 100))));
    }
}
