//! §2.2, §5, §6: random transactions on both kinds of map and a variable, with locks on keys, ranges and the variable, on four threads: replayed in
//! the order of their tickets, each operation shows what the ones before have left.
//!
//! `TVAR_SEEDS=1000 cargo test --release --test locks_maps_random` runs that many (8 otherwise).
#![allow(clippy::unit_arg, reason = "`Ok(map.upsert(...))` is a whole closure")]

mod locks_common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use locks_common::{V, join, table};
use tvar::LockMode::{Exclusive, Shared};
use tvar::hooks::{self, Point};
use tvar::{LockMode, Space, Stm, TMap, TOrdMap, TVar, Tx};

const KEYS: u64 = 12;
const THREADS: u64 = 4;
const EACH: u64 = 120;

/// The same entries in both.
type Maps = (TOrdMap<u64, i64>, TMap<u64, i64>);

/// A small generator of pseudo-random numbers.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[derive(Clone, Debug)]
enum Op {
    Get(u64),
    Insert(u64, i64),
    InsertNew(u64, i64),
    Entry(u64, i64),
    Upsert(u64, i64),
    UpsertWith(u64, i64),
    Modify(u64, i64),
    Remove(u64),
    /// From both ends by turns if the first number says so, so many entries; amid them a lock.
    Range(u64, u64, bool, usize, Option<u64>),
    RangeLen(u64, u64),
    All,
    Len,
    PopFirst,
    PopLast,
    Clear,
    /// Of a key, by `lock`, `try_lock` or `lock_for`.
    Lock(u64, LockMode, u64),
    LockRange(u64, u64, LockMode, u64),
    LockTicket(LockMode),
    /// Done, and undone.
    Undone(Vec<Done>),
}

/// An operation, and what it has shown.
type Done = (Op, Vec<i64>);

fn draw(random: &mut Random, mark: i64) -> Op {
    let (key, other) = (random.below(KEYS), random.below(KEYS));
    let (low, high) = (key.min(other), key.max(other));
    let mode = [Shared, Exclusive][random.below(2) as usize];
    match random.below(40) {
        0..3 => Op::Get(key),
        3..6 => Op::Insert(key, mark),
        6..8 => Op::InsertNew(key, mark),
        8..10 => Op::Entry(key, mark),
        10..12 => Op::Upsert(key, mark),
        12..15 => Op::UpsertWith(key, mark),
        15..17 => Op::Modify(key, mark),
        17..20 => Op::Remove(key),
        20..26 => {
            let lock = (random.below(2) == 0).then(|| random.below(KEYS));
            Op::Range(low, high, random.below(2) == 0, random.below(5) as usize, lock)
        }
        26 => Op::RangeLen(low, high),
        27 => Op::All,
        28 => Op::Len,
        29 => Op::PopFirst,
        30 => Op::PopLast,
        31 => Op::Clear,
        32..35 => Op::Lock(key, mode, random.below(3)),
        35..39 => Op::LockRange(low, high, mode, random.below(3)),
        _ => Op::LockTicket(mode),
    }
}

fn option(value: Option<i64>) -> Vec<i64> {
    value.into_iter().collect()
}

fn merged(old: i64, n: i64) -> i64 {
    old.wrapping_mul(3).wrapping_add(n)
}

