// Fails: E0597
// A reference from a snapshot does not outlive the snapshot.
use tvar::{Space, TVar};

fn main() {
    let var = TVar::new(String::from("initial"));
    let text = {
        let snapshot = Space::global().snapshot();
        snapshot.read(&var)
    };
    println!("{text}");
}
