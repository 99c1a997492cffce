//! The vacuum: frees what no pin can reach any more (I4).
//!
//! A database's vacuum rather than a collector: an entry says in which versions it was reachable, a scan says which versions
//! are pinned. What a thread's pin keeps waits in a group of that pin and is looked at again when the pin has moved; what a
//! kept snapshot keeps moves over to that snapshot, whose end gives it back.

use super::Store;
use super::kept::KeptRecord;
use super::limbo::{Group, Limbo, PURGE_AT, Retired, What};
use super::member::{Member, Own};
use super::node;
use super::pins::{self, Pinned};
use super::pool::Pool;
use super::reclaim::Garbage;
use super::slots;
use super::value::free_boxed;
use crate::sync::atomic::{AtomicU64, Ordering, model_fence};

/// Entries that a limbo collects before a vacuum is worth its scan, for a store with one thread.
const BATCH: usize = if cfg!(tvar_loom) { 1 } else { 32 };
/// How many more for each further record: a scan looks at all of them.
const BATCH_PER_MEMBER: usize = if cfg!(tvar_loom) { 0 } else { 8 };
/// Freed slots that wait before they enter the limbo.
pub(super) const SLOT_BATCH: usize = if cfg!(tvar_loom) { 1 } else { 128 };
/// Free slots that a thread keeps before it shares half of them.
const SLOTS_KEPT: usize = if cfg!(tvar_loom) { 2 } else { 256 };
/// Vacuums during which an owner must not have begun an attempt before its backlog is adopted.
const IDLE_VACUUMS: u32 = if cfg!(tvar_loom) { 0 } else { 8 };

/// Entries that may be left for the next vacuum to look at again, and for which sorting the kept snapshots would not pay.
const FEW: usize = if cfg!(tvar_loom) { 0 } else { 16 };

/// What one scan found; kept for its allocations and for judging idleness.
#[derive(Default)]
pub(super) struct Pins {
    /// Pins that keep by their word: threads' ones, and markers of snapshots that are being taken.
    words: Vec<WordPin>,
    /// Kept snapshots' pins.
    kept: Vec<(u64, *const KeptRecord)>,
    /// `kept` is sorted by version.
    sorted: bool,
    /// Lowest version that any pin may need.
    lowest: u64,
    /// A record with a backlog and without activity, and what was seen of it.
    idle: Option<Idle>,
}

/// A pin word in use, by its address.
struct WordPin {
    holder: *const AtomicU64,
    raw: u64,
    pinned: Pinned,
}

struct Idle {
    member: *const Member,
    activity: u64,
    vacuums: u32,
}

impl WordPin {
    fn keeps(&self, versions: &std::ops::Range<u64>) -> bool {
        match self.pinned {
            Pinned::Nothing => false,
            Pinned::Exactly(v) => versions.contains(&v),
            Pinned::From(v) => v < versions.end,
        }
    }
}

impl Own {
    /// Whether a commit has left enough behind for a vacuum. A value waits for no batch (§1.7).
    #[inline(always)]
    pub(super) fn due(&self, limbo: &Limbo) -> bool {
        limbo.recent.len() >= self.due_at || limbo.values > 0
    }
}

/// Whether the owner should run a vacuum before it leaves, all told: nodes and slots wait for a batch.
pub(super) fn due(own: &Own, limbo: &Limbo) -> bool {
    own.due(limbo) || limbo.has_values() || own.freed_boxed || own.freed.len() >= SLOT_BATCH
}

/// Notes what waits in the limbo for a later vacuum.
#[inline(always)]
pub(super) fn leave_rest(own: &mut Own, limbo: &Limbo, member: &Member) {
    own.attention = limbo.values > 0 || limbo.groups.iter().any(|group| group.values > 0);
    member.set_backlog(limbo);
}

/// Whether a variable has died whose value may still be in the tree.
pub(super) fn due_for_values(own: &Own) -> bool {
    own.freed_boxed
}

/// Moves the slots of dead variables into the limbo.
///
/// `newest` is a version published after the last handles went: an attempt that can still have such a slot in its
/// logs has pinned a version up to it (I7).
pub(super) fn retire_freed(own: &mut Own, limbo: &mut Limbo, newest: u64) {
    for freed in own.freed.drain(..) {
        let what = What::Slot { slot: freed.slot, boxed: freed.boxed };
        limbo.push(Retired::new(freed.born, newest + 1, what));
    }
    own.freed_boxed = false;
}

