//! §2.1, §2.9, §3.2: parts of a transaction that are undone or kept take exactly their map writes with them; references stay good.

mod common;
mod map_common;

use std::cell::Cell;
use std::cmp::Ordering;

use common::{Census, Counted, many, panic_message, ticks};
use map_common::{Keyed, Ring, all_maps, ignore};
use tvar::{Abort, Space, TMap, TOrdMap, Tx};

/// What a map has, key by key.
fn content(tx: &Tx<'_>, map: &dyn Keyed) -> Vec<(u64, i64)> {
    (0..100).filter_map(|key| Some((key, map.get(tx, key)?))).collect()
}

/// Every kind of write, of more keys than a scan of the log is used for if `many`.
fn scribble(tx: &Tx<'_>, map: &dyn Keyed, salt: u64, many: bool) {
    let step = if many { 1 } else { 13 };
    for key in (salt..salt + 40).step_by(step) {
        match (key + salt) % 7 {
            0 => ignore(map.remove(tx, key % 60)),
            1 => map.upsert_with(tx, key % 60, salt as i64, |n| n + 1),
            2 => ignore(map.modify(tx, key % 60, |n| n + 2)),
            3 => ignore(map.or_insert(tx, key % 60, 5)),
            4 => ignore(map.insert(tx, key, salt as i64)),
            _ => map.upsert(tx, key, key as i64),
        }
    }
}

/// A transaction with parts that are undone does to one map what the same without them does to another.
fn check_parts(undone: impl Fn(&Tx<'_>, &dyn Keyed, bool, bool) -> tvar::Stm<()>) {
    let ring = Ring::new();
    let (with, without) = (all_maps(&ring.space), all_maps(&ring.space));
    for ((name, with), (_, without)) in with.into_iter().zip(without) {
        for round in 0..64 {
            let bit = |n: u32| round >> n & 1 == 1;
            let run = |map: &dyn Keyed, parts: bool| {
                ring.space.atomically(|tx| {
                    if bit(0) {
                        map.clear(tx);
                        (20..50).for_each(|key| map.upsert(tx, key, 1));
                    }
                    scribble(tx, map, 3, bit(1));
                    if bit(2) {
                        assert_eq!(map.len(tx), content(tx, map).len());
                    }
                    if parts {
                        undone(tx, map, bit(3), bit(4))?;
                    }
                    if bit(5) {
                        scribble(tx, map, 22, true);
                    }
                    Ok(())
                });
            };
            run(&*with, true);
            run(&*without, false);
            let [with, without] = [&with, &without].map(|map| ring.commit(|tx| (content(tx, &**map), map.len(tx))));
            assert_eq!(with, without, "{name}, round {round}");
        }
    }
}

#[test]
fn s2_9_an_undone_part_takes_its_writes_with_it() {
    check_parts(|tx, map, many, clear| {
        let undone = tx.nested(|tx| {
            scribble(tx, map, 11, many);
            if clear {
                map.clear(tx);
                scribble(tx, map, 17, many);
            }
            let kept = tx.nested(|tx| {
                scribble(tx, map, 5, many);
                assert_eq!(map.len(tx), content(tx, map).len());
                Ok::<_, tvar::Abort<()>>(())
            })?;
            assert_eq!(kept, Ok(()));
            scribble(tx, map, 29, many);
            tx.abort::<(), _>(1)
        })?;
        assert_eq!(undone, Err(1));
        Ok(())
    });
}

#[test]
fn s3_2_an_alternative_that_retries_takes_its_writes_with_it() {
    check_parts(|tx, map, many, clear| {
        let first = |tx: &Tx<'_>| {
            scribble(tx, map, 11, many);
            let inner = |tx: &Tx<'_>| {
                if clear {
                    map.clear(tx);
                }
                scribble(tx, map, 19, many);
                tx.retry()
            };
            tx.or_else(inner, |tx| {
                scribble(tx, map, 2, many);
                tx.retry()
            })
        };
        tx.or_else(first, |_| Ok(()))
    });
}

/// A part that is undone because it panicked.
#[test]
fn s2_8_a_part_that_panics_takes_its_writes_with_it() {
    check_parts(|tx, map, many, clear| {
        let bomb = true;
        let message = panic_message(|| {
            tx.nested(|tx| {
                scribble(tx, map, 11, many);
                if clear {
                    map.clear(tx);
                }
                if bomb { panic!("undone") } else { Ok::<_, tvar::Abort<()>>(()) }
            })
        });
        assert_eq!(message, "undone");
        Ok(())
    });
}

