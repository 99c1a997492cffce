// Fails: E0521
// A reference that a nested part's own transaction handed out stays in the part.
use tvar::{Abort, TVar, atomically};

fn main() {
    let var = TVar::new(String::new());
    atomically(|tx| {
        let mut smuggled: Option<&String> = None;
        let part = tx.nested(|inner| {
            smuggled = Some(inner.read(&var));
            Ok::<_, Abort<()>>(())
        })?;
        println!("{smuggled:?}");
        Ok(part)
    })
    .unwrap();
}
