// Compiles: what the other programs do wrong, done right.
use tvar::{TVar, atomically};

fn main() {
    let var = TVar::new(String::from("text"));
    let length = atomically(|tx| {
        let text = tx.read(&var);
        tx.write(&var, String::new());
        Ok(text.len())
    });
    let snapshot = tvar::Space::global().snapshot();
    std::thread::scope(|scope| {
        scope.spawn(|| snapshot.read(&var).len());
    });
    assert_eq!(length, 4);
}
