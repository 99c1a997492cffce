//! Maps: each a tree of its own inside one slot, with rows told apart by number and key, and conflicts per key (M1 to M5).

mod build;
mod edit;
mod iter;
mod node;
mod number;
mod ops;
mod overlay;
mod part;
mod ranges;
mod reads;
mod row;
#[cfg(all(test, not(tvar_loom)))]
mod tests;
mod tree;
mod wait;

pub(crate) use iter::Walk;
pub(crate) use number::{kind_of, number_of};
pub(crate) use ops::MapVar;
pub(crate) use part::compare_by_eq;
pub(crate) use row::{Kind, Row, Sought};
pub(crate) use wait::MapWaits;

pub(super) use build::BuiltParts;
pub(super) use node::{Branch, Leaf, NodePool};
pub(super) use part::AnyPart;
pub(super) use tree::Tree;
pub(super) use wait::Unpin;

use reads::KeyLog;

/// What an attempt has done to maps.
#[derive(Default)]
pub(super) struct MapLog {
    keys: KeyLog,
    parts: Vec<(u32, Box<dyn AnyPart>)>,
    /// Something was put in since `clear`.
    used: bool,
}

impl MapLog {
    /// Undoes the writes of this depth.
    pub(super) fn undo(&self, depth: u32, trash: &mut Vec<super::reclaim::Garbage>) {
        self.parts.iter().for_each(|(_, part)| part.undo(depth, trash));
    }

    /// The writes of this depth are the enclosing one's from now on.
    pub(super) fn keep(&self, depth: u32) {
        self.parts.iter().for_each(|(_, part)| part.keep(depth));
    }

    /// Whether anything was done to maps: then the commit is not announced (C9).
    pub(super) fn has_reads(&self) -> bool {
        self.used
    }

    /// The part of a map that has been written.
    pub(super) fn part(&self, slot: u32) -> *const dyn AnyPart {
        let (_, part) = self.parts.iter().find(|(of, _)| *of == slot).expect("a map that is written has a part");
        &raw const **part
    }

    /// The attempt has ended: its parts go to the caller, to be dropped when nothing is borrowed.
    #[inline(always)]
    pub(super) fn clear(&mut self, trash: &mut Vec<super::reclaim::Garbage>) {
        if self.used {
            self.used = false;
            self.keys.clear();
            trash.extend(self.parts.drain(..).map(|(_, part)| super::reclaim::Garbage::Part(part)));
        }
    }
}
