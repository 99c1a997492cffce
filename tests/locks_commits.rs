//! §5.3, L2, L5: optimistic commits wait for foreign locks and never overrun them; the announced ones too.
#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod locks_common;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use blocking_common::{Pause, Paused};
use locks_common::{Actor, Event, V, elsewhere, eventually, in_line, join, no_trace, settle, table, vars, waiting};
use tvar::LockMode::{Exclusive, Shared};
use tvar::hooks::{self, Point};
use tvar::{Isolation, LockMode, Space, Tx, TxError};

type Writer = fn(&Tx<'_>, &V);

/// Every way to write: blind, read and written, merged, merged with a result, replaced, compared.
const WAYS: [(&str, Writer); 6] = [
    ("write", |tx, v| tx.write(v, 11)),
    ("modify", |tx, v| tx.modify(v, |n| n + 10)),
    ("merge", |tx, v| tx.merge(v, |n| n + 10)),
    ("merge_then", |tx, v| drop(tx.merge_then(v, |n| n + 10, |n| *n))),
    ("replace", |tx, v| _ = tx.replace(v, 11)),
    ("write_if_changed", |tx, v| _ = tx.write_if_changed(v, 11)),
];

fn options(space: &Space, isolation: Isolation, coalesce_after: u32) -> tvar::TxOptions {
    space.options().label("W").isolation(isolation).coalesce_after(coalesce_after)
}

/// §5.3: each way to write, at both isolations, announced at once or not, against both modes: it waits; the holder's version is never
/// overrun; and only who must runs again.
#[test]
fn every_way_to_write_waits() {
    for (name, write) in WAYS {
        for isolation in [Isolation::Serializable, Isolation::Snapshot] {
            for coalesce_after in [0, 3] {
                for mode in [Shared, Exclusive] {
                    let what = format!("{name} {isolation:?} {coalesce_after} {mode}");
                    let space = Space::new();
                    let [v] = vars(&space, ["v"]);
                    let h = Actor::start(&space, "H");
                    h.lock(&v, mode);
                    let (o, x) = (options(&space, isolation, coalesce_after), v.clone());
                    let writer = thread::spawn(move || {
                        let mut runs = 0;
                        o.run(|tx| {
                            runs += 1;
                            write(tx, &x);
                            Ok(())
                        })
                        .unwrap();
                        runs
                    });
                    in_line(&space, 1);
                    assert_eq!((v.load(), h.read(&v)), (0, 0), "{what}");
                    h.write(&v, 1);
                    h.commit();
                    let runs = join("the writer", writer);
                    let merges = name.starts_with("merge");
                    let blind = name == "write" && isolation == Isolation::Serializable;
                    assert_eq!((v.load(), runs), (11, if merges || blind { 1 } else { 2 }), "{what}");
                    assert_eq!(space.stats().lock_waits, 1, "{what}");
                    no_trace(&space, &[&v]);
                }
            }
        }
    }
}

/// L5: a commit that writes to several locked variables waits for one after the other, and keeps what it has got; others are free.
#[test]
fn a_commit_waits_for_all_that_it_writes() {
    for coalesce_after in [0, 3] {
        let space = Space::new();
        let [a, b, c, d] = vars(&space, ["a", "b", "c", "d"]);
        let holders = [("A", &a), ("B", &b), ("C", &c)].map(|(label, v)| {
            let actor = Actor::start(&space, label);
            actor.lock(v, Exclusive);
            actor
        });
        let (o, all) = (options(&space, Isolation::Serializable, coalesce_after), [&a, &b, &c, &d].map(V::clone));
        let writer = thread::spawn(move || o.run(|tx| Ok(all.iter().for_each(|v| tx.write(v, 5)))));
        for (i, holder) in holders.into_iter().enumerate() {
            in_line(&space, 1);
            assert_eq!([&a, &b, &c, &d].map(V::load), [0; 4], "all or nothing");
            // Whatever it writes and nobody has locked is free until it has a lock on it itself.
            let d = d.clone();
            elsewhere(move || d.update(|n| *n));
            assert_eq!(space.locks().len(), 3, "{i}: {}", table(&space));
            holder.commit();
        }
        assert_eq!(join("the writer", writer), Ok(()));
        assert_eq!([&a, &b, &c, &d].map(V::load), [5; 4]);
        assert_eq!(space.stats().lock_waits, 3);
        no_trace(&space, &[&a, &b, &c, &d]);
    }
}

/// §5.1, §5.3: commits to other variables, reads of locked ones, and read-only transactions go on.
#[test]
fn who_does_not_write_to_it_does_not_wait() {
    let space = Space::new();
    let v = V::named_in(&space, "v", 0);
    let many: Arc<[V]> = (0..600).map(|i| V::named_in(&space, format!("m{i}"), 0)).collect();
    let h = Actor::start(&space, "H");
    h.lock(&v, Exclusive);
    let (s, x) = (space.clone(), v.clone());
    elsewhere(move || {
        let snapshot = s.snapshot();
        // Some of these hash like the locked one.
        for other in many.iter() {
            s.atomically(|tx| {
                let n = *tx.read(&x);
                Ok(tx.write(other, n + 1))
            });
            assert_eq!((*snapshot.read(&x), *s.snapshot().read(&x)), (0, 0));
        }
        assert_eq!(s.atomically(|tx| Ok(tx.read(&x) + many.iter().map(|m| tx.read(m)).sum::<i64>())), 600);
        s.options().isolation(Isolation::Snapshot).coalesce_after(0).run(|tx| Ok(tx.write(&many[0], 3))).unwrap();
    });
    assert_eq!((space.stats().lock_waits, space.stats().conflicts), (0, 0));
    h.commit();
    no_trace(&space, &[&v]);
}

/// L2: a commit that has looked for locks, and built its root, before the lock was taken: its swap fails, and it waits.
#[test]
fn no_grant_between_look_and_swap() {
    for (name, write) in WAYS {
        for coalesce_after in [0, 3] {
            for (point, mode) in [
                (Point::Swap, Exclusive),
                (Point::Swap, Shared),
                (Point::Validate, Exclusive),
                (Point::Validate, Shared),
            ] {
                let what = format!("{name} {coalesce_after} {point:?} {mode}");
                let space = Space::new();
                let [v, w] = vars(&space, ["v", "w"]);
                let (o, x) = (options(&space, Isolation::Serializable, coalesce_after), v.clone());
                let writer = Paused::at(point, move || o.run(|tx| Ok(write(tx, &x))));
                let h = Actor::start(&space, "H");
                h.lock(&v, mode);
                let lost = space.stats().lost_swaps;
                let writer = thread::spawn(move || writer.finish());
                in_line(&space, 1);
                settle();
                assert_eq!((v.load(), h.read(&v)), (0, 0), "{what}");
                // From before the look at the locks, so that it need not lose any.
                let expected = u64::from(point == Point::Swap);
                assert!(space.stats().lost_swaps - lost >= expected, "{what}: {}", space.stats());
                h.write(&w, 1);
                h.commit();
                assert_eq!(join("the writer", writer), Ok(()));
                assert_eq!(v.load(), if name.starts_with("m") { 10 } else { 11 }, "{what}");
                no_trace(&space, &[&v, &w]);
            }
        }
    }
}

/// L2: the same for a lock that is handed on, and one that a commit had stood in line for and the closure asks for then.
#[test]
fn no_grant_between_look_and_swap_of_what_is_handed_on() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let first = Actor::start(&space, "1");
    first.lock(&v, Exclusive);
    let second = Actor::start(&space, "2");
    second.read(&v);
    second.write(&v, 5);
    second.end();
    in_line(&space, 1);
    // Made stale by the first one, so that it runs again, with the lock from its commit.
    first.write(&v, 1);
    first.commit();
    assert_eq!(second.event(), Event::Began(2));
    assert_eq!(table(&space), "v: 2x");
    let x = v.clone();
    let builder = Paused::soon_at(Point::Swap, move || x.update(|n| n + 100));
    in_line(&space, 1);
    second.lock(&v, Exclusive);
    assert_eq!(second.read(&v), 1);
    let y = w.clone();
    elsewhere(move || y.store(1));
    second.write(&v, 2);
    second.commit();
    builder.reached();
    builder.finish();
    assert_eq!(v.load(), 102);
    no_trace(&space, &[&v, &w]);
}

