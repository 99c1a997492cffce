//! What an attempt has taken off the ends of a map, as long as it has done nothing else to it: so that a loop that takes the first (or last) entry out does
//! not look at all those before it each time (M3).

use super::part::{Op, Part, What};
use super::row::Spot;
use super::tree::Tree;
use std::ptr;

/// How many rows of the snapshot's version are gone at its ends.
pub(super) struct Gone {
    /// The version that the counts are of.
    tree: *const Tree,
    /// Writes that they account for: the first ones of the log.
    ops: usize,
    front: usize,
    back: usize,
}

impl Gone {
    pub(super) const NOTHING: Gone = Gone { tree: ptr::null(), ops: 0, front: 0, back: 0 };

    /// Writes have changed that were counted.
    pub(super) fn forget(&mut self) {
        *self = Gone::NOTHING;
    }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Part<K, V> {
    /// How many rows of this version are gone at either end, if the attempt has done nothing else to the map. Runs user code.
    pub(super) fn gone(&self, tree: &Tree) -> Option<(usize, usize)> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let gone = &mut state.gone;
        if !ptr::eq(gone.tree, tree) {
            *gone = Gone { tree, ..Gone::NOTHING };
        }
        while let Some(op) = state.ops.get(gone.ops) {
            let Op { what: What::Remove(..), superseded: false, .. } = op else { return None };
            // SAFETY: the caller's tree is pinned, and of this map.
            let Spot { rank, found } = unsafe { self.sought(op.number, op.key()).spot::<K, V>(tree) };
            match found {
                Some(_) if rank == gone.front => gone.front += 1,
                Some(_) if rank + 1 + gone.back == tree.len() => gone.back += 1,
                _ => return None,
            }
            gone.ops += 1;
        }
        Some((gone.front, gone.back))
    }
}
