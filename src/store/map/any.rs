//! A part of an attempt as the rest of the store sees it: whatever the types of its map are.

use super::super::reclaim::Garbage;
use super::build::{self, BuiltParts};
use super::node::NodePool;
use super::number::number_of;
use super::part::{Job, MOST, Op, Part, What, trash};
use super::ranges::{RangeRead, Segment, Segments, Settled};
use super::row::{are_inline, give};
use super::tree::Tree;
use super::{Key, Value};
use std::any::Any;
use std::mem::needs_drop;

/// A part, whatever its types are.
pub(in crate::store) trait AnyPart: Any + Send {
    fn slot(&self) -> u32;
    /// Undoes the writes of this depth.
    fn undo(&self, depth: u32, trash: &mut Vec<Garbage>);
    /// The writes of this depth are the enclosing one's from now on.
    fn keep(&self, depth: u32, trash: &mut Vec<Garbage>);
    fn is_written(&self) -> bool;
    /// A number of a key that is written and for which the test holds.
    fn find_written(&self, test: &mut dyn FnMut(u64) -> bool) -> Option<u64>;
    /// Whether the whole map is written.
    fn is_cleared(&self) -> bool;
    /// These writes were published: their rows are the tree's.
    fn give(&self, jobs: &[Job]);
    /// Gives the rows that it holds up.
    fn give_rows(&mut self, trash: &mut Vec<Garbage>);
    /// Makes the part as good as new, if that runs no code of the user's; whether it is.
    fn reset(&mut self) -> bool;
    /// Builds the next version; see [`build::build`]. Runs user code.
    ///
    /// # Safety
    /// The base is pinned, and of this part's map.
    unsafe fn build(&self, base: &Tree, version: u64, pool: &mut NodePool, parts: &mut BuiltParts) -> Tree;
    /// Whether a range that was read, as of `version`, is different in `now`; `to_come`: or what its walk can still come to. Runs user code.
    ///
    /// # Safety
    /// Pinned, and of this part's map.
    unsafe fn ranges_are_stale(&self, now: &Tree, version: u64, to_come: bool) -> bool;
    /// Whether a key that is written, not merged, is different in `now` than as of `version`. Runs user code.
    ///
    /// # Safety
    /// Pinned, and of this part's map.
    unsafe fn is_overwritten(&self, now: &Tree, version: u64) -> bool;
    /// Makes the ranges that were read independent of the pinned version: what a sleeper looks at. Runs user code.
    ///
    /// # Safety
    /// The attempt's versions are pinned.
    unsafe fn settle(&self) -> Box<dyn Settled>;
    /// Whether ranges were read.
    fn has_ranges(&self) -> bool;
}

impl<K: Key, V: Value> AnyPart for Part<K, V> {
    fn slot(&self) -> u32 {
        self.slot
    }

    fn undo(&self, depth: u32, trash: &mut Vec<Garbage>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let mut changed = false;
        while let Some(op) = state.ops.pop_if(|op| op.depth >= depth) {
            changed = true;
            match (op.before, &op.what) {
                (before, What::Clear) => state.cleared = before,
                (Some(before), _) => state.ops[before].superseded = false,
                (None, _) => {}
            }
            match op.what {
                What::Put(row) if op.lent => state.undone.push(row),
                what => trash.extend(self::trash(what)),
            }
        }
        if changed {
            // Comparing keys is for whoever looks for one: no code of the user's runs in here.
            state.forget();
        }
    }

    fn keep(&self, depth: u32, trash: &mut Vec<Garbage>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let mut joins = true;
        for at in (0..state.ops.len()).rev() {
            if state.ops[at].depth != depth {
                break;
            }
            state.ops[at].depth = depth - 1;
            let before = state.ops[at].before.filter(|before| {
                let before = &state.ops[*before];
                before.depth == depth - 1 && !before.lent && !matches!(before.what, What::Clear)
            });
            // A loop of parts that write one key keeps one write of it (§2.1).
            joins &= before.is_some() && !matches!(state.ops[at].what, What::Clear);
            if let (true, Some(before)) = (joins, before)
                && let Some(op) = state.ops.pop()
            {
                let last = &mut state.ops[before];
                (last.lent, last.superseded) = (op.lent, false);
                trash.extend(last.what.supersede(op.what));
                // Comparing keys is for whoever looks for one: no code of the user's runs in here.
                state.forget();
            }
        }
    }

