//! §6.1, §6.2, §2.2 to §2.5: who conflicts with whom in maps. Conflicts are per key, present or absent, never per node of the tree.

mod map_common;

use std::collections::BTreeMap;

use map_common::{Hashes, Keyed, Ring, all_maps, ignore, maps};
use tvar::{Isolation, TMap, Tx};

type Step = fn(&Tx<'_>, &dyn Keyed);

/// A ring and a map with the keys 10, 20, ... 90, their values the same.
fn filled(ring: &Ring, map: &dyn Keyed) {
    ring.commit(|tx| (1..10).for_each(|n| map.upsert(tx, n * 10, n as i64 * 10)));
}

/// For maps of all kinds: whether `mine` runs twice when `theirs` has committed.
#[track_caller]
fn check(isolation: Isolation, steps: &[(&str, Step, Step, bool)]) {
    let kinds = maps(&Ring::new().space).len();
    for kind in 0..kinds {
        for (what, mine, theirs, conflict) in steps {
            let ring = Ring::with(isolation);
            let (name, map) = maps(&ring.space).swap_remove(kind);
            filled(&ring, &*map);
            let runs = ring.runs(|tx| mine(tx, &*map), |tx| theirs(tx, &*map));
            assert_eq!(runs, 1 + u64::from(*conflict), "{name}: {what}");
            assert_eq!(ring.space.stats().conflicts, u64::from(*conflict), "{name}: {what}");
        }
    }
}

const PUT_20: Step = |tx, map| map.upsert(tx, 20, 7);
const PUT_25: Step = |tx, map| map.upsert(tx, 25, 7);
const TAKE_20: Step = |tx, map| ignore(map.remove(tx, 20));
const MERGE_20: Step = |tx, map| map.upsert_with(tx, 20, 0, |n| n + 1);
const MERGE_25: Step = |tx, map| map.upsert_with(tx, 25, 0, |n| n + 1);
const GET_20: Step = |tx, map| ignore(map.get(tx, 20));
const GET_25: Step = |tx, map| ignore(map.get(tx, 25));

#[test]
fn s6_1_a_read_key_conflicts_with_its_changes_alone() {
    check(
        Isolation::Serializable,
        &[
            ("present, update", GET_20, PUT_20, true),
            ("present, removal", GET_20, TAKE_20, true),
            ("present, merge", GET_20, MERGE_20, true),
            ("present, clear", GET_20, |tx, map| map.clear(tx), true),
            ("absent, insertion", GET_25, PUT_25, true),
            ("absent, merge", GET_25, MERGE_25, true),
            ("absent, insertion of a neighbour", GET_25, |tx, map| map.upsert(tx, 26, 0), false),
            ("absent, removal of a neighbour", GET_25, TAKE_20, false),
            ("present, insertion of a neighbour", GET_20, PUT_25, false),
            ("present, removal of a neighbour", |tx, map| ignore(map.get(tx, 30)), TAKE_20, false),
            ("present, update of a neighbour", |tx, map| ignore(map.get(tx, 30)), PUT_20, false),
            ("absent, clear", GET_25, |tx, map| map.clear(tx), false),
            ("found absent by a removal", |tx, map| ignore(map.remove(tx, 25)), PUT_25, true),
            ("found absent by a modify", |tx, map| ignore(map.modify(tx, 25, |n| n + 1)), PUT_25, true),
        ],
    );
}

#[test]
fn s6_1_writers_conflict_if_they_have_read_the_key() {
    check(
        Isolation::Serializable,
        &[
            ("modify", |tx, map| ignore(map.modify(tx, 20, |n| n + 1)), PUT_20, true),
            ("insert", |tx, map| ignore(map.insert(tx, 20, 1)), PUT_20, true),
            ("insert_new", |tx, map| ignore(map.insert_new(tx, 25, 1)), PUT_25, true),
            ("entry", |tx, map| ignore(map.or_insert(tx, 25, 1)), MERGE_25, true),
            ("remove", TAKE_20, TAKE_20, true),
            ("insert_new, elsewhere", |tx, map| ignore(map.insert_new(tx, 26, 1)), PUT_25, false),
            ("remove, elsewhere", |tx, map| ignore(map.remove(tx, 30)), TAKE_20, false),
            ("modify, elsewhere", |tx, map| ignore(map.modify(tx, 30, |n| n + 1)), PUT_20, false),
        ],
    );
}

#[test]
fn s2_4_blind_writes_conflict_with_nobody() {
    check(
        Isolation::Serializable,
        &[
            ("upsert, update", PUT_20, PUT_20, false),
            ("upsert, insertion", PUT_25, PUT_25, false),
            ("upsert, removal", PUT_20, TAKE_20, false),
            ("upsert, clear", PUT_20, |tx, map| map.clear(tx), false),
            ("clear, insertion", |tx, map| map.clear(tx), PUT_25, false),
            (
                "clear and read, insertion",
                |tx, map| {
                    assert_eq!(
                        {
                            map.clear(tx);
                            map.get(tx, 25)
                        },
                        None
                    )
                },
                PUT_25,
                false,
            ),
            (
                "clear and count, insertion",
                |tx, map| {
                    assert_eq!(
                        {
                            map.clear(tx);
                            map.len(tx)
                        },
                        0
                    )
                },
                PUT_25,
                false,
            ),
            ("merge, merge", MERGE_20, MERGE_20, false),
            ("merge of a new key, too", MERGE_25, MERGE_25, false),
            ("merge, removal", MERGE_20, TAKE_20, false),
            (
                "upsert and read back",
                |tx, map| {
                    assert_eq!(
                        {
                            map.upsert(tx, 25, 1);
                            map.get(tx, 25)
                        },
                        Some(1)
                    )
                },
                PUT_25,
                false,
            ),
            (
                "upsert and take out",
                |tx, map| {
                    assert_eq!(
                        {
                            map.upsert(tx, 25, 1);
                            map.remove(tx, 25)
                        },
                        Some(1)
                    )
                },
                PUT_25,
                false,
            ),
            (
                "merge and read back",
                |tx, map| {
                    ignore({
                        map.upsert_with(tx, 20, 1, |n| n + 1);
                        map.get(tx, 20)
                    })
                },
                MERGE_20,
                true,
            ),
        ],
    );
}

#[test]
fn s6_2_len_and_iteration_conflict_with_insertions_and_removals() {
    check(
        Isolation::Serializable,
        &[
            ("len, insertion", |tx, map| ignore(map.len(tx)), PUT_25, true),
            ("len, removal", |tx, map| ignore(map.len(tx)), TAKE_20, true),
            ("len, clear", |tx, map| ignore(map.len(tx)), |tx, map| map.clear(tx), true),
            ("len, merge of a new key", |tx, map| ignore(map.len(tx)), MERGE_25, true),
            ("len, update", |tx, map| ignore(map.len(tx)), PUT_20, false),
            ("len, merge", |tx, map| ignore(map.len(tx)), MERGE_20, false),
            (
                "len with own writes, insertion",
                |tx, map| {
                    ignore({
                        map.upsert(tx, 26, 1);
                        map.len(tx)
                    })
                },
                PUT_25,
                true,
            ),
            (
                "len with own writes, update",
                |tx, map| {
                    ignore({
                        map.upsert(tx, 26, 1);
                        map.len(tx)
                    })
                },
                PUT_20,
                false,
            ),
            ("iteration, insertion", |tx, map| ignore(map.sum(tx)), PUT_25, true),
            ("iteration, removal", |tx, map| ignore(map.sum(tx)), TAKE_20, true),
            ("iteration, update", |tx, map| ignore(map.sum(tx)), PUT_20, true),
        ],
    );
}

/// What has come and gone again was never there.
#[test]
fn s2_2_a_present_key_that_came_back_is_another() {
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        filled(&ring, &*map);
        let back_and_forth = |tx: &Tx<'_>| {
            assert_eq!(map.remove(tx, 20), Some(20));
            map.upsert(tx, 20, 20);
        };
        assert_eq!(ring.runs(|tx| ignore(map.get(tx, 20)), back_and_forth), 2, "{name}");
        // An absent key that is absent again: nothing that was read is wrong.
        let mut first = true;
        let runs = ring.runs(
            |tx| {
                assert_eq!(map.get(tx, 25), None, "{name}");
                if std::mem::take(&mut first) {
                    let come_and_go = || {
                        ring.commit(|tx| map.upsert(tx, 25, 1));
                        ring.commit(|tx| map.remove(tx, 25));
                    };
                    std::thread::scope(|scope| scope.spawn(come_and_go).join().expect("the foreign commits"));
                }
            },
            |tx| map.upsert(tx, 30, 1),
        );
        assert_eq!(runs, 1, "{name}");
    }
}

