//! Stress of maps: books that must balance (§1.4, §2.2, §6.1, §6.2).

mod blocking_common;
mod map_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use blocking_common::crew::{Crew, Random};
use blocking_common::{Counted, live_count};
use map_common::{Hashes, Keyed, ignore, maps};
use tvar::{Isolation, TMap, TOrdMap, Tx, TxOptions};

const KEYS: usize = 200;
const TOTAL: i64 = 20_000;

/// Moves an amount between two accounts; an empty one is closed, a missing one opened.
fn transfer(tx: &Tx<'_>, map: &dyn Keyed, from: u64, to: u64, amount: i64) {
    let Some(balance) = map.get(tx, from) else { return };
    if balance > amount {
        map.upsert(tx, from, balance - amount);
        // Who knows the account, who does not.
        match amount % 3 {
            0 => ignore(map.insert(tx, to, map.get(tx, to).unwrap_or(0) + amount)),
            1 if map.get(tx, to).is_none() => assert!(map.insert_new(tx, to, amount)),
            1 => map.upsert(tx, to, map.get(tx, to).expect("is there") + amount),
            _ => {
                map.or_insert(tx, to, 0);
                map.upsert(tx, to, map.get(tx, to).expect("is there") + amount);
            }
        }
    } else {
        assert_eq!(map.remove(tx, from), Some(balance));
        let there = map.get(tx, to).unwrap_or(0);
        map.upsert(tx, to, there + balance);
    }
}

/// §1.4, §2.2, §6.1: accounts that open and close; auditors by snapshot, by iteration, by len.
fn transfers(kind: usize) {
    let mut crew = Crew::new("transfers in a map");
    let (name, map) = maps(&crew.space).swap_remove(kind);
    let map: Arc<dyn Keyed> = Arc::from(map);
    crew.space.atomically(|tx| {
        (0..20).for_each(|n| map.upsert(tx, n * 10, 1000));
        Ok(())
    });
    for seed in 0..6 {
        let map = map.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let options = TxOptions::new().space(&space);
            let options = if seed % 2 == 0 { options } else { options.isolation(Isolation::Snapshot) };
            while clock.running() {
                let (from, to) = random.two_below(KEYS);
                let amount = random.below(700) as i64;
                options
                    .run(|tx| {
                        transfer(tx, &*map, from as u64, to as u64, amount);
                        Ok(())
                    })
                    .expect("no limits");
            }
        });
    }
    for whole in [false, true] {
        let map = map.clone();
        crew.spawn(move |clock, space| {
            while clock.running() {
                if whole {
                    let mut runs = 0;
                    let (sum, len, count) = space.atomically(|tx| {
                        runs += 1;
                        let count = (0..KEYS as u64).filter(|key| map.get(tx, *key).is_some()).count();
                        Ok((map.sum(tx), map.len(tx), count))
                    });
                    assert_eq!((sum, len, runs), (TOTAL, count, 1), "{name}");
                } else {
                    let snapshot = space.snapshot();
                    let sum: i64 = (0..KEYS as u64).filter_map(|key| map.at(&snapshot, key)).sum();
                    assert_eq!(sum, TOTAL, "{name}");
                }
            }
        });
    }
    let space = crew.finish();
    assert_eq!(space.atomically(|tx| Ok(map.sum(tx))), TOTAL, "{name}");
}

#[test]
fn transfers_in_a_hash_map() {
    transfers(0);
}

#[test]
fn transfers_in_an_ordered_map() {
    transfers(1);
}

#[test]
fn transfers_between_text_keys() {
    transfers(2);
}

/// §6.2: no phantoms: of each range of ten keys at most one is there, and who puts one in has looked.
#[test]
fn one_in_each_range() {
    let mut crew = Crew::new("one in each range");
    let map: TOrdMap<(u32, u32), u64> = TOrdMap::new_in(&crew.space);
    for seed in 0..6 {
        let map = map.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let (range, key) = (random.below(12) as u32, random.below(10) as u32);
                space.atomically(|tx| {
                    let there = map.range(tx, (range, 0)..(range, 10)).next().map(|(key, _)| *key);
                    match there {
                        None => map.upsert(tx, (range, key), 1),
                        Some(there) if there.1 % 2 == key % 2 => ignore(map.remove(tx, &there)),
                        Some(_) => {}
                    }
                    Ok(())
                });
            }
        });
    }
    let audited = map.clone();
    crew.spawn(move |clock, space| {
        while clock.running() {
            let snapshot = space.snapshot();
            for range in 0..12 {
                assert!(audited.range(&snapshot, (range, 0)..(range, 10)).count() <= 1);
            }
            let ranges: Vec<u32> = audited.keys(&snapshot).map(|key| key.0).collect();
            assert!(ranges.is_sorted() && ranges.len() == audited.len(&snapshot));
        }
    });
    crew.finish();
}

