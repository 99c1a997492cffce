// Fails: E0521
// A reference that `read` handed out cannot leave the closure by a captured place.
use tvar::{TVar, atomically};

fn main() {
    let var = TVar::new(String::new());
    let mut smuggled: Option<&String> = None;
    atomically(|tx| {
        smuggled = Some(tx.read(&var));
        Ok(())
    });
    println!("{smuggled:?}");
}
