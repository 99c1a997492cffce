//! §6.1, §5.5: upsert storms: eight threads want the same new key, round after round. One entry comes of it, of one winner; everybody
//! sees that one, nobody gets an error, and nothing is left in the lock table.
//!
//! A release build runs 100,000 rounds (`cargo test --release --test stress_upserts`), a debug one a few.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tvar::LockMode::Exclusive;
use tvar::hooks::{self, Point};
use tvar::{Space, Stats, TMap, TOrdMap, Tx};

const THREADS: u64 = 8;

/// How a thread puts its entry in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    InsertNew,
    Entry,
    UpsertWith,
    LockKey,
    /// All of the above, a way per thread.
    Mixed,
    /// `InsertNew`, but in each round some abort, and some panic, with the entry put in.
    Spoiled,
}

/// Who put an entry in, and how many have come to it.
type Value = (u64, u64);

/// What a thread has seen of its round: whether it was the one, and whose entry it is.
type Seen = (bool, u64);

macro_rules! storm {
    ($name:ident, $map:ident) => {
        fn $name(how: How, rounds: u64, yields_every: u64) {
            let space = Space::new();
            let map: $map<u64, Value> = $map::named_in(&space, "m");
            // Per round: how many won, and whose entry was seen (from 1).
            let books: Arc<Vec<[AtomicU64; 2]>> = Arc::new((0..rounds).map(|_| Default::default()).collect());
            let arrived = Arc::new(AtomicU64::new(0));
            let start = Instant::now();
            let threads: Vec<_> = (0..THREADS)
                .map(|me| {
                    let (space, map, books, arrived) = (space.clone(), map.clone(), books.clone(), arrived.clone());
                    thread::spawn(move || {
                        // So that they meet in the middle of their commits, however few cores there are.
                        let yields = Rc::new(Cell::new(true));
                        let are_on = yields.clone();
                        let _hook = hooks::on_this_thread(move |point| {
                            if are_on.get() && matches!(point, Point::Validate | Point::Read) {
                                thread::yield_now();
                            }
                        });
                        for round in 0..rounds {
                            yields.set(round.is_multiple_of(yields_every));
                            gather(&arrived, round);
                            let seen = once(&space, &map, how, round, me);
                            let Some((won, whose)) = seen else { continue };
                            books[round as usize][0].fetch_add(u64::from(won), Ordering::SeqCst);
                            let before = books[round as usize][1].swap(whose + 1, Ordering::SeqCst);
                            assert!(
                                before == 0 || before == whose + 1,
                                "{how:?}, round {round}: two winners were seen"
                            );
                            // So does everybody from now on.
                            assert_eq!(map.get(&space.snapshot(), &round).unwrap().0, whose);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            let took = start.elapsed();
            space.atomically(|tx| {
                assert_eq!(map.len(tx), rounds as usize);
                for (key, (winner, count)) in map.iter(tx) {
                    let [won, seen] = &books[*key as usize];
                    let (won, seen) = (won.load(Ordering::SeqCst), seen.load(Ordering::SeqCst));
                    let blind = matches!(how, How::UpsertWith) || how == How::Mixed && *winner % 4 == 2;
                    assert_eq!((won, seen), (u64::from(!blind), winner + 1), "{how:?}, round {key}");
                    let expected = match how {
                        How::UpsertWith => THREADS..=THREADS,
                        How::Mixed => 2..=3,
                        _ => 1..=1,
                    };
                    assert!(expected.contains(count), "{how:?}, round {key}: {count}");
                    assert!(how != How::Spoiled || !is_spoiled(*key, *winner), "an undone entry");
                }
                Ok(())
            });
            assert!(space.locks().is_empty() && space.waiters() == 0);
            let stats = space.stats();
            println!("{} {how:?}: {rounds} rounds in {took:.2?}; {stats}", stringify!($map));
            check(how, &stats);

            fn once(space: &Space, map: &$map<u64, Value>, how: How, key: u64, me: u64) -> Option<Seen> {
                let insert_new = |tx: &Tx<'_>| {
                    let won = map.insert_new(tx, key, (me, 1));
                    (won, map.get(tx, &key).unwrap().0)
                };
                match how {
                    How::InsertNew => Some(space.atomically(|tx| Ok(insert_new(tx)))),
                    How::Entry => Some(space.atomically(|tx| {
                        let entry = map.entry(tx, key);
                        Ok((!entry.is_present(), entry.or_insert((me, 1)).0))
                    })),
                    How::UpsertWith => {
                        space.atomically(|tx| Ok(map.upsert_with(tx, key, (me, 1), |(who, n)| (*who, n + 1))));
                        // Blind, so nobody knows whether it was the one; but whose it is.
                        Some((false, map.get(&space.snapshot(), &key).unwrap().0))
                    }
                    How::LockKey => Some(space.atomically(|tx| {
                        map.lock_key(tx, &key, Exclusive)?;
                        match map.get(tx, &key) {
                            Some((who, _)) => Ok((false, *who)),
                            None => {
                                map.upsert(tx, key, (me, 1));
                                Ok((true, me))
                            }
                        }
                    })),
                    How::Mixed => {
                        let ways = [How::InsertNew, How::Entry, How::UpsertWith, How::LockKey];
                        once(space, map, ways[me as usize % 4], key, me)
                    }
                    How::Spoiled if !is_spoiled(key, me) => once(space, map, How::InsertNew, key, me),
                    How::Spoiled if me % 2 == 0 => {
                        let aborted = space.try_atomically(|tx| {
                            insert_new(tx);
                            tx.abort::<(), _>(me)
                        });
                        assert_eq!(aborted, Err(me));
                        None
                    }
                    How::Spoiled => {
                        let panics = std::panic::AssertUnwindSafe(|| {
                            space.atomically(|tx| -> tvar::Stm<()> {
                                insert_new(tx);
                                std::panic::resume_unwind(Box::new(me))
                            })
                        });
                        let payload = std::panic::catch_unwind(panics).unwrap_err();
                        assert_eq!(payload.downcast_ref(), Some(&me));
                        None
                    }
                }
            }
        }
    };
}
storm!(hash, TMap);
storm!(ordered, TOrdMap);

/// Waits until all threads have come to this round; fails if one has stopped.
fn gather(arrived: &AtomicU64, round: u64) {
    arrived.fetch_add(1, Ordering::SeqCst);
    let start = Instant::now();
    while arrived.load(Ordering::SeqCst) < (round + 1) * THREADS {
        assert!(start.elapsed() < Duration::from_secs(60), "a thread never came to round {round}");
        thread::yield_now();
    }
}

/// Half of all, another half each round.
fn is_spoiled(round: u64, thread: u64) -> bool {
    (round + thread / 2).is_multiple_of(2)
}

fn check(how: How, stats: &Stats) {
    match how {
        // Merges conflict with nobody, and who has the lock is alone.
        How::UpsertWith => assert_eq!((stats.conflicts, stats.reruns), (0, 0), "{stats}"),
        How::LockKey => assert_eq!((stats.conflicts, stats.reruns, stats.deadlocks), (0, 0, 0), "{stats}"),
        _ => assert_eq!((stats.deadlocks, stats.parked), (0, 0), "{stats}"),
    }
}

const ALL: [How; 6] = [How::InsertNew, How::Entry, How::UpsertWith, How::LockKey, How::Mixed, How::Spoiled];

/// In a release build 100,000 rounds of the plain way and 10,000 of each other, in a debug one 100.
#[test]
fn upsert_storms() {
    for how in ALL {
        let (rounds, yields_every) = match how {
            _ if cfg!(debug_assertions) => (100, 1),
            How::InsertNew => (100_000, 20),
            _ => (10_000, 20),
        };
        hash(how, rounds, yields_every);
        ordered(how, rounds, yields_every);
    }
}
