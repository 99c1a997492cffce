//! The limbo: what commits replaced and what may not be freed yet.
//!
//! An entry was reachable in the versions `birth..retire` (I4). History is linear, so it is free as soon as no
//! pinned version lies in there.

use super::announce::{Announcement, Batch, Content};
use super::claims::RetiredInitial;
use super::map;
use super::node::{Inner, Leaf, Root};
use super::value::Header;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::probe::Probe;

/// Something that a commit replaced.
///
/// Four words without padding: thousands of these move in and out of vectors, and a move of anything else goes through memory twice.
pub(super) struct Retired {
    /// First version that reached it (0 for an initial value; for a slot, the variable's `born`).
    pub(super) birth: u64,
    /// First version that does not.
    pub(super) retire: u64,
    kind: Kind,
    /// The thing, by its address; the number of a slot.
    thing: *mut (),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
enum Kind {
    Leaf,
    Inner,
    Root,
    Value,
    Initial,
    MapLeaf,
    MapBranch,
    Plain,
    Slot,
    BoxedSlot,
    Announcement,
    Batch,
    /// One whose end runs no user code: either is right for what was published.
    Content,
    PublishedContent,
    UnpublishedContent,
}

/// What it is.
pub(super) enum What {
    Leaf(*mut Leaf),
    Inner(*mut Inner),
    Root(*mut Root),
    /// A boxed value.
    Value(*mut Header),
    /// The initial value inside a variable.
    Initial(RetiredInitial),
    /// Nodes of a map.
    MapLeaf(*mut map::Leaf),
    MapBranch(*mut map::Branch),
    /// A small value, a row, or the top of a version of a map that has given its nodes up: their ends run no user code.
    Plain(*mut Header),
    /// A slot whose variable is gone (I7); `boxed` if the tree may hold a value.
    Slot {
        slot: u32,
        boxed: bool,
    },
    /// An announced commit whose root was replaced (C8).
    Announcement(*mut Announcement),
    /// What that root said of all that it decided.
    Batch(*mut Batch),
    /// What was announced, once it is decided (C8).
    Content {
        content: *mut Content,
        has_values: bool,
        published: bool,
    },
}

// SAFETY: entries are owned by the limbo they are in; values are `Send + Sync`, nodes are plain memory.
unsafe impl Send for Retired {}

impl Retired {
    #[inline(always)]
    pub(super) fn new(birth: u64, retire: u64, what: What) -> Retired {
        let (kind, thing) = match what {
            What::Leaf(leaf) => (Kind::Leaf, leaf.cast()),
            What::Inner(inner) => (Kind::Inner, inner.cast()),
            What::Root(root) => (Kind::Root, root.cast()),
            What::Value(header) => (Kind::Value, header.cast()),
            What::Initial(initial) => (Kind::Initial, initial.into_raw()),
            What::MapLeaf(leaf) => (Kind::MapLeaf, leaf.cast()),
            What::MapBranch(branch) => (Kind::MapBranch, branch.cast()),
            What::Plain(header) => (Kind::Plain, header.cast()),
            What::Slot { slot, boxed } => {
                (if boxed { Kind::BoxedSlot } else { Kind::Slot }, std::ptr::without_provenance_mut(slot as usize))
            }
            What::Announcement(announcement) => (Kind::Announcement, announcement.cast()),
            What::Batch(batch) => (Kind::Batch, batch.cast()),
            What::Content { content, has_values, published } => {
                let heavy = if published { Kind::PublishedContent } else { Kind::UnpublishedContent };
                (if has_values { heavy } else { Kind::Content }, content.cast())
            }
        };
        Retired { birth, retire, kind, thing }
    }

