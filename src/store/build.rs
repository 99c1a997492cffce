//! Building the next root and swapping it in (I1, I2).

use super::cell::CellRef;
use super::limbo::{Limbo, Retired, What};
use super::merge::{self, OwnedWord, Source};
use super::node::{self, Child, JOURNAL, Journal, Leaf, Root, Slot};
use super::pins;
use super::pool::Pool;
use super::reclaim::Garbage;
use super::value::Word;
use super::workspace::{Workspace, slot_at};
use crate::sync::atomic::{Ordering, model_fence};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Vectors that a build needs.
#[derive(Default)]
pub(super) struct Buffers {
    /// Slots that the root that is being built changes.
    changed: Vec<u32>,
    /// Results of merge functions, with the positions of their entries.
    merged: Vec<(usize, OwnedWord)>,
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
    /// Picks the snapshot to build on, if it is still the newest version.
    #[inline(always)]
    pub(crate) fn try_base_on_snapshot(&mut self) -> bool {
        // From here on the snapshot may be let go, so it is not on offer any more.
        super::local::withdraw_root();
        // ORDERING: SeqCst: before the look at the turn in the total order; partner: the swap of the turn's holder. Content:
        // the root is used only if it is the pinned one.
        if self.base.is_null() && std::ptr::eq(self.seat.store.newest().load(Ordering::SeqCst), self.root) {
            self.base = self.root;
            self.base_word = 0;
            return true;
        }
        false
    }

    /// Whether there are merge functions or functions of what will be published.
    #[inline(always)]
    pub(crate) fn has_functions(&self) -> bool {
        // SAFETY: I9: a short look.
        unsafe { self.scratch() }.writes.functions
    }

