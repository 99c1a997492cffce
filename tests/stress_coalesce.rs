//! Stress: commits that are announced at once, after a lost swap, or as usual, side by side (§4.2, §4.3, §4.4).

mod blocking_common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use blocking_common::crew::{Crew, Random, settles_to};
use blocking_common::{Counted, live_count};
use tvar::{Backoff, Isolation, Space, TVar, Tx, TxOptions};

const ACCOUNTS: usize = 16;
const TOTAL: i64 = ACCOUNTS as i64 * 100;

/// Announced at once, after one lost swap, after the usual number, or never; sometimes without a pause.
fn mixed(space: &Space, random: &mut Random) -> TxOptions {
    let options = TxOptions::new().space(space);
    let options = match random.below(8) {
        0..4 => options.coalesce_after(0),
        4..6 => options.coalesce_after(1),
        6 => options,
        _ => options.coalesce_after(u32::MAX),
    };
    if random.below(4) == 0 { options.backoff(Backoff::None) } else { options }
}

/// §2.2, §4.5: no update is lost and none counts twice, of inline and boxed values.
#[test]
fn counters_are_exact() {
    let mut crew = Crew::new("coalesced counters");
    let counters = crew.vars(3, |_| 0u64);
    let boxed = crew.vars(2, |_| vec![0u64]);
    let made = Arc::new(AtomicU64::new(0));
    for seed in 0..8 {
        let (counters, boxed, made) = (counters.clone(), boxed.clone(), made.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let mut mine = 0;
            while clock.running() {
                let options = mixed(&space, &mut random);
                let (v, b) = (&counters[random.below(3)], &boxed[random.below(2)]);
                let kind = random.below(5);
                let result = options.run(|tx| {
                    match kind {
                        0 => tx.modify(v, |x| x + 1),
                        1 => {
                            let x = *tx.read(v);
                            tx.write(v, x + 1);
                        }
                        2 => tx.merge(v, |x| x + 1),
                        3 => tx.merge(b, |b| vec![b[0] + 1]),
                        _ => tx.modify(b, |b| vec![b[0] + 1]),
                    }
                    Ok(())
                });
                assert_eq!(result, Ok(()));
                mine += 1;
            }
            made.fetch_add(mine, Ordering::SeqCst);
        });
    }
    let space = crew.finish();
    let sum: u64 = counters.iter().map(TVar::load).chain(boxed.iter().map(|b| b.load()[0])).sum();
    assert_eq!(sum, made.load(Ordering::SeqCst));
    let stats = space.stats();
    assert_eq!(stats.commits, sum);
    assert!(0 < stats.batches && stats.batches <= stats.announced);
}

/// §1.4, §2.2: transfers under both isolations, with auditors.
#[test]
fn transfers_and_auditors() {
    let mut crew = Crew::new("coalesced transfers");
    let accounts = crew.vars(ACCOUNTS, |_| 100i64);
    for seed in 0..7 {
        let accounts = accounts.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let mut options = mixed(&space, &mut random);
                if random.below(3) == 0 {
                    options = options.isolation(Isolation::Snapshot);
                }
                let (from, to) = random.two_below(ACCOUNTS);
                let (from, to) = (&accounts[from], &accounts[to]);
                let amount = random.below(40) as i64;
                let merges = random.below(2) == 0;
                let result = options.run(|tx| {
                    let balance = *tx.read(from);
                    if balance >= amount {
                        tx.write(from, balance - amount);
                        if merges { tx.merge(to, move |b| b + amount) } else { tx.modify(to, |b| b + amount) }
                    }
                    Ok(())
                });
                assert_eq!(result, Ok(()));
            }
        });
    }
    let audited = accounts.clone();
    crew.spawn(move |clock, space| {
        while clock.running() {
            let snap = space.snapshot();
            assert_eq!(audited.iter().map(|a| snap.read(a)).sum::<i64>(), TOTAL);
            assert!(audited.iter().all(|a| *snap.read(a) >= 0));
            assert_eq!(space.atomically(|tx| Ok(audited.iter().map(|a| tx.read(a)).sum::<i64>())), TOTAL);
        }
    });
    crew.finish();
}

