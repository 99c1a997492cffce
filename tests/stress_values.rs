//! Stress: variables, values and snapshots come and go (§1.2 to §1.7).

mod blocking_common;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, TrySendError};
use std::thread::{self};

use blocking_common::crew::{Crew, Random, settles_to};
use blocking_common::{Counted, join, live_count};
use tvar::{Snapshot, Space, Stm, TVar, Tx};

/// A variable of either of two kinds.
#[derive(Clone)]
enum Kind {
    Number(TVar<i64>),
    Text(TVar<String>),
}

impl Kind {
    fn new(space: &Space, random: &mut Random) -> Self {
        let n = random.below(1000) as i64;
        if n % 2 == 0 {
            Self::Number(TVar::new_in(space, n * 1000 + 7))
        } else {
            Self::Text(TVar::new_in(space, Self::text(n)))
        }
    }

    fn text(n: i64) -> String {
        format!("a text too long for any inline place: {n}")
    }

    /// Reads, checks, and writes one more.
    fn touch(&self, tx: &Tx<'_>) {
        match self {
            Self::Number(v) => {
                let n = *tx.read(v);
                assert_eq!(n % 1000, 7, "not a number of ours: {n:x}");
                tx.write(v, n + 1000);
            }
            Self::Text(v) => {
                let text = tx.read(v);
                let (head, n) = text.rsplit_once(' ').expect("a text of ours");
                assert_eq!(head, "a text too long for any inline place:");
                tx.write(v, Self::text(n.parse::<i64>().unwrap() + 1));
            }
        }
    }

    fn check(&self, snap: &Snapshot) {
        match self {
            Self::Number(v) => assert_eq!(snap.read(v) % 1000, 7),
            Self::Text(v) => assert!(snap.read(v).starts_with("a text too long")),
        }
    }
}

/// §1.2, §1.3: variables of two types come and go, their slots pass from one type to the other.
#[test]
fn recycled_slots() {
    let mut crew = Crew::new("recycled slots");
    let table: Arc<[TVar<Kind>]> = {
        let random = RefCell::new(Random::new(99));
        crew.vars(16, |_| Kind::new(&crew.space, &mut random.borrow_mut()))
    };
    for seed in 0..8 {
        let table = table.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let mut kept: Option<(Snapshot, Kind)> = None;
            while clock.running() {
                let at = &table[random.below(16)];
                match random.below(8) {
                    0 | 1 => {
                        let fresh = Kind::new(&space, &mut random);
                        at.store(fresh);
                    }
                    2 => space.atomically(|tx| {
                        let fresh = Kind::new(&space, &mut Random::new(seed));
                        fresh.touch(tx);
                        tx.write(at, fresh);
                        Ok(())
                    }),
                    3 => {
                        let locals: Vec<_> = (0..20).map(|_| Kind::new(&space, &mut random)).collect();
                        space.atomically(|tx| {
                            locals.iter().for_each(|l| l.touch(tx));
                            Ok(())
                        });
                        space.atomically(|tx| {
                            locals.iter().for_each(|l| l.touch(tx));
                            Ok(())
                        });
                    }
                    4 => {
                        let aborted: Result<(), ()> = space.try_atomically(|tx| {
                            let fresh = Kind::new(&space, &mut Random::new(seed));
                            fresh.touch(tx);
                            tx.write(at, fresh);
                            tx.abort(())
                        });
                        assert_eq!(aborted, Err(()));
                    }
                    5 => {
                        if let Some((snap, kind)) = kept.take() {
                            table.iter().for_each(|v| snap.read(v).check(&snap));
                            kind.check(&snap);
                        }
                        let snap = space.snapshot();
                        let kind = snap.read(at).clone();
                        kept = Some((snap, kind));
                    }
                    _ => space.atomically(|tx| {
                        tx.read(at).touch(tx);
                        Ok(())
                    }),
                }
            }
        });
    }
    crew.finish();
}

/// §1.5: snapshots are taken here, read there, and dropped elsewhere; each stays one version.
#[test]
fn snapshots_travel() {
    let live = live_count();
    let mut crew = Crew::new("snapshots");
    let numbers = crew.vars(4, |_| 0i64);
    let texts = crew.vars(4, |_| String::from("0"));
    let counted = crew.vars(4, |_| Counted::new(&live, 0));
    for seed in 0..3 {
        let (numbers, texts, counted) = (numbers.clone(), texts.clone(), counted.clone());
        let live = live.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let i = random.below(4);
                space.atomically(|tx| {
                    let n = *tx.read(&numbers[i]) + 1;
                    tx.write(&numbers[i], n);
                    tx.write(&texts[i], n.to_string());
                    tx.write(&counted[i], Counted::new(&live, n as u64));
                    Ok(())
                });
            }
        });
    }
    for seed in 3..5 {
        let (send, receive) = mpsc::sync_channel::<Snapshot>(8);
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let mut own = Vec::new();
            while clock.running() {
                let snap = space.snapshot();
                if random.below(2) == 0 {
                    own.push(snap.clone());
                }
                own.truncate(5 - random.below(5));
                if let Err(TrySendError::Disconnected(_)) = send.try_send(snap) {
                    break;
                }
                thread::yield_now();
            }
        });
        let (numbers, texts, counted) = (numbers.clone(), texts.clone(), counted.clone());
        crew.spawn(move |clock, _| {
            let check = |snap: &Snapshot| {
                for ((number, text), value) in numbers.iter().zip(&*texts).zip(&*counted) {
                    let n = *snap.read(number);
                    assert_eq!(*snap.read(text), n.to_string());
                    assert_eq!(snap.read(value).get(), n as u64);
                }
            };
            let mut kept = VecDeque::new();
            while let Ok(snap) = receive.recv() {
                clock.tick();
                check(&snap);
                kept.push_back(snap);
                if kept.len() > 6 {
                    let older: Snapshot = kept.pop_front().unwrap();
                    check(&older);
                    let newer = &kept[3];
                    assert!(older.version() <= newer.version());
                    let diff = older.diff(newer);
                    for v in numbers.iter() {
                        assert_eq!(diff.changed(v), older.read(v) != newer.read(v));
                    }
                }
            }
        });
    }
    let space = crew.finish();
    settles_to(&space, &live, 4);
    drop((numbers, texts, counted, space));
    assert_eq!(live.load(Ordering::SeqCst), 0);
}

