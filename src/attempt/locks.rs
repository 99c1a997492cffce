//! The locks of a call: taken, kept from attempt to attempt, given up (§5.2, L1 to L6).

use super::access::Attempt;
use super::control::{Recorded, Stm, Stop, StopKind};
use super::options::{Isolation, Label};
use super::run::Call;
use crate::commit::Line;
use crate::lock::{Answer, Cycle, LockMode, LockTable, Outcome, Party};
use crate::store::{Count, KeptSnapshot, Var};
use crate::sync::time::{Duration, Instant};
use std::cell::RefCell;
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
    place: u32,
    mode: LockMode,
    /// What the call held before.
    before: Option<LockMode>,
    /// From an attempt that was lost, and not asked for since (§5.2).
    carried: bool,
    /// Older bases have been ended since the grant (L2).
    effective: bool,
}

/// All locks of a call, in the order in which they were taken.
#[derive(Default)]
pub(super) struct Locks {
    party: Party,
    held: Vec<Held>,
    /// Newer snapshots that the attempt has moved to (L3).
    snapshots: Vec<KeptSnapshot>,
    /// The deadlock in which the call has given way.
    pub(super) cycle: Option<Cycle>,
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

/// What has come of standing in line.
enum Stood {
    In(Line),
    Busy,
}

impl Locks {
    fn find(&mut self, place: u32) -> Option<&mut Held> {
        self.held.iter_mut().rev().find(|held| held.place == place)
    }

    /// Makes the call known to the table.
    fn enter(&mut self, table: &LockTable, label: Option<&Label>) -> Party {
        if self.party == 0 {
            self.party = table.enter(label.cloned(), party_in(table));
            let _ = KNOWN.try_with(|known| known.borrow_mut().push((table, self.party)));
        }
        self.party
    }

    /// Asks for a lock, and stands in line for it; `waits` is called before a wait.
    fn stand(
        &mut self,
        table: &LockTable,
        label: Option<&Label>,
        (place, mode): (u32, LockMode),
        work: usize,
        patience: Patience,
        waits: &dyn Fn(),
    ) -> Stood {
        let party = self.enter(table, label);
        let wait = matches!(patience, Patience::Until(_));
        let before = match table.request(party, place, mode, work, wait) {
            Answer::Granted { before } => before,
            Answer::Busy => return Stood::Busy,
            Answer::Deadlock(cycle) => return self.give_way(table, cycle),
            Answer::Waiting(latch) => {
                waits();
                if let Patience::Until(deadline) = patience {
                    latch.wait(deadline);
                }
                match table.outcome(party) {
                    Outcome::Granted => self.find(place).map(|held| held.mode),
                    Outcome::Deadlock(cycle) => return self.give_way(table, cycle),
                    Outcome::Gone => return Stood::In(Line::TimedOut),
                }
            }
        };
        if before.is_none_or(|held| held < mode) {
            // With the lock shared nobody could publish a write since.
            let effective = before.is_some() && self.find(place).is_some_and(|held| held.effective);
            self.held.push(Held { place, mode, before, carried: false, effective });
        }
        Stood::In(Line::Granted(party))
    }

    /// Stands in line for a lock, for a commit that would write to what another holds. It has the lock then, like any other.
    pub(super) fn stand_in_line(
        &mut self,
        call: &Call<'_>,
        slot: u32,
        work: usize,
        deadline: Option<Instant>,
        waits: &dyn Fn(),
    ) -> Line {
        let wanted = (slot, LockMode::Exclusive);
        let label = call.options.label.as_ref();
        match self.stand(&call.shared.locks, label, wanted, work, Patience::Until(deadline), waits) {
            Stood::In(line) => line,
            Stood::Busy => unreachable!("it waits"),
        }
    }

    fn give_way(&mut self, table: &LockTable, cycle: Cycle) -> Stood {
        self.release(table);
        self.cycle = Some(cycle);
        Stood::In(Line::GaveWay)
    }

    /// Lets go of what was taken since the mark.
    fn undo(&mut self, table: &LockTable, mark: LockMark) {
        while self.held.len() > mark.0 {
            let Held { place, before, .. } = self.held.pop().expect("longer than the mark");
            table.restore(self.party, place, before);
        }
    }

