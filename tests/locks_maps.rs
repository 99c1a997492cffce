//! §5.5, §5.2 to §5.4, §6.1: locks on keys of both kinds of map, whether the keys have entries or not.
#![allow(clippy::unit_arg, reason = "`Ok(map.upsert(...))` is a whole closure")]

mod blocking_common;
mod locks_common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use blocking_common::Paused;
use locks_common::maps::{Map, WAYS, Way};
use locks_common::{Actor, Event, elsewhere, eventually, in_line, join, no_trace, settle, table};
use tvar::LockMode::{Exclusive, Shared};
use tvar::hooks::Point;
use tvar::{Isolation, Space, Stm, TMap, TOrdMap, TVar, Tx};

/// A test for both kinds.
macro_rules! both {
    ($($(#[$doc:meta])* $name:ident => $generic:ident;)*) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            $generic::<TMap<u64, i64>>();
            $generic::<TOrdMap<u64, i64>>();
        }
    )*};
}

both! {
    /// §5.5, §5.3: each way to write a key, that is there or not, waits for either mode; other keys, and all readers, do not; only who has read
    /// what the holder changed runs again.
    every_way_to_write_a_held_key_waits => every_way_waits;
    /// L2: a commit that has looked for locks before the key was locked: its swap fails, and it waits.
    no_grant_between_look_and_swap => no_grant_between;
    /// §5.5: what was reserved by who aborts, panics, times out or whose thread ends is free, for who waits, and who comes later.
    what_was_reserved_is_free_afterwards => reservations_end;
    /// §5.2: the table of modes, asked with `lock`, `try_lock` and `lock_for`, of absent keys and present ones.
    the_matrix_of_modes => matrix;
    /// §5.2, §5.4: an upgrade stands before the line, and goes back with the part that took it.
    upgrades => upgrade;
    /// §5.4: the second upgrade of one key is refused at once, also when tried, and through a commit.
    a_second_upgrade_is_refused => double_upgrade;
    /// §5.2, §3.2, §2.9: undone alternatives and parts release their keys, and only theirs.
    undone_parts_release_their_keys => undone_parts;
    /// §5.2: a lost attempt keeps its keys for one more; a retry keeps none, and sleeps on a key that is absent.
    keys_from_attempt_to_attempt => attempts;
    /// §5.3: while an absent key is held nothing is put there, whatever many others do; all they do comes afterwards, once.
    a_held_key_is_never_overrun => never_overrun;
}

fn every_way_waits<M: Map>() {
    for way in WAYS {
        for old in [None, Some(1)] {
            if !way.writes(old) {
                continue;
            }
            for (mode, isolation) in [
                (Shared, Isolation::Serializable),
                (Exclusive, Isolation::Serializable),
                (Shared, Isolation::Snapshot),
                (Exclusive, Isolation::Snapshot),
            ] {
                let what = format!("{way:?} {old:?} {mode} {isolation:?}");
                let space = Space::new();
                let m = M::make(&space, &old.map(|n| (7, n)).into_iter().collect::<Vec<_>>());
                let h = Actor::start(&space, "H");
                h.lock_key(&m, 7, mode);
                let (s, n) = (space.clone(), m.clone());
                let writer = thread::spawn(move || {
                    let mut runs = 0;
                    let body = |tx: &Tx<'_>| {
                        runs += 1;
                        n.write(tx, 7, 10, way);
                        Ok(())
                    };
                    s.options().isolation(isolation).run(body).unwrap();
                    runs
                });
                in_line(&space, 1);
                let (s, n) = (space.clone(), m.clone());
                elsewhere(move || {
                    s.atomically(|tx| Ok((0..5).for_each(|key| n.write(tx, key, 1, Way::InsertNew))));
                    s.atomically(|tx| Ok(n.write(tx, 8, 1, Way::UpsertWith)));
                    assert_eq!((n.now(&s, 7), s.atomically(|tx| Ok(n.read(tx, 7)))), (old, old));
                    assert_eq!(s.atomically(|tx| Ok(n.size(tx))), 6 + usize::from(old.is_some()));
                    assert_eq!(s.atomically(|tx| Ok(n.sum(tx))), 6 + old.unwrap_or(0));
                });
                settle();
                assert_eq!((m.now(&space, 7), h.get(&m, 7)), (old, old.unwrap_or(-1)), "{what}");
                assert_eq!(space.stats().lock_waits, 1, "{what}");
                h.put(&m, 7, 100, Way::Upsert);
                h.commit();
                let runs = join("the writer", writer);
                let blind = way.is_blind() && isolation == Isolation::Serializable || way == Way::UpsertWith;
                assert_eq!(runs, if blind { 1 } else { 2 }, "{what}: {}", space.stats());
                assert_eq!(m.now(&space, 7), way.applied(Some(100), 10), "{what}");
                no_trace(&space, &[]);
            }
        }
    }
}

