//! §5.5, §5.3, §5.4, §5.6, §6.2: locks on ranges of ordered maps; deadlocks through variables, keys and ranges; what the table lists.
#![allow(clippy::unit_arg, reason = "`Ok(map.upsert(...))` is a whole closure")]

mod locks_common;

use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::thread;
use std::time::Duration;

use locks_common::maps::{Map, WAYS, Way};
use locks_common::{Actor, Event, V, elsewhere, in_line, join, no_trace, settle, table, vars};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Isolation, LockMode, Space, TOrdMap};

type M = TOrdMap<u64, i64>;
type Ends = (Bound<u64>, Bound<u64>);

fn want_range(actor: &Actor, map: &M, range: Ends, mode: LockMode) {
    let map = map.clone();
    actor.tell(move |tx| map.lock_range(tx, range, mode).map(|()| 0));
}

#[track_caller]
fn lock_range(actor: &Actor, map: &M, range: Ends, mode: LockMode) {
    want_range(actor, map, range, mode);
    assert_eq!(actor.event(), Event::Done(0));
}

#[track_caller]
fn try_range(actor: &Actor, map: &M, range: Ends, mode: LockMode) -> bool {
    let map = map.clone();
    actor.ask(move |tx| map.try_lock_range(tx, range, mode).map(i64::from)) == 1
}

fn span(low: u64, high: u64) -> Ends {
    (Included(low), Included(high))
}

/// What the table calls keys of `m`.
fn keys(low: u64, high: u64) -> String {
    if low == high { format!("m key #{low:016x}") } else { format!("m keys #{low:016x}..=#{high:016x}") }
}

/// §5.5: a range is exactly its keys, whatever forms its ends have; empty ones are nothing.
#[test]
fn the_ends_of_ranges() {
    const MAX: u64 = u64::MAX;
    for (range, locked) in [
        ((Included(3), Included(7)), Some((3, 7))),
        ((Included(3), Excluded(7)), Some((3, 6))),
        ((Excluded(3), Included(7)), Some((4, 7))),
        ((Excluded(3), Excluded(7)), Some((4, 6))),
        ((Unbounded, Included(7)), Some((0, 7))),
        ((Unbounded, Excluded(7)), Some((0, 6))),
        ((Included(3), Unbounded), Some((3, MAX))),
        ((Excluded(3), Unbounded), Some((4, MAX))),
        ((Unbounded, Unbounded), Some((0, MAX))),
        ((Included(5), Included(5)), Some((5, 5))),
        ((Included(5), Excluded(6)), Some((5, 5))),
        ((Included(MAX), Included(MAX)), Some((MAX, MAX))),
        ((Included(5), Excluded(5)), None),
        ((Excluded(5), Excluded(6)), None),
        ((Excluded(MAX), Unbounded), None),
        ((Unbounded, Excluded(0)), None),
    ] {
        let space = Space::new();
        let m = M::make(&space, &[(5, 5)]);
        let h = Actor::start(&space, "H");
        lock_range(&h, &m, range, Exclusive);
        let listed = locked.map(|(low, high)| format!("{}: Hx", keys(low, high))).unwrap_or_default();
        assert_eq!(table(&space), listed, "{range:?}");
        let (s, n) = (space.clone(), m.clone());
        elsewhere(move || {
            for key in (0..10).chain([MAX - 1, MAX]) {
                let inside = locked.is_some_and(|(low, high)| (low..=high).contains(&key));
                let free = s.atomically(|tx| n.try_lock_key(tx, &key, Shared));
                assert_eq!(free, !inside, "{range:?} {key}");
                if free {
                    s.atomically(|tx| Ok(n.upsert_with(tx, key, 0, |n| *n)));
                }
            }
        });
        h.commit();
        no_trace(&space, &[]);
    }
}

/// §5.5: keys of other types: signed ones in their order; of strings with the same first eight bytes all are locked together.
#[test]
fn keys_of_other_types() {
    let space = Space::new();
    let signed: TOrdMap<i32, ()> = TOrdMap::new_in(&space);
    let text: TOrdMap<String, ()> = TOrdMap::new_in(&space);
    let (a, b) = (signed.clone(), text.clone());
    let h = Actor::start(&space, "H");
    h.ask(move |tx| {
        a.lock_range(tx, -5..5, Exclusive)?;
        b.lock_key(tx, &"together-1".into(), Exclusive)?;
        b.lock_range(tx, String::from("b")..=String::from("c"), Shared).map(|()| 0)
    });
    elsewhere(move || {
        space.atomically(|tx| {
            for (key, free) in
                [(-6, true), (-5, false), (-1, false), (0, false), (4, false), (5, true), (i32::MIN, true)]
            {
                assert_eq!(signed.try_lock_key(tx, &key, Shared)?, free, "{key}");
            }
            for (key, free) in [
                ("together-2", false),
                ("together", false),
                ("togethe", true),
                ("toget", true),
                ("b", false),
                ("bzzz", false),
                ("c", false),
                ("c1", true),
                ("a", true),
            ] {
                assert_eq!(text.try_lock_key(tx, &key.into(), Exclusive)?, free, "{key}");
            }
            Ok(())
        });
    });
    h.commit();
}

