//! Verdicts that a stopped thread has published (C6, C7): whoever goes on finishes them, none is lost, each is applied once.
//! Bound: 2 preemptions; two of three at a time: the announcer, the committer that took it along and stopped before it told, and a third
//! committer. One order will do for what leads up to the stop, and for what comes after the calls.
#![cfg(tvar_loom)]

use loom::sync::mpsc::{Receiver, Sender, channel};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tvar::{TVar, Tx, hooks, internals};
use tvar_loom_tests::{model, spawn};

/// Makes a call that stops at a point, until told to go on.
fn stopping_at(point: hooks::Point, stopped: Sender<()>, go_on: Receiver<()>, call: impl FnOnce()) {
    let mut stop = Some((stopped, go_on));
    let hook = hooks::on_this_thread(move |passed| {
        if passed == point
            && let Some((stopped, go_on)) = stop.take()
        {
            stopped.send(()).unwrap();
            go_on.recv().unwrap();
        }
    });
    call();
    drop(hook);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Announcer,
    Helper,
    Third,
}
use Who::{Announcer, Helper, Third};

/// `call` is announced; whoever decides it writes 1 to `m`, and 10 to `n` if `overwriting`. Then `beside` go on, at a time, and only after
/// them the others.
fn decided(beside: [Who; 2], overwriting: bool, call: fn(&Tx<'_>, &TVar<i64>)) {
    model(2, move || {
        loom::stop_exploring();
        let left = Arc::new(AtomicUsize::new(beside.len()));
        let ended = move |who| {
            if beside.contains(&who) && left.fetch_sub(1, Relaxed) == 1 {
                loom::stop_exploring();
            }
        };
        let space = internals::space();
        let [n, m, other] = [0, 0, 0].map(|n| TVar::new_in(&space, n));
        let (announced, is_announced) = channel();
        let (announcer_goes_on, may_go_on) = channel();
        let announcer = spawn({
            let (space, n, ended) = (space.clone(), n.clone(), ended.clone());
            move || {
                stopping_at(hooks::Point::Announced, announced, may_go_on, || {
                    let result = space.options().coalesce_after(0).run(|tx| {
                        call(tx, &n);
                        Ok(())
                    });
                    result.expect("there is no limit");
                });
                ended(Announcer);
                n
            }
        });
        is_announced.recv().unwrap();
        let (decided, is_decided) = channel();
        let (helper_goes_on, may_go_on) = channel();
        let helper = spawn({
            let (space, n, m, ended) = (space.clone(), n.clone(), m.clone(), ended.clone());
            move || {
                stopping_at(hooks::Point::Decided, decided, may_go_on, || {
                    space.atomically(|tx| {
                        tx.write(&m, 1);
                        if overwriting {
                            tx.write(&n, 10);
                        }
                        Ok(())
                    });
                });
                ended(Helper);
                (n, m)
            }
        });
        is_decided.recv().unwrap();
        loom::explore();
        let go_on = |who| match who {
            Announcer => announcer_goes_on.send(()).unwrap(),
            Helper => helper_goes_on.send(()).unwrap(),
            Third => {
                other.update(|n| n + 1);
                ended(Third);
            }
        };
        beside.into_iter().for_each(&go_on);
        let late = |who| !beside.contains(&who);
        // Whoever goes on now finds what the two have left.
        let handle = if late(Announcer) {
            helper.join().unwrap();
            go_on(Announcer);
            announcer.join().unwrap()
        } else {
            let handle = announcer.join().unwrap();
            [Helper].into_iter().filter(|who| late(*who)).for_each(go_on);
            drop(helper.join().unwrap());
            handle
        };
        assert_eq!((n.load(), m.load()), (if overwriting { 11 } else { 1 }, 1));
        drop(handle);
    });
}

fn increment(tx: &Tx<'_>, n: &TVar<i64>) {
    tx.modify(n, |n| n + 1);
}

#[test]
fn the_announcer_beside_its_helper() {
    decided([Announcer, Helper], false, |tx, n| tx.merge(n, |n| n + 1));
}

#[test]
fn the_announcer_beside_another_commit() {
    decided([Announcer, Third], false, increment);
}

#[test]
fn the_helper_beside_another_commit() {
    decided([Helper, Third], false, increment);
}

#[test]
fn a_conflict_is_a_verdict_like_another() {
    decided([Announcer, Third], true, increment);
}
