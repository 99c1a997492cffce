//! Building the next root and swapping it in (I1, I2).

use super::limbo::{Retired, What};
use super::merge::{self, OwnedWord, Source};
use super::node::{self, Child, Inner, JOURNAL, Journal, Leaf, Root};
use super::pins;
use super::reclaim::Garbage;
use super::value::Word;
use super::workspace::{Workspace, slot_at};
use crate::sync::atomic::{Ordering, model_fence};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Vectors that a build needs.
#[derive(Default)]
pub(super) struct Buffers {
    /// Nodes made for the root that is being built.
    fresh: Vec<Fresh>,
    /// What that root replaces.
    retired: Vec<Retired>,
    /// Slots that it changes.
    changed: Vec<u32>,
    /// Results of merge functions, with the positions of their entries.
    merged: Vec<(usize, OwnedWord)>,
}

enum Fresh {
    Leaf(*mut Leaf),
    Inner(*mut Inner),
}

/// What a commit is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The attempt's own snapshot is still the newest version: everything read is current.
    Snapshot,
    /// A newer version.
    Newer,
}

/// How an attempt to publish went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Published {
    /// The root was swapped.
    Yes,
    /// Nothing would change: no root was made.
    Unchanged,
    /// Somebody else swapped first.
    Lost,
}

