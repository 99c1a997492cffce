// Fails: E0597
// A merge function may be applied by another thread: it owns what it uses.
use tvar::{TVar, atomically};

fn main() {
    let var = TVar::new(1);
    let step = 2;
    let by = &step;
    atomically(|tx| {
        tx.merge(&var, move |n| n + by);
        Ok(())
    });
}
