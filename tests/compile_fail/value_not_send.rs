// Fails: E0277
// Values are shared between threads.
use std::rc::Rc;
use tvar::TVar;

fn main() {
    let _var = TVar::new(Rc::new(1));
}
