//! Announced commits (C5 to C7) against others: none is lost, each takes effect once, in an order that its validation allows.
//! Bound: 2 preemptions; an announced commit beside an ordinary one, or beside another announced one. One order will do for what comes after the
//! calls.
#![cfg(tvar_loom)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tvar::{Space, TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

/// One commit of two, announced at once or not at all.
fn commit(announced: bool, ended: &AtomicUsize, space: &Space, f: impl Fn(&tvar::Tx<'_>)) {
    let after = if announced { 0 } else { u32::MAX };
    let result = space.options().coalesce_after(after).run(|tx| {
        f(tx);
        Ok(())
    });
    result.expect("there is no limit");
    if ended.fetch_add(1, Relaxed) == 1 {
        loom::stop_exploring();
    }
}

/// Two commits at a time, of which the first is announced.
fn beside(announced: bool, f: fn(&tvar::Tx<'_>, &[TVar<i64>; 2], usize), then: fn([i64; 2])) {
    model(2, move || {
        let ended = Arc::new(AtomicUsize::new(0));
        let space = internals::space();
        let vars = [0, 0].map(|n| TVar::new_in(&space, n));
        let other = spawn({
            let (space, vars, ended) = (space.clone(), vars.clone(), ended.clone());
            move || {
                commit(true, &ended, &space, |tx| f(tx, &vars, 0));
                vars
            }
        });
        commit(announced, &ended, &space, |tx| f(tx, &vars, 1));
        let handles = other.join().unwrap();
        then([vars[0].load(), vars[1].load()]);
        drop(handles);
    });
}

#[test]
fn increments_beside_an_ordinary_commit_add_up() {
    beside(false, |tx, vars, _| tx.modify(&vars[0], |n| n + 1), |vars| assert_eq!(vars[0], 2));
}

#[test]
fn increments_of_two_announced_commits_add_up() {
    beside(true, |tx, vars, _| tx.modify(&vars[0], |n| n + 1), |vars| assert_eq!(vars[0], 2));
}

/// Each reads what the other writes: whichever is the second sees the first (§2.2).
#[test]
fn members_of_a_batch_are_validated_against_each_other() {
    let f = |tx: &tvar::Tx<'_>, vars: &[TVar<i64>; 2], i: usize| tx.write(&vars[i], *tx.read(&vars[1 - i]) + 1);
    beside(true, f, |[x, y]| assert!((x, y) == (1, 2) || (x, y) == (2, 1), "write skew: {x}, {y}"));
}

#[test]
fn merges_of_two_announced_commits_are_applied_once_each() {
    model(2, || {
        let ended = Arc::new(AtomicUsize::new(0));
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(1));
        // A function of an initial value is not announced.
        v.store(Tracked::new(0));
        let add = move |v: &TVar<Tracked>, n| {
            commit(true, &ended, &v.space(), |tx| tx.merge(v, move |old| Tracked::new(old.get() + n)));
        };
        let other = spawn({
            let (v, add) = (v.clone(), add.clone());
            move || {
                add(&v, 1);
                v
            }
        });
        add(&v, 10);
        let handle = other.join().unwrap();
        assert_eq!(space.atomically(|tx| Ok(tx.read(&v).get())), 11);
        // Whatever is left of the two commits is adopted by the next ones.
        (0..2).for_each(|n| v.store(Tracked::new(n)));
        assert_eq!(values(), 1);
        drop(handle);
    });
}

#[test]
fn boxed_values_beside_an_ordinary_commit_end_once() {
    model(2, || {
        let ended = Arc::new(AtomicUsize::new(0));
        let space = internals::space();
        let (v, w) = (TVar::new_in(&space, Tracked::new(0)), TVar::new_in(&space, Tracked::new(0)));
        let other = spawn({
            let (space, v, ended) = (space.clone(), v.clone(), ended.clone());
            move || {
                commit(true, &ended, &space, |tx| tx.write(&v, Tracked::new(1)));
                v
            }
        });
        commit(false, &ended, &space, |tx| tx.write(&w, Tracked::new(2)));
        let handle = other.join().unwrap();
        assert_eq!(space.atomically(|tx| Ok((tx.read(&v).get(), tx.read(&w).get()))), (1, 2));
        // Whatever is left of the two commits is adopted by the next ones.
        (0..2).for_each(|n| w.store(Tracked::new(n)));
        assert_eq!(values(), 2);
        drop(handle);
    });
}
