//! §1.2, §1.5 and §8 in the types: what is `Send`, `Sync`, `Clone`, and what is not.

use std::cell::Cell;
use std::fmt::{Debug, Display};
use std::rc::Rc;

use std::panic::{RefUnwindSafe, UnwindSafe};
use tvar::{Abort, AfterCommit, Diff, Snapshot, Space, Stop, TMap, TOrdMap, TVar, TryError, Tx, TxError, TxOptions};

/// A value that is `Send + Sync` and nothing else.
struct Bare;

const fn is_send_sync<T: Send + Sync>() {}
const fn is_clone<T: Clone>() {}
const fn is_debug<T: Debug>() {}
const fn is_error<T: std::error::Error + Display + Send + Sync + Clone + PartialEq>() {}

/// Compiles only if the type does not implement the trait: otherwise the call is ambiguous.
macro_rules! is_not {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<Marker> {
            fn check() {}
        }
        struct Implemented;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
        <$type as Ambiguous<_>>::check();
    }};
}

#[test]
fn s1_2_handles_go_anywhere() {
    is_send_sync::<TVar<Bare>>();
    is_clone::<TVar<Bare>>();
    is_debug::<TVar<i64>>();
    is_send_sync::<Space>();
    is_clone::<Space>();
    is_debug::<Space>();
}

#[test]
fn s6_1_maps_go_anywhere() {
    is_send_sync::<TMap<String, Bare>>();
    is_clone::<TMap<String, Bare>>();
    is_debug::<TMap<String, i64>>();
    is_send_sync::<TOrdMap<String, Bare>>();
    is_clone::<TOrdMap<String, Bare>>();
    is_debug::<TOrdMap<String, i64>>();
    is_not!(TMap<Rc<u8>, u8>: Send);
    is_not!(TOrdMap<u8, Cell<u8>>: Sync);
}

#[test]
fn s2_8_a_panic_leaves_nothing_half_done() {
    const fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    is_unwind_safe::<TVar<Cell<u8>>>();
    is_unwind_safe::<TMap<String, Bare>>();
    is_unwind_safe::<TOrdMap<String, Bare>>();
}

#[test]
fn s1_5_snapshots_go_anywhere() {
    is_send_sync::<Snapshot>();
    is_clone::<Snapshot>();
    is_debug::<Snapshot>();
    is_send_sync::<Diff>();
}

#[test]
fn s8_a_transaction_stays_where_it_is() {
    is_not!(Tx<'static>: Send);
    is_not!(Tx<'static>: Sync);
    is_not!(Tx<'static>: Clone);
}

#[test]
fn s2_6_a_stop_is_issued_not_copied() {
    is_not!(Stop: Clone);
    is_not!(Stop: Default);
    is_not!(Stop: std::error::Error);
    is_not!(Abort<i32>: std::error::Error);
}

#[test]
fn s4_4_options_and_errors_are_plain_values() {
    is_send_sync::<TxOptions>();
    is_clone::<TxOptions>();
    is_debug::<TxOptions>();
    is_error::<TxError>();
    is_debug::<TryError<i32>>();
}

#[test]
fn s4_5_results_of_merges_go_where_their_values_may_go() {
    is_clone::<AfterCommit<Bare>>();
    is_send_sync::<AfterCommit<i64>>();
    is_not!(AfterCommit<Rc<i64>>: Send);
}

/// The checks above can fail.
#[test]
fn the_negative_check_tells_apart() {
    is_not!(Rc<i64>: Send);
    is_not!(Cell<i64>: Sync);
}
