//! §5.2, §5.1: `pessimistic` on maps: what locks which keys by itself; who reads without locks never waits. §5.5: keys of one hash.
#![allow(clippy::unit_arg, reason = "`Ok(map.upsert(...))` is a whole closure")]

mod locks_common;

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use locks_common::maps::{Map, WAYS};
use locks_common::{Actor, elsewhere, in_line, join, no_trace, table};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Isolation, Space, TMap, TOrdMap, Tx};

type M = TOrdMap<u64, i64>;

fn pessimist(space: &Space, label: &'static str) -> Actor {
    Actor::with(space.options().label(label).pessimistic())
}

/// §5.2: each operation locks the keys that it touches: one, or, where it may come to any, all.
#[test]
fn every_access_locks_its_keys() {
    type Access = fn(&Tx<'_>, &M);
    let accesses: [(&str, Access, &str); 19] = [
        ("get", |tx, m| _ = m.get(tx, &5), "one s"),
        ("get an absent key", |tx, m| _ = m.get(tx, &5), "one s"),
        ("contains_key", |tx, m| _ = m.contains_key(tx, &5), "one s"),
        ("insert", |tx, m| _ = m.insert(tx, 5, 1), "one x"),
        ("insert_new", |tx, m| _ = m.insert_new(tx, 5, 1), "one x"),
        ("upsert", |tx, m| m.upsert(tx, 5, 1), "one x"),
        ("upsert_with", |tx, m| m.upsert_with(tx, 5, 1, |n| n + 1), "one x"),
        ("remove", |tx, m| _ = m.remove(tx, &5), "one x"),
        ("modify", |tx, m| _ = m.modify(tx, &5, |n| n + 1), "one x"),
        ("entry", |tx, m| _ = m.entry(tx, 5).or_insert(1), "one x"),
        ("len", |tx, m| _ = m.len(tx), "all s"),
        ("iter", |tx, m| _ = m.iter(tx).count(), "all s"),
        ("range", |tx, m| _ = m.range(tx, 5..6).count(), "one s"),
        ("range up to a key", |tx, m| _ = m.range(tx, ..=5).next(), "#0000000000000000..=#0000000000000005 s"),
        ("range behind a key", |tx, m| _ = m.range(tx, 5..9).next(), "#0000000000000005..=#0000000000000008 s"),
        ("first", |tx, m| _ = m.first(tx), "all s"),
        ("clear", |tx, m| m.clear(tx), "all x"),
        ("pop_first", |tx, m| _ = m.pop_first(tx), "all x"),
        ("pop_last", |tx, m| _ = m.pop_last(tx), "all x"),
    ];
    for (name, access, locked) in accesses {
        for present in [true, false] {
            let space = Space::new();
            let m = M::make(&space, if present { &[(5, 1)] } else { &[] });
            let a = pessimist(&space, "A");
            let n = m.clone();
            a.ask(move |tx| {
                access(tx, &n);
                Ok(0)
            });
            let (what, mode) = locked.split_once(' ').unwrap();
            let place = match what {
                "one" => "key #0000000000000005".into(),
                "all" => "keys #0000000000000000..=#ffffffffffffffff".into(),
                range => format!("keys {range}"),
            };
            assert_eq!(table(&space), format!("m {place}: A{mode}"), "{name} {present}");
            a.commit();
            no_trace(&space, &[]);
        }
    }
}

/// §5.2: as many read one key and write it, absent at first, no closure runs again.
fn read_modify_write<K: Map>() {
    const ROUNDS: usize = 100;
    let space = Space::new();
    let m = K::make(&space, &[]);
    let runs = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..8usize)
        .map(|t| {
            let (s, m, runs) = (space.clone(), m.clone(), runs.clone());
            thread::spawn(move || {
                let options = s.options().pessimistic().coalesce_after(t as u32 % 4);
                let options = if t % 2 == 0 { options.isolation(Isolation::Snapshot) } else { options };
                for i in 0..ROUNDS {
                    let key = (i / 10) as u64;
                    let body = |tx: &Tx<'_>| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        // Each of these takes the key exclusively at once, so no two of them hold it shared.
                        let way = locks_common::maps::Way::Entry;
                        m.write(tx, key, 1, way);
                        thread::yield_now();
                        Ok(m.read(tx, key).unwrap())
                    };
                    let seen = options.run(body).unwrap();
                    assert!(seen >= 1);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| join("a thread", thread));
    let stats = space.stats();
    assert_eq!((0..10).map(|key| m.now(&space, key).unwrap()).collect::<Vec<_>>(), [80; 10]);
    assert_eq!(
        (runs.load(Ordering::Relaxed), stats.conflicts, stats.reruns, stats.deadlocks),
        (800, 0, 0, 0),
        "{stats}"
    );
    no_trace(&space, &[]);
}

#[test]
fn read_modify_write_never_runs_again() {
    read_modify_write::<TMap<u64, i64>>();
    read_modify_write::<TOrdMap<u64, i64>>();
}

/// §5.4: those who read first and write then are refused their upgrade at worst: no conflict, and each commits once.
#[test]
fn reads_before_writes_lose_nothing() {
    let space = Space::new();
    let m = M::make(&space, &[]);
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (s, m) = (space.clone(), m.clone());
            thread::spawn(move || {
                for _ in 0..50 {
                    let body = |tx: &Tx<'_>| {
                        let n = m.get(tx, &5).copied().unwrap_or(0);
                        thread::yield_now();
                        Ok(m.upsert(tx, 5, n + 1))
                    };
                    s.options().pessimistic().run(body).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| join("a thread", thread));
    let stats = space.stats();
    assert_eq!((m.now(&space, 5), stats.conflicts), (Some(400), 0), "{stats}");
    no_trace(&space, &[]);
}

/// §5.2: pops are exclusive from the start: pops of many, each once, without a run more than pops.
#[test]
fn pops_never_run_again() {
    let space = Space::new();
    let m: M = TOrdMap::with_entries_in(&space, (0..400u64).map(|key| (key, 1)));
    let threads: Vec<_> = (0..4usize)
        .map(|t| {
            let (s, m) = (space.clone(), m.clone());
            thread::spawn(move || {
                let pop = |tx: &Tx<'_>| {
                    let popped = if t % 2 == 0 { m.pop_first(tx) } else { m.pop_last(tx) };
                    thread::yield_now();
                    Ok(*popped.unwrap().0)
                };
                (0..100).map(|_| s.options().pessimistic().run(pop).unwrap()).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut popped: Vec<_> = threads.into_iter().flat_map(|thread| join("a thread", thread)).collect();
    popped.sort_unstable();
    assert_eq!(popped, (0..400).collect::<Vec<_>>());
    let stats = space.stats();
    assert_eq!((stats.reruns, stats.deadlocks, stats.conflicts), (0, 0, 0), "{stats}");
    no_trace(&space, &[]);
}

/// §5.1: beside locks on all keys, and commits that wait for them: snapshots, reads, lengths and iteration never wait.
#[test]
fn readers_never_wait() {
    for mode in [Shared, Exclusive] {
        let space = Space::new();
        let m: M = TOrdMap::with_entries_in(&space, (0..100u64).map(|key| (key, 1)));
        let h = Actor::start(&space, "H");
        let n = m.clone();
        h.ask(move |tx| n.lock_range(tx, .., mode).map(|()| 0));
        let writers: Vec<_> = WAYS
            .into_iter()
            .filter(|way| way.writes(Some(1)))
            .map(|way| {
                let (s, m) = (space.clone(), m.clone());
                thread::spawn(move || s.atomically(|tx| Ok(m.write(tx, 7, 1, way))))
            })
            .collect();
        in_line(&space, writers.len());
        let (s, n) = (space.clone(), m.clone());
        elsewhere(move || {
            for isolation in [Isolation::Serializable, Isolation::Snapshot] {
                let seen = s.options().isolation(isolation).run(|tx| {
                    let sum: i64 = n.values(tx).sum();
                    let part = n.range(tx, 5..15).count();
                    Ok((sum, part, n.len(tx), n.get(tx, &7).copied(), n.first(tx).map(|(key, _)| *key)))
                });
                assert_eq!(seen, Ok((100, 10, 100, Some(1), Some(0))));
            }
            let snapshot = s.snapshot();
            assert_eq!((n.iter(&snapshot).count(), n.len(&snapshot), n.get(&snapshot, &7)), (100, 100, Some(&1)));
        });
        assert_eq!(space.stats().lock_waits, writers.len() as u64);
        h.commit();
        writers.into_iter().for_each(|writer| join("a writer", writer));
        no_trace(&space, &[]);
    }
}

/// §5.1, §6.2: under a load of pessimists, whoever only reads sees whole transactions, and waits for none of them.
#[test]
fn readers_beside_pessimists_see_whole_transactions() {
    let space = Space::new();
    let m: M = TOrdMap::with_entries_in(&space, (0..10u64).map(|key| (key, 100)));
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4u64)
        .map(|t| {
            let (s, m) = (space.clone(), m.clone());
            thread::spawn(move || {
                for i in 0..200u64 {
                    let (from, to) = ((t + i) % 10, (t * 3 + i * 7 + 1) % 10);
                    let transfer = |tx: &Tx<'_>| {
                        assert!(m.modify(tx, &from, |n| n - 1));
                        Ok(m.upsert_with(tx, to, 0, |n| n + 1))
                    };
                    s.options().pessimistic().run(transfer).unwrap();
                }
            })
        })
        .collect();
    let reader = {
        let (s, m, done) = (space.clone(), m.clone(), done.clone());
        thread::spawn(move || {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(s.atomically(|tx| Ok(m.values(tx).sum::<i64>())), 1000);
                assert_eq!(m.values(&s.snapshot()).sum::<i64>(), 1000);
            }
        })
    };
    writers.into_iter().for_each(|writer| join("a writer", writer));
    done.store(true, Ordering::SeqCst);
    join("the reader", reader);
    assert_eq!(space.stats().conflicts, 0, "{}", space.stats());
    no_trace(&space, &[]);
}

/// §5.5: keys of one hash are one place: who holds the one holds the other.
#[test]
fn keys_of_one_hash_are_locked_together() {
    #[derive(Clone, Default)]
    struct Same;
    struct Hash;
    impl BuildHasher for Same {
        type Hasher = Hash;
        fn build_hasher(&self) -> Hash {
            Hash
        }
    }
    impl Hasher for Hash {
        fn finish(&self) -> u64 {
            5
        }
        fn write(&mut self, _: &[u8]) {}
    }
    let space = Space::new();
    let map: TMap<u64, i64, Same> = TMap::with_hasher_in(&space, Same);
    space.atomically(|tx| Ok((0..4).for_each(|key| map.upsert(tx, key, 0))));
    let h = Actor::start(&space, "H");
    let m = map.clone();
    h.ask(move |tx| {
        m.lock_key(tx, &1, Exclusive)?;
        assert!(m.try_lock_key(tx, &2, Exclusive)?, "it has it already");
        Ok(m.get(tx, &2).copied().unwrap() + m.get(tx, &9).copied().unwrap_or(0))
    });
    let key = table(&space);
    assert!(key.ends_with("key #0000000000000005: Hx"), "{key}");
    let (s, m) = (space.clone(), map.clone());
    let writer = thread::spawn(move || s.atomically(|tx| Ok(m.insert_new(tx, 9, 9))));
    in_line(&space, 1);
    let (s, m) = (space.clone(), map.clone());
    elsewhere(move || {
        assert!(!s.atomically(|tx| m.try_lock_key(tx, &3, Shared)));
        assert_eq!(s.atomically(|tx| Ok(m.values(tx).count())), 4);
    });
    let m = map.clone();
    h.ask(move |tx| {
        m.upsert(tx, 1, 10);
        m.remove(tx, &3);
        Ok(0)
    });
    h.commit();
    assert!(join("the writer", writer));
    let mut entries: Vec<_> = space.atomically(|tx| Ok(map.iter(tx).map(|(k, v)| (*k, *v)).collect()));
    entries.sort_unstable();
    assert_eq!(entries, [(0, 0), (1, 10), (2, 0), (9, 9)]);
    no_trace(&space, &[]);
}
