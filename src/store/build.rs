//! Building the next root and swapping it in (I1, I2).

use super::batch::Plan;
use super::draft::Draft;
use super::limbo::{Rest, Retired, What};
use super::map::{BuiltParts, Tree};
use super::merge::OwnedWord;
use super::newest::Newest;
use super::node::{self, Journal, Root};
use super::value::{self, Word};
use super::workspace::{Scratch, Workspace, slot_at};
use super::{announce, diff, draft, pins};
use crate::sync::atomic::{Ordering, model_fence};
use crate::sync::steps::{Point, pass};
use std::panic::{catch_unwind, resume_unwind};

/// Reads that are validated one by one; of more than these, at most one in so many changes may be walked to.
const MANY_READS: usize = 64;

/// Vectors that a build needs.
#[derive(Default)]
pub(super) struct Buffers {
    /// Slots that the root that is being built changes.
    pub(super) changed: Vec<u32>,
    /// The version in which an announced commit was published.
    pub(super) published_in: u64,
    /// Results of merge functions, with the positions of their entries.
    pub(super) merged: Vec<(usize, OwnedWord)>,
    /// What new versions of maps own until they are published, with their words.
    pub(super) maps: Vec<(BuiltParts, Word)>,
    /// What a commit writes that takes announced ones along; not in here while it is being made.
    pub(super) plan: Plan,
}

/// What a commit is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The attempt's own snapshot is still the newest version: everything read is current.
    Snapshot,
    /// A newer version.
    Newer,
}