fn no_grant_between<M: Map>() {
    for way in WAYS.into_iter().filter(|way| way.writes(Some(1))) {
        for (point, mode) in
            [(Point::Swap, Exclusive), (Point::Swap, Shared), (Point::Validate, Exclusive), (Point::Validate, Shared)]
        {
            let what = format!("{way:?} {point:?} {mode}");
            let space = Space::new();
            let m = M::make(&space, &[(7, 1)]);
            let w = TVar::new_in(&space, 0i64);
            let (s, n, x) = (space.clone(), m.clone(), w.clone());
            let writer = Paused::at(point, move || {
                s.atomically(|tx| {
                    n.write(tx, 7, 10, way);
                    tx.merge(&x, |n| n + 1);
                    Ok(())
                });
            });
            let h = Actor::start(&space, "H");
            h.lock_key(&m, 7, mode);
            let writer = thread::spawn(move || writer.finish());
            in_line(&space, 1);
            settle();
            assert_eq!((m.now(&space, 7), h.get(&m, 7)), (Some(1), 1), "{what}");
            h.put(&m, 8, 5, Way::Upsert);
            h.commit();
            join("the writer", writer);
            assert_eq!((m.now(&space, 7), w.load()), (way.applied(Some(1), 10), 1), "{what}");
            // A `clear` takes out what is there at its commit.
            assert_eq!(m.now(&space, 8), if way == Way::Clear { None } else { Some(5) }, "{what}");
            no_trace(&space, &[&w]);
        }
    }
}

fn reservations_end<M: Map>() {
    for how in ["abort", "panic", "limit", "thread"] {
        let space = Space::new();
        let m = M::make(&space, &[]);
        let (n, (tell, told), (go, gone)) = (m.clone(), channel(), channel::<()>());
        let reserve = move |tx: &Tx<'_>| -> Stm<()> {
            n.lock(tx, 7, Exclusive)?;
            n.write(tx, 7, 1, Way::InsertNew);
            n.write(tx, 8, 1, Way::UpsertWith);
            tell.send(()).unwrap();
            gone.recv().unwrap();
            Ok(())
        };
        let (s, late) = (space.clone(), m.clone());
        let first = thread::spawn(move || match how {
            "abort" => {
                let aborted = s.try_atomically(|tx| {
                    reserve(tx)?;
                    tx.abort::<(), _>("no")
                });
                assert_eq!(aborted, Err("no"));
            }
            "limit" => {
                let failed = s.options().max_attempts(1).run(|tx| {
                    late.read(tx, 1);
                    let (s, n) = (s.clone(), late.clone());
                    elsewhere(move || s.atomically(|tx| Ok(n.write(tx, 1, 1, Way::Upsert))));
                    reserve(tx)?;
                    tx.refresh()
                });
                assert_eq!(failed.unwrap_err().attempts(), 1);
            }
            _ => {
                let panics = || {
                    s.atomically(|tx| -> Stm<()> {
                        reserve(tx)?;
                        resume_unwind(Box::new("panics"))
                    })
                };
                if how == "thread" {
                    // It goes down with the thread.
                    panics();
                }
                assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
            }
        });
        told.recv().unwrap();
        let waiter = Actor::start(&space, "W");
        assert!(!waiter.try_lock_key(&m, 7, Shared) && waiter.try_lock_key(&m, 8, Exclusive));
        waiter.want_key(&m, 7, Exclusive);
        in_line(&space, 1);
        go.send(()).unwrap();
        assert_eq!(waiter.event(), Event::Done(0), "{how}");
        assert_eq!(first.join().is_err(), how == "thread");
        assert_eq!((waiter.get(&m, 7), waiter.get(&m, 8)), (-1, -1));
        waiter.put(&m, 7, 2, Way::InsertNew);
        waiter.commit();
        let (s, n) = (space.clone(), m.clone());
        elsewhere(move || {
            assert_eq!(
                s.atomically(|tx| Ok((n.size(tx), n.read(tx, 7), n.read(tx, 8)))),
                (1 + usize::from(how == "limit"), Some(2), None)
            );
        });
        no_trace(&space, &[]);
    }
}

