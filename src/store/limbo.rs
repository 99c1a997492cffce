//! The limbo: what commits replaced and what may not be freed yet.
//!
//! An entry was reachable in the versions `birth..retire` (I4). History is linear, so it is free as soon as no
//! pinned version lies in there.

use super::cell::RetiredInitial;
use super::node::{Inner, Leaf, Root};
use super::value::Header;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::probe::Probe;

/// Something that a commit replaced.
pub(super) struct Retired {
    /// First version that reached it (0 for an initial value).
    pub(super) birth: u64,
    /// First version that does not.
    pub(super) retire: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Leaf(*mut Leaf),
    Inner(*mut Inner),
    Root(*mut Root),
    /// A boxed value.
    Value(*mut Header),
    /// The initial value inside a variable.
    Initial(RetiredInitial),
    /// A slot whose variable is gone, with the variable's `born` in `birth` (I7); `boxed` if the tree may hold a value.
    Slot {
        slot: u32,
        boxed: bool,
    },
}

// SAFETY: entries are owned by the limbo they are in; values are `Send + Sync`, nodes are plain memory.
unsafe impl Send for Retired {}

impl Retired {
    /// The versions whose pins keep the entry: for a slot, every attempt that began before its freeing (I7).
    pub(super) fn kept_by(&self) -> std::ops::Range<u64> {
        match self.what {
            What::Slot { .. } => 0..self.retire,
            _ => self.birth..self.retire,
        }
    }

    /// Kept snapshots do not count for slots: they hold no slot numbers.
    pub(super) fn ignores_snapshots(&self) -> bool {
        matches!(self.what, What::Slot { .. })
    }

    /// Whether nothing is left to wait for: the variable's last handle has dropped the initial value itself.
    pub(super) fn is_void(&self) -> bool {
        matches!(&self.what, What::Initial(initial) if initial.is_gone())
    }

    /// Whether freeing it runs user code, so that it should not wait for a batch (§1.7).
    #[inline]
    pub(super) fn has_value(&self) -> bool {
        matches!(self.what, What::Value(_) | What::Initial(_) | What::Slot { boxed: true, .. })
    }
}

/// Entries kept by one pin; looked at again when the pin's word has changed.
pub(super) struct Group {
    /// The pin word, by its address, and what it held.
    pub(super) holder: *const AtomicU64,
    pub(super) pinned: u64,
    pub(super) entries: Vec<Retired>,
    /// How many of them have a value.
    pub(super) values: usize,
    /// Number of entries at which void ones are looked for.
    pub(super) purge_at: usize,
}

/// Entries that one pin keeps before void ones among them are looked for; then whenever their number has doubled. So
/// variables that are made, written and dropped during a long pin leave a bounded trace.
pub(super) const PURGE_AT: usize = if cfg!(tvar_loom) { 4 } else { 1024 };

impl Group {
    /// Whether the pin is not what it was.
    fn has_moved(&self) -> bool {
        // ORDERING: Relaxed: only says that a vacuum may pay, which looks properly.
        // SAFETY: pin words live as long as the store.
        unsafe { &*self.holder }.load(Ordering::Relaxed) != self.pinned
    }

    pub(super) fn purge_when_grown(&mut self) {
        if self.entries.len() >= self.purge_at {
            self.entries.retain(|entry| !entry.is_void());
            self.values = self.entries.iter().filter(|entry| entry.has_value()).count();
            self.purge_at = (2 * self.entries.len()).max(PURGE_AT);
        }
    }
}

/// What one thread retired.
#[derive(Default)]
pub(super) struct Limbo {
    pub(super) probe: Probe,
    /// Not looked at yet.
    pub(super) recent: Vec<Retired>,
    /// Looked at, and kept by a thread's pin.
    pub(super) groups: Vec<Group>,
    /// How many of the recent ones have a value.
    pub(super) values: usize,
}

impl Limbo {
    #[inline]
    pub(super) fn push(&mut self, entry: Retired) {
        self.values += usize::from(entry.has_value());
        self.recent.push(entry);
    }

    pub(super) fn append(&mut self, entries: &mut Vec<Retired>) {
        self.values += entries.iter().filter(|entry| entry.has_value()).count();
        self.recent.append(entries);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.recent.len() + self.groups.iter().map(|g| g.entries.len()).sum::<usize>()
    }

    /// Whether values wait for nothing but a vacuum, as far as can be told without a scan.
    #[inline]
    pub(super) fn has_values(&self) -> bool {
        self.values > 0 || self.groups.iter().any(|group| group.values > 0 && group.has_moved())
    }

    /// Takes everything out of another limbo.
    pub(super) fn absorb(&mut self, mut other: Limbo) {
        self.values += other.values;
        self.recent.append(&mut other.recent);
        for group in &mut other.groups {
            self.values += group.values;
            self.recent.append(&mut group.entries);
        }
    }
}