/// §5.5, §5.3: each way to write to a key inside, also to one that is absent, waits, at the boundaries too; outside it does not. The holder sees
/// no phantoms.
#[test]
fn every_way_to_write_inside_waits() {
    for way in WAYS {
        for (mode, isolation) in [(Shared, Isolation::Serializable), (Exclusive, Isolation::Snapshot)] {
            for (key, inside) in [(9, false), (10, true), (15, true), (19, true), (20, false)] {
                let old = if way == Way::InsertNew { None } else { Some(1) };
                let what = format!("{way:?} {mode} {isolation:?} {key}");
                let space = Space::new();
                let m = M::make(&space, &old.map(|n| (key, n)).into_iter().collect::<Vec<_>>());
                let h = Actor::start(&space, "H");
                lock_range(&h, &m, (Included(10), Excluded(20)), mode);
                let read = |h: &Actor| {
                    let n = m.clone();
                    h.ask(move |tx| Ok(n.range(tx, 10..20).map(|(key, value)| *key as i64 * 1000 + value).sum()))
                };
                let before = read(&h);
                let (s, n) = (space.clone(), m.clone());
                let writer = thread::spawn(move || {
                    s.options().isolation(isolation).run(|tx| Ok(n.write(tx, key, 10, way))).unwrap();
                });
                if inside || way == Way::Clear {
                    in_line(&space, 1);
                    settle();
                    assert_eq!((read(&h), m.now(&space, key)), (before, old), "{what}");
                    h.commit();
                    join("the writer", writer);
                } else {
                    join("the writer", writer);
                    assert_eq!((read(&h), space.stats().lock_waits), (before, 0), "{what}");
                    h.commit();
                }
                assert_eq!(m.now(&space, key), way.applied(old, 10), "{what}");
                no_trace(&space, &[]);
            }
        }
    }
}

/// §5.3, §6.2: the grant gives the newest entries of the range; what came in, went and changed before is seen, in one attempt.
#[test]
fn a_grant_gives_the_newest_entries() {
    let space = Space::new();
    let m = M::make(&space, &[(1, 1), (12, 1), (15, 1)]);
    let a = Actor::start(&space, "A");
    assert_eq!((a.get(&m, 1), a.get(&m, 30)), (1, -1));
    a.put(&m, 13, 100, Way::InsertNew);
    for (key, way) in [(14, Way::InsertNew), (12, Way::Remove), (15, Way::UpsertWith), (40, Way::Upsert)] {
        let (s, n) = (space.clone(), m.clone());
        elsewhere(move || s.atomically(|tx| Ok(n.write(tx, key, 10, way))));
    }
    lock_range(&a, &m, span(10, 20), Shared);
    let n = m.clone();
    let sum = a.ask(move |tx| Ok(n.range(tx, 10..=20).map(|(_, value)| *value).sum()));
    assert_eq!((sum, a.get(&m, 40)), (100 + 10 + 11, 10), "the whole snapshot has moved");
    a.commit();
    // What was read is stale now: the range itself, and a key beside it.
    for read_range in [true, false] {
        let b = Actor::start(&space, "B");
        let n = m.clone();
        b.ask(move |tx| Ok(if read_range { n.range(tx, ..).count() as i64 } else { n.get(tx, &50).map_or(0, |n| *n) }));
        let (s, n) = (space.clone(), m.clone());
        elsewhere(move || {
            s.atomically(|tx| {
                n.write(tx, 16, 1, Way::UpsertWith);
                Ok(n.write(tx, 50, 1, Way::UpsertWith))
            });
        });
        want_range(&b, &m, span(10, 20), Shared);
        assert_eq!(b.event(), Event::Began(2));
        lock_range(&b, &m, span(10, 20), Shared);
        b.commit();
    }
    no_trace(&space, &[]);
}

