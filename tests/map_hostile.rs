//! §2.8, §4.3, §8: keys and values whose own code lies, panics, or uses the crate.

mod common;
mod map_common;

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use common::{Census, panic_message, settle, ticks};
use map_common::{Hashes, Ring, ignore};
use tvar::{Space, TMap, TOrdMap, TVar, Tx};

thread_local! {
    /// After so many comparisons all keys are equal.
    static TRUTHS: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// A key that lies when it is told to, and knows when it is dead.
struct Liar(u64, u64, Box<u64>);

const SEAL: u64 = 0x5eed_ab1e_cafe_f00d;

fn liar(n: u64) -> Liar {
    Liar(n, SEAL, Box::new(n))
}

impl Liar {
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        assert!(self.1 == SEAL && other.1 == SEAL, "compared after its end");
        assert!(*self.2 == self.0 && *other.2 == other.0, "compared after its end");
        let truths = TRUTHS.get();
        TRUTHS.set(truths.saturating_sub(1));
        if truths == 0 { std::cmp::Ordering::Equal } else { self.0.cmp(&other.0) }
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        if self.1 != SEAL {
            eprintln!("a key was dropped twice");
            std::process::abort();
        }
        self.1 = 0;
    }
}

impl Clone for Liar {
    fn clone(&self) -> Self {
        liar(self.0)
    }
}

impl PartialEq for Liar {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}

impl Eq for Liar {}

impl PartialOrd for Liar {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Liar {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.compare(other)
    }
}

impl Hash for Liar {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Runs `f` with comparisons that lie after any number of them.
fn lie(most: u64, f: impl Fn(u64)) {
    for truths in 0..most {
        TRUTHS.set(truths);
        f(truths);
        TRUTHS.set(u64::MAX);
    }
}

/// Two writes that are of one key at the commit, and were not before: what was there goes once.
#[test]
fn s8_keys_that_become_equal_before_the_commit() {
    for second in [false, true] {
        let ring = Ring::new();
        let census = Census::new();
        let hash: TMap<Liar, common::Counted, Hashes> = TMap::with_hasher_in(&ring.space, Hashes(1));
        let ordered: TOrdMap<Liar, common::Counted> = TOrdMap::new_in(&ring.space);
        ring.commit(|tx| {
            hash.upsert(tx, liar(1), census.value(1));
            ordered.upsert(tx, liar(1), census.value(1));
        });
        let written = || {
            ring.commit(|tx| {
                hash.remove(tx, &liar(1));
                ordered.remove(tx, &liar(1));
                if second {
                    hash.upsert(tx, liar(2), census.value(2));
                    ordered.upsert(tx, liar(2), census.value(2));
                } else {
                    hash.upsert_with(tx, liar(2), census.value(2), |_| unreachable!("is gone, or was never there"));
                    ordered.upsert_with(tx, liar(2), census.value(2), |_| unreachable!("is gone, or was never there"));
                }
                TRUTHS.set(if second { 0 } else { u64::MAX });
            });
        };
        // It may say so.
        ignore(std::panic::catch_unwind(std::panic::AssertUnwindSafe(written)));
        TRUTHS.set(u64::MAX);
        ticks(&ring.space, 3);
        assert!(census.live() <= 2);
        ring.commit(|tx| {
            hash.clear(tx);
            ordered.clear(tx);
        });
        ticks(&ring.space, 3);
        assert_eq!(census.live(), 0);
    }
}

/// Whatever comparisons say, nothing is used after its end, dropped twice or leaked.
#[test]
fn s8_comparisons_that_lie_do_no_harm() {
    let ring = Ring::new();
    let census = Census::new();
    for hashes in [1, 3] {
        let hash: TMap<Liar, common::Counted, Hashes> = TMap::with_hasher_in(&ring.space, Hashes(hashes));
        let ordered: TOrdMap<Liar, common::Counted> = TOrdMap::new_in(&ring.space);
        lie(700, |truths| {
            let made = AtomicUsize::new(0);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                ring.commit(|tx| {
                    for n in 0..30 {
                        made.fetch_add(1, Ordering::Relaxed);
                        hash.upsert(tx, liar(n % 23), census.value(n));
                        ordered.upsert(tx, liar(n % 23), census.value(n));
                    }
                    for n in (0..30).step_by(4) {
                        ignore(hash.remove(tx, &liar(n)).map(|value| value.id));
                        ignore(ordered.remove(tx, &liar(n)).map(|value| value.id));
                        ignore(hash.insert_new(tx, liar(n + 1), census.value(n)));
                        ignore(ordered.insert_new(tx, liar(n + 1), census.value(n)));
                    }
                    let make = census.clone();
                    hash.upsert_with(tx, liar(truths % 40), census.value(1), move |old| make.value(old.id));
                    let make = census.clone();
                    ordered.upsert_with(tx, liar(truths % 40), census.value(1), move |old| make.value(old.id));
                    ignore(ordered.range(tx, ..liar(12)).rev().map(|(key, value)| key.0 + value.id).sum::<u64>());
                    ignore(hash.iter(tx).map(|(key, value)| key.0 + value.id).sum::<u64>());
                    ignore((hash.len(tx), ordered.len(tx)));
                });
            }));
            TRUTHS.set(u64::MAX);
            if let Err(payload) = result {
                let text = payload.downcast_ref::<&str>().map_or(String::new(), ToString::to_string);
                assert!(!text.contains("after its end"), "{text}");
            }
            if truths % 50 == 0 {
                ring.commit(|tx| {
                    hash.clear(tx);
                    ordered.clear(tx);
                });
            }
        });
        drop((hash, ordered));
        ticks(&ring.space, 5);
        assert_eq!(census.live(), 0);
    }
}

