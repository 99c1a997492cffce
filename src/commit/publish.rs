//! One commit: choose a base, validate, build, swap, wake.

use super::{Backoff, Pause, Shared, Turn};
use crate::store::{Base, Count, Journal, Published, Workspace};
use crate::sync::steps::{Point, pass};
use crate::sync::time::Instant;
use std::any::Any;

/// Lost swaps after which a commit takes the turn, so that it ends within a bound (§4.4).
const LOST_SWAPS_BEFORE_TURN: u32 = 64;

/// What a commit goes by.
pub(crate) struct Rules<'r, F> {
    /// Finds a variable that was written since the snapshot and must not have been: one that was read, or under snapshot
    /// isolation one that was ensured or written (§2.2).
    pub(crate) find_conflict: F,
    pub(crate) deadline: Option<Instant>,
    pub(crate) backoff: Backoff,
    pub(crate) pause: &'r mut Pause,
}

/// How a commit ended.
pub(crate) enum Outcome {
    Committed,
    /// This slot was written since the snapshot.
    Conflict(u32),
    TimedOut,
    /// A merge function panicked on a value that was current (§4.3).
    Panicked(Box<dyn Any + Send>),
}

/// Publishes the workspace's writes if nothing is in the way: nobody has committed since the snapshot, waits, or has the turn, and there
/// are no functions to apply. `false` if something is: then nothing has happened, but perhaps a lost swap.
///
/// The same steps as in [`commit`], for most commits all that is needed.
#[inline(always)]
pub(crate) fn commit_undisturbed(ws: &mut Workspace<'_>, shared: &Shared, pause: impl FnOnce()) -> bool {
    if ws.has_functions() {
        return false;
    }
    if !ws.try_base_on_snapshot() {
        return false;
    }
    pass(Point::Validate);
    if shared.turnstile.is_taken() || shared.registry.anyone() {
        return false;
    }
    match ws.publish_plain() {
        Published::Yes => {
            pass(Point::Swapped);
            if shared.registry.anyone() {
                // Somebody has begun to wait.
                ws.note_changed();
                wake_waiters(ws, shared);
            }
        }
        Published::Unchanged => {}
        Published::Lost => {
            ws.count(Count::LostSwaps);
            pause();
            return false;
        }
    }
    ws.count(Count::Commits);
    true
}

/// Publishes the workspace's writes, of which there are some (C1). A lost swap re-applies them; no closure runs again for it (§2.3).
#[inline]
pub(crate) fn commit<'s, F>(
    ws: &mut Workspace<'_>,
    shared: &'s Shared,
    turn: &mut Option<Turn<'s>>,
    rules: Rules<'_, F>,
) -> Outcome
where
    F: Fn(&Workspace<'_>) -> Option<u32>,
{
    let mut lost = 0;
    loop {
        let base = ws.choose_base();
        pass(Point::Validate);
        // C4: after the load of the base.
        if turn.is_none() && shared.turnstile.is_taken() {
            if !shared.turnstile.stand_by(rules.deadline) {
                return Outcome::TimedOut;
            }
            continue;
        }
        if base == Base::Newer
            && let Some(slot) = (rules.find_conflict)(ws)
        {
            return Outcome::Conflict(slot);
        }
        if let Err(payload) = ws.evaluate() {
            let counted = ws.base_is_newest();
            ws.discard_evaluation();
            if counted {
                return Outcome::Panicked(payload);
            }
            // It happened on a value that does not count.
            ws.drop_later(payload);
            continue;
        }
        match ws.publish(shared.registry.anyone()) {
            Published::Yes => {
                pass(Point::Swapped);
                announce(ws, shared);
                break;
            }
            Published::Unchanged => {
                ws.discard_evaluation();
                break;
            }
            Published::Lost => {
                ws.discard_evaluation();
                ws.count(Count::LostSwaps);
                lost += 1;
                if lost < LOST_SWAPS_BEFORE_TURN || turn.is_some() {
                    rules.pause.wait(rules.backoff);
                } else {
                    // From here on each other commit that has its base already can win once more, and no further one.
                    *turn = shared.turnstile.take(rules.deadline);
                    if turn.is_none() {
                        return Outcome::TimedOut;
                    }
                    ws.count(Count::Escalations);
                }
            }
        }
    }
    ws.deliver();
    ws.count(Count::Commits);
    Outcome::Committed
}

/// Wakes whoever waits for what the swap wrote, and for what its base's committer has not announced yet (§4.1).
#[inline(always)]
fn announce(ws: &mut Workspace<'_>, shared: &Shared) {
    if shared.registry.anyone() {
        wake_waiters(ws, shared);
    }
}

#[cold]
fn wake_waiters(ws: &mut Workspace<'_>, shared: &Shared) {
    let mut delivered = match ws.unannounced() {
        None => true,
        Some(Journal::Unknown) => shared.registry.wake_all(),
        Some(Journal::Slots { len, slots }) => shared.registry.wake(&slots[..usize::from(len)]),
    };
    delivered &= shared.registry.wake(ws.changed());
    // What was left to the holder of a bucket's lock may be late: then the next committer sees to it as well.
    if delivered {
        ws.set_announced();
    }
}

/// Swaps the root for one with the same content: swaps that were prepared before a turn began fail (C4).
pub(crate) fn bump(ws: &mut Workspace<'_>, shared: &Shared) {
    loop {
        ws.choose_base();
        if ws.publish_same(shared.registry.anyone()) {
            announce(ws, shared);
            return;
        }
    }
}
