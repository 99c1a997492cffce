//! §3.1, §3.2, §3.4, §2.10: waiting for what was read in maps. The closure runs again when that changes, and for no other commit.

mod blocking_common;
mod map_common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocking_common::{FAR, Waiter, elsewhere, guarded, panic_message, settle};
use map_common::ignore;
use tvar::hooks::Point;
use tvar::{Space, Stm, TMap, TOrdMap, TVar, Tx};

type Map = TOrdMap<u64, u64>;
type Hash = TMap<u64, u64>;
type Text = TOrdMap<String, u64>;

/// One map of each kind, with the keys 10, 20, ... 90.
#[derive(Clone)]
struct Maps(Map, Hash, Text);

fn text(key: u64) -> String {
    format!("a longer key {key:05}")
}

impl Maps {
    fn new(space: &Space) -> Self {
        let keys = || (1..10).map(|n| n * 10);
        let hash = TMap::new_in(space);
        space.atomically(|tx| {
            keys().for_each(|key| hash.upsert(tx, key, key));
            Ok(())
        });
        let integers = TOrdMap::with_entries_in(space, keys().map(|key| (key, key)));
        Maps(integers, hash, TOrdMap::with_entries_in(space, keys().map(|key| (text(key), key))))
    }

    fn put(&self, tx: &Tx<'_>, key: u64, value: u64) {
        self.0.upsert(tx, key, value);
        self.1.upsert(tx, key, value);
        self.2.upsert(tx, text(key), value);
    }

    fn take(&self, tx: &Tx<'_>, key: u64) {
        self.0.remove(tx, &key);
        self.1.remove(tx, &key);
        self.2.remove(tx, &text(key));
    }
}

