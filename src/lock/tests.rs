//! The lock table by itself (L1, L4): points and ranges, the line, deadlocks; marks.

use super::LockMode::{Exclusive, Shared};
use super::*;
use crate::sync::site::{CallSite, Who};
use std::borrow::Cow;
use std::iter;

mod random;

impl LockTable {
    fn ask(&self, asker: &Asker, place: Place, mode: LockMode) -> Answer {
        self.request(asker, place, mode, 0, true)
    }

    fn has(&self, asker: &Asker, place: Place, mode: LockMode) -> bool {
        matches!(self.ask(asker, place, mode), Answer::Granted)
    }

    fn waits(&self, asker: &Asker, place: Place, mode: LockMode) -> bool {
        matches!(self.ask(asker, place, mode), Answer::Waiting(_))
    }

    fn let_go(&self, asker: &Asker, place: Place) {
        self.restore(asker.party, iter::once((place, None)));
    }

    fn is_told(&self, asker: &Asker) -> bool {
        self.state.lock().parties[&asker.party].outcome.is_some()
    }

    fn is_granted(&self, asker: &Asker) -> bool {
        self.is_told(asker) && matches!(self.outcome(asker.party), Outcome::Granted)
    }
}

fn who(label: Option<&'static str>) -> Who {
    Who::new(label.map(Cow::from).as_ref(), CallSite::here("test"))
}

fn table<const N: usize>() -> (LockTable, [Asker; N]) {
    let table = LockTable::default();
    let askers = [(); N].map(|()| table.enter(who(None), 0));
    (table, askers)
}

fn key(number: u64) -> Place {
    Place::key(7, number)
}

fn range(low: u64, high: u64) -> Place {
    Place::range(7, low, high)
}

/// L1: what is granted from the line is told once, and who has left it is not granted anything.
#[test]
fn the_line_tells_each_once() {
    let (table, [a, b, c]) = table();
    let place = Place::variable(7);
    assert!(table.has(&a, place, Exclusive));
    assert!(table.waits(&b, place, Exclusive));
    assert!(table.waits(&c, place, Shared));
    assert!(matches!(table.outcome(b.party), Outcome::Gone));
    assert!(matches!(table.outcome(b.party), Outcome::Gone), "it does not stand in line any more");
    table.let_go(&a, place);
    assert!(table.is_foreign(a.party, place) && !table.is_foreign(c.party, place), "handed over");
    assert!(matches!(table.outcome(c.party), Outcome::Granted));
    table.leave(c.party, iter::once(place));
    assert!(!table.any());
}

/// §5.5: keys of a map are apart from each other, and so are maps.
#[test]
fn keys_are_apart() {
    let (table, [a, b]) = table();
    for number in 0..1000 {
        let asker = if number % 2 == 0 { &a } else { &b };
        assert!(table.has(asker, key(number), Exclusive));
        assert!(table.has(asker, Place::key(8, number + 1), Exclusive));
    }
    assert!(!table.is_foreign(a.party, key(4)) && table.is_foreign(b.party, key(4)));
    assert!(matches!(table.request(&b, key(4), Shared, 0, false), Answer::Busy));
    assert!(!table.is_foreign(0, key(1000)));
}

/// §5.5: a range is in the way of what overlaps it, and of nothing else; a commit that writes a key sees it.
#[test]
fn ranges_are_in_the_way_of_what_overlaps_them() {
    let (table, [a, b]) = table();
    assert!(table.has(&a, range(10, 20), Shared));
    assert!(table.has(&b, range(15, 30), Shared), "both shared");
    for (place, alone) in
        [(key(9), true), (key(10), false), (key(20), false), (range(0, 9), true), (range(0, 10), false)]
    {
        assert_eq!(matches!(table.request(&b, place, Exclusive, 0, false), Answer::Granted), alone, "{place:?}");
    }
    for number in 0..40 {
        let locked = (10..=30).contains(&number);
        assert_eq!(table.is_foreign(0, key(number)), locked || number <= 9, "{number}");
        assert_eq!(table.is_foreign(b.party, key(number)), (10..=20).contains(&number), "{number}");
    }
    assert!(!table.is_foreign(0, Place::key(8, 15)));
}

