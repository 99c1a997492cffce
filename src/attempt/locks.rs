//! The locks of a call: taken, kept from attempt to attempt, given up (§5.2, L1 to L6).

use super::access::Attempt;
use super::control::{Recorded, Stm, Stop, StopKind};
use super::options::Isolation;
use super::run::Call;
use crate::commit::Line;
use crate::lock::{Answer, Asker, Cycle, LockMode, LockTable, Outcome, Party, Place};
use crate::store::{Count, KeptSnapshot, Var};
use crate::sync::time::{Duration, Instant};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ptr;

crate::sync::tls!(
    /// The calls of this thread that a lock table knows, the innermost last: a transaction in a destructor runs inside another.
    static KNOWN: RefCell<Vec<(*const LockTable, Party)>> = RefCell::new(Vec::new())
);

/// As whom this thread's transaction is known; 0 if it is not.
pub(super) fn party_in(table: &LockTable) -> Party {
    let find = |known: &RefCell<Vec<(*const LockTable, Party)>>| {
        known.borrow().iter().rev().find(|(known_in, _)| ptr::eq(*known_in, table)).map(|(_, party)| *party)
    };
    KNOWN.try_with(find).ok().flatten().unwrap_or(0)
}

/// A lock of a call.
#[derive(Debug)]
struct Held {
    mode: LockMode,
    /// From an attempt that was lost, and not asked for since (§5.2).
    carried: bool,
    /// Older bases have been ended since the grant (L2).
    effective: bool,
}

/// All locks of a call.
#[derive(Default)]
pub(super) struct Locks {
    /// As whom the table knows it, if it does.
    asker: Option<Asker>,
    held: BTreeMap<Place, Held>,
    /// In the order of the grants: the place, and what the call held there before.
    log: Vec<(Place, Option<LockMode>)>,
    /// Newer snapshots that the attempt has moved to (L3).
    snapshots: Vec<KeptSnapshot>,
    /// The deadlock in which the call has given way.
    pub(super) cycle: Option<Cycle>,
    /// Times that it stood in line.
    pub(super) waited: u64,
}

/// How long to stand in line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    None,
    /// At most until this time, and the call's deadline.
    Until(Option<Instant>),
}

/// A point to undo to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LockMark(usize);

impl Locks {
    /// The strongest lock that covers this place.
    fn find(&mut self, place: Place) -> Option<&mut Held> {
        if place.is_variable() {
            return self.held.get_mut(&place);
        }
        let around = place.overlapping(&self.held).filter(|(around, _)| around.contains(place));
        let strongest = around.max_by_key(|(_, held)| held.mode)?.0;
        self.held.get_mut(&strongest)
    }

    /// The party that the call is in the table; makes it known.
    fn enter(&mut self, table: &LockTable, call: &Call<'_>) -> &Asker {
        self.asker.get_or_insert_with(|| {
            let asker = table.enter(call.who(), party_in(table));
            let _ = KNOWN.try_with(|known| known.borrow_mut().push((table, asker.party)));
            asker
        })
    }

    /// Asks for a lock, and stands in line for it; `waits` is called before a wait. What is granted is to be [added](Locks::add); if the call is to
    /// give way, everything is to be [released](Locks::release).
    fn stand(
        &mut self,
        call: &Call<'_>,
        (place, mode): (Place, LockMode),
        work: usize,
        patience: Patience,
        waits: &dyn Fn(),
    ) -> Line {
        let table = &call.shared.locks;
        let asker = self.enter(table, call);
        let party = asker.party;
        match table.request(asker, place, mode, work, matches!(patience, Patience::Until(_))) {
            Answer::Granted => {}
            Answer::Busy => return Line::TimedOut,
            Answer::Deadlock(cycle) => return self.give_way(cycle),
            Answer::Waiting(latch) => {
                self.waited += 1;
                waits();
                if let Patience::Until(deadline) = patience {
                    latch.wait(deadline);
                }
                match table.outcome(party) {
                    Outcome::Granted => {}
                    Outcome::Deadlock(cycle) => return self.give_way(cycle),
                    Outcome::Gone => return Line::TimedOut,
                }
            }
        }
        Line::Granted(party)
    }

    fn add(&mut self, place: Place, mode: LockMode, effective: bool) {
        let before = self.held.insert(place, Held { mode, carried: false, effective });
        self.log.push((place, before.map(|held| held.mode)));
    }

    /// Stands in line for a lock, for a commit that would write to what another holds. It has the lock then, like any other. Whoever only stands in line
    /// can be part of a deadlock, too: it is in the way of those behind it. If it is to give way it keeps its locks until its attempt ends: an announced
    /// commit may still be published.
    pub(super) fn stand_in_line(
        &mut self,
        call: &Call<'_>,
        place: Place,
        work: usize,
        deadline: Option<Instant>,
        waits: &dyn Fn(),
    ) -> Line {
        let effective = self.find(place).is_some_and(|held| held.effective);
        let holds = !self.held.is_empty();
        match self.stand(call, (place, LockMode::Exclusive), work, Patience::Until(deadline), waits) {
            Line::GaveWay if !holds && !call.options.fail_on_deadlock => Line::Left,
            Line::Granted(party) => {
                self.add(place, LockMode::Exclusive, effective);
                Line::Granted(party)
            }
            line => line,
        }
    }

    fn give_way(&mut self, cycle: Cycle) -> Line {
        self.cycle = Some(cycle);
        Line::GaveWay
    }

