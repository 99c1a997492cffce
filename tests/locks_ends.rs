//! §5.2, L6: however a transaction ends, its locks do; what an attempt that is lost keeps, and for how long.

mod locks_common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use locks_common::{Actor, Event, V, elsewhere, eventually, in_line, join, no_trace, table, vars};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{LockMode, Space, Stm, Tx};

const MODES: [LockMode; 2] = [Shared, Exclusive];

fn letter(mode: LockMode) -> char {
    if mode == Shared { 's' } else { 'x' }
}

/// §5.2: a commit with writes, without, of nothing new, an abort, a panic, and each of them after an upgrade.
#[test]
fn commit_abort_and_panic_end_locks() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    for mode in MODES {
        for upgrade in [false, true] {
            for how in 0..5 {
                let (s, v) = (space.clone(), v.clone());
                elsewhere(move || {
                    let body = |tx: &Tx<'_>| -> Result<(), tvar::Abort<&str>> {
                        tx.lock(&v, mode)?;
                        if upgrade {
                            tx.lock(&v, Exclusive)?;
                        }
                        assert!(table(&s).starts_with("v: #"));
                        match how {
                            0 => tx.write(&v, 1),
                            1 => tx.modify(&v, |n| *n), // Nothing new.
                            2 => assert!(*tx.read(&v) >= 0),
                            3 => tx.abort("no")?,
                            _ => panic!("in the closure"),
                        }
                        Ok(())
                    };
                    let result = catch_unwind(AssertUnwindSafe(|| s.try_atomically(body)));
                    assert!(match how {
                        3 => result.is_ok_and(|result| result == Err("no")),
                        4 => result.is_err(),
                        _ => result.is_ok_and(|result| result.is_ok()),
                    });
                    assert_eq!(table(&s), "");
                });
            }
        }
    }
    no_trace(&space, &[&v]);
}

/// §3.1, §5.2: a sleeping call holds no lock; it locks again when it runs again.
#[test]
fn a_retry_releases_everything() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let (s, x, y) = (space.clone(), v.clone(), w.clone());
    let sleeper = thread::spawn(move || {
        s.options()
            .label("S")
            .run(|tx| {
                tx.lock(&x, Exclusive)?;
                tx.lock(&y, Shared)?;
                tx.check(*tx.read(&y) > 0)?;
                Ok(table(&s))
            })
            .unwrap()
    });
    eventually("it sleeps", || space.stats().parked == 1);
    assert_eq!((table(&space).as_str(), space.waiters()), ("", 1));
    let x = v.clone();
    elsewhere(move || x.store(9));
    w.store(1);
    assert_eq!(join("it wakes", sleeper), "v: Sx; w: Ss");
    assert_eq!((v.load(), space.waiters()), (9, 0));
    no_trace(&space, &[&v, &w]);
}

/// §3.5, §4.4: limits of the call: a timeout in a sleep, and too many lost attempts (which have kept their locks).
#[test]
fn limits_end_locks() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let (s, x, y) = (space.clone(), v.clone(), w.clone());
    elsewhere(move || {
        let late = s.options().timeout(Duration::from_millis(3)).run(|tx| -> Stm<()> {
            tx.lock(&x, Exclusive)?;
            tx.read(&y);
            tx.retry()
        });
        assert!(late.unwrap_err().is_timeout());
        assert_eq!(table(&s), "");
        let lost = s.options().max_attempts(2).run(|tx| {
            tx.lock(&x, Exclusive)?;
            let n = *tx.read(&y);
            let y = y.clone();
            elsewhere(move || y.update(|n| n + 1));
            tx.write(&x, n);
            Ok(())
        });
        assert_eq!(lost.unwrap_err().attempts(), 2);
        assert_eq!(table(&s), "");
    });
    no_trace(&space, &[&v, &w]);
}

/// Loses this attempt by a way of its own when told to, else goes on.
fn lose(tx: &Tx<'_>, how: usize, other: &V, spare: &V) -> Stm<()> {
    let n = *tx.read(other);
    tx.write(spare, n);
    let rival = other.clone();
    elsewhere(move || rival.update(|n| n + 1));
    match how {
        0 => Ok(()), // Lost when it commits.
        1 => tx.refresh(),
        _ => {
            // A lock that brings it to light.
            let (rival, there) = (spare.clone(), other.clone());
            elsewhere(move || {
                rival.update(|n| n + 1);
                there.update(|n| n + 1);
            });
            tx.lock(spare, Shared)
        }
    }
}