/// §5.2: modes among ranges that overlap; a range and keys inside it; re-entrant inside one's own.
#[test]
fn the_matrix_of_ranges() {
    for (other, overlaps) in [
        (span(10, 20), true),
        (span(0, 10), true),
        (span(20, 30), true),
        (span(12, 13), true),
        (span(15, 15), true),
        (span(0, 100), true),
        ((Unbounded, Unbounded), true),
        (span(0, 9), false),
        (span(21, 21), false),
        ((Excluded(20), Unbounded), false),
    ] {
        for (held, wanted) in [(Shared, Shared), (Shared, Exclusive), (Exclusive, Shared), (Exclusive, Exclusive)] {
            let space = Space::new();
            let m = M::make(&space, &[]);
            let [h, w] = ["H", "W"].map(|label| Actor::start(&space, label));
            lock_range(&h, &m, span(10, 20), held);
            let together = !overlaps || (held, wanted) == (Shared, Shared);
            assert_eq!(try_range(&w, &m, other, wanted), together, "{held} {wanted} {other:?}");
            let n = m.clone();
            let timed =
                w.ask(move |tx| n.lock_range_for(tx, other, wanted, Duration::from_millis(1)).map(i64::from)) == 1;
            assert_eq!(timed, together);
            w.commit();
            assert!(try_range(&h, &m, other, Exclusive), "its own is not in its way");
            // A key inside what one holds is one's own.
            assert!(h.try_lock_key(&m, 15, held) && h.try_lock_key(&m, 10, Exclusive));
            h.commit();
            no_trace(&space, &[]);
        }
    }
}

/// §5.4: overlapping ranges and keys are granted in the order of the line; who overlaps nobody before it passes.
#[test]
fn overlapping_ranges_are_fifo() {
    let space = Space::new();
    let m = M::make(&space, &[]);
    let [h, a, b, c, d, e, late] = ["H", "A", "B", "C", "D", "E", "late"].map(|label| Actor::start(&space, label));
    lock_range(&h, &m, span(10, 20), Exclusive);
    want_range(&a, &m, span(15, 30), Exclusive);
    in_line(&space, 1);
    want_range(&b, &m, span(25, 40), Exclusive); // Behind A alone.
    in_line(&space, 2);
    c.want_key(&m, 35, Shared); // Behind B alone.
    in_line(&space, 3);
    want_range(&d, &m, span(0, 12), Shared); // Behind H alone.
    in_line(&space, 4);
    want_range(&e, &m, (Unbounded, Unbounded), Shared); // Behind all.
    in_line(&space, 5);
    assert_eq!(
        table(&space),
        format!(
            "{}:  < Ds; {}:  < Es; {}: Hx; {}:  < Ax; {}:  < Bx; {}:  < Cs",
            keys(0, 12),
            keys(0, u64::MAX),
            keys(10, 20),
            keys(15, 30),
            keys(25, 40),
            keys(35, 35)
        )
    );
    assert!(!try_range(&late, &m, span(36, 36), Shared) && !try_range(&late, &m, span(50, 60), Exclusive));
    assert!(try_range(&late, &m, span(50, 60), Shared), "goes with E's");
    late.commit();
    h.commit();
    assert_eq!((a.event(), d.event()), (Event::Done(0), Event::Done(0)));
    assert!(b.is_silent() && c.is_silent() && e.is_silent());
    a.commit();
    assert_eq!(b.event(), Event::Done(0));
    assert!(c.is_silent() && e.is_silent());
    b.commit();
    assert_eq!((c.event(), e.event()), (Event::Done(0), Event::Done(0)));
    [c, d, e].into_iter().for_each(Actor::commit);
    assert_eq!((space.stats().deadlocks, space.stats().reruns), (0, 0));
    no_trace(&space, &[]);
}

/// L1: who holds a key inside a range for which somebody waits can have more of the range: it would wait in vain.
#[test]
fn more_of_a_range_that_somebody_waits_for() {
    let space = Space::new();
    let m = M::make(&space, &[]);
    let [h, w] = ["H", "W"].map(|label| Actor::start(&space, label));
    h.lock_key(&m, 15, Shared);
    want_range(&w, &m, span(10, 20), Exclusive);
    in_line(&space, 1);
    h.lock_key(&m, 16, Exclusive);
    lock_range(&h, &m, span(18, 30), Exclusive);
    h.lock_key(&m, 15, Exclusive);
    h.put(&m, 17, 1, Way::Upsert);
    h.end();
    assert_eq!(h.ended(), Ok(()), "its commit does not wait behind W either");
    assert_eq!(w.event(), Event::Done(0));
    assert_eq!(w.get(&m, 17), 1);
    w.commit();
    assert_eq!((space.stats().deadlocks, space.stats().reruns), (0, 0));
    no_trace(&space, &[]);
}

/// A thing that can be locked, and written.
#[derive(Clone)]
enum Thing {
    Var(V),
    Key(M, u64),
    Range(M, u64, u64),
}

impl Thing {
    fn want(&self, actor: &Actor) {
        match self {
            Thing::Var(v) => actor.want(v, Exclusive),
            Thing::Key(m, key) => actor.want_key(m, *key, Exclusive),
            Thing::Range(m, low, high) => want_range(actor, m, span(*low, *high), Exclusive),
        }
    }

