//! §5.2, §5.4: who gets a lock in which mode, at once, in line, or not in time.
#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod locks_common;

use std::thread;
use std::time::Duration;

use locks_common::{Actor, Event, elsewhere, in_line, join, no_trace, settle, table, vars, waiting};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Isolation, LockMode, Space};

/// A party that holds `v` in this mode, or nothing.
fn holder(space: &Space, v: &locks_common::V, mode: Option<LockMode>) -> Actor {
    let holder = Actor::start(space, "H");
    if let Some(mode) = mode {
        holder.lock(v, mode);
    }
    holder
}

/// §5.2: the table of modes, asked with `try_lock`, `try_read_locked`, `lock_for` and `lock`.
#[test]
fn the_matrix_of_locks() {
    for (held, wanted, together) in [
        (None, Shared, true),
        (None, Exclusive, true),
        (Some(Shared), Shared, true),
        (Some(Shared), Exclusive, false),
        (Some(Exclusive), Shared, false),
        (Some(Exclusive), Exclusive, false),
    ] {
        let space = Space::new();
        let [v] = vars(&space, ["v"]);
        let h = holder(&space, &v, held);
        let alone = table(&space);
        {
            let (s, v) = (space.clone(), v.clone());
            elsewhere(move || {
                let short = Duration::from_millis(1);
                let tried = s.atomically(|tx| tx.try_lock(&v, wanted));
                let read = s.atomically(|tx| Ok(tx.try_read_locked(&v, wanted)?.is_some()));
                let timed = s.atomically(|tx| tx.lock_for(&v, wanted, short));
                assert_eq!((tried, read, timed), (together, together, together), "{held:?} {wanted}");
            });
        }
        assert_eq!(table(&space), alone, "whoever did not get it left no trace");
        let other = Actor::start(&space, "W");
        other.want(&v, wanted);
        if !together {
            in_line(&space, 1);
            assert!(other.is_silent(), "{held:?} {wanted}");
            h.commit();
            assert_eq!(other.event(), Event::Done(0));
        } else {
            assert_eq!(other.event(), Event::Done(0));
            h.commit();
        }
        other.commit();
        no_trace(&space, &[&v]);
    }
}

/// §5.2, §5.3: a commit that writes goes on if nobody holds the lock, and waits behind both modes; readers never wait.
#[test]
fn the_matrix_of_commits_and_readers() {
    for held in [None, Some(Shared), Some(Exclusive)] {
        for isolation in [Isolation::Serializable, Isolation::Snapshot] {
            let space = Space::new();
            let [v] = vars(&space, ["v"]);
            let h = holder(&space, &v, held);
            let (s, x) = (space.clone(), v.clone());
            let writer = thread::spawn(move || {
                s.options().label("W").isolation(isolation).run(|tx| Ok(tx.modify(&x, |n| n + 1))).unwrap();
            });
            if let Some(mode) = held {
                in_line(&space, 1);
                let letter = if mode == Shared { 's' } else { 'x' };
                assert_eq!(table(&space), format!("v: H{letter} < Wx"));
                settle();
                let (s, x) = (space.clone(), v.clone());
                elsewhere(move || {
                    // §5.1: reads without a lock, of all kinds.
                    assert_eq!((x.load(), *s.snapshot().read(&x)), (0, 0));
                    assert_eq!(s.atomically(|tx| Ok(*tx.read(&x))), 0);
                });
                assert_eq!(space.stats().lock_waits, 1);
            } else {
                join("the writer commits", writer);
                h.commit();
                assert_eq!((v.load(), space.stats().lock_waits), (1, 0));
                continue;
            }
            h.commit();
            join("the writer commits", writer);
            assert_eq!(v.load(), 1);
            no_trace(&space, &[&v]);
        }
    }
}

/// §5.2: re-entrant: the stronger mode stays, once is enough to hold it, and the end ends all of it.
#[test]
fn locks_are_re_entrant() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let a = Actor::start(&space, "A");
    for (mode, listed) in
        [(Shared, "v: As"), (Shared, "v: As"), (Exclusive, "v: Ax"), (Shared, "v: Ax"), (Exclusive, "v: Ax")]
    {
        a.lock(&v, mode);
        assert_eq!(table(&space), listed);
        assert!(a.try_lock(&v, mode));
    }
    a.commit();
    assert_eq!((space.stats().lock_waits, space.stats().deadlocks), (0, 0));
    no_trace(&space, &[&v]);
}

