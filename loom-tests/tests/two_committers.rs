//! Two committers (C1): no update is lost, on one variable or on neighbours in one leaf; a reader sees all of a commit or
//! nothing (§1.4). Of values written over each other, each is retired by the commit that replaced it.
//! Bound: 2 preemptions for two writers, 1 for two writers and a reader.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

#[test]
fn increments_of_one_variable_add_up() {
    model(2, || {
        let space = internals::space();
        let n = TVar::new_in(&space, 0);
        let other = spawn({
            let n = n.clone();
            move || {
                n.update(|n| n + 1);
                n
            }
        });
        n.update(|n| n + 1);
        let handle = other.join().unwrap();
        assert_eq!(n.load(), 2);
        drop(handle);
    });
}

#[test]
fn a_recycled_root_does_not_pass_for_the_base() {
    model(2, || {
        let space = internals::space();
        let (x, y) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
        let other = spawn({
            let y = y.clone();
            move || {
                for _ in 0..3 {
                    y.update(|n| n + 1);
                }
                y
            }
        });
        x.update(|n| n + 1);
        let handle = other.join().unwrap();
        assert_eq!((x.load(), y.load()), (1, 3));
        drop(handle);
    });
}

#[test]
fn values_written_over_each_other_end_once() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, Tracked::new(0));
        let other = spawn({
            let v = v.clone();
            move || {
                v.store(Tracked::new(1));
                v
            }
        });
        v.store(Tracked::new(2));
        let handle = other.join().unwrap();
        // Whatever is left of the first two commits is adopted by the next ones.
        for number in 3..5 {
            v.store(Tracked::new(number));
        }
        assert_eq!(values(), 1);
        drop(handle);
    });
}

#[test]
fn a_reader_sees_whole_commits() {
    model(1, || {
        let space = internals::space();
        let (x, y) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
        let mut writers = Vec::new();
        for _ in 0..2 {
            let (space, x, y) = (space.clone(), x.clone(), y.clone());
            writers.push(spawn(move || {
                space.atomically(|tx| {
                    tx.modify(&x, |n| n + 1);
                    tx.modify(&y, |n| n + 1);
                    Ok(())
                });
                (x, y)
            }));
        }
        let (a, b) = space.atomically(|tx| Ok((*tx.read(&x), *tx.read(&y))));
        assert_eq!(a, b);
        let handles: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        assert_eq!((x.load(), y.load()), (2, 2));
        drop(handles);
    });
}
