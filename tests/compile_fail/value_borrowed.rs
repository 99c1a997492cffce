// Fails: E0597
// Values live as long as they like.
use tvar::TVar;

fn main() {
    let text = String::new();
    let var = TVar::new(&text);
    drop(var);
}
