//! An announced commit is decided by the second swap that follows its linking, at the latest, whatever its own thread does (C5, §4.2).
//! Bound: 2 preemptions; the announcer stops once it is linked; a committer that had its draft by then, and another one. One order will do for
//! what leads up to the draft.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use tvar::{TVar, hooks, internals};
use tvar_loom_tests::{model, spawn};

#[derive(Default)]
struct Seen {
    linked: AtomicBool,
    swaps_since: AtomicUsize,
}

/// Counts the swaps that this thread makes after the linking; calls `f` before the first.
fn counting_swaps(seen: &Arc<Seen>, f: impl FnOnce() + 'static) -> hooks::HookGuard {
    let (seen, mut f, linked) = (seen.clone(), Some(f), Cell::new(false));
    hooks::on_this_thread(move |point| match point {
        hooks::Point::Swap => {
            if let Some(f) = f.take() {
                f();
            }
            linked.set(seen.linked.load(Relaxed));
        }
        hooks::Point::Swapped if linked.get() => _ = seen.swaps_since.fetch_add(1, Relaxed),
        _ => {}
    })
}

#[test]
fn the_second_swap_decides() {
    model(2, || {
        loom::stop_exploring();
        let seen = Arc::new(Seen::default());
        let space = internals::space();
        let [n, x, y] = [0, 0, 0].map(|n| TVar::new_in(&space, n));
        let (prepared, is_prepared) = channel();
        let (linked, is_linked) = channel();
        let (end, may_end) = channel();
        let announcer = spawn({
            let (space, n, seen) = (space.clone(), n.clone(), seen.clone());
            move || {
                is_prepared.recv().unwrap();
                let hook = hooks::on_this_thread(move |point| {
                    if point == hooks::Point::Announced {
                        seen.linked.store(true, Relaxed);
                        linked.send(()).unwrap();
                        may_end.recv().unwrap();
                    }
                });
                let increment = space.options().coalesce_after(0).run(|tx| {
                    tx.merge(&n, |n| n + 1);
                    Ok(())
                });
                increment.expect("there is no limit");
                drop(hook);
                n
            }
        });
        let other = spawn({
            let (space, y, seen) = (space.clone(), y.clone(), seen.clone());
            move || {
                let hook = counting_swaps(&seen, || ());
                space.atomically(|tx| {
                    tx.merge(&y, |n| n + 1);
                    Ok(())
                });
                drop(hook);
                y
            }
        });
        let hook = counting_swaps(&seen, move || {
            loom::explore();
            prepared.send(()).unwrap();
            is_linked.recv().unwrap();
        });
        x.store(1);
        drop(hook);
        let handle = other.join().unwrap();
        loom::stop_exploring();
        if seen.swaps_since.load(Relaxed) == 2 {
            assert_eq!(n.load(), 1, "two swaps have passed it over");
        }
        end.send(()).unwrap();
        let handles = (handle, announcer.join().unwrap());
        assert_eq!((n.load(), x.load(), y.load()), (1, 1, 1));
        drop(handles);
    });
}
