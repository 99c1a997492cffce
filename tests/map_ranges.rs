//! §6.2: range reads conflict exactly with the changes inside what they have come to: no phantoms, and nothing else.

mod map_common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::ops::Bound::{Excluded, Included, Unbounded};

use map_common::{Ring, ignore};
use tvar::{TOrdMap, Tx};

type Numbers = TOrdMap<u64, i64>;
type Step = fn(&Tx<'_>, &Numbers);

/// Keys 10, 20, ... 90; values the same.
fn filled(ring: &Ring) -> Numbers {
    TOrdMap::with_entries_in(&ring.space, (1..10).map(|n| (n * 10, n as i64 * 10)))
}

/// Whether `mine` conflicts with an insertion of a key, or with the update and the removal of one that is there.
#[track_caller]
fn check(mine: Step, conflict: &[u64], none: &[u64]) {
    // On the second run there is other content.
    let mine = |tx: &Tx<'_>, map: &Numbers| {
        if tx.attempt() == 1 {
            mine(tx, map);
        }
    };
    let keys = conflict.iter().map(|key| (*key, 2)).chain(none.iter().map(|key| (*key, 1)));
    for (key, runs) in keys {
        // Of initial content, and of content that was committed.
        for written in [false, true] {
            let ring = Ring::new();
            let map = filled(&ring);
            if written {
                ring.commit(|tx| (1..10).for_each(|n| ignore(map.modify(tx, &(n * 10), |n| *n))));
            }
            assert_eq!(ring.runs(|tx| mine(tx, &map), |tx| map.upsert(tx, key, 0)), runs, "put {key}, {written}");
            let ring = Ring::new();
            let map = filled(&ring);
            if key % 10 == 0 && (10..100).contains(&key) {
                assert_eq!(ring.runs(|tx| mine(tx, &map), |tx| ignore(map.remove(tx, &key))), runs, "take {key}");
            }
        }
    }
}

#[test]
fn s6_2_a_whole_range_conflicts_with_changes_inside() {
    check(|tx, map| assert_eq!(map.range(tx, 30..60).count(), 3), &[30, 31, 45, 50, 59], &[29, 60, 61, 20, 70, 5, 95]);
    check(|tx, map| assert_eq!(map.range(tx, 30..=60).count(), 4), &[30, 31, 60], &[29, 61]);
    check(|tx, map| assert_eq!(map.range(tx, 35..45).count(), 1), &[35, 40, 44], &[34, 45, 30, 50]);
    check(|tx, map| assert_eq!(map.range(tx, 31..35).count(), 0), &[31, 34], &[30, 35, 40]);
    check(|tx, map| assert_eq!(map.range(tx, 33..33).count(), 0), &[], &[33, 30, 40, 32, 34]);
    check(|tx, map| assert_eq!(map.range(tx, 80..).count(), 2), &[80, 85, 95, u64::MAX], &[79, 70]);
    check(|tx, map| assert_eq!(map.range(tx, ..30).count(), 2), &[0, 10, 29], &[30, 31]);
    check(|tx, map| assert_eq!(map.range(tx, (Excluded(30), Included(60))).count(), 3), &[31, 60], &[30, 61]);
    check(|tx, map| assert_eq!(map.range(tx, (Excluded(30), Unbounded)).count(), 6), &[31, 99], &[30]);
    check(|tx, map| assert_eq!(map.range(tx, ..).count(), 9), &[0, 10, 55, 99], &[]);
    check(|tx, map| assert_eq!(map.iter(tx).count(), 9), &[0, 10, 55, 99], &[]);
}

#[test]
fn s6_2_what_an_iterator_has_not_come_to_is_not_read() {
    check(|tx, map| ignore(map.range(tx, 30..80)), &[], &[30, 35, 50, 79]);
    check(|tx, map| ignore(map.range(tx, 30..80).next()), &[30], &[31, 35, 40, 79]);
    check(|tx, map| ignore(map.range(tx, 25..80).next()), &[25, 29, 30], &[24, 31, 40]);
    check(|tx, map| ignore(map.range(tx, 30..80).next_back()), &[70, 75, 79], &[69, 80, 30, 60]);
    check(|tx, map| ignore(map.range(tx, 25..80).nth(2)), &[25, 30, 35, 40, 45, 50], &[51, 60, 80]);
    let ends: Step = |tx, map| {
        let mut range = map.range(tx, 25..80);
        assert_eq!((range.next(), range.next_back()), (Some((&30, &30)), Some((&70, &70))));
    };
    check(ends, &[25, 30, 70, 79], &[31, 40, 65, 80]);
    let all_asked: Step = |tx, map| assert_eq!(map.range(tx, 25..45).take(2).count(), 2);
    check(all_asked, &[25, 30, 35, 40], &[41, 44, 45, 50]);
    let met: Step = |tx, map| {
        let mut range = map.range(tx, 25..45);
        assert_eq!((range.next(), range.next_back()), (Some((&30, &30)), Some((&40, &40))));
    };
    check(met, &[25, 30, 40, 44], &[35, 24, 45]);
}

