//! Who holds which lock, and who waits in the line.
//!
//! One mutex guards the table. A commit asks two things before it takes that: whether any lock is held at all, and
//! whether one is held at a place that hashes like one of its own (L2).

use super::mode::LockMode;
use super::place::Place;
use crate::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sync::latch::Latch;
use crate::sync::site::Who;
use crate::sync::time::Instant;
use crate::sync::{Arc, Mutex, plain};
use crossbeam_utils::CachePadded;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Marks by place; a power of two.
const MARKS: usize = if cfg!(tvar_loom) { 1 } else { 256 };

/// A transaction in the table: lower numbers are older.
pub(crate) type Party = u64;

/// A deadlock: each party with its label and the place that it waits for; the next one holds what is in its way there, or stands in line for it.
pub(crate) type Cycle = Vec<(Party, Option<Cow<'static, str>>, Place)>;

/// A transaction that asks for locks.
#[derive(Debug)]
pub(crate) struct Asker {
    pub(crate) party: Party,
    who: Who,
    parent: Option<Party>,
}

/// What becomes of a request at once.
#[derive(Debug)]
pub(crate) enum Answer {
    Granted,
    /// It stands in line; the latch opens when there is an [`Outcome`].
    Waiting(Arc<Latch>),
    /// It would have to wait, and must not.
    Busy,
    /// Its wait would never end, and it is the one to give way.
    Deadlock(Cycle),
}

/// What became of a request that stood in line.
#[derive(Debug)]
pub(crate) enum Outcome {
    Granted,
    /// It gives way to end a deadlock.
    Deadlock(Cycle),
    /// It left the line before either.
    Gone,
}

/// The locks of one space.
#[derive(Debug)]
pub(crate) struct LockTable {
    /// Places that are locked.
    held: CachePadded<AtomicUsize>,
    /// The same, by hash: keys by slot and number, all else by slot.
    marks: Box<[AtomicU32]>,
    pub(super) state: Mutex<State>,
    last: plain::AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// The holders of each locked place.
    pub(super) held: BTreeMap<Place, Vec<(Party, LockMode)>>,
    /// Who waits, wherever it is, in the order of the line. A party waits for one place at a time, so it is as short as threads are few.
    pub(super) line: Vec<Request>,
    pub(super) parties: BTreeMap<Party, PartyState>,
}

/// A lock that a party wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) party: Party,
    pub(super) place: Place,
    pub(super) mode: LockMode,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) want: Want,
    /// What the party would lose by giving way.
    pub(super) work: usize,
    /// The party holds the place shared.
    upgrade: bool,
    latch: Arc<Latch>,
    /// When it began to wait.
    pub(super) since: Instant,
}

#[derive(Debug)]
pub(super) struct PartyState {
    pub(super) who: Who,
    /// The party around it on the same thread, inside which it runs (in a destructor): its locks are in nobody's way here.
    pub(super) parent: Option<Party>,
    /// Places that it holds.
    places: usize,
    /// Deadlocks in which it has given way.
    pub(super) defeats: u32,
    /// What became of the request with which it stood in line.
    pub(super) outcome: Option<Outcome>,
}

impl Default for LockTable {
    fn default() -> Self {
        LockTable {
            held: CachePadded::new(AtomicUsize::new(0)),
            marks: (0..MARKS).map(|_| AtomicU32::new(0)).collect(),
            state: Mutex::new(State::default()),
            last: plain::AtomicU64::new(0),
        }
    }
}

impl LockTable {
    /// Whether any lock is held. To be asked after the base was loaded (L2).
    #[inline(always)]
    pub(crate) fn any(&self) -> bool {
        // ORDERING: Relaxed: the base was loaded before. If it is the root by which the lock took effect or a later one, the Acquire of that load
        // has brought the mark along; an older base loses its swap (L2). Partner: `mark`.
        self.held.load(Ordering::Relaxed) > 0
    }

