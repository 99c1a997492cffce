//! Who waits for what an announced commit writes is woken by whoever publishes it, by the announcer if that one has stopped, or by the next
//! committer if both have (§4.1, §4.2). A lost wake-up is a deadlock, which ends the process.
//! Bound: 2 preemptions; a waiter, and whoever goes on. One order will do for the announcement.
#![cfg(tvar_loom)]

use loom::sync::mpsc::{Receiver, Sender, channel};
use tvar::{TVar, hooks, internals};
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
enum Wakes {
    Publisher,
    Announcer,
    Next,
}

fn woken_by(preemptions: usize, wakes: Wakes) {
    model(preemptions, move || {
        loom::stop_exploring();
        let space = internals::space();
        let [v, w, x] = [0, 0, 0].map(|n| TVar::new_in(&space, n));
        let (announced, is_announced) = channel();
        let (go_on, may_go_on) = channel();
        let announcer = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                stopping_at(hooks::Point::Announced, announced, may_go_on, || {
                    let result = space.options().coalesce_after(0).run(|tx| {
                        tx.write(&v, 1);
                        Ok(())
                    });
                    result.expect("there is no limit");
                });
                v
            }
        });
        is_announced.recv().unwrap();
        let waiter = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                space.atomically(|tx| tx.check(*tx.read(&v) == 1));
                loom::stop_exploring();
                v
            }
        });
        loom::explore();
        let mut helper = None;
        if wakes == Wakes::Publisher {
            w.store(1);
        } else {
            let (decided, is_decided) = channel();
            let (helper_goes_on, may_go_on) = channel();
            let w = w.clone();
            let thread = spawn(move || {
                stopping_at(hooks::Point::Decided, decided, may_go_on, || w.store(1));
                w
            });
            is_decided.recv().unwrap();
            helper = Some((thread, helper_goes_on));
        }
        match wakes {
            Wakes::Publisher => {}
            Wakes::Announcer => go_on.send(()).unwrap(),
            Wakes::Next => x.store(1),
        }
        let handle = waiter.join().unwrap();
        if wakes != Wakes::Announcer {
            go_on.send(()).unwrap();
        }
        let handles = helper.map(|(thread, go_on)| {
            go_on.send(()).unwrap();
            thread.join().unwrap()
        });
        let handles = (handle, handles, announcer.join().unwrap());
        assert_eq!((space.waiters(), w.load()), (0, 1));
        drop(handles);
    });
}

#[test]
fn by_whoever_publishes_it() {
    woken_by(2, Wakes::Publisher);
}

#[test]
fn by_the_announcer_if_that_one_stopped() {
    woken_by(2, Wakes::Announcer);
}

#[test]
fn by_the_next_committer_if_both_stopped() {
    woken_by(2, Wakes::Next);
}
