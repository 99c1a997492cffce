//! Random requests, against a model that is a plain list of who holds what and a list of who waits.

use super::super::table::State;
use super::*;

const PARTIES: usize = 6;

/// A small generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Two variables, and a map with eight keys.
    fn place(&mut self) -> Place {
        match self.below(6) {
            0 => Place::variable(self.below(2) as u32),
            1 | 2 => {
                let (low, len) = (self.below(8), self.below(4));
                range(low as u64, (low + len) as u64)
            }
            _ => key(self.below(8) as u64),
        }
    }
}

type Lock = (Party, Place, LockMode);

fn in_the_way((a, at, mode): Lock, (b, other, wanted): Lock) -> bool {
    a != b && at.overlaps(other) && !(mode == Shared && wanted == Shared)
}

/// A party as the test leads it: what it holds, with the mode from before, in order.
struct Led {
    asker: Asker,
    log: Vec<(Place, LockMode, Option<LockMode>)>,
    waits: Option<(Place, LockMode)>,
}

impl Led {
    fn mode(&self, place: Place) -> Option<LockMode> {
        self.log.iter().filter(|entry| entry.0 == place).map(|entry| entry.1).max()
    }

    fn add(&mut self, place: Place, mode: LockMode) {
        let before = self.mode(place);
        if before < Some(mode) {
            self.log.push((place, mode, before));
        }
    }

    fn let_go(&mut self, table: &LockTable, down_to: usize) {
        let undone = self.log.drain(down_to..).rev().map(|(place, _, before)| (place, before));
        table.restore(self.asker.party, undone);
    }

    /// Takes note of what has been granted from the line.
    fn look(&mut self, state: &mut State) {
        let outcome = &state.parties.get_mut(&self.asker.party).map(|party| party.outcome.as_ref());
        if let (Some(Some(Outcome::Granted)), Some((place, mode))) = (outcome, self.waits) {
            self.add(place, mode);
        }
    }
}

/// What must hold between any two steps. `all`: with all that was granted.
fn check(table: &LockTable, all: &mut [Led]) {
    let mut state = table.state.lock();
    all.iter_mut().for_each(|led| led.look(&mut state));
    let line: Vec<Lock> = state.line.iter().map(|request| request.want).map(|w| (w.party, w.place, w.mode)).collect();
    let mut held: Vec<Lock> = Vec::new();
    for (place, holders) in &state.held {
        held.extend(holders.iter().map(|(party, mode)| (*party, *place, *mode)));
    }
    drop(state);
    let mut expected: Vec<Lock> = Vec::new();
    for led in all.iter() {
        let last = |place| (led.asker.party, place, led.mode(place).unwrap());
        expected.extend(led.log.iter().filter(|entry| entry.2.is_none()).map(|entry| last(entry.0)));
    }
    let sorted = |mut locks: Vec<Lock>| {
        locks.sort();
        locks
    };
    assert_eq!(sorted(held.clone()), sorted(expected), "who holds what");
    assert_eq!(table.any(), !held.is_empty());
    for (at, lock) in held.iter().enumerate() {
        assert!(!held[..at].iter().any(|other| in_the_way(*other, *lock)), "{lock:?} in {held:?}");
    }
    for party in 0..=PARTIES as Party {
        let numbers = (0..12).map(key).chain((0..3).map(Place::variable));
        for place in numbers {
            let foreign = held.iter().any(|(other, at, _)| *other != party && at.overlaps(place));
            assert_eq!(table.is_foreign(party, place), foreign, "{party} {place:?} {held:?}");
        }
    }
    // Everybody in the line waits for somebody, and nobody for himself in the end.
    let mut edges: Vec<(Party, Party)> = Vec::new();
    for (at, want) in line.iter().enumerate() {
        let first = held.iter().chain(&line[..at]).filter(|other| in_the_way(**other, *want)).map(|other| other.0);
        let before = edges.len();
        edges.extend(first.map(|other| (want.0, other)));
        assert!(edges.len() > before, "nothing is in the way of {want:?}: {held:?}, {line:?}");
    }
    for (start, _, _) in &line {
        let (mut seen, mut todo) = (Vec::new(), vec![*start]);
        while let Some(party) = todo.pop() {
            for (_, next) in edges.iter().filter(|(from, _)| *from == party) {
                assert!(next != start, "a ring was left: {held:?}, {line:?}");
                if !seen.contains(next) {
                    seen.push(*next);
                    todo.push(*next);
                }
            }
        }
    }
}

