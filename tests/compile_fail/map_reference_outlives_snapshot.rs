// Fails: E0597
// An entry of a snapshot does not outlive the snapshot.
use tvar::{Space, TOrdMap};

fn main() {
    let map: TOrdMap<u8, String> = TOrdMap::new();
    let first = {
        let snapshot = Space::global().snapshot();
        map.first(&snapshot)
    };
    println!("{first:?}");
}