type Look = fn(&Tx<'_>, &Maps);
type Step = fn(&Tx<'_>, &Maps);

/// Who has looked like this and sleeps is not run by `others`, and is by `wakes`.
#[track_caller]
fn check(look: Look, others: &[Step], wakes: Step) {
    let space = Space::new();
    let maps = Maps::new(&space);
    let mine = maps.clone();
    let waiter = Waiter::closed(&space, move |tx| {
        look(tx, &mine);
        Ok(())
    });
    assert_eq!((waiter.runs(), space.waiters()), (1, 1));
    for other in others {
        space.atomically(|tx| {
            other(tx, &maps);
            Ok(())
        });
    }
    settle();
    assert_eq!((waiter.runs(), space.waiters()), (1, 1));
    waiter.open();
    space.atomically(|tx| {
        wakes(tx, &maps);
        Ok(())
    });
    assert_eq!(waiter.finish("what was read changes"), ((), 2));
    assert_eq!(space.waiters(), 0);
}

const PUT_25: Step = |tx, maps| maps.put(tx, 25, 1);
const PUT_20: Step = |tx, maps| maps.put(tx, 20, 1);
const TAKE_20: Step = |tx, maps| maps.take(tx, 20);
const COME_AND_GO: Step = |tx, maps| {
    maps.put(tx, 26, 1);
    maps.take(tx, 26);
};

#[test]
fn s3_1_a_key() {
    guarded(|| {
        let looks: [(Look, Look); 3] = [
            (|tx, maps| ignore(maps.0.get(tx, &20)), |tx, maps| ignore(maps.0.get(tx, &25))),
            (|tx, maps| ignore(maps.1.get(tx, &20)), |tx, maps| ignore(maps.1.get(tx, &25))),
            (|tx, maps| ignore(maps.2.get(tx, text(20).as_str())), |tx, maps| ignore(maps.2.get(tx, &text(25)))),
        ];
        for (present, absent) in looks {
            let others: [Step; 4] = [PUT_25, COME_AND_GO, |tx, maps| maps.put(tx, 30, 7), |tx, maps| maps.take(tx, 30)];
            check(present, &others, PUT_20);
            check(present, &others, TAKE_20);
            check(present, &others, |tx, maps| {
                maps.0.upsert_with(tx, 20, 0, |n| n + 1);
                maps.1.clear(tx);
                maps.2.modify(tx, &text(20), |n| n + 1);
            });
            let others: [Step; 4] = [PUT_20, TAKE_20, COME_AND_GO, |tx, maps| maps.put(tx, 24, 7)];
            check(absent, &others, PUT_25);
        }
    });
}

#[test]
fn s3_1_a_range() {
    guarded(|| {
        let others: [Step; 4] = [
            |tx, maps| maps.put(tx, 10, 7),
            |tx, maps| maps.put(tx, 15, 7),
            |tx, maps| maps.take(tx, 60),
            |tx, maps| maps.put(tx, 45, 7),
        ];
        let looks: [Look; 2] = [
            |tx, maps| assert!(maps.0.range(tx, 20..40).count() >= 1),
            |tx, maps| assert!(maps.2.range(tx, text(20)..text(40)).rev().count() >= 1),
        ];
        for look in looks {
            for wakes in [PUT_25, PUT_20, TAKE_20, |tx, maps| maps.put(tx, 39, 7)] {
                check(look, &others, wakes);
            }
        }
        check(|tx, maps| ignore(maps.0.first(tx)), &others[1..], |tx, maps| maps.put(tx, 5, 1));
        check(|tx, maps| ignore(maps.0.last(tx)), &others, |tx, maps| maps.put(tx, 95, 1));
        check(|tx, maps| ignore(maps.2.range(tx, ..text(5)).next()), &others, |tx, maps| maps.put(tx, 4, 1));
    });
}

#[test]
fn s3_1_len_and_iteration() {
    guarded(|| {
        let looks: [Look; 3] = [
            |tx, maps| ignore(maps.0.len(tx)),
            |tx, maps| ignore(maps.1.is_empty(tx)),
            |tx, maps| ignore(maps.2.len(tx)),
        ];
        for look in looks {
            check(look, &[PUT_20], PUT_25);
            check(look, &[PUT_20], TAKE_20);
        }
        let looks: [Look; 3] = [
            |tx, maps| ignore(maps.0.iter(tx).count()),
            |tx, maps| ignore(maps.1.values(tx).next()),
            |tx, maps| ignore(maps.2.keys(tx).count()),
        ];
        for look in looks {
            for wakes in [PUT_20, PUT_25, TAKE_20] {
                check(look, &[], wakes);
            }
        }
    });
}

/// A queue in an ordered map: each item is taken once.
#[test]
fn s3_1_a_queue() {
    guarded(|| {
        let space = Space::new();
        let queue: TOrdMap<u64, u64> = TOrdMap::new_in(&space);
        let takers: Vec<Waiter<u64>> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                Waiter::asleep(&space, move |tx| match queue.pop_first(tx) {
                    Some((_, item)) => Ok(*item),
                    None => tx.retry(),
                })
            })
            .collect();
        for n in 0..4 {
            space.atomically(|tx| {
                queue.upsert(tx, n, n);
                Ok(())
            });
        }
        let mut taken: Vec<u64> = takers.into_iter().map(|taker| taker.finish("an item").0).collect();
        taken.sort_unstable();
        assert_eq!(taken, [0, 1, 2, 3]);
        assert_eq!(space.waiters(), 0);
    });
}

/// §3.2: both sides are waited on, though what they wrote is undone.
#[test]
fn s3_2_or_else_waits_for_both() {
    guarded(|| {
        for key in [25, 45] {
            let space = Space::new();
            let maps = Maps::new(&space);
            let mine = maps.clone();
            let waiter = Waiter::asleep(&space, move |tx| {
                let left = |tx: &Tx<'_>| {
                    mine.put(tx, 100, 1);
                    tx.check(mine.1.contains_key(tx, &25))
                };
                tx.or_else(left, |tx| {
                    mine.0.clear(tx);
                    mine.0.upsert(tx, 100, 2);
                    tx.check(mine.2.range(tx, text(41)..text(49)).next().is_some())
                })
            });
            for other in [15, 50, 55, 100] {
                space.atomically(|tx| {
                    maps.put(tx, other, 1);
                    Ok(())
                });
            }
            settle();
            assert_eq!(waiter.runs(), 1);
            space.atomically(|tx| {
                maps.put(tx, key, 1);
                Ok(())
            });
            assert_eq!(waiter.finish("one side can go on"), ((), 2));
            space.atomically(|tx| {
                assert_eq!(maps.0.get(tx, &100), Some(if key == 25 { &1 } else { &2 }));
                assert_eq!(maps.0.len(tx), if key == 25 { 9 + 4 } else { 1 });
                Ok(())
            });
        }
    });
}