#[test]
fn s6_2_first_and_last_conflict_up_to_what_they_found() {
    check(|tx, map| assert_eq!(map.first(tx), Some((&10, &10))), &[0, 9, 10], &[11, 20, 95]);
    check(|tx, map| assert_eq!(map.last(tx), Some((&90, &90))), &[90, 91], &[89, 80, 5]);
    check(|tx, map| assert_eq!(map.pop_first(tx), Some((&10, &10))), &[0, 9, 10], &[11, 20, 95]);
    check(|tx, map| assert_eq!(map.pop_last(tx), Some((&90, &90))), &[90, 91], &[89, 80, 5]);
    let twice: Step =
        |tx, map| assert_eq!((map.pop_first(tx), map.pop_first(tx)), (Some((&10, &10)), Some((&20, &20))));
    check(twice, &[0, 10, 15, 20], &[21, 30, 90]);
}

#[test]
fn s6_2_first_and_last_of_one_entry_and_of_none() {
    for (mine, conflict, none) in [
        ((|tx, map| ignore(map.first(tx))) as Step, [4, 5], [6, 9]),
        (|tx, map| ignore(map.pop_first(tx)), [4, 5], [6, 9]),
        (|tx, map| ignore(map.last(tx)), [5, 6], [1, 4]),
        (|tx, map| ignore(map.pop_last(tx)), [5, 6], [1, 4]),
    ] {
        for (key, runs) in conflict.map(|key| (key, 2)).into_iter().chain(none.map(|key| (key, 1))) {
            let ring = Ring::new();
            let map: Numbers = TOrdMap::new_in(&ring.space);
            ring.commit(|tx| map.upsert(tx, 5, 5));
            assert_eq!(ring.runs(|tx| mine(tx, &map), |tx| map.upsert(tx, key, 0)), runs, "{key}");
            let empty: Numbers = TOrdMap::new_in(&ring.space);
            assert_eq!(ring.runs(|tx| mine(tx, &empty), |tx| empty.upsert(tx, key, 0)), 2, "{key} into none");
        }
    }
}

/// Own writes lie over what is read, and do not widen it.
#[test]
fn s6_2_own_writes_in_a_range() {
    let put: Step = |tx, map| {
        map.upsert(tx, 35, 0);
        map.upsert(tx, 95, 0);
        assert!(map.range(tx, 30..60).map(|(key, _)| *key).eq([30, 35, 40, 50]));
        assert!(map.range(tx, 30..60).rev().map(|(key, _)| *key).eq([50, 40, 35, 30]));
    };
    check(put, &[30, 33, 35, 40, 59], &[29, 60, 20, 94, 95]);
    let taken: Step = |tx, map| {
        assert_eq!(map.remove(tx, &40), Some(&40));
        assert!(map.range(tx, 30..60).map(|(key, _)| *key).eq([30, 50]));
        assert!(map.range(tx, 30..60).rev().map(|(key, _)| *key).eq([50, 30]));
    };
    check(taken, &[30, 35, 40, 55], &[29, 60]);
    let cleared: Step = |tx, map| {
        map.clear(tx);
        map.upsert(tx, 35, 1);
        assert!(map.range(tx, 30..60).eq([(&35, &1)]));
        assert_eq!((map.first(tx), map.last(tx)), (Some((&35, &1)), Some((&35, &1))));
    };
    check(cleared, &[], &[10, 30, 35, 55, 95]);
    let one: Step = |tx, map| {
        map.upsert(tx, 5, 0);
        assert_eq!(map.first(tx), Some((&5, &0)));
    };
    check(one, &[0, 4], &[11, 20, 95]);
}

/// An own entry at the edge of the range ends what was read there.
#[test]
fn s6_2_an_own_entry_ends_what_was_read() {
    let first: Step = |tx, map| {
        map.upsert(tx, 5, 0);
        assert_eq!(map.first(tx), Some((&5, &0)));
    };
    check(first, &[0, 4], &[6, 10, 11]);
    let last: Step = |tx, map| {
        map.upsert(tx, 95, 0);
        assert_eq!(map.last(tx), Some((&95, &0)));
    };
    check(last, &[96], &[94, 90, 80]);
    let between: Step = |tx, map| {
        map.upsert(tx, 35, 0);
        assert_eq!(map.range(tx, 30..).nth(1), Some((&35, &0)));
    };
    check(between, &[30, 34], &[36, 40]);
}

