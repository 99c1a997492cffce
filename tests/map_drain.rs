//! Taking entries off the ends of an ordered map, many in one transaction (§6.2).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tvar::{Space, TOrdMap, Tx};

static COMPARISONS: AtomicU64 = AtomicU64::new(0);

/// A key whose number says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted(u64);

impl Ord for Counted {
    fn cmp(&self, other: &Self) -> Ordering {
        COMPARISONS.fetch_add(1, Relaxed);
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Counted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Comparisons of keys that a transaction makes that takes all of so many entries out, from both ends in turn.
fn comparisons(entries: u64) -> u64 {
    let space = Space::new();
    let map = TOrdMap::with_entries_in(&space, (0..entries).map(|n| (Counted(n), n)));
    let before = COMPARISONS.load(Relaxed);
    let taken = space.atomically(|tx| {
        let mut taken = Vec::new();
        while let Some((_, n)) = if taken.len() % 3 == 2 { map.pop_last(tx) } else { map.pop_first(tx) } {
            taken.push(*n);
        }
        Ok(taken)
    });
    let made = COMPARISONS.load(Relaxed) - before;
    assert_eq!(taken.len() as u64, entries);
    assert_eq!(taken[..4], [0, 1, entries - 1, 2]);
    assert_eq!(space.atomically(|tx| Ok(map.len(tx))), 0);
    made
}

#[test]
fn s6_2_a_loop_of_pops_costs_in_proportion_to_their_number() {
    let (few, many) = (comparisons(500), comparisons(4_000));
    assert!(many < 16 * few, "8 times as many entries: {few} and {many} comparisons");
}

/// One step on the map and on the model; both must agree.
fn step(tx: &Tx<'_>, map: &TOrdMap<u64, u64>, model: &mut BTreeMap<u64, u64>, random: &mut StdRng) {
    let key = random.random_range(0..60);
    match random.random_range(0..12) {
        0..4 => assert_eq!(map.pop_first(tx).map(|(k, v)| (*k, *v)), model.pop_first()),
        4..7 => assert_eq!(map.pop_last(tx).map(|(k, v)| (*k, *v)), model.pop_last()),
        7 => assert_eq!(map.first(tx).map(|(k, _)| *k), model.keys().next().copied()),
        8 => assert_eq!(map.last(tx).map(|(k, _)| *k), model.keys().next_back().copied()),
        9 => assert_eq!(map.remove(tx, &key).copied(), model.remove(&key)),
        10 => assert_eq!(map.insert(tx, key, key + 100).copied(), model.insert(key, key + 100)),
        _ => {
            map.upsert_with(tx, key, 7, |v| v + 1);
            model.entry(key).and_modify(|v| *v += 1).or_insert(7);
        }
    }
}

#[test]
fn s6_2_pops_among_other_writes_and_undone_ones_agree_with_a_model() {
    for seed in 0..400 {
        let space = Space::new();
        let before: BTreeMap<u64, u64> = (0..60u64).filter(|n| !(n + seed).is_multiple_of(3)).map(|n| (n, n)).collect();
        let map = TOrdMap::with_entries_in(&space, before.clone());
        let after = space.atomically(|tx| {
            let (mut model, mut random) = (before.clone(), StdRng::seed_from_u64(seed));
            for _ in 0..30 {
                // Some steps in a part that is undone, some in one that stays.
                let inner = random.random_range(0..6);
                match random.random_range(0..4) {
                    0 => {
                        let mut undone = model.clone();
                        tx.or_else(
                            |tx| {
                                (0..inner).for_each(|_| step(tx, &map, &mut undone, &mut random));
                                tx.retry()
                            },
                            |_| Ok(()),
                        )?;
                    }
                    1 => {
                        let part = tx.nested::<_, ()>(|tx| {
                            (0..inner).for_each(|_| step(tx, &map, &mut model, &mut random));
                            Ok(())
                        })?;
                        assert_eq!(part, Ok(()));
                    }
                    _ => step(tx, &map, &mut model, &mut random),
                }
            }
            let found: Vec<_> = map.iter(tx).map(|(k, v)| (*k, *v)).collect();
            assert_eq!(found, model.clone().into_iter().collect::<Vec<_>>(), "seed {seed}");
            Ok(model)
        });
        let snapshot = space.snapshot();
        let found: BTreeMap<_, _> = map.iter(&snapshot).map(|(k, v)| (*k, *v)).collect();
        assert_eq!(found, after, "seed {seed}");
    }
}
