//! Stress: books that must balance (§1.4, §2.2, §2.3, §4.4, §4.5).

mod blocking_common;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use blocking_common::crew::{Crew, Random};
use tvar::{Isolation, Space, TVar, Tx, TxOptions};

const ACCOUNTS: usize = 48;
const TOTAL: i64 = ACCOUNTS as i64 * 100;

/// Books one transfer between two accounts.
fn transfer(tx: &Tx<'_>, from: &TVar<i64>, to: &TVar<i64>, amount: i64) {
    let balance = *tx.read(from);
    if balance >= amount {
        tx.write(from, balance - amount);
        tx.modify(to, |b| b + amount);
    }
}

/// §1.4, §1.5, §2.2, §2.5: transfers, with auditors by snapshot and by read-only transaction.
#[test]
fn transfers_and_auditors() {
    let mut crew = Crew::new("transfers");
    let accounts = crew.vars(ACCOUNTS, |_| 100i64);
    for seed in 0..6 {
        let accounts = accounts.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let snapshot = TxOptions::new().space(&space).isolation(Isolation::Snapshot);
            while clock.running() {
                let (from, to) = random.two_below(ACCOUNTS);
                let amount = random.below(40) as i64;
                let book = |tx: &Tx<'_>| {
                    transfer(tx, &accounts[from], &accounts[to], amount);
                    Ok(())
                };
                if seed % 2 == 0 {
                    space.atomically(book);
                } else {
                    snapshot.run(book).unwrap();
                }
            }
        });
    }
    let audited = accounts.clone();
    crew.spawn(move |clock, space| {
        let mut version = 0;
        while clock.running() {
            let snap = space.snapshot();
            let total: i64 = audited.iter().map(|a| snap.read(a)).sum();
            assert_eq!(total, TOTAL, "snapshot {}", snap.version());
            assert!(audited.iter().all(|a| *snap.read(a) >= 0));
            assert!(snap.version() >= version);
            version = snap.version();
        }
    });
    let audited = accounts.clone();
    crew.spawn(move |clock, space| {
        while clock.running() {
            let mut runs = 0;
            let total: i64 = space.atomically(|tx| {
                runs += 1;
                Ok(audited.iter().map(|a| tx.read(a)).sum())
            });
            assert_eq!((total, runs), (TOTAL, 1));
        }
    });
    crew.finish();
    assert_eq!(accounts.iter().map(TVar::load).sum::<i64>(), TOTAL);
}

/// §1.4: not even a doomed attempt sees two halves of different commits.
#[test]
fn opacity() {
    let mut crew = Crew::new("opacity");
    let accounts = crew.vars(ACCOUNTS, |_| 100i64);
    for seed in 0..8 {
        let accounts = accounts.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let (from, to) = random.two_below(ACCOUNTS);
                space.atomically(|tx| {
                    let total: i64 = accounts.iter().map(|a| tx.read(a)).sum();
                    assert_eq!(total, TOTAL, "attempt {}", tx.attempt());
                    transfer(tx, &accounts[from], &accounts[to], 7);
                    Ok(())
                });
            }
        });
    }
    crew.finish();
}

/// §2.2: no update is lost, however it is written.
#[test]
fn counters_are_exact() {
    let mut crew = Crew::new("counters");
    let counters = crew.vars(3, |_| 0u64);
    let boxed = crew.var(vec![0u64]);
    let made = Arc::new(AtomicU64::new(0));
    for seed in 0..8 {
        let (counters, boxed, made) = (counters.clone(), boxed.clone(), made.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let mut mine = 0;
            while clock.running() {
                let v = &counters[random.below(3)];
                match random.below(6) {
                    0 => v.update(|x| x + 1),
                    1 => space.atomically(|tx| {
                        let x = *tx.read(v);
                        tx.write(v, x + 1);
                        Ok(())
                    }),
                    2 => space.atomically(|tx| {
                        tx.modify(v, |x| x + 1);
                        Ok(())
                    }),
                    3 => space.atomically(|tx| {
                        let x = *tx.replace(v, 0);
                        tx.write(v, x + 1);
                        Ok(())
                    }),
                    4 => space.atomically(|tx| {
                        tx.merge(v, |x| x + 1);
                        Ok(())
                    }),
                    _ => boxed.update(|b| vec![b[0] + 1]),
                };
                mine += 1;
            }
            made.fetch_add(mine, Ordering::SeqCst);
        });
    }
    crew.finish();
    let sum = counters.iter().map(TVar::load).sum::<u64>() + boxed.load()[0];
    assert_eq!(sum, made.load(Ordering::SeqCst));
}

