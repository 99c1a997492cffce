//! The lock table by itself: random requests against its own rules (L1, L4).

use super::LockMode::{Exclusive, Shared};
use super::*;
use std::collections::{BTreeMap, BTreeSet};

const PARTIES: usize = 6;
const PLACES: u32 = 4;

/// A small generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Who holds and who waits, by place, as the listing says.
type Lists = BTreeMap<String, (Vec<(Party, LockMode)>, Vec<(Party, LockMode)>)>;

fn lists(table: &LockTable) -> Lists {
    let list = |parties: &[LockParty]| parties.iter().map(|party| (party.number, party.mode)).collect::<Vec<_>>();
    let all = table.list(|place| place.to_string());
    all.into_iter().map(|info| (info.variable.clone(), (list(&info.holders), list(&info.waiting)))).collect()
}

/// What must hold between any two steps.
fn check(table: &LockTable) {
    let lists = lists(table);
    assert_eq!(table.any(), !lists.is_empty());
    let mut edges: BTreeMap<Party, BTreeSet<Party>> = BTreeMap::new();
    for (place, (holders, waiting)) in &lists {
        assert!(!holders.is_empty(), "an entry without a holder: {lists:?}");
        assert!(holders.len() == 1 || holders.iter().all(|(_, mode)| *mode == Shared), "{lists:?}");
        let distinct: BTreeSet<_> = holders.iter().map(|(party, _)| party).collect();
        assert_eq!(distinct.len(), holders.len(), "{lists:?}");
        for (party, _) in holders {
            assert!(!table.is_foreign(*party, place.parse().unwrap()) || holders.len() > 1);
        }
        assert!(table.is_foreign(0, place.parse().unwrap()));
        let in_the_way = |party: Party, mode: LockMode| {
            holders.iter().filter(move |(other, held)| *other != party && (mode == Exclusive || *held == Exclusive))
        };
        if let Some((party, mode)) = waiting.first() {
            assert!(in_the_way(*party, *mode).count() > 0, "the first in line could have it: {lists:?}");
        }
        for (at, (party, mode)) in waiting.iter().enumerate() {
            let upgrade = holders.iter().any(|(holder, _)| holder == party);
            assert!(!upgrade || at == 0, "an upgrade stands first: {lists:?}");
            let set = edges.entry(*party).or_default();
            set.extend(in_the_way(*party, *mode).map(|(other, _)| *other));
            set.extend(waiting[..at].iter().map(|(other, _)| *other));
        }
    }
    for start in edges.keys() {
        let (mut seen, mut todo) = (BTreeSet::new(), vec![*start]);
        while let Some(party) = todo.pop() {
            for next in edges.get(&party).into_iter().flatten() {
                assert!(next != start, "a ring was left: {lists:?}");
                if seen.insert(*next) {
                    todo.push(*next);
                }
            }
        }
    }
    for place in 0..PLACES {
        assert!(lists.contains_key(&place.to_string()) || !table.is_foreign(0, place));
    }
}

/// A party as the test leads it.
struct Led {
    party: Party,
    held: Vec<(u32, Option<LockMode>)>,
    waits: Option<(u32, Option<LockMode>)>,
}

impl Led {
    fn let_go(&mut self, table: &LockTable, down_to: usize) {
        while self.held.len() > down_to {
            let (place, before) = self.held.pop().unwrap();
            table.restore(self.party, place, before);
        }
    }

    fn mode(&self, table: &LockTable, place: u32) -> Option<LockMode> {
        let lists = lists(table);
        lists.get(&place.to_string())?.0.iter().find(|(party, _)| *party == self.party).map(|(_, mode)| *mode)
    }
}