/// A value whose destructor runs a transaction.
struct Busy(Desk);

#[derive(Clone)]
struct Desk {
    log: TVar<usize>,
    begun: Arc<AtomicUsize>,
}

impl Desk {
    fn new(space: &Space) -> Self {
        Desk { log: TVar::new_in(space, 0), begun: Arc::default() }
    }

    fn value(&self) -> Busy {
        Busy(self.clone())
    }

    /// So many destructors have begun, and each has come to its end.
    #[track_caller]
    fn assert_dropped(&self, count: usize) {
        settle(&self.log.space(), || self.begun.load(Ordering::SeqCst) >= count);
        assert_eq!((self.begun.load(Ordering::SeqCst), self.log.load()), (count, count));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        self.0.log.update(|n| n + 1);
    }
}

#[test]
fn s4_3_destructors_run_transactions() {
    let ring = Ring::new();
    let desk = Desk::new(&ring.space);
    let map: TOrdMap<u64, Busy> = TOrdMap::new_in(&ring.space);
    let count = |tx: &Tx<'_>| {
        let make = desk.clone();
        map.upsert_with(tx, 1, desk.value(), move |_| make.value());
    };
    // Superseded in the attempt.
    ring.commit(|tx| {
        map.upsert(tx, 1, desk.value());
        map.upsert(tx, 1, desk.value());
        map.modify(tx, &1, |_| desk.value());
        map.remove(tx, &1);
    });
    desk.assert_dropped(3);
    // Replaced, removed, cleared.
    ring.commit(|tx| map.upsert(tx, 1, desk.value()));
    ring.commit(|tx| map.upsert(tx, 1, desk.value()));
    desk.assert_dropped(4);
    ring.commit(|tx| ignore(map.remove(tx, &1).is_some()));
    desk.assert_dropped(5);
    ring.commit(|tx| (0..50).for_each(|n| map.upsert(tx, n, desk.value())));
    ring.commit(|tx| map.clear(tx));
    desk.assert_dropped(55);
    // Merges: the initial value, the one replaced, and what lies between.
    ring.commit(count);
    desk.assert_dropped(55);
    ring.commit(count);
    desk.assert_dropped(57);
    ring.commit(|tx| (0..3).for_each(|_| count(tx)));
    desk.assert_dropped(57 + 3 + 3);
    ring.commit(|tx| map.clear(tx));
    desk.assert_dropped(64);
}

/// The functions of a merge run when the key is read; what they leave goes like anything else.
#[test]
fn s4_3_destructors_run_transactions_when_a_merge_is_promoted() {
    let ring = Ring::new();
    let desk = Desk::new(&ring.space);
    let map: TOrdMap<u64, Busy> = TOrdMap::new_in(&ring.space);
    let count = |tx: &Tx<'_>| {
        let (make, captured) = (desk.clone(), desk.value());
        map.upsert_with(tx, 1, desk.value(), move |_| {
            let _captured = &captured;
            make.value()
        });
    };
    ring.commit(|tx| map.upsert(tx, 1, desk.value()));
    ring.commit(|tx| {
        count(tx);
        count(tx);
        assert!(map.get(tx, &1).is_some());
    });
    // Two captured and two initial values, the old one, and the one between.
    desk.assert_dropped(6);
    ring.commit(|tx| {
        count(tx);
        assert_eq!(map.iter(tx).count(), 1);
        count(tx);
    });
    desk.assert_dropped(6 + 6);
    ring.commit(|tx| {
        map.remove(tx, &1);
        count(tx);
    });
    desk.assert_dropped(12 + 2);
}

/// A map of maps, many deep, goes iteratively.
#[test]
fn s4_3_a_long_chain_of_maps() {
    #[derive(Clone)]
    struct Link(Option<TOrdMap<u64, Link>>);
    let space = Space::new();
    common::on_small_stack(move || {
        let mut head = Link(None);
        for n in 0..20_000 {
            let next: TOrdMap<u64, Link> = if n % 2 == 0 {
                TOrdMap::with_entries_in(&space, [(n, head)])
            } else {
                let map = TOrdMap::new_in(&space);
                space.atomically(|tx| {
                    map.upsert(tx, n, head.clone());
                    Ok(())
                });
                map
            };
            head = Link(Some(next));
        }
        assert!(head.0.is_some());
        drop(head);
        ticks(&space, 3);
    });
}