    /// Picks the newest root to build on, pinned (I3: until after the swap, or a recycled address could pass for it).
    #[inline]
    pub(crate) fn choose_base(&mut self) -> Base {
        if self.try_base_on_snapshot() {
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
        if !unsafe { self.scratch() }.writes.functions {
            return Ok(());
        }
        catch_unwind(AssertUnwindSafe(|| self.run_functions()))
    }

    #[cold]
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
                let (merges, inline) = (entry.state.merges.to_vec(), entry.state.is_inline());
                let found = node::find(self.base, entry.slot);
                let source = if !found.is_null() && (*found).stamp > entry.born {
                    Source::Word(&raw const (*found).word)
                } else {
                    Source::Initial(
                        entry.before.cell.as_ref().expect("unwritten in the base, so in the snapshot").as_ptr(),
                    )
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
        self.publish_draft::<false>(waiters, true) == Published::Yes
    }

    /// Like [`Workspace::publish`], of writes without functions on the snapshot itself, while nobody waits.
    #[inline(always)]
    pub(crate) fn publish_plain(&mut self) -> Published {
        debug_assert!(std::ptr::eq(self.base, self.root) && !self.has_functions());
        self.publish_draft::<true>(false, false)
    }

    /// Builds the next root and tries to swap it in. `waiters`: somebody waits, so the root notes what it changes and is
    /// pinned from after the swap until [`Workspace::set_announced`].
    #[inline]
    pub(crate) fn publish(&mut self, waiters: bool) -> Published {
        self.publish_draft::<false>(waiters, false)
    }

    /// `PLAIN`: see [`Workspace::publish_plain`].
    #[inline(always)]
    fn publish_draft<const PLAIN: bool>(&mut self, waiters: bool, even_unchanged: bool) -> Published {
        let (store, member) = (self.seat.store, self.seat.member);
        // SAFETY: I9: no user code runs in here; the first word is not idle: the attempt has not ended.
        let (own, scratch, limbo) = unsafe { (member.own(), member.scratch(), member.limbo()) };
        let (writes, buffers) = (&scratch.writes, &mut scratch.build);
        buffers.changed.clear();
        // SAFETY: I3: the base is pinned.
        let (base, version) = unsafe { (&*self.base, self.base_version() + 1) };
        let on_snapshot = PLAIN || std::ptr::eq(self.base, self.root);
        let rest = limbo.rest();
        let mut draft = Draft {
            root: std::ptr::null_mut(),
            version,
            base,
            pool: &mut own.pool,
            limbo,
            changed: &mut buffers.changed,
        };
        let mut merged = buffers.merged.iter();
        let functions = !PLAIN && writes.functions;
        for entry in &writes.entries {
            let old = if !on_snapshot {
                slot_at(base, entry.slot)
            } else if entry.before.slot.is_null() {
                Slot::EMPTY
            } else {
                // SAFETY: I3: the snapshot is the base, which is pinned.
                unsafe { *entry.before.slot }
            };
            let mut word = entry.state.word;
            if !PLAIN && entry.state.is_merge() {
                // Merges were evaluated in the order of the entries.
                word = merged.next().expect("every merge was evaluated").1.word;
            }
            let unwritten = entry.before.cell.as_ref().filter(|_| old.stamp <= entry.born);
            debug_assert!(unwritten.is_some() || old.stamp > entry.born, "what the snapshot has, the base has");
            if entry.state.is_inline() {
                let before = unwritten.map_or(old.word, CellRef::initial_word);
                // An identical value is no change (§3.1).
                if before.same_bits(word) {
                    continue;
                }
            }
            if let Some(cell) = unwritten {
                draft.retire(0, What::Initial(cell.retire_initial()));
            } else if !entry.state.is_inline() {
                // SAFETY: a stamp after `born` is of this variable (I6), whose type is boxed.
                draft.retire(old.stamp, What::Value(unsafe { old.word.header() }));
            }
            // SAFETY: I2: the draft is private, the base pinned.
            unsafe { draft.set(entry.slot, word) };
        }
        if draft.changed.is_empty() && !even_unchanged {
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
        let (own, scratch, limbo) = unsafe { (member.own(), member.scratch(), member.limbo()) };
        if swapped.is_err() {
            // SAFETY: I2: never published.
            unsafe { unmake(root, &scratch.build.changed, &mut own.pool) };
            limbo.cut(rest);
            return Published::Lost;
        }
        limbo.push(Retired::new(version - 1, version, What::Root(self.base.cast_mut())));
        member.set_backlog(limbo);
        if functions {
            scratch.build.merged.drain(..).for_each(|(_, owned)| owned.publish());
        }
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
        self.new_root = if unsafe { (*newest).version } == version { newest } else { std::ptr::null() };
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
        if !self.new_root.is_null() {
            // ORDERING: Release: partner: `unannounced`.
            // SAFETY: I3: pinned since before the swap.
            unsafe { &*self.new_root }.announced.store(true, Ordering::Release);
            self.new_root = std::ptr::null();
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
    pool: &'a mut Pool,
    /// What the draft replaces goes straight in there; a swap that fails takes it out again.
    limbo: &'a mut Limbo,
    changed: &'a mut Vec<u32>,
}

impl Draft<'_> {
    #[inline(always)]
    fn retire(&mut self, birth: u64, what: What) {
        self.limbo.push(Retired::new(birth, self.version, what));
    }

    #[inline(always)]
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
                }
                place = &raw mut (**place).children[node::digit(slot, level)];
            }
            let mut leaf = (*place).cast::<Leaf>();
            if leaf.is_null() || (*leaf).birth != self.version {
                if !leaf.is_null() {
                    self.retire((*leaf).birth, What::Leaf(leaf));
                }
                leaf = self.pool.leaf(leaf, self.version);
                *place = leaf.cast();
            }
            (*leaf).slots[node::digit(slot, 0)] = node::Slot { stamp: self.version, word };
        }
        self.changed.push(slot);
    }

    /// One level more: the old children go under the first child.
    ///
    /// # Safety
    /// As for [`Draft::set`].
    #[cold]
    #[inline(never)]
    unsafe fn grow(&mut self, root: *mut Root) {
        // SAFETY: the caller's promise; the new inner node is private.
        unsafe {
            let children = &mut (*root).children;
            if children.iter().any(|child| !child.is_null()) {
                let inner = self.pool.inner(std::ptr::null(), self.version);
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
    #[inline(always)]
    unsafe fn finish(&mut self, waiters: bool) -> *mut Root {
        let root = self.root();
        if waiters {
            // SAFETY: the caller's promise.
            unsafe { self.keep_journal(root) };
        }
        root
    }

    /// # Safety
    /// As for [`Draft::set`].
    #[cold]
    unsafe fn keep_journal(&self, root: *mut Root) {
        let mut journal = Some(Vec::new());
        // ORDERING: Acquire: partner: `set_announced`.
        if !self.base.announced.load(Ordering::Acquire) {
            // The base's debts become this root's, until its own committer has paid them (§4.1).
            journal = match self.base.journal {
                Journal::Unknown => None,
                Journal::Slots { len, slots } => Some(slots[..usize::from(len)].to_vec()),
            };
        }
        let own = &*self.changed;
        if let Some(mut owed) = journal.filter(|owed| owed.len() + own.len() <= JOURNAL) {
            owed.extend_from_slice(own);
            let mut slots = [0; JOURNAL];
            slots[..owed.len()].copy_from_slice(&owed);
            // SAFETY: the root is private.
            unsafe { (*root).journal = Journal::Slots { len: owed.len() as u8, slots } };
        }
    }
}

/// Takes a draft that was not published apart: its own nodes are those born in its version.
///
/// # Safety
/// Its nodes are the caller's.
#[cold]
unsafe fn unmake(root: *mut Root, changed: &[u32], pool: &mut Pool) {
    // SAFETY: never published: nobody else has seen the nodes.
    unsafe {
        // From the leaves up, so that the way to a node is there until the node goes. A tree that has grown has new nodes on the path to
        // slot 0 as well.
        for level in 0..=(*root).height {
            for &slot in changed.iter().chain(&[0]) {
                take_out(root, slot, level, pool);
            }
        }
        pool.put_root(root);
    }
}

/// Takes the node at `level` on the path to a slot out of a draft, if it is the draft's own.
///
/// # Safety
/// As for [`unmake`].
unsafe fn take_out(root: *mut Root, slot: u32, level: u32, pool: &mut Pool) {
    // SAFETY: the caller's promise: nodes that are not the draft's own are only looked at, under the base's pin (I3).
    unsafe {
        let version = (*root).version;
        let mut at = (*root).height + 1;
        let mut place: *mut Child = &raw mut (*root).children[node::digit(slot, at)];
        loop {
            at -= 1;
            if (*place).is_null() || node::birth(*place) != version {
                return;
            }
            if at == level {
                break;
            }
            place = &raw mut (**place).children[node::digit(slot, at)];
        }
        let child = std::mem::replace(&mut *place, std::ptr::null_mut());
        if level == 0 { pool.put_leaf(child.cast()) } else { pool.put_inner(child) }
    }
}
