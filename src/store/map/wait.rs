//! What the maps that an attempt has read look like to a later one: validation, and the look of a sleeper (M4).

use super::super::cell::CellRef;
use super::super::local::outside_attempt;
use super::super::newest::Newest;
use super::super::node::{self, Root};
use super::super::reclaim::drop_panic;
use super::super::value;
use super::super::workspace::Workspace;
use super::ranges::Settled;
use super::reads::KeyRead;
use super::tree::Tree;
use super::{AnyPart, MapVar};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Keys of a map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keys {
    /// Those with this number.
    One(u64),
    All,
}

/// What a sleeper has read in maps: looked at without a version pinned, and without the attempt.
#[derive(Default)]
pub(crate) struct MapWaits {
    /// With handles of the maps, so that their slots stay theirs.
    keys: Vec<(CellRef, KeyRead)>,
    ranges: Vec<(CellRef, Box<dyn Settled>)>,
}

impl MapWaits {
    /// Slots of the maps.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.keys.iter().map(|(cell, _)| cell.slot()).chain(self.ranges.iter().map(|(cell, _)| cell.slot()))
    }
}

impl Drop for MapWaits {
    /// Ends of ranges are keys: their destructors run as outside the transaction, and a panic in one ends here (§1.7).
    fn drop(&mut self) {
        for (_map, range) in self.ranges.drain(..) {
            outside_attempt(|| {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(range))) {
                    drop_panic(payload);
                }
            });
        }
    }
}

/// The version of a map in a root, if its slot was written after `version`.
///
/// # Safety
/// The root is pinned, and the slot is a map's, whose number nobody else can get.
unsafe fn newer<'a>(root: *const Root, slot: u32, version: u64) -> Option<&'a Tree> {
    // SAFETY: the caller's promise.
    unsafe {
        let found = node::find(root, slot);
        (!found.is_null() && (*found).stamp > version).then(|| value::view::<Tree>(&raw const (*found).word))
    }
}

