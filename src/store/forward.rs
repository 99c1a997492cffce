//! What a lock needs of the store: a root that ends older bases, and a snapshot that moves forward (L2, L3).

use super::kept::KeptSnapshot;
use super::limbo::{Retired, What};
use super::newest::Newest;
use super::node;
use super::pins::{self, Pinned};
use super::workspace::Workspace;
use super::{announce, draft, local};
use crate::sync::atomic::Ordering;
use std::ptr;

impl Workspace<'_> {
    /// Replaces the newest root by one with the same content: swaps that were prepared on it or an earlier one fail (L2). For use while
    /// the closure runs.
    #[cold]
    pub(crate) fn end_older_bases(&self) {
        let (store, member) = (self.seat.store, self.seat.member);
        loop {
            // SAFETY: I9: the seat's owner is this thread, no user code runs in here, and the second word is unused before the commit; I3: the
            // base is pinned until after the swap.
            unsafe {
                let base = member.pin_base(store.newest());
                if store.board.any() {
                    store.board.finish(&*base);
                }
                let (own, limbo) = (member.own(), member.limbo());
                let version = (*base).version + 1;
                let root = own.pool.root(&*base, version);
                // What the base owes, its own committer pays, or else the next one does (W3).
                draft::keep_journal(root, &*base, &[]);
                // ORDERING: SeqCst: as in `publish_draft`; Release of the mark of the lock, partner: `LockTable::any`.
                let swap = store.newest().compare_exchange(base.cast_mut(), root, Ordering::SeqCst, Ordering::Relaxed);
                if swap.is_err() {
                    own.pool.put_root(root);
                    continue;
                }
                limbo.push(Retired::new(version - 1, version, What::Root(base.cast_mut())));
                announce::retire(&*base, version, limbo);
                own.seen = version;
                own.attention = true;
            }
            pins::release(&member.words[1]);
            return;
        }
    }

    /// Whether a slot has been written since the snapshot.
    pub(crate) fn is_stale(&self, slot: u32) -> bool {
        self.any_stale(|is_stale| is_stale(slot))
    }

    /// Makes the newest version the snapshot (L3). What was handed out stays valid: the version before stays pinned by its word, or by what was
    /// returned for it, and the new one by a word of its own and by what is returned, until the attempt ends
    /// ([`Workspace::end_moved`]). `writes`: nor must others have written what was written here.
    ///
    /// # Errors
    /// A slot that was read, and is stale: nothing has changed then.
    #[cold]
    pub(crate) fn move_forward(&self, writes: bool) -> Result<KeptSnapshot, u32> {
        let member = self.seat.member;
        // SAFETY: I9: the seat's owner is this thread, and the second word is unused before the commit.
        let pinned = unsafe { Newest::pin(&self.seat) };
        let (root, old) = (pinned.root, self.version.get());
        // SAFETY: I3: pinned just now.
        let is_stale = |slot: u32| unsafe { node::stamp(root, slot) > old };
        // A walk goes on in the version in which it has begun: what it comes to must be the same in the new one.
        let stale = self.reads().find(is_stale).or_else(|| self.stale_map(root, true));
        let stale = stale.or_else(|| {
            let overwritten = || self.find_written_value(is_stale).or_else(|| self.overwritten_map(root));
            writes.then(overwritten).flatten()
        });
        if let Some(slot) = stale {
            return Err(slot);
        }
        std::mem::forget(pinned);
        // SAFETY: I9: no user code runs from here on.
        let set = unsafe { &mut member.scratch().writes };
        // I5: from the second word to the third, which a scan looks at later; and to a record. A version that the third word pinned has one.
        let kept = KeptSnapshot::of(self.seat.store, root);
        // ORDERING: Relaxed: released by the end of the second word's pin, which follows; partner: the loads of `scan_words`, in the other order.
        member.words[2].store(pins::exact(kept.version()), Ordering::Relaxed);
        pins::release(&member.words[1]);
        for entry in &mut set.entries {
            // SAFETY: I3: kept, as long as the write set.
            let found = unsafe { node::find(root, entry.slot) };
            // SAFETY: as above.
            let written = !found.is_null() && unsafe { (*found).stamp } > entry.born;
            entry.before.slot = if written { found } else { ptr::null() };
        }
        self.root.set(root);
        // Not the base, even if it is still the newest: the first word is the one that counts there.
        self.base.set(root);
        self.version.set(kept.version());
        local::offer_root(self.seat.store, root);
        Ok(kept)
    }

    /// A slot that was written, not merged, and for which the test holds.
    fn find_written_value(&self, mut test: impl FnMut(u32) -> bool) -> Option<u32> {
        // SAFETY: I9: the test runs no user code.
        unsafe { self.scratch() }.writes.written().find(|slot| test(*slot))
    }

    /// The attempt has ended: what it had moved to is let go, but for what was kept.
    pub(crate) fn end_moved(&self) {
        pins::release(&self.seat.member.words[2]);
    }

    /// The version that the attempt's first word pins: its first snapshot's.
    pub(super) fn pinned(&self) -> u64 {
        // ORDERING: Relaxed: the owner's own word.
        match pins::decode(self.seat.member.words[0].load(Ordering::Relaxed)) {
            Pinned::Exactly(version) => version,
            _ => self.version.get(),
        }
    }
}
