//! §5.3, §1.4, L3: a lock gives the newest value; the snapshot moves forward, and what was handed out stays.
#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod common;
mod locks_common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{Census, elsewhere as scoped, settle as reclaimed};
use locks_common::{Actor, Event, V, elsewhere, join, no_trace, table, vars};
use tvar::LockMode::{Exclusive, Shared};
use tvar::hooks::{self, Point};
use tvar::{Isolation, Space, TVar};

/// §5.3: references from before the move stay and keep their values, own writes stay, reads after it see the new version.
#[test]
fn what_was_handed_out_stays() {
    let space = Space::new();
    let text = |s: &str| TVar::new_in(&space, String::from(s));
    let (read, written, locked, late) = (text("read"), text("written"), text("locked"), text("late"));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let old = tx.read(&read);
        tx.write(&written, "own".into());
        let own = tx.read(&written);
        scoped(|| {
            locked.store("locked 2".into());
            late.store("late 2".into());
            written.store("foreign".into());
        });
        assert_eq!(tx.read_locked(&locked, Exclusive)?, "locked 2");
        assert_eq!(tx.read(&late), "late 2", "the whole snapshot has moved");
        assert_eq!((old.as_str(), own.as_str(), tx.read(&written).as_str()), ("read", "own", "own"));
        // A second move, with more references.
        let second = tx.read(&late);
        scoped(|| {
            locked_other(&space);
            written.store("foreign 2".into());
        });
        tx.lock(&written, Shared)?;
        assert_eq!((old.as_str(), second.as_str(), tx.read(&written).as_str()), ("read", "late 2", "own"));
        tx.write(&locked, "locked 3".into());
        Ok(())
    });
    assert_eq!(runs, 1);
    assert_eq!((written.load().as_str(), locked.load().as_str()), ("own", "locked 3"));
    assert_eq!(table(&space), "");
}

/// A move with own writes of variables that nobody has written before, that have just been made in a used slot, or that a commit before the
/// move has written.
#[test]
fn writes_of_fresh_variables_move_along() {
    let (space, census) = (Space::new(), Census::new());
    let [locked] = vars(&space, ["locked"]);
    let [fresh, met, used] = [1, 2, 3].map(|id| TVar::new_in(&space, census.value(id)));
    used.store(census.value(4));
    drop(used);
    reclaimed(&space, || census.live() == 2);
    let mut runs = 0;
    let made = space.atomically(|tx| {
        runs += 1;
        let made = TVar::new_in(&space, census.value(5));
        tx.write(&made, census.value(6));
        tx.write(&fresh, census.value(7));
        tx.write(&met, census.value(8));
        scoped(|| {
            locked.store(1);
            met.store(census.value(9));
        });
        assert_eq!(tx.read_locked(&locked, Exclusive)?, &1);
        assert_eq!([&made, &fresh, &met].map(|var| tx.read(var).id), [6, 7, 8]);
        let more = census.value(tx.read(&fresh).id + 10);
        tx.write(&fresh, more);
        Ok(made)
    });
    let snapshot = space.snapshot();
    assert_eq!((runs, [&made, &fresh, &met].map(|var| snapshot.read(var).id)), (1, [6, 17, 8]));
    drop((made, fresh, met, snapshot));
    reclaimed(&space, || census.live() == 0);
}

/// Variables that are so new that nothing in the tree is near them.
#[test]
fn writes_to_many_new_variables_move_along() {
    let space = Space::new();
    let [locked] = vars(&space, ["locked"]);
    let made = space.atomically(|tx| {
        let made: Vec<TVar<i64>> = (0..1000).map(|_| TVar::new_in(&space, 0)).collect();
        made.iter().for_each(|var| tx.write(var, 5));
        scoped(|| locked.update(|n| n + 1));
        tx.lock(&locked, Exclusive)?;
        Ok(made)
    });
    assert!(made.iter().all(|var| var.load() == 5));
}

/// Some commit that has nothing to do with anything.
fn locked_other(space: &Space) {
    TVar::new_in(space, 0).store(1);
}

