//! One commit: choose a base, validate, build, swap, wake.

use super::{Backoff, Pause, Shared, Turn, coalesce};
use crate::lock::{Party, Place};
use crate::store::{Base, Count, Journal, Keys, Published, Watch, Workspace, outside_attempt};
use crate::sync::steps::{Point, pass};
use crate::sync::time::Instant;
use std::any::Any;

/// Lost swaps after which a commit takes the turn, so that it ends within a bound (§4.4).
const LOST_SWAPS_BEFORE_TURN: u32 = 64;

/// What a commit goes by.
pub(crate) struct Rules<'r> {
    pub(crate) watch: Watch<'r>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) backoff: Backoff,
    /// Lost swaps after which it is announced.
    pub(crate) coalesce_after: u32,
    pub(crate) pause: &'r mut Pause,
    /// The transaction as the lock table knows it; 0 if it does not.
    pub(crate) party: Party,
    /// Stands in line for a lock on a place that another transaction holds; told what the attempt would lose by giving way, and whom to tell before
    /// it waits.
    pub(crate) line: &'r mut InLine<'r>,
}

/// Stands in line: see [`Rules::line`].
pub(crate) type InLine<'r> = dyn FnMut(Place, usize, &dyn Fn()) -> Line + 'r;

/// How a wait in the line for a lock ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The transaction holds the lock, as this party.
    Granted(Party),
    /// It has to let go of all its locks, to end a deadlock.
    GaveWay,
    /// It has left the line to end a deadlock. It had nothing to let go of, so it may as well stand at the end.
    Left,
    TimedOut,
}

/// How a commit ended.
pub(crate) enum Outcome {
    Committed,
    /// This slot was written since the snapshot.
    Conflict(u32),
    TimedOut,
    /// It has given way in a deadlock.
    GaveWay,
    /// A merge function panicked on a value that was current (§4.3).
    Panicked(Box<dyn Any + Send>),
}

/// How [`commit_undisturbed`] went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undisturbed {
    Committed,
    /// Something was in the way: nothing has happened.
    No,
    /// The swap was lost.
    Lost,
}

/// Publishes the workspace's writes if nothing is in the way: nobody has committed since the snapshot, has the turn, is announced, holds a
/// lock or observes, and there are no functions to apply.
///
/// The same steps as in [`commit`], for most commits all that is needed.
#[inline(always)]
pub(crate) fn commit_undisturbed(ws: &mut Workspace<'_>, shared: &Shared) -> Undisturbed {
    if ws.has_functions() {
        return Undisturbed::No;
    }
    if !ws.try_base_on_snapshot() {
        return Undisturbed::No;
    }
    pass(Point::Validate);
    if shared.turnstile.is_taken() || ws.is_any_announced() || shared.locks.any() {
        return Undisturbed::No;
    }
    let waiters = shared.registry.anyone();
    if waiters && shared.registry.is_observed() {
        return Undisturbed::No;
    }
    match if waiters { ws.publish(true) } else { ws.publish_plain() } {
        Published::Yes => {
            pass(Point::Swapped);
            if shared.registry.anyone() {
                if !waiters {
                    // Somebody has begun to wait.
                    ws.note_changed();
                }
                wake_waiters(ws, shared);
            }
        }
        Published::Unchanged => {}
        Published::Lost => {
            ws.count(Count::LostSwaps);
            return Undisturbed::Lost;
        }
    }
    ws.count(Count::Commits);
    Undisturbed::Committed
}