/// §1.7: a destructor that panics undoes nothing, and hinders no other.
#[test]
fn s1_7_destructors_that_panic() {
    struct Bad(#[allow(dead_code, reason = "counts")] common::Counted);
    impl Drop for Bad {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("dropped"));
        }
    }
    let ring = Ring::new();
    let census = Census::new();
    let bad = |n| Bad(census.value(n));
    let map: TOrdMap<u64, Bad> = TOrdMap::new_in(&ring.space);
    ring.commit(|tx| {
        (0..100).for_each(|n| map.upsert(tx, n, bad(n)));
        (0..100).for_each(|n| map.upsert(tx, n, bad(n)));
    });
    ring.commit(|tx| {
        (0..50).for_each(|n| map.upsert(tx, n, bad(n)));
        (0..50).for_each(|n| {
            let make = census.clone();
            map.upsert_with(tx, n + 25, bad(n), move |_| Bad(make.value(7)));
        });
        map.remove(tx, &99);
    });
    ticks(&ring.space, 3);
    assert_eq!(census.live(), 99);
    let stopped = ring.space.try_atomically(|tx| {
        (0..50).for_each(|n| map.upsert(tx, n, bad(n)));
        tx.abort::<(), _>(())
    });
    assert!(stopped.is_err());
    ticks(&ring.space, 3);
    assert_eq!((census.live(), ring.commit(|tx| map.len(tx))), (99, 99));
    drop(map);
    settle(&ring.space, || census.live() == 0);
}

/// §1.1, §2.9, §8: misuse is told at once.
#[test]
fn s8_misuse_panics() {
    let ring = Ring::new();
    let (mine, other): (TMap<u64, u64>, TOrdMap<u64, u64>) =
        (TMap::new_in(&ring.space), TOrdMap::new_in(&Space::new()));
    for step in [
        (|tx, map| ignore(map.get(tx, &1))) as fn(&Tx<'_>, &TOrdMap<u64, u64>),
        |tx, map| map.upsert(tx, 1, 1),
        |tx, map| map.upsert_with(tx, 1, 1, |n| n + 1),
        |tx, map| ignore(map.insert(tx, 1, 1)),
        |tx, map| ignore(map.remove(tx, &1)),
        |tx, map| ignore(map.modify(tx, &1, |n| n + 1)),
        |tx, map| map.clear(tx),
        |tx, map| ignore(map.len(tx)),
        |tx, map| ignore(map.iter(tx).count()),
        |tx, map| ignore(map.first(tx)),
        |tx, map| ignore(map.pop_first(tx)),
        |tx, map| ignore(map.entry(tx, 1).is_present()),
    ] {
        let message = panic_message(|| {
            ring.commit(|tx| {
                mine.upsert(tx, 1, 1);
                step(tx, &other);
            });
        });
        assert!(message.contains("space"), "{message}");
        assert_eq!(ring.commit(|tx| mine.len(tx)), 0);
    }
    let snapshot = ring.space.snapshot();
    assert!(panic_message(|| other.get(&snapshot, &1).copied()).contains("space"));
    assert!(panic_message(|| other.iter(&snapshot).count()).contains("space"));
    ring.commit(|tx| {
        mine.upsert(tx, 1, 1);
        assert!(format!("{mine:?}").contains("entries: {}"), "of the snapshot");
        let message = panic_message(|| ring.commit(|tx| mine.len(tx)));
        assert!(message.contains("nested"), "{message}");
    });
    assert!(format!("{mine:?}").contains("entries: {1: 1}"));
}

/// Many threads make, use and drop maps whose slots are used again.
#[test]
fn s1_3_maps_that_come_and_go() {
    let space = Space::new();
    let census = Census::new();
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for me in 0..4_u64 {
            let (space, census, barrier) = (&space, &census, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for n in 0..200 {
                    let keys = if n % 3 == 0 { 0 } else { 40 };
                    let map: TOrdMap<u64, common::Counted> =
                        TOrdMap::with_entries_in(space, (0..keys).map(|n| (n * 2, census.value(n))));
                    let snapshot = space.snapshot();
                    space.atomically(|tx| {
                        (0..n).for_each(|n| map.upsert(tx, n, census.value(me)));
                        Ok(())
                    });
                    assert_eq!(map.len(&snapshot) as u64, keys);
                    assert!(map.iter(&snapshot).all(|(key, value)| *key == value.id * 2));
                    let handle = map.clone();
                    drop(map);
                    space.atomically(|tx| {
                        assert!(handle.iter(tx).all(|(_, value)| value.id < 40));
                        handle.remove(tx, &2);
                        Ok(())
                    });
                    let text: TMap<String, u64> = TMap::new_in(space);
                    space.atomically(|tx| {
                        text.upsert(tx, n.to_string(), n);
                        Ok(())
                    });
                }
            });
        }
    });
    settle(&space, || census.live() == 0);
}
