//! A leaf without variables is cut off the tree (I7) beside announced commits: a cut replaces no root whose verdicts are not finished (C7).
//! Bound: 2 preemptions; a thread that drops the variables of a leaf, and an announced commit that is decided
//! by a thread that has stopped. One order will do for what leads up to that, and for what follows.
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

#[test]
fn a_cut_beside_an_announced_commit_and_its_helper() {
    model(2, || {
        loom::stop_exploring();
        let space = internals::space();
        let vars: Vec<_> = (0..6).map(|n| TVar::new_in(&space, n)).collect();
        space.atomically(|tx| {
            vars.iter().for_each(|var| tx.write(var, 10));
            Ok(())
        });
        let mut vars = vars.into_iter();
        let [n, spare, left, right, m, _last] = std::array::from_fn(|_| vars.next().unwrap());
        // A thread keeps one free slot for itself.
        drop(spare);
        let ((begin, may_begin), (announced, is_announced)) = (channel(), channel());
        let (decided, is_decided) = channel();
        let ((go_on, may_go_on), (helper_goes_on, helper_may_go_on)) = (channel(), channel());
        let announcer = spawn({
            let (space, n) = (space.clone(), n.clone());
            move || {
                may_begin.recv().unwrap();
                stopping_at(hooks::Point::Announced, announced, may_go_on, || {
                    let result = space.options().coalesce_after(0).run(|tx| {
                        tx.merge(&n, |n| n + 1);
                        Ok(())
                    });
                    result.expect("there is no limit");
                });
                n
            }
        });
        let helper = spawn({
            let m = m.clone();
            move || {
                is_announced.recv().unwrap();
                stopping_at(hooks::Point::Decided, decided, helper_may_go_on, || m.update(|m| m + 1));
                m
            }
        });
        loom::explore();
        begin.send(()).unwrap();
        drop((left, right));
        is_decided.recv().unwrap();
        loom::stop_exploring();
        go_on.send(()).unwrap();
        let handle = announcer.join().unwrap();
        helper_goes_on.send(()).unwrap();
        let handles = (handle, helper.join().unwrap());
        assert_eq!((n.load(), m.load()), (11, 11));
        drop(handles);
    });
}
