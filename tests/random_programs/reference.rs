//! The reference engine under the programs.

use tvar::reference::{RefAbort, RefDiff, RefSnapshot, RefSpace, RefStop, RefTx, RefVar};

use crate::engine::{Datum, Engine};
use crate::program::{EntryOp, Event, Key};

pub(crate) struct Reference;

impl Engine for Reference {
    const NAME: &'static str = "the reference engine";
    // An initial value stays with its handle there.
    const RECLAIMS_AT_ONCE: bool = false;

    type Space = RefSpace;
    type Var<T: Datum> = RefVar<T>;
    /// It has no maps: a variable per key.
    type Map = Vec<RefVar<Option<i64>>>;
    type Snapshot = RefSnapshot;
    type Diff = RefDiff;
    type Tx<'tx> = RefTx<'tx>;
    type Stop = RefStop;
    type Abort = RefAbort<i64>;

    fn space() -> RefSpace {
        RefSpace::new()
    }

    fn var<T: Datum>(space: &RefSpace, value: T) -> RefVar<T> {
        RefVar::new_in(space, value)
    }

    fn map(space: &RefSpace) -> Self::Map {
        Key::all().map(|_| RefVar::new_in(space, None)).collect()
    }

    fn load<T: Datum>(var: &RefVar<T>) -> T {
        var.load()
    }

    fn store<T: Datum>(var: &RefVar<T>, value: T) {
        var.store(value);
    }

    fn update<T: Datum>(var: &RefVar<T>, f: impl FnMut(&T) -> T) {
        var.update(f);
    }

    fn snapshot(space: &RefSpace) -> RefSnapshot {
        space.snapshot()
    }

    fn look<T: Datum, R>(snapshot: &RefSnapshot, var: &RefVar<T>, show: impl FnOnce(&T) -> R) -> R {
        show(&snapshot.read(var))
    }

    fn diff(older: &RefSnapshot, newer: &RefSnapshot) -> RefDiff {
        older.diff(newer)
    }

    fn changed<T: Datum>(diff: &RefDiff, var: &RefVar<T>) -> bool {
        diff.changed(var)
    }

    fn atomically<R>(space: &RefSpace, f: impl FnMut(&RefTx<'_>) -> Result<R, RefStop>) -> R {
        space.atomically(f)
    }

    fn try_atomically<R>(space: &RefSpace, f: impl FnMut(&RefTx<'_>) -> Result<R, RefAbort<i64>>) -> Result<R, i64> {
        space.try_atomically(f)
    }

    fn read<T: Datum, R>(tx: &RefTx<'_>, var: &RefVar<T>, show: impl FnOnce(&T) -> R) -> R {
        show(&tx.read(var))
    }

    fn write<T: Datum>(tx: &RefTx<'_>, var: &RefVar<T>, value: T) {
        tx.write(var, value);
    }

    fn modify<T: Datum>(tx: &RefTx<'_>, var: &RefVar<T>, f: impl FnOnce(&T) -> T) {
        tx.modify(var, f);
    }

    fn merge<T: Datum>(tx: &RefTx<'_>, var: &RefVar<T>, f: impl Fn(&T) -> T + Send + Sync + 'static) {
        tx.merge(var, f);
    }

    fn replace<T: Datum, R>(tx: &RefTx<'_>, var: &RefVar<T>, value: T, show: impl FnOnce(&T) -> R) -> R {
        show(&tx.replace(var, value))
    }

    fn write_if_changed<T: Datum>(tx: &RefTx<'_>, var: &RefVar<T>, value: T) -> bool {
        tx.write_if_changed(var, value)
    }

    // It has no locks: they change no value.
    fn lock<T: Datum>(_: &RefTx<'_>, _: &RefVar<T>, _: bool) -> Result<(), RefStop> {
        Ok(())
    }

    fn try_lock<T: Datum>(_: &RefTx<'_>, _: &RefVar<T>, _: bool) -> Result<bool, RefStop> {
        Ok(true)
    }

    fn entry(tx: &RefTx<'_>, map: &Self::Map, key: Key, op: EntryOp) -> Result<Event, RefStop> {
        let var = &map[usize::from(key.0)];
        let old = *tx.read(var);
        let (new, event) = op.applied(key, old);
        if new != old {
            tx.write(var, new);
        }
        Ok(event)
    }

    fn range(tx: &RefTx<'_>, map: &Self::Map, low: Key, high: Key) -> Vec<(u8, i64)> {
        (low.0..=high.0).filter_map(|key| Some((key, (*tx.read(&map[usize::from(key)]))?))).collect()
    }

    fn lock_range(_: &RefTx<'_>, _: &Self::Map, _: Key, _: Key, _: bool) -> Result<(), RefStop> {
        Ok(())
    }

    fn clear(tx: &RefTx<'_>, map: &Self::Map) {
        map.iter().for_each(|var| tx.write(var, None));
    }

    fn entry_in(snapshot: &RefSnapshot, map: &Self::Map, key: Key) -> Option<i64> {
        *snapshot.read(&map[usize::from(key.0)])
    }

    fn retry<R>(tx: &RefTx<'_>) -> Result<R, RefStop> {
        tx.retry()
    }

    fn abort<R>(tx: &RefTx<'_>, code: i64) -> Result<R, RefAbort<i64>> {
        tx.abort(code)
    }

    fn or_else<R>(
        tx: &RefTx<'_>,
        left: impl FnOnce(&RefTx<'_>) -> Result<R, RefStop>,
        right: impl FnOnce(&RefTx<'_>) -> Result<R, RefStop>,
    ) -> Result<R, RefStop> {
        tx.or_else(left, right)
    }

    fn try_or_else<R>(
        tx: &RefTx<'_>,
        left: impl FnOnce(&RefTx<'_>) -> Result<R, RefAbort<i64>>,
        right: impl FnOnce(&RefTx<'_>) -> Result<R, RefAbort<i64>>,
    ) -> Result<R, RefAbort<i64>> {
        tx.try_or_else(left, right)
    }

    fn nested<R>(
        tx: &RefTx<'_>,
        f: impl FnOnce(&RefTx<'_>) -> Result<R, RefAbort<i64>>,
    ) -> Result<Result<R, i64>, RefStop> {
        tx.nested(f)
    }
}
