// Fails: E0597
// The initial entries live in the map: a reference must not outlive the handle.
use tvar::{TMap, atomically};

fn main() {
    atomically(|tx| {
        let value = {
            let map: TMap<u8, String> = TMap::new();
            map.get(tx, &1)
        };
        Ok(value.map(String::len))
    });
}
