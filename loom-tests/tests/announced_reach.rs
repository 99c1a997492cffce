//! What is announced stays as long as anybody can look at it (C8), and no longer: a committer that is late, since its base is older than the
//! verdict or than the announcement, and an announcer that is.
//! Bound: 2 preemptions; an announced commit and another one, each followed by further commits of its thread, whose vacuums free what they can.
//! One order will do for what leads up to the announcement, and for what comes after the calls.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use tvar::{Space, TVar, hooks, internals};
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

/// The first of two calls that end does nothing; the second ends the exploration.
fn ends(calls: &AtomicUsize) {
    if calls.fetch_add(1, Relaxed) == 1 {
        loom::stop_exploring();
    }
}

/// Announces a merge, whose function has a value of its own, and the overwriting of a value.
fn announce(space: &Space, v: &TVar<Tracked>, w: &TVar<Tracked>) {
    let result = space.options().coalesce_after(0).run(|tx| {
        let step = Tracked::new(1);
        tx.merge(v, move |old| Tracked::new(old.get() + step.get()));
        tx.write(w, Tracked::new(1));
        Ok(())
    });
    result.expect("there is no limit");
}

/// A helper that has chosen its base before the announcement: the announcer's snapshot, or an `older` root.
fn a_late_helper(older: bool, afterwards: usize) {
    model(2, move || {
        loom::stop_exploring();
        let ended = Arc::new(AtomicUsize::new(0));
        let space = internals::space();
        let [v, w, x] = [0, 0, 0].map(|n| TVar::new_in(&space, Tracked::new(n)));
        // A function of an initial value is not announced.
        v.store(Tracked::new(0));
        let n = TVar::new_in(&space, 0);
        let (chosen, base_is_chosen) = channel();
        // A flag that loom does not know: the helper comes after the linking in time, but nothing that it knows of says so.
        let announced = Arc::new(AtomicBool::new(false));
        let announcer = spawn({
            let announced = announced.clone();
            let (space, v, w, n, ended) = (space.clone(), v.clone(), w.clone(), n.clone(), ended.clone());
            move || {
                base_is_chosen.recv().unwrap();
                if older {
                    n.update(|n| n + 1);
                }
                let goes_on = move || {
                    loom::explore();
                    announced.store(true, Relaxed);
                };
                at(hooks::Point::Announced, goes_on, || announce(&space, &v, &w));
                (0..afterwards).for_each(|_| n.update(|n| n + 1));
                ends(&ended);
                (v, w, n)
            }
        });
        let waits = move || {
            chosen.send(()).unwrap();
            while !announced.load(Relaxed) {
                loom::thread::yield_now();
            }
        };
        // A merge, since a commit that goes the short way first would choose its base again.
        at(hooks::Point::Validate, waits, || {
            space.atomically(|tx| {
                tx.merge(&x, |old| Tracked::new(old.get() + 1));
                Ok(())
            });
        });
        ends(&ended);
        let handles = announcer.join().unwrap();
        assert_eq!(space.atomically(|tx| Ok([&v, &w, &x].map(|var| tx.read(var).get()))), [1, 1, 1]);
        // Whatever is left is adopted by the next commits.
        (0..2).for_each(|n| x.store(Tracked::new(n)));
        assert_eq!(values(), 3);
        drop(handles);
    });
}

#[test]
fn a_helper_with_the_same_base_as_the_announcer() {
    a_late_helper(false, 1);
}

#[test]
fn a_helper_with_a_base_before_the_announcement() {
    a_late_helper(true, 1);
}

#[test]
fn an_announcer_that_looks_late_at_its_verdict() {
    model(2, || {
        loom::stop_exploring();
        let ended = Arc::new(AtomicUsize::new(0));
        let space = internals::space();
        let [v, w, x] = [0, 0, 0].map(|n| TVar::new_in(&space, Tracked::new(n)));
        // A function of an initial value is not announced.
        v.store(Tracked::new(0));
        let (announced, is_announced) = channel();
        let (decided, is_decided) = channel();
        let announcer = spawn({
            let (space, v, w, ended) = (space.clone(), v.clone(), w.clone(), ended.clone());
            move || {
                let waits = move || {
                    announced.send(()).unwrap();
                    is_decided.recv().unwrap();
                };
                at(hooks::Point::Announced, waits, || announce(&space, &v, &w));
                ends(&ended);
                (v, w)
            }
        });
        is_announced.recv().unwrap();
        let goes_on = move || {
            loom::explore();
            decided.send(()).unwrap();
        };
        at(hooks::Point::Decided, goes_on, || x.store(Tracked::new(1)));
        (2..4).for_each(|n| x.store(Tracked::new(n)));
        ends(&ended);
        let handles = announcer.join().unwrap();
        assert_eq!(space.atomically(|tx| Ok([&v, &w, &x].map(|var| tx.read(var).get()))), [1, 1, 3]);
        (0..2).for_each(|n| x.store(Tracked::new(n)));
        assert_eq!(values(), 3);
        drop(handles);
    });
}
