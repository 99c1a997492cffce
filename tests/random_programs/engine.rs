//! What a program asks of an engine. The engine's names differ, and whether reads give references or `Arc`s.

use std::sync::Arc;

use crate::program::{EntryOp, Event, Key};
use crate::tally::{Counted, Tally};
use crate::value::{Fun, Val};

/// A type that variables of the programs have.
pub(crate) trait Datum: Clone + PartialEq + Send + Sync + 'static {
    fn new(value: &Val, tally: &Arc<Tally>) -> Self;

    fn val(&self) -> Val;
}

/// The methods mean what the engine's methods of these names mean; values are shown to closures, so that the
/// engine may lend them.
pub(crate) trait Engine: Sized + 'static {
    const NAME: &'static str;

    /// Whether values that nothing reaches any more are gone at the latest after the next commit (§1.7).
    const RECLAIMS_AT_ONCE: bool;

    type Space;
    type Var<T: Datum>: Clone;
    /// A map from keys to numbers, in the order of its keys; or something that does as well on one thread.
    type Map;
    type Snapshot;
    type Diff;
    type Tx<'tx>;
    type Stop;
    type Abort: From<Self::Stop>;

    fn space() -> Self::Space;
    fn var<T: Datum>(space: &Self::Space, value: T) -> Self::Var<T>;
    fn map(space: &Self::Space) -> Self::Map;
    fn load<T: Datum>(var: &Self::Var<T>) -> T;
    fn store<T: Datum>(var: &Self::Var<T>, value: T);
    fn update<T: Datum>(var: &Self::Var<T>, f: impl FnMut(&T) -> T);

    fn snapshot(space: &Self::Space) -> Self::Snapshot;
    fn look<T: Datum, R>(snapshot: &Self::Snapshot, var: &Self::Var<T>, show: impl FnOnce(&T) -> R) -> R;
    fn diff(older: &Self::Snapshot, newer: &Self::Snapshot) -> Self::Diff;
    fn changed<T: Datum>(diff: &Self::Diff, var: &Self::Var<T>) -> bool;

    fn atomically<R>(space: &Self::Space, f: impl FnMut(&Self::Tx<'_>) -> Result<R, Self::Stop>) -> R;
    fn try_atomically<R>(space: &Self::Space, f: impl FnMut(&Self::Tx<'_>) -> Result<R, Self::Abort>)
    -> Result<R, i64>;

    fn read<T: Datum, R>(tx: &Self::Tx<'_>, var: &Self::Var<T>, show: impl FnOnce(&T) -> R) -> R;
    fn write<T: Datum>(tx: &Self::Tx<'_>, var: &Self::Var<T>, value: T);
    fn modify<T: Datum>(tx: &Self::Tx<'_>, var: &Self::Var<T>, f: impl FnOnce(&T) -> T);
    fn merge<T: Datum>(tx: &Self::Tx<'_>, var: &Self::Var<T>, f: impl Fn(&T) -> T + Send + Sync + 'static);
    fn replace<T: Datum, R>(tx: &Self::Tx<'_>, var: &Self::Var<T>, value: T, show: impl FnOnce(&T) -> R) -> R;
    fn write_if_changed<T: Datum>(tx: &Self::Tx<'_>, var: &Self::Var<T>, value: T) -> bool;

    fn lock<T: Datum>(tx: &Self::Tx<'_>, var: &Self::Var<T>, exclusive: bool) -> Result<(), Self::Stop>;
    fn try_lock<T: Datum>(tx: &Self::Tx<'_>, var: &Self::Var<T>, exclusive: bool) -> Result<bool, Self::Stop>;

    fn entry(tx: &Self::Tx<'_>, map: &Self::Map, key: Key, op: EntryOp) -> Result<Event, Self::Stop>;
    fn range(tx: &Self::Tx<'_>, map: &Self::Map, low: Key, high: Key) -> Vec<(u8, i64)>;
    fn lock_range(tx: &Self::Tx<'_>, map: &Self::Map, low: Key, high: Key, exclusive: bool) -> Result<(), Self::Stop>;
    fn clear(tx: &Self::Tx<'_>, map: &Self::Map);
    fn entry_in(snapshot: &Self::Snapshot, map: &Self::Map, key: Key) -> Option<i64>;

    fn retry<R>(tx: &Self::Tx<'_>) -> Result<R, Self::Stop>;
    fn abort<R>(tx: &Self::Tx<'_>, code: i64) -> Result<R, Self::Abort>;
    fn or_else<R>(
        tx: &Self::Tx<'_>,
        left: impl FnOnce(&Self::Tx<'_>) -> Result<R, Self::Stop>,
        right: impl FnOnce(&Self::Tx<'_>) -> Result<R, Self::Stop>,
    ) -> Result<R, Self::Stop>;
    fn try_or_else<R>(
        tx: &Self::Tx<'_>,
        left: impl FnOnce(&Self::Tx<'_>) -> Result<R, Self::Abort>,
        right: impl FnOnce(&Self::Tx<'_>) -> Result<R, Self::Abort>,
    ) -> Result<R, Self::Abort>;
    fn nested<R>(
        tx: &Self::Tx<'_>,
        f: impl FnOnce(&Self::Tx<'_>) -> Result<R, Self::Abort>,
    ) -> Result<Result<R, i64>, Self::Stop>;
}

/// `fun` for a variable's own type.
pub(crate) fn typed<T: Datum>(fun: Fun, tally: &Arc<Tally>) -> impl Fn(&T) -> T + Send + Sync + 'static {
    let tally = Arc::clone(tally);
    move |value| T::new(&fun.apply(&value.val()), &tally)
}

macro_rules! datum {
    ($($kind:ident($type:ty): |$value:ident, $tally:ident| $new:expr, |$this:ident| $val:expr;)*) => {$(
        impl Datum for $type {
            fn new(value: &Val, $tally: &Arc<Tally>) -> Self {
                match value {
                    Val::$kind($value) => $new,
                    other => panic!("{other:?} written to a variable of another kind"),
                }
            }

            fn val(&self) -> Val {
                let $this = self;
                Val::$kind($val)
            }
        }
    )*};
}
datum! {
    Int(i64): |n, _tally| *n, |this| *this;
    Byte(u8): |n, _tally| *n, |this| *this;
    Real(f64): |x, _tally| *x, |this| *this;
    Text(Counted<String>): |text, tally| Self::new(text.clone(), tally), |this| this.value.clone();
    List(Counted<Vec<i64>>): |list, tally| Self::new(list.clone(), tally), |this| this.value.clone();
}

impl Datum for () {
    fn new(value: &Val, _tally: &Arc<Tally>) -> Self {
        assert_eq!(*value, Val::Unit);
    }

    fn val(&self) -> Val {
        Val::Unit
    }
}