/// Variables and maps in one wait, in either order.
#[test]
fn s3_1_with_variables() {
    guarded(|| {
        for variable in [false, true] {
            let space = Space::new();
            let (maps, var) = (Maps::new(&space), TVar::new_in(&space, 0));
            let (mine, seen) = (maps.clone(), var.clone());
            let waiter =
                Waiter::asleep(&space, move |tx| tx.check(*tx.read(&seen) == 1 || mine.1.contains_key(tx, &25)));
            space.atomically(|tx| {
                maps.put(tx, 26, 1);
                Ok(())
            });
            settle();
            assert_eq!(waiter.runs(), 1);
            if variable {
                var.store(1);
            } else {
                space.atomically(|tx| {
                    maps.put(tx, 25, 1);
                    Ok(())
                });
            }
            assert_eq!(waiter.finish("woken"), ((), 2));
        }
    });
}

/// W1: no wake-up is lost between the snapshot and the registration, nor before the sleep.
#[test]
fn s3_1_no_wake_up_is_lost() {
    guarded(|| {
        for point in [Point::Read, Point::Register, Point::Park] {
            for look in 0..4 {
                let space = Space::new();
                let maps = Maps::new(&space);
                let (mine, theirs, other) = (maps.clone(), maps.clone(), space.clone());
                let strike = move || {
                    Some(blocking_common::strike_at(point, 1, move || {
                        other.atomically(|tx| {
                            theirs.put(tx, 25, 1);
                            Ok(())
                        });
                    }))
                };
                let waiter = Waiter::hooked(&space, strike, move |tx| match look {
                    0 => tx.check(mine.0.contains_key(tx, &25)),
                    1 => tx.check(mine.1.contains_key(tx, &25)),
                    2 => tx.check(mine.2.range(tx, text(21)..text(29)).next().is_some()),
                    _ => tx.check(mine.1.len(tx) == 10),
                });
                assert_eq!(waiter.finish("not lost"), ((), 2), "{point:?}, {look}");
                assert_eq!(space.waiters(), 0);
            }
        }
    });
}

/// The map's other handles go; the sleeper has it still, and wakes for its deadline, or for what else it read.
#[test]
fn s3_1_the_last_other_handle_goes() {
    guarded(|| {
        let space = Space::new();
        let maps = Maps::new(&space);
        let (mine, bell) = (maps.clone(), TVar::new_in(&space, false));
        let heard = bell.clone();
        let waiter = Waiter::asleep(&space, move |tx| {
            ignore((mine.0.get(tx, &25), mine.1.len(tx), mine.2.range(tx, text(20)..).count()));
            tx.check(*tx.read(&heard))
        });
        drop(maps);
        let tick = TVar::new_in(&space, 0);
        (0..100).for_each(|n| tick.store(n));
        assert_eq!(waiter.runs(), 1);
        bell.store(true);
        assert_eq!(waiter.finish("the bell"), ((), 2));
    });
}