/// Frees what it can of the owner's limbo; values end up in `own.garbage`, for the caller to drop when it has left.
///
/// # Safety
/// I9: the caller owns `member`, whose first word is not idle and whose second word is unused.
pub(super) unsafe fn vacuum(store: &Store, member: &Member) {
    // SAFETY: I9: the caller's promise; no user code runs in here.
    let (own, limbo) = unsafe { (member.own(), member.limbo()) };
    let Own { pins, pool, garbage, freeing, .. } = own;
    adopt_idle(pins, limbo);
    let mut free = Free { pool, garbage, slots: freeing };
    scan_words(store, member, pins);
    if !first_look(store, pins, limbo, &mut free) {
        second_look(store, member, pins, limbo, &mut free);
    }
    limbo.values = limbo.recent.iter().filter(|entry| entry.has_value()).count();
    own.due_at = BATCH + BATCH_PER_MEMBER * store.member_count();
    leave_rest(own, limbo, member);
    // SAFETY: as promised to this function.
    unsafe { release_slots(store, member) };
}

/// Looks at the threads' words alone. Mostly nobody needs anything, or what somebody needs is soon free; `false` if that is not so.
#[inline(always)]
fn first_look(store: &Store, pins: &Pins, limbo: &mut Limbo, free: &mut Free<'_>) -> bool {
    if !limbo.groups.is_empty() {
        return false;
    }
    let kept_to = store.keeping.newest();
    let unkept = |entry: &Retired| pins.no_word_keeps(entry) && entry.is_newer_than_snapshots(kept_to);
    // SAFETY: each entry is moved out of its place once, and freed or put back at the front; what is left is counted in.
    unsafe {
        let (entries, len) = (limbo.recent.as_mut_ptr(), limbo.recent.len());
        limbo.recent.set_len(0);
        let mut left = 0;
        for at in 0..len {
            let entry = entries.add(at).read();
            if unkept(&entry) {
                free.entry(entry);
            } else {
                entries.add(left).write(entry);
                left += 1;
            }
        }
        limbo.recent.set_len(left);
    }
    // What a snapshot keeps must be hung on it, or its end would not free it (§1.5).
    limbo.recent.len() <= FEW && limbo.recent.iter().all(|entry| entry.is_newer_than_snapshots(kept_to))
}

/// Looks at the kept snapshots as well, and sorts what is kept by what keeps it.
#[inline(never)]
fn second_look(store: &Store, member: &Member, pins: &mut Pins, limbo: &mut Limbo, free: &mut Free<'_>) {
    loop {
        scan_kept(store, pins);
        recheck_groups(limbo, pins);
        if limbo.recent.len() > FEW {
            pins.kept.sort_unstable_by_key(|(v, _)| *v);
            pins.sorted = true;
        }
        let mut work = std::mem::take(&mut limbo.recent);
        let mut kept: Vec<(usize, Vec<Retired>)> = Vec::new();
        for entry in work.drain(..) {
            let versions = entry.kept_by();
            if versions.end <= pins.lowest || entry.is_void() {
                free.entry(entry);
            } else if let Some(pin) = pins.words.iter().find(|pin| pin.keeps(&versions)) {
                limbo.keep_for(pin, entry);
            } else if let Some(i) = pins.snapshot_in(&versions, &entry) {
                match kept.iter_mut().find(|(k, _)| *k == i) {
                    Some((_, list)) => list.push(entry),
                    None => kept.push((i, vec![entry])),
                }
            } else {
                free.entry(entry);
            }
        }
        limbo.recent = work;
        for (i, entries) in kept {
            let (version, record) = pins.kept[i];
            // SAFETY: records of kept snapshots live as long as the store.
            unsafe { (*record).hang(version, entries, &mut limbo.recent) };
        }
        if limbo.recent.is_empty() {
            return;
        }
        // A snapshot went while entries were being hung on it: they came back and are looked at again.
        scan_words(store, member, pins);
    }
}

impl Pins {
    /// Whether no thread's pin reaches an entry.
    #[inline(always)]
    fn no_word_keeps(&self, entry: &Retired) -> bool {
        if entry.retire <= self.lowest {
            return true;
        }
        let versions = entry.kept_by();
        !self.words.iter().any(|pin| pin.keeps(&versions))
    }

