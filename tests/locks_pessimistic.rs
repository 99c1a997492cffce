//! §5.2: `pessimistic`: what locks by itself, and in which mode; transfers and random programs keep what they must.

mod locks_common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use locks_common::{Actor, Event, V, elsewhere, in_line, join, no_trace, table, vars};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Isolation, Space, TVar, Tx};

fn pessimist(space: &Space, label: &'static str) -> Actor {
    Actor::with(space.options().label(label).pessimistic())
}

/// §5.2: each operation takes its lock.
#[test]
fn every_access_locks() {
    type Access = fn(&Tx<'_>, &V);
    let accesses: [(&str, Access, char); 10] = [
        ("read", |tx, v| _ = tx.read(v), 's'),
        ("ensure", |tx, v| tx.ensure(v), 's'),
        ("write", |tx, v| tx.write(v, 1), 'x'),
        ("modify", |tx, v| tx.modify(v, |n| n + 1), 'x'),
        ("replace", |tx, v| _ = tx.replace(v, 1), 'x'),
        ("write_if_changed", |tx, v| _ = tx.write_if_changed(v, 0), 'x'),
        ("merge", |tx, v| tx.merge(v, |n| n + 1), 'x'),
        ("merge_then", |tx, v| drop(tx.merge_then(v, |n| n + 1, |n| *n)), 'x'),
        (
            "read after write",
            |tx, v| {
                tx.write(v, 1);
                tx.read(v);
            },
            'x',
        ),
        (
            "write after read",
            |tx, v| {
                tx.read(v);
                tx.write(v, 1);
            },
            'x',
        ),
    ];
    for (name, access, mode) in accesses {
        let space = Space::new();
        let [v] = vars(&space, ["v"]);
        let a = pessimist(&space, "A");
        let x = v.clone();
        a.ask(move |tx| {
            access(tx, &x);
            Ok(0)
        });
        assert_eq!(table(&space), format!("v: A{mode}"), "{name}");
        a.commit();
        no_trace(&space, &[&v]);
    }
}

/// §5.3: its reads are of the newest values, and stay so: it loses nothing to others, which wait.
#[test]
fn a_pessimist_does_not_lose() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let a = pessimist(&space, "A");
    let x = v.clone();
    elsewhere(move || x.store(1));
    assert_eq!(a.read(&v), 1, "it has moved on");
    let x = v.clone();
    let writer = thread::spawn(move || x.update(|n| n * 10));
    in_line(&space, 1);
    assert_eq!((a.read(&v), a.read(&w)), (1, 0));
    a.write(&v, 2);
    a.commit();
    join("the writer", writer);
    assert_eq!((v.load(), space.stats().reruns), (20, 1));
    no_trace(&space, &[&v, &w]);
}

/// §2.6, A3: reads cannot fail: behind a deadlock, a stale lock or the deadline the closure goes on with its snapshot, to no effect.
#[test]
fn a_read_behind_a_stop_has_the_old_snapshot() {
    let space = Space::new();
    let [a, b, c] = vars(&space, ["a", "b", "c"]);
    let old = pessimist(&space, "old");
    let young = pessimist(&space, "young");
    old.read(&c);
    old.write(&a, 1);
    young.write(&b, 2);
    let y = b.clone();
    old.tell(move |tx| Ok(*tx.read(&y)));
    in_line(&space, 1);
    assert_eq!(young.read(&a), 0, "it has given way, and does not know");
    assert_eq!(old.event(), Event::Done(0));
    young.write(&c, 3);
    young.end();
    assert_eq!(young.event(), Event::Began(2));
    old.commit();
    assert_eq!(young.read(&a), 1);
    young.commit();
    assert_eq!((a.load(), b.load(), c.load()), (1, 0, 0));
    let failing = Actor::with(space.options().pessimistic().timeout(Duration::from_millis(5)));
    let h = Actor::start(&space, "H");
    h.lock(&a, Exclusive);
    assert_eq!(failing.read(&a), 1);
    failing.write(&b, 9);
    failing.end();
    assert!(failing.ended().unwrap_err().is_timeout());
    h.commit();
    assert_eq!(b.load(), 0);
    no_trace(&space, &[&a, &b, &c]);
}