/// §1.4, §2.9: `Space::snapshot` inside the transaction agrees with its reads, before and after each move.
#[test]
fn snapshots_inside_agree_with_the_reads() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let kept = space.atomically(|tx| {
        let mut kept = vec![space.snapshot()];
        scoped(|| {
            space.atomically(|tx| {
                tx.write(&v, 1);
                tx.write(&w, -1);
                Ok(())
            })
        });
        let old = space.snapshot();
        assert_eq!((*old.read(&v), old.version()), (*kept[0].read(&v), kept[0].version()));
        scoped(|| w.store(-2));
        tx.lock(&w, Shared)?;
        let now = space.snapshot();
        assert_eq!((*now.read(&w), now.version()), (-2, space.version_of(&now)));
        assert!(now.version() > kept[0].version());
        kept.push(now);
        assert_eq!(*tx.read(&v), 1);
        assert_eq!(*tx.read(&w), -2);
        Ok(kept)
    });
    assert_eq!(kept.iter().map(|s| (*s.read(&v), *s.read(&w))).collect::<Vec<_>>(), [(0, 0), (1, -2)]);
    no_trace(&space, &[&v, &w]);
}

trait VersionOf {
    fn version_of(&self, snapshot: &tvar::Snapshot) -> u64;
}

impl VersionOf for Space {
    /// The version that the snapshot has: the newest when nobody commits.
    fn version_of(&self, snapshot: &tvar::Snapshot) -> u64 {
        assert_eq!(self.version(), snapshot.version());
        self.version()
    }
}

/// §5.3: many moves in one attempt; each lock brings what was committed since.
#[test]
fn the_snapshot_moves_as_often_as_needed() {
    let space = Space::new();
    let many: Vec<TVar<String>> = (0..50).map(|_| TVar::new_in(&space, String::from("0"))).collect();
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let mut seen = Vec::new();
        for (i, v) in many.iter().enumerate() {
            scoped(|| many[i..].iter().for_each(|v| v.store(format!("{i}"))));
            seen.push(tx.read_locked(v, if i % 2 == 0 { Shared } else { Exclusive })?);
        }
        for (i, value) in seen.iter().enumerate() {
            assert_eq!(**value, i.to_string());
        }
        many.iter().for_each(|v| tx.modify(v, |text| format!("{text}!")));
        Ok(())
    });
    assert_eq!(runs, 1);
    assert!(many.iter().enumerate().all(|(i, v)| v.load() == format!("{i}!")));
    assert_eq!(table(&space), "");
}

/// §5.3: whatever was read and is stale ends the attempt, with the lock kept for the next; a swallowed stop stands.
#[test]
fn a_stale_read_restarts_the_attempt() {
    for swallowed in [false, true] {
        let space = Space::new();
        let [v, w] = vars(&space, ["v", "w"]);
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            let seen = *tx.read(&w);
            if runs == 1 {
                scoped(|| {
                    space.atomically(|tx| {
                        tx.write(&v, 1);
                        tx.write(&w, 1);
                        Ok(())
                    })
                });
            } else {
                assert_eq!(table(&space), "v: #1x");
            }
            let locked = tx.lock(&v, Exclusive);
            if swallowed {
                // The snapshot stays where it was: no half of another commit is seen (§1.4).
                assert_eq!((*tx.read(&v), *tx.read(&w)), (seen, seen));
                tx.write(&v, 1000 + runs);
                return Ok(());
            }
            locked?;
            assert_eq!((*tx.read(&v), seen), (1, 1));
            Ok(tx.write(&v, 1000 + runs))
        });
        assert_eq!((runs, v.load(), space.stats().conflicts), (2, 1002, 1));
        no_trace(&space, &[&v, &w]);
    }
}

/// §5.3: what was read earlier of the very variable that is locked counts like any read.
#[test]
fn locking_what_was_read_before_and_is_stale_restarts() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let before = *tx.read(&v);
        if runs == 1 {
            scoped(|| v.store(5));
        }
        assert_eq!(*tx.read_locked(&v, Exclusive)?, before);
        Ok(tx.write(&v, before + 1))
    });
    assert_eq!((runs, v.load()), (2, 6));
}

