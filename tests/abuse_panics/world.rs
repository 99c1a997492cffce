//! Variables, maps and queues of values and keys whose every piece of code may panic, and what they hold.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use tvar::{Snapshot, Space, TBoundedQueue, TMap, TOrdMap, TQueue, TVar};

use crate::common::{Census, Counted};
use crate::fuse::{Fuse, Point};
use crate::map_common::Hashes;

/// A value.
pub(crate) struct Item {
    pub(crate) id: u64,
    kit: Kit,
    _counted: Counted,
}

impl Drop for Item {
    fn drop(&mut self) {
        self.kit.fuse.pass_end(Point::Drop);
    }
}

impl Clone for Item {
    fn clone(&self) -> Self {
        self.kit.fuse.pass(Point::Clone);
        self.kit.item(self.id)
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.kit.fuse.pass(Point::Equal);
        self.id == other.id
    }
}

/// A key, of a type that the crate knows nothing about.
pub(crate) struct Key {
    id: u64,
    kit: Kit,
    _counted: Counted,
}

impl Drop for Key {
    fn drop(&mut self) {
        self.kit.fuse.pass_end(Point::KeyDrop);
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        self.kit.fuse.pass(Point::KeyClone);
        self.kit.key(self.id)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.kit.fuse.pass(Point::KeyEq);
        self.id == other.id
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.kit.fuse.pass(Point::KeyOrd);
        self.id.cmp(&other.id)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kit.fuse.pass(Point::Hash);
        state.write_u64(self.id);
    }
}

/// What values are made of.
#[derive(Clone)]
pub(crate) struct Kit {
    pub(crate) fuse: Fuse,
    census: Census,
}

impl Kit {
    pub(crate) fn item(&self, id: u64) -> Item {
        Item { id, kit: self.clone(), _counted: self.census.value(id) }
    }

    pub(crate) fn key(&self, id: u64) -> Key {
        Key { id, kit: self.clone(), _counted: self.census.value(id) }
    }
}

pub(crate) const VARS: usize = 6;

/// Everything that a transaction of these tests touches.
pub(crate) struct World {
    pub(crate) space: Space,
    pub(crate) kit: Kit,
    pub(crate) number: TVar<u64>,
    pub(crate) items: [TVar<Item>; VARS],
    pub(crate) map: TMap<Key, Item, Hashes>,
    pub(crate) ordered: TOrdMap<Key, Item>,
    pub(crate) queue: TQueue<Item>,
    pub(crate) ring: TBoundedQueue<Item>,
    /// To look things up with.
    pub(crate) keys: Vec<Key>,
    /// No part of the state.
    pub(crate) gate: TVar<bool>,
    pub(crate) hot: TVar<u64>,
}

/// What it holds.
#[derive(Debug, PartialEq)]
pub(crate) struct State {
    number: u64,
    items: Vec<u64>,
    map: Vec<(u64, u64)>,
    ordered: Vec<(u64, u64)>,
    queue: Vec<u64>,
    ring: Vec<u64>,
}

impl World {
    pub(crate) fn new(census: &Census, fuse: Fuse) -> World {
        let space = Space::new();
        let kit = Kit { fuse, census: census.clone() };
        let world = World {
            number: TVar::new_in(&space, 1),
            items: std::array::from_fn(|id| TVar::new_in(&space, kit.item(id as u64))),
            // Two hashes: keys are compared.
            map: TMap::with_hasher_in(&space, Hashes(2)),
            ordered: TOrdMap::with_entries_in(&space, (10..14).map(|id| (kit.key(id), kit.item(id)))),
            queue: TQueue::new_in(&space),
            ring: TBoundedQueue::new_in(&space, 3),
            keys: (0..20).map(|id| kit.key(id)).collect(),
            gate: TVar::new_in(&space, false),
            hot: TVar::new_in(&space, 0),
            kit,
            space,
        };
        world.space.atomically(|tx| {
            tx.write(&world.number, 2);
            // An initial value cannot be merged by others: such a commit would not be announced.
            (0..).zip(&world.items).for_each(|(id, var)| tx.write(var, world.kit.item(id)));
            (10..13).for_each(|id| world.map.upsert(tx, world.kit.key(id), world.kit.item(id)));
            world.queue.write(tx, world.kit.item(30));
            world.ring.write(tx, world.kit.item(40))
        });
        world
    }

    /// With the fuse unarmed.
    pub(crate) fn state(&self) -> State {
        let snapshot = self.space.snapshot();
        let of = |rows: &mut dyn Iterator<Item = (&Key, &Item)>| {
            let mut rows: Vec<_> = rows.map(|(key, item)| (key.id, item.id)).collect();
            rows.sort_unstable();
            rows
        };
        State {
            number: *snapshot.read(&self.number),
            items: self.items.iter().map(|var| snapshot.read(var).id).collect(),
            map: of(&mut self.map.iter(&snapshot)),
            ordered: of(&mut self.ordered.iter(&snapshot)),
            queue: drained(&self.space, |tx| ids(&self.queue.flush(tx))),
            ring: drained(&self.space, |tx| ids(&self.ring.flush(tx))),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.space.snapshot()
    }
}

/// What is in a queue, which stays there.
fn drained(space: &Space, flush: impl Fn(&tvar::Tx<'_>) -> Vec<u64>) -> Vec<u64> {
    let all = space.try_atomically(|tx| tx.abort::<(), _>(flush(tx)));
    all.unwrap_err()
}

fn ids(items: &[&Item]) -> Vec<u64> {
    items.iter().map(|item| item.id).collect()
}
