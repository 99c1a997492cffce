//! §4.5, §6.1: `upsert_with` is decided at the commit, and concurrent ways of putting one new key in give one entry.

mod common;
mod map_common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use common::{Census, many, panic_message};
use map_common::{Ring, all_maps, ignore, maps};
use tvar::hooks::{self, Point};
use tvar::{TMap, TOrdMap, Tx};

#[test]
fn s4_5_the_value_at_the_commit_counts() {
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        // Absent in the snapshot, present at the commit.
        let runs = ring.runs(|tx| map.upsert_with(tx, 1, 100, |n| n + 1), |tx| map.upsert(tx, 1, 7));
        assert_eq!((runs, ring.commit(|tx| map.get(tx, 1))), (1, Some(8)), "{name}");
        // Present in the snapshot, absent at the commit.
        let runs = ring.runs(|tx| map.upsert_with(tx, 1, 100, |n| n + 1), |tx| ignore(map.remove(tx, 1)));
        assert_eq!((runs, ring.commit(|tx| map.get(tx, 1))), (1, Some(100)), "{name}");
        let runs = ring.runs(|tx| map.upsert_with(tx, 1, 100, |n| n + 1), |tx| map.clear(tx));
        assert_eq!((runs, ring.commit(|tx| map.get(tx, 1))), (1, Some(100)), "{name}");
        // Both merge.
        let runs = ring.runs(|tx| map.upsert_with(tx, 1, 0, |n| n * 2), |tx| map.upsert_with(tx, 1, 0, |n| n + 3));
        assert_eq!((runs, ring.commit(|tx| map.get(tx, 1))), (1, Some(206)), "{name}");
        assert_eq!(ring.space.stats().conflicts, 0, "{name}");
    }
}

#[test]
fn s4_5_several_in_one_transaction() {
    let ring = Ring::new();
    for (name, map) in all_maps(&ring.space) {
        let steps = |tx: &Tx<'_>| {
            map.upsert_with(tx, 1, 10, |n| n + 1);
            map.upsert_with(tx, 1, 1000, |n| n * 2);
            map.upsert_with(tx, 2, 5, |n| n - 1);
            map.upsert_with(tx, 1, 1000, |n| n + 3);
        };
        ring.commit(steps);
        assert_eq!(ring.commit(|tx| (map.get(tx, 1), map.get(tx, 2), map.len(tx))), (Some(23), Some(5), 2), "{name}");
        ring.commit(steps);
        assert_eq!(ring.commit(|tx| (map.get(tx, 1), map.get(tx, 2), map.len(tx))), (Some(51), Some(4), 2), "{name}");
    }
}

#[test]
fn s4_5_after_other_writes_of_the_key() {
    let ring = Ring::new();
    for (name, map) in all_maps(&ring.space) {
        ring.commit(|tx| {
            map.upsert(tx, 1, 10);
            map.upsert_with(tx, 1, 0, |n| n + 1);
            assert_eq!(map.get(tx, 1), Some(11), "{name}");
            assert_eq!(map.remove(tx, 1), Some(11), "{name}");
            map.upsert_with(tx, 1, 20, |n| n + 1);
            assert_eq!(map.get(tx, 1), Some(20), "{name}");
            map.clear(tx);
            map.upsert_with(tx, 1, 30, |n| n + 1);
            map.upsert_with(tx, 1, 0, |n| n + 1);
            assert_eq!((map.get(tx, 1), map.len(tx)), (Some(31), 1), "{name}");
            map.upsert_with(tx, 2, 40, |n| n + 1);
            map.upsert(tx, 2, 50);
            map.upsert_with(tx, 3, 60, |n| n + 1);
            assert_eq!(map.remove(tx, 3), Some(60), "{name}");
            assert_eq!(map.len(tx), 2, "{name}");
            map.upsert_with(tx, 4, 1, |n| n + 1);
            assert_eq!(map.len(tx), 3, "{name}");
            assert!(map.modify(tx, 4, |n| n + 5), "{name}");
            map.upsert_with(tx, 5, 2, |n| n + 1);
            assert_eq!(map.or_insert(tx, 5, 100), 2, "{name}");
        });
        assert_eq!(
            ring.commit(|tx| [1, 2, 3, 4, 5].map(|key| map.get(tx, key).unwrap_or(0))),
            [31, 50, 0, 6, 2],
            "{name}"
        );
    }
}

