//! Commit: validate what was read against the newest map, write the changes into a copy, swap it in.

use std::sync::Arc;

use imbl::{OrdMap, Vector};

use super::space::{RefSpace, Root};
use super::value::Value;
use super::var::VarCore;

/// What an attempt read, by variable number.
pub(super) type Reads = OrdMap<u64, Read>;

/// What an attempt will write, by variable number. A persistent map: undoing a branch puts an old one back.
pub(super) type Writes = OrdMap<u64, Write>;

#[derive(Clone)]
pub(super) struct Read {
    pub(super) var: Arc<VarCore>,
    pub(super) seen: Value,
}

#[derive(Clone)]
pub(super) struct Write {
    pub(super) var: Arc<VarCore>,
    pub(super) effect: Effect,
}

#[derive(Clone)]
pub(super) enum Effect {
    /// The value to publish.
    Set(Value),
    /// Functions for the value that is the newest when the commit gets through, first one first (§4.5).
    Merge(Vector<MergeFn>),
}

pub(super) type MergeFn = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

impl Effect {
    pub(super) fn on(&self, newest: Value) -> Value {
        match self {
            Self::Set(value) => value.clone(),
            Self::Merge(functions) => functions.iter().fold(newest, |value, f| f(&value)),
        }
    }
}

/// Whether everything read still is the newest value, which is what strict serialisability asks for (§2.2).
pub(super) fn still_current(reads: &Reads, root: &Root) -> bool {
    let mut reads = reads.values();
    reads.all(|read| root.value(&read.var) == read.seen)
}

/// Publishes the writes; `false` if a value that was read has been replaced since.
pub(super) fn commit(space: &RefSpace, begun: &Arc<Root>, reads: &Reads, writes: &Writes) -> bool {
    if writes.is_empty() {
        // All reads are of one version, and that version is the place of this transaction in the order (§2.5).
        return true;
    }
    let mut current = space.newest();
    loop {
        if !Arc::ptr_eq(&current, begun) && !still_current(reads, &current) {
            return false;
        }
        match space.swap(&current, successor(&current, writes)) {
            Ok(()) => {
                space.ring();
                return true;
            }
            // Somebody else was first. Only the writes are applied anew (§2.3).
            Err(newer) => current = newer,
        }
    }
}

fn successor(current: &Root, writes: &Writes) -> Root {
    let mut next = current.clone();
    next.version += 1;
    for write in writes.values() {
        let newest = current.value(&write.var);
        let value = write.effect.on(newest.clone());
        // An identical value is no change (§3.1): the old one stays, as far as anybody can tell by looking.
        if value != newest {
            next.values.insert(write.var.id, value);
        }
    }
    next
}
