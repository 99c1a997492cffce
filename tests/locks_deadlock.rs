//! §5.4: deadlocks are found when a wait begins; who gives way, what it is told, and that all others go on.

mod locks_common;

use std::sync::Arc;
use std::thread;

use locks_common::{Actor, Event, V, in_line, join, no_trace, settle, table, vars};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Space, TVar, Tx};

/// Leads a ring of `n` to its deadlock: each holds its variable and wants the next one's; the last to ask closes the ring.
fn ring(space: &Space, vars: &[V], through_commits: bool) -> Vec<Actor> {
    let labels = ["P0", "P1", "P2", "P3", "P4"];
    let n = vars.len();
    let actors: Vec<_> = (0..n).map(|i| Actor::start(space, labels[i])).collect();
    for (i, actor) in actors.iter().enumerate() {
        actor.lock(&vars[i], Exclusive);
    }
    for (i, actor) in actors.iter().enumerate() {
        let next = &vars[(i + 1) % n];
        if through_commits {
            actor.write(next, i as i64);
            actor.end();
        } else {
            actor.want(next, Exclusive);
        }
        if i + 1 < n {
            in_line(space, i + 1);
        }
    }
    actors
}

/// §5.4: two, three and five parties. All have done the same, so the youngest gives way, runs again, and all commit.
#[test]
fn rings_of_locks() {
    for n in [2, 3, 5] {
        let space = Space::new();
        let vars = vars(&space, ["a", "b", "c", "d", "e"]);
        let vars = &vars[..n];
        let mut actors = ring(&space, vars, false);
        let youngest = actors.pop().unwrap();
        assert_eq!(youngest.event(), Event::Began(2), "{n}: {}", table(&space));
        assert_eq!(space.stats().deadlocks, 1);
        for actor in actors.into_iter().rev() {
            assert_eq!(actor.event(), Event::Done(0));
            actor.commit();
        }
        youngest.lock(&vars[0], Exclusive);
        youngest.commit();
        assert_eq!((space.stats().deadlocks, space.stats().reruns), (1, 1));
        no_trace(&space, &vars.iter().collect::<Vec<_>>());
    }
}

/// L5: the same through commits that wait for locks: the youngest runs again.
#[test]
fn rings_through_commits() {
    for n in [2, 3, 5] {
        let space = Space::new();
        let vars = vars(&space, ["a", "b", "c", "d", "e"]);
        let vars = &vars[..n];
        let mut actors = ring(&space, vars, true);
        let youngest = actors.pop().unwrap();
        assert_eq!(youngest.event(), Event::Began(2), "{n}: {}", table(&space));
        for actor in actors {
            assert_eq!(actor.ended(), Ok(()));
        }
        youngest.commit();
        let written: Vec<_> = vars.iter().map(TVar::load).collect();
        let expected: Vec<i64> = (0..n as i64).map(|i| if i == 0 { 0 } else { i - 1 }).collect();
        assert_eq!(written, expected);
        assert_eq!(space.stats().deadlocks, 1);
        no_trace(&space, &vars.iter().collect::<Vec<_>>());
    }
}

/// L5: a commit in line is in the way of whoever stands behind it, so it can be part of a ring while it holds nothing. It gives way by going to the end
/// of the line, and its closure does not run again: `store` has no second value (§1.6, §2.4).
#[test]
fn a_commit_that_holds_nothing_goes_to_the_end_of_the_line() {
    for announced in [false, true] {
        let space = Space::new();
        let [v, w, a, b, c] = vars(&space, ["v", "w", "a", "b", "c"]);
        let (one, two) = (Actor::start(&space, "one"), Actor::start(&space, "two"));
        for more in [&a, &b, &c] {
            // Least work gives way.
            assert_eq!((one.read(more), two.read(more)), (0, 0));
        }
        one.lock(&v, Shared);
        two.lock(&w, Exclusive);
        let store = {
            let (v, v2, at_once) = (v.clone(), v.clone(), space.options().coalesce_after(0));
            let write = move |tx: &Tx<'_>| {
                tx.write(&v, 7);
                Ok(())
            };
            thread::spawn(move || if announced { at_once.run(write).unwrap() } else { v2.store(7) })
        };
        in_line(&space, 1);
        two.want(&v, Shared);
        in_line(&space, 2);
        // The store waits for the first, the second stands behind the store, the first waits for the second.
        one.want(&w, Shared);
        assert_eq!(two.event(), Event::Done(0));
        assert!(one.is_silent());
        two.commit();
        assert_eq!(one.event(), Event::Done(0));
        assert_eq!(one.read(&v), 0);
        one.commit();
        join("the store", store);
        assert_eq!((v.load(), space.stats().deadlocks, space.stats().reruns), (7, 1, 0));
        assert_eq!(space.stats().announced, u64::from(announced));
        no_trace(&space, &[&v, &w]);
    }
}