impl Workspace<'_> {
    /// Picks the newest root to build on, pinned (I3: until after the swap, or a recycled address could pass for it).
    #[inline]
    pub(crate) fn choose_base(&mut self) -> Base {
        // From here on the snapshot may be let go, so it is not on offer any more.
        super::local::offer_root(self.seat.store, std::ptr::null());
        // ORDERING: SeqCst: before the look at the turn in the total order; partner: the swap of the turn's holder. Content:
        // the root is used only if it is the pinned one.
        if self.base.is_null() && std::ptr::eq(self.seat.store.newest().load(Ordering::SeqCst), self.root) {
            self.base = self.root;
            self.base_word = 0;
            return Base::Snapshot;
        }
        // SAFETY: I9: the seat's owner is this thread; the second word is the base's.
        self.base = unsafe { self.seat.member.pin_base(self.seat.store.newest()) };
        self.base_word = 1;
        // By version: after a lost swap the snapshot may not be pinned any more, and its address may be another root's.
        // SAFETY: I3: the base was pinned just now.
        if unsafe { self.base_version() } == self.version { Base::Snapshot } else { Base::Newer }
    }

    /// Whether a slot was written between the snapshot and the base.
    #[inline]
    pub(crate) fn changed_since_snapshot(&self, slot: u32) -> bool {
        // SAFETY: I3: the base is pinned.
        unsafe { node::stamp(self.base, slot) > self.version }
    }

    /// Of the variables written (not merged), the first that was written between the snapshot and the base.
    pub(crate) fn first_overwritten(&self) -> Option<u32> {
        // SAFETY: I9: no user code runs; I3: the base is pinned.
        unsafe {
            let entries = &self.scratch().writes.entries;
            let mut written = entries.iter().filter(|entry| !entry.state.is_merge());
            written.find(|entry| node::stamp(self.base, entry.slot) > self.version).map(|entry| entry.slot)
        }
    }

    /// Whether the base is still the newest root.
    pub(crate) fn base_is_newest(&self) -> bool {
        // ORDERING: SeqCst: decides whether a panic counted, like the swap that it stands for.
        std::ptr::eq(self.seat.store.newest().load(Ordering::SeqCst), self.base)
    }

    /// Applies the merge functions to the base, and the `then` functions to what will be published.
    ///
    /// # Errors
    /// The payload, if one of them panics.
    #[inline]
    pub(crate) fn evaluate(&mut self) -> Result<(), Box<dyn Any + Send>> {
        // SAFETY: I9: a short look.
        let (merges, thens) = unsafe {
            let writes = &self.scratch().writes;
            (writes.entries.iter().any(|entry| entry.state.is_merge()), !writes.thens.is_empty())
        };
        if !merges && !thens {
            return Ok(());
        }
        catch_unwind(AssertUnwindSafe(|| self.run_functions()))
    }

    fn run_functions(&mut self) {
        // SAFETY: (all blocks of this function) I9: functions and handles are cloned out, so that nothing is borrowed while user code runs;
        // the set of entries does not change during a commit.
        let count = unsafe { self.scratch() }.writes.entries.len();
        for at in 0..count {
            // SAFETY: as above; I3: the source is in the pinned base, or the initial value of a variable unwritten there (I8), whose
            // handle the entry holds.
            unsafe {
                let entry = &self.scratch().writes.entries[at];
                if !entry.state.is_merge() {
                    continue;
                }
                let (merges, inline) = (entry.state.merges.clone(), entry.state.is_inline());
                let found = node::find(self.base, entry.slot);
                let source = if !found.is_null() && (*found).stamp > entry.born {
                    Source::Word(&raw const (*found).word)
                } else {
                    Source::Initial(entry.cell.as_ref().expect("unwritten in the base, so in the snapshot").as_ptr())
                };
                let mut made = Made { words: Vec::new(), scratch: self };
                merge::apply_all(&merges, source, inline, &mut made.words);
                let owned = made.words.pop().expect("a merge entry has at least one function");
                drop(made);
                self.scratch().build.merged.push((at, owned));
            }
        }
        // SAFETY: as above.
        let thens = unsafe { self.scratch() }.writes.thens.len();
        for i in 0..thens {
            // SAFETY: as above; the `then` functions and the words that they look at stay where they are during the commit.
            unsafe {
                let scratch = self.scratch();
                let then = &raw const *scratch.writes.thens[i].f;
                let at = scratch.writes.find(scratch.writes.thens[i].slot).expect("a `then` has an entry");
                let merged = scratch.build.merged.iter().find(|(position, _)| *position == at);
                let word = merged.map_or(scratch.writes.entries[at].state.word, |(_, owned)| owned.word);
                let before = (*then).evaluate(&raw const word);
                self.scratch().trash.extend(before.map(Garbage::Result));
            }
        }
    }

    /// Forgets what [`Workspace::evaluate`] computed for a base that was not published. Destructors wait for the end of the attempt.
    pub(crate) fn discard_evaluation(&mut self) {
        // SAFETY: I9: no user code runs.
        let scratch = unsafe { self.scratch() };
        scratch.trash.extend(scratch.build.merged.drain(..).filter_map(|(_, owned)| owned.into_garbage()));
    }

    /// Has a panic's payload dropped when the attempt has ended.
    pub(crate) fn drop_later(&mut self, payload: Box<dyn Any + Send>) {
        // SAFETY: I9: no user code runs.
        unsafe { self.scratch() }.trash.push(Garbage::Result(payload));
    }

    /// Swaps in a root with the base's content; `false` if somebody else swapped first. For an empty write set.
    pub(crate) fn publish_same(&mut self, waiters: bool) -> bool {
        debug_assert!(self.is_read_only());
        self.publish_draft(waiters, true) == Published::Yes
    }

    /// Builds the next root and tries to swap it in. `waiters`: somebody waits, so the root notes what it changes and is
    /// pinned from after the swap until [`Workspace::set_announced`].
    #[inline]
    pub(crate) fn publish(&mut self, waiters: bool) -> Published {
        self.publish_draft(waiters, false)
    }

    #[inline(always)]
    fn publish_draft(&mut self, waiters: bool, even_unchanged: bool) -> Published {
        let (store, member) = (self.seat.store, self.seat.member);
        // SAFETY: I9: no user code runs in here; I3: the base is pinned.
        let (own, scratch) = unsafe { (member.own(), self.scratch()) };
        let (writes, buffers) = (&mut scratch.writes, &mut scratch.build);
        debug_assert!(buffers.fresh.is_empty() && buffers.retired.is_empty());
        buffers.changed.clear();
        // SAFETY: I3: the base is pinned.
        let (base, version) = unsafe { (&*self.base, self.base_version() + 1) };
        let mut draft = Draft { root: std::ptr::null_mut(), version, base, pool: &mut own.pool, buffers };
        let mut merged = 0;
        for (at, entry) in writes.entries.iter().enumerate() {
            let old = slot_at(base, entry.slot);
            let written = old.stamp > entry.born;
            let mut word = entry.state.word;
            if entry.state.is_merge() {
                // Merges were evaluated in the order of the entries.
                debug_assert_eq!(draft.buffers.merged[merged].0, at);
                word = draft.buffers.merged[merged].1.word;
                merged += 1;
            }
            if entry.state.is_inline() {
                let before = match (&entry.cell, written) {
                    (_, true) => old.word,
                    (Some(cell), false) => cell.initial_word(),
                    (None, false) => {
                        unreachable!("unwritten in the base, so in the snapshot, where the handle was kept")
                    }
                };
                // An identical value is no change (§3.1).
                if before.same_bits(word) {
                    continue;
                }
            }
            if !written {
                let cell = entry.cell.as_ref().expect("unwritten in the base, so in the snapshot");
                draft.retire(0, What::Initial(cell.retire_initial()));
            } else if !entry.state.is_inline() {
                // SAFETY: a stamp after `born` is of this variable (I6), whose type is boxed.
                draft.retire(old.stamp, What::Value(unsafe { old.word.header() }));
            }
            // SAFETY: I2: the draft is private, the base pinned.
            unsafe { draft.set(entry.slot, word) };
        }
        if draft.buffers.changed.is_empty() && !even_unchanged {
            return Published::Unchanged;
        }
        // SAFETY: I2: as above.
        let root = unsafe { draft.finish(waiters) };
        crate::sync::steps::pass(crate::sync::steps::Point::Swap);
        // ORDERING: SeqCst: Release for the new nodes, partner: the loads in `pins::acquire`; before the look at the waiters and
        // before the vacuum's scan in the total order. Relaxed on failure: what was found is not used.
        let swapped = store.newest().compare_exchange(self.base.cast_mut(), root, Ordering::SeqCst, Ordering::Relaxed);
        model_fence();
        // SAFETY: I9: the hook has returned.
        let (own, scratch) = unsafe { (member.own(), self.scratch()) };
        let buffers = &mut scratch.build;
        if swapped.is_err() {
            // SAFETY: I2: never published.
            unsafe { unmake(root, buffers, &mut own.pool) };
            return Published::Lost;
        }
        // SAFETY: I9: the first word is not idle: the attempt has not ended.
        let limbo = unsafe { member.limbo() };
        limbo.push(Retired { birth: version - 1, retire: version, what: What::Root(self.base.cast_mut()) });
        limbo.append(&mut buffers.retired);
        buffers.fresh.clear();
        buffers.merged.drain(..).for_each(|(_, owned)| owned.publish());
        own.seen = version;
        self.published = true;
        if waiters {
            self.pin_own(version);
        }
        Published::Yes
    }

    /// Pins the root that was just published, to mark it as announced later; unless it has been replaced already: then the next
    /// committer has found it unannounced and has taken its debts over (W3).
    ///
    /// The word that does not hold the base is free now, but not before the swap: until then the snapshot's pin is what keeps the
    /// slots in the logs from being reused (I7).
    #[cold]
    fn pin_own(&mut self, version: u64) {
        let word = &self.seat.member.words[1 - self.base_word];
        let (newest, _) = pins::acquire(word, version, self.seat.store.newest());
        // SAFETY: I3: pinned just now. By version, since the address may be another root's by now.
        self.new_root = (unsafe { (*newest).version } == version).then_some(newest);
    }

    /// Hands the results of `merge_then` over, after the swap.
    #[inline]
    pub(crate) fn deliver(&mut self) {
        // SAFETY: I9: a short look.
        if !unsafe { self.scratch() }.writes.thens.is_empty() {
            self.deliver_results();
        }
    }

    #[cold]
    fn deliver_results(&mut self) {
        // SAFETY: I9: taken out before user code (the drop of an older result) can run.
        let thens = std::mem::take(unsafe { &mut self.scratch().writes.thens });
        thens.iter().for_each(|then| then.f.deliver());
        // SAFETY: I9: as above. They are dropped with the write set.
        unsafe { self.scratch() }.writes.thens = thens;
    }

    /// The slots that the published root changed.
    pub(crate) fn changed(&self) -> &[u32] {
        // SAFETY: I9: the buffers do not change before the next attempt.
        unsafe { &self.scratch().build.changed }
    }

    /// What the base's committer has not announced yet; `None` if it has.
    pub(crate) fn unannounced(&self) -> Option<Journal> {
        // SAFETY: I3: the base stays pinned until the attempt ends.
        let base = unsafe { &*self.base };
        // ORDERING: Acquire: the wake-ups come before the mark; partner: `set_announced`.
        (!base.announced.load(Ordering::Acquire)).then_some(base.journal)
    }

    /// Everybody who waited for what this commit (and its base's) wrote has been told.
    pub(crate) fn set_announced(&mut self) {
        if let Some(root) = self.new_root.take() {
            // ORDERING: Release: partner: `unannounced`.
            // SAFETY: I3: pinned since before the swap.
            unsafe { &*root }.announced.store(true, Ordering::Release);
        }
    }

    /// # Safety
    /// The base is chosen and pinned.
    unsafe fn base_version(&self) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { (*self.base).version }
    }
}

