//! Swap and pin (I3, I4): while a reader is at work, what it can reach is not freed; when nobody is, everything is.
//! Bound: 2 preemptions; a writer with two commits of a boxed value, a reader with one attempt.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

#[test]
fn a_pinned_version_stays_and_everything_else_goes() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        let writer = spawn({
            let v = v.clone();
            move || {
                v.store(Tracked::new(1));
                v.store(Tracked::new(2));
                v
            }
        });
        let reader = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                let seen = space.atomically(|tx| {
                    let first = tx.read(&v);
                    let number = first.get();
                    assert_eq!(tx.read(&v).get(), number);
                    assert_eq!(first.get(), number);
                    Ok(number)
                });
                assert!(seen <= 2);
                v
            }
        });
        let handles = (writer.join().unwrap(), reader.join().unwrap());
        // Nobody is at work any more: a commit or two later only the newest value lives, and the nodes of the newest tree.
        for number in 3..5 {
            v.store(Tracked::new(number));
        }
        assert_eq!(values(), 1);
        assert_eq!(internals::nodes_in_use(), 2, "a root and a leaf");
        drop(handles);
    });
}

#[test]
fn what_a_pin_has_kept_goes_after_the_pin() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel();
        let reader = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                space.atomically(|tx| {
                    assert_eq!(tx.read(&v).get(), 0);
                    begun.send(()).unwrap();
                    may_go_on.recv().unwrap();
                    assert_eq!(tx.read(&v).get(), 0);
                    Ok(())
                });
                v
            }
        });
        has_begun.recv().unwrap();
        v.store(Tracked::new(1));
        assert_eq!(values(), 2, "the reader's and the newest");
        go_on.send(()).unwrap();
        v.store(Tracked::new(2));
        let handle = reader.join().unwrap();
        v.store(Tracked::new(3));
        assert_eq!(values(), 1);
        drop(handle);
    });
}