/// §1.3, §1.7: boxed values and variables that come and go in announced commits, with blind writes that supersede each other; none is read
/// after its drop, dropped twice, or stays.
#[test]
fn values_and_variables_come_and_go() {
    let live = live_count();
    let space = {
        let mut crew = Crew::new("coalesced values");
        let table = crew.vars(6, |n| TVar::new_in(&crew.space, Counted::new(&live, n as u64)));
        for seed in 0..8 {
            let (table, live) = (table.clone(), live.clone());
            crew.spawn(move |clock, space| {
                let mut random = Random::new(seed);
                let mut kept = None;
                while clock.running() {
                    let options = mixed(&space, &mut random);
                    let (at, n) = (&table[random.below(6)], random.next() >> 1);
                    let kind = random.below(7);
                    let result = options.run(|tx| {
                        match kind {
                            0 => tx.write(at, TVar::new_in(&space, Counted::new(&live, n))),
                            1 | 2 => tx.write(tx.read(at), Counted::new(&live, n)),
                            3 | 4 => {
                                let live = live.clone();
                                tx.merge(tx.read(at), move |old| Counted::new(&live, old.get() ^ n));
                            }
                            5 => {
                                let fresh = TVar::new_in(&space, Counted::new(&live, n));
                                let live = live.clone();
                                tx.merge(&fresh, move |old| Counted::new(&live, old.get() >> 1));
                                tx.write(at, fresh);
                            }
                            _ => {
                                // A variable that does not outlive the closure.
                                let brief = TVar::new_in(&space, n);
                                tx.modify(&brief, |n| n + 1);
                                let text = TVar::new_in(&space, String::from("brief"));
                                tx.merge(&text, |text| format!("{text} text"));
                                tx.read(tx.read(at)).get();
                            }
                        }
                        Ok(())
                    });
                    assert_eq!(result, Ok(()));
                    if random.below(50) == 0 {
                        kept = Some(space.snapshot());
                    }
                    if let Some(snap) = &kept {
                        assert!(table.iter().all(|at| snap.read(snap.read(at)).get() <= u64::MAX >> 1));
                    }
                }
            });
        }
        let space = crew.finish();
        settles_to(&space, &live, 6);
        space
    };
    assert_eq!(live.load(Ordering::SeqCst), 0, "the table has gone");
    drop(space);
}

/// §2.8, §4.3, §4.4: panics in merge functions, turns, timeouts, aborts: the books stay right, and each outcome is its owner's.
#[test]
fn all_kinds_of_ends() {
    let live = live_count();
    let mut crew = Crew::new("coalesced ends");
    let accounts = crew.vars(4, |_| 0i64);
    let booked = Arc::new(AtomicI64::new(0));
    for seed in 0..8 {
        let (accounts, live, booked) = (accounts.clone(), live.clone(), booked.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let mut mine = 0;
            while clock.running() {
                let mut options = mixed(&space, &mut random).escalate_after(random.below(4) as u64 + 1);
                let end = random.below(8);
                if end == 2 {
                    options = options.timeout(Duration::from_micros(50));
                }
                let (a, b) = random.two_below(4);
                let (a, b) = (&accounts[a], &accounts[b]);
                let by = random.below(100) as i64;
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    options.try_run(|tx: &Tx<'_>| {
                        let counted = Counted::new(&live, 1);
                        if by % 3 == 0 {
                            tx.read(b);
                        }
                        tx.merge(a, move |x| x + by * counted.get() as i64);
                        match end {
                            0 => tx.merge(b, move |_| resume_unwind(Box::new(seed))),
                            1 => return tx.abort(seed),
                            3 => tx.modify(b, |x| x + 1),
                            _ => {}
                        }
                        Ok(())
                    })
                }));
                match (end, outcome) {
                    (0, Err(payload)) => assert_eq!(payload.downcast_ref(), Some(&seed)),
                    (1, Ok(Err(error))) => assert_eq!(error, tvar::TryError::Aborted(seed)),
                    (2, Ok(Err(tvar::TryError::Failed(error)))) => assert!(error.is_timeout()),
                    (2 | 4.., Ok(Ok(()))) => mine += by,
                    (3, Ok(Ok(()))) => mine += by + 1,
                    (end, outcome) => panic!("{end}: {outcome:?}"),
                }
            }
            booked.fetch_add(mine, Ordering::SeqCst);
        });
    }
    let space = crew.finish();
    assert_eq!(accounts.iter().map(TVar::load).sum::<i64>(), booked.load(Ordering::SeqCst));
    settles_to(&space, &live, 0);
}

/// §3.1: who waits is woken by batches: tokens go round.
#[test]
fn token_rings() {
    let mut crew = Crew::new("coalesced rings");
    let tokens = crew.vars(2, |_| 0u64);
    for me in 0..8 {
        let token = tokens[me / 4].clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(me);
            loop {
                let over = me % 4 == 0 && !clock.running();
                let going = mixed(&space, &mut random).run(|tx| {
                    let at = *tx.read(&token);
                    if at == u64::MAX {
                        return Ok(false);
                    }
                    tx.check(at % 4 == me as u64 % 4)?;
                    tx.write(&token, if over { u64::MAX } else { at + 1 });
                    Ok(!over)
                });
                clock.tick();
                if going == Ok(false) {
                    break;
                }
            }
        });
    }
    crew.finish();
}