#[test]
fn s4_5_a_read_makes_a_read_and_a_write() {
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        for (runs, key) in [(2, 1), (1, 2)] {
            ring.commit(|tx| [1, 2].into_iter().for_each(|key| map.upsert(tx, key, 10)));
            let mine = |tx: &Tx<'_>| {
                map.upsert_with(tx, 1, 0, |n| n + 1);
                map.upsert_with(tx, 2, 0, |n| n + 1);
                ignore(map.get(tx, 1));
            };
            assert_eq!(ring.runs(mine, |tx| map.upsert_with(tx, key, 0, |n| n * 3)), runs, "{name}");
            let merged = if key == 1 { (Some(31), Some(11)) } else { (Some(11), Some(31)) };
            assert_eq!(ring.commit(|tx| (map.get(tx, 1), map.get(tx, 2))), merged, "{name}");
        }
    }
}

/// §4.3: a panic counts only in the root that would be published.
#[test]
fn s4_5_a_function_that_panics() {
    let ring = Ring::new();
    let map: TMap<u64, i64> = TMap::new_in(&ring.space);
    let other: TOrdMap<u64, i64> = TOrdMap::new_in(&ring.space);
    let positive = |n: &i64| {
        assert!(*n >= 0, "below zero");
        n + 1
    };
    ring.commit(|tx| map.upsert(tx, 1, -5));
    let message = panic_message(|| {
        ring.commit(|tx| {
            other.upsert(tx, 1, 1);
            map.upsert(tx, 2, 2);
            map.upsert_with(tx, 1, 0, positive);
        });
    });
    assert_eq!(message, "below zero");
    ring.commit(|tx| assert_eq!((map.len(tx), other.len(tx), map.get(tx, &1)), (1, 0, Some(&-5))));
    // Of a promotion: the transaction may go on.
    ring.commit(|tx| {
        map.upsert_with(tx, 1, 0, positive);
        assert_eq!(panic_message(|| map.get(tx, &1)), "below zero");
        map.upsert(tx, 1, 7);
        assert_eq!(map.get(tx, &1), Some(&7));
    });
    assert_eq!(ring.commit(|tx| map.get(tx, &1).copied()), Some(7));
    // On a value that is not current any more.
    ring.commit(|tx| map.upsert(tx, 1, -5));
    let (space, foreign) = (ring.space.clone(), map.clone());
    let mut f = Some(move || {
        space.atomically(|tx| {
            foreign.upsert(tx, 1, 5);
            Ok(())
        })
    });
    let mut runs = 0;
    let in_time = Arc::new(AtomicU64::new(0));
    let seen = in_time.clone();
    ring.commit(|tx| {
        runs += 1;
        let seen = seen.clone();
        let f = std::sync::Mutex::new(f.take());
        map.upsert_with(tx, 1, 0, move |n| {
            seen.fetch_add(1, Ordering::SeqCst);
            if let Some(f) = f.lock().unwrap().take() {
                thread::scope(|scope| scope.spawn(f).join().expect("the foreign commit"));
            }
            assert!(*n >= 0, "below zero");
            n + 1
        });
    });
    assert_eq!((runs, in_time.load(Ordering::SeqCst)), (1, 2));
    assert_eq!(ring.commit(|tx| map.get(tx, &1).copied()), Some(6));
}

/// §2.3: a lost root applies the functions anew, and everything that was made in vain goes.
#[test]
fn s2_3_a_lost_root_applies_the_functions_again() {
    let ring = Ring::new();
    let census = Census::new();
    let map: TOrdMap<u64, common::Counted> = TOrdMap::new_in(&ring.space);
    let other: TOrdMap<u64, u64> = TOrdMap::new_in(&ring.space);
    ring.commit(|tx| (0..100).for_each(|n| map.upsert(tx, n, census.value(0))));
    let (space, foreign, mut left) = (ring.space.clone(), other.clone(), 3);
    let guard = hooks::on_this_thread(move |point| {
        if point == Point::Swap && left > 0 {
            left -= 1;
            let (space, foreign) = (space.clone(), foreign.clone());
            let step = move || {
                space.atomically(|tx| {
                    foreign.upsert(tx, left, 0);
                    Ok(())
                })
            };
            thread::spawn(step).join().expect("the foreign commit");
        }
    });
    let mut runs = 0;
    ring.commit(|tx| {
        runs += 1;
        let make = census.clone();
        map.upsert_with(tx, 50, census.value(1), move |old| make.value(old.id + 10));
        let make = census.clone();
        map.upsert_with(tx, 50, census.value(1), move |old| make.value(old.id + 10));
        map.upsert(tx, 200, census.value(2));
        map.remove(tx, &7);
    });
    drop(guard);
    common::ticks(&ring.space, 3);
    assert_eq!((runs, ring.space.stats().conflicts, census.live()), (1, 0, 100));
    assert!(census.alive(20) && census.alive(2) && !census.alive(10) && !census.alive(1));
    drop(map);
    common::settle(&ring.space, || census.live() == 0);
}

