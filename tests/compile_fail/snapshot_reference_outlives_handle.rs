// Fails: E0597
// A reference from a snapshot is borrowed from the handle, too.
use tvar::{Space, TVar};

fn main() {
    let snapshot = Space::global().snapshot();
    let text = {
        let var = TVar::new(String::from("initial"));
        snapshot.read(&var)
    };
    println!("{text}");
}
