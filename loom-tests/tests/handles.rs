//! Handles of one variable that end on several threads (I8): the last takes value and cell away, after whatever was done by the others.
//! Bound: 3 preemptions; two handles, each used and dropped by its thread.
#![cfg(tvar_loom)]

use tvar::{TVar, internals};
use tvar_loom_tests::{Tracked, model, spawn};

#[test]
fn the_last_handle_comes_after_the_others() {
    model(3, || {
        let space = internals::space();
        let v = TVar::named_in(&space, "v", Tracked::new(1));
        let other = spawn({
            let v = v.clone();
            // No attempt, whose pin would order the two.
            move || assert_eq!(v.name(), Some("v"))
        });
        assert_eq!(v.name(), Some("v"));
        drop(v);
        other.join().unwrap();
    });
}