/// What must not have been written since the snapshot (§2.2).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Watch<'a> {
    /// Whatever was read: strict serialisability.
    Reads,
    /// Whatever was written, not merged, or ensured: snapshot isolation.
    Writes { ensured: &'a [u32] },
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
        if self.base.get().is_null() && std::ptr::eq(self.seat.store.newest().load(Ordering::SeqCst), self.root.get()) {
            self.base.set(self.root.get());
            self.base_word = 0;
            return true;
        }
        false
    }

    /// Picks the newest root to build on, pinned (I3: until after the swap, or a recycled address could pass for it).
    #[inline]
    pub(crate) fn choose_base(&mut self) -> Base {
        if self.try_base_on_snapshot() {
            return Base::Snapshot;
        }
        // SAFETY: I9: the seat's owner is this thread; the second word is the base's.
        self.base.set(unsafe { self.seat.member.pin_base(self.seat.store.newest()) });
        self.base_word = 1;
        // By version, which needs no argument about addresses that come back.
        // SAFETY: I3: the base was pinned just now.
        if unsafe { self.base_version() } == self.version.get() { Base::Snapshot } else { Base::Newer }
    }

    /// A variable that was written between the snapshot and the base and must not have been.
    pub(crate) fn find_conflict(&self, watch: Watch<'_>) -> Option<u32> {
        match watch {
            Watch::Reads => self.first_stale_read().or_else(|| self.stale_map(self.base.get(), false)),
            Watch::Writes { ensured } => {
                let mut ensured = ensured.iter().copied();
                let stale = ensured.find(|slot| self.changed_since_snapshot(*slot));
                stale.or_else(|| self.first_overwritten()).or_else(|| self.overwritten_map(self.base.get()))
            }
        }
    }

    fn changed_since_snapshot(&self, slot: u32) -> bool {
        // SAFETY: I3: the base is pinned.
        unsafe { node::stamp(self.base.get(), slot) > self.version.get() }
    }

    /// A variable that was read and has been written between the snapshot and the base.
    ///
    /// Looks each of a few up. Of many it looks at those that were written instead, in proportion to what changed, as long as these are
    /// fewer.
    fn first_stale_read(&self) -> Option<u32> {
        let reads = self.reads();
        // SAFETY: I9: no user code runs, and the buffer is not in use before the build.
        let changed = unsafe { &mut self.scratch().build.changed };
        changed.clear();
        // SAFETY: I3: snapshot and base are pinned.
        let few = reads.len() > MANY_READS
            && unsafe {
                diff::visit(self.root.get(), self.base.get(), &mut |slot, _, _| {
                    changed.push(slot);
                    changed.len() * MANY_READS < reads.len()
                })
            };
        if few { reads.find_any_of(changed) } else { reads.find(|slot| self.changed_since_snapshot(slot)) }
    }

    /// Of the variables written (not merged), the first that was written between the snapshot and the base.
    fn first_overwritten(&self) -> Option<u32> {
        // SAFETY: I9: no user code runs; I3: the base is pinned.
        unsafe {
            let mut written = self.scratch().writes.written();
            written.find(|slot| node::stamp(self.base.get(), *slot) > self.version.get())
        }
    }

    /// A variable in the write set for which the test holds.
    pub(crate) fn find_written(&self, mut test: impl FnMut(u32) -> bool) -> Option<u32> {
        // SAFETY: I9: the test is of the layers above and runs no user code.
        let entries = &unsafe { self.scratch() }.writes.entries;
        entries.iter().filter(|entry| !entry.state.is_map()).map(|entry| entry.slot).find(|slot| test(*slot))
    }

    /// What the attempt would lose by beginning anew: its reads and writes.
    pub(crate) fn work(&self) -> usize {
        // SAFETY: I9: a short look.
        self.reads().len() + unsafe { self.scratch() }.writes.entries.len()
    }

    /// Whether the base is still the newest root.
    pub(crate) fn base_is_newest(&self) -> bool {
        // ORDERING: SeqCst: decides whether a panic counted, like the swap that it stands for.
        std::ptr::eq(self.seat.store.newest().load(Ordering::SeqCst), self.base.get())
    }

    /// Swaps in a root with the base's content. For an empty write set.
    pub(crate) fn publish_same(&mut self, waiters: bool) -> Published {
        debug_assert!(self.is_read_only());
        self.publish_draft::<false>(waiters, true, None)
    }

    /// Builds the next root and tries to swap it in. `waiters`: somebody waits, so the root notes what it changes and is
    /// pinned from after the swap until [`Workspace::set_told`].
    pub(crate) fn publish(&mut self, waiters: bool) -> Published {
        self.publish_draft::<false>(waiters, false, None)
    }

    /// Like [`Workspace::publish`], of writes without functions on the snapshot itself, while nobody waits.
    #[inline(always)]
    pub(crate) fn publish_plain(&mut self) -> Published {
        debug_assert!(std::ptr::eq(self.base.get(), self.root.get()) && !self.has_functions());
        self.publish_draft::<true>(false, false, None)
    }

    /// `PLAIN`: see [`Workspace::publish_plain`]. `plan`: what to write instead of the attempt's own write set alone.
    #[inline(always)]
    pub(super) fn publish_draft<const PLAIN: bool>(
        &mut self,
        waiters: bool,
        even_unchanged: bool,
        plan: Option<&Plan>,
    ) -> Published {
        let (store, member) = (self.seat.store, self.seat.member);
        // SAFETY: I9: no user code runs in here; the first word is not idle: the attempt has not ended.
        let (own, scratch, limbo) = unsafe { (member.own(), member.scratch(), member.limbo()) };
        let (writes, buffers) = (&scratch.writes, &mut scratch.build);
        // SAFETY: I3: the base is pinned.
        let (base, version) = unsafe { (&*self.base.get(), self.base_version() + 1) };
        let on_snapshot = PLAIN || std::ptr::eq(self.base.get(), self.root.get());
        let rest = limbo.rest();
        let mut draft = Draft { base, version, root: std::ptr::null_mut(), pool: &mut own.pool, limbo };
        if !PLAIN {
            buffers.changed.clear();
        }
        if let Some(plan) = plan {
            plan.write_to(&mut draft, &mut buffers.changed);
        } else {
            let mut merged = buffers.merged.iter();
            for entry in &writes.entries {
                let old = if on_snapshot { entry.old() } else { slot_at(base, entry.slot) };
                let mut word = entry.state.word;
                if !PLAIN && entry.state.is_merge() {
                    // Merges were evaluated in the order of the entries.
                    word = merged.next().expect("every merge was evaluated").1.word;
                }
                if draft.write(entry, old, word) && !PLAIN {
                    buffers.changed.push(entry.slot);
                }
            }
        }
        if draft.root.is_null() {
            if !even_unchanged {
                return Published::Unchanged;
            }
            draft.begin();
        }
        let root = draft.root;
        if waiters {
            // SAFETY: I2: the draft is private, the base pinned.
            unsafe { draft::keep_journal(root, base, &buffers.changed) };
        }
        if cfg!(feature = "hooks")
            && let Err(payload) = catch_unwind(|| pass(Point::Swap))
        {
            // A test's hook has panicked: as if the swap had failed.
            self.take_apart::<PLAIN>(root, rest);
            self.discard_evaluation();
            resume_unwind(payload);
        }
        if !PLAIN {
            self.set_maps_alive(true);
        }
        // A free second word pins the new root from before it is published: to mark it as told later.
        let ahead = waiters && self.base_word == 0;
        if ahead {
            // ORDERING: Release: comes before the swap, and so before the scan of whoever replaces the new root; partner: the loads of `scan_words`.
            member.words[1].store(pins::exact(version), Ordering::Release);
        }
        // ORDERING: SeqCst: Release for the new nodes, partner: the loads in `pins::acquire`; before the look at the waiters and
        // before the vacuum's scan in the total order. Relaxed on failure: what was found is not used.
        let swapped =
            store.newest().compare_exchange(self.base.get().cast_mut(), root, Ordering::SeqCst, Ordering::Relaxed);
        model_fence();
        if swapped.is_err() {
            if ahead {
                pins::release(&member.words[1]);
            }
            if !PLAIN {
                self.set_maps_alive(false);
            }
            self.take_apart::<PLAIN>(root, rest);
            return Published::Lost;
        }
        // SAFETY: I9: the hook has returned.
        let (own, scratch, limbo) = unsafe { (member.own(), member.scratch(), member.limbo()) };
        limbo.push(Retired::new(version - 1, version, What::Root(self.base.get().cast_mut())));
        // SAFETY: I3: the base is still pinned; C7: its verdicts are finished.
        unsafe { announce::retire(&*self.base.get(), version, limbo) };
        member.set_backlog(limbo);
        if !PLAIN && scratch.writes.functions {
            scratch.build.merged.drain(..).for_each(|(_, owned)| owned.publish());
            for (parts, _) in scratch.build.maps.drain(..) {
                // SAFETY: I3: the base is still pinned.
                unsafe { parts.publish(&mut own.pool.maps, limbo, &mut scratch.trash) };
            }
        }
        own.seen = version;
        self.published = true;
        if ahead {
            self.new_root = root;
        } else if waiters {
            self.pin_own(version);
        }
        Published::Yes
    }

    /// Says whose the nodes of new versions of maps are: theirs, or still the build's (M2).
    #[inline(always)]
    fn set_maps_alive(&self, alive: bool) {
        // SAFETY: I9: no user code runs; the words are of trees that this build has made.
        unsafe {
            let scratch = self.scratch();
            // Not what an evaluation that a panic has ended may have left.
            for (_, word) in scratch.build.maps.iter().filter(|_| scratch.writes.maps) {
                value::view::<Tree>(word).set_alive(alive);
            }
        }
    }

    /// Takes a draft apart that was not published.
    #[cold]
    fn take_apart<const PLAIN: bool>(&mut self, root: *mut Root, rest: Rest) {
        let member = self.seat.member;
        // SAFETY: I9: no user code runs in here.
        let (own, scratch, limbo) = unsafe { (member.own(), member.scratch(), member.limbo()) };
        // SAFETY: I2: never published.
        unsafe {
            if PLAIN {
                draft::unmake(root, scratch.writes.entries.iter().map(|entry| entry.slot), &mut own.pool);
            } else {
                draft::unmake(root, scratch.build.changed.iter().copied(), &mut own.pool);
            }
        }
        limbo.cut(rest);
    }

    /// Makes up for a plain commit's list of changed slots.
    pub(crate) fn note_changed(&mut self) {
        // SAFETY: I9: no user code runs; I3: the base, which is the snapshot, is pinned.
        let Scratch { writes, build, .. } = unsafe { self.scratch() };
        let changed = writes.entries.iter().filter(|entry| !entry.keeps(entry.old(), entry.state.word));
        build.changed.clear();
        build.changed.extend(changed.map(|entry| entry.slot));
    }

    /// Pins the root that was just published, to mark it as told later; unless it has been replaced already: then the next
    /// committer has found it untold and has taken its debts over (W3).
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

    /// The slots that the published root changed.
    pub(crate) fn changed(&self) -> &[u32] {
        // SAFETY: I9: the buffers do not change before the next attempt.
        unsafe { &self.scratch().build.changed }
    }

    /// What the attempt has committed, for whoever observes it: the slots, and the version that has them. `None` if it has changed nothing (C3).
    #[cold]
    pub(crate) fn committed(&self) -> Option<(Vec<u32>, u64)> {
        if !self.published {
            return None;
        }
        // SAFETY: I9: no user code runs; I3: the base stays pinned until the attempt ends.
        let Scratch { writes, build, .. } = unsafe { self.scratch() };
        if writes.entries.is_empty() {
            // Announced: the write set has gone with it (C8).
            return Some((build.changed.clone(), build.published_in));
        }
        // SAFETY: as above.
        Some((writes.entries.iter().map(|entry| entry.slot).collect(), unsafe { self.base_version() } + 1))
    }

    /// The version as of which the attempt, which has not ended, has committed: the one that it was published in; if it has changed nothing, the one
    /// in which it was validated, that is, for one that has only read, its snapshot's.
    #[cfg(feature = "tracing")]
    #[cold]
    pub(crate) fn committed_in(&self) -> u64 {
        if let Some((_, version)) = self.committed() {
            version
        } else if self.base.get().is_null() {
            self.version.get()
        } else {
            // SAFETY: I3: the base stays pinned until the attempt ends.
            unsafe { self.base_version() }
        }
    }

    /// The version that has written a slot over which the attempt, which has not ended, has lost.
    #[cold]
    pub(crate) fn stamp_met(&self, slot: u32) -> u64 {
        // SAFETY: I3: a base is pinned.
        let met = if self.base.get().is_null() { 0 } else { unsafe { node::stamp(self.base.get(), slot) } };
        if met > self.version.get() {
            return met;
        }
        // Found by a lock, before any base was chosen.
        // SAFETY: I9: nothing else uses the second word then.
        let newest = unsafe { Newest::pin(&self.seat) };
        // SAFETY: I3: pinned just now.
        unsafe { node::stamp(newest.root, slot) }
    }

    /// What the base's committer has not told its waiters yet; `None` if it has.
    pub(crate) fn untold(&self) -> Option<Journal> {
        // SAFETY: I3: the base stays pinned until the attempt ends.
        let base = unsafe { &*self.base.get() };
        // ORDERING: Acquire: the wake-ups come before the mark; partner: `set_told`.
        (!base.told.load(Ordering::Acquire)).then_some(base.journal)
    }

    /// Everybody who waited for what this commit (and its base's) wrote has been told.
    pub(crate) fn set_told(&mut self) {
        if !self.new_root.is_null() {
            // ORDERING: Release: partner: `untold`.
            // SAFETY: I3: pinned since before the swap.
            let root = unsafe { &*self.new_root };
            root.probe.read();
            root.told.store(true, Ordering::Release);
            self.new_root = std::ptr::null();
        }
    }

    /// # Safety
    /// The base is chosen and pinned.
    pub(super) unsafe fn base_version(&self) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { (*self.base.get()).version }
    }
}