/// L5: through announced commits too: the one that gives way is withdrawn.
#[test]
fn a_ring_through_announced_commits() {
    let space = Space::new();
    let [a, b] = vars(&space, ["a", "b"]);
    let [x, y] = ["X", "Y"].map(|label| Actor::with(space.options().label(label).coalesce_after(0)));
    x.lock(&a, Exclusive);
    y.lock(&b, Exclusive);
    x.write(&b, 1);
    y.write(&a, 2);
    x.end();
    in_line(&space, 1);
    y.end();
    assert_eq!(y.event(), Event::Began(2));
    assert_eq!(x.ended(), Ok(()));
    assert_eq!((a.load(), b.load()), (0, 1));
    y.commit();
    no_trace(&space, &[&a, &b]);
}

/// §5.4: least work gives way first, whoever closes the ring.
#[test]
fn least_work_gives_way() {
    for heavy in [0, 1] {
        let space = Space::new();
        let [a, b, c, d] = vars(&space, ["a", "b", "c", "d"]);
        let actors = [Actor::start(&space, "old"), Actor::start(&space, "young")];
        actors[0].lock(&a, Exclusive);
        actors[1].lock(&b, Exclusive);
        actors[heavy].read(&c);
        actors[heavy].write(&d, 1);
        actors[0].want(&b, Exclusive);
        in_line(&space, 1);
        actors[1].want(&a, Exclusive);
        let [old, young] = actors;
        let (loser, winner) = if heavy == 0 { (young, old) } else { (old, young) };
        assert_eq!(loser.event(), Event::Began(2));
        assert_eq!(winner.event(), Event::Done(0));
        winner.commit();
        loser.commit();
        no_trace(&space, &[&a, &b]);
    }
}

/// §5.4: who has given way once is not chosen again before all others of a ring have, though it is the youngest and has done least.
#[test]
fn who_gave_way_does_not_again() {
    let space = Space::new();
    let [a, b, c] = vars(&space, ["a", "b", "c"]);
    let young_in = |old: &Actor, young: &Actor| {
        old.read(&c);
        old.lock(&a, Exclusive);
        young.lock(&b, Exclusive);
        old.want(&b, Exclusive);
        in_line(&space, 1);
        young.want(&a, Exclusive);
    };
    let old = Actor::start(&space, "old");
    let young = Actor::start(&space, "young");
    young_in(&old, &young);
    assert_eq!(young.event(), Event::Began(2));
    assert_eq!(old.event(), Event::Done(0));
    // The next ring, of the same call with a transaction that is older than nobody but has never given way.
    old.commit();
    let rival = Actor::start(&space, "rival");
    young_in(&rival, &young);
    assert_eq!(rival.event(), Event::Began(2));
    assert_eq!(young.event(), Event::Done(0));
    // Both have given way once: work and age count again.
    young.commit();
    let third = Actor::start(&space, "third");
    young_in(&rival, &third);
    assert_eq!(third.event(), Event::Began(2));
    assert_eq!(rival.event(), Event::Done(0));
    rival.commit();
    third.commit();
    assert_eq!(space.stats().deadlocks, 3);
    no_trace(&space, &[&a, &b]);
}

/// §5.4: a second upgrade of one lock is refused at once, also when tried, and through a commit; the first one then has it.
#[test]
fn a_second_upgrade_is_refused() {
    for how in 0..3 {
        let space = Space::new();
        let [v, w] = vars(&space, ["v", "w"]);
        let [a, b] = ["A", "B"].map(|label| Actor::with(space.options().label(label).fail_on_deadlock()));
        a.lock(&v, Shared);
        b.lock(&v, Shared);
        // More work and more age do not help the second one.
        b.read(&w);
        a.want(&v, Exclusive);
        in_line(&space, 1);
        let x = v.clone();
        match how {
            0 => b.want(&v, Exclusive),
            1 => b.tell(move |tx| tx.try_lock(&x, Exclusive).map(i64::from)),
            _ => {
                b.write(&v, 1);
                b.end();
            }
        }
        let error = b.ended().unwrap_err();
        assert_eq!(
            error.to_string(),
            "transaction `B` gave way in a deadlock, in attempt 1: `B` (#2) waits for `v`, `A` (#1) waits for `v`",
            "{how}"
        );
        assert_eq!(a.event(), Event::Done(0));
        assert_eq!(table(&space), "v: Ax");
        a.commit();
        assert_eq!((v.load(), space.stats().deadlocks), (0, 1));
        no_trace(&space, &[&v]);
    }
}