/// §5.2: a lost attempt keeps its locks, and their places, for the next; given up only if that one is lost too without having asked for them.
#[test]
fn a_lost_attempt_keeps_its_locks_for_one_more() {
    for how in 0..3 {
        for mode in MODES {
            let space = Space::new();
            let [v, other, spare] = vars(&space, ["v", "other", "spare"]);
            let seen = Arc::new(Mutex::new(Vec::new()));
            let (s, x, o, p, log) = (space.clone(), v.clone(), other.clone(), spare.clone(), seen.clone());
            elsewhere(move || {
                s.options()
                    .label("A")
                    .run(|tx| {
                        let v_line =
                            s.locks().into_iter().filter(|info| info.variable == "v").map(|info| info.holders[0].mode);
                        log.lock().unwrap().push(v_line.map(letter).collect::<String>());
                        match tx.attempt() {
                            1 | 2 => tx.lock(&x, mode)?,
                            4 => return Ok(()),
                            _ => {} // Does not ask.
                        }
                        // In the second round the spare one is locked already, if it was then: by its own thread's commit.
                        if how == 2 && tx.attempt() > 1 { lose(tx, 1, &o, &p) } else { lose(tx, how, &o, &p) }
                    })
                    .unwrap();
            });
            let l = letter(mode).to_string();
            assert_eq!(*seen.lock().unwrap(), [String::new(), l.clone(), l, String::new()], "{how} {mode}");
            no_trace(&space, &[&v, &other, &spare]);
        }
    }
}

/// §5.2: what is kept keeps its strength: an upgrade that was asked for once is kept whole, and given up whole.
#[test]
fn a_kept_upgrade_is_given_up_whole() {
    let space = Space::new();
    let [v, other, spare] = vars(&space, ["v", "other", "spare"]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (s, x, o, p, log) = (space.clone(), v.clone(), other.clone(), spare.clone(), seen.clone());
    elsewhere(move || {
        s.options()
            .label("A")
            .run(|tx| {
                log.lock().unwrap().push(table(&s));
                match tx.attempt() {
                    1 => {
                        tx.lock(&x, Shared)?;
                        tx.lock(&x, Exclusive)?;
                    }
                    2 => tx.lock(&x, Shared)?,
                    4 => return Ok(()),
                    _ => {}
                }
                lose(tx, 1, &o, &p)
            })
            .unwrap();
    });
    assert_eq!(*seen.lock().unwrap(), ["", "v: Ax", "v: Ax", ""]);
    no_trace(&space, &[&v, &other, &spare]);
}

/// L5: a lock that a commit has stood in line for is held to the end of the transaction, over a lost attempt; a waiter behind it gets it then.
#[test]
fn a_lock_of_a_commit_is_kept_over_the_lost_attempt() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let h = Actor::start(&space, "H");
    h.lock(&v, Exclusive);
    let c = Actor::start(&space, "C");
    assert_eq!(c.read(&v), 0);
    c.write(&v, 10);
    c.end();
    in_line(&space, 1);
    let r = Actor::start(&space, "R");
    r.want(&v, Shared);
    in_line(&space, 2);
    h.write(&v, 1);
    h.commit();
    assert_eq!(c.event(), Event::Began(2));
    assert_eq!(table(&space), "v: Cx < Rs");
    assert_eq!(c.read(&v), 1);
    c.write(&v, 11);
    c.commit();
    assert_eq!(r.event(), Event::Done(0));
    assert_eq!(r.read(&v), 11);
    r.commit();
    assert_eq!(space.stats().conflicts, 1);
    no_trace(&space, &[&v]);
}

