//! The ways in which a transaction can run, each with the same body.

use std::time::Duration;

use tvar::hooks::Point as Step;
use tvar::{Isolation, LockMode, Stm, TMap, TOrdMap, TVar, Tx};

use crate::async_common::ByHand;
use crate::blocking_common::{FAR, strike_at};
use crate::body::{all, vars};
use crate::common::elsewhere;
use crate::fuse::Point;
use crate::map_common::Hashes;
use crate::world::World;

pub(crate) fn plain(w: &World) {
    w.space.atomically(|tx| all(tx, w));
}

pub(crate) fn aborted(w: &World) {
    let result = w.space.try_atomically(|tx| {
        all(tx, w)?;
        tx.abort::<(), _>("undo")
    });
    assert_eq!(result, Err("undo"));
}

pub(crate) fn left(w: &World) {
    w.space.atomically(|tx| tx.or_else(|tx| all(tx, w), |_| unreachable!("the left one does not retry")));
}

pub(crate) fn right(w: &World) {
    w.space.atomically(|tx| {
        let a = |tx: &Tx<'_>| {
            all(tx, w)?;
            tx.retry()
        };
        tx.or_else(a, |tx| all(tx, w))
    });
}

pub(crate) fn nested(w: &World) {
    w.space.atomically(|tx| {
        let part: Result<(), ()> = tx.nested(|tx| Ok(all(tx, w)?))?;
        assert_eq!(part, Ok(()));
        Ok(())
    });
}

/// A part that is undone, and then the same that stays.
pub(crate) fn nested_undone(w: &World) {
    w.space.atomically(|tx| {
        let part = tx.nested(|tx| {
            all(tx, w)?;
            tx.abort::<(), _>("undo")
        })?;
        assert_eq!(part, Err("undo"));
        all(tx, w)
    });
}

pub(crate) fn pessimistic(w: &World) {
    let result = w.space.options().pessimistic().run(|tx| all(tx, w));
    assert_eq!(result, Ok(()));
}

pub(crate) fn locked(w: &World) {
    w.space.atomically(|tx| {
        tx.lock(&w.number, LockMode::Exclusive)?;
        w.items.iter().try_for_each(|var| tx.lock(var, LockMode::Shared))?;
        w.map.lock_key(tx, &w.keys[10], LockMode::Exclusive)?;
        w.map.lock_key(tx, &w.keys[5], LockMode::Shared)?;
        let range = w.keys[1].clone()..=w.keys[11].clone();
        w.kit.fuse.own(|| w.ordered.lock_range(tx, range, LockMode::Exclusive))?;
        all(tx, w)
    });
}

pub(crate) fn snapshot_isolation(w: &World) {
    let result = w.space.options().isolation(Isolation::Snapshot).run(|tx| all(tx, w));
    assert_eq!(result, Ok(()));
}

/// The first attempt loses.
fn losing(w: &World, tx: &Tx<'_>) -> Stm<()> {
    tx.read(&w.hot);
    all(tx, w)?;
    if tx.attempt() == 1 {
        elsewhere(|| w.hot.update(|n| n + 1));
    }
    Ok(())
}

pub(crate) fn rerun(w: &World) {
    w.space.atomically(|tx| losing(w, tx));
}

/// The second attempt has the turn.
pub(crate) fn turn(w: &World) {
    let result = w.space.options().escalate_after(1).run(|tx| losing(w, tx));
    assert_eq!((result, w.space.stats().escalations), (Ok(()), 1));
}

/// The attempt before the sleep, and the one after it.
fn waiting(w: &World, tx: &Tx<'_>) -> Stm<()> {
    all(tx, w)?;
    tx.check(*tx.read(&w.gate))
}

pub(crate) fn parked(w: &World) {
    let gate = w.gate.clone();
    let _hook = strike_at(Step::Register, 1, move || gate.store(true));
    w.space.atomically(|tx| waiting(w, tx));
}

pub(crate) fn parked_with_deadline(w: &World) {
    let gate = w.gate.clone();
    let _hook = strike_at(Step::Register, 1, move || gate.store(true));
    w.space.atomically(|tx| {
        all(tx, w)?;
        if !*tx.read(&w.gate) {
            tx.retry_for(FAR)?;
        }
        Ok(())
    });
}

