// Fails: E0597
// The initial value lives in the handle: a reference must not outlive it.
use tvar::{TVar, atomically};

fn main() {
    atomically(|tx| {
        let text = {
            let var = TVar::new(String::from("initial"));
            tx.read(&var)
        };
        Ok(text.len())
    });
}