/// §1.7, §4.3: hundreds of short threads, each with variables and values of its own.
#[test]
fn short_threads() {
    let live = live_count();
    let mut crew = Crew::new("short threads");
    let total = crew.var(0u64);
    let shared = crew.vars(8, |_| Counted::new(&live, 0));
    let started = Arc::new(AtomicU64::new(0));
    let (total_in, shared_in) = (total.clone(), shared.clone());
    let (live_in, started_in) = (live.clone(), started.clone());
    crew.spawn(move |clock, space| {
        while clock.running() || started_in.load(Ordering::SeqCst) < 400 {
            let batch: Vec<_> = (0..8)
                .map(|i| {
                    let n = started_in.fetch_add(1, Ordering::SeqCst);
                    let (space, total) = (space.clone(), total_in.clone());
                    let (shared, live) = (shared_in.clone(), live_in.clone());
                    thread::spawn(move || {
                        let own = TVar::new_in(&space, Counted::new(&live, 1));
                        space.atomically(|tx| {
                            tx.write(&own, Counted::new(&live, n));
                            tx.write(&shared[i], Counted::new(&live, n));
                            tx.modify(&total, |t| t + 1);
                            Ok(())
                        });
                        shared[(i + 1) % 8].store(Counted::new(&live, n));
                        let snap = space.snapshot();
                        assert_eq!(snap.read(&own).get(), n);
                    })
                })
                .collect();
            for thread in batch {
                join("a short thread ends", thread);
                clock.tick();
            }
        }
    });
    let space = crew.finish();
    assert_eq!(total.load(), started.load(Ordering::SeqCst));
    settles_to(&space, &live, 8);
    drop((shared, total, space));
    assert_eq!(live.load(Ordering::SeqCst), 0);
}

/// §1.7: boxed values under all kinds of ends: no leak, each dropped exactly once.
#[test]
fn values_are_dropped_once() {
    let live = live_count();
    let mut crew = Crew::new("values");
    let vars = crew.vars(10, |_| Counted::new(&live, 0));
    for seed in 0..8 {
        let (vars, live) = (vars.clone(), live.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let fresh = |n| Counted::new(&live, n);
            while clock.running() {
                let (a, b) = random.two_below(10);
                let (a, b) = (&vars[a], &vars[b]);
                let n = random.next() >> 1;
                match random.below(8) {
                    0 => a.store(fresh(n)),
                    1 => a.update(|old| fresh(old.get() + 1)),
                    2 => space.atomically(|tx| {
                        for i in 0..20 {
                            tx.modify(a, |old| fresh(old.get() + i));
                        }
                        let moved = tx.replace(b, fresh(n)).get();
                        tx.write(a, fresh(moved));
                        Ok(())
                    }),
                    3 => {
                        let aborted: Result<(), u64> = space.try_atomically(|tx| {
                            tx.write(a, fresh(n));
                            tx.merge(b, {
                                let live = live.clone();
                                move |old| Counted::new(&live, old.get() / 2)
                            });
                            tx.abort(tx.read(a).get())
                        });
                        assert_eq!(aborted, Err(n));
                    }
                    4 => {
                        let result = catch_unwind(AssertUnwindSafe(|| {
                            space.atomically(|tx| -> Stm<()> {
                                tx.write(a, fresh(n));
                                tx.write(b, fresh(n));
                                resume_unwind(Box::new("planned"))
                            })
                        }));
                        assert!(result.is_err());
                    }
                    5 => space.atomically(|tx| {
                        tx.write(a, fresh(n));
                        tx.or_else(
                            |tx| {
                                tx.write(a, fresh(n + 1));
                                tx.write(b, fresh(n + 2));
                                tx.retry()
                            },
                            |tx| {
                                assert_eq!(tx.read(a).get(), n);
                                tx.write(b, fresh(n + 3));
                                Ok(())
                            },
                        )
                    }),
                    6 => space.atomically(|tx| {
                        let live = live.clone();
                        tx.merge(a, move |old| Counted::new(&live, old.get() / 2));
                        Ok(())
                    }),
                    _ => {
                        let snap = space.snapshot();
                        let before = snap.read(a).get();
                        a.store(fresh(n));
                        assert_eq!(snap.read(a).get(), before);
                    }
                }
            }
        });
    }
    let space = crew.finish();
    settles_to(&space, &live, 10);
    drop(vars);
    settles_to(&space, &live, 0);
}
