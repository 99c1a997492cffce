// Fails: E0277
// Values are shared between threads.
use std::cell::Cell;
use tvar::TVar;

fn main() {
    let _var = TVar::new(Cell::new(1));
}