/// §2.3: disjoint writers never run again, however near their variables are.
#[test]
fn disjoint_writers_do_not_conflict() {
    let mut crew = Crew::new("disjoint");
    let vars = crew.vars(8, |_| 0u64);
    let texts = crew.vars(8, |_| String::new());
    for i in 0..8 {
        let (v, text) = (vars[i].clone(), texts[i].clone());
        crew.spawn(move |clock, space| {
            let (mut done, mut runs) = (0, 0);
            while clock.running() {
                space.atomically(|tx| {
                    runs += 1;
                    tx.modify(&v, |x| x + 1);
                    tx.write(&text, tx.read(&v).to_string());
                    Ok(())
                });
                done += 1;
            }
            assert_eq!(runs, done);
            assert_eq!((v.load(), text.load()), (done, done.to_string()));
        });
    }
    let stats = crew.finish().stats();
    assert_eq!((stats.conflicts, stats.reruns), (0, 0));
}

/// §2.2: write skew is rejected: of two signs one stays set.
#[test]
fn no_write_skew() {
    let mut crew = Crew::new("write skew");
    let pairs = crew.vars(8, |_| true);
    for seed in 0..7 {
        let pairs = pairs.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let i = random.below(4) * 2;
                let (a, b) = if random.below(2) == 0 { (&pairs[i], &pairs[i + 1]) } else { (&pairs[i + 1], &pairs[i]) };
                space.atomically(|tx| {
                    if *tx.read(a) && *tx.read(b) {
                        tx.write(a, false);
                    } else {
                        tx.write(a, true);
                    }
                    Ok(())
                });
            }
        });
    }
    crew.spawn(move |clock, space| {
        while clock.running() {
            let snap = space.snapshot();
            for pair in pairs.chunks(2) {
                assert!(*snap.read(&pair[0]) || *snap.read(&pair[1]));
            }
        }
    });
    crew.finish();
}

/// §4.5: merges, writes and reads of the same variables mixed.
#[test]
fn merges_and_writes() {
    let mut crew = Crew::new("merges");
    let sums = crew.vars(2, |_| 0u64);
    let list = crew.var(Vec::<u64>::new());
    let made = Arc::new(AtomicU64::new(0));
    for seed in 0..8 {
        let (sums, list, made) = (sums.clone(), list.clone(), made.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let mut mine = 0;
            while clock.running() {
                let n = random.below(10) as u64;
                match random.below(5) {
                    0 | 1 => space.atomically(|tx| {
                        tx.merge(&sums[0], move |x| x + n);
                        tx.merge(&sums[1], move |x| x + n);
                        Ok(())
                    }),
                    2 => space.atomically(|tx| {
                        tx.modify(&sums[0], |x| x + n);
                        tx.merge(&sums[1], move |x| x + n);
                        Ok(())
                    }),
                    3 => space.atomically(|tx| {
                        tx.merge(&sums[0], move |x| x + n);
                        let first = *tx.read(&sums[0]);
                        tx.write(&sums[1], first);
                        Ok(())
                    }),
                    _ => {
                        space.atomically(|tx| {
                            tx.merge(&list, move |l| {
                                let mut l = l.clone();
                                l.push(n);
                                l.drain(..l.len().saturating_sub(20));
                                l
                            });
                            let (a, b) = (*tx.read(&sums[0]), *tx.read(&sums[1]));
                            assert_eq!(a, b);
                            tx.merge(&sums[0], move |x| x + n);
                            tx.write(&sums[1], b + n);
                            Ok(())
                        });
                    }
                }
                mine += n;
            }
            made.fetch_add(mine, Ordering::SeqCst);
        });
    }
    crew.finish();
    let made = made.load(Ordering::SeqCst);
    assert_eq!((sums[0].load(), sums[1].load()), (made, made));
    assert!(list.load().len() <= 20);
}