/// Runs a step, in a part of its own or not.
type InPart = fn(&Tx<'_>, &mut dyn FnMut(&Tx<'_>));

#[test]
fn s2_9_a_part_that_stays() {
    let ring = Ring::new();
    let (with, without) = (all_maps(&ring.space), all_maps(&ring.space));
    for ((name, with), (_, without)) in with.into_iter().zip(without) {
        for many in [false, true] {
            let steps = |map: &dyn Keyed, part: InPart| {
                ring.commit(|tx| {
                    scribble(tx, map, 3, many);
                    part(tx, &mut |tx| {
                        scribble(tx, map, 8, many);
                        part(tx, &mut |tx| {
                            map.clear(tx);
                            scribble(tx, map, 15, many);
                        });
                        part(tx, &mut |tx| scribble(tx, map, 21, many));
                    });
                    scribble(tx, map, 40, many);
                });
            };
            steps(&*without, |tx, f| f(tx));
            steps(&*with, |tx, f| {
                let stays = |tx: &Tx<'_>| {
                    f(tx);
                    Ok::<_, tvar::Abort<()>>(())
                };
                assert!(matches!(tx.nested(stays), Ok(Ok(()))));
            });
            let [with, without] = [&with, &without].map(|map| ring.commit(|tx| (content(tx, &**map), map.len(tx))));
            assert_eq!(with, without, "{name}");
        }
    }
}

/// §2.1: what was handed out stays as it was, whatever is written, or undone, later.
#[test]
fn s2_1_references_stay_good() {
    let ring = Ring::new();
    let census = Census::new();
    let hash: TMap<u64, common::Counted> = TMap::new_in(&ring.space);
    let ordered: TOrdMap<String, common::Counted> = TOrdMap::new_in(&ring.space);
    let name = |n: u64| format!("a key too long to be inline {n:05}");
    ring.commit(|tx| {
        hash.upsert(tx, 1, census.value(1));
        ordered.upsert(tx, name(1), census.value(1));
    });
    ring.space.atomically(|tx| {
        let mut seen = Vec::new();
        let mut keys = Vec::new();
        for id in 2..60 {
            seen.push((id - 1, hash.get(tx, &1).expect("is there")));
            seen.push((id - 1, ordered.get(tx, &name(1)).expect("is there")));
            keys.push(ordered.first(tx).expect("is there").0);
            hash.upsert(tx, 1, census.value(id));
            ordered.upsert(tx, name(1), census.value(id));
            // So many that the log gets an index.
            hash.upsert(tx, id + 100, census.value(0));
            ordered.upsert(tx, name(id + 100), census.value(0));
        }
        for undone in [false, true] {
            let part = tx.nested(|tx| {
                hash.upsert(tx, 1, census.value(1000));
                let make = census.clone();
                ordered.upsert_with(tx, name(1), census.value(0), move |_| make.value(1000));
                Ok::<_, tvar::Abort<()>>(())
            });
            ignore(part);
            ignore(tx.nested(|_| {
                hash.upsert(tx, 1, census.value(1001));
                ordered.upsert(tx, name(1), census.value(1001));
                seen.push((1001, hash.get(tx, &1).expect("is there")));
                seen.extend(ordered.values(tx).filter(|value| value.id == 1001).map(|value| (1001, value)));
                hash.clear(tx);
                ordered.clear(tx);
                if undone { tx.abort(()) } else { Ok(()) }
            }));
        }
        assert!(seen.iter().all(|(id, value)| value.id == *id));
        assert!(keys.iter().all(|key| **key == name(1)));
        Ok(())
    });
    ticks(&ring.space, 3);
    assert_eq!((census.live(), census.alive(1000)), (2, true));
}