/// Results of merge functions; those that are not taken out go to the trash, also when a function panics.
struct Made<'a, 's> {
    words: Vec<OwnedWord>,
    scratch: &'a Workspace<'s>,
}

impl Drop for Made<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: I9: no user code runs.
        let trash = unsafe { &mut self.scratch.scratch().trash };
        trash.extend(self.words.drain(..).filter_map(OwnedWord::into_garbage));
    }
}

/// A root that is being built.
struct Draft<'a> {
    root: *mut Root,
    version: u64,
    base: &'a Root,
    pool: &'a mut super::pool::Pool,
    buffers: &'a mut Buffers,
}

impl Draft<'_> {
    fn retire(&mut self, birth: u64, what: What) {
        self.buffers.retired.push(Retired { birth, retire: self.version, what });
    }

    fn root(&mut self) -> *mut Root {
        if self.root.is_null() {
            self.root = self.pool.root(&self.base.children, self.base.height, self.version);
        }
        self.root
    }

    /// Writes a slot, copying the path to it where the draft does not own it yet (a node's birth tells, I2).
    ///
    /// # Safety
    /// The draft is private; the base is pinned.
    unsafe fn set(&mut self, slot: u32, word: Word) {
        let root = self.root();
        // SAFETY: the caller's promise, for everything below.
        unsafe {
            while u64::from(slot) >= node::capacity((*root).height) {
                self.grow(root);
            }
            let mut level = (*root).height + 1;
            let mut place: *mut Child = &raw mut (*root).children[node::digit(slot, level)];
            loop {
                level -= 1;
                if level == 0 {
                    break;
                }
                let inner = *place;
                if inner.is_null() || (*inner).birth != self.version {
                    if !inner.is_null() {
                        self.retire((*inner).birth, What::Inner(inner));
                    }
                    *place = self.pool.inner(inner, self.version);
                    self.buffers.fresh.push(Fresh::Inner(*place));
                }
                place = &raw mut (**place).children[node::digit(slot, level)];
            }
            let mut leaf = (*place).cast::<Leaf>();
            if leaf.is_null() || (*leaf).birth != self.version {
                if !leaf.is_null() {
                    self.retire((*leaf).birth, What::Leaf(leaf));
                }
                leaf = self.pool.leaf(leaf, self.version);
                self.buffers.fresh.push(Fresh::Leaf(leaf));
                *place = leaf.cast();
            }
            (*leaf).slots[node::digit(slot, 0)] = node::Slot { stamp: self.version, word };
        }
        self.buffers.changed.push(slot);
    }

    /// One level more: the old children go under the first child.
    ///
    /// # Safety
    /// As for [`Draft::set`].
    unsafe fn grow(&mut self, root: *mut Root) {
        // SAFETY: the caller's promise; the new inner node is private.
        unsafe {
            let children = &mut (*root).children;
            if children.iter().any(|child| !child.is_null()) {
                let inner = self.pool.inner(std::ptr::null(), self.version);
                self.buffers.fresh.push(Fresh::Inner(inner));
                (*inner).children = *children;
                *children = [std::ptr::null_mut(); node::FAN];
                children[0] = inner;
            }
            (*root).height += 1;
        }
    }

    /// The finished root, with its journal if somebody waits.
    ///
    /// # Safety
    /// As for [`Draft::set`].
    unsafe fn finish(&mut self, waiters: bool) -> *mut Root {
        let root = self.root();
        if waiters {
            let mut journal = Some(Vec::new());
            // ORDERING: Acquire: partner: `set_announced`.
            if !self.base.announced.load(Ordering::Acquire) {
                // The base's debts become this root's, until its own committer has paid them (§4.1).
                journal = match self.base.journal {
                    Journal::Unknown => None,
                    Journal::Slots { len, slots } => Some(slots[..usize::from(len)].to_vec()),
                };
            }
            let own = &self.buffers.changed;
            if let Some(mut owed) = journal.filter(|owed| owed.len() + own.len() <= JOURNAL) {
                owed.extend_from_slice(own);
                let mut slots = [0; JOURNAL];
                slots[..owed.len()].copy_from_slice(&owed);
                // SAFETY: the root is private.
                unsafe { (*root).journal = Journal::Slots { len: owed.len() as u8, slots } };
            }
        }
        root
    }
}

/// Takes a draft that was not published apart.
///
/// # Safety
/// Its nodes are the caller's.
#[cold]
unsafe fn unmake(root: *mut Root, buffers: &mut Buffers, pool: &mut super::pool::Pool) {
    // SAFETY: never published: nobody else has seen the nodes.
    unsafe {
        for fresh in buffers.fresh.drain(..) {
            match fresh {
                Fresh::Leaf(leaf) => pool.put_leaf(leaf),
                Fresh::Inner(inner) => pool.put_inner(inner),
            }
        }
        pool.put_root(root);
    }
    // What would have been replaced has not been.
    buffers.retired.clear();
}