/// What an operation makes of the entries, and shows.
fn apply(op: &Op, map: &mut BTreeMap<u64, i64>) -> Vec<i64> {
    match *op {
        Op::Get(key) => option(map.get(&key).copied()),
        Op::Insert(key, n) => option(map.insert(key, n)),
        Op::InsertNew(key, n) => {
            let absent = !map.contains_key(&key);
            map.entry(key).or_insert(n);
            vec![absent.into()]
        }
        Op::Entry(key, n) => vec![*map.entry(key).and_modify(|old| *old = merged(*old, n)).or_insert(n)],
        Op::Upsert(key, n) => {
            map.insert(key, n);
            vec![]
        }
        Op::UpsertWith(key, n) => {
            map.entry(key).and_modify(|old| *old = merged(*old, n)).or_insert(n);
            vec![]
        }
        Op::Modify(key, n) => vec![map.get_mut(&key).map(|old| *old = merged(*old, n)).is_some().into()],
        Op::Remove(key) => option(map.remove(&key)),
        Op::Range(low, high, turns, take, _) => {
            let mut range = map.range(low..=high);
            let next = |i| if turns && i % 2 == 1 { range.next_back() } else { range.next() };
            (0..take).map_while(next).flat_map(|(key, n)| [*key as i64, *n]).collect()
        }
        Op::RangeLen(low, high) => vec![map.range(low..=high).count() as i64],
        Op::All => map.iter().flat_map(|(key, n)| [*key as i64, *n]).collect(),
        Op::Len => vec![map.len() as i64],
        Op::PopFirst => map.pop_first().into_iter().flat_map(|(key, n)| [key as i64, n]).collect(),
        Op::PopLast => map.pop_last().into_iter().flat_map(|(key, n)| [key as i64, n]).collect(),
        Op::Clear => {
            map.clear();
            vec![]
        }
        Op::Lock(..) | Op::LockRange(..) | Op::LockTicket(_) => vec![],
        Op::Undone(ref ops) => {
            let mut map = map.clone();
            for (op, shown) in ops {
                assert_eq!(apply(op, &mut map), *shown, "{op:?} in an undone part");
            }
            vec![]
        }
    }
}

/// The same in a transaction. Both maps show the same at any time.
fn run(op: &Op, tx: &Tx<'_>, (ordered, hash): &Maps, ticket: &V) -> Stm<Vec<i64>> {
    let short = Duration::from_micros(200);
    macro_rules! both {
        ($map:ident => $shown:expr) => {{
            let $map = ordered;
            let one: Vec<i64> = $shown;
            let $map = hash;
            let other: Vec<i64> = $shown;
            assert_eq!(one, other, "{op:?}: the two kinds of map differ");
            one
        }};
    }
    Ok(match *op {
        Op::Get(key) => both!(map => option(map.get(tx, &key).copied())),
        Op::Insert(key, n) => both!(map => option(map.insert(tx, key, n).copied())),
        Op::InsertNew(key, n) => both!(map => vec![map.insert_new(tx, key, n).into()]),
        Op::Entry(key, n) => {
            both!(map => vec![*map.entry(tx, key).and_modify(|old| merged(*old, n)).or_insert(n)])
        }
        Op::Upsert(key, n) => both!(map => { map.upsert(tx, key, n); vec![] }),
        Op::UpsertWith(key, n) => both!(map => { map.upsert_with(tx, key, n, move |old| merged(*old, n)); vec![] }),
        Op::Modify(key, n) => both!(map => vec![map.modify(tx, &key, |old| merged(*old, n)).into()]),
        Op::Remove(key) => both!(map => option(map.remove(tx, &key).copied())),
        Op::Range(low, high, turns, take, lock) => {
            let mut range = ordered.range(tx, low..=high);
            let mut shown = Vec::new();
            for i in 0..take {
                if let (Some(key), true) = (lock, i == take / 2) {
                    ordered.try_lock_key(tx, &key, Shared)?;
                }
                let Some((key, n)) = (if turns && i % 2 == 1 { range.next_back() } else { range.next() }) else {
                    break;
                };
                shown.extend([*key as i64, *n]);
            }
            for pair in shown.chunks(2) {
                assert_eq!(hash.get(tx, &(pair[0] as u64)), Some(&pair[1]), "{op:?}: an iterator of another version");
            }
            shown
        }
        Op::RangeLen(low, high) => vec![ordered.range(tx, low..=high).count() as i64],
        Op::All => {
            let mut all: Vec<_> = hash.iter(tx).map(|(key, n)| (*key, *n)).collect();
            all.sort_unstable();
            assert!(ordered.iter(tx).map(|(key, n)| (*key, *n)).eq(all.iter().copied()));
            all.into_iter().flat_map(|(key, n)| [key as i64, n]).collect()
        }
        Op::Len => both!(map => vec![map.len(tx) as i64]),
        Op::PopFirst | Op::PopLast => {
            let first = matches!(op, Op::PopFirst);
            let popped = if first { ordered.pop_first(tx) } else { ordered.pop_last(tx) };
            popped.iter().for_each(|(key, n)| assert_eq!(hash.remove(tx, key), Some(*n)));
            popped.into_iter().flat_map(|(key, n)| [*key as i64, *n]).collect()
        }
        Op::Clear => both!(map => { map.clear(tx); vec![] }),
        Op::Lock(key, mode, how) => both!(map => {
            match how {
                0 => map.lock_key(tx, &key, mode)?,
                1 => _ = map.try_lock_key(tx, &key, mode)?,
                _ => _ = map.lock_key_for(tx, &key, mode, short)?,
            }
            vec![]
        }),
        Op::LockRange(low, high, mode, how) => {
            match how {
                0 => ordered.lock_range(tx, low..=high, mode)?,
                1 => _ = ordered.try_lock_range(tx, low..=high, mode)?,
                _ => _ = ordered.lock_range_for(tx, low..=high, mode, short)?,
            }
            vec![]
        }
        Op::LockTicket(mode) => {
            tx.lock(ticket, mode)?;
            vec![]
        }
        Op::Undone(_) => unreachable!("drawn as a part"),
    })
}