#[test]
fn s2_1_ten_thousand_writes_in_one_transaction() {
    let ring = Ring::new();
    for (name, map) in all_maps(&ring.space).into_iter().take(4) {
        let count = many(10_000).max(2_000) as u64;
        ring.commit(|tx| {
            (0..count).for_each(|n| assert!(map.insert_new(tx, n * 7 % count, n as i64)));
            (0..count).for_each(|n| assert_eq!(map.get(tx, n * 7 % count), Some(n as i64)));
            (0..count).step_by(2).for_each(|n| assert!(map.remove(tx, n).is_some()));
            assert_eq!(map.len(tx) as u64, count / 2, "{name}");
        });
        assert_eq!(ring.commit(|tx| map.len(tx)) as u64, count / 2, "{name}");
        ring.commit(|tx| (0..count).for_each(|n| ignore(map.modify(tx, n, |_| 1))));
        assert_eq!(ring.commit(|tx| map.sum(tx)) as u64, count / 2, "{name}");
    }
}

/// Functions and iterators that use the transaction, and the very map, themselves.
#[test]
fn s2_1_functions_that_use_the_transaction() {
    let ring = Ring::new();
    let map: TOrdMap<u64, String> = TOrdMap::new_in(&ring.space);
    for indexed in [false, true] {
        ring.commit(|tx| {
            map.clear(tx);
            if indexed {
                (100..150).for_each(|n| map.upsert(tx, n, n.to_string()));
            }
            map.upsert(tx, 1, "a".into());
            let changed = map.modify(tx, &1, |old| {
                map.upsert(tx, 1, "lost".into());
                map.remove(tx, &1);
                (200..240).for_each(|n| map.upsert(tx, n, n.to_string()));
                ignore(tx.nested(|tx| {
                    map.upsert(tx, 1, "undone".into());
                    tx.abort::<(), _>(())
                }));
                format!("{old}b")
            });
            assert!(changed && map.get(tx, &1).is_some_and(|text| text == "ab"));
            let text = map.entry(tx, 2).or_insert_with(|| {
                map.upsert(tx, 2, "lost".into());
                map.clear(tx);
                "c".into()
            });
            assert_eq!((text.as_str(), map.len(tx)), ("c", 1));
            let entry = map.entry(tx, 2).and_modify(|old| {
                map.remove(tx, &2);
                format!("{old}d")
            });
            assert_eq!(entry.or_default(), "cd");
        });
        assert_eq!(
            ring.commit(|tx| map.iter(tx).map(|(n, text)| (*n, text.clone())).collect::<Vec<_>>()),
            [(2, "cd".into())]
        );
    }
}

/// A key whose comparisons panic on demand.
#[derive(Clone, PartialEq, Eq)]
struct Fickle(u64);

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
    static PANIC_AT: Cell<u64> = const { Cell::new(u64::MAX) };
}

impl PartialOrd for Fickle {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Fickle {
    fn cmp(&self, other: &Self) -> Ordering {
        let asked = ASKED.replace(ASKED.get() + 1);
        if asked == PANIC_AT.get() {
            // Without a message.
            std::panic::resume_unwind(Box::new("fickle"));
        }
        self.0.cmp(&other.0)
    }
}

/// §2.8: wherever a comparison panics, the caller gets the panic, and the map has all or nothing of the transaction.
#[test]
fn s2_8_comparisons_that_panic() {
    let ring = Ring::new();
    let census = Census::new();
    let map: TOrdMap<Fickle, common::Counted> =
        TOrdMap::with_entries_in(&ring.space, (0..50).map(|n| (Fickle(n * 2), census.value(n))));
    let mut panicked = 0;
    for at in 0.. {
        ASKED.set(0);
        PANIC_AT.set(at);
        let transaction = || {
            ring.space.atomically(|tx| {
                (0..20).for_each(|n| map.upsert(tx, Fickle(n * 3 + 200), census.value(n)));
                ignore(map.remove(tx, &Fickle(10)));
                ignore(map.range(tx, Fickle(20)..Fickle(40)).count());
                let undone = tx.nested(|tx| {
                    (0..20).for_each(|n| map.upsert(tx, Fickle(n * 5), census.value(n)));
                    tx.abort::<(), _>(())
                })?;
                assert!(undone.is_err());
                map.remove(tx, &Fickle(200));
                map.upsert(tx, Fickle(10), census.value(5));
                ignore(map.len(tx));
                ignore(tx.or_else(
                    |tx| {
                        (0..20).for_each(|n| map.upsert(tx, Fickle(n * 5 + 1), census.value(n)));
                        tx.retry()
                    },
                    |_| Ok(()),
                ));
                Ok(())
            });
        };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(transaction));
        PANIC_AT.set(u64::MAX);
        ticks(&ring.space, 2);
        if done.is_ok() {
            assert_eq!((ring.commit(|tx| map.len(tx)), census.live()), (69, 69));
            break;
        }
        panicked += 1;
        assert_eq!((ring.commit(|tx| map.len(tx)), census.live()), (50, 50), "comparison {at}");
    }
    assert!(panicked > 300);
    drop(map);
    ticks(&ring.space, 3);
    assert_eq!(census.live(), 0);
}

