//! What a transaction of these tests does: it runs user code of every kind.

use tvar::{Stm, Tx};

use crate::fuse::Point;
use crate::world::World;

/// Everything that can be announced: variables, merges, queues, hooks.
pub(crate) fn vars(tx: &Tx<'_>, w: &World) -> Stm<()> {
    let kit = &w.kit;
    let [a, b, c, d, same, _] = &w.items;
    kit.fuse.pass(Point::Closure);
    hooks(tx, w);
    tx.modify(&w.number, |n| {
        kit.fuse.pass(Point::Modify);
        n + 1
    });
    // Superseded twice, after somebody has looked at it and before.
    tx.write(a, kit.item(101));
    tx.modify(a, |old| {
        kit.fuse.pass(Point::Modify);
        kit.item(old.id + 1)
    });
    tx.write(a, kit.item(103));
    let old = tx.replace(b, kit.item(111));
    let copy = old.clone();
    kit.fuse.pass(Point::Closure);
    tx.write(b, copy);
    for _ in 0..2 {
        let theirs = kit.clone();
        tx.merge(c, move |old| {
            theirs.fuse.pass(Point::Merge);
            theirs.item(old.id + 10)
        });
    }
    // Made an ordinary write by a read.
    let theirs = kit.clone();
    tx.merge(d, move |old| {
        theirs.fuse.pass(Point::Merge);
        theirs.item(old.id + 10)
    });
    assert!(tx.read(d).id > 2);
    let unchanged = kit.item(tx.read(same).id);
    assert!(!kit.fuse.own(|| tx.write_if_changed(same, unchanged)));
    assert!(tx.write_if_changed(same, kit.item(tx.read(same).id + 1)));
    w.queue.write(tx, kit.item(31));
    w.queue.read(tx)?;
    w.ring.write(tx, kit.item(41))?;
    w.ring.read(tx)?;
    hooks(tx, w);
    kit.fuse.pass(Point::Closure);
    Ok(())
}

fn hooks(tx: &Tx<'_>, w: &World) {
    let kit = w.kit.clone();
    tx.on_commit(move || kit.fuse.pass(Point::CommitHook));
    let kit = w.kit.clone();
    tx.on_rollback(move || kit.fuse.pass(Point::RollbackHook));
}

/// What runs beside that on both maps.
fn maps(tx: &Tx<'_>, w: &World) {
    let (kit, keys) = (&w.kit, &w.keys);
    macro_rules! on {
        ($map:expr) => {
            let map = $map;
            map.insert(tx, kit.key(1), kit.item(201));
            assert!(!kit.fuse.own(|| map.insert_new(tx, kit.key(1), kit.item(202))));
            map.upsert(tx, kit.key(2), kit.item(203));
            for (key, id) in [(10, 204), (3, 205)] {
                let theirs = kit.clone();
                map.upsert_with(tx, keys[key].clone(), kit.item(id), move |old| {
                    theirs.fuse.pass(Point::UpsertWith);
                    theirs.item(old.id + 100)
                });
            }
            assert!(map.get(tx, &keys[11]).is_some() && map.get(tx, &keys[19]).is_none());
            map.modify(tx, &keys[11], |old| {
                kit.fuse.pass(Point::Entry);
                kit.item(old.id + 1)
            });
            for key in [12, 4] {
                let entry = map.entry(tx, kit.key(key)).and_modify(|old| {
                    kit.fuse.pass(Point::Entry);
                    kit.item(old.id + 1)
                });
                let new = || {
                    kit.fuse.pass(Point::Entry);
                    kit.item(206)
                };
                // The entry's key.
                kit.fuse.own(|| entry.or_insert_with(new));
            }
            assert!(map.iter(tx).count() > 3);
            map.remove(tx, &keys[1]);
        };
    }
    on!(&w.map);
    on!(&w.ordered);
    let inside = (keys[2].clone(), keys[12].clone());
    let range = kit.fuse.own(|| w.ordered.range(tx, inside.0..=inside.1));
    assert!(range.rev().count() > 3);
    w.ordered.pop_first(tx);
    w.ordered.pop_last(tx);
    // It can be popped the next time as well.
    w.ordered.upsert(tx, kit.key(15), kit.item(207));
}

/// All of it.
pub(crate) fn all(tx: &Tx<'_>, w: &World) -> Stm<()> {
    vars(tx, w)?;
    let theirs = w.kit.clone();
    let merge = move |old: &crate::world::Item| {
        theirs.fuse.pass(Point::Merge);
        theirs.item(old.id + 10)
    };
    let theirs = w.kit.clone();
    let then = move |new: &crate::world::Item| {
        theirs.fuse.pass(Point::MergeThen);
        theirs.item(new.id)
    };
    drop(tx.merge_then(&w.items[5], merge, then));
    maps(tx, w);
    w.kit.fuse.pass(Point::Closure);
    Ok(())
}