fn matrix<M: Map>() {
    for (held, wanted, together) in [
        (None, Shared, true),
        (None, Exclusive, true),
        (Some(Shared), Shared, true),
        (Some(Shared), Exclusive, false),
        (Some(Exclusive), Shared, false),
        (Some(Exclusive), Exclusive, false),
    ] {
        for key in [7, 9] {
            let space = Space::new();
            let m = M::make(&space, &[(9, 1)]);
            let h = Actor::start(&space, "H");
            held.iter().for_each(|mode| h.lock_key(&m, key, *mode));
            let alone = table(&space);
            let (s, n) = (space.clone(), m.clone());
            elsewhere(move || {
                let short = Duration::from_millis(1);
                let tried = s.atomically(|tx| n.try_lock(tx, key, wanted));
                let timed = s.atomically(|tx| n.lock_for(tx, key, wanted, short));
                assert_eq!((tried, timed), (together, together), "{held:?} {wanted}");
                for other in [6, 8, 1000] {
                    assert!(s.atomically(|tx| n.try_lock(tx, other, wanted)));
                }
            });
            assert_eq!(table(&space), alone, "whoever did not get it left no trace");
            let other = Actor::start(&space, "W");
            other.want_key(&m, key, wanted);
            if together {
                assert_eq!(other.event(), Event::Done(0));
                h.commit();
            } else {
                in_line(&space, 1);
                assert!(other.is_silent(), "{held:?} {wanted}");
                h.commit();
                assert_eq!(other.event(), Event::Done(0));
            }
            other.commit();
            assert_eq!(table(&space), "");
        }
    }
}

fn upgrade<M: Map>() {
    let space = Space::new();
    let m = M::make(&space, &[]);
    let [a, b, c] = ["A", "B", "C"].map(|label| Actor::start(&space, label));
    a.lock_key(&m, 7, Shared);
    b.lock_key(&m, 7, Shared);
    c.want_key(&m, 7, Exclusive);
    in_line(&space, 1);
    assert!(!a.try_lock_key(&m, 7, Exclusive) && a.try_lock_key(&m, 7, Shared));
    let n = m.clone();
    a.tell(move |tx| {
        let undone: Result<(), i64> = tx.nested(|tx| {
            n.lock(tx, 7, Exclusive)?;
            tx.abort(5)
        })?;
        Ok(undone.unwrap_err())
    });
    in_line(&space, 2);
    b.commit();
    assert_eq!(a.event(), Event::Done(5));
    let s = space.clone();
    let n = m.clone();
    elsewhere(move || assert!(!s.atomically(|tx| n.try_lock(tx, 7, Shared)), "nobody jumps the line"));
    assert!(c.is_silent() && a.try_lock_key(&m, 7, Exclusive));
    a.put(&m, 7, 1, Way::InsertNew);
    a.commit();
    assert_eq!(c.event(), Event::Done(0));
    assert_eq!(c.get(&m, 7), 1);
    c.commit();
    assert_eq!((space.stats().reruns, space.stats().deadlocks), (0, 0));
    no_trace(&space, &[]);
}