/// §2.8: a comparison that panics while a part is undone does not leave the part in the transaction.
#[test]
fn s2_9_undoing_compares_nothing() {
    let ring = Ring::new();
    let map: TOrdMap<Fickle, u64> = TOrdMap::new_in(&ring.space);
    ring.commit(|tx| {
        (0..40).for_each(|n| map.upsert(tx, Fickle(n), 1));
        let undone = tx.nested(|tx| {
            map.upsert(tx, Fickle(100), 1);
            tx.abort::<(), _>(ASKED.get())
        });
        let Ok(Err(before)) = undone else { panic!("undone") };
        assert_eq!(ASKED.get(), before);
    });
}

/// §2.1, §2.9: a loop of parts that change one key keeps one write of it; a removal in a part knows its key after the row that it removed has gone.
#[test]
fn s2_9_parts_that_stay_join_with_what_was_there() {
    let space = Space::new();
    let map: TMap<String, u64> = TMap::new_in(&space);
    space.atomically(|tx| {
        map.insert(tx, "a".into(), 0);
        for n in 0..1_000 {
            tx.nested(|tx| {
                if n % 3 == 2 {
                    assert!(map.remove(tx, "a").is_some());
                } else {
                    map.upsert(tx, "a".into(), n);
                    assert!(map.modify(tx, "a", |n| n + 1));
                }
                Ok::<_, Abort<()>>(())
            })?
            .unwrap();
            assert_eq!(map.get(tx, "a").copied(), (n % 3 != 2).then_some(n + 1));
        }
        Ok(())
    });
    assert_eq!(map.get(&space.snapshot(), "a"), Some(&1_000));
    // And what a part does after that is undone to what stayed.
    space.atomically(|tx| {
        map.upsert(tx, "a".into(), 1);
        tx.nested(|tx| {
            map.upsert(tx, "a".into(), 2);
            Ok::<_, Abort<()>>(())
        })?
        .unwrap();
        let undone = tx.nested(|tx| {
            map.remove(tx, "a");
            tx.abort::<(), _>(())
        })?;
        assert_eq!((undone, map.get(tx, "a")), (Err(()), Some(&2)));
        Ok(())
    });
}

/// §3.2: what was handed out before a part that writes its key again, or clears the map, stays until the attempt ends.
#[test]
fn s3_2_values_outlive_parts_that_write_their_keys_again() {
    let (space, census) = (Space::new(), Census::new());
    let (map, ordered) = (TMap::<u64, Counted>::new_in(&space), TOrdMap::<u64, Counted>::new_in(&space));
    let put = |tx: &Tx<'_>, id| {
        map.upsert(tx, 1, census.value(id));
        ordered.upsert(tx, 1, census.value(id + 100));
    };
    let wipe = |tx: &Tx<'_>, id| {
        map.clear(tx);
        ordered.clear(tx);
        put(tx, id);
    };
    let take = |tx: &Tx<'_>, id| {
        map.remove(tx, &1);
        ordered.remove(tx, &1);
        put(tx, id);
    };
    type Step<'a> = &'a dyn Fn(&Tx<'_>, u64);
    let steps: [Step<'_>; 3] = [&put, &wipe, &take];
    for outer in steps {
        for inner in steps {
            space.atomically(|tx| {
                outer(tx, 1);
                let held = [map.get(tx, &1), ordered.get(tx, &1)].map(|value| value.expect("put"));
                for id in [2, 3] {
                    tx.nested(|tx| {
                        inner(tx, id);
                        Ok::<_, Abort<()>>(())
                    })?
                    .unwrap();
                    let now = [map.get(tx, &1), ordered.get(tx, &1)].map(|value| value.expect("put").id);
                    assert_eq!(now, [id, id + 100]);
                    assert!(census.alive(1) && census.alive(101));
                    assert_eq!(held.map(|value| value.id), [1, 101]);
                }
                Ok(())
            });
        }
    }
}