/// §5.4, L1, L4: after every step the modes go together, the line stands still only for a reason, no ring is left, and at the end nothing.
#[test]
fn random_requests() {
    for seed in 0..if cfg!(miri) { 3 } else { 400 } {
        let (table, mut random) = (LockTable::default(), Random(seed));
        let mut all: Vec<_> =
            (0..PARTIES).map(|_| Led { party: table.enter(None, 0), held: Vec::new(), waits: None }).collect();
        for _ in 0..120 {
            let led = &mut all[random.below(PARTIES)];
            let (place, mode) = (random.below(PLACES as usize) as u32, [Shared, Exclusive][random.below(2)]);
            if let Some((place, before)) = led.waits {
                // Told meanwhile, or it leaves the line now and then.
                let listed = lists(&table).values().any(|(_, waiting)| waiting.iter().any(|(p, _)| *p == led.party));
                if !listed || random.below(4) == 0 {
                    led.waits = None;
                    match table.outcome(led.party) {
                        Outcome::Granted => {
                            assert!(!listed && led.mode(&table, place).is_some());
                            led.held.push((place, before));
                        }
                        Outcome::Deadlock(cycle) => {
                            assert!(!listed && cycle.len() > 1 && cycle.iter().any(|(party, ..)| *party == led.party));
                            led.let_go(&table, 0);
                        }
                        Outcome::Gone => assert!(listed),
                    }
                }
            } else if random.below(4) == 0 {
                let down_to = random.below(led.held.len() + 1);
                led.let_go(&table, down_to);
            } else {
                let had = led.mode(&table, place);
                match table.request(led.party, place, mode, random.below(3), random.below(5) > 0) {
                    Answer::Granted { before } => {
                        assert_eq!(before, had);
                        if before.is_none_or(|held| held < mode) {
                            led.held.push((place, before));
                        }
                        assert!(led.mode(&table, place) >= Some(mode));
                    }
                    Answer::Waiting(_) => led.waits = Some((place, had)),
                    Answer::Busy => assert_eq!(led.mode(&table, place), had),
                    Answer::Deadlock(cycle) => {
                        assert!(cycle.iter().any(|(party, ..)| *party == led.party));
                        led.let_go(&table, 0);
                    }
                }
            }
            check(&table);
        }
        for led in &mut all {
            if let Some((place, before)) = led.waits.take()
                && matches!(table.outcome(led.party), Outcome::Granted)
            {
                led.held.push((place, before));
            }
            led.let_go(&table, 0);
            check(&table);
        }
        for led in &all {
            table.leave(led.party);
        }
        assert!(!table.any() && table.list(|place| place.to_string()).is_empty());
    }
}

/// L1: what is granted from the line is told once, and who has left it is not granted anything.
#[test]
fn the_line_tells_each_once() {
    let table = LockTable::default();
    let [a, b, c] = [(); 3].map(|()| table.enter(None, 0));
    assert!(matches!(table.request(a, 7, Exclusive, 0, true), Answer::Granted { before: None }));
    assert!(matches!(table.request(b, 7, Exclusive, 0, true), Answer::Waiting(_)));
    assert!(matches!(table.request(c, 7, Shared, 0, true), Answer::Waiting(_)));
    assert!(matches!(table.outcome(b), Outcome::Gone));
    assert!(matches!(table.outcome(b), Outcome::Gone), "it does not stand in line any more");
    table.restore(a, 7, None);
    assert!(table.is_foreign(a, 7) && !table.is_foreign(c, 7), "handed over");
    assert!(matches!(table.outcome(c), Outcome::Granted));
    table.restore(c, 7, None);
    assert!(!table.any());
}

/// L4: who has given way keeps that as long as it is known; the report names places and labels.
#[test]
fn who_gives_way() {
    let table = LockTable::default();
    let [a, b] = ["a", "b"].map(|label| table.enter(Some(label.into()), 0));
    for round in 0..4 {
        table.request(a, 1, Exclusive, 9, true);
        table.request(b, 2, Exclusive, 0, true);
        assert!(matches!(table.request(a, 2, Shared, 9, true), Answer::Waiting(_)));
        let answer = table.request(b, 1, Shared, 0, true);
        // Least work first; then whoever has given way less often; with as many defeats least work again.
        let loser_is_b = round % 2 == 0;
        assert_eq!(matches!(answer, Answer::Deadlock(_)), loser_is_b, "round {round}");
        let cycle = match answer {
            Answer::Deadlock(cycle) => cycle,
            _ => match table.outcome(a) {
                Outcome::Deadlock(cycle) => cycle,
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(cycle, [(b, Some("b".into()), 1), (a, Some("a".into()), 2)]);
        for party in [a, b] {
            table.restore(party, if party == a { 1 } else { 2 }, None);
        }
        for party in [a, b] {
            if matches!(table.outcome(party), Outcome::Granted) {
                table.restore(party, if party == a { 2 } else { 1 }, None);
            }
        }
        assert!(!table.any());
    }
}

/// L2: marks are by hash: places that share one do not hide each other, and the last to go takes its mark away.
#[test]
fn places_that_share_a_mark() {
    let table = LockTable::default();
    let party = table.enter(None, 0);
    for place in 0..2000 {
        assert!(matches!(table.request(party, place, Shared, 0, false), Answer::Granted { .. }));
    }
    for place in (0..2000).rev() {
        assert!(table.is_foreign(0, place));
        table.restore(party, place, None);
        assert!(!table.is_foreign(0, place) && table.any() == (place > 0));
    }
}