fn double_upgrade<M: Map>() {
    for how in ["lock", "try", "commit"] {
        let space = Space::new();
        let m = M::make(&space, &[]);
        let [a, b] = ["A", "B"].map(|label| Actor::with(space.options().label(label).fail_on_deadlock()));
        a.lock_key(&m, 7, Shared);
        b.lock_key(&m, 7, Shared);
        a.want_key(&m, 7, Exclusive);
        in_line(&space, 1);
        let key = space.locks()[0].variable.clone();
        assert!(key.starts_with("m key #"), "{key}");
        let n = m.clone();
        match how {
            "lock" => b.want_key(&m, 7, Exclusive),
            "try" => b.tell(move |tx| n.try_lock(tx, 7, Exclusive).map(i64::from)),
            _ => {
                b.put(&m, 7, 1, Way::Upsert);
                b.end();
            }
        }
        let error = b.ended().unwrap_err();
        assert!(error.is_deadlock() && error.attempts() == 1, "{how}: {error}");
        assert_eq!(
            error.to_string(),
            format!(
                "transaction `B` gave way in a deadlock, in attempt 1: `B` (#2) waits for `{key}`, `A` (#1) waits for \
                 `{key}`"
            )
        );
        assert_eq!(a.event(), Event::Done(0));
        assert_eq!(table(&space), format!("{key}: Ax"));
        a.commit();
        assert_eq!((m.now(&space, 7), space.stats().deadlocks), (None, 1));
        no_trace(&space, &[]);
    }
}

fn undone_parts<M: Map>() {
    for (how, nested) in [("or_else", false), ("nested", true)] {
        let space = Space::new();
        let m = M::make(&space, &[]);
        let [a, b, c] = ["A", "B", "C"].map(|label| Actor::start(&space, label));
        a.lock_key(&m, 1, Shared);
        let (n, (tell, told), (go, gone)) = (m.clone(), channel(), channel::<()>());
        a.tell(move |tx| {
            let part = |tx: &Tx<'_>| {
                n.lock(tx, 1, Exclusive)?;
                n.lock(tx, 2, Exclusive)?;
                n.write(tx, 2, 5, Way::InsertNew);
                tell.send(()).unwrap();
                gone.recv().unwrap();
                Ok(())
            };
            if nested {
                let undone: Result<(), i64> = tx.nested(|tx| {
                    part(tx)?;
                    tx.abort(1)
                })?;
                assert_eq!(undone, Err(1));
                n.lock(tx, 3, Exclusive)?;
            } else {
                tx.or_else(
                    |tx| {
                        part(tx)?;
                        tx.retry()
                    },
                    |tx| n.lock(tx, 3, Exclusive),
                )?;
            }
            Ok(n.read(tx, 2).unwrap_or(-1))
        });
        told.recv().unwrap();
        b.want_key(&m, 2, Exclusive);
        c.want_key(&m, 1, Shared);
        in_line(&space, 2);
        go.send(()).unwrap();
        assert_eq!((a.event(), b.event(), c.event()), (Event::Done(-1), Event::Done(0), Event::Done(0)), "{how}");
        assert!(!b.try_lock_key(&m, 1, Exclusive) && !b.try_lock_key(&m, 3, Shared), "the others are held still");
        b.put(&m, 2, 6, Way::InsertNew);
        b.commit();
        [a, c].into_iter().for_each(Actor::commit);
        assert_eq!((m.now(&space, 2), space.stats().reruns), (Some(6), 0));
        no_trace(&space, &[]);
    }
}

