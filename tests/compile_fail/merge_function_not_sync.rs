// Fails: E0277
// A merge function may be applied by another thread.
use std::cell::Cell;
use std::rc::Rc;
use tvar::{TVar, atomically};

fn main() {
    let var = TVar::new(1);
    atomically(|tx| {
        let count = Rc::new(Cell::new(0));
        tx.merge(&var, move |n| {
            count.set(count.get() + 1);
            n + 1
        });
        Ok(())
    });
}
