// Fails: E0308
// A snapshot is read, never written.
use tvar::{Space, TMap};

fn main() {
    let map: TMap<u8, u8> = TMap::new();
    map.upsert(&Space::global().snapshot(), 1, 2);
}