impl Workspace<'_> {
    #[inline(always)]
    pub(crate) fn has_maps(&self) -> bool {
        // SAFETY: I9: a short look.
        unsafe { self.scratch() }.maps.used
    }

    /// A map in which something that was read is different in a newer root, which is pinned. `to_come`: or something that a walk which has begun
    /// can still come to. Runs user code.
    pub(in crate::store) fn stale_map(&self, root: *const Root, to_come: bool) -> Option<u32> {
        if !self.has_maps() {
            return None;
        }
        let version = self.version.get();
        // SAFETY: I9: no user code runs in here.
        let keys = unsafe { &self.scratch().maps.keys };
        // SAFETY: the caller's promise; I7: the attempt keeps the slots that it has logged.
        let is_stale = |read: &&KeyRead| unsafe {
            newer(root, read.slot, version).is_some_and(|tree| tree.is_stale(read.seen, version))
        };
        let stale = keys.all().iter().find(is_stale).map(|read| read.slot);
        stale.or_else(|| {
            self.find_part(|part| {
                // SAFETY: as above.
                part.has_ranges()
                    && unsafe {
                        newer(root, part.slot(), version)
                            .is_some_and(|tree| part.ranges_are_stale(tree, version, to_come))
                    }
            })
        })
    }

    /// A map of which a key that is written (not merged) is different in a newer root, which is pinned. Runs user code.
    pub(in crate::store) fn overwritten_map(&self, root: *const Root) -> Option<u32> {
        if !self.has_maps() {
            return None;
        }
        let version = self.version.get();
        self.find_part(|part| {
            // SAFETY: as in `stale_map`.
            part.is_written()
                && unsafe { newer(root, part.slot(), version).is_some_and(|tree| part.is_overwritten(tree, version)) }
        })
    }

    /// The map of the first part for which the test holds, which may run user code.
    fn find_part(&self, test: impl Fn(&dyn AnyPart) -> bool) -> Option<u32> {
        // SAFETY: I9: a short look.
        let count = unsafe { self.scratch() }.maps.parts.len();
        (0..count).find_map(|at| {
            // SAFETY: parts are boxed, and stay until the attempt ends.
            let part = unsafe { &raw const *self.scratch().maps.parts[at].1 };
            // SAFETY: as above.
            let part: &dyn AnyPart = unsafe { &*part };
            test(part).then(|| part.slot())
        })
    }

    /// A map and keys of it that are written and for which the test holds.
    pub(crate) fn find_written_key(&self, mut test: impl FnMut(u32, Keys) -> bool) -> Option<(u32, Keys)> {
        // SAFETY: I9: the test is of the layers above and runs no user code.
        let parts = unsafe { &self.scratch().maps.parts };
        parts.iter().filter(|(_, part)| part.is_written()).find_map(|(slot, part)| {
            if part.is_cleared() && test(*slot, Keys::All) {
                return Some((*slot, Keys::All));
            }
            let number = part.find_written(&mut |number| test(*slot, Keys::One(number)))?;
            Some((*slot, Keys::One(number)))
        })
    }

    /// Whether keys with these numbers were changed, put in or taken out since the snapshot.
    pub(crate) fn is_map_stale<K, V>(&self, map: &MapVar<K, V>, (low, high): (u64, u64)) -> bool {
        // SAFETY: I9: nothing else uses the second word before the commit; pinned, as is the snapshot.
        unsafe {
            let newest = Newest::pin(&self.seat);
            let Some(now) = newer(newest.root, map.var.slot(), self.version.get()) else { return false };
            let (before, after) = (self.tree(map).ranks_of(low, high), now.ranks_of(low, high));
            before.len() != after.len() || now.any_newer(after, self.version.get())
        }
    }

    /// A map in which something that was read is stale.
    pub(crate) fn find_stale_map(&self) -> Option<u32> {
        if !self.has_maps() {
            return None;
        }
        // SAFETY: I9: nothing else uses the second word before the commit.
        let newest = unsafe { Newest::pin(&self.seat) };
        self.stale_map(newest.root, false)
    }

    /// What a sleeper must look at; to be asked before the attempt ends. Runs user code.
    pub(crate) fn map_waits(&self) -> MapWaits {
        let mut waits = MapWaits::default();
        if !self.has_maps() {
            return waits;
        }
        let handles = self.seat.store.maps.lock();
        // A map without handles does not change any more.
        let handle = |slot: u32| handles.get(&slot).and_then(|weak| weak.upgrade());
        // SAFETY: I9: no user code runs while the log is borrowed.
        let keys = unsafe { &self.scratch().maps.keys };
        let mut distinct = keys.all().to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        waits.keys.extend(distinct.into_iter().filter_map(|read| Some((handle(read.slot)?, read))));
        // SAFETY: I9: as above; parts are boxed, and stay until the attempt ends.
        let parts: Vec<*const dyn AnyPart> =
            unsafe { &self.scratch().maps.parts }.iter().map(|(_, part)| &raw const **part).collect();
        // SAFETY: as above.
        let with_ranges = parts.into_iter().filter(|part| unsafe { (**part).has_ranges() });
        // SAFETY: as above.
        let cells: Vec<_> = with_ranges.filter_map(|part| Some((handle(unsafe { (*part).slot() })?, part))).collect();
        drop(handles);
        for (cell, part) in cells {
            // SAFETY: as above; the versions that it has read are pinned.
            waits.ranges.push((cell, unsafe { (*part).settle() }));
        }
        waits
    }
}

impl MapWaits {
    /// Whether something is different in the newest version from what the attempt had read in its own. Runs user code.
    pub(in crate::store) fn are_stale(&self, newest: &Newest<'_>, version: u64) -> bool {
        let newest = newest.root;
        // SAFETY: pinned; the handles keep the slots.
        unsafe {
            let key = |(_, read): &(CellRef, KeyRead)| {
                newer(newest, read.slot, version).is_some_and(|tree| tree.is_stale(read.seen, version))
            };
            let range = |(cell, range): &(CellRef, Box<dyn Settled>)| {
                newer(newest, cell.slot(), version).is_some_and(|tree| range.are_stale(tree, version))
            };
            self.keys.iter().any(key) || self.ranges.iter().any(range)
        }
    }

    pub(in crate::store) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.ranges.is_empty()
    }
}