/// §5.2, §3.2, §2.9: undone alternatives and parts release their locks, and only theirs, to whoever waits; upgrades go back to shared. So do
/// parts left by a panic that is caught.
#[test]
fn undone_parts_let_others_in() {
    for how in 0..3 {
        let space = Space::new();
        let [v, w] = vars(&space, ["v", "w"]);
        let a = Actor::start(&space, "A");
        a.lock(&v, Shared);
        let [b, c] = ["B", "C"].map(|label| Actor::start(&space, label));
        let (x, y, s) = (v.clone(), w.clone(), space.clone());
        a.tell(move |tx| {
            let part = |tx: &Tx<'_>| -> Stm<()> {
                tx.lock(&x, Exclusive)?;
                tx.lock(&y, Exclusive)?;
                in_line(&s, 2);
                assert_eq!(table(&s), "v: Ax < Bs; w: Ax < Cx");
                Ok(())
            };
            match how {
                0 => tx.or_else(|tx| part(tx).and_then(|()| tx.retry()), |_| Ok(()))?,
                1 => {
                    let undone: Result<(), ()> = tx.nested(|tx| {
                        part(tx)?;
                        tx.abort(())
                    })?;
                    assert!(undone.is_err());
                }
                _ => {
                    let caught = catch_unwind(AssertUnwindSafe(|| {
                        tx.nested(|tx| -> Result<(), tvar::Abort<()>> {
                            part(tx)?;
                            panic!("in the part");
                        })
                    }));
                    assert!(caught.is_err());
                }
            }
            Ok(0)
        });
        eventually("A holds it exclusively", || table(&space) == "v: Ax; w: Ax");
        b.want(&v, Shared);
        c.want(&w, Exclusive);
        assert_eq!((a.event(), b.event(), c.event()), (Event::Done(0), Event::Done(0), Event::Done(0)));
        assert_eq!(table(&space), "v: As Bs; w: Cx", "{how}");
        [a, b, c].into_iter().for_each(Actor::commit);
        no_trace(&space, &[&v, &w]);
    }
}

/// §5.2: parts that stay hand their locks to what is around them.
#[test]
fn parts_that_stay_keep_their_locks() {
    let space = Space::new();
    let [u, v, w] = vars(&space, ["u", "v", "w"]);
    let (s, a, b, c) = (space.clone(), u.clone(), v.clone(), w.clone());
    elsewhere(move || {
        s.options()
            .label("A")
            .run(|tx| {
                let outer: Result<(), ()> = tx.nested(|tx| {
                    tx.nested(|tx| Ok::<_, tvar::Abort<()>>(tx.lock(&a, Exclusive)?))?.unwrap();
                    tx.or_else(|tx| tx.lock(&b, Shared), |_| Ok(()))?;
                    assert_eq!(table(&s), "u: Ax; v: As");
                    tx.abort(())
                })?;
                assert!(outer.is_err());
                assert_eq!(table(&s), "");
                tx.nested(|tx| Ok::<_, tvar::Abort<()>>(tx.lock(&c, Exclusive)?))?.unwrap();
                assert_eq!(table(&s), "w: Ax");
                Ok(())
            })
            .unwrap();
    });
    no_trace(&space, &[&u, &v, &w]);
}

/// §5.4: who gives way lets go of everything at once, also of what it took in parts, and waits for its next run without a lock.
#[test]
fn who_gives_way_holds_nothing() {
    let space = Space::new();
    let [a, b, c] = vars(&space, ["a", "b", "c"]);
    let old = Actor::start(&space, "old");
    let young = Actor::start(&space, "young");
    old.lock(&a, Exclusive);
    young.lock(&b, Exclusive);
    young.lock(&c, Shared);
    old.want(&b, Exclusive);
    in_line(&space, 1);
    let x = a.clone();
    young.tell(move |tx| tx.nested(|tx| Ok::<_, tvar::Abort<()>>(tx.lock(&x, Shared)?)).map(|_| 0));
    assert_eq!((young.event(), old.event()), (Event::Began(2), Event::Done(0)));
    assert_eq!(table(&space), "a: oldx; b: oldx");
    old.commit();
    young.lock(&b, Exclusive);
    young.commit();
    assert_eq!((space.stats().deadlocks, space.stats().conflicts), (1, 0));
    no_trace(&space, &[&a, &b, &c]);
}

/// §2.6: a swallowed refresh or stale lock keeps the locks for the next attempt, like one that is passed on.
#[test]
fn swallowed_stops_keep_locks_too() {
    let space = Space::new();
    let [v, other] = vars(&space, ["v", "other"]);
    let (s, x, o) = (space.clone(), v.clone(), other.clone());
    elsewhere(move || {
        s.options()
            .label("A")
            .run(|tx| {
                if tx.attempt() == 2 {
                    assert_eq!(table(&s), "v: Ax");
                    return Ok(());
                }
                tx.lock(&x, Exclusive)?;
                tx.read(&o);
                let rival = o.clone();
                elsewhere(move || rival.update(|n| n + 1));
                assert!(tx.refresh().is_err());
                Ok(())
            })
            .unwrap();
    });
    no_trace(&space, &[&v, &other]);
}