/// One request of a party that does not wait; checks the answer against the lists as they were.
fn ask(table: &LockTable, led: &mut Led, (place, mode, wait): (Place, LockMode, bool), work: usize) {
    let want = (led.asker.party, place, mode);
    let state = table.state.lock();
    let held = state.held.iter().flat_map(|(at, holders)| holders.iter().map(|(party, mode)| (*party, *at, *mode)));
    let held: Vec<Lock> = held.collect();
    let line: Vec<Lock> =
        state.line.iter().map(|request| (request.want.party, request.want.place, request.want.mode)).collect();
    drop(state);
    let blocked = held.iter().any(|other| in_the_way(*other, want));
    let ahead: Vec<&Lock> = line.iter().filter(|other| in_the_way(**other, want)).collect();
    let own = |other: &&Lock| held.iter().any(|lock| lock.0 == want.0 && in_the_way(*lock, **other));
    let granted = !blocked && (ahead.is_empty() || ahead.iter().any(own));
    let covered = held.iter().any(|lock| lock.0 == want.0 && lock.1.contains(place) && lock.2 >= mode);
    assert!(granted || !covered, "it has it already");
    match table.request(&led.asker, place, mode, work, wait) {
        Answer::Granted => {
            assert!(granted, "{want:?} goes before {ahead:?}: {held:?}");
            led.add(place, mode);
        }
        Answer::Waiting(_) => {
            assert!(!granted && wait, "{want:?} waits for nothing: {held:?}, {line:?}");
            led.waits = Some((place, mode));
        }
        Answer::Busy => assert!(!granted && !wait, "{want:?}: {held:?}, {line:?}"),
        Answer::Deadlock(cycle) => {
            assert!(!granted && cycle.len() > 1 && cycle.iter().any(|(party, _, at)| (*party, *at) == (want.0, place)));
            led.let_go(table, 0);
        }
    }
}

/// §5.4, L1, L4: after every step the modes go together, each waits for a reason, no ring is left; and nothing at the end.
#[test]
fn random_requests() {
    let (mut waited, mut lost) = (0, 0);
    for seed in 0..if cfg!(miri) { 3 } else { 200 } {
        let (table, mut random) = (LockTable::default(), Random(seed));
        let led = |_| Led { asker: table.enter(super::who(None), 0), log: Vec::new(), waits: None };
        let mut all: Vec<_> = (0..PARTIES).map(led).collect();
        for _ in 0..150 {
            let led = &mut all[random.below(PARTIES)];
            if led.waits.is_some() {
                // Told meanwhile, or it leaves the line now and then.
                let told = table.is_told(&led.asker);
                if told || random.below(4) == 0 {
                    waited += 1;
                    led.waits = None;
                    match table.outcome(led.asker.party) {
                        Outcome::Granted => assert!(told),
                        Outcome::Deadlock(cycle) => {
                            assert!(told && cycle.iter().any(|(party, ..)| *party == led.asker.party));
                            lost += 1;
                            led.let_go(&table, 0);
                        }
                        Outcome::Gone => assert!(!told),
                    }
                }
            } else if random.below(4) == 0 {
                let down_to = random.below(led.log.len() + 1);
                led.let_go(&table, down_to);
            } else {
                let (place, mode) = (random.place(), [Shared, Exclusive][random.below(2)]);
                ask(&table, led, (place, mode, random.below(5) > 0), random.below(3));
            }
            check(&table, &mut all);
        }
        for at in 0..PARTIES {
            if all[at].waits.take().is_some()
                && let Outcome::Gone | Outcome::Deadlock(_) = table.outcome(all[at].asker.party)
            {
                all[at].let_go(&table, 0);
                check(&table, &mut all);
            }
            let held: Vec<_> = all[at].log.drain(..).map(|entry| entry.0).collect();
            table.leave(all[at].asker.party, held.into_iter());
            check(&table, &mut all);
        }
        assert!(!table.any() && table.list(|slot| slot.to_string()).is_empty());
    }
    assert!(cfg!(miri) || waited > 1000 && lost > 100, "the test has met {waited} waits and {lost} deadlocks");
}