#[test]
fn s2_2_snapshot_isolation_lets_the_first_committer_of_a_key_win() {
    check(
        Isolation::Snapshot,
        &[
            ("update, update", PUT_20, PUT_20, true),
            ("insertion, insertion", PUT_25, PUT_25, true),
            ("update, removal", PUT_20, TAKE_20, true),
            ("removal, removal", TAKE_20, TAKE_20, true),
            ("removal, update", TAKE_20, PUT_20, true),
            ("clear, insertion", |tx, map| map.clear(tx), PUT_25, true),
            ("update, clear", PUT_20, |tx, map| map.clear(tx), true),
            ("insertion, clear", PUT_25, |tx, map| map.clear(tx), false),
            ("update, update of another", PUT_20, |tx, map| map.upsert(tx, 30, 0), false),
            ("insertion, insertion of another", PUT_25, |tx, map| map.upsert(tx, 26, 0), false),
            ("read, update", GET_20, PUT_20, false),
            ("read absent, insertion", GET_25, PUT_25, false),
            ("len, insertion", |tx, map| ignore(map.len(tx)), PUT_25, false),
            ("iteration, insertion", |tx, map| ignore(map.sum(tx)), PUT_25, false),
            ("merge, update", MERGE_20, PUT_20, false),
            ("merge, insertion", MERGE_25, PUT_25, false),
            (
                "promoted merge, update",
                |tx, map| {
                    ignore({
                        map.upsert_with(tx, 20, 1, |n| n + 1);
                        map.get(tx, 20)
                    })
                },
                PUT_20,
                true,
            ),
        ],
    );
}

