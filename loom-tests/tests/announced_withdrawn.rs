//! A commit that is withdrawn since its deadline passes while another transaction has the turn (C9), beside that one's commit, which takes it
//! along: it has one end, and the holder of the turn loses no attempt to it.
//! Bound: 2 preemptions; an announced commit whose deadline has passed already, and one that has lost its first attempt and takes the turn. One
//! order will do for what leads up to the loss, and for what comes after the calls.
#![cfg(tvar_loom)]

use loom::sync::mpsc::channel;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

/// The first of two calls that end does nothing; the second ends the exploration.
fn ends(calls: &AtomicUsize) {
    if calls.fetch_add(1, Relaxed) == 1 {
        loom::stop_exploring();
    }
}

#[test]
fn it_has_one_end_and_the_holder_loses_no_attempt() {
    model(2, || {
        loom::stop_exploring();
        let ended = Arc::new(AtomicUsize::new(0));
        let space = internals::space();
        let n = TVar::new_in(&space, 0);
        let v = TVar::new_in(&space, Tracked::new(0));
        let (begun, has_begun) = channel();
        let (overtake, overtaken) = channel();
        let other = spawn({
            let (space, n, v, ended) = (space.clone(), n.clone(), v.clone(), ended.clone());
            move || {
                has_begun.recv().unwrap();
                n.update(|n| n + 1);
                loom::explore();
                overtake.send(()).unwrap();
                let options = space.options().coalesce_after(0).timeout(Duration::ZERO);
                let result = options.run(|tx| {
                    tx.merge(&n, |n| n + 100);
                    tx.write(&v, Tracked::new(1));
                    Ok(())
                });
                ends(&ended);
                (result.is_ok(), n, v)
            }
        });
        let runs = Cell::new(0);
        let result = space.options().escalate_after(1).max_attempts(2).run(|tx| {
            runs.set(runs.get() + 1);
            tx.modify(&n, |n| n + 10);
            if runs.get() == 1 {
                begun.send(()).unwrap();
                overtaken.recv().unwrap();
            }
            Ok(())
        });
        ends(&ended);
        result.expect("lost to two commits");
        let (committed, handles) = {
            let (committed, n, v) = other.join().unwrap();
            (committed, (n, v))
        };
        assert_eq!(runs.get(), 2);
        let seen = space.atomically(|tx| Ok((*tx.read(&n), tx.read(&v).get())));
        assert_eq!(seen, if committed { (111, 1) } else { (11, 0) });
        (0..2).for_each(|n| v.store(Tracked::new(n)));
        assert_eq!(values(), 1);
        drop(handles);
    });
}
