// Fails: E0521
// A `Tx` cannot leave its closure by a captured place.
use tvar::{Tx, atomically};

fn main() {
    let mut smuggled: Option<&Tx<'_>> = None;
    atomically(|tx| {
        smuggled = Some(tx);
        Ok(())
    });
    drop(smuggled);
}