/// §6.1: not even where the tree splits, or joins: who puts new keys in never conflicts with who does the same elsewhere.
#[test]
fn s6_1_growth_and_shrinkage_are_no_conflicts() {
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        for round in 0..40 {
            let (from, to) = (round * 100, round * 100 + 90);
            let mine = |tx: &Tx<'_>| (from..to).step_by(2).for_each(|n| assert!(map.insert_new(tx, n, 1)));
            let theirs = |tx: &Tx<'_>| (from..to).skip(1).step_by(2).for_each(|n| assert!(map.insert_new(tx, n, 1)));
            assert_eq!(ring.runs(mine, theirs), 1, "{name}");
        }
        assert_eq!(ring.commit(|tx| (map.len(tx), map.sum(tx))), (3600, 3600), "{name}");
        for round in 0..40 {
            let (from, to) = (round * 100, round * 100 + 90);
            let mine = |tx: &Tx<'_>| (from..to).step_by(2).for_each(|n| assert_eq!(map.remove(tx, n), Some(1)));
            let theirs = |tx: &Tx<'_>| (from..to).skip(1).step_by(2).for_each(|n| ignore(map.remove(tx, n)));
            assert_eq!(ring.runs(mine, theirs), 1, "{name}");
        }
        assert_eq!(ring.commit(|tx| (map.len(tx), map.sum(tx))), (0, 0), "{name}");
    }
}