/// §5.2, §5.4: an upgrade waits for the other holders only: it stands before all others in the line.
#[test]
fn an_upgrade_stands_before_the_line() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let [a, b, c, d] = ["A", "B", "C", "D"].map(|label| Actor::start(&space, label));
    a.lock(&v, Shared);
    b.lock(&v, Shared);
    c.want(&v, Exclusive);
    in_line(&space, 1);
    d.want(&v, Shared);
    in_line(&space, 2);
    assert!(!a.try_lock(&v, Exclusive));
    a.want(&v, Exclusive);
    in_line(&space, 3);
    assert_eq!(table(&space), "v: As Bs < Ax Cx Ds");
    b.commit();
    assert_eq!(a.event(), Event::Done(0));
    assert_eq!(table(&space), "v: Ax < Cx Ds");
    assert!(c.is_silent() && d.is_silent());
    a.commit();
    assert_eq!(c.event(), Event::Done(0));
    assert_eq!(table(&space), "v: Cx < Ds");
    c.commit();
    assert_eq!(d.event(), Event::Done(0));
    d.commit();
    assert_eq!((space.stats().lock_waits, space.stats().deadlocks), (3, 0));
    no_trace(&space, &[&v]);
}

/// §5.4: in the order of the line: readers that come after a waiting writer do not pass it, those together in line are granted together.
#[test]
fn grants_are_in_the_order_of_the_line() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let h = holder(&space, &v, Some(Shared));
    let line: Vec<_> = [("a", Exclusive), ("b", Shared), ("c", Shared), ("d", Exclusive), ("e", Shared)]
        .into_iter()
        .enumerate()
        .map(|(at, (label, mode))| {
            let actor = Actor::start(&space, label);
            actor.want(&v, mode);
            in_line(&space, at + 1);
            actor
        })
        .collect();
    assert_eq!(table(&space), "v: Hs < ax bs cs dx es");
    // Nobody jumps the line, not even without waiting.
    let late = Actor::start(&space, "late");
    assert!(!late.try_lock(&v, Shared));
    late.commit();
    h.commit();
    let [a, b, c, d, e]: [Actor; 5] = line.try_into().ok().unwrap();
    assert_eq!(a.event(), Event::Done(0));
    assert_eq!(table(&space), "v: ax < bs cs dx es");
    a.commit();
    assert_eq!((b.event(), c.event()), (Event::Done(0), Event::Done(0)));
    assert_eq!(table(&space), "v: bs cs < dx es");
    b.commit();
    assert!(d.is_silent());
    c.commit();
    assert_eq!(d.event(), Event::Done(0));
    assert_eq!(table(&space), "v: dx < es");
    d.commit();
    assert_eq!(e.event(), Event::Done(0));
    e.commit();
    no_trace(&space, &[&v]);
}

/// §5.4: counted in grants: while a writer waits, no reader is let in again, however many come and go.
#[test]
fn a_writer_does_not_starve() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let h = holder(&space, &v, Some(Shared));
    let writer = Actor::start(&space, "W");
    writer.want(&v, Exclusive);
    in_line(&space, 1);
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (s, v) = (space.clone(), v.clone());
            thread::spawn(move || s.atomically(|tx| Ok(*tx.read_locked(&v, Shared)?)))
        })
        .collect();
    in_line(&space, 9);
    writer.tell({
        let v = v.clone();
        move |tx| {
            tx.write(&v, 7);
            Ok(0)
        }
    });
    h.commit();
    assert_eq!((writer.event(), writer.event()), (Event::Done(0), Event::Done(0)));
    assert_eq!(waiting(&space), 8);
    writer.commit();
    // All of them came after the writer, and see what it wrote.
    assert!(readers.into_iter().all(|reader| join("a reader", reader) == 7));
    no_trace(&space, &[&v]);
}