    /// `number`: of a key; 0 for variables and ranges.
    #[cfg_attr(tvar_loom, allow(clippy::modulo_one, reason = "models have one mark"))]
    fn mark_of(&self, slot: u32, number: u64) -> &AtomicU32 {
        // Fibonacci hashing.
        let hash = (u64::from(slot) ^ number.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        &self.marks[((hash ^ number) >> 56) as usize % MARKS]
    }

    fn is_marked(&self, slot: u32, number: u64) -> bool {
        // ORDERING: Relaxed: as in `any`.
        self.mark_of(slot, number).load(Ordering::Relaxed) > 0
    }

    /// Whether another party holds a lock that overlaps this place. To be asked after the base was loaded (L2).
    pub(crate) fn is_foreign(&self, party: Party, place: Place) -> bool {
        // Keys inside a range have marks of their own, too many to look at.
        let marked = place.is_range()
            || self.is_marked(place.slot(), 0)
            || place.number().is_some_and(|key| self.is_marked(place.slot(), key));
        marked && self.state.lock().is_held_by_others(party, place)
    }

    /// A new party, the youngest. `parent`: the one around it on the same thread, 0 for none. Others know of it when it has asked for a lock.
    pub(crate) fn enter(&self, who: Who, parent: Party) -> Asker {
        // ORDERING: Relaxed: a number that no other has; the rest goes through the mutex.
        let party = self.last.fetch_add(1, plain::Ordering::Relaxed) + 1;
        Asker { party, who, parent: (parent != 0).then_some(parent) }
    }

    /// Asks for a lock. `work`: what the party would lose by giving way; `wait`: whether it would stand in line.
    pub(crate) fn request(&self, asker: &Asker, place: Place, mode: LockMode, work: usize, wait: bool) -> Answer {
        let party = asker.party;
        let want = Want { party, place, mode };
        let mut state = self.state.lock();
        state.parties.entry(party).or_insert_with(|| PartyState::of(asker));
        let at = if state.is_waited_for_by_the_line(want) { 0 } else { state.line.len() };
        if state.in_the_way(want, &state.line[..at]).next().is_none() {
            state.grant(self, want);
            return Answer::Granted;
        }
        let upgrade = state.holds(party, place);
        // Both hold it shared, and each waits for the other to let go (§5.4).
        let rival = state.line.iter().find(|other| upgrade && other.upgrade && other.want.place.overlaps(place));
        let rival = rival.map(|other| other.want.party);
        if rival.is_none() && !wait {
            return Answer::Busy;
        }
        let latch = Arc::new(Latch::new());
        state.line.insert(at, Request { want, work, upgrade, latch: latch.clone(), since: Instant::now() });
        let mut woken = Vec::new();
        if let Some(rival) = rival {
            let report = state.report(&[party, rival]);
            state.give_way(self, party, &mut woken);
            return Answer::Deadlock(report);
        }
        let mut answer = Answer::Waiting(latch);
        while state.can_be_waited_for(party)
            && let Some(cycle) = state.cycle_of(party)
        {
            let victim = state.victim(&cycle);
            let report = state.report(&cycle);
            let latch = state.give_way(self, victim, &mut woken);
            if victim == party {
                answer = Answer::Deadlock(report);
                break;
            }
            state.party(victim).outcome = Some(Outcome::Deadlock(report));
            woken.extend(latch);
        }
        drop(state);
        woken.iter().for_each(|latch| latch.open());
        answer
    }

    /// What became of the party's request: after its latch has opened, or when it will not wait any longer.
    pub(crate) fn outcome(&self, party: Party) -> Outcome {
        self.change(|state, woken| {
            let told = state.party(party).outcome.take();
            told.unwrap_or_else(|| {
                state.withdraw(self, party, woken);
                Outcome::Gone
            })
        })
    }

    /// Goes back, place by place, to the mode that the party had before; `None`: lets go.
    pub(crate) fn restore(&self, party: Party, places: impl Iterator<Item = (Place, Option<LockMode>)>) {
        self.change(|state, woken| {
            for (place, before) in places {
                state.restore(self, party, place, before);
                state.settle(self, place, woken);
            }
        });
    }

    /// The party lets go of everything, and is known no more.
    pub(crate) fn leave(&self, party: Party, places: impl Iterator<Item = Place>) {
        self.change(|state, woken| {
            for place in places {
                state.restore(self, party, place, None);
                state.settle(self, place, woken);
            }
            state.parties.remove(&party);
        });
    }

    /// Changes the state, and wakes those who were told something then.
    fn change<R>(&self, f: impl FnOnce(&mut State, &mut Vec<Arc<Latch>>) -> R) -> R {
        let mut woken = Vec::new();
        let result = f(&mut self.state.lock(), &mut woken);
        woken.iter().for_each(|latch| latch.open());
        result
    }

    fn mark(&self, place: Place) {
        // ORDERING: Relaxed (both): published by the Release of the swap of the root by which the holder ends older bases (L2), which
        // comes after, if on another thread by way of the mutex; partners: `any`, `is_marked`.
        self.mark_of(place.slot(), place.number().unwrap_or(0)).fetch_add(1, Ordering::Relaxed);
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    fn unmark(&self, place: Place) {
        // ORDERING: Relaxed (both): who still sees it looks in the table; who does not has a base that is checked like any other.
        self.held.fetch_sub(1, Ordering::Relaxed);
        self.mark_of(place.slot(), place.number().unwrap_or(0)).fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartyState {
    fn of(asker: &Asker) -> PartyState {
        PartyState { who: asker.who.clone(), parent: asker.parent, places: 0, defeats: 0, outcome: None }
    }
}

impl Want {
    fn goes_with(self, other: Want) -> bool {
        !self.place.overlaps(other.place) || self.mode.goes_with(other.mode)
    }
}

/// Whether one party is the other, or one around it on the same thread.
fn is_around(parties: &BTreeMap<Party, PartyState>, outer: Party, inner: Party) -> bool {
    let mut at = Some(inner);
    while let Some(party) = at {
        if party == outer {
            return true;
        }
        at = parties.get(&party).and_then(|party| party.parent);
    }
    false
}

impl State {
    /// Those whom a party would have to wait for: who holds something in its way, and who stands before it for something in its way.
    pub(super) fn in_the_way(&self, want: Want, before: &[Request]) -> impl Iterator<Item = Party> {
        let before = before.iter().map(|request| request.want).filter(move |other| !other.goes_with(want));
        self.holders_in_the_way(want).chain(before.map(|other| other.party))
    }

    fn holders_in_the_way(&self, want: Want) -> impl Iterator<Item = Party> {
        let Want { party, place, mode } = want;
        let holders = place.overlapping(&self.held).flat_map(|(_, holders)| holders);
        let others =
            holders.filter(move |(holder, held)| !held.goes_with(mode) && !is_around(&self.parties, *holder, party));
        others.map(|(holder, _)| *holder)
    }

    /// Whether somebody in the line, behind whom the party would stand, waits for the party's own thread. It would wait for that in vain.
    fn is_waited_for_by_the_line(&self, want: Want) -> bool {
        let is_own = |holder| is_around(&self.parties, holder, want.party);
        let mut line = self.line.iter().map(|request| request.want).filter(|other| !other.goes_with(want));
        line.any(|other| self.holders_in_the_way(other).any(is_own))
    }

    /// Whether anybody could be waiting for a party that has just come to the end of the line. Most hold nothing, and need no search for cycles.
    fn can_be_waited_for(&self, party: Party) -> bool {
        self.parties.get(&party).is_some_and(|party| party.places > 0 || party.parent.is_some())
    }

    fn holds(&self, party: Party, place: Place) -> bool {
        let mut around = place.overlapping(&self.held).filter(|(held, _)| held.contains(place));
        around.any(|(_, holders)| holders.iter().any(|(holder, _)| *holder == party))
    }

    fn is_held_by_others(&self, party: Party, place: Place) -> bool {
        let mut holders = place.overlapping(&self.held).flat_map(|(_, holders)| holders);
        holders.any(|(holder, _)| !is_around(&self.parties, *holder, party))
    }

    fn party(&mut self, party: Party) -> &mut PartyState {
        self.parties.get_mut(&party).expect("a party is known until it leaves")
    }

    /// What a party waits for.
    pub(super) fn request_of(&self, party: Party) -> Option<&Request> {
        self.line.iter().find(|request| request.want.party == party)
    }

    /// A party leaves the line in favour of the others; returns its latch.
    fn give_way(&mut self, table: &LockTable, party: Party, woken: &mut Vec<Arc<Latch>>) -> Option<Arc<Latch>> {
        self.party(party).defeats += 1;
        self.withdraw(table, party, woken)
    }

    /// Takes a request out of the line.
    fn withdraw(&mut self, table: &LockTable, party: Party, woken: &mut Vec<Arc<Latch>>) -> Option<Arc<Latch>> {
        let at = self.line.iter().position(|request| request.want.party == party)?;
        let request = self.line.remove(at);
        self.settle(table, request.want.place, woken);
        Some(request.latch)
    }

    fn grant(&mut self, table: &LockTable, Want { party, place, mode }: Want) {
        let holders = self.held.entry(place).or_insert_with(|| {
            table.mark(place);
            Vec::new()
        });
        match holders.iter_mut().find(|(holder, _)| *holder == party) {
            Some(held) => held.1 = held.1.max(mode),
            None => {
                holders.push((party, mode));
                self.party(party).places += 1;
            }
        }
    }

    /// Takes back what a grant has changed.
    fn restore(&mut self, table: &LockTable, party: Party, place: Place, before: Option<LockMode>) {
        let Entry::Occupied(mut entry) = self.held.entry(place) else { return };
        let holders = entry.get_mut();
        match before {
            Some(mode) => holders.iter_mut().filter(|held| held.0 == party).for_each(|held| held.1 = mode),
            None => {
                let before = holders.len();
                holders.retain(|(holder, _)| *holder != party);
                let gone = before - holders.len();
                if let Some(party) = self.parties.get_mut(&party) {
                    party.places -= gone;
                }
            }
        }
        if holders.is_empty() {
            entry.remove();
            table.unmark(place);
        }
    }

    /// Grants, in the order of the line, what can be granted now that something at this place is in nobody's way any more.
    fn settle(&mut self, table: &LockTable, place: Place, woken: &mut Vec<Arc<Latch>>) {
        let mut at = 0;
        while let Some(Request { want, .. }) = self.line.get(at) {
            let want = *want;
            if !want.place.overlaps(place) || self.in_the_way(want, &self.line[..at]).next().is_some() {
                at += 1;
                continue;
            }
            let request = self.line.remove(at);
            self.grant(table, want);
            self.party(want.party).outcome = Some(Outcome::Granted);
            woken.push(request.latch);
        }
    }

    /// Names a cycle.
    fn report(&self, cycle: &[Party]) -> Cycle {
        let member = |party: &Party| {
            // One that does not wait itself waits for a party inside it, which is in the cycle too.
            let place = self.request_of(*party)?.want.place;
            Some((*party, self.parties.get(party).and_then(|party| party.who.label.clone()), place))
        };
        cycle.iter().filter_map(member).collect()
    }
}
