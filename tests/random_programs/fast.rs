//! The fast engine under the programs.

use tvar::{Abort, Diff, Snapshot, Space, Stop, TVar, Tx};

use crate::engine::{Datum, Engine};

pub(crate) struct Fast;

impl Engine for Fast {
    const NAME: &'static str = "the fast engine";
    const RECLAIMS_AT_ONCE: bool = true;

    type Space = Space;
    type Var<T: Datum> = TVar<T>;
    type Snapshot = Snapshot;
    type Diff = Diff;
    type Tx<'tx> = Tx<'tx>;
    type Stop = Stop;
    type Abort = Abort<i64>;

    fn space() -> Space {
        Space::new()
    }

    fn var<T: Datum>(space: &Space, value: T) -> TVar<T> {
        TVar::new_in(space, value)
    }

    fn load<T: Datum>(var: &TVar<T>) -> T {
        var.load()
    }

    fn store<T: Datum>(var: &TVar<T>, value: T) {
        var.store(value);
    }

    fn update<T: Datum>(var: &TVar<T>, f: impl FnMut(&T) -> T) {
        var.update(f);
    }

    fn snapshot(space: &Space) -> Snapshot {
        space.snapshot()
    }

    fn look<T: Datum, R>(snapshot: &Snapshot, var: &TVar<T>, show: impl FnOnce(&T) -> R) -> R {
        show(snapshot.read(var))
    }

    fn diff(older: &Snapshot, newer: &Snapshot) -> Diff {
        older.diff(newer)
    }

    fn changed<T: Datum>(diff: &Diff, var: &TVar<T>) -> bool {
        diff.changed(var)
    }

    fn atomically<R>(space: &Space, f: impl FnMut(&Tx<'_>) -> Result<R, Stop>) -> R {
        space.atomically(f)
    }

    fn try_atomically<R>(space: &Space, f: impl FnMut(&Tx<'_>) -> Result<R, Abort<i64>>) -> Result<R, i64> {
        space.try_atomically(f)
    }

    fn read<T: Datum, R>(tx: &Tx<'_>, var: &TVar<T>, show: impl FnOnce(&T) -> R) -> R {
        show(tx.read(var))
    }

    fn write<T: Datum>(tx: &Tx<'_>, var: &TVar<T>, value: T) {
        tx.write(var, value);
    }

    fn modify<T: Datum>(tx: &Tx<'_>, var: &TVar<T>, f: impl FnOnce(&T) -> T) {
        tx.modify(var, f);
    }

    fn merge<T: Datum>(tx: &Tx<'_>, var: &TVar<T>, f: impl Fn(&T) -> T + Send + Sync + 'static) {
        tx.merge(var, f);
    }

    fn replace<T: Datum, R>(tx: &Tx<'_>, var: &TVar<T>, value: T, show: impl FnOnce(&T) -> R) -> R {
        show(tx.replace(var, value))
    }

    fn write_if_changed<T: Datum>(tx: &Tx<'_>, var: &TVar<T>, value: T) -> bool {
        tx.write_if_changed(var, value)
    }

    fn retry<R>(tx: &Tx<'_>) -> Result<R, Stop> {
        tx.retry()
    }

    fn abort<R>(tx: &Tx<'_>, code: i64) -> Result<R, Abort<i64>> {
        tx.abort(code)
    }

    fn or_else<R>(
        tx: &Tx<'_>,
        left: impl FnOnce(&Tx<'_>) -> Result<R, Stop>,
        right: impl FnOnce(&Tx<'_>) -> Result<R, Stop>,
    ) -> Result<R, Stop> {
        tx.or_else(left, right)
    }

    fn try_or_else<R>(
        tx: &Tx<'_>,
        left: impl FnOnce(&Tx<'_>) -> Result<R, Abort<i64>>,
        right: impl FnOnce(&Tx<'_>) -> Result<R, Abort<i64>>,
    ) -> Result<R, Abort<i64>> {
        tx.try_or_else(left, right)
    }

    fn nested<R>(tx: &Tx<'_>, f: impl FnOnce(&Tx<'_>) -> Result<R, Abort<i64>>) -> Result<Result<R, i64>, Stop> {
        tx.nested(f)
    }
}