/// §4.5: a range makes reads of the merges inside it, and of no others.
#[test]
fn s4_5_a_range_promotes_what_it_covers() {
    let outside: Step = |tx, map| {
        map.upsert_with(tx, 20, 0, |n| n + 1);
        map.upsert_with(tx, 75, 0, |n| n + 1);
        assert_eq!(map.range(tx, 30..60).count(), 3);
    };
    check(outside, &[30, 45], &[20, 75, 80]);
    let inside: Step = |tx, map| {
        map.upsert_with(tx, 40, 0, |n| n + 1);
        map.upsert_with(tx, 45, 7, |n| n + 1);
        let values: Vec<i64> = map.range(tx, 30..60).map(|(_, n)| *n).collect();
        assert_eq!(values, [30, 41, 7, 50]);
    };
    check(inside, &[30, 40, 45], &[20, 75]);
}

/// Every bound, from both ends, with own writes over it, as a `BTreeMap` has it.
fn agrees<K: Ord + Clone + Debug + Send + Sync + 'static>(key: impl Fn(u64) -> K) {
    let ring = Ring::new();
    let map: TOrdMap<K, u64> = TOrdMap::with_entries_in(&ring.space, (0..80).map(|n| (key(n * 2), n)));
    let mut model: BTreeMap<K, u64> = (0..80).map(|n| (key(n * 2), n)).collect();
    ring.commit(|tx| {
        for n in [0, 1, 7, 8, 40, 41, 79, 158, 159] {
            map.upsert(tx, key(n), 1000 + n);
            model.insert(key(n), 1000 + n);
        }
        for n in [2, 6, 42, 44, 100, 156, 77] {
            assert_eq!(map.remove(tx, &key(n)).copied(), model.remove(&key(n)));
        }
        for from in (0..162).step_by(3) {
            for to in [from, from + 1, from + 2, from + 40, 161] {
                let (low, high) = (key(from).min(key(to)), key(from).max(key(to)));
                let bounds = [
                    (Included(low.clone()), Excluded(high.clone())),
                    (Included(low.clone()), Included(high.clone())),
                    (Excluded(low.clone()), Included(high.clone())),
                    (Unbounded, Excluded(high.clone())),
                    (Unbounded, Included(high.clone())),
                    (Excluded(low.clone()), Unbounded),
                    (Included(low.clone()), Unbounded),
                ];
                for bounds in bounds {
                    let mut mine = map.range(tx, bounds.clone());
                    let mut other = model.range(bounds.clone());
                    assert_eq!(map.range(tx, bounds.clone()).count(), other.clone().count(), "{bounds:?}");
                    assert!(map.range(tx, bounds.clone()).rev().eq(other.clone().rev()), "{bounds:?}");
                    loop {
                        let pairs = [(mine.next(), other.next()), (mine.next_back(), other.next_back())];
                        assert!(pairs.iter().all(|(mine, other)| mine == other), "{bounds:?}");
                        if pairs[1].0.is_none() {
                            break;
                        }
                    }
                }
            }
        }
    });
    let snapshot = ring.space.snapshot();
    assert!(map.range(&snapshot, ..key(150)).eq(model.range(..key(150))));
    assert!(map.iter(&snapshot).rev().eq(model.iter().rev()));
}

#[test]
fn s6_2_ranges_of_typed_keys() {
    agrees(|n| n);
    agrees(|n| n as i32 - 80);
    agrees(|n| (n as u32 / 7, n as u32));
    agrees(|n| format!("{n:03}"));
    agrees(|n| format!("with a longer front than eight {n:03}"));
    agrees(|n| format!("{n:03}").into_bytes());
    agrees(std::cmp::Reverse);
}

#[test]
fn s6_2_a_range_that_begins_after_its_end_panics() {
    let ring = Ring::new();
    let map = filled(&ring);
    let snapshot = ring.space.snapshot();
    #[allow(clippy::reversed_empty_ranges, reason = "this is what is refused")]
    let wrong = || map.range(&snapshot, 7..3).count();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(wrong)).is_err());
    let wrong = || map.range(&snapshot, (Excluded(3), Excluded(3))).count();
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(wrong)).is_err());
    assert_eq!(map.range(&snapshot, 3..3).count(), 0);
}