/// What is put in, or not, is dropped once.
#[test]
fn s6_1_initial_values_are_used_or_dropped() {
    let ring = Ring::new();
    let census = Census::new();
    let map: TMap<u64, common::Counted> = TMap::new_in(&ring.space);
    let count = |tx: &Tx<'_>| {
        let make = census.clone();
        map.upsert_with(tx, 1, census.value(0), move |old| make.value(old.id + 1));
    };
    for n in 0..10 {
        ring.commit(count);
        common::ticks(&ring.space, 2);
        assert_eq!((census.live(), census.alive(n)), (1, true));
    }
    for _ in 0..3 {
        ring.commit(|tx| (0..5).for_each(|_| count(tx)));
        common::ticks(&ring.space, 2);
        assert_eq!(census.live(), 1);
        ring.commit(|tx| {
            count(tx);
            assert!(map.get(tx, &1).is_some());
            count(tx);
        });
        common::ticks(&ring.space, 2);
        assert_eq!(census.live(), 1);
    }
    assert!(census.alive(30));
    ring.commit(|tx| {
        assert!(!map.insert_new(tx, 1, census.value(99)));
        map.entry(tx, 1).or_insert(census.value(98));
    });
    assert_eq!((census.live(), census.alive(30)), (1, true));
}

/// Threads that all put the same new key in, each in its way.
fn storm(rounds: u64) {
    const THREADS: usize = 8;
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        let (barrier, winners) = (Barrier::new(THREADS), AtomicU64::new(0));
        thread::scope(|scope| {
            for me in 0..THREADS {
                let (ring, map, barrier, winners) = (&ring, &map, &barrier, &winners);
                scope.spawn(move || {
                    for round in 0..rounds {
                        barrier.wait();
                        let won = match me % 4 {
                            0 => ring.commit(|tx| map.insert_new(tx, round, 100)),
                            1 => ring.commit(|tx| map.insert(tx, round, map.get(tx, round).unwrap_or(100)).is_none()),
                            2 => ring.commit(|tx| {
                                let absent = map.get(tx, round).is_none();
                                assert!(map.or_insert(tx, round, 100) >= 100);
                                absent
                            }),
                            _ => {
                                ring.commit(|tx| map.upsert_with(tx, round, 101, |n| n + 1));
                                false
                            }
                        };
                        winners.fetch_add(u64::from(won), Ordering::SeqCst);
                        let seen = ring.commit(|tx| map.get(tx, round));
                        assert!(seen.is_some_and(|n| (100..=102).contains(&n)), "{name}: {seen:?}");
                    }
                });
            }
        });
        ring.commit(|tx| {
            assert_eq!(map.len(tx) as u64, rounds, "{name}");
            (0..rounds).for_each(|round| assert_eq!(map.get(tx, round), Some(102), "{name}"));
        });
        assert!((1..=rounds).contains(&winners.load(Ordering::SeqCst)), "{name}");
    }
}

#[test]
fn s6_1_an_upsert_storm() {
    storm(many(5_000) as u64);
}

/// Exactly one of those that ask whether they were the first is told so.
#[test]
fn s6_1_one_inserter_wins() {
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        let barrier = Barrier::new(4);
        let won: u64 = thread::scope(|scope| {
            let race = |me: i64| {
                let (ring, map, barrier) = (&ring, &map, &barrier);
                scope.spawn(move || {
                    let mut won = 0;
                    for round in 0..500 {
                        barrier.wait();
                        let first = ring.commit(|tx| map.insert_new(tx, round, me));
                        assert_eq!(ring.commit(|tx| map.get(tx, round) == Some(me)), first, "{name}");
                        won += u64::from(first);
                    }
                    won
                })
            };
            let racers: Vec<_> = (0..4).map(race).collect();
            racers.into_iter().map(|racer| racer.join().expect("no panic")).sum()
        });
        assert_eq!(won, 500, "{name}");
    }
}

/// What an inserter that does not commit had put in leaves nothing in the way.
#[test]
fn s6_1_aborted_and_panicked_inserters_leave_nothing() {
    let ring = Ring::new();
    for (name, map) in maps(&ring.space) {
        let aborted = ring.space.try_atomically(|tx| {
            assert!(map.insert_new(tx, 1, 1));
            tx.abort::<(), _>("no")
        });
        assert_eq!(aborted, Err("no"), "{name}");
        panic_message(|| {
            ring.commit(|tx| {
                assert!(map.insert_new(tx, 1, 1));
                panic!("no")
            })
        });
        assert!(ring.commit(|tx| (map.len(tx), map.insert_new(tx, 1, 2))) == (0, true), "{name}");
        assert_eq!(ring.commit(|tx| map.get(tx, 1)), Some(2), "{name}");
    }
}