/// L5: an announced commit to a locked variable stays announced, whoever builds; the others of the batch are decided. It then waits in line.
#[test]
fn a_batch_leaves_out_who_writes_to_a_locked_variable() {
    let space = Space::new();
    let [v, free, tick] = vars(&space, ["v", "free", "tick"]);
    let announced = |target: &V| -> Paused<()> {
        let (s, x) = (space.clone(), target.clone());
        Paused::at(Point::Announced, move || {
            s.options().label("M").coalesce_after(0).run(|tx| Ok(tx.merge(&x, |n| n + 1))).unwrap();
        })
    };
    let (left_out, taken) = (announced(&v), announced(&free));
    let h = Actor::start(&space, "H");
    h.lock(&v, Exclusive);
    assert_eq!(free.load(), 0, "the swap of a lock takes nobody along");
    for n in 1..=5 {
        let tick = tick.clone();
        elsewhere(move || tick.store(n));
        assert_eq!((v.load(), free.load()), (0, 1), "after {n} commits");
    }
    assert_eq!(space.stats().batches, 1);
    taken.finish();
    let waits = thread::spawn(move || left_out.finish());
    in_line(&space, 1);
    assert_eq!(table(&space), "v: Hx < Mx");
    h.write(&v, 10);
    h.commit();
    join("it is decided", waits);
    assert_eq!((v.load(), space.stats().announced), (11, 2));
    no_trace(&space, &[&v, &free, &tick]);
}