    fn write(&self, actor: &Actor) {
        match self {
            Thing::Var(v) => actor.write(v, 1),
            Thing::Key(m, key) | Thing::Range(m, _, key) => actor.put(m, *key, 1, Way::UpsertWith),
        }
    }

    fn is_written(&self, space: &Space) -> bool {
        match self {
            Thing::Var(v) => v.load() == 1,
            Thing::Key(m, key) | Thing::Range(m, _, key) => m.now(space, *key) == Some(1),
        }
    }

    /// What the table calls it; `key`: a write to it.
    fn name(&self, write: bool) -> String {
        match self {
            Thing::Var(v) => v.name().unwrap().into(),
            Thing::Key(_, key) => keys(*key, *key),
            Thing::Range(_, low, high) => keys(if write { *high } else { *low }, *high),
        }
    }
}

/// §5.4, L4, L5: rings of two, three and five through variables, keys and ranges, by locks and by commits: the youngest gives way, once, and its
/// error names all; all others commit.
#[test]
fn rings_through_maps_and_variables() {
    let labels = ["P0", "P1", "P2", "P3", "P4"];
    for n in [2, 3, 5] {
        for (rotated, by_commit) in [(0, false), (1, false), (2, false), (0, true), (1, true), (2, true)] {
            let space = Space::new();
            let [v, w] = vars(&space, ["v", "w"]);
            let m = M::make(&space, &[(100, 7)]);
            let mut things = [
                Thing::Key(m.clone(), 5),
                Thing::Var(v),
                Thing::Range(m.clone(), 10, 20),
                Thing::Var(w),
                Thing::Range(m.clone(), 21, 40),
            ];
            things.rotate_left(rotated);
            let things = &things[..n];
            let options = |i: usize| space.options().label(labels[i]);
            let mut actors: Vec<_> = (0..n)
                .map(|i| Actor::with(if i + 1 == n { options(i).fail_on_deadlock() } else { options(i) }))
                .collect();
            for (thing, actor) in things.iter().zip(&actors) {
                thing.want(actor);
                assert_eq!(actor.event(), Event::Done(0));
            }
            for (i, actor) in actors.iter().enumerate() {
                let next = &things[(i + 1) % n];
                if by_commit {
                    next.write(actor);
                    actor.end();
                } else {
                    next.want(actor);
                }
                if i + 1 < n {
                    in_line(&space, i + 1);
                }
            }
            let error = actors.pop().unwrap().ended().unwrap_err();
            let ring = (0..n).map(|i| {
                let i = (i + n - 1) % n;
                format!("`{}` (#{}) waits for `{}`", labels[i], i + 1, things[(i + 1) % n].name(by_commit))
            });
            assert_eq!(
                error.to_string(),
                format!(
                    "transaction `{}` gave way in a deadlock, in attempt 1: {}",
                    labels[n - 1],
                    ring.collect::<Vec<_>>().join(", ")
                )
            );
            for (i, actor) in actors.into_iter().enumerate().rev() {
                if by_commit {
                    assert_eq!(actor.ended(), Ok(()));
                } else {
                    assert_eq!(actor.event(), Event::Done(0));
                    things[i + 1].write(&actor);
                    actor.commit();
                }
            }
            let written: Vec<_> = things.iter().map(|thing| thing.is_written(&space)).collect();
            assert_eq!(written, (0..n).map(|i| i != 0).collect::<Vec<_>>(), "{n} {rotated} {by_commit}");
            assert_eq!((space.stats().deadlocks, space.stats().reruns), (1, 0));
            no_trace(&space, &[]);
        }
    }
}

/// §5.4: two upgrades that overlap, of a range and a key inside it.
#[test]
fn a_second_upgrade_of_what_overlaps_is_refused() {
    let space = Space::new();
    let m = M::make(&space, &[]);
    let [a, b] = ["A", "B"].map(|label| Actor::with(space.options().label(label).fail_on_deadlock()));
    lock_range(&a, &m, span(10, 20), Shared);
    b.lock_key(&m, 20, Shared);
    want_range(&a, &m, span(10, 20), Exclusive);
    in_line(&space, 1);
    assert_eq!(table(&space), format!("{}: As < Ax; {}: Bs", keys(10, 20), keys(20, 20)));
    b.put(&m, 20, 1, Way::Upsert);
    b.end();
    assert_eq!(
        b.ended().unwrap_err().to_string(),
        format!(
            "transaction `B` gave way in a deadlock, in attempt 1: `B` (#2) waits for `{}`, `A` (#1) waits for `{}`",
            keys(20, 20),
            keys(10, 20)
        )
    );
    assert_eq!(a.event(), Event::Done(0));
    assert_eq!(table(&space), format!("{}: Ax", keys(10, 20)));
    a.commit();
    assert_eq!((m.now(&space, 20), space.stats().deadlocks), (None, 1));
    no_trace(&space, &[]);
}