    /// Lets go of everything.
    pub(super) fn release(&mut self, table: &LockTable) {
        self.undo(table, LockMark(0));
    }

    /// An attempt was lost: what it asked for stays until the next one ends, anything older goes (§5.2).
    pub(super) fn carry(&mut self, table: &LockTable) {
        let unused: Vec<_> = self.held.iter().filter(|held| held.carried).map(|held| held.place).collect();
        for place in unused {
            // A place that was asked for again in a stronger mode is not carried in any entry of its own.
            if self.held.iter().all(|held| held.place != place || held.carried) {
                self.held.retain(|held| held.place != place);
                table.restore(self.party, place, None);
            }
        }
        self.held.iter_mut().for_each(|held| held.carried = true);
    }

    /// The newer snapshots of the attempt, for the end of it: to be dropped when nothing is borrowed.
    pub(super) fn take_snapshots(&mut self) -> Vec<KeptSnapshot> {
        std::mem::take(&mut self.snapshots)
    }

    /// The end of the call.
    pub(super) fn leave(&mut self, table: &LockTable) {
        self.release(table);
        let party = std::mem::take(&mut self.party);
        if party != 0 {
            table.leave(party);
            let _ = KNOWN.try_with(|known| known.borrow_mut().retain(|known| *known != (ptr::from_ref(table), party)));
        }
    }
}

impl Attempt<'_> {
    pub(super) fn mark_locks(&self) -> LockMark {
        self.if_rare(|rare| LockMark(rare.locks.held.len()))
    }

    pub(super) fn undo_locks(&self, mark: LockMark) {
        self.if_rare(|rare| rare.locks.undo(&self.call.shared.locks, mark));
    }

    /// Locks a variable; whether it could.
    pub(crate) fn lock<T>(&self, var: &Var<T>, mode: LockMode, patience: Patience) -> Stm<bool> {
        self.check_space(var);
        if let Some(Recorded::Stop(kind)) = self.recorded.get() {
            // Decided, and swallowed: it still stands, and no lock would help (A3).
            return Err(Stop { attempt: self.id(), kind });
        }
        let place = var.slot();
        let table = &self.call.shared.locks;
        let ready = {
            let mut rare = self.rare();
            match rare.locks.find(place).filter(|held| held.mode >= mode) {
                Some(held) => {
                    held.carried = false;
                    Some(std::mem::replace(&mut held.effective, true))
                }
                None => None,
            }
        };
        let effective = match ready {
            // Nobody has published a write since before this attempt began, or since it was asked for first.
            Some(true) => return Ok(true),
            Some(false) => false,
            None => {
                let deadline = self.deadline();
                let label = self.call.options.label.as_ref();
                let wanted = (place, mode);
                let waits = || self.ws.count(Count::LockWaits);
                let mut stood = self.rare().locks.stand(table, label, wanted, self.ws.work(), Patience::None, &waits);
                if let (Stood::Busy, Patience::Until(own)) = (&stood, patience) {
                    self.call.shared.turnstile.give_up();
                    let patience = Patience::Until(own.into_iter().chain(deadline).min());
                    stood = self.rare().locks.stand(table, label, wanted, self.ws.work(), patience, &waits);
                }
                match stood {
                    Stood::In(Line::Granted(_)) => {
                        let mut rare = self.rare();
                        let held = rare.locks.find(place).expect("it was granted");
                        std::mem::replace(&mut held.effective, true)
                    }
                    Stood::In(Line::GaveWay) => return Err(self.stop(StopKind::GaveWay)),
                    Stood::In(Line::TimedOut) if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                        return Err(self.stop(StopKind::TimedOut));
                    }
                    Stood::In(Line::TimedOut) | Stood::Busy => return Ok(false),
                }
            }
        };
        if !effective {
            self.ws.end_older_bases();
        }
        if self.ws.is_stale(place) {
            self.move_forward()?;
        }
        Ok(true)
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
                self.rare().lost_to = Some(slot);
                Err(self.stop(StopKind::Stale))
            }
        }
    }

    pub(crate) fn lock_for<T>(&self, var: &Var<T>, mode: LockMode, limit: Duration) -> Stm<bool> {
        self.lock(var, mode, Patience::Until(Instant::now().checked_add(limit)))
    }
}