/// §2.2, §5.3: under snapshot isolation a write from before the lock must not overwrite what was committed since; one from after it may. Reads
/// count for the move, since the closure has seen them (§1.4).
#[test]
fn moves_under_snapshot_isolation() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let options = space.options().isolation(Isolation::Snapshot);
    for (early, expected) in [(true, 2), (false, 1)] {
        let mut runs = 0;
        options
            .run(|tx| {
                runs += 1;
                if early {
                    tx.write(&w, 7);
                }
                if runs == 1 {
                    scoped(|| {
                        v.update(|n| n + 1);
                        w.update(|n| n + 1);
                    });
                }
                tx.lock(&v, Exclusive)?;
                tx.write(&w, 8);
                Ok(tx.modify(&v, |n| n + 1))
            })
            .unwrap();
        assert_eq!((runs, w.load()), (expected, 8), "early: {early}");
    }
    assert_eq!(v.load(), 4);
    no_trace(&space, &[&v, &w]);
}

/// §4.5: merges from before the move are applied to the newest value, of unwritten, written and boxed variables.
#[test]
fn merges_from_before_a_move() {
    let space = Space::new();
    let [v, n] = vars(&space, ["v", "n"]);
    let text = TVar::new_in(&space, String::from("a"));
    let after = space.atomically(|tx| {
        tx.merge(&n, |n| n + 100);
        let after = tx.merge_then(&text, |text| format!("{text}c"), String::clone);
        if tx.attempt() == 1 {
            scoped(|| {
                v.store(1);
                n.store(5);
                text.store("b".into());
            });
        }
        tx.lock(&v, Exclusive)?;
        Ok(after)
    });
    assert_eq!((n.load(), text.load().as_str(), after.unwrap().as_str()), (105, "bc", "bc"));
    assert_eq!(space.stats().conflicts, 0);
}

/// §1.7: boxed values: each is dropped once, when nothing can reach it; what was handed out before a move lives to the end of the attempt.
#[test]
fn values_are_dropped_once_moves_or_not() {
    let space = Space::new();
    let census = Census::new();
    let [l] = vars(&space, ["l"]);
    {
        let vars: Vec<_> = (0..4).map(|i| TVar::new_in(&space, census.value(i))).collect();
        for round in 0..20u64 {
            space.atomically(|tx| {
                // Read, overwritten later; written before the move; written by others before the move; written after it.
                let old = tx.read(&vars[0]).id;
                tx.write(&vars[1], census.value(100 + round));
                scoped(|| {
                    l.update(|n| n + 1);
                    vars[1].store(census.value(200 + round));
                    vars[2].store(census.value(300 + round));
                });
                let kept = tx.read(&vars[0]);
                tx.lock(&l, Exclusive)?;
                assert_eq!((kept.id, tx.read(&vars[2]).id, tx.read(&vars[1]).id), (old, 300 + round, 100 + round));
                tx.write(&vars[3], census.value(400 + round));
                tx.write(&vars[0], census.value(500 + round));
                assert!(census.alive(old) && kept.id == old);
                Ok(())
            });
        }
        reclaimed(&space, || census.live() == 4);
    }
    reclaimed(&space, || census.live() == 0);
    assert_eq!(census.dropped(), 4 + 20 * 5);
    assert_eq!(space.stats().conflicts, 0);
}

/// §1.7, §4.3: values of a lost or aborted attempt that has moved are dropped too, and what its snapshots alone have kept.
#[test]
fn an_attempt_that_fails_after_a_move_leaves_nothing() {
    let space = Space::new();
    let census = Census::new();
    let [l, w] = vars(&space, ["l", "w"]);
    let v = TVar::new_in(&space, census.value(0));
    for round in 1..=10u64 {
        let aborted: Result<(), u64> = space.try_atomically(|tx| {
            tx.read(&w);
            tx.write(&v, census.value(1000 + round));
            if tx.attempt() == 1 {
                // Later its lock is in the way: it stays from attempt to attempt.
                scoped(|| {
                    l.update(|n| n + 1);
                    v.store(census.value(round));
                });
            }
            tx.lock(&l, Shared)?;
            let kept = tx.read(&v).id;
            assert_eq!(kept, 1000 + round);
            if tx.attempt() == 1 {
                scoped(|| {
                    w.update(|n| n + 1);
                    l.load()
                });
                tx.refresh()?;
            }
            tx.abort(round)
        });
        assert_eq!(aborted, Err(round));
        assert_eq!(table(&space), "");
    }
    reclaimed(&space, || census.live() == 1);
    drop(v);
    reclaimed(&space, || census.live() == 0);
}

