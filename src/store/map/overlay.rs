//! Finds the latest write of a key among many: a private tree of rows whose stamps are positions in the log.

use super::super::value::Word;
use super::edit::{Changes, Editor};
use super::node::{NodePool, Words};
use super::part::Op;
use super::row::{Kind, Sought};
use super::tree::{Rows, Tree};
use std::cmp::Ordering;

/// Up to so many writes a backwards scan serves.
const LINEAR: usize = 16;
/// The version of all nodes of the overlay: they are all its own.
const PRIVATE: u64 = u64::MAX;

/// The overlay; without a tree while a scan serves.
#[derive(Default)]
pub(super) struct Overlay {
    tree: Option<Tree>,
    changes: Changes,
    pool: NodePool,
    /// Writes that it has.
    noted: usize,
}

impl Overlay {
    /// The position of the latest write of a key; `None`: not known here.
    pub(super) fn find<K: 'static, V: 'static, C: Fn(&K) -> Ordering>(
        &self,
        sought: &Sought<C>,
    ) -> Option<Option<usize>> {
        let tree = self.tree.as_ref()?;
        // SAFETY: private; its rows are those of the log, which it follows.
        Some(unsafe { sought.find::<K, V>(tree) }.map(|found| found.stamp as usize))
    }

    /// The log has grown at its end.
    pub(super) fn note_last<K: 'static, V: 'static>(
        &mut self,
        ops: &[Op<K, V>],
        cleared: Option<usize>,
        kind: Kind,
        compare: fn(&K, &K) -> Ordering,
    ) {
        let from = cleared.map_or(0, |at| at + 1);
        if from > self.noted {
            self.forget();
        }
        if self.tree.is_none() && ops.len() - from <= LINEAR {
            return;
        }
        for at in self.noted.max(from)..ops.len() {
            self.note(ops, at, kind, compare);
        }
    }

    /// The write at this position has another row now.
    pub(super) fn note_again<K: 'static, V: 'static>(
        &mut self,
        ops: &[Op<K, V>],
        at: usize,
        kind: Kind,
        compare: fn(&K, &K) -> Ordering,
    ) {
        if self.tree.is_some() {
            let noted = self.noted;
            if self.note(ops, at, kind, compare) == Some(at) {
                self.noted = noted;
            } else {
                // The keys do not say what they said when the row was noted that is about to go.
                self.forget();
            }
        }
    }

    /// Returns the position of the write that was noted for the key before.
    fn note<K: 'static, V: 'static>(
        &mut self,
        ops: &[Op<K, V>],
        at: usize,
        kind: Kind,
        compare: fn(&K, &K) -> Ordering,
    ) -> Option<usize> {
        let (op, tree) = (&ops[at], self.tree.take().unwrap_or_else(|| Tree::dead(Rows::Inline)));
        // If a comparison panics, all is noted again.
        self.noted = 0;
        let sought = Sought { kind, number: op.number, compare: |other: &K| compare(other, op.key()) };
        // SAFETY: private, with rows of the log.
        let spot = unsafe { sought.spot::<K, V>(&tree) };
        let mut editor = Editor::new(&tree, PRIVATE, &mut self.pool, &mut self.changes);
        editor.stamp = at as u64;
        let words = Words { key: op.what.word().expect("has a key"), value: Word::EMPTY };
        // SAFETY: as above.
        unsafe {
            match spot.found {
                Some(_) => editor.replace(spot.rank, op.number, words),
                None => editor.insert(spot.rank, op.number, words),
            }
        }
        self.tree = Some(editor.tree(0));
        self.noted = at + 1;
        spot.found.map(|found| found.stamp as usize)
    }

    /// The log has been cut: begins anew.
    pub(super) fn forget(&mut self) {
        self.tree = None;
        self.noted = 0;
        // SAFETY: the nodes were the tree's alone.
        unsafe { self.changes.forget(&mut self.pool) };
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        self.forget();
    }
}