/// §4.5: tickets by `merge_then`: each number once, and merges alone never conflict.
#[test]
fn tickets() {
    let mut crew = Crew::new("tickets");
    let ticket = crew.var(0u64);
    let all = Arc::new(Mutex::new(BTreeSet::new()));
    for _ in 0..8 {
        let (ticket, all) = (ticket.clone(), all.clone());
        crew.spawn(move |clock, space| {
            let mut mine = Vec::new();
            while clock.running() {
                let drawn = space.atomically(|tx| Ok(tx.merge_then(&ticket, |t| t + 1, |t| *t)));
                mine.push(drawn.unwrap());
            }
            assert!(mine.is_sorted(), "the later ticket is higher");
            let mut all = all.lock().unwrap();
            for ticket in mine {
                assert!(all.insert(ticket), "ticket {ticket} twice");
            }
        });
    }
    let space = crew.finish();
    let all = all.lock().unwrap();
    assert_eq!(ticket.load(), all.len() as u64);
    assert_eq!((all.first(), all.last()), (Some(&1), Some(&ticket.load())));
    assert_eq!(space.stats().conflicts, 0);
}

/// §4.4: large transactions beside small ones, all with a low threshold.
#[test]
fn everybody_commits() {
    let mut crew = Crew::new("everybody");
    let vars = crew.vars(100, |_| 0u64);
    let done = Arc::new(AtomicU64::new(0));
    for seed in 0..8 {
        let (vars, done) = (vars.clone(), done.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let options = TxOptions::new().space(&space).escalate_after(2);
            let mut mine = 0;
            while clock.running() || mine == 0 {
                let size = if seed < 2 { 100 } else { 3 };
                let from = random.below(100);
                let result = options.run(|tx| {
                    for i in 0..size {
                        tx.modify(&vars[(from + i) % 100], |x| x + 1);
                    }
                    Ok(())
                });
                assert_eq!(result, Ok(()));
                mine += size as u64;
            }
            done.fetch_add(mine, Ordering::SeqCst);
        });
    }
    crew.finish();
    let sum: u64 = vars.iter().map(TVar::load).sum();
    assert_eq!(sum, done.load(Ordering::SeqCst));
}

/// §2.8, §4.4: panics, aborts, retries and turns mixed; the books stay right.
#[test]
fn all_kinds_of_ends() {
    let mut crew = Crew::new("ends");
    let accounts = crew.vars(ACCOUNTS, |_| 100i64);
    for seed in 0..8 {
        let accounts = accounts.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let options = TxOptions::new().space(&space).escalate_after(1);
            while clock.running() {
                let (a, b) = random.two_below(ACCOUNTS);
                let (a, b) = (&accounts[a], &accounts[b]);
                let amount = random.below(30) as i64;
                let end = random.below(6);
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    options.try_run(|tx| {
                        tx.modify(a, |x| x - amount);
                        tx.modify(b, |x| x + amount);
                        match end {
                            0 => resume_unwind(Box::new("planned")),
                            1 => tx.abort("abort"),
                            2 => Ok(tx.retry_for(Duration::from_micros(50))?),
                            3 => {
                                let part: Result<(), i64> = tx.nested(|tx| {
                                    tx.modify(a, |x| x + 1000);
                                    tx.abort(*tx.read(a))
                                })?;
                                assert!(part.is_err());
                                Ok(())
                            }
                            _ => Ok(()),
                        }
                    })
                }));
                match end {
                    0 => assert!(outcome.is_err()),
                    1 => assert!(outcome.unwrap().is_err()),
                    _ => assert!(outcome.unwrap().is_ok()),
                }
            }
        });
    }
    crew.finish();
    assert_eq!(accounts.iter().map(TVar::load).sum::<i64>(), TOTAL);
}

/// §1.1: several spaces at once, each with its own truth.
#[test]
fn spaces_side_by_side() {
    let mut crew = Crew::new("spaces");
    let spaces: Vec<_> = (0..4)
        .map(|_| {
            let space = Space::new();
            let number = TVar::new_in(&space, 0);
            let text = TVar::new_in(&space, String::from("0"));
            (space, number, text)
        })
        .collect();
    for seed in 0..8 {
        let spaces = spaces.clone();
        crew.spawn(move |clock, _| {
            let mut random = Random::new(seed);
            while clock.running() {
                let (space, number, text) = &spaces[random.below(4)];
                space.atomically(|tx| {
                    let n = *tx.read(number);
                    assert_eq!(*tx.read(text), n.to_string());
                    tx.write(number, n + 1);
                    tx.write(text, (n + 1).to_string());
                    Ok(())
                });
                // A space of one moment.
                let brief = Space::new();
                let v = TVar::new_in(&brief, 1);
                v.store(2);
                assert_eq!(*brief.snapshot().read(&v), 2);
            }
        });
    }
    crew.finish();
    for (space, number, text) in spaces.iter() {
        assert_eq!(text.load(), number.load().to_string());
        assert_eq!(space.stats().commits, number.load());
    }
}
