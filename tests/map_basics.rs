//! Maps: what one transaction sees and does (§6.1, §6.2).

use std::collections::BTreeMap;
use tvar::{Space, TMap, TOrdMap, atomically};

#[test]
fn a_random_walk_agrees_with_a_btree_map() {
    let mut seed = 7u64;
    let mut random = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    let hash: TMap<u64, u64> = TMap::new();
    let ordered: TOrdMap<u64, u64> = TOrdMap::new();
    let pairs: TOrdMap<(u64, u64), u64> = TOrdMap::new();
    let strings: TOrdMap<String, u64> = TOrdMap::new();
    let mut model: BTreeMap<u64, u64> = BTreeMap::new();
    let name = |k: u64| format!("longer-key-{k:05}");
    for round in 0..3000u64 {
        let keys = if round % 600 < 300 { 2000 } else { 50 };
        let ops = 1 + random(if round % 50 == 0 { 80 } else { 4 });
        let todo: Vec<(u64, u64, u64)> = (0..ops).map(|_| (random(10), random(keys), random(1000))).collect();
        atomically(|tx| {
            let mut model = model.clone();
            for &(what, k, v) in &todo {
                match what {
                    0..=2 => {
                        let old = model.insert(k, v);
                        assert_eq!(hash.insert(tx, k, v).copied(), old);
                        assert_eq!(ordered.insert(tx, k, v).copied(), old);
                        assert_eq!(pairs.insert(tx, (k / 10, k), v).copied(), old);
                        assert_eq!(strings.insert(tx, name(k), v).copied(), old);
                    }
                    3..=5 => {
                        let old = model.remove(&k);
                        assert_eq!(hash.remove(tx, &k).copied(), old);
                        assert_eq!(ordered.remove(tx, &k).copied(), old);
                        assert_eq!(pairs.remove(tx, &(k / 10, k)).copied(), old);
                        assert_eq!(strings.remove(tx, name(k).as_str()).copied(), old);
                    }
                    6 => {
                        model.entry(k).and_modify(|n| *n = *n * 2 + 1).or_insert(v);
                        hash.upsert_with(tx, k, v, |n| n * 2 + 1);
                        ordered.upsert_with(tx, k, v, |n| n * 2 + 1);
                        pairs.upsert_with(tx, (k / 10, k), v, |n| n * 2 + 1);
                        strings.upsert_with(tx, name(k), v, |n| n * 2 + 1);
                    }
                    7 => {
                        let there = model.get_mut(&k).map(|n| *n += v).is_some();
                        assert_eq!(hash.modify(tx, &k, |n| n + v), there);
                        assert_eq!(ordered.modify(tx, &k, |n| n + v), there);
                        assert_eq!(pairs.modify(tx, &(k / 10, k), |n| n + v), there);
                        assert_eq!(strings.modify(tx, name(k).as_str(), |n| n + v), there);
                    }
                    8 => {
                        assert_eq!(hash.get(tx, &k), model.get(&k));
                        assert_eq!(ordered.get(tx, &k), model.get(&k));
                        assert_eq!(pairs.get(tx, &(k / 10, k)), model.get(&k));
                        assert_eq!(strings.get(tx, name(k).as_str()), model.get(&k));
                        let some: Vec<_> = ordered.range(tx, k..k + 100).map(|(k, v)| (*k, *v)).collect();
                        assert_eq!(some, model.range(k..k + 100).map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
                        let some: Vec<_> = ordered.range(tx, ..=k).rev().take(5).map(|(k, v)| (*k, *v)).collect();
                        assert_eq!(some, model.range(..=k).rev().take(5).map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
                    }
                    _ if v < 5 => {
                        model.clear();
                        hash.clear(tx);
                        ordered.clear(tx);
                        pairs.clear(tx);
                        strings.clear(tx);
                    }
                    _ => {}
                }
            }
            if round % 10 == 0 {
                assert_eq!(hash.len(tx), model.len());
                assert_eq!(ordered.len(tx), model.len());
                assert!(ordered.iter(tx).eq(model.iter()));
                assert!(pairs.iter(tx).map(|(k, v)| (&k.1, v)).eq(model.iter()));
                assert!(strings.values(tx).eq(model.values()));
                let sorted: BTreeMap<u64, u64> = hash.iter(tx).map(|(k, v)| (*k, *v)).collect();
                assert_eq!(sorted, model);
            }
            Ok(())
        });
        for &(what, k, v) in &todo {
            match what {
                0..=2 => drop(model.insert(k, v)),
                3..=5 => drop(model.remove(&k)),
                6 => drop(model.entry(k).and_modify(|n| *n = *n * 2 + 1).or_insert(v)),
                7 => drop(model.get_mut(&k).map(|n| *n += v)),
                9 if v < 5 => model.clear(),
                _ => {}
            }
        }
        if round % 100 == 0 {
            let snapshot = Space::global().snapshot();
            assert!(ordered.iter(&snapshot).eq(model.iter()));
            assert!(ordered.iter(&snapshot).rev().eq(model.iter().rev()));
            assert_eq!(hash.len(&snapshot), model.len());
        }
    }
}
