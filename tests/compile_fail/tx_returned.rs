// Fails: lifetime may not live long enough
// A `Tx` cannot leave its closure as the result.
use tvar::atomically;

fn main() {
    let _tx = atomically(|tx| Ok(tx));
}
