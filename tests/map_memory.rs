//! §1.3, §1.5, §1.7, §2.1: what maps keep, by value counts and by bytes. One test at a time.

#[path = "common/bytes.rs"]
mod bytes;
mod common;

use std::sync::atomic::Ordering;

use bytes::{KIB, LIVE, alone, bounded};
use common::{Census, Counted, elsewhere, many, panic_message, settle, ticks};
use tvar::{Space, TMap, TOrdMap, Tx};

fn commit<R>(space: &Space, mut f: impl FnMut(&Tx<'_>) -> R) -> R {
    space.atomically(|tx| Ok(f(tx)))
}

#[test]
fn s1_7_replaced_and_removed_rows_go_once() {
    let _alone = alone();
    let space = Space::new();
    let census = Census::new();
    let hash: TMap<u64, Counted> = TMap::new_in(&space);
    let ordered: TOrdMap<String, Counted> = TOrdMap::new_in(&space);
    let put = |keys: std::ops::Range<u64>| {
        commit(&space, |tx| {
            for n in keys.clone() {
                hash.upsert(tx, n, census.value(n));
                ordered.upsert(tx, n.to_string(), census.value(n));
            }
        });
    };
    put(0..500);
    put(100..300);
    ticks(&space, 2);
    assert_eq!((census.live(), census.dropped()), (1000, 400));
    commit(&space, |tx| {
        for n in 200..400 {
            assert!(hash.remove(tx, &n).is_some() && ordered.remove(tx, &n.to_string()).is_some());
        }
    });
    ticks(&space, 2);
    assert_eq!((census.live(), census.dropped()), (600, 800));
    let snapshot = space.snapshot();
    commit(&space, |tx| {
        hash.clear(tx);
        ordered.clear(tx);
    });
    put(0..10);
    put(0..10);
    ticks(&space, 2);
    assert_eq!(census.live(), 620);
    assert_eq!((hash.len(&snapshot), ordered.iter(&snapshot).count()), (300, 300));
    assert!(hash.iter(&snapshot).all(|(key, value)| *key == value.id));
    drop(snapshot);
    assert_eq!(census.live(), 20);
    drop(hash);
    assert_eq!(census.live(), 10);
    drop(ordered);
    assert_eq!((census.live(), census.dropped()), (0, 1440));
}

/// The initial content, in every snapshot, older ones included; written or not.
#[test]
fn s1_2_initial_content() {
    let _alone = alone();
    let space = Space::new();
    let census = Census::new();
    let older = space.snapshot();
    ticks(&space, 5);
    let before = space.snapshot();
    let make = || (0..200).map(|n| (n % 100, census.value(n)));
    let map: TOrdMap<u64, Counted> = TOrdMap::with_entries_in(&space, make());
    assert_eq!(census.live(), 100);
    let after = space.snapshot();
    commit(&space, |tx| {
        (50..150).for_each(|n| map.upsert(tx, n, census.value(1000)));
        map.remove(tx, &0);
    });
    ticks(&space, 100);
    for snapshot in [&older, &before, &after] {
        assert!(map.iter(snapshot).map(|(key, value)| (*key, value.id)).eq((0..100).map(|n| (n, n + 100))));
        assert!(map.get(snapshot, &0).is_some() && map.get(snapshot, &100).is_none());
    }
    assert_eq!(census.live(), 200);
    drop((before, after));
    assert_eq!(census.live(), 200);
    drop(older);
    assert_eq!(census.live(), 149);
    // Never written.
    let unwritten: TMap<u64, Counted> = TMap::with_entries_in(&space, make());
    assert_eq!(census.live(), 249);
    let snapshot = space.snapshot();
    assert_eq!(unwritten.len(&snapshot), 100);
    drop(unwritten);
    drop(snapshot);
    assert_eq!(census.live(), 149);
    // Written while somebody reads the initial content, whose handle then goes.
    let map2: TMap<u64, Counted> = TMap::with_entries_in(&space, make());
    commit(&space, |tx| {
        let values: Vec<_> = map2.values(tx).collect();
        elsewhere(|| commit(&space, |tx| map2.clear(tx)));
        ticks_elsewhere(&space);
        assert!(values.iter().all(|value| value.id >= 100));
    });
    settle(&space, || census.live() == 149);
    drop((map, map2));
    settle(&space, || census.live() == 0);
}

fn ticks_elsewhere(space: &Space) {
    elsewhere(|| ticks(space, 20));
}

#[test]
fn s2_8_rows_of_attempts_that_do_not_commit() {
    let _alone = alone();
    let space = Space::new();
    let census = Census::new();
    let hash: TMap<u64, Counted> = TMap::new_in(&space);
    let ordered: TOrdMap<String, Counted> = TOrdMap::new_in(&space);
    commit(&space, |tx| (0..40).for_each(|n| hash.upsert(tx, n, census.value(n))));
    let step = |tx: &Tx<'_>| {
        for n in 0..60 {
            hash.upsert(tx, n, census.value(n));
            hash.get(tx, &n);
            ordered.upsert(tx, n.to_string(), census.value(n));
            let make = census.clone();
            hash.upsert_with(tx, n + 50, census.value(n), move |old| make.value(old.id));
            hash.modify(tx, &(n / 2), |old| census.value(old.id));
            hash.remove(tx, &(n / 3));
        }
    };
    for _ in 0..20 {
        assert_eq!(
            space.try_atomically(|tx| {
                step(tx);
                tx.abort::<(), _>(7)
            }),
            Err(7)
        );
        assert_eq!(census.live(), 40);
        panic_message(|| {
            commit(&space, |tx| {
                step(tx);
                panic!("no")
            })
        });
        assert_eq!(census.live(), 40);
        commit(&space, |tx| {
            let undone = tx.nested(|tx| {
                step(tx);
                tx.abort::<(), _>(7)
            });
            assert!(undone.is_ok());
        });
        assert_eq!(census.live(), 40);
        commit(&space, |tx| {
            hash.get(tx, &1);
            if tx.attempt() == 1 {
                step(tx);
                elsewhere(|| commit(&space, |tx| hash.upsert(tx, 1, census.value(1))));
            }
            ordered.clear(tx);
        });
        settle(&space, || census.live() == 40);
        assert_eq!(census.live(), 40);
    }
}

