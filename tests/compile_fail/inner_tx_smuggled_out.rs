// Fails: E0521
// The transaction of a nested part cannot leave the part.
use tvar::{Abort, Tx, atomically};

fn main() {
    atomically(|tx| {
        let mut smuggled: Option<&Tx<'_>> = None;
        let part = tx.nested(|inner| {
            smuggled = Some(inner);
            Ok::<_, Abort<()>>(())
        })?;
        drop(smuggled);
        Ok(part)
    })
    .unwrap();
}