/// §3.1: what is waited for after a move is a change since the moved-to snapshot.
#[test]
fn a_retry_after_a_move_sleeps_until_the_next_change() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let runs = Arc::new(AtomicU64::new(0));
    let (s, x, y, count) = (space.clone(), v.clone(), w.clone(), runs.clone());
    let sleeper = thread::spawn(move || {
        s.atomically(|tx| {
            if count.fetch_add(1, Ordering::SeqCst) == 0 {
                let (x, y) = (x.clone(), y.clone());
                elsewhere(move || {
                    x.store(1);
                    y.store(1);
                });
            }
            tx.lock(&x, Exclusive)?;
            tx.check(*tx.read(&y) == 2)?;
            Ok(*tx.read(&x))
        })
    });
    locks_common::eventually("it sleeps", || space.stats().parked == 1);
    assert_eq!((table(&space).as_str(), space.waiters()), ("", 1));
    assert_eq!(runs.load(Ordering::SeqCst), 1, "the changes from before the move have not woken it");
    w.store(2);
    assert_eq!((join("it wakes", sleeper), runs.load(Ordering::SeqCst), space.waiters()), (1, 2, 0));
    no_trace(&space, &[&v, &w]);
}

/// C7, C8: a commit on the snapshot that its attempt has moved to takes announced ones along, decides them, and holds on to what it looks at.
#[test]
fn a_commit_after_a_move_takes_announced_ones_along() {
    let space = Space::new();
    let [l, a, b, c] = vars(&space, ["l", "a", "b", "c"]);
    for _ in 0..20 {
        let mover = Actor::start(&space, "M");
        mover.read(&c);
        let x = l.clone();
        elsewhere(move || x.update(|n| n + 1));
        mover.lock(&l, Exclusive);
        mover.write(&a, 1);
        // Nothing has been committed since the move: now somebody announces, and stops.
        let pause = Arc::new((Mutex::new(false), std::sync::Condvar::new()));
        let (go, s, y) = (pause.clone(), space.clone(), b.clone());
        let (tell, told) = std::sync::mpsc::channel();
        let announcer = thread::spawn(move || {
            let _hook = hooks::on_this_thread(move |point| {
                if point == Point::Announced {
                    tell.send(()).unwrap();
                    let _unused = go.1.wait_while(go.0.lock().unwrap(), |go| !*go).unwrap();
                }
            });
            s.options().coalesce_after(0).run(|tx| Ok(tx.merge(&y, |n| n + 1))).unwrap();
        });
        told.recv().unwrap();
        mover.commit();
        *pause.0.lock().unwrap() = true;
        pause.1.notify_all();
        join("the announcer", announcer);
    }
    assert_eq!((a.load(), b.load()), (1, 20));
    no_trace(&space, &[&l, &a, &b, &c]);
}

/// A thread that does what it is told, one thing after another.
struct Worker(std::sync::mpsc::SyncSender<Box<dyn FnOnce() + Send>>);

impl Worker {
    fn new() -> Worker {
        let (tell, told) = std::sync::mpsc::sync_channel::<Box<dyn FnOnce() + Send>>(0);
        thread::spawn(move || told.into_iter().for_each(|work| work()));
        Worker(tell)
    }

    fn has_done(&self, work: impl FnOnce() + Send + 'static) {
        let (tell, told) = std::sync::mpsc::channel();
        self.0
            .send(Box::new(move || {
                work();
                tell.send(()).unwrap();
            }))
            .unwrap();
        told.recv_timeout(locks_common::PATIENCE).expect("the worker does it");
    }
}

