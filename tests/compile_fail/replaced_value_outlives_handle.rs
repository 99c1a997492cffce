// Fails: E0597
// The same for the old value that `replace` returns.
use tvar::{TVar, atomically};

fn main() {
    atomically(|tx| {
        let text = {
            let var = TVar::new(String::from("initial"));
            tx.replace(&var, String::new())
        };
        Ok(text.len())
    });
}