/// L5, C9: an announced commit whose announcer holds the lock itself is taken along by others; and the holder's own commit takes nobody else's.
#[test]
fn an_announcer_with_the_lock_is_taken_along() {
    let space = Space::new();
    let [v, tick] = vars(&space, ["v", "tick"]);
    let (s, x) = (space.clone(), v.clone());
    let holder = Paused::at(Point::Announced, move || {
        s.options()
            .coalesce_after(0)
            .run(|tx| {
                tx.lock(&x, Exclusive)?;
                Ok(tx.modify(&x, |n| n + 1))
            })
            .unwrap();
    });
    let (s, x) = (space.clone(), v.clone());
    let foreign = Paused::soon_at(Point::Announced, move || {
        s.options().label("F").coalesce_after(0).run(|tx| Ok(tx.merge(&x, |n| n * 10))).unwrap();
    });
    in_line(&space, 1);
    let t = tick.clone();
    elsewhere(move || t.store(1));
    assert_eq!(v.load(), 1, "the holder's, and not the other's");
    let holder = thread::spawn(move || holder.finish());
    join("the holder", holder);
    foreign.finish();
    assert_eq!(v.load(), 10);
    no_trace(&space, &[&v, &tick]);
}

/// §3.5, C9: the time of an announced commit runs out in line: it is withdrawn, and nobody publishes it later.
#[test]
fn an_announced_commit_that_times_out_in_line_is_withdrawn() {
    let space = Space::new();
    let [v, tick] = vars(&space, ["v", "tick"]);
    let (s, x) = (space.clone(), v.clone());
    let limit = Duration::from_millis(200);
    let writer = Paused::at(Point::Announced, move || {
        s.options().coalesce_after(0).timeout(limit).run(|tx| Ok(tx.write(&x, 1)))
    });
    let h = Actor::start(&space, "H");
    h.lock(&v, Shared);
    let t = tick.clone();
    elsewhere(move || t.store(1));
    assert!(writer.finish().unwrap_err().is_timeout());
    assert_eq!(table(&space), "v: Hs");
    h.commit();
    tick.store(2);
    assert_eq!(v.load(), 0);
    no_trace(&space, &[&v, &tick]);
}

/// §5.3: while a lock is held, the value that its holder has seen stays, whatever many others do, in all kinds of commits.
#[test]
fn a_lock_is_never_overrun() {
    let space = Space::new();
    let all: Arc<[V]> = (0..3).map(|i| V::named_in(&space, format!("v{i}"), 0)).collect();
    let going = Arc::new(AtomicUsize::new(5));
    let writers: Vec<JoinHandle<u64>> = (0..5u32)
        .map(|t| {
            let (space, all, going) = (space.clone(), all.clone(), going.clone());
            thread::spawn(move || {
                let isolation = if t % 2 == 0 { Isolation::Serializable } else { Isolation::Snapshot };
                let options = space.options().isolation(isolation).coalesce_after(t % 3);
                for i in 0..300usize {
                    let (name, write) = WAYS[(i + t as usize) % WAYS.len()];
                    let _: &str = name;
                    options
                        .run(|tx| {
                            write(tx, &all[i % 3]);
                            if i % 4 == 0 {
                                write(tx, &all[(i + 1) % 3]);
                            }
                            Ok(())
                        })
                        .unwrap();
                }
                going.fetch_sub(1, Ordering::SeqCst);
                0
            })
        })
        .collect();
    let mut held = 0;
    while going.load(Ordering::SeqCst) > 0 || held == 0 {
        held += 1;
        let mode = [Shared, Exclusive][held % 2];
        let v = &all[held % 3];
        space.atomically(|tx| {
            let before = *tx.read_locked(v, mode)?;
            for _ in 0..3 {
                assert_eq!((v_now(&space, v), *tx.read(v)), (before, before), "overrun");
                thread::yield_now();
            }
            if mode == Exclusive {
                tx.write(v, before + 1);
            }
            Ok(())
        });
    }
    for writer in writers {
        join("a writer", writer);
    }
    assert_eq!(waiting(&space), 0);
    no_trace(&space, &all.iter().collect::<Vec<_>>());
}