/// Handles that come and go while somebody sleeps: also the sleeper's own.
#[test]
fn s3_1_maps_that_go_in_their_sleep() {
    guarded(|| {
        let space = Space::new();
        let shelf: Arc<Mutex<Option<Maps>>> = Arc::new(Mutex::new(Some(Maps::new(&space))));
        let (mine, bell) = (shelf.clone(), TVar::new_in(&space, 0));
        let heard = bell.clone();
        let waiter = Waiter::asleep(&space, move |tx| {
            if let Some(maps) = &*mine.lock().unwrap() {
                ignore((maps.0.get(tx, &25), maps.1.len(tx), maps.2.range(tx, text(20)..).count()));
            }
            tx.check(*tx.read(&heard) == 1)
        });
        drop(shelf.lock().unwrap().take());
        (2..500).for_each(|n| {
            // Others get the slots.
            let maps = Maps::new(&space);
            space.atomically(|tx| {
                maps.put(tx, 25, n);
                Ok(())
            });
        });
        bell.store(1);
        assert!(waiter.finish("the bell").1 >= 2);
    });
}

#[test]
fn s3_4_nothing_that_anybody_could_change() {
    guarded(|| {
        let futile = |f: fn(&Tx<'_>, &Space) -> Stm<()>| {
            let space = Space::new();
            let inner = space.clone();
            let message = elsewhere(move || panic_message(|| inner.clone().atomically(|tx| f(tx, &inner))));
            assert!(message.starts_with("tvar: futile retry"), "{message}");
            assert_eq!((space.waiters(), space.stats().parked), (0, 0));
        };
        futile(|tx, space| tx.check(TMap::<u64, u64>::new_in(space).contains_key(tx, &1)));
        futile(|tx, space| tx.check(TOrdMap::<u64, u64>::new_in(space).first(tx).is_some()));
        futile(|tx, space| tx.check(!TOrdMap::<String, u64>::new_in(space).is_empty(tx)));
        // Blind writes are no reads.
        let space = Space::new();
        let map: Map = TOrdMap::new_in(&space);
        let inner = space.clone();
        let message = elsewhere(move || {
            panic_message(|| {
                inner.atomically(|tx| {
                    map.upsert(tx, 1, 1);
                    map.upsert_with(tx, 2, 1, |n| n + 1);
                    assert_eq!(map.get(tx, &1), Some(&1));
                    map.clear(tx);
                    tx.check(map.len(tx) == 1)
                })
            })
        });
        assert!(message.starts_with("tvar: futile retry"), "{message}");
    });
}

/// §3.5: deadlines end a wait for a map.
#[test]
fn s3_5_deadlines() {
    guarded(|| {
        let space = Space::new();
        let map: Map = TOrdMap::new_in(&space);
        let (inner, mine) = (space.clone(), map.clone());
        let found = elsewhere(move || {
            inner.atomically(|tx| {
                if mine.first(tx).is_none() {
                    tx.retry_for(Duration::from_millis(5))?;
                }
                Ok(mine.first(tx).is_some())
            })
        });
        assert!(!found);
        let mine = map.clone();
        let waiter = Waiter::asleep(&space, move |tx| {
            if mine.first(tx).is_none() {
                tx.retry_for(FAR)?;
            }
            Ok(())
        });
        space.atomically(|tx| {
            map.upsert(tx, 1, 1);
            Ok(())
        });
        assert_eq!(waiter.finish("an entry"), ((), 2));
    });
}

/// §2.10: `refresh` runs the closure again if a key that was read is stale, and not for others.
#[test]
fn s2_10_refresh() {
    guarded(|| {
        for (key, runs) in [(25, 2), (26, 1)] {
            for look in 0..4 {
                let space = Space::new();
                let maps = Maps::new(&space);
                let (inner, theirs) = (space.clone(), maps.clone());
                let mut count = 0;
                space.atomically(|tx| {
                    count += 1;
                    match look {
                        0 => ignore(maps.0.get(tx, &25)),
                        1 => ignore(maps.1.get(tx, &25)),
                        2 => ignore(maps.2.get(tx, &text(25))),
                        _ => ignore(maps.2.range(tx, text(22)..=text(25)).count()),
                    }
                    if count == 1 {
                        let (inner, theirs) = (inner.clone(), theirs.clone());
                        elsewhere(move || {
                            inner.atomically(|tx| {
                                theirs.put(tx, key, 1);
                                Ok(())
                            });
                        });
                    }
                    tx.refresh()
                });
                assert_eq!(count, runs, "{key}, {look}");
            }
        }
    });
}
