// Fails: E0277
// Keys and values are read by many threads.
use std::cell::Cell;
use tvar::TMap;

fn main() {
    let map: TMap<u8, Cell<u8>> = TMap::new();
    let _ = map;
}