/// Publishes the workspace's writes, of which there are some (C1). A lost swap re-applies them; no closure runs again for it (§2.3).
/// `lost`: swaps that the commit has lost already.
#[inline]
pub(crate) fn commit<'s>(
    ws: &mut Workspace<'_>,
    shared: &'s Shared,
    turn: &mut Option<Turn<'s>>,
    mut lost: u32,
    mut rules: Rules<'_>,
) -> Outcome {
    if turn.as_ref().is_some_and(|turn| !turn.is_current()) {
        // Given up for a lock.
        *turn = None;
    }
    loop {
        let base = ws.choose_base();
        pass(Point::Validate);
        // C4: after the load of the base.
        if shared.turnstile.is_taken() {
            if !shared.turnstile.stand_by(rules.deadline) {
                return Outcome::TimedOut;
            }
            continue;
        }
        if base == Base::Newer
            && let Some(slot) = ws.find_conflict(rules.watch)
        {
            return Outcome::Conflict(slot);
        }
        // L5: after the load of the base.
        if let Some(place) = find_locked(ws, shared, rules.party) {
            *turn = None;
            // That of a transaction around this one.
            shared.turnstile.give_up();
            match (rules.line)(place, ws.work(), &|| ws.count(Count::LockWaits)) {
                Line::Granted(party) => {
                    rules.party = party;
                    continue;
                }
                Line::GaveWay => return Outcome::GaveWay,
                Line::Left => {
                    ws.count(Count::Deadlocks);
                    rules.pause.wait(rules.backoff);
                    continue;
                }
                Line::TimedOut => return Outcome::TimedOut,
            }
        }
        if lost >= rules.coalesce_after
            && turn.is_none()
            && let Some(announced) = ws.announce(rules.watch, rules.party)
        {
            return coalesce::commit_announced(ws, shared, announced, rules);
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
        match publish(ws, shared, false) {
            Published::Yes => {
                pass(Point::Swapped);
                tell(ws, shared);
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

/// A place that is written and that another transaction has locked.
fn find_locked(ws: &Workspace<'_>, shared: &Shared, party: Party) -> Option<Place> {
    if !shared.locks.any() {
        return None;
    }
    let variable = ws.find_written(|slot| shared.is_locked_for(party, Place::variable(slot)));
    let key = |(slot, keys): (u32, Keys)| match keys {
        Keys::One(number) => Place::key(slot, number),
        Keys::All => Place::range(slot, 0, u64::MAX),
    };
    let locked = |slot, keys| shared.is_locked_for(party, key((slot, keys)));
    variable.map(Place::variable).or_else(|| ws.find_written_key(locked).map(key))
}

/// Builds on the chosen base and swaps, together with what is announced (C5 to C7).
#[inline]
fn publish(ws: &mut Workspace<'_>, shared: &Shared, even_unchanged: bool) -> Published {
    let waiters = shared.registry.anyone();
    if ws.finish_if_announced() {
        let admits = |party, slot| !shared.is_locked_for(party, Place::variable(slot));
        ws.publish_batch(waiters, even_unchanged, None, admits)
    } else if even_unchanged {
        ws.publish_same(waiters)
    } else {
        ws.publish(waiters)
    }
}

/// Wakes whoever waits for what the swap wrote, and for what its base's committer has not told yet (§4.1).
#[inline(always)]
pub(super) fn tell(ws: &mut Workspace<'_>, shared: &Shared) {
    if shared.registry.anyone() {
        wake_waiters(ws, shared);
    }
}

#[cold]
fn wake_waiters(ws: &mut Workspace<'_>, shared: &Shared) {
    let mut delivered = true;
    // W4: to wake a task is the executor's code.
    outside_attempt(|| {
        delivered = match ws.untold() {
            None => true,
            Some(Journal::Unknown) => shared.registry.wake_all(),
            Some(Journal::Slots { len, slots }) => shared.registry.wake(&slots[..usize::from(len)]),
        };
        delivered &= shared.registry.wake(ws.changed());
    });
    // What was left to the holder of a bucket's lock may be late: then the next committer sees to it as well.
    if delivered {
        ws.set_told();
    }
}

/// Swaps the root for one with the same content: swaps that were prepared before a turn began fail (C4).
pub(crate) fn bump(ws: &mut Workspace<'_>, shared: &Shared) {
    loop {
        ws.choose_base();
        if publish(ws, shared, true) == Published::Yes {
            tell(ws, shared);
            return;
        }
    }
}
