//! The commit of an announced write set: by whoever builds the next root (C5 to C9, §4.2).

use super::publish::tell;
use super::{Line, Outcome, Rules, Shared};
use crate::lock::Place;
use crate::store::{Announced, Count, Published, Verdict, Workspace, outside_attempt};
use crate::sync::steps::{Point, pass};

/// Goes on until the announced commit is decided, by this thread or another. Two commits of others at most come before that (C5).
#[cold]
pub(super) fn commit_announced(
    ws: &mut Workspace<'_>,
    shared: &Shared,
    announced: Announced,
    mut rules: Rules<'_>,
) -> Outcome {
    ws.count(Count::Announced);
    let mut gave_way = false;
    let mut commit = Open { ws, shared, announced, decided: false };
    pass(Point::Announced);
    let verdict = loop {
        if let Some(verdict) = commit.catch_up() {
            break verdict;
        }
        pass(Point::Validate);
        // C4: after the load of the base. Whoever has the turn takes the commit along.
        if shared.turnstile.is_taken() {
            if !shared.turnstile.stand_by(rules.deadline) {
                break commit.withdraw();
            }
            continue;
        }
        // L5: after the load of the base. Nobody else publishes it either, while the lock is held.
        let party = rules.party;
        let is_locked = |slot| shared.is_locked_for(party, Place::variable(slot));
        if let Some(slot) = commit.ws.find_announced(announced, is_locked) {
            // The turn may be that of a transaction around this one.
            shared.turnstile.give_up();
            let ws = &*commit.ws;
            match (rules.line)(Place::variable(slot), ws.work(), &|| ws.count(Count::LockWaits)) {
                Line::Granted(party) => {
                    rules.party = party;
                    commit.ws.set_party(announced, party);
                    continue;
                }
                Line::GaveWay => {
                    gave_way = true;
                    break commit.withdraw();
                }
                Line::Left => {
                    commit.ws.count(Count::Deadlocks);
                    rules.pause.wait(rules.backoff);
                    continue;
                }
                Line::TimedOut => break commit.withdraw(),
            }
        }
        let ws = &mut *commit.ws;
        let admits = |party, slot| !shared.is_locked_for(party, Place::variable(slot));
        match ws.publish_batch(shared.registry.anyone(), false, Some(announced), admits) {
            Published::Yes => {
                pass(Point::Swapped);
                tell(ws, shared);
                break commit.look().expect(DECIDED);
            }
            // Decided already; or somebody has locked one of its slots just now.
            Published::Unchanged => {}
            Published::Lost => {
                ws.count(Count::LostSwaps);
                rules.pause.wait_unless(rules.backoff, || ws.is_decided(announced));
            }
        }
    };
    match verdict {
        Verdict::Committed(_) => {
            let ws = &mut *commit.ws;
            ws.count(Count::Commits);
            // Whoever published it may have stopped before it woke anybody.
            if shared.registry.anyone() {
                // W4: to wake a task is the executor's code.
                outside_attempt(|| {
                    shared.registry.wake(ws.changed());
                });
            }
            Outcome::Committed
        }
        Verdict::Conflict(slot) => Outcome::Conflict(slot),
        Verdict::Panicked(payload) => Outcome::Panicked(payload),
        Verdict::Withdrawn if gave_way => Outcome::GaveWay,
        Verdict::Withdrawn => Outcome::TimedOut,
    }
}

const DECIDED: &str = "the root that its own thread builds names it";

/// An announced commit that must be decided before its attempt may end (C9).
struct Open<'c, 's> {
    ws: &'c mut Workspace<'s>,
    shared: &'c Shared,
    announced: Announced,
    decided: bool,
}

impl Open<'_, '_> {
    /// Goes on to the newest root, whose verdicts are then final. Without one for this commit, that root and the earlier ones have not decided
    /// it, and while that root is the base the announcement stays (C8).
    fn catch_up(&mut self) -> Option<Verdict> {
        self.ws.choose_base();
        self.ws.finish_if_announced();
        self.look()
    }

    fn look(&mut self) -> Option<Verdict> {
        let verdict = self.ws.conclude(self.announced);
        self.decided = verdict.is_some();
        verdict
    }

    /// Ends it without a commit, if nobody has decided it.
    fn withdraw(&mut self) -> Verdict {
        // First without letting go of the base: a hook may have panicked after this thread's own swap.
        let mut known = self.look();
        loop {
            if let Some(verdict) = known.or_else(|| self.catch_up()) {
                return verdict;
            }
            known = None;
            if self.ws.publish_withdrawal(self.announced, self.shared.registry.anyone()) == Published::Yes {
                return self.look().expect(DECIDED);
            }
        }
    }
}

impl Drop for Open<'_, '_> {
    fn drop(&mut self) {
        // A test's hook has panicked.
        if !self.decided
            && let Verdict::Panicked(payload) = self.withdraw()
        {
            self.ws.drop_later(payload);
        }
    }
}