#[test]
fn s1_3_a_large_map_goes_as_a_whole() {
    let _alone = alone();
    let space = Space::new();
    let count = many(1_000_000) as u64;
    ticks(&space, 10);
    let before = LIVE.load(Ordering::Relaxed);
    let map: TOrdMap<u64, String> =
        TOrdMap::with_entries_in(&space, (0..count).map(|n| (n, format!("the value {n:020}"))));
    commit(&space, |tx| (0..count).step_by(1000).for_each(|n| map.upsert(tx, n, String::new())));
    let held = LIVE.load(Ordering::Relaxed) - before;
    assert!(held > count as isize * 50, "{held} bytes");
    common::on_small_stack(move || drop(map));
    ticks(&space, 10);
    let left = LIVE.load(Ordering::Relaxed) - before;
    assert!(left < 512 * KIB, "{left} bytes left");
    // The same by a commit; the buffers that it needed stay with the thread.
    let map: TMap<u64, String> = TMap::new_in(&space);
    let mut left = Vec::new();
    for _ in 0..3 {
        for part in 0..10 {
            let keys = (part * count / 10)..((part + 1) * count / 10);
            commit(&space, |tx| keys.clone().for_each(|n| map.upsert(tx, n, format!("the value {n:020}"))));
        }
        commit(&space, |tx| map.clear(tx));
        ticks(&space, 100);
        left.push(LIVE.load(Ordering::Relaxed) - before);
    }
    assert!(left[2] - left[1] < 512 * KIB, "{left:?} bytes left");
}

#[test]
fn s1_7_commits_to_maps() {
    let _alone = alone();
    let space = Space::new();
    let hash: TMap<u64, String> = TMap::new_in(&space);
    let ordered: TOrdMap<String, u64> = TOrdMap::new_in(&space);
    let step = |n: usize| {
        let n = n as u64;
        commit(&space, |tx| {
            hash.upsert(tx, n % 1000, n.to_string());
            hash.remove(tx, &(n * 7 % 1000));
            hash.upsert_with(tx, n * 3 % 1000, n.to_string(), String::clone);
            ordered.insert(tx, (n * 11 % 1000).to_string(), n);
            ordered.remove(tx, &(n * 13 % 1000).to_string());
            let _ = ordered.range(tx, "5".to_owned()..).next();
        });
    };
    bounded("commits", 512 * KIB, many(50_000), step);
    let snapshot = space.snapshot();
    bounded("behind a snapshot", 512 * KIB, many(50_000), step);
    drop(snapshot);
    bounded("grown and cleared", 1024 * KIB, 100, |n| {
        commit(&space, |tx| (0..500).for_each(|k| hash.upsert(tx, k + 2000, n.to_string())));
        commit(&space, |tx| hash.clear(tx));
        ticks(&space, 2);
    });
    bounded("maps", 512 * KIB, 2_000, |n| {
        let map: TOrdMap<usize, String> = TOrdMap::with_entries_in(&space, (0..n % 50).map(|n| (n, n.to_string())));
        commit(&space, |tx| (0..n % 40).for_each(|n| map.upsert(tx, n * 2, n.to_string())));
    });
}

/// §2.1: a loop uses bounded memory.
#[test]
fn s2_1_a_million_modifies_in_one_attempt() {
    let _alone = alone();
    let space = Space::new();
    let hash: TMap<u64, String> = TMap::new_in(&space);
    let ordered: TOrdMap<String, u64> = TOrdMap::new_in(&space);
    let count = many(1_000_000);
    for others in [0, 40] {
        bounded("modifies", 256 * KIB, 1, |_| {
            commit(&space, |tx| {
                (0..others).for_each(|n| hash.upsert(tx, n + 10, n.to_string()));
                hash.upsert(tx, 1, String::new());
                ordered.upsert(tx, "one".into(), 1);
                for n in 0..count {
                    assert!(hash.modify(tx, &1, |_| n.to_string()));
                    ordered.modify(tx, "one".to_owned().as_str(), |n| n + 1);
                }
            });
        });
    }
    bounded("blind writes", 256 * KIB, 1, |_| {
        commit(&space, |tx| (0..count).for_each(|n| hash.upsert(tx, 1, n.to_string())));
    });
    bounded("merges into an own value", 256 * KIB, 1, |_| {
        commit(&space, |tx| {
            ordered.upsert(tx, "one".into(), 0);
            (0..count).for_each(|_| ordered.upsert_with(tx, "one".into(), 0, |n| n + 1));
        });
    });
    assert_eq!(ordered.get(&space.snapshot(), "one"), Some(&(count as u64)));
    bounded("reads", 256 * KIB, 1, |_| {
        commit(&space, |tx| {
            ordered.upsert(tx, "two".into(), 0);
            for n in 0..count as u64 {
                assert!(hash.get(tx, &(n % 3 + 500)).is_none());
                assert!(!ordered.contains_key(tx, if n % 2 == 0 { "three" } else { "four" }));
                assert_eq!(hash.len(tx), hash.len(tx));
            }
        });
    });
}
