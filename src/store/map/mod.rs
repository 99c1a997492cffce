//! Maps: each a tree of its own inside one slot, with rows told apart by number and key, and conflicts per key (M1 to M5).

mod any;
mod build;
mod edit;
mod gone;
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
pub(crate) use row::{Kind, RowRef, Sought};
pub(crate) use wait::{Keys, MapWaits};

pub(super) use any::AnyPart;
pub(super) use build::BuiltParts;
pub(super) use node::{Branch, Leaf, NodePool};
pub(super) use tree::Tree;

use super::reclaim::Garbage;
use reads::KeyLog;
use std::any::Any;

/// What a key of a map must be.
pub(crate) trait Key: Clone + Send + Sync + 'static {}
impl<K: Clone + Send + Sync + 'static> Key for K {}

/// What a value of a map must be.
pub(crate) trait Value: Send + Sync + 'static {}
impl<V: Send + Sync + 'static> Value for V {}

/// Parts that a thread keeps.
const SPARE: usize = 4;

/// What an attempt has done to maps.
#[derive(Default)]
pub(super) struct MapLog {
    keys: KeyLog,
    parts: Vec<(u32, Box<dyn AnyPart>)>,
    /// Parts for attempts to come.
    spare: Vec<Box<dyn AnyPart>>,
    /// Something was put in since `clear`.
    used: bool,
}

impl MapLog {
    /// Undoes the writes of this depth.
    pub(super) fn undo(&self, depth: u32, trash: &mut Vec<Garbage>) {
        self.parts.iter().for_each(|(_, part)| part.undo(depth, trash));
    }

    /// The writes of this depth are the enclosing one's from now on.
    pub(super) fn keep(&self, depth: u32, trash: &mut Vec<Garbage>) {
        self.parts.iter().for_each(|(_, part)| part.keep(depth, trash));
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

    /// A part of these types that an earlier attempt has left, as good as new.
    fn take_spare<P: AnyPart>(&mut self, begin: impl FnOnce(&mut P)) -> Option<Box<dyn AnyPart>> {
        let at = self.spare.iter().position(|part| (&**part as &dyn Any).is::<P>())?;
        let mut part = self.spare.swap_remove(at);
        begin((&mut *part as &mut dyn Any).downcast_mut().expect("found by its type"));
        Some(part)
    }

    /// The attempt has ended: parts that hold anything of the user's go to the caller, to be dropped when nothing is borrowed.
    #[inline(always)]
    pub(super) fn clear(&mut self, trash: &mut Vec<Garbage>) {
        if self.used {
            self.clear_used(trash);
        }
    }

    fn clear_used(&mut self, trash: &mut Vec<Garbage>) {
        self.used = false;
        self.keys.clear();
        for (_, mut part) in self.parts.drain(..) {
            if self.spare.len() < SPARE && part.reset() {
                self.spare.push(part);
            } else {
                part.give_rows(trash);
                trash.push(Garbage::Part(part));
            }
        }
    }
}
