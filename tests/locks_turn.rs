//! §4.4, L5: turns and locks together: nobody who holds the one waits for the other for ever.

mod locks_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use locks_common::{Actor, Event, V, elsewhere, eventually, in_line, join, no_trace, settle, table, vars};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Space, Stm, Tx, TxOptions};

/// Options of a call that has the turn from its second attempt on.
fn escalating(space: &Space, label: &'static str) -> TxOptions {
    space.options().label(label).escalate_after(1)
}

/// Loses the first attempt: what is read is stale when it commits.
fn lose_once(tx: &Tx<'_>, hot: &V) {
    tx.read(hot);
    if tx.attempt() == 1 {
        let rival = hot.clone();
        elsewhere(move || rival.update(|n| n + 1));
    }
}

/// A led transaction that has the turn now.
fn with_turn(space: &Space, hot: &V) -> Actor {
    let actor = Actor::with(escalating(space, "T"));
    let x = hot.clone();
    actor.ask(move |tx| {
        lose_once(tx, &x);
        tx.write(&x, 100);
        Ok(0)
    });
    actor.end();
    assert_eq!(actor.event(), Event::Began(2));
    assert_eq!(space.stats().escalations, 1);
    actor
}

/// L5: the turn's holder waits for a lock whose holder waits for the turn's end, in its commit: the turn goes.
#[test]
fn who_has_the_turn_and_waits_for_a_lock_gives_it_up() {
    for in_commit in [false, true] {
        let space = Space::new();
        let [hot, v, w] = vars(&space, ["hot", "v", "w"]);
        let h = Actor::start(&space, "H");
        h.lock(&v, Exclusive);
        h.write(&w, 1);
        let t = with_turn(&space, &hot);
        h.end();
        settle();
        assert_eq!(table(&space), "v: Hx", "its commit waits for the turn's end");
        if in_commit {
            t.write(&v, 5);
            t.end();
        } else {
            t.lock(&v, Exclusive);
            t.write(&v, 5);
            t.end();
        }
        assert_eq!((h.ended(), t.ended()), (Ok(()), Ok(())));
        assert_eq!((v.load(), w.load(), space.stats().deadlocks), (5, 1, 0));
        no_trace(&space, &[&hot, &v, &w]);
    }
}

/// L5: the same if the lock's holder waits for a turn of its own.
#[test]
fn who_waits_for_a_turn_with_a_lock_gets_it_from_who_wants_the_lock() {
    let space = Space::new();
    let [hot, v, w] = vars(&space, ["hot", "v", "w"]);
    let h = Actor::with(escalating(&space, "H"));
    h.lock(&v, Exclusive);
    h.read(&w);
    h.write(&v, 1);
    let rival = w.clone();
    elsewhere(move || rival.update(|n| n + 1));
    let t = with_turn(&space, &hot);
    // Lost: it stands in line for the turn, with its lock.
    h.tell(|tx| tx.refresh().map(|()| 0));
    eventually("it has lost", || space.stats().conflicts == 2);
    assert!(h.is_silent());
    t.want(&v, Exclusive);
    assert_eq!(h.event(), Event::Began(2));
    in_line(&space, 1);
    assert_eq!((space.stats().escalations, table(&space).as_str()), (2, "v: Hx < Tx"));
    h.commit();
    assert_eq!(t.event(), Event::Done(0));
    t.write(&v, 5);
    t.commit();
    assert_eq!(v.load(), 5);
    no_trace(&space, &[&hot, &v, &w]);
}

/// §4.4: a free lock costs nobody the turn: who keeps losing, and locks as well, commits within the bound. (With a rollback hook its locks do not
/// stay from attempt to attempt.)
#[test]
fn a_free_lock_does_not_end_the_turn() {
    for pessimistic in [false, true] {
        let space = Space::new();
        let [hot, v] = vars(&space, ["hot", "v"]);
        let (s, x, y) = (space.clone(), hot.clone(), v.clone());
        let committed = Arc::new(AtomicU64::new(0));
        let runs = elsewhere(move || {
            let mut rivals = Vec::new();
            let mut runs = 0;
            let body = |tx: &Tx<'_>| -> Stm<()> {
                runs += 1;
                tx.on_rollback(|| ());
                if pessimistic {
                    tx.write(&y, 1);
                } else {
                    let n = *tx.read(&x);
                    tx.lock(&y, Exclusive)?;
                    tx.write(&y, n);
                }
                if runs <= 5 && !pessimistic {
                    let (rival, done) = (x.clone(), committed.clone());
                    let before = committed.load(Ordering::SeqCst);
                    rivals.push(thread::spawn(move || {
                        rival.update(|n| n + 1);
                        done.fetch_add(1, Ordering::SeqCst);
                    }));
                    // Without the turn it commits now; with it, it waits.
                    for _ in 0..2000 {
                        if committed.load(Ordering::SeqCst) > before {
                            break;
                        }
                        thread::yield_now();
                    }
                }
                Ok(())
            };
            let options = escalating(&s, "T");
            let options = if pessimistic { options.pessimistic() } else { options };
            options.run(body).unwrap();
            rivals.into_iter().for_each(|rival| join("a rival", rival));
            runs
        });
        assert_eq!(runs, if pessimistic { 1 } else { 2 });
        no_trace(&space, &[&hot, &v]);
    }
}

/// §4.4: `try_lock` never waits, so it keeps the turn.
#[test]
fn a_lock_tried_in_vain_does_not_end_the_turn() {
    let space = Space::new();
    let [hot, v] = vars(&space, ["hot", "v"]);
    let h = Actor::start(&space, "H");
    h.lock(&v, Shared);
    let t = with_turn(&space, &hot);
    assert!(!t.try_lock(&v, Exclusive) && t.try_lock(&v, Shared));
    let x = hot.clone();
    let rival = thread::spawn(move || x.update(|n| n + 1));
    settle();
    assert_eq!(t.read(&hot), 1);
    t.write(&hot, 10);
    t.commit();
    join("the rival", rival);
    h.commit();
    assert_eq!(hot.load(), 11);
    no_trace(&space, &[&hot, &v]);
}

/// §4.4, §5.4: turns, locks and plain commits among few variables, all at once: every call commits, and the sum is right.
#[test]
fn turns_and_locks_do_not_deadlock() {
    let space = Space::new();
    let vars: Vec<V> = (0..3).map(|i| V::named_in(&space, format!("v{i}"), 0)).collect();
    let workers: Vec<_> = (0..6usize)
        .map(|t| {
            let (space, vars) = (space.clone(), vars.clone());
            thread::spawn(move || {
                let options = space.options().escalate_after(1).coalesce_after(t as u32 % 3);
                let options = if t % 3 == 0 { options.pessimistic() } else { options };
                for i in 0..300usize {
                    let (a, b) = (&vars[(t + i) % 3], &vars[(t * 2 + i * 2 + 1) % 3]);
                    options
                        .run(|tx| {
                            if t % 3 == 1 {
                                tx.lock(b, Exclusive)?;
                            }
                            let x = *tx.read(a);
                            thread::yield_now();
                            tx.write(a, x + 1);
                            tx.modify(b, |n| n - 1);
                            Ok(())
                        })
                        .unwrap();
                }
            })
        })
        .collect();
    for worker in workers {
        join("a worker", worker);
    }
    assert_eq!(vars.iter().map(V::load).sum::<i64>(), 0);
    no_trace(&space, &vars.iter().collect::<Vec<_>>());
}