/// What is published now, seen from another thread.
fn v_now(_space: &Space, v: &V) -> i64 {
    thread::scope(|scope| scope.spawn(|| v.load()).join().unwrap())
}

/// §7.2: what is counted: one wait for each time in line, however long; deadlocks; no wait where there was none.
#[test]
fn the_statistics_of_locks() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let count = |mode: LockMode| {
        let h = Actor::start(&space, "H");
        h.lock(&v, mode);
        assert!(!Actor::start(&space, "T").try_lock(&v, Exclusive));
        let x = v.clone();
        let writer = thread::spawn(move || x.update(|n| n + 1));
        in_line(&space, 1);
        let r = Actor::start(&space, "R");
        r.want(&v, Exclusive);
        in_line(&space, 2);
        h.commit();
        join("the writer", writer);
        assert_eq!(r.event(), Event::Done(0));
        r.commit();
    };
    count(Shared);
    count(Exclusive);
    eventually("all have ended", || table(&space).is_empty());
    let stats = space.stats();
    assert_eq!((stats.lock_waits, stats.deadlocks, stats.conflicts, stats.reruns), (4, 0, 0, 0));
    let text = stats.to_string();
    assert!(text.contains("4 lock waits") && text.contains("0 deadlocks"), "{text}");
}

/// §5.3: an announced commit that is to give way keeps its locks until it is withdrawn: before that anybody may publish it.
#[test]
fn an_announced_commit_gives_way_with_its_locks() {
    let space = Space::new();
    let [v, w, x, y, z] = vars(&space, ["v", "w", "x", "y", "z"]);
    let (announced, withdraws) = (Pause::new(), Pause::new());
    let first = {
        let (announced, withdraws) = (announced.clone(), withdraws.clone());
        let (at_once, v, w) = (space.options().coalesce_after(0), v.clone(), w.clone());
        thread::spawn(move || {
            let mut stops = vec![(Point::Swap, withdraws), (Point::Announced, announced)];
            let _hook = hooks::on_this_thread(move |point| {
                if let Some((_, pause)) = stops.pop_if(|(at, _)| *at == point) {
                    pause.stop();
                }
            });
            let mut runs = 0;
            at_once
                .run(|tx| {
                    runs += 1;
                    tx.lock(&v, Exclusive)?;
                    Ok(tx.write(&w, 1))
                })
                .unwrap();
            runs
        })
    };
    announced.reached();
    let second = Actor::start(&space, "second");
    for more in [&x, &y, &z] {
        // Least work gives way.
        second.read(more);
    }
    second.lock(&w, Shared);
    announced.release();
    in_line(&space, 1);
    second.write(&v, 2);
    second.end();
    withdraws.reached();
    assert!(second.is_silent());
    assert_eq!((v.load(), w.load()), (0, 0));
    withdraws.release();
    assert_eq!(second.ended(), Ok(()));
    assert_eq!(join("the first", first), 2);
    assert_eq!((v.load(), w.load(), space.stats().deadlocks), (2, 1, 1));
    no_trace(&space, &[&v, &w]);
}

/// C9: a commit that was announced, and whose time is up in line for a lock, is withdrawn by a root of its own, whose swaps others may win.
#[test]
fn a_withdrawal_loses_swaps_like_any_other() {
    const LOST: i64 = 3;
    let space = Space::new();
    let [v, other] = vars(&space, ["v", "other"]);
    let holder = Rc::new(Actor::start(&space, "H"));
    let (h, locked) = (holder.clone(), v.clone());
    let (beside, mut lost) = (other.clone(), 0);
    let strikes = hooks::on_this_thread(move |point| match point {
        Point::Announced => h.lock(&locked, Exclusive),
        Point::Swap if lost < LOST => {
            lost += 1;
            let beside = beside.clone();
            elsewhere(move || beside.update(|n| n + 1));
        }
        _ => {}
    });
    let before = space.stats();
    let options = options(&space, Isolation::Serializable, 0).timeout(Duration::from_millis(20));
    let result = options.run(|tx| Ok(tx.modify(&v, |n| n + 10)));
    drop(strikes);
    assert!(matches!(result, Err(TxError::TimedOut { .. })), "{result:?}");
    assert_eq!((other.load(), space.stats().announced - before.announced), (LOST, 1));
    Rc::into_inner(holder).expect("the hook is gone").commit();
    assert_eq!(v.load(), 0, "withdrawn");
    // Nothing is left on the board.
    let batches = space.stats().batches;
    v.update(|n| n + 1);
    assert_eq!((v.load(), space.stats().batches), (1, batches));
    no_trace(&space, &[&v, &other]);
}