/// §5.4: a range waits for the keys inside it, and what comes later waits behind it, if it overlaps.
#[test]
fn the_line_is_in_order_across_keys_and_ranges() {
    let (table, [a, b, c, d, e]) = table();
    assert!(table.has(&a, key(5), Exclusive));
    assert!(table.waits(&b, range(0, 9), Exclusive));
    assert!(table.waits(&c, key(6), Shared), "behind the range");
    assert!(table.has(&d, key(10), Exclusive), "apart from it");
    assert!(table.waits(&d, range(9, 10), Shared));
    assert!(table.has(&a, key(7), Exclusive), "who would wait in vain goes first");
    assert!(matches!(table.request(&e, key(6), Shared, 0, false), Answer::Busy));
    table.let_go(&a, key(5));
    assert!(![&b, &c, &d].iter().any(|asker| table.is_told(asker)), "another key is still locked");
    table.let_go(&a, key(7));
    assert!(table.is_granted(&b) && !table.is_told(&c) && !table.is_told(&d));
    assert!(table.is_foreign(0, key(0)) && table.is_foreign(0, key(9)));
    table.let_go(&b, range(0, 9));
    assert!(table.is_granted(&c) && table.is_granted(&d));
}

/// A request that leaves the line lets those behind it through.
#[test]
fn a_range_that_leaves_the_line_is_in_nobodys_way() {
    let (table, [a, b, c]) = table();
    assert!(table.has(&a, key(5), Exclusive));
    assert!(table.waits(&b, range(0, 9), Exclusive));
    assert!(table.waits(&c, key(6), Exclusive));
    assert!(matches!(table.outcome(b.party), Outcome::Gone));
    assert!(table.is_granted(&c));
}

/// Shared requests do not wait for each other, whatever they wait for.
#[test]
fn shared_requests_pass_each_other() {
    let (table, [a, b, c]) = table();
    assert!(table.has(&a, key(5), Exclusive));
    assert!(table.waits(&b, range(0, 9), Shared));
    assert!(table.has(&c, range(6, 9), Shared));
    table.let_go(&a, key(5));
    assert!(table.is_granted(&b));
}

/// §5.2: who has a range has the keys inside it, whoever waits for them.
#[test]
fn a_range_covers_what_is_inside() {
    let (table, [a, b, c]) = table();
    assert!(table.has(&a, range(0, 9), Exclusive));
    assert!(table.waits(&b, key(5), Exclusive));
    assert!(table.waits(&c, range(2, 12), Shared));
    assert!(table.has(&a, key(5), Exclusive) && table.has(&a, range(3, 4), Shared));
    assert!(table.has(&a, range(5, 12), Exclusive), "who waits for it waits for its holder anyway");
    for place in [key(5), range(3, 4), range(5, 12)] {
        table.let_go(&a, place);
        assert!(!table.is_told(&b) && !table.is_told(&c));
    }
    table.let_go(&a, range(0, 9));
    assert!(table.is_granted(&b) && !table.is_told(&c));
    table.let_go(&b, key(5));
    assert!(table.is_granted(&c));
}

/// §5.4: an upgrade stands before all others; a second one in its way is refused at once, also by way of a range.
#[test]
fn upgrades() {
    for (first, second, wanted) in [
        (key(5), key(5), key(5)),
        (range(0, 9), range(0, 9), range(0, 9)),
        (range(0, 9), key(5), key(5)),
        (key(5), range(0, 9), range(0, 9)),
        (range(0, 9), range(0, 9), key(5)),
        (Place::variable(1), Place::variable(1), Place::variable(1)),
    ] {
        for wait in [false, true] {
            let (table, [a, b, c]) = table();
            assert!(table.has(&a, first, Shared) && table.has(&b, second, Shared));
            assert!(table.waits(&c, wanted, Exclusive));
            assert!(table.waits(&a, if first.contains(wanted) { wanted } else { first }, Exclusive));
            match table.request(&b, wanted, Exclusive, 9, wait) {
                Answer::Deadlock(cycle) => {
                    assert_eq!(cycle.iter().map(|(party, ..)| *party).collect::<Vec<_>>(), [2, 1])
                }
                other => panic!("{first:?} {second:?} {wanted:?}: {other:?}"),
            }
            table.let_go(&b, second);
            assert!(table.is_granted(&a) && !table.is_told(&c));
        }
    }
}

/// Two upgrades of keys inside one range do not meet: the second waits, the first is found to be in a cycle, if it is.
#[test]
fn upgrades_of_other_keys_are_not_refused() {
    let (table, [a, b]) = table();
    assert!(table.has(&a, range(0, 9), Shared) && table.has(&b, key(5), Shared) && table.has(&b, key(10), Exclusive));
    assert!(table.has(&a, key(7), Exclusive));
    assert!(table.waits(&b, key(5), Exclusive));
    assert!(table.has(&a, key(8), Exclusive));
    table.let_go(&a, range(0, 9));
    assert!(table.is_granted(&b));
}

