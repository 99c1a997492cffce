//! Who holds which lock, and who waits in which line.
//!
//! One mutex guards the table. A commit asks two things before it takes that: whether any lock is held at all, and
//! whether one is held at a place that hashes like one of its own (L2).

use super::list::{LockInfo, LockParty};
use super::mode::LockMode;
use crate::sync::atomic::{AtomicU32, AtomicUsize, Ordering, model_fence};
use crate::sync::latch::Latch;
use crate::sync::{Arc, Mutex};
use crossbeam_utils::CachePadded;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Marks by slot number; a power of two.
const MARKS: usize = if cfg!(tvar_loom) { 1 } else { 256 };

/// A transaction in the table: lower numbers are older.
pub(crate) type Party = u64;

/// A deadlock: each party with its label and the place that it waits for, which the next one holds or stands in line for.
pub(crate) type Cycle = Vec<(Party, Option<Cow<'static, str>>, u32)>;

/// What becomes of a request at once.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Granted now, or held before: `before` is the mode that the party had.
    Granted { before: Option<LockMode> },
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
    /// The same, by hash.
    marks: Box<[AtomicU32]>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// In order, for the listing.
    pub(super) queues: BTreeMap<u32, Queue>,
    pub(super) parties: HashMap<Party, PartyState>,
    last: Party,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) holders: Vec<(Party, LockMode)>,
    pub(super) waiting: VecDeque<Request>,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) party: Party,
    pub(super) mode: LockMode,
    /// The party holds the lock shared: it stands before all others.
    upgrade: bool,
}

#[derive(Debug, Default)]
pub(super) struct PartyState {
    /// The party around it on the same thread, inside which it runs (in a destructor): its locks are in nobody's way here.
    pub(super) parent: Option<Party>,
    label: Option<Cow<'static, str>>,
    /// Deadlocks in which it has given way.
    pub(super) defeats: u32,
    pub(super) wait: Option<Wait>,
}

#[derive(Debug)]
pub(super) struct Wait {
    place: u32,
    /// What the party would lose by giving way.
    pub(super) work: usize,
    latch: Arc<Latch>,
    outcome: Option<Outcome>,
}

impl Default for LockTable {
    fn default() -> Self {
        LockTable {
            held: CachePadded::new(AtomicUsize::new(0)),
            marks: (0..MARKS).map(|_| AtomicU32::new(0)).collect(),
            state: Mutex::new(State::default()),
        }
    }
}

impl LockTable {
    /// Whether any lock is held. To be asked after the base was loaded (L2).
    #[inline(always)]
    pub(crate) fn any(&self) -> bool {
        // ORDERING: SeqCst: after the load of the base in the total order; partner: `mark`, before the swap of the lock's holder.
        self.held.load(Ordering::SeqCst) > 0
    }

    #[cfg_attr(tvar_loom, allow(clippy::modulo_one, reason = "models have one mark"))]
    fn mark_of(&self, place: u32) -> &AtomicU32 {
        // Fibonacci hashing.
        &self.marks[(place.wrapping_mul(0x9E37_79B9) >> 16) as usize % MARKS]
    }

    /// Whether another party holds a lock on this place. To be asked after the base was loaded (L2).
    pub(crate) fn is_foreign(&self, party: Party, place: u32) -> bool {
        // ORDERING: SeqCst: as in `any`.
        self.mark_of(place).load(Ordering::SeqCst) > 0 && self.state.lock().is_held_by_others(party, place)
    }

    /// A new party, the youngest. `parent`: the one around it on the same thread, 0 for none.
    pub(crate) fn enter(&self, label: Option<Cow<'static, str>>, parent: Party) -> Party {
        let mut state = self.state.lock();
        state.last += 1;
        let party = state.last;
        let parent = (parent != 0).then_some(parent);
        state.parties.insert(party, PartyState { parent, label, ..PartyState::default() });
        party
    }

    /// A party that holds nothing any more and wants nothing.
    pub(crate) fn leave(&self, party: Party) {
        self.state.lock().parties.remove(&party);
    }