/// The call fails at its limit.
pub(crate) fn timed_out(w: &World) {
    let result = w.space.options().timeout(Duration::ZERO).run(|tx| waiting(w, tx));
    assert!(result.unwrap_err().is_timeout());
}

pub(crate) fn announced(w: &World) {
    assert_eq!(w.space.options().coalesce_after(0).run(|tx| vars(tx, w)), Ok(()));
    assert_eq!(w.space.stats().announced, 1);
}

/// Another thread builds the root: merge functions run there.
pub(crate) fn announced_and_helped(w: &World) {
    let hot = w.hot.clone();
    let _hook = strike_at(Step::Announced, 1, move || hot.store(7));
    assert_eq!(w.space.options().coalesce_after(0).run(|tx| vars(tx, w)), Ok(()));
}

pub(crate) fn task(w: &World) {
    let mut call = ByHand::asleep(w.space.atomically_async(|tx| waiting(w, tx)));
    w.gate.store(true);
    assert!(call.poll().is_some());
}

/// A future that is dropped while it sleeps.
pub(crate) fn cancelled_task(w: &World) {
    drop(ByHand::asleep(w.space.atomically_async(|tx| waiting(w, tx))));
}

/// What is replaced goes with the snapshot.
pub(crate) fn behind_a_snapshot(w: &World) {
    let snapshot = w.snapshot();
    w.space.atomically(|tx| all(tx, w));
    drop(snapshot);
}

/// In the middle of an attempt that does not end with it.
pub(crate) fn snapshot_dropped_inside(w: &World) {
    let snapshot = w.snapshot();
    w.items.iter().for_each(|var| var.store(w.kit.item(300)));
    let snapshot = std::cell::Cell::new(Some(snapshot));
    w.space.atomically(|tx| {
        tx.modify(&w.number, |n| n + 1);
        drop(snapshot.take());
        Ok(())
    });
}

pub(crate) fn reads_of_a_snapshot(w: &World) {
    let snapshot = w.snapshot();
    w.kit.fuse.own(|| drop(snapshot.read(&w.items[0]).clone()));
    for key in &w.keys[8..12] {
        assert_eq!(w.map.get(&snapshot, key).is_some(), w.ordered.get(&snapshot, key).is_some());
    }
    let range = w.keys[10].clone()..w.keys[12].clone();
    assert_eq!(w.kit.fuse.own(|| w.ordered.range(&snapshot, range).count()), 2);
}

pub(crate) fn load(w: &World) {
    w.kit.fuse.own(|| drop(w.items[0].load()));
}

pub(crate) fn store(w: &World) {
    w.items[0].store(w.kit.item(300));
}

pub(crate) fn update(w: &World) {
    w.items[0].update(|old| {
        w.kit.fuse.pass(Point::Modify);
        w.kit.item(old.id + 1)
    });
}

/// Maps with a content, and their end.
pub(crate) fn filled(w: &World) {
    let entries = || (0..8).map(|id| (w.kit.key(id % 5), w.kit.item(id)));
    // Of two entries with one key, the first.
    let ordered = w.kit.fuse.own(|| TOrdMap::with_entries_in(&w.space, entries()));
    let map: TMap<_, _, Hashes> = w.kit.fuse.own(|| TMap::with_entries_in(&w.space, entries()));
    drop((ordered, map));
}

/// Variables whose last handles end in the attempt that has written them, and in one that has not.
pub(crate) fn handles_dropped_inside(w: &World) {
    for written in [false, true] {
        let own: Vec<_> = (0..3).map(|id| TVar::new_in(&w.space, w.kit.item(id))).collect();
        let own = std::cell::Cell::new(own);
        w.space.atomically(|tx| {
            let own = own.take();
            if written {
                own.iter().for_each(|var| tx.write(var, w.kit.item(9)));
            }
            drop(own);
            tx.modify(&w.number, |n| n + 1);
            Ok(())
        });
    }
}
