// Fails: E0505
// A handle cannot be dropped while a reference from `read` is in use.
use tvar::{TVar, atomically};

fn main() {
    atomically(|tx| {
        let var = TVar::new(String::from("initial"));
        let text = tx.read(&var);
        drop(var);
        Ok(text.len())
    });
}