    /// Asks for a lock. `work`: what the party would lose by giving way; `wait`: whether it would stand in line.
    pub(crate) fn request(&self, party: Party, place: u32, mode: LockMode, work: usize, wait: bool) -> Answer {
        let mut state = self.state.lock();
        let State { queues, parties, .. } = &mut *state;
        let queue = queues.entry(place).or_default();
        let before = queue.mode_of(party);
        if before.is_some_and(|held| held >= mode) {
            return Answer::Granted { before };
        }
        // Who waits behind a party's own thread would wait for it in vain.
        let upgrade = before.is_some() || queue.holders.iter().any(|(holder, _)| is_around(parties, *holder, party));
        let first = queue.holders.is_empty();
        if (upgrade || queue.waiting.is_empty()) && queue.admits(parties, party, mode) {
            queue.grant(party, mode);
            if first {
                self.mark(place);
            }
            return Answer::Granted { before };
        }
        if before.is_some()
            && let Some(rival) = queue.waiting.front().filter(|request| request.upgrade)
        {
            // Both hold it shared and each waits for the other to let go (§5.4).
            let cycle = vec![party, rival.party];
            state.party(party).defeats += 1;
            return Answer::Deadlock(state.report(&cycle, Some((party, place))));
        }
        if !wait {
            return Answer::Busy;
        }
        let request = Request { party, mode, upgrade };
        if upgrade {
            queue.waiting.push_front(request);
        } else {
            queue.waiting.push_back(request);
        }
        let latch = Latch::new();
        let wait = Wait { place, work, latch: latch.clone(), outcome: None };
        state.parties.get_mut(&party).expect("it has entered").wait = Some(wait);
        let mut woken = Vec::new();
        let mut answer = Answer::Waiting(latch);
        while let Some(cycle) = state.cycle_of(party) {
            let victim = state.victim(&cycle);
            let report = state.report(&cycle, None);
            state.give_way(self, victim, &mut woken);
            if victim == party {
                state.party(party).wait = None;
                answer = Answer::Deadlock(report);
                break;
            }
            let wait = state.party(victim).wait.as_mut().expect("the members of a cycle wait");
            wait.outcome = Some(Outcome::Deadlock(report));
            woken.push(wait.latch.clone());
        }
        drop(state);
        woken.iter().for_each(|latch| latch.open());
        answer
    }

    /// What became of the party's request: after its latch has opened, or when it will not wait any longer.
    pub(crate) fn outcome(&self, party: Party) -> Outcome {
        let mut woken = Vec::new();
        let mut state = self.state.lock();
        let outcome = match state.party(party).wait.take() {
            Some(Wait { outcome: Some(outcome), .. }) => outcome,
            Some(Wait { place, .. }) => {
                state.withdraw(self, party, place, &mut woken);
                Outcome::Gone
            }
            None => Outcome::Gone,
        };
        drop(state);
        woken.iter().for_each(|latch| latch.open());
        outcome
    }

    /// Goes back to the mode that the party had before; `None`: lets go.
    pub(crate) fn restore(&self, party: Party, place: u32, before: Option<LockMode>) {
        let mut woken = Vec::new();
        let mut state = self.state.lock();
        if let Some(queue) = state.queues.get_mut(&place) {
            match before {
                Some(mode) => {
                    queue.holders.iter_mut().filter(|(holder, _)| *holder == party).for_each(|held| held.1 = mode)
                }
                None => queue.holders.retain(|(holder, _)| *holder != party),
            }
            state.settle(self, place, &mut woken);
        }
        drop(state);
        woken.iter().for_each(|latch| latch.open());
    }

    fn mark(&self, place: u32) {
        // ORDERING: SeqCst (both): before the swap of the root by which the holder ends older bases in the total order (L2); partners: `any`,
        // `is_foreign`.
        self.mark_of(place).fetch_add(1, Ordering::SeqCst);
        self.held.fetch_add(1, Ordering::SeqCst);
        model_fence();
    }

    fn unmark(&self, place: u32) {
        // ORDERING: SeqCst: pairs with `mark`.
        self.held.fetch_sub(1, Ordering::SeqCst);
        self.mark_of(place).fetch_sub(1, Ordering::SeqCst);
    }

