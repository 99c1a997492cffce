//! Thread exit and adoption (I9): the backlog of a thread that has gone, or is idle, is taken over once, and freed only when the
//! reader that held it back has finished.
//! Bound: 1 preemption in the first model, 2 in the others; a reader, a thread that retires values and leaves or idles, and one that adopts.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

fn reader(space: &tvar::Space, v: &TVar<Tracked>) -> loom::thread::JoinHandle<TVar<Tracked>> {
    let (space, v) = (space.clone(), v.clone());
    spawn(move || {
        space.atomically(|tx| {
            assert_eq!(tx.read(&v).get(), tx.read(&v).get());
            Ok(())
        });
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
        // A reader in the middle of its attempt holds the first value back.
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel();
        let reading = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                space.atomically(|tx| {
                    let number = tx.read(&v).get();
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    assert_eq!(tx.read(&v).get(), number);
                    Ok(())
                });
                v
            }
        });
        has_begun.recv().unwrap();
        let (idle, is_idle) = channel();
        let (proceed, may_proceed) = channel();
        let idling = spawn({
            let v = v.clone();
            move || {
                v.store(Tracked::new(1));
                idle.send(()).unwrap();
                may_proceed.recv().unwrap();
                v.store(Tracked::new(2));
                v
            }
        });
        is_idle.recv().unwrap();
        adopt(&w, 1);
        proceed.send(()).unwrap();
        adopt(&w, 1);
        go_on.send(()).unwrap();
        let handles = (idling.join().unwrap(), reading.join().unwrap());
        adopt(&w, 4);
        assert_eq!(values(), 1);
        drop(handles);
    });
}

#[test]
fn a_backlog_is_adopted_before_the_scan_that_frees_it() {
    model(2, || {
        // One order will do for what leads up to the adoption.
        loom::stop_exploring();
        let space = internals::space();
        let (v, w) = (TVar::new_in(&space, Tracked::new(0)), TVar::new_in(&space, 0));
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel();
        let (again, has_again) = channel();
        let (end, may_end) = channel();
        let reading = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                for (begun, may_go_on) in [(begun, may_go_on), (again, may_end)] {
                    space.atomically(|tx| {
                        let number = tx.read(&v).get();
                        begun.send(()).unwrap();
                        may_go_on.recv().unwrap();
                        assert_eq!(tx.read(&v).get(), number);
                        Ok(())
                    });
                }
                v
            }
        });
        has_begun.recv().unwrap();
        let (idle, is_idle) = channel();
        let idling = spawn({
            let v = v.clone();
            move || {
                v.store(Tracked::new(1));
                idle.send(()).unwrap();
                // What the reader's second attempt has read is retired while it runs.
                has_again.recv().unwrap();
                v.store(Tracked::new(2));
                v
            }
        });
        is_idle.recv().unwrap();
        adopt(&w, 1);
        loom::explore();
        go_on.send(()).unwrap();
        adopt(&w, 1);
        loom::stop_exploring();
        end.send(()).unwrap();
        let handles = (idling.join().unwrap(), reading.join().unwrap());
        adopt(&w, 4);
        assert_eq!(values(), 1);
        drop(handles);
    });
}
