//! A leaf without variables is cut off the tree (I7) beside a commit: whoever loses the swap, nothing is freed twice or left, no update is
//! lost, and the slots serve new variables.
//! Bound: 2 preemptions; a thread that drops the variables of a leaf, and another with one commit beside it.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn, values};

#[test]
fn a_leaf_without_variables_goes_beside_a_commit() {
    model(2, || {
        // One order will do for the making of a tree of two levels.
        loom::stop_exploring();
        let space = internals::space();
        let vars: Vec<_> = (0..5).map(|n| TVar::new_in(&space, n)).collect();
        let last = TVar::new_in(&space, Tracked::new(0));
        space.atomically(|tx| {
            vars.iter().for_each(|var| tx.write(var, 10));
            tx.write(&last, Tracked::new(1));
            Ok(())
        });
        let mut vars = vars.into_iter();
        let [first, spare, left, right, far] = std::array::from_fn(|_| vars.next().unwrap());
        // A thread keeps one free slot for itself.
        drop(spare);
        let other = spawn({
            let (space, first, last) = (space.clone(), first.clone(), last.clone());
            move || {
                space.atomically(|tx| {
                    tx.modify(&first, |n| n + 1);
                    tx.modify(&last, |old| Tracked::new(old.get() + 1));
                    Ok(())
                });
                (first, last)
            }
        });
        loom::explore();
        drop((left, right));
        loom::stop_exploring();
        let handles = other.join().unwrap();
        let fresh = [TVar::new_in(&space, 100), TVar::new_in(&space, 101)];
        fresh.iter().for_each(|var| var.update(|n| n + 100));
        assert_eq!((first.load(), far.load(), fresh[0].load(), fresh[1].load()), (11, 10, 200, 201));
        space.atomically(|tx| {
            assert_eq!(tx.read(&last).get(), 2);
            Ok(())
        });
        assert_eq!(values(), 1);
        drop(handles);
    });
}