/// §4.5: every merge counts once, whatever comes and goes around it; §4.2: beside commits that are announced.
#[test]
fn merges_beside_growth_and_shrinkage() {
    let mut crew = Crew::new("merges in maps");
    let hash: TMap<u64, i64, Hashes> = TMap::with_hasher_in(&crew.space, Hashes(50));
    let ordered: TOrdMap<u64, i64> = TOrdMap::new_in(&crew.space);
    let bystander = crew.var(0_i64);
    let made = Arc::new(AtomicI64::new(0));
    for seed in 0..8 {
        let (hash, ordered, bystander, made) = (hash.clone(), ordered.clone(), bystander.clone(), made.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let key = random.below(100) as u64;
                match random.below(4) {
                    0 => space.atomically(|tx| {
                        // The odd keys come and go.
                        for n in key..key + 40 {
                            ordered.upsert(tx, 2 * n + 1, 0);
                            hash.upsert(tx, 2 * n + 1, 0);
                        }
                        Ok(())
                    }),
                    1 => space.atomically(|tx| {
                        for n in key..key + 40 {
                            ordered.remove(tx, &(2 * n + 1));
                            hash.remove(tx, &(2 * n + 1));
                        }
                        Ok(())
                    }),
                    2 => space.atomically(|tx| {
                        tx.merge(&bystander, |n| n + 1);
                        Ok(())
                    }),
                    _ => {
                        space.atomically(|tx| {
                            hash.upsert_with(tx, key * 2, 1, |n| n + 1);
                            ordered.upsert_with(tx, key * 2, 1, |n| n + 1);
                            Ok(())
                        });
                        made.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
    }
    let space = crew.finish();
    let made = made.load(Ordering::SeqCst);
    let sums = space.atomically(|tx| Ok((hash.values(tx).sum::<i64>(), ordered.values(tx).sum::<i64>())));
    assert_eq!(sums, (made, made));
}

/// §1.3, §1.5, §1.7: values that notice when they are read after their end, behind snapshots that come and go.
#[test]
fn rows_are_never_read_after_their_end() {
    let mut crew = Crew::new("rows");
    let live = live_count();
    let hash: TMap<u64, Counted> = TMap::new_in(&crew.space);
    let ordered: TOrdMap<String, Counted> =
        TOrdMap::with_entries_in(&crew.space, (0..100).map(|n| (n.to_string(), Counted::new(&live, n))));
    for seed in 0..5 {
        let (hash, ordered, live) = (hash.clone(), ordered.clone(), live.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let keys: Vec<u64> = (0..1 + random.below(40)).map(|_| random.below(300) as u64).collect();
                let what = random.below(40);
                space.atomically(|tx| {
                    for (n, key) in keys.iter().copied().enumerate() {
                        match (n + what) % 4 {
                            0 => ignore(hash.remove(tx, &key).map(Counted::get)),
                            1 => ignore(ordered.remove(tx, &key.to_string()).map(Counted::get)),
                            2 => hash.upsert(tx, key, Counted::new(&live, key)),
                            _ => ordered.upsert(tx, key.to_string(), Counted::new(&live, key)),
                        }
                    }
                    if what == 0 {
                        hash.clear(tx);
                    }
                    if what == 1 {
                        let kept = live.clone();
                        ordered.upsert_with(tx, "5".into(), Counted::new(&live, 5), move |old| {
                            Counted::new(&kept, old.get())
                        });
                    }
                    Ok(())
                });
            }
        });
    }
    for _ in 0..3 {
        let (hash, ordered) = (hash.clone(), ordered.clone());
        crew.spawn(move |clock, space| {
            let mut kept = Vec::new();
            while clock.running() {
                kept.push(space.snapshot());
                if kept.len() > 5 {
                    kept.remove(0);
                }
                for snapshot in &kept {
                    assert!(hash.iter(snapshot).all(|(key, value)| *key == value.get()));
                    assert!(ordered.iter(snapshot).all(|(key, value)| *key == value.get().to_string()));
                }
                space.atomically(|tx| {
                    assert!(ordered.range(tx, "2".to_owned()..).all(|(key, value)| *key == value.get().to_string()));
                    assert_eq!(hash.iter(tx).count(), hash.len(tx));
                    Ok(())
                });
            }
        });
    }
    let space = crew.finish();
    let left = space.atomically(|tx| Ok(hash.len(tx) + ordered.len(tx))) as i64;
    assert!(live.load(Ordering::SeqCst) >= left);
    drop((hash, ordered));
    let tick = tvar::TVar::new_in(&space, 0);
    blocking_common::eventually("all rows go", || {
        tick.update(|n| n + 1);
        live.load(Ordering::SeqCst) == 0
    });
}