    #[inline(always)]
    pub(super) fn into_what(self) -> What {
        let this = std::mem::ManuallyDrop::new(self);
        match this.kind {
            Kind::Leaf => What::Leaf(this.thing.cast()),
            Kind::Inner => What::Inner(this.thing.cast()),
            Kind::Root => What::Root(this.thing.cast()),
            Kind::Value => What::Value(this.thing.cast()),
            // SAFETY: made by `into_raw` in `new`; `this` gives it up.
            Kind::Initial => What::Initial(unsafe { RetiredInitial::from_raw(this.thing) }),
            Kind::MapLeaf => What::MapLeaf(this.thing.cast()),
            Kind::MapBranch => What::MapBranch(this.thing.cast()),
            Kind::Plain => What::Plain(this.thing.cast()),
            Kind::Slot | Kind::BoxedSlot => {
                What::Slot { slot: this.thing.addr() as u32, boxed: this.kind == Kind::BoxedSlot }
            }
            Kind::Announcement => What::Announcement(this.thing.cast()),
            Kind::Batch => What::Batch(this.thing.cast()),
            Kind::Content | Kind::PublishedContent | Kind::UnpublishedContent => What::Content {
                content: this.thing.cast(),
                has_values: this.kind != Kind::Content,
                published: this.kind != Kind::UnpublishedContent,
            },
        }
    }

    /// The versions whose pins keep the entry: for a slot, every attempt that began before its freeing (I7).
    #[inline(always)]
    pub(super) fn kept_by(&self) -> std::ops::Range<u64> {
        if matches!(self.kind, Kind::Slot | Kind::BoxedSlot) { 0..self.retire } else { self.birth..self.retire }
    }

    /// Kept snapshots do not count for slots, since they hold no slot numbers, nor for announcements, which they never look at.
    #[inline(always)]
    pub(super) fn ignores_snapshots(&self) -> bool {
        use Kind::{Initial, Inner, Leaf, MapBranch, MapLeaf, Plain, Root, Value};
        !matches!(self.kind, Leaf | Inner | Root | Value | Initial | MapLeaf | MapBranch | Plain)
    }

    /// Whether every snapshot that was ever kept is older: `kept_to` is the newest of them.
    #[inline(always)]
    pub(super) fn is_newer_than_snapshots(&self, kept_to: u64) -> bool {
        self.birth > kept_to || self.ignores_snapshots()
    }

    /// Whether nothing is left to wait for: the variable's last handle has dropped the initial value itself.
    #[inline(always)]
    pub(super) fn is_void(&self) -> bool {
        // SAFETY: made by `into_raw` in `new`, and still this entry's.
        self.kind == Kind::Initial && unsafe { RetiredInitial::is_gone(self.thing) }
    }

    /// Whether freeing it runs user code, so that it should not wait for a batch (§1.7).
    #[inline(always)]
    pub(super) fn has_value(&self) -> bool {
        matches!(
            self.kind,
            Kind::Value | Kind::Initial | Kind::BoxedSlot | Kind::PublishedContent | Kind::UnpublishedContent
        )
    }
}

impl Drop for Retired {
    #[inline(always)]
    fn drop(&mut self) {
        if self.kind == Kind::Initial {
            // SAFETY: as in `into_what`; the entry goes.
            drop(unsafe { RetiredInitial::from_raw(self.thing) });
        }
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

/// A length of the recent entries.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    pub(super) len: usize,
    values: usize,
}

impl Limbo {
    #[inline]
    pub(super) fn push(&mut self, entry: Retired) {
        self.values += usize::from(entry.has_value());
        self.recent.push(entry);
    }

    /// Takes all of a list, in which there may be values.
    pub(super) fn append(&mut self, list: &mut Vec<Retired>, with_values: bool) {
        if with_values {
            self.values += list.iter().filter(|entry| entry.has_value()).count();
        }
        self.recent.append(list);
    }

    /// A point to cut back to.
    pub(super) fn rest(&self) -> Rest {
        Rest { len: self.recent.len(), values: self.values }
    }

    /// Forgets what was pushed since: it was not replaced after all.
    pub(super) fn cut(&mut self, rest: Rest) {
        self.recent.truncate(rest.len);
        self.values = rest.values;
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