/// §5.2: the grant comes as soon as a request before it in the line gives up.
#[test]
fn whoever_leaves_the_line_lets_the_next_one_pass() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let h = holder(&space, &v, Some(Shared));
    let (s, x) = (space.clone(), v.clone());
    let timed = thread::spawn(move || {
        s.options().label("T").timeout(Duration::from_millis(300)).run(|tx| tx.lock(&x, Exclusive))
    });
    in_line(&space, 1);
    let reader = Actor::start(&space, "R");
    reader.want(&v, Shared);
    // Granted when the writer's time is over, if not by an unlucky start after that.
    assert_eq!(reader.event(), Event::Done(0));
    assert!(join("the timeout", timed).unwrap_err().is_timeout());
    assert_eq!(table(&space), "v: Hs Rs");
    reader.commit();
    h.commit();
    no_trace(&space, &[&v]);
}

/// §3.5: the timeout of the call covers the wait in line, in the closure, in a commit and under `pessimistic`.
#[test]
fn a_timeout_covers_the_line() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let h = holder(&space, &v, Some(Exclusive));
    let limit = Duration::from_millis(5);
    let (s, x, y) = (space.clone(), v.clone(), w.clone());
    elsewhere(move || {
        let options = s.options().label("T").timeout(limit);
        let in_closure = options.run(|tx| tx.lock(&x, Shared)).unwrap_err();
        let swallowed = options.run(|tx| {
            let _ = tx.lock(&x, Shared);
            tx.write(&y, 1);
            Ok(())
        });
        let far = Duration::from_secs(600);
        let bounded = options.run(|tx| tx.lock_for(&x, Shared, far)).unwrap_err();
        let in_commit = options.run(|tx| Ok(tx.write(&x, 1))).unwrap_err();
        let announced = options.clone().coalesce_after(0).run(|tx| Ok(tx.write(&x, 1))).unwrap_err();
        let pessimistic = options.clone().pessimistic().run(|tx| Ok(*tx.read(&x))).unwrap_err();
        for error in [in_closure, swallowed.unwrap_err(), bounded, in_commit, announced, pessimistic] {
            assert!(error.is_timeout() && error.label() == Some("T") && error.attempts() == 1, "{error}");
        }
    });
    assert_eq!((table(&space).as_str(), v.load(), w.load()), ("v: Hx", 0, 0));
    h.commit();
    no_trace(&space, &[&v, &w]);
}

/// §5.2: after a `lock_for` in vain the transaction goes on, with what it has locked.
#[test]
fn in_vain_is_no_stop() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let h = holder(&space, &v, Some(Exclusive));
    let a = Actor::start(&space, "A");
    a.lock(&w, Exclusive);
    let x = v.clone();
    assert_eq!(a.ask(move |tx| tx.lock_for(&x, Shared, Duration::ZERO).map(i64::from)), 0);
    assert!(!a.try_lock(&v, Shared));
    assert_eq!(table(&space), "v: Hx; w: Ax");
    a.write(&w, 5);
    a.commit();
    h.commit();
    assert_eq!((w.load(), space.stats().reruns), (5, 0));
    no_trace(&space, &[&v, &w]);
}

/// §1.1, §5.1: spaces are independent, and a variable of another one cannot be locked.
#[test]
fn spaces_have_their_own_locks() {
    let (one, two) = (Space::named("one"), Space::named("two"));
    let ([v], [w]) = (vars(&one, ["v"]), vars(&two, ["w"]));
    let (a, b) = (holder(&one, &v, Some(Exclusive)), holder(&two, &w, Some(Exclusive)));
    assert_eq!((table(&one).as_str(), table(&two).as_str()), ("v: Hx", "w: Hx"));
    let (s, x) = (two.clone(), v.clone());
    let message = elsewhere(move || {
        let lock =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| s.atomically(|tx| tx.try_lock(&x, Shared))));
        lock.unwrap_err().downcast_ref::<String>().unwrap().clone()
    });
    assert!(message.contains("one") && message.contains("two"), "{message}");
    assert_eq!((table(&one).as_str(), table(&two).as_str()), ("v: Hx", "w: Hx"));
    a.commit();
    assert_eq!((table(&one).as_str(), table(&two).as_str()), ("", "w: Hx"));
    b.commit();
    assert_eq!((one.stats().lock_waits, two.stats().lock_waits), (0, 0));
}
