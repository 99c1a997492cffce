// Fails: lifetime may not live long enough
// A reference that `read` handed out cannot leave the closure as the result.
use tvar::{TVar, atomically};

fn main() {
    let var = TVar::new(String::new());
    let _text: &String = atomically(|tx| Ok(tx.read(&var)));
}