/// §5.4: 8 threads of pessimistic, locking and optimistic transfers among 5 accounts: every one commits, once, and the sum stays.
#[test]
fn transfers_of_all_kinds_keep_the_sum() {
    const ROUNDS: usize = 250;
    let space = Space::new();
    let accounts: Arc<[V]> = (0..5).map(|i| TVar::named_in(&space, format!("a{i}"), 100)).collect();
    let threads: Vec<_> = (0..8usize)
        .map(|t| {
            let (space, accounts) = (space.clone(), accounts.clone());
            thread::spawn(move || {
                let options = space.options().coalesce_after(t as u32 % 4);
                let options = if t % 2 == 0 { options.pessimistic() } else { options };
                let options = if t % 4 == 3 { options.isolation(Isolation::Snapshot) } else { options };
                for i in 0..ROUNDS {
                    let (from, to) = (&accounts[(t + i) % 5], &accounts[(t + i * 3 + 1 + i % 2) % 5]);
                    let transfer = |tx: &Tx<'_>| {
                        if t % 4 == 1 {
                            let first = *tx.read_locked(from, Shared)?;
                            tx.lock(to, Exclusive)?;
                            tx.lock(from, Exclusive)?;
                            assert_eq!(first, *tx.read(from));
                        }
                        tx.modify(from, |n| n - 1);
                        tx.modify(to, |n| n + 1);
                        Ok(())
                    };
                    options.run(transfer).unwrap();
                    if i % 50 == 0 {
                        let sum = space.atomically(|tx| Ok(accounts.iter().map(|a| *tx.read(a)).sum::<i64>()));
                        assert_eq!(sum, 500);
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| join("a thread", thread));
    assert_eq!(accounts.iter().map(V::load).sum::<i64>(), 500);
    // A transfer from an account to itself changes nothing, and is a commit all the same.
    assert_eq!(space.stats().commits, 8 * ROUNDS as u64);
    no_trace(&space, &accounts.iter().collect::<Vec<_>>());
}

/// A small generator of pseudo-random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A committed transaction: its place in the serial order, what it read, what it wrote.
#[derive(Default)]
struct Log {
    ticket: i64,
    reads: Vec<(usize, i64)>,
    writes: BTreeMap<usize, i64>,
}

/// One step of a random transaction.
fn step(tx: &Tx<'_>, vars: &[V], random: &mut Random, log: &mut Log, mark: i64) -> tvar::Stm<()> {
    let i = random.below(vars.len());
    let v = &vars[i];
    let mode = [Shared, Exclusive][random.below(2)];
    match random.below(8) {
        0 => tx.lock(v, mode)?,
        1 => _ = tx.try_lock(v, mode)?,
        2 => _ = tx.lock_for(v, mode, Duration::from_micros(200))?,
        3 | 4 => {
            tx.write(v, mark);
            log.writes.insert(i, mark);
        }
        5 => {
            let seen = *tx.read_locked(v, mode)?;
            if !log.writes.contains_key(&i) {
                log.reads.push((i, seen));
            }
        }
        _ => {
            let seen = *tx.read(v);
            if !log.writes.contains_key(&i) {
                log.reads.push((i, seen));
            } else {
                assert_eq!(seen, log.writes[&i]);
            }
        }
    }
    Ok(())
}

/// §2.2, §5: random transactions with random locks on 4 threads: replayed in the order of their tickets, each read is what the ones before have
/// left.
#[test]
fn random_transactions_have_a_serial_order() {
    for seed in 0..6u64 {
        let space = Space::new();
        let vars: Arc<[V]> = (0..5).map(|i| TVar::named_in(&space, format!("v{i}"), 0)).collect();
        let ticket = TVar::new_in(&space, 0i64);
        let threads: Vec<_> = (0..4u64)
            .map(|t| {
                let (space, vars, ticket) = (space.clone(), vars.clone(), ticket.clone());
                thread::spawn(move || {
                    let mut random = Random(seed * 100 + t);
                    let mut logs = Vec::new();
                    for n in 0..150i64 {
                        let mark = (t as i64 + 1) * 1000 + n;
                        let options = space.options().coalesce_after(random.below(3) as u32).escalate_after(3);
                        let options = if random.below(3) == 0 { options.pessimistic() } else { options };
                        let (late, own) = (random.below(2) == 0, random.0);
                        let log = options
                            .run(|tx| {
                                let mut random = Random(own);
                                let mut log = Log::default();
                                if !late {
                                    tx.lock(&ticket, Exclusive)?;
                                }
                                for _ in 0..1 + random.below(6) {
                                    if random.below(6) == 0 {
                                        // An undone part leaves its reads, and nothing else.
                                        let mut inner = Log::default();
                                        let undone: Result<(), ()> = tx.nested(|tx| {
                                            step(tx, &vars, &mut random, &mut inner, -1)?;
                                            tx.abort(())
                                        })?;
                                        assert!(undone.is_err());
                                    } else {
                                        step(tx, &vars, &mut random, &mut log, mark)?;
                                    }
                                }
                                log.ticket = *tx.read(&ticket);
                                tx.write(&ticket, log.ticket + 1);
                                Ok(log)
                            })
                            .unwrap();
                        random.below(7);
                        logs.push(log);
                    }
                    logs
                })
            })
            .collect();
        let mut logs: Vec<Log> = threads.into_iter().flat_map(|thread| join("a thread", thread)).collect();
        logs.sort_by_key(|log| log.ticket);
        let mut state = [0i64; 5];
        for (at, log) in logs.iter().enumerate() {
            assert_eq!(log.ticket, at as i64, "every ticket once");
            for (i, seen) in &log.reads {
                assert_eq!(state[*i], *seen, "seed {seed}, ticket {at}, v{i}");
            }
            for (i, value) in &log.writes {
                state[*i] = *value;
            }
        }
        assert_eq!(vars.iter().map(V::load).collect::<Vec<_>>(), state);
        assert_eq!((ticket.load(), space.waiters()), (600, 0));
        no_trace(&space, &vars.iter().collect::<Vec<_>>());
    }
}
