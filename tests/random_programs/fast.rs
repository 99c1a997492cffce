//! The fast engine under the programs.

use std::thread;

use tvar::hooks::{self, HookGuard, Point};
use tvar::{Abort, Diff, LockMode, Snapshot, Space, Stop, TMap, TOrdMap, TVar, TryError, Tx, TxOptions};

use crate::engine::{Datum, Engine};
use crate::program::{EntryOp, Event, Key};

/// The engine, with commits that go one of these ways.
pub(crate) struct Fast<const WAY: u8>;

/// Nobody is in the way.
pub(crate) const PLAIN: u8 = 0;
/// Every commit is announced, and decided by its own thread (§4.2).
pub(crate) const ANNOUNCED: u8 = 1;
/// Every commit is announced, and decided by a commit of another thread.
pub(crate) const HELPED: u8 = 2;

fn mode(exclusive: bool) -> LockMode {
    if exclusive { LockMode::Exclusive } else { LockMode::Shared }
}

impl<const WAY: u8> Fast<WAY> {
    /// Not for `PLAIN`, which takes the plain functions.
    fn options(space: &Space) -> TxOptions {
        TxOptions::new().space(space).coalesce_after(0)
    }

    /// Has another thread commit at once whatever this thread announces.
    fn help(space: &Space) -> Option<HookGuard> {
        let space = space.clone();
        (WAY == HELPED).then(|| {
            hooks::on_this_thread(move |point| {
                if point == Point::Announced {
                    let space = space.clone();
                    thread::spawn(move || TVar::new_in(&space, 0).store(1)).join().expect("the helper commits");
                }
            })
        })
    }
}

impl<const WAY: u8> Engine for Fast<WAY> {
    const NAME: &'static str = match WAY {
        PLAIN => "the fast engine",
        ANNOUNCED => "the fast engine, announcing",
        _ => "the fast engine, announcing, with help",
    };
    // A helper drops what it has replaced at its own next commit.
    const RECLAIMS_AT_ONCE: bool = WAY != HELPED;

    type Space = Space;
    type Var<T: Datum> = TVar<T>;
    /// Both kinds: what the one does the other has to do as well.
    type Map = (TOrdMap<u8, i64>, TMap<u8, i64>);
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

    fn map(space: &Space) -> Self::Map {
        (TOrdMap::new_in(space), TMap::new_in(space))
    }

    fn load<T: Datum>(var: &TVar<T>) -> T {
        var.load()
    }

    fn store<T: Datum>(var: &TVar<T>, value: T) {
        if WAY == PLAIN {
            return var.store(value);
        }
        let mut value = Some(value);
        Self::atomically(&var.space(), |tx| {
            tx.write(var, value.take().expect("runs once"));
            Ok(())
        });
    }

    fn update<T: Datum>(var: &TVar<T>, mut f: impl FnMut(&T) -> T) {
        if WAY == PLAIN {
            return var.update(f);
        }
        Self::atomically(&var.space(), |tx| {
            tx.modify(var, &mut f);
            Ok(())
        });
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
        if WAY == PLAIN {
            return space.atomically(f);
        }
        let _help = Self::help(space);
        Self::options(space).run(f).expect("no limits were set")
    }

    fn try_atomically<R>(space: &Space, f: impl FnMut(&Tx<'_>) -> Result<R, Abort<i64>>) -> Result<R, i64> {
        if WAY == PLAIN {
            return space.try_atomically(f);
        }
        let _help = Self::help(space);
        Self::options(space).try_run(f).map_err(|error| match error {
            TryError::Aborted(code) => code,
            TryError::Failed(error) => panic!("no limits were set: {error}"),
        })
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

    fn lock<T: Datum>(tx: &Tx<'_>, var: &TVar<T>, exclusive: bool) -> Result<(), Stop> {
        tx.lock(var, mode(exclusive))
    }

    fn try_lock<T: Datum>(tx: &Tx<'_>, var: &TVar<T>, exclusive: bool) -> Result<bool, Stop> {
        tx.try_lock(var, mode(exclusive))
    }

    fn entry(tx: &Tx<'_>, (ordered, hash): &Self::Map, key: Key, op: EntryOp) -> Result<Event, Stop> {
        macro_rules! entry {
            ($map:ident) => {
                match op {
                    EntryOp::Get => Event::Entry(key, None, $map.get(tx, &key.0).copied()),
                    EntryOp::Insert(n) => Event::Entry(key, None, $map.insert(tx, key.0, n).copied()),
                    EntryOp::InsertNew(n) => Event::Answered(key, $map.insert_new(tx, key.0, n)),
                    EntryOp::Upsert(n) => {
                        $map.upsert(tx, key.0, n);
                        Event::Answered(key, true)
                    }
                    EntryOp::UpsertWith(n) => {
                        $map.upsert_with(tx, key.0, n, move |old| old + n);
                        Event::Answered(key, true)
                    }
                    EntryOp::Modify(n) => Event::Answered(key, $map.modify(tx, &key.0, |old| old + n)),
                    EntryOp::Remove => Event::Entry(key, None, $map.remove(tx, &key.0).copied()),
                    EntryOp::TryLock(exclusive) => {
                        Event::Answered(key, $map.try_lock_key(tx, &key.0, mode(exclusive))?)
                    }
                }
            };
        }
        let (one, other) = (entry!(ordered), entry!(hash));
        assert_eq!(one, other, "the two kinds of map differ");
        Ok(one)
    }

    fn range(tx: &Tx<'_>, (ordered, hash): &Self::Map, low: Key, high: Key) -> Vec<(u8, i64)> {
        let range: Vec<_> = ordered.range(tx, low.0..=high.0).map(|(key, n)| (*key, *n)).collect();
        let backwards: Vec<_> = ordered.range(tx, low.0..=high.0).rev().map(|(key, n)| (*key, *n)).collect();
        assert!(backwards.iter().rev().eq(&range), "{backwards:?} is not {range:?} backwards");
        let mut all: Vec<_> = hash.iter(tx).map(|(key, n)| (*key, *n)).collect();
        assert_eq!(all.len(), hash.len(tx));
        all.retain(|(key, _)| (low.0..=high.0).contains(key));
        all.sort_unstable();
        assert_eq!(range, all, "the two kinds of map differ");
        range
    }

    fn lock_range(tx: &Tx<'_>, (ordered, hash): &Self::Map, low: Key, high: Key, exclusive: bool) -> Result<(), Stop> {
        ordered.lock_range(tx, low.0..=high.0, mode(exclusive))?;
        (low.0..=high.0).try_for_each(|key| hash.lock_key(tx, &key, mode(exclusive)))
    }

    fn clear(tx: &Tx<'_>, (ordered, hash): &Self::Map) {
        ordered.clear(tx);
        hash.clear(tx);
    }

    fn entry_in(snapshot: &Snapshot, (ordered, hash): &Self::Map, key: Key) -> Option<i64> {
        let entry = ordered.get(snapshot, &key.0).copied();
        assert_eq!(entry, hash.get(snapshot, &key.0).copied(), "the two kinds of map differ");
        entry
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