/// §5.4: the error names every party of the ring with its label (or number) and the variable that it waits for, in order.
#[test]
fn the_error_names_the_ring() {
    let space = Space::new();
    let ([a, c], b) = (vars(&space, ["a", "c"]), TVar::new_in(&space, 0));
    let one = Actor::start(&space, "one");
    let two = Actor::with(space.options());
    let three = Actor::with(space.options().label("three").fail_on_deadlock());
    one.lock(&a, Exclusive);
    two.lock(&b, Shared);
    three.lock(&c, Exclusive);
    one.want(&b, Exclusive);
    in_line(&space, 1);
    two.write(&c, 1);
    two.end();
    in_line(&space, 2);
    let number = space.locks().into_iter().find(|info| info.variable.contains('#')).unwrap().variable;
    three.want(&a, Shared);
    let error = three.ended().unwrap_err();
    assert!(
        error.is_deadlock() && error.label() == Some("three") && error.attempts() == 1 && error.lost_to().is_none()
    );
    assert_eq!(
        error.to_string(),
        format!(
            "transaction `three` gave way in a deadlock, in attempt 1: `three` (#3) waits for `a`, \
             `one` (#1) waits for `{number}`, transaction #2 waits for `c`"
        )
    );
    assert_eq!(two.ended(), Ok(()));
    assert_eq!(one.event(), Event::Done(0));
    one.commit();
    no_trace(&space, &[&a, &b, &c]);
}

/// L4: all who are before it in the line count too: a ring that goes through a place in the line.
#[test]
fn a_ring_through_a_place_in_the_line() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let [h, a, b] = ["H", "A", "B"].map(|label| Actor::start(&space, label));
    h.lock(&v, Shared);
    b.lock(&w, Exclusive);
    a.want(&v, Exclusive); // Behind H.
    in_line(&space, 1);
    b.want(&v, Shared); // Behind A, though it goes with H.
    in_line(&space, 2);
    h.want(&w, Shared); // H, B, A: a ring.
    // A was the last to come: with it gone from the line B is let in.
    assert_eq!(a.event(), Event::Began(2));
    assert_eq!(b.event(), Event::Done(0));
    assert_eq!(table(&space), "v: Hs Bs; w: Bx < Hs");
    b.commit();
    assert_eq!(h.event(), Event::Done(0));
    h.commit();
    a.commit();
    assert_eq!(space.stats().deadlocks, 1);
    no_trace(&space, &[&v, &w]);
}

/// §5.4: one wait that closes two rings: one of each gives way, and no more.
#[test]
fn one_wait_that_closes_two_rings() {
    let space = Space::new();
    let [v, x] = vars(&space, ["v", "x"]);
    let [w, a, b] = ["W", "A", "B"].map(|label| Actor::start(&space, label));
    w.lock(&x, Exclusive);
    // Work, so that the others give way.
    w.read(&v);
    w.read(&x);
    a.lock(&v, Shared);
    b.lock(&v, Shared);
    a.want(&x, Shared);
    in_line(&space, 1);
    b.want(&x, Shared);
    in_line(&space, 2);
    w.want(&v, Exclusive);
    assert_eq!((a.event(), b.event()), (Event::Began(2), Event::Began(2)));
    assert_eq!(w.event(), Event::Done(0));
    assert_eq!(space.stats().deadlocks, 2);
    [w, a, b].into_iter().for_each(Actor::commit);
    no_trace(&space, &[&v, &x]);
}

/// §2.6, A3: a swallowed stop of who gives way stands: nothing is committed, its locks are gone, and it runs again.
#[test]
fn a_swallowed_stop_gives_way_all_the_same() {
    let space = Space::new();
    let [a, b, c] = vars(&space, ["a", "b", "c"]);
    let old = Actor::start(&space, "old");
    let young = Actor::start(&space, "young");
    old.lock(&a, Exclusive);
    young.lock(&b, Exclusive);
    old.want(&b, Exclusive);
    in_line(&space, 1);
    let (x, y, z) = (a.clone(), b.clone(), c.clone());
    young.tell(move |tx| {
        let swallowed = tx.or_else(|tx| tx.lock(&x, Exclusive), |_| Ok(()));
        assert!(swallowed.is_err(), "a deadlock does not fall through");
        tx.write(&z, 1);
        assert!(tx.lock(&y, Exclusive).is_err(), "it has lost already");
        Ok(1)
    });
    assert_eq!((young.event(), old.event()), (Event::Done(1), Event::Done(0)));
    assert_eq!(table(&space), "a: oldx; b: oldx");
    young.end();
    assert_eq!(young.event(), Event::Began(2));
    old.commit();
    young.commit();
    assert_eq!((c.load(), space.stats().deadlocks), (0, 1));
    no_trace(&space, &[&a, &b]);
}

/// §5.4: upgrades by the dozen: whoever is refused runs again, and every increment counts.
#[test]
fn upgrades_by_many_lose_nothing() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let shared = Arc::new(v);
    let threads: Vec<_> = (0..6)
        .map(|_| {
            let (space, v) = (space.clone(), shared.clone());
            thread::spawn(move || {
                for _ in 0..100 {
                    space.atomically(|tx| {
                        let n = *tx.read_locked(&v, Shared)?;
                        thread::yield_now();
                        tx.lock(&v, Exclusive)?;
                        tx.write(&v, n + 1);
                        Ok(())
                    });
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| locks_common::join("an upgrader", thread));
    settle();
    assert_eq!((shared.load(), space.stats().conflicts), (600, 0), "{}", space.stats());
    no_trace(&space, &[&shared]);
}
