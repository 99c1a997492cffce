//! Thread exit and adoption (I9): the backlog of a thread that has gone, or is idle, is taken over once, and freed only when the
//! reader that held it back has finished.
//! Bound: 1 preemption for three threads, 2 for two; a reader or a kept snapshot, a thread that retires values and leaves or
//! idles, and one that adopts.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

fn reader(space: &tvar::Space, v: &TVar<Tracked>) -> loom::thread::JoinHandle<TVar<Tracked>> {
    let (space, v) = (space.clone(), v.clone());
    spawn(move || {
        space.atomically(|tx| Ok(assert_eq!(tx.read(&v).get(), tx.read(&v).get())));
        v
    })
}

/// Commits that notice a backlog, take it over, and do the same for a second one.
fn adopt(w: &TVar<i64>, commits: usize) {
    (0..commits).for_each(|_| w.update(|n| n + 1));
}

#[test]
fn a_thread_that_has_gone() {
    model(1, || {
        let space = internals::space();
        let (v, w) = (TVar::new_in(&space, Tracked::new(0)), TVar::new_in(&space, 0));
        let reading = reader(&space, &v);
        let leaving = spawn({
            let v = v.clone();
            move || {
                v.store(Tracked::new(1));
                v
            }
        });
        adopt(&w, 2);
        let handles = (reading.join().unwrap(), leaving.join().unwrap());
        adopt(&w, 4);
        assert_eq!(values(), 1);
        drop(handles);
    });
}

#[test]
fn a_thread_that_idles_between_two_commits() {
    model(2, || {
        let space = internals::space();
        let (v, w) = (TVar::new_in(&space, Tracked::new(0)), TVar::new_in(&space, 0));
        let kept = space.atomically(|tx| Ok((tx.read(&v).get(), space.snapshot())));
        let idling = spawn({
            let v = v.clone();
            move || {
                v.store(Tracked::new(1));
                v.store(Tracked::new(2));
                v
            }
        });
        adopt(&w, 2);
        assert_eq!(kept.1.read(&v).get(), kept.0);
        drop(kept);
        let handle = idling.join().unwrap();
        adopt(&w, 4);
        assert_eq!(values(), 1);
        drop(handle);
    });
}