/// L4: cycles through keys and ranges are found by the wait that closes them.
#[test]
fn deadlocks_through_keys_and_ranges() {
    let (table, [a, b, c]) = table();
    assert!(table.has(&a, key(5), Exclusive));
    assert!(table.has(&b, range(10, 19), Shared));
    assert!(table.has(&c, Place::variable(1), Exclusive));
    assert!(table.waits(&a, key(15), Exclusive));
    assert!(table.waits(&b, Place::variable(1), Shared));
    let Answer::Deadlock(cycle) = table.ask(&c, range(0, 6), Shared) else { panic!("a cycle was left") };
    // The youngest, since all have done as little.
    assert_eq!(cycle, [(3, None, range(0, 6)), (1, None, key(15)), (2, None, Place::variable(1))]);
    assert!(!table.is_told(&a) && !table.is_told(&b));
    table.let_go(&c, Place::variable(1));
    assert!(table.is_granted(&b));
}

/// A cycle that goes through the line: behind a range that waits.
#[test]
fn a_deadlock_behind_a_range() {
    let (table, [a, b, c]) = table();
    assert!(table.has(&a, key(1), Exclusive) && table.has(&c, key(20), Exclusive));
    assert!(table.waits(&b, range(0, 9), Exclusive));
    assert!(table.waits(&c, key(8), Exclusive), "behind the range");
    let answer = table.request(&a, key(20), Exclusive, 5, true);
    assert!(matches!(answer, Answer::Waiting(_)), "{answer:?}");
    let Outcome::Deadlock(cycle) = table.outcome(c.party) else { panic!("the youngest of those who have done least") };
    assert_eq!(cycle, [(1, None, key(20)), (3, None, key(8)), (2, None, range(0, 9))]);
    table.let_go(&c, key(20));
    assert!(table.is_granted(&a));
}

/// §5.6: what is only waited for is listed too.
#[test]
fn the_listing_names_keys_and_ranges() {
    let (table, [a, b, c]) = table();
    assert!(table.has(&a, key(5), Exclusive) && table.has(&a, Place::variable(1), Shared));
    assert!(table.waits(&b, range(0, 9), Shared) && table.waits(&c, key(5), Shared));
    let list: Vec<_> = table.list(|slot| format!("m{slot}")).iter().map(LockInfo::to_string).collect();
    assert_eq!(
        list,
        [
            "m1: held by transaction #1 (shared)",
            "m7 keys #0000000000000000..=#0000000000000009: held by nobody; waiting: transaction #2 (shared)",
            "m7 key #0000000000000005: held by transaction #1 (exclusive); waiting: transaction #3 (shared)",
        ]
    );
}

/// L4: who has given way keeps that as long as it is known; the report names places and labels.
#[test]
fn who_gives_way() {
    let table = LockTable::default();
    let [a, b] = ["a", "b"].map(|label| table.enter(who(Some(label)), 0));
    let [one, two] = [1, 2].map(Place::variable);
    for round in 0..4 {
        table.request(&a, one, Exclusive, 9, true);
        table.request(&b, two, Exclusive, 0, true);
        assert!(matches!(table.request(&a, two, Shared, 9, true), Answer::Waiting(_)));
        let answer = table.request(&b, one, Shared, 0, true);
        // Least work first; then whoever has given way less often; with as many defeats least work again.
        let loser_is_b = round % 2 == 0;
        assert_eq!(matches!(answer, Answer::Deadlock(_)), loser_is_b, "round {round}");
        let cycle = match answer {
            Answer::Deadlock(cycle) => cycle,
            _ => match table.outcome(a.party) {
                Outcome::Deadlock(cycle) => cycle,
                other => panic!("{other:?}"),
            },
        };
        assert_eq!(cycle, [(b.party, Some("b".into()), one), (a.party, Some("a".into()), two)]);
        table.let_go(&a, one);
        table.let_go(&b, two);
        for (asker, place) in [(&a, two), (&b, one)] {
            if matches!(table.outcome(asker.party), Outcome::Granted) {
                table.let_go(asker, place);
            }
        }
        assert!(!table.any());
    }
}

/// L2: marks are by hash: places that share one do not hide each other, and the last to go takes its mark away.
#[test]
fn places_that_share_a_mark() {
    for place_of in [Place::variable, |slot| Place::key(3, u64::from(slot)), |slot| Place::key(slot, 1 << 60)] {
        let (table, [asker]) = table();
        for slot in 0..2000 {
            assert!(matches!(table.request(&asker, place_of(slot), Shared, 0, false), Answer::Granted));
        }
        for slot in (0..2000).rev() {
            assert!(table.is_foreign(0, place_of(slot)));
            table.let_go(&asker, place_of(slot));
            assert!(!table.is_foreign(0, place_of(slot)) && table.any() == (slot > 0));
        }
    }
}
