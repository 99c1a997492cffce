// Fails: E0277
// A `Tx` belongs to its thread.
use tvar::{TVar, atomically};

fn main() {
    let var = TVar::new(0);
    atomically(|tx| {
        std::thread::scope(|scope| {
            scope.spawn(|| tx.write(&var, 1));
        });
        Ok(())
    });
}