    /// Lets go of what was taken since the mark.
    fn undo(&mut self, table: &LockTable, mark: LockMark) {
        if let Some(asker) = self.asker.as_ref().filter(|_| self.log.len() > mark.0) {
            let held = &mut self.held;
            let undone = self.log.drain(mark.0..).rev().inspect(|(place, before)| match before {
                Some(mode) => held.get_mut(place).expect("locked before").mode = *mode,
                None => drop(held.remove(place)),
            });
            table.restore(asker.party, undone);
        }
    }

    /// Lets go of everything.
    pub(super) fn release(&mut self, table: &LockTable) {
        self.undo(table, LockMark(0));
    }

    /// An attempt was lost: what it asked for stays until the next one ends, anything older goes (§5.2).
    pub(super) fn carry(&mut self, table: &LockTable) {
        let Some(asker) = &self.asker else { return };
        let unused: Vec<_> = self.held.iter().filter(|(_, held)| held.carried).map(|(place, _)| *place).collect();
        if !unused.is_empty() {
            self.held.retain(|_, held| !held.carried);
            self.log.retain(|(place, _)| self.held.contains_key(place));
            table.restore(asker.party, unused.into_iter().map(|place| (place, None)));
        }
        self.held.values_mut().for_each(|held| held.carried = true);
    }

    /// The newer snapshots of the attempt, for the end of it: to be dropped when nothing is borrowed.
    pub(super) fn take_snapshots(&mut self) -> Vec<KeptSnapshot> {
        std::mem::take(&mut self.snapshots)
    }

    /// The end of the call: lets go of everything.
    pub(super) fn leave(&mut self, table: &LockTable) {
        if let Some(asker) = self.asker.take() {
            self.log.clear();
            table.leave(asker.party, std::mem::take(&mut self.held).into_keys());
            let known = (ptr::from_ref(table), asker.party);
            let _ = KNOWN.try_with(|all| all.borrow_mut().retain(|other| *other != known));
        }
    }
}

impl Attempt<'_> {
    pub(super) fn mark_locks(&self) -> LockMark {
        self.if_rare(|rare| LockMark(rare.locks.log.len()))
    }

    pub(super) fn undo_locks(&self, mark: LockMark) {
        self.if_rare(|rare| rare.locks.undo(&self.call.shared.locks, mark));
    }

    /// Locks a variable; whether it could.
    pub(crate) fn lock<T>(&self, var: &Var<T>, mode: LockMode, patience: Patience) -> Stm<bool> {
        self.check_space(var);
        let slot = var.slot();
        self.lock_place(Place::variable(slot), mode, patience, |attempt| attempt.ws.is_stale(slot))
    }

    /// Locks a place; whether it could. `is_stale`: whether something there was written since the snapshot.
    pub(crate) fn lock_place(
        &self,
        place: Place,
        mode: LockMode,
        patience: Patience,
        is_stale: impl Fn(&Self) -> bool,
    ) -> Stm<bool> {
        if let Some(Recorded::Stop(kind)) = self.recorded.get() {
            // Decided, and swallowed: it still stands, and no lock would help (A3).
            return Err(Stop { attempt: self.id(), kind });
        }
        let mut rare = self.rare();
        let effective = match rare.locks.find(place) {
            Some(held) if held.mode >= mode => {
                held.carried = false;
                if std::mem::replace(&mut held.effective, true) {
                    // Nobody has published a write since before this attempt began, or since it was asked for first.
                    return Ok(true);
                }
                false
            }
            weaker => {
                // With the lock shared nobody could publish a write since.
                let effective = weaker.is_some_and(|held| held.effective);
                if !self.stand_in_line(&mut rare.locks, (place, mode), patience)? {
                    return Ok(false);
                }
                rare.locks.add(place, mode, true);
                effective
            }
        };
        drop(rare);
        if !effective {
            self.ws.end_older_bases();
        }
        if is_stale(self) {
            self.move_forward()?;
        }
        Ok(true)
    }

    /// Gets a lock that the call does not have; whether it could.
    fn stand_in_line(&self, locks: &mut Locks, wanted: (Place, LockMode), patience: Patience) -> Stm<bool> {
        let (deadline, call) = (self.deadline(), self.call);
        let (patience, limit) = match patience {
            Patience::None => (Patience::None, None),
            Patience::Until(own) => (Patience::Until(own.into_iter().chain(deadline).min()), deadline),
        };
        let waits = || {
            self.ws.count(Count::LockWaits);
            call.shared.turnstile.give_up();
        };
        match locks.stand(call, wanted, self.ws.work(), patience, &waits) {
            Line::Granted(_) => Ok(true),
            Line::GaveWay | Line::Left => {
                locks.release(&call.shared.locks);
                Err(self.stop(StopKind::GaveWay))
            }
            Line::TimedOut if limit.is_some_and(|limit| Instant::now() >= limit) => Err(self.stop(StopKind::TimedOut)),
            Line::TimedOut => Ok(false),
        }
    }

    /// Goes on with the newest version, unless something that was read is stale (§5.3).
    fn move_forward(&self) -> Stm<()> {
        let writes = self.call.options.isolation == Isolation::Snapshot;
        match self.ws.move_forward(writes) {
            Ok(kept) => {
                self.rare().locks.snapshots.push(kept);
                Ok(())
            }
            Err(slot) => {
                self.rare().history.lost_to = Some(slot);
                Err(self.stop(StopKind::Stale))
            }
        }
    }

    pub(crate) fn lock_for<T>(&self, var: &Var<T>, mode: LockMode, limit: Duration) -> Stm<bool> {
        self.lock(var, mode, Patience::Until(Instant::now().checked_add(limit)))
    }
}