/// §2.5: who walks beside writers neither blocks nor runs twice.
#[test]
fn s6_2_iteration_beside_writers_never_aborts() {
    let ring = Ring::new();
    let map: Numbers = TOrdMap::with_entries_in(&ring.space, (0..1000).map(|n| (n, 0)));
    for _ in 0..20 {
        let mut runs = 0;
        let keys = ring.commit(|tx| {
            runs += 1;
            let mut walk = map.iter(tx);
            let mut keys: Vec<u64> = walk.by_ref().take(500).map(|(key, _)| *key).collect();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    ring.commit(|tx| (0..1000).for_each(|n| ignore(map.remove(tx, &n))));
                    ring.commit(|tx| (0..1000).for_each(|n| map.upsert(tx, n, 1)));
                });
            });
            keys.extend(walk.map(|(key, _)| *key));
            keys
        });
        assert_eq!((runs, keys), (1, (0..1000).collect()));
    }
}

/// What is written while an iterator is under way does not change what it gives.
#[test]
fn s6_2_an_iterator_keeps_what_it_began_with() {
    let ring = Ring::new();
    let map = filled(&ring);
    ring.commit(|tx| {
        map.upsert(tx, 15, 15);
        for (key, value) in map.iter(tx) {
            map.upsert(tx, key + 1, 0);
            assert_eq!((map.remove(tx, key), *value), (Some(value), *key as i64));
        }
        assert!(map.keys(tx).copied().eq([11, 16, 21, 31, 41, 51, 61, 71, 81, 91]));
        let mut count = 0;
        while map.pop_last(tx).is_some() {
            count += 1;
        }
        assert_eq!((count, map.len(tx)), (10, 0));
    });
    assert_eq!(ring.commit(|tx| map.len(tx)), 0);
}

/// Each of several readers under way in one transaction counts for as far as it has come.
#[test]
fn s6_2_readers_side_by_side() {
    let both = |tx: &Tx<'_>, map: &Numbers| {
        let (mut far, mut near) = (map.range(tx, ..), map.range(tx, ..));
        assert_eq!((far.by_ref().take(3).count(), near.by_ref().take(1).count()), (3, 1));
    };
    check(both, &[5, 10, 20, 30], &[35, 40, 90]);
    let late = |tx: &Tx<'_>, map: &Numbers| {
        let mut far = map.range(tx, ..);
        assert_eq!(far.by_ref().take(3).count(), 3);
        let mut near = map.range(tx, ..);
        assert_eq!(near.by_ref().take(1).count(), 1);
        drop((near, far));
        // Goes on with what an ended one has left.
        assert_eq!(map.range(tx, ..).take(2).count(), 2);
    };
    check(late, &[5, 10, 20, 30], &[35, 40, 90]);
    let ends = |tx: &Tx<'_>, map: &Numbers| {
        let (mut front, mut back) = (map.range(tx, ..), map.range(tx, ..).rev());
        assert_eq!((front.by_ref().take(2).count(), back.by_ref().take(2).count()), (2, 2));
    };
    check(ends, &[5, 10, 20, 80, 90, 95], &[25, 30, 70, 75]);
    let apart = |tx: &Tx<'_>, map: &Numbers| {
        assert_eq!(map.range(tx, ..).take(1).count(), 1);
        assert_eq!(map.range(tx, 50..80).take(1).count(), 1);
    };
    check(apart, &[5, 10, 50], &[15, 20, 45, 55, 60]);
}

/// An iterator knows how much is left, at either end, with rows of the snapshot and of the transaction.
#[test]
fn s6_2_the_length_of_what_is_left() {
    let ring = Ring::new();
    let map = filled(&ring);
    ring.space.atomically(|tx| {
        (0..3).for_each(|n| map.upsert(tx, n, 0));
        [10, 20, 50].iter().for_each(|key| map.upsert(tx, *key, 1));
        map.remove(tx, &30);
        (95..98).for_each(|n| map.upsert(tx, n, 0));
        Ok(())
    });
    let mine = |tx: &Tx<'_>| {
        map.upsert(tx, 55, 5);
        map.upsert(tx, 60, 6);
        map.upsert(tx, 99, 9);
        map.remove(tx, &97);
        map.remove(tx, &1);
    };
    for own in [false, true] {
        for pattern in 0u32..64 {
            ring.space.atomically(|tx| {
                if own {
                    mine(tx);
                }
                let keys: Vec<u64> = map.keys(tx).copied().collect();
                let (mut left, mut steps) = (map.iter(tx), 0);
                let (mut front, mut back) = (0, keys.len());
                assert_eq!(left.len(), keys.len());
                while front < back {
                    let key = if pattern >> (steps % 6) & 1 == 0 {
                        front += 1;
                        (left.next().map(|(key, _)| *key), keys[front - 1])
                    } else {
                        back -= 1;
                        (left.next_back().map(|(key, _)| *key), keys[back])
                    };
                    assert_eq!((key.0, left.len()), (Some(key.1), back - front));
                    steps += 1;
                }
                assert!(left.next().is_none() && left.next_back().is_none() && left.len() == 0);
                Ok(())
            });
        }
    }
}
