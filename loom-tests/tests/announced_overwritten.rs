//! A value that one announced commit writes and a root publishes stays as long as a committer that is late, since its base is older, may apply the
//! function of another announced commit to it, though a later root has replaced it (C8).
//! Bound: one schedule; two announced commits; a committer that takes the first one along alone; and the one that is late, inside the second one's
//! function, while that one's own thread publishes it as well and cleans up.
#![cfg(tvar_loom)]

use loom::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
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

fn merge(space: &Space, f: impl Fn(&Tx<'_>)) {
    space.atomically(|tx| {
        f(tx);
        Ok(())
    });
}

type Stop = (loom::thread::ThreadId, Sender<()>, Receiver<()>);

struct Late(Arc<Mutex<Option<Stop>>>);

// SAFETY: loom runs one thread at a time.
unsafe impl Send for Late {}
// SAFETY: as above.
unsafe impl Sync for Late {}

impl Late {
    /// If the helper calls it, the first time.
    fn lets_the_others_go_on(&self) {
        let stop = self.0.lock().unwrap().take_if(|(thread, ..)| *thread == loom::thread::current().id());
        if let Some((_, applying, is_cleaned)) = stop {
            applying.send(()).unwrap();
            is_cleaned.recv().unwrap();
        }
    }
}

#[test]
fn a_function_of_a_value_that_was_overwritten_since() {
    model(1, || {
        loom::stop_exploring();
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        // A function of an initial value is not announced.
        v.store(Tracked::new(0));
        let [n, m] = [0, 0].map(|n| TVar::new_in(&space, n));
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
        let ((ready, is_ready), (go_on, may_go_on)) = (channel(), channel());
        let (over, is_over) = channel();
        let publisher = spawn({
            let m = m.clone();
            move || {
                at(hooks::Point::Swap, stop(ready, may_go_on), || m.store(1));
                over.send(()).unwrap();
                m
            }
        });
        is_ready.recv().unwrap();
        let ((both, is_both), (applying, is_applying), (cleaned, is_cleaned)) = (channel(), channel(), channel());
        // The helper's number, and how it lets the others go on.
        let late = Arc::new(Mutex::new(None));
        let (chosen, is_chosen) = channel();
        let helper = spawn({
            let (space, n, late) = (space.clone(), n.clone(), late.clone());
            move || {
                let waits = move || {
                    chosen.send(()).unwrap();
                    is_both.recv().unwrap();
                    *late.lock().unwrap() = Some((loom::thread::current().id(), applying, is_cleaned));
                };
                at(hooks::Point::Validate, waits, || merge(&space, |tx| tx.merge(&n, |n| n + 1)));
                n
            }
        });
        is_chosen.recv().unwrap();
        let both_linked = move || {
            both.send(()).unwrap();
            is_applying.recv().unwrap();
            go_on.send(()).unwrap();
            is_over.recv().unwrap();
        };
        at(hooks::Point::Announced, both_linked, || {
            announce(&space, |tx| {
                let late = Late(late.clone());
                tx.merge(&v, move |old| {
                    late.lets_the_others_go_on();
                    Tracked::new(old.get() + 10)
                });
            });
        });
        cleaned.send(()).unwrap();
        let handle = helper.join().unwrap();
        end.send(()).unwrap();
        let handles = (handle, publisher.join().unwrap(), first.join().unwrap());
        assert_eq!(space.atomically(|tx| Ok((tx.read(&v).get(), *tx.read(&n), *tx.read(&m)))), (11, 1, 1));
        (0..3).for_each(|n| v.store(Tracked::new(n)));
        assert_eq!(values(), 1);
        drop(handles);
    });
}
