//! The workloads on maps: what each means, and which engines run it.

use super::{Case, HashLoops, OrderedLoops};
use crate::engine::EngineName;
use crate::map;

/// Entries of every map when it is made.
pub const KEYS: usize = 100_000;
/// Keys that `map_insert_remove` chooses from: half of them are there.
pub const SPAN: usize = 2 * KEYS;
/// Entries that a read of `ordmap_range` adds up.
pub const RANGE: usize = 20;

/// Something that threads do with a map of 100,000 entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MapLoad {
    /// Nine lookups in a hash map for each upsert.
    Map9010,
    /// A lookup in a hash map for each upsert.
    Map5050,
    /// Puts keys into a hash map and takes others out.
    MapInsertRemove,
    /// Nine lookups in an ordered map for each upsert.
    Ordmap9010,
    /// A lookup in an ordered map for each upsert.
    Ordmap5050,
    /// Nine sums of 20 entries that follow each other for each upsert.
    OrdmapRange,
}

impl MapLoad {
    /// The row that it makes.
    pub(super) fn row(self) -> &'static [&'static str] {
        match self {
            Self::Map9010 => &["map_90_10"],
            Self::Map5050 => &["map_50_50"],
            Self::MapInsertRemove => &["map_insert_remove"],
            Self::Ordmap9010 => &["ordmap_90_10"],
            Self::Ordmap5050 => &["ordmap_50_50"],
            Self::OrdmapRange => &["ordmap_range"],
        }
    }

    /// How many of ten operations read, of those whose others are upserts.
    pub(super) fn reads_of_ten(self) -> u64 {
        match self {
            Self::Map5050 | Self::Ordmap5050 => 5,
            _ => 9,
        }
    }

    /// The engines that run it, and how each makes its case.
    fn engines(self) -> &'static [(EngineName, Make)] {
        match self {
            Self::Map9010 | Self::Map5050 | Self::MapInsertRemove => HASH,
            Self::Ordmap9010 | Self::Ordmap5050 | Self::OrdmapRange => ORDERED,
        }
    }

    /// How an engine makes its case, if it runs this.
    fn of(self, engine: EngineName) -> Option<Make> {
        self.engines().iter().find(|(name, _)| *name == engine).map(|(_, make)| *make)
    }

    /// Whether an engine runs it.
    pub(super) fn runs_on(self, engine: EngineName) -> bool {
        self.of(engine).is_some()
    }

    /// The case of an engine, if it runs this.
    pub(super) fn case(self, engine: EngineName) -> Option<Box<dyn Case>> {
        self.of(engine).map(|make| make(self))
    }

    /// The case of maps that do nothing.
    pub(super) fn harness(self) -> Box<dyn Case> {
        match self {
            Self::Map9010 | Self::Map5050 | Self::MapInsertRemove => HashLoops::<map::NoMap>::boxed(self),
            Self::Ordmap9010 | Self::Ordmap5050 | Self::OrdmapRange => OrderedLoops::<map::NoMap>::boxed(self),
        }
    }
}

/// Makes the case of a load.
type Make = fn(MapLoad) -> Box<dyn Case>;

/// The engines that have hash maps.
const HASH: &[(EngineName, Make)] = &[
    (EngineName::Tvar, HashLoops::<map::Hash>::boxed),
    (EngineName::FastStm, HashLoops::<map::Buckets>::boxed),
    (EngineName::Concread, HashLoops::<map::Trie>::boxed),
    (EngineName::Rwlock, HashLoops::<map::LockedHash>::boxed),
    (EngineName::Dashmap, HashLoops::<map::Sharded>::boxed),
    (EngineName::Scc, HashLoops::<map::Scc>::boxed),
    (EngineName::Papaya, HashLoops::<map::Papaya>::boxed),
];

/// The engines that have ordered maps.
const ORDERED: &[(EngineName, Make)] = &[
    (EngineName::Tvar, OrderedLoops::<map::Ordered>::boxed),
    (EngineName::Rwlock, OrderedLoops::<map::LockedTree>::boxed),
    (EngineName::Skiplist, OrderedLoops::<map::Skiplist>::boxed),
];