/// §2.5: a read-only transaction never conflicts, and sees one version.
#[test]
fn s2_5_readers_never_run_twice() {
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        filled(&ring, &*map);
        let mut runs = 0;
        ring.commit(|tx| {
            runs += 1;
            assert_eq!((map.get(tx, 20), map.get(tx, 25), map.len(tx)), (Some(20), None, 9), "{name}");
            std::thread::scope(|scope| {
                scope.spawn(|| ring.commit(|tx| (PUT_25(tx, &*map), TAKE_20(tx, &*map), map.upsert(tx, 26, 0))));
            });
            assert_eq!((map.get(tx, 20), map.get(tx, 25), map.len(tx)), (Some(20), None, 9), "{name}");
            assert_eq!(map.sum(tx), 450, "{name}");
        });
        assert_eq!((runs, ring.commit(|tx| map.len(tx))), (1, 10), "{name}");
    }
}

/// Keys of one hash are told apart by `Eq`.
#[test]
fn s6_1_keys_of_equal_hashes_stay_apart() {
    let ring = Ring::new();
    for (name, map) in all_maps(&ring.space) {
        let mut model = BTreeMap::new();
        let mut seed = 99_u64;
        for _ in 0..600 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (what, key, value) = (seed >> 60, (seed >> 40) % 80, (seed >> 50) as i64 % 100);
            ring.commit(|tx| match what {
                0..8 => assert_eq!(map.insert(tx, key, value), model.get(&key).copied(), "{name}"),
                8..11 => assert_eq!(map.remove(tx, key), model.get(&key).copied(), "{name}"),
                11..13 => map.upsert_with(tx, key, value, |n| n + 1),
                _ => assert_eq!(map.get(tx, key), model.get(&key).copied(), "{name}"),
            });
            match what {
                0..8 => ignore(model.insert(key, value)),
                8..11 => ignore(model.remove(&key)),
                11..13 => *model.entry(key).or_insert(value - 1) += 1,
                _ => {}
            }
        }
        ring.commit(|tx| {
            assert_eq!((map.len(tx), map.sum(tx)), (model.len(), model.values().sum()), "{name}");
            (0..80).for_each(|key| assert_eq!(map.get(tx, key), model.get(&key).copied(), "{name}"));
        });
    }
}

/// §2.3: a key that shares its hash with others does not conflict with keys that have another.
#[test]
fn s2_3_keys_of_other_hashes_do_not_conflict() {
    for count in 1..6 {
        let ring = Ring::new();
        // The number of a key modulo three is its hash: those of 1 lie between the others.
        let map: TMap<u64, i64, Hashes> = TMap::with_hasher_in(&ring.space, Hashes(3));
        ring.commit(|tx| {
            [3, 5].into_iter().for_each(|key| map.upsert(tx, key, 0));
            (0..count).for_each(|n| map.upsert(tx, 3 * n + 1, 0));
        });
        for key in (0..=count).map(|n| 3 * n + 1) {
            for other in [6 * key, 6 * key + 2] {
                let put = |tx: &Tx<'_>| map.upsert(tx, other, 0);
                assert_eq!(ring.runs(|tx| ignore(map.get(tx, &key)), put), 1, "{key} of {count}");
                let take = |tx: &Tx<'_>| ignore(map.remove(tx, &other));
                assert_eq!(ring.runs(|tx| ignore(map.get(tx, &key)), take), 1, "{key} of {count}");
            }
        }
    }
}

#[test]
fn s1_4_one_version_of_several_maps() {
    let ring = Ring::new();
    let (a, b) = (maps(&ring.space), maps(&ring.space));
    for ((name, a), (_, b)) in a.into_iter().zip(b) {
        let move_on = |tx: &Tx<'_>| {
            let n = a.get(tx, 1).unwrap_or(0);
            a.upsert(tx, 1, n + 1);
            b.upsert(tx, n as u64, 0);
        };
        let mut seen = Vec::new();
        let runs = ring.runs(
            |tx| {
                let n = a.get(tx, 1);
                seen.push((n, b.len(tx) as i64));
            },
            move_on,
        );
        assert_eq!((runs, seen), (2, vec![(None, 0), (Some(1), 1)]), "{name}");
    }
}