    /// Every locked place, with names by `describe`.
    pub(crate) fn list(&self, describe: impl Fn(u32) -> String) -> Vec<LockInfo> {
        let state = self.state.lock();
        let party = |number: Party, mode| {
            let label = state.parties.get(&number).and_then(|party| party.label.clone());
            LockParty { number, label, mode }
        };
        let list = state.queues.iter().map(|(place, queue)| LockInfo {
            variable: describe(*place),
            holders: queue.holders.iter().map(|(number, mode)| party(*number, *mode)).collect(),
            waiting: queue.waiting.iter().map(|request| party(request.party, request.mode)).collect(),
        });
        list.collect()
    }
}

impl Queue {
    fn mode_of(&self, party: Party) -> Option<LockMode> {
        self.holders.iter().find(|(holder, _)| *holder == party).map(|(_, mode)| *mode)
    }

    /// Whether nobody else's mode is in the way.
    fn admits(&self, parties: &HashMap<Party, PartyState>, party: Party, mode: LockMode) -> bool {
        self.holders.iter().all(|(holder, held)| held.goes_with(mode) || is_around(parties, *holder, party))
    }

    fn grant(&mut self, party: Party, mode: LockMode) {
        match self.holders.iter_mut().find(|(holder, _)| *holder == party) {
            Some(held) => held.1 = mode,
            None => self.holders.push((party, mode)),
        }
    }
}

/// Whether one party is the other, or one around it on the same thread.
pub(super) fn is_around(parties: &HashMap<Party, PartyState>, outer: Party, inner: Party) -> bool {
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
    fn is_held_by_others(&self, party: Party, place: u32) -> bool {
        let holders = self.queues.get(&place).map_or(&[][..], |queue| &queue.holders);
        holders.iter().any(|(holder, _)| !is_around(&self.parties, *holder, party))
    }

    fn party(&mut self, party: Party) -> &mut PartyState {
        self.parties.get_mut(&party).expect("a party is known until it leaves")
    }

    /// The place at which a party stands in line.
    pub(super) fn waits_at(&self, party: Party) -> Option<u32> {
        let wait = self.parties.get(&party)?.wait.as_ref()?;
        wait.outcome.is_none().then_some(wait.place)
    }

    /// A party leaves its line in favour of the others.
    fn give_way(&mut self, table: &LockTable, party: Party, woken: &mut Vec<Arc<Latch>>) {
        self.party(party).defeats += 1;
        if let Some(place) = self.waits_at(party) {
            self.withdraw(table, party, place, woken);
        }
    }

    /// Takes a request out of the line.
    fn withdraw(&mut self, table: &LockTable, party: Party, place: u32, woken: &mut Vec<Arc<Latch>>) {
        if let Some(queue) = self.queues.get_mut(&place) {
            queue.waiting.retain(|request| request.party != party);
            self.settle(table, place, woken);
        }
    }

    /// Grants what can be granted, from the front of the line.
    fn settle(&mut self, table: &LockTable, place: u32, woken: &mut Vec<Arc<Latch>>) {
        let State { queues, parties, .. } = self;
        let Some(queue) = queues.get_mut(&place) else { return };
        while let Some(request) = queue.waiting.front()
            && queue.admits(parties, request.party, request.mode)
        {
            let (party, mode) = (request.party, request.mode);
            queue.waiting.pop_front();
            queue.grant(party, mode);
            if let Some(wait) = parties.get_mut(&party).and_then(|party| party.wait.as_mut()) {
                wait.outcome = Some(Outcome::Granted);
                woken.push(wait.latch.clone());
            }
        }
        // The mark stays over a hand-over: one that is granted before the last holder's mark would go keeps it.
        if queue.holders.is_empty() {
            queues.remove(&place);
            table.unmark(place);
        }
    }

    /// Names a cycle. `wanted`: a member that does not wait yet, and where it would.
    fn report(&self, cycle: &[Party], wanted: Option<(Party, u32)>) -> Cycle {
        let member = |party: &Party| {
            let label = self.parties.get(party).and_then(|party| party.label.clone());
            let place = wanted.filter(|(wanting, _)| wanting == party).map(|(_, place)| place);
            // One that does not wait itself waits for a party inside it, which is in the cycle too.
            Some((*party, label, place.or_else(|| self.waits_at(*party))?))
        };
        cycle.iter().filter_map(member).collect()
    }
}