    /// A kept snapshot with a version in the range.
    fn snapshot_in(&self, versions: &std::ops::Range<u64>, entry: &Retired) -> Option<usize> {
        if entry.ignores_snapshots() {
            return None;
        }
        if !self.sorted {
            return self.kept.iter().position(|(v, _)| versions.contains(v));
        }
        let i = self.kept.partition_point(|(v, _)| *v < versions.start);
        (i < self.kept.len() && self.kept[i].0 < versions.end).then_some(i)
    }
}

impl Limbo {
    fn keep_for(&mut self, pin: &WordPin, entry: Retired) {
        let found = self.groups.iter_mut().find(|g| std::ptr::eq(g.holder, pin.holder) && g.pinned == pin.raw);
        let values = usize::from(entry.has_value());
        match found {
            Some(group) => {
                group.values += values;
                group.entries.push(entry);
                group.purge_when_grown();
            }
            None => self.groups.push(Group {
                holder: pin.holder,
                pinned: pin.raw,
                entries: vec![entry],
                values,
                purge_at: PURGE_AT,
            }),
        }
    }
}

/// Reads the pin words of all threads. Must come after the swaps that retired what is to be freed (and after adoption).
fn scan_words(store: &Store, me: &Member, pins: &mut Pins) {
    // ORDERING: for loom, stands for the SeqCst of the retiring swaps and of the loads below, those of `scan_kept` too.
    model_fence();
    pins.words.clear();
    pins.lowest = u64::MAX;
    let mut idle = None;
    for member in store.members() {
        // The second word before the others: a pin that moves enters one of them before it leaves the second (I5).
        for word in [&member.words[1], &member.words[0], &member.words[2]] {
            pins.see(word, false);
        }
        if idle.is_none() && !std::ptr::eq(member, me) && member.offers_backlog() {
            idle = Some(member);
        }
    }
    pins.watch(idle);
}

/// Reads the pin words of all kept snapshots: after [`scan_words`], since a pin that is handed over enters the registry before it leaves
/// the word.
fn scan_kept(store: &Store, pins: &mut Pins) {
    pins.kept.clear();
    for record in store.kept_records() {
        if let Some(version) = pins.see(&record.word, true) {
            pins.kept.push((version, record));
        }
    }
    pins.sorted = false;
}

fn load(word: &AtomicU64) -> u64 {
    // ORDERING: SeqCst: after the retiring swaps in the total order, partner: the marker in `pins::acquire`; Acquire for
    // what was read under an ended pin, partner: the Release of `pins::release`.
    word.load(Ordering::SeqCst)
}

impl Pins {
    /// Notes what a word pins; the version that a kept snapshot pins is returned instead. A snapshot that is being taken may pin any
    /// version from its marker on, so it counts like a thread's word.
    fn see(&mut self, word: &AtomicU64, kept: bool) -> Option<u64> {
        let raw = load(word);
        let pinned = pins::decode(raw);
        let (Pinned::Exactly(v) | Pinned::From(v)) = pinned else { return None };
        self.lowest = self.lowest.min(v);
        if kept && pinned == Pinned::Exactly(v) {
            return Some(v);
        }
        self.words.push(WordPin { holder: word, raw, pinned });
        None
    }

    /// Follows one record that has a backlog, to see whether its owner is idle.
    fn watch(&mut self, candidate: Option<&Member>) {
        self.idle = candidate.map(|member| {
            let activity = member.activity();
            match &self.idle {
                Some(idle) if std::ptr::eq(idle.member, member) && idle.activity == activity => {
                    Idle { member, activity, vacuums: idle.vacuums + 1 }
                }
                _ => Idle { member, activity, vacuums: 0 },
            }
        });
    }
}

/// Takes over the backlog of a thread that is gone or has been idle for a while (§1.7), before the scan.
#[cfg_attr(tvar_loom, allow(clippy::absurd_extreme_comparisons, reason = "models adopt at once"))]
fn adopt_idle(pins: &mut Pins, limbo: &mut Limbo) {
    let Some(idle) = &pins.idle else { return };
    // SAFETY: records live as long as the store.
    let member = unsafe { &*idle.member };
    if member.has_owner() && idle.vacuums < IDLE_VACUUMS {
        return;
    }
    pins.idle = None;
    if let Some(backlog) = member.adopt() {
        limbo.absorb(*backlog);
    }
}