/// I7: a variable that was written before a move and lost its last handle meanwhile: its slot stays out of use until the commit is over, though
/// a merge function of somebody else runs in the middle of it.
#[test]
fn slots_stay_out_of_use_during_a_commit_after_a_move() {
    let space = Space::new();
    let [l] = vars(&space, ["l"]);
    let m = TVar::new_in(&space, 0u64);
    let census = Census::new();
    // Written before, so that the write set holds no handle.
    let doomed = TVar::new_in(&space, census.value(1));
    doomed.store(census.value(2));
    let worker = Arc::new(Worker::new());
    let newcomers: Arc<Mutex<Vec<TVar<u64>>>> = Arc::default();
    let during = Arc::new(Mutex::new(None));
    let (s, x, news, log, counts) = (space.clone(), l.clone(), newcomers.clone(), during.clone(), census.clone());
    let announcer = elsewhere(move || {
        let mut doomed = Some(doomed);
        // Under snapshot isolation, which has no shorter way to commit.
        let options = s.options().isolation(Isolation::Snapshot);
        let result = options.run(|tx| {
            let doomed = doomed.take().expect("one run");
            tx.write(&doomed, counts.value(3));
            // The last handle goes on another thread, before the move.
            let l = x.clone();
            worker.has_done(move || {
                drop(doomed);
                l.update(|n| n + 1);
            });
            tx.lock(&x, Exclusive)?;
            // Somebody announces a merge, and stops; its function makes new variables while this thread runs it.
            let (s2, m, worker, news, log, counts) =
                (s.clone(), m.clone(), worker.clone(), news.clone(), log.clone(), counts.clone());
            let (tell, told) = std::sync::mpsc::channel();
            let announcer = thread::spawn(move || {
                let mut tell = Some(tell);
                let _hook = hooks::on_this_thread(move |point| {
                    if point == Point::Announced
                        && let Some(tell) = tell.take()
                    {
                        tell.send(()).unwrap();
                        thread::park_timeout(std::time::Duration::from_secs(2));
                    }
                });
                let maker = s2.clone();
                let merge = move |n: &u64| {
                    let (maker, news, log, counts) = (maker.clone(), news.clone(), log.clone(), counts.clone());
                    if news.lock().unwrap().is_empty() {
                        worker.has_done(move || {
                            // Each is a reason for the vacuum to look again.
                            (0..50).for_each(|_| drop(TVar::new_in(&maker, String::from("x"))));
                            news.lock().unwrap().extend((0..600).map(|_| TVar::new_in(&maker, 1u64)));
                            *log.lock().unwrap() = Some((counts.alive(2), counts.alive(3)));
                        });
                    }
                    n + 1
                };
                s2.options().coalesce_after(0).run(|tx| Ok(tx.merge(&m, merge.clone()))).unwrap();
            });
            told.recv().unwrap();
            Ok(announcer)
        });
        result.unwrap()
    });
    announcer.thread().unpark();
    join("the announcer", announcer);
    let newcomers = newcomers.lock().unwrap();
    assert!(newcomers.iter().all(|v| v.load() == 1), "a new variable has a dead one's value");
    assert_eq!(*during.lock().unwrap(), Some((true, true)), "the commit's slots are still its own");
}

/// §5.3: a lock on a variable that nobody has written since the snapshot moves nothing.
#[test]
fn no_move_without_need() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let a = Actor::start(&space, "A");
    assert_eq!(a.read(&w), 0);
    let y = w.clone();
    elsewhere(move || y.store(1));
    a.lock(&v, Exclusive);
    assert_eq!(a.read(&w), 0, "read-only so far: it stays at its snapshot");
    a.commit();
    let b = Actor::start(&space, "B");
    b.read(&w);
    let (x, y) = (v.clone(), w.clone());
    elsewhere(move || {
        y.store(2);
        x.store(2);
    });
    b.want(&v, Exclusive);
    assert_eq!(b.event(), Event::Began(2));
    b.commit();
    let _: &V = &v;
    no_trace(&space, &[&v, &w]);
}
