//! A value that one announced commit writes and another one of the same batch overwrites is in no root; it stays as long as a committer that is
//! late may still apply a function to it (C8).
//! Bound: 2 preemptions; two announced commits, the second of which goes on, and a committer that has its base since before. One order will do for
//! the announcements, and for what comes after the calls.
#![cfg(tvar_loom)]

use loom::sync::mpsc::{Receiver, Sender, channel};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tvar::{Space, TVar, Tx, hooks, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

/// Calls `f` at the first of these points that `call` passes.
fn at(point: hooks::Point, f: impl FnOnce() + 'static, call: impl FnOnce()) {
    let mut f = Some(f);
    let hook = hooks::on_this_thread(move |passed| {
        if passed == point
            && let Some(f) = f.take()
        {
            f();
        }
    });
    call();
    drop(hook);
}

fn stop(stopped: Sender<()>, go_on: Receiver<()>) -> impl FnOnce() {
    move || {
        stopped.send(()).unwrap();
        go_on.recv().unwrap();
    }
}

fn announce(space: &Space, f: impl Fn(&Tx<'_>)) {
    let result = space.options().coalesce_after(0).run(|tx| {
        f(tx);
        Ok(())
    });
    result.expect("there is no limit");
}

/// The first of two calls that end does nothing; the second ends the exploration.
fn ends(calls: &AtomicUsize) {
    if calls.fetch_add(1, Relaxed) == 1 {
        loom::stop_exploring();
    }
}

#[test]
fn a_function_of_a_value_that_was_never_published() {
    model(2, || {
        loom::stop_exploring();
        let ended = Arc::new(AtomicUsize::new(0));
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        // A function of an initial value is not announced.
        v.store(Tracked::new(0));
        let n = TVar::new_in(&space, 0);
        let ((chosen, is_chosen), (go_on, may_go_on)) = (channel(), channel());
        let helper = spawn({
            let (n, ended) = (n.clone(), ended.clone());
            move || {
                at(hooks::Point::Validate, stop(chosen, may_go_on), || n.store(1));
                ends(&ended);
                n
            }
        });
        is_chosen.recv().unwrap();
        let ((linked, is_linked), (end, may_end)) = (channel(), channel());
        let first = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                at(hooks::Point::Announced, stop(linked, may_end), || {
                    announce(&space, |tx| tx.write(&v, Tracked::new(1)))
                });
                v
            }
        });
        is_linked.recv().unwrap();
        let both_linked = move || {
            loom::explore();
            go_on.send(()).unwrap();
        };
        at(hooks::Point::Announced, both_linked, || {
            announce(&space, |tx| tx.merge(&v, |old| Tracked::new(old.get() + 10)));
        });
        ends(&ended);
        let handle = helper.join().unwrap();
        end.send(()).unwrap();
        let handles = (handle, first.join().unwrap());
        assert_eq!(space.atomically(|tx| Ok((tx.read(&v).get(), *tx.read(&n)))), (11, 1));
        (0..3).for_each(|n| v.store(Tracked::new(n)));
        assert_eq!(values(), 1);
        drop(handles);
    });
}