/// One transaction: its ticket, and what it did.
fn transaction(tx: &Tx<'_>, maps: &Maps, ticket: &V, random: &mut Random, mark: i64) -> Stm<(i64, Vec<Done>)> {
    let mut done = Vec::new();
    for _ in 0..1 + random.below(6) {
        if random.below(7) == 0 {
            let mut inner = Vec::new();
            let undone: Result<(), ()> = tx.nested(|tx| {
                for _ in 0..2 {
                    let op = draw(random, -mark);
                    let shown = run(&op, tx, maps, ticket)?;
                    inner.push((op, shown));
                }
                tx.abort(())
            })?;
            assert!(undone.is_err());
            done.push((Op::Undone(inner), vec![]));
        } else {
            let op = draw(random, mark);
            let shown = run(&op, tx, maps, ticket)?;
            done.push((op, shown));
        }
    }
    let number = *tx.read(ticket);
    tx.write(ticket, number + 1);
    Ok((number, done))
}

#[test]
fn random_transactions_on_maps_have_a_serial_order() {
    let seeds = std::env::var("TVAR_SEEDS").map_or(8, |seeds| seeds.parse().expect("a number"));
    for seed in 0..seeds {
        let space = Space::new();
        let maps: Arc<Maps> = Arc::new((TOrdMap::named_in(&space, "ordered"), TMap::named_in(&space, "hash")));
        let ticket = TVar::named_in(&space, "ticket", 0i64);
        let threads: Vec<_> = (0..THREADS)
            .map(|t| {
                let (space, maps, ticket) = (space.clone(), maps.clone(), ticket.clone());
                thread::spawn(move || {
                    let mut random = Random(seed * 1000 + t);
                    let mut yields = random.clone();
                    let _hook = hooks::on_this_thread(move |point| {
                        if matches!(point, Point::Read | Point::Validate | Point::Swap) && yields.below(3) == 0 {
                            thread::yield_now();
                        }
                    });
                    let mut all = Vec::new();
                    for n in 0..EACH {
                        let mark = ((t + 1) * 1000 + n) as i64;
                        let options = space.options().coalesce_after(random.below(3) as u32).escalate_after(3);
                        let options = if random.below(3) == 0 { options.pessimistic() } else { options };
                        let own = random.clone();
                        let body = |tx: &Tx<'_>| transaction(tx, &maps, &ticket, &mut own.clone(), mark);
                        all.push(options.run(body).unwrap());
                        (0..=n % 5).for_each(|_| _ = random.below(2));
                    }
                    all
                })
            })
            .collect();
        let mut all: Vec<_> = threads.into_iter().flat_map(|thread| join("a thread", thread)).collect();
        all.sort_by_key(|(number, _)| *number);
        let mut model = BTreeMap::new();
        for (at, (number, done)) in all.iter().enumerate() {
            assert_eq!(*number, at as i64, "every ticket once");
            for (op, shown) in done {
                assert_eq!(apply(op, &mut model), *shown, "seed {seed}, ticket {at}: {op:?} of {done:?}");
            }
        }
        let now = space.snapshot();
        assert!(maps.0.iter(&now).eq(&model) && maps.1.len(&now) == model.len());
        assert!(model.iter().all(|(key, n)| maps.1.get(&now, key) == Some(n)));
        assert_eq!((table(&space).as_str(), space.waiters()), ("", 0));
    }
}