/// Takes over what threads that are gone have left. For a thread that goes: it may be the last to see to it.
///
/// # Safety
/// I9: the caller owns `member`, whose first word is not idle.
pub(super) unsafe fn adopt_ownerless(store: &Store, member: &Member) {
    for other in store.members().filter(|other| !other.has_owner() && other.offers_backlog()) {
        if let Some(backlog) = other.adopt() {
            // SAFETY: I9: the caller's promise.
            unsafe { member.limbo() }.absorb(*backlog);
        }
    }
}

/// Groups whose pin has moved are looked at again.
fn recheck_groups(limbo: &mut Limbo, pins: &Pins) {
    let recent = &mut limbo.recent;
    limbo.groups.retain_mut(|group| {
        let unchanged = pins.words.iter().any(|pin| std::ptr::eq(pin.holder, group.holder) && pin.raw == group.pinned);
        if !unchanged {
            recent.append(&mut group.entries);
        }
        unchanged
    });
}

/// Where what is free goes.
struct Free<'a> {
    pool: &'a mut Pool,
    garbage: &'a mut Vec<Garbage>,
    slots: &'a mut Vec<(u32, u64, bool)>,
}

impl Free<'_> {
    #[inline(always)]
    fn entry(&mut self, entry: Retired) {
        let birth = entry.birth;
        match entry.into_what() {
            // SAFETY: I4: no pinned version reaches the node, and no later root does.
            What::Leaf(leaf) => unsafe { self.pool.put_leaf(leaf) },
            // SAFETY: as above.
            What::Inner(inner) => unsafe { self.pool.put_inner(inner) },
            // SAFETY: as above.
            What::Root(root) => unsafe { self.pool.put_root(root) },
            // SAFETY: as above.
            What::MapLeaf(leaf) => unsafe { self.pool.maps.put_leaf(leaf) },
            // SAFETY: as above.
            What::MapBranch(branch) => unsafe { self.pool.maps.put_branch(branch) },
            // SAFETY: as above.
            What::Plain(header) => unsafe { free_boxed(header) },
            What::Value(header) => self.garbage.push(Garbage::Value(header)),
            What::Initial(retired) => self.garbage.push(Garbage::Initial(retired)),
            What::Slot { slot, boxed } => self.slots.push((slot, birth, boxed)),
            // SAFETY: C8, I4: as above; it came out of a box when it was linked.
            What::Announcement(announcement) => unsafe {
                (*announcement).probe.write(false);
                drop(Box::from_raw(announcement));
            },
            // SAFETY: C8, I4: as above; it came out of a box when its root was built.
            What::Batch(batch) => unsafe {
                (*batch).probe.write(false);
                drop(Box::from_raw(batch));
            },
            // SAFETY: C8, I4: as above.
            What::Content { content, published, .. } => unsafe {
                self.pool.put_content(content, published, self.garbage)
            },
        }
    }
}

/// Makes slots free for new variables, and drops the values that their last owners left in the tree (I6, I7).
///
/// # Safety
/// As for [`vacuum`].
unsafe fn release_slots(store: &Store, member: &Member) {
    // SAFETY: I9: the caller's promise.
    if unsafe { member.own() }.freeing.is_empty() {
        return;
    }
    // SAFETY: I9: the caller's promise.
    let root = unsafe { member.pin_base(store.newest()) };
    // SAFETY: I9: as above; I3: `root` is pinned.
    let (own, now) = unsafe { (member.own(), (*root).version) };
    let Own { freeing, garbage, slots, .. } = &mut *own;
    for (slot, born, boxed) in freeing.drain(..) {
        if boxed {
            // SAFETY: I3: `root` is pinned.
            let found = unsafe { node::find(root, slot) };
            // SAFETY: I3, and I7: nobody writes the slot any more, so the newest word is the last one; its stamp says that
            // it is the dead variable's, whose type is boxed; no handle is left to read it through.
            unsafe {
                if !found.is_null() && (*found).stamp > born {
                    garbage.push(Garbage::Value((*found).word.header()));
                }
            }
        }
        slots.push((slot, now));
    }
    pins::release(&member.words[1]);
    if own.slots.len() > SLOTS_KEPT {
        store.share_slots(&mut own.slots, SLOTS_KEPT / 2);
        // SAFETY: I9: as promised to this function; the references above have ended.
        unsafe { slots::prune(store, member) };
    }
}
