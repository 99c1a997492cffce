// Fails: E0521, E0597
// A hook runs when the attempt is over: it cannot hold what the attempt handed out.
use tvar::{TVar, atomically};

fn main() {
    let var = TVar::new(String::new());
    atomically(|tx| {
        let text = tx.read(&var);
        tx.on_commit(move || println!("{text}"));
        Ok(())
    });
}
