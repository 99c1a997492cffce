//! The maps beside a `BTreeMap` (§6.1, §6.2): every operation, alternatives and parts that are undone, iteration and ranges from both
//! ends, snapshots that stay as they were, keys of one hash or number.

mod kinds;
mod step;

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use tvar::{Snapshot, Space, TMap, TOrdMap};

use super::list::{List, Program};
use super::values::{Counted, Ledger, elsewhere, ticks};
use kinds::{Key, Real, Spread, Value};

/// Which map, and with values that have a destructor or lie in the tree.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Kind {
    /// With so many hashes; 0: with all.
    Hash {
        hashes: u8,
        boxed: bool,
    },
    Numbers {
        boxed: bool,
    },
    Signed {
        boxed: bool,
    },
    Text {
        boxed: bool,
    },
    Pairs {
        boxed: bool,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum End {
    None,
    At(u16),
    Beyond(u16),
}

/// Which keys: `from`, and every so many from there on.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Many {
    from: u16,
    stride: u8,
    count: u8,
}

#[derive(Arbitrary, Debug)]
pub enum Op {
    Get(u16),
    Len,
    Insert(u16, u16),
    InsertNew(u16, u16),
    Upsert(u16, u16),
    UpsertWith(u16, u16),
    Remove(u16),
    Modify(u16),
    AndModify(u16, u16),
    EntryInsert(u16, u16),
    EntryRemove(u16),
    PutMany(Many, u16),
    CountMany(Many, u16),
    RemoveMany(Many),
    Clear,
    /// From both ends by the bits of `ends`; a write in the middle does not show.
    Iter {
        ends: u32,
        write_after: u8,
        key: u16,
    },
    Range {
        low: End,
        high: End,
        ends: u32,
        write_after: u8,
        key: u16,
    },
    First,
    Last,
    PopFirst(u8),
    PopLast(u8),
    /// A reference stays what it was when the key is written and removed.
    Hold(u16),
    /// A part that is undone.
    Undone(List<Op>),
    /// A part that stays.
    Part(List<Op>),
}

#[derive(Arbitrary, Debug)]
pub enum Step {
    Commit(List<Op>),
    CommitElsewhere(List<Op>),
    Abort(List<Op>),
    /// In an alternative that retries, then in the other.
    Otherwise(List<Op>, List<Op>),
    Keep,
    Forget(u8),
    /// A new map with the same content.
    Rebuild,
    Ticks(u8),
}

pub type Input = (Kind, Program<Step>);

const MOST_KEPT: usize = 6;
const MOST_THREADS: usize = 8;

pub fn run((kind, steps): &Input) {
    match *kind {
        Kind::Hash { hashes, boxed: false } => on::<TMap<u64, u64, Spread>, u64, u64>(hashes, steps),
        Kind::Hash { hashes, boxed: true } => on::<TMap<String, Counted, Spread>, String, Counted>(hashes, steps),
        Kind::Numbers { boxed: false } => on::<TOrdMap<u64, u64>, u64, u64>(0, steps),
        Kind::Numbers { boxed: true } => on::<TOrdMap<u64, Counted>, u64, Counted>(0, steps),
        Kind::Signed { boxed: false } => on::<TOrdMap<i16, u64>, i16, u64>(0, steps),
        Kind::Signed { boxed: true } => on::<TOrdMap<i16, Counted>, i16, Counted>(0, steps),
        Kind::Text { boxed: false } => on::<TOrdMap<String, u64>, String, u64>(0, steps),
        Kind::Text { boxed: true } => on::<TOrdMap<String, Counted>, String, Counted>(0, steps),
        Kind::Pairs { boxed: false } => on::<TOrdMap<(u8, u16), u64>, (u8, u16), u64>(0, steps),
        Kind::Pairs { boxed: true } => on::<TOrdMap<(u8, u16), Counted>, (u8, u16), Counted>(0, steps),
    }
}

/// A map and what should be in it.
struct World<M, K> {
    space: Space,
    ledger: Ledger,
    map: M,
    hashes: u64,
    /// Keys are taken modulo this: with few hashes every search is long.
    keys: u16,
    model: BTreeMap<K, u64>,
    kept: Vec<(Snapshot, BTreeMap<K, u64>)>,
    threads: usize,
}

fn on<M: Real<K, V> + Sync, K: Key, V: Value>(hashes: u8, steps: &[Step]) {
    let (space, ledger) = (Space::new(), Ledger::default());
    let mut world = World {
        map: M::filled(&space, u64::from(hashes), Vec::new()),
        hashes: u64::from(hashes),
        keys: if (1..16).contains(&hashes) { 200 } else { 3_000 },
        model: BTreeMap::new(),
        kept: Vec::new(),
        threads: 0,
        space,
        ledger: ledger.clone(),
    };
    for step in steps {
        world.step::<V>(step);
        world.same::<V>(&world.space.snapshot(), &world.model);
    }
    for (snapshot, then) in std::mem::take(&mut world.kept) {
        world.same::<V>(&snapshot, &then);
    }
    // What only the map has now: its rows, each once.
    let patience = if world.threads == 0 { 3 } else { 3_000 };
    let due = if V::COUNTED { world.model.len() } else { 0 };
    let exact = (0..patience).any(|_| {
        ticks(&world.space, 1);
        ledger.count() == due
    });
    assert!(exact, "{} values for {due} rows", ledger.count());
    drop(world);
    assert_eq!(ledger.count(), 0, "values outlive their space");
}
