//! Pins: which versions threads are using, exactly (I3, I5).
//!
//! A pin word is idle, or *acquiring* (some root at or after the version that it carries is being loaded), or *exact*
//! (that one version is in use). A thread stopped while acquiring acts like a lower bound; a stopped
//! exact pin keeps its own version and nothing else.

use super::node::Root;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering, model_fence};

/// Nothing pinned. A record's first word says the same, and that its limbo is left alone, with the limbo's address.
pub(super) const IDLE: u64 = 0;
/// Nothing pinned; the owner is at work on its limbo.
pub(super) const BUSY: u64 = 1 << 2;
/// Another thread has taken over the limbo of the idle owner.
pub(super) const ADOPTED: u64 = 2 << 2;

const EXACT: u64 = 1;
const ACQUIRING: u64 = 2;
const TAG: u64 = 3;

/// The word of an exact pin.
#[inline(always)]
pub(super) fn exact(version: u64) -> u64 {
    version << 2 | EXACT
}

#[inline(always)]
fn acquiring(seen: u64) -> u64 {
    seen << 2 | ACQUIRING
}

/// What a pin word says to a scanner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinned {
    Nothing,
    Exactly(u64),
    /// Any version from here on.
    From(u64),
}

/// Reads a pin word.
#[inline(always)]
pub(super) fn decode(word: u64) -> Pinned {
    match word & TAG {
        EXACT => Pinned::Exactly(word >> 2),
        ACQUIRING => Pinned::From(word >> 2),
        _ => Pinned::Nothing,
    }
}

/// Pins the newest root in `word` and returns it with the word's previous content.
///
/// `seen` is a version that the caller knows to have been published. At every load of the root the marker comes first:
/// without it the root could be freed between the load and the pin.
#[inline(always)]
pub(super) fn acquire(word: &AtomicU64, seen: u64, newest: &AtomicPtr<Root>) -> (*const Root, u64) {
    // ORDERING: SeqCst: the marker comes before the load of the root in the total order; partner: `scan` after the
    // SeqCst swap that retired what it looks at. Either the scan sees the marker, or the load sees the newer root.
    let before = word.swap(acquiring(seen), Ordering::SeqCst);
    model_fence();
    // ORDERING: SeqCst, as above; also Acquire for the content of the root, partner: the swap in `Draft::publish`.
    let root = newest.load(Ordering::SeqCst).cast_const();
    // SAFETY: I3: the marker keeps every version from `seen` on, this root's among them.
    let version = unsafe {
        (*root).probe.read();
        (*root).version
    };
    // ORDERING: Release: a scanner that reads the exact pin may free what the marker protected and this does not;
    // nothing of that kind was read before. Partner: the Acquire loads of `scan`.
    word.store(exact(version), Ordering::Release);
    (root, before)
}

/// Makes the exact pin of a root keep everything newer as well, from now on; until [`narrow`]. The root must be the newest one after this,
/// or what was retired before stays out of reach.
pub(super) fn widen(word: &AtomicU64, version: u64) {
    // ORDERING: SeqCst: as the marker in `acquire`, before the caller's look at the newest root.
    word.swap(acquiring(version), Ordering::SeqCst);
    model_fence();
}

/// Makes it exact again.
pub(super) fn narrow(word: &AtomicU64, version: u64) {
    // ORDERING: Release: as in `release`.
    word.store(exact(version), Ordering::Release);
}

/// Ends a pin.
#[inline(always)]
pub(super) fn release(word: &AtomicU64) {
    // ORDERING: Release: every read under the pin comes before its end; partner: the Acquire loads of `scan`, whose
    // thread may recycle what was read.
    word.store(IDLE, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_what_was_put_in() {
        assert_eq!(decode(exact(7)), Pinned::Exactly(7));
        assert_eq!(decode(acquiring(9)), Pinned::From(9));
        for special in [IDLE, BUSY, ADOPTED] {
            assert_eq!(decode(special), Pinned::Nothing);
        }
    }
}
