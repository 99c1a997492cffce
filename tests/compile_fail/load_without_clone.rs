// Fails: E0277
// `load` gives a value away, so it needs `Clone`; `read` does not.
use tvar::TVar;

struct Solitary;

fn main() {
    let var = TVar::new(Solitary);
    var.load();
}