    fn is_written(&self) -> bool {
        self.any_ops()
    }

    fn find_written(&self, test: &mut dyn FnMut(u64) -> bool) -> Option<u64> {
        let state = self.state.borrow();
        let from = state.cleared.map_or(0, |at| at + 1);
        state.ops[from..].iter().map(|op| op.number).find(|number| test(*number))
    }

    fn is_cleared(&self) -> bool {
        self.state.borrow().cleared.is_some()
    }

    fn give(&self, jobs: &[Job]) {
        let mut state = self.state.borrow_mut();
        for job in jobs {
            let what = &mut state.ops[job.op].what;
            if matches!(what, What::Put(_))
                && let What::Put(row) = std::mem::replace(what, What::Given)
            {
                // The count is the tree's; of inline types it has the words instead.
                if are_inline::<K, V>() {
                    drop(row);
                } else {
                    std::mem::forget(row);
                }
            }
        }
    }

    fn give_rows(&mut self, trash: &mut Vec<Garbage>) {
        let state = self.state.get_mut();
        trash.extend(state.ops.drain(..).filter_map(|op| self::trash(op.what)));
        trash.extend(state.undone.drain(..).map(|row| Garbage::Value(give(row))));
    }

    fn reset(&mut self) -> bool {
        let state = self.state.get_mut();
        let plain = !needs_drop::<(K, V)>();
        let is_plain = |op: &Op<K, V>| match op.what {
            What::Given | What::Clear | What::PutWords(_) | What::Remove(_, None) => true,
            What::Put(_) | What::Remove(_, Some(_)) => plain,
            What::Merge(..) => false,
        };
        let idle = state.undone.is_empty() || plain;
        let known = !needs_drop::<K>() || (state.ranges.is_empty() && state.points.is_empty());
        if state.ops.len() > MOST || !idle || !known || !state.ops.iter().all(is_plain) {
            return false;
        }
        state.ops.clear();
        state.cleared = None;
        state.ranges.clear();
        state.points.clear();
        state.undone.clear();
        state.merges = false;
        state.forget();
        true
    }

    unsafe fn build(&self, base: &Tree, version: u64, pool: &mut NodePool, parts: &mut BuiltParts) -> Tree {
        // SAFETY: the caller's promise.
        unsafe { build::build(self, base, version, pool, parts) }
    }

    unsafe fn ranges_are_stale(&self, now: &Tree, version: u64, to_come: bool) -> bool {
        let state = self.state.borrow();
        let (kind, compare) = (self.kind, self.compare);
        // SAFETY: the caller's promise.
        let is_stale = |range: &RangeRead<K>| unsafe { range.is_stale::<V>(kind, compare, now, version, to_come) };
        state.ranges.iter().any(is_stale)
            || state.points.iter().any(|(key, present)| {
                // SAFETY: the caller's promise.
                let found =
                    unsafe { self.sought(number_of::<K, K>(key).expect("a key has a number"), key).find::<K, V>(now) };
                found.is_some() != *present || found.is_some_and(|found| found.stamp > version)
            })
    }

    unsafe fn is_overwritten(&self, now: &Tree, version: u64) -> bool {
        let state = self.state.borrow();
        if state.cleared.is_some() {
            return true;
        }
        // SAFETY: the snapshot's version of the map is pinned.
        let then = unsafe { &*self.then.get() };
        state.ops.iter().filter(|op| !op.superseded && !matches!(op.what, What::Merge(..))).any(|op| {
            let sought = self.sought(op.number, op.key());
            // SAFETY: the caller's promise.
            let (then, now) = unsafe { (sought.find::<K, V>(then), sought.find::<K, V>(now)) };
            now.is_some_and(|found| found.stamp > version) || then.is_some() != now.is_some()
        })
    }

    unsafe fn settle(&self) -> Box<dyn Settled> {
        let state = self.state.borrow();
        let segments = state.ranges.iter().flat_map(RangeRead::segments);
        let points = state.points.iter().map(|(key, present)| Segment::point(key.clone(), *present));
        Box::new(Segments::<K, V>::new(self.kind, self.compare, segments.chain(points).collect()))
    }

    fn has_ranges(&self) -> bool {
        let state = self.state.borrow();
        !state.ranges.is_empty() || !state.points.is_empty()
    }
}