fn attempts<M: Map>() {
    let space = Space::new();
    let m = M::make(&space, &[(1, 0)]);
    let a = Actor::start(&space, "A");
    a.lock_key(&m, 7, Exclusive);
    let held = table(&space);
    a.get(&m, 1);
    a.put(&m, 2, 1, Way::Upsert);
    let (s, n) = (space.clone(), m.clone());
    elsewhere(move || s.atomically(|tx| Ok(n.write(tx, 1, 1, Way::Upsert))));
    a.end();
    // Lost, and kept; lost again without having asked for it, and let go.
    assert_eq!(a.event(), Event::Began(2));
    assert_eq!(table(&space), held);
    a.tell(|tx| tx.refresh().map(|()| 0));
    let event = a.event();
    if event == Event::Done(0) {
        // Nothing was stale: it goes on, with what it has.
        a.get(&m, 1);
        a.put(&m, 2, 1, Way::Upsert);
        let (s, n) = (space.clone(), m.clone());
        elsewhere(move || s.atomically(|tx| Ok(n.write(tx, 1, 2, Way::Upsert))));
        a.end();
        assert_eq!(a.event(), Event::Began(3));
    } else {
        assert_eq!(event, Event::Began(3));
    }
    assert_eq!(table(&space), "");
    a.lock_key(&m, 7, Shared);
    let n = m.clone();
    a.tell(move |tx| {
        n.lock(tx, 8, Exclusive)?;
        match n.read(tx, 7) {
            None => tx.retry(),
            Some(value) => Ok(value),
        }
    });
    // It sleeps on the absent key, and holds nothing: another one can put it in.
    eventually("it sleeps", || space.waiters() == 1);
    assert_eq!(table(&space), "");
    let (s, n) = (space.clone(), m.clone());
    elsewhere(move || s.atomically(|tx| Ok(n.write(tx, 7, 70, Way::InsertNew))));
    assert!(matches!(a.event(), Event::Began(_)));
    assert_eq!(a.get(&m, 7), 70);
    a.commit();
    no_trace(&space, &[]);
}

fn never_overrun<M: Map>() {
    const EACH: usize = 30;
    let space = Space::new();
    let m = M::make(&space, &[]);
    for round in 0..20u64 {
        let h = Actor::start(&space, "H");
        h.lock_key(&m, round, if round % 2 == 0 { Shared } else { Exclusive });
        let writers: Vec<_> = (0..4usize)
            .map(|t| {
                let (s, n) = (space.clone(), m.clone());
                thread::spawn(move || {
                    let options = s.options().coalesce_after(t as u32);
                    for _ in 0..EACH {
                        let way = [Way::UpsertWith, Way::Entry][t % 2];
                        options.run(|tx| Ok(n.write(tx, round, 1, way))).unwrap();
                        // One that stands in nobody's way.
                        options.run(|tx| Ok(n.write(tx, 1000 + round, 1, way))).unwrap();
                    }
                })
            })
            .collect();
        in_line(&space, 4);
        for _ in 0..50 {
            assert_eq!((h.get(&m, round), m.now(&space, round)), (-1, None));
            thread::yield_now();
        }
        h.put(&m, round, 1000, Way::InsertNew);
        h.commit();
        writers.into_iter().for_each(|writer| join("a writer", writer));
        let all = 4 * EACH as i64;
        assert_eq!((m.now(&space, round), m.now(&space, 1000 + round)), (Some(1000 + all), Some(all)));
    }
    no_trace(&space, &[]);
}

/// §5.2, §3.2: a lock in one alternative: that of the side that is left is gone, that of the one that is chosen stays to the end; the choice itself
/// is validated.
#[test]
fn a_lock_in_one_alternative_holds_for_what_is_chosen() {
    let space = Space::new();
    let m = TOrdMap::make(&space, &[(2, 1)]);
    let a = Actor::start(&space, "A");
    let n = m.clone();
    // The left side takes key 1 and finds it absent; the right one takes key 2, which stays locked to the end.
    a.ask(move |tx| {
        let take = |tx: &Tx<'_>, key: u64| {
            n.lock(tx, key, Exclusive)?;
            match n.remove(tx, &key) {
                Some(value) => Ok(*value),
                None => tx.retry(),
            }
        };
        tx.or_else(|tx| take(tx, 1), |tx| take(tx, 2))
    });
    assert_eq!(table(&space), "m key #0000000000000002: Ax");
    let (s, n) = (space.clone(), m.clone());
    elsewhere(move || s.atomically(|tx| Ok(n.insert_new(tx, 1, 5))));
    let (s, n) = (space.clone(), m.clone());
    let rival = thread::spawn(move || s.atomically(|tx| Ok(n.remove(tx, &2).copied())));
    in_line(&space, 1);
    // Key 1 was read on the left, and has come since: the choice is stale.
    a.end();
    assert_eq!(a.event(), Event::Began(2));
    let n = m.clone();
    assert_eq!(a.ask(move |tx| Ok(n.remove(tx, &1).copied().unwrap_or(-1))), 5);
    a.commit();
    assert_eq!(join("the rival", rival), Some(1));
    no_trace(&space, &[]);
}
