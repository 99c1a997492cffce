//! The workloads: what each means, and the loops that run it on an engine.

mod cases;
mod duels;
mod family;
mod futures;
mod loops;
mod map_loops;
mod maps;
mod queues;
mod waits;
mod wakes;

pub use cases::{Case, case, harness};
pub use family::Family;
pub use futures::FutureLoops;
pub use loops::Loops;
pub use map_loops::{HashLoops, OrderedLoops};
pub use maps::{KEYS, MapLoad, RANGE, SPAN};
pub use queues::{CAPACITY, QueueLoad};
pub use waits::WaitLoad;
pub use wakes::{CROWD, SLEEPERS};

use crate::engine::EngineName;

/// The names of the workloads in results and on the command line, in the order in which they are reported.
pub const WORKLOADS: [&str; 29] = [
    "read1",
    "read10",
    "read1000",
    "counter",
    "disjoint",
    "transfer_1k",
    "transfer_1m",
    "write10",
    "boxed",
    "scan",
    SCAN_BESIDE_WRITER,
    WRITER_BESIDE_SCAN,
    "or_else",
    "merge",
    "create_drop",
    "snapshot",
    "map_90_10",
    "map_50_50",
    "map_insert_remove",
    "ordmap_90_10",
    "ordmap_50_50",
    "ordmap_range",
    "queue_1_1",
    "queue_4_4",
    "pingpong",
    "pingpong_tasks",
    "pingpong_mixed",
    "wake_one_of_10k",
    "wake_1000",
];

/// The scanners' side of [`Load::Beside`].
pub const SCAN_BESIDE_WRITER: &str = "scan_beside_writer";
/// The writers' side of [`Load::Beside`].
pub const WRITER_BESIDE_SCAN: &str = "writer_beside_scan";
/// The same writers without scanners. Not a workload of its own: half of a mark.
pub const LONE_WRITER: &str = "lone_writer";

/// Variables that most workloads choose from.
pub const FEW: usize = 1_000;
/// Variables of `transfer_1m`.
pub const MANY: usize = 1_000_000;
/// Variables that a scan adds up.
pub const SCANNED: usize = 10_000;
/// What a variable holds at first, where totals are checked.
pub const FIRST: i64 = 100;

/// Something that threads do. Each is one workload, but for the two sides of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Load {
    /// Reads one of 1,000 variables.
    Read1,
    /// Reads ten of 1,000 variables.
    Read10,
    /// Reads all of 1,000 variables.
    Read1000,
    /// All threads add one to the same variable.
    Counter,
    /// Each thread adds one to a variable of its own.
    Disjoint,
    /// Moves one between two of 1,000 variables.
    Transfer1k,
    /// Moves one between two of 1,000,000 variables.
    Transfer1m,
    /// Writes ten of 1,000 variables without reading them.
    Write10,
    /// Replaces one of 1,000 `String`s, then one of 1,000 `Vec<u64>`s.
    Boxed,
    /// Adds up 10,000 variables.
    Scan,
    /// Half of the threads add up 10,000 variables, the others transfer between them.
    Beside,
    /// The writers of `Beside` alone.
    LoneWriter,
    /// An alternative that gives up, and one that adds one.
    OrElse,
    /// Two threads wait for each other's write.
    PingPong,
    /// All threads add one to the same variable by `merge`.
    Merge,
    /// Makes a variable and drops it.
    CreateDrop,
    /// Takes a snapshot and drops it.
    Snapshot,
    /// Something with a map.
    Map(MapLoad),
    /// Something with a queue.
    Queue(QueueLoad),
    /// Something with tasks that wait.
    Wait(WaitLoad),
}

impl Load {
    /// All of them in the order in which they run: a million variables come last, so that what they leave behind (a
    /// deeper tree, a fragmented heap) is nobody else's cost.
    pub const ALL: [Self; 29] = [
        Self::Read1,
        Self::Read10,
        Self::Read1000,
        Self::Counter,
        Self::Disjoint,
        Self::Transfer1k,
        Self::Write10,
        Self::Boxed,
        Self::Scan,
        Self::Beside,
        Self::LoneWriter,
        Self::OrElse,
        Self::PingPong,
        Self::Merge,
        Self::CreateDrop,
        Self::Snapshot,
        Self::Map(MapLoad::Map9010),
        Self::Map(MapLoad::Map5050),
        Self::Map(MapLoad::MapInsertRemove),
        Self::Map(MapLoad::Ordmap9010),
        Self::Map(MapLoad::Ordmap5050),
        Self::Map(MapLoad::OrdmapRange),
        Self::Queue(QueueLoad::OneToOne),
        Self::Queue(QueueLoad::FourToFour),
        Self::Wait(WaitLoad::PingPongTasks),
        Self::Wait(WaitLoad::PingPongMixed),
        Self::Wait(WaitLoad::WakeOne),
        Self::Wait(WaitLoad::Wake1000),
        Self::Transfer1m,
    ];

    /// The rows that it makes.
    pub fn rows(self) -> &'static [&'static str] {
        match self {
            Self::Read1 => &["read1"],
            Self::Read10 => &["read10"],
            Self::Read1000 => &["read1000"],
            Self::Counter => &["counter"],
            Self::Disjoint => &["disjoint"],
            Self::Transfer1k => &["transfer_1k"],
            Self::Transfer1m => &["transfer_1m"],
            Self::Write10 => &["write10"],
            Self::Boxed => &["boxed"],
            Self::Scan => &["scan"],
            Self::Beside => &[SCAN_BESIDE_WRITER, WRITER_BESIDE_SCAN],
            Self::LoneWriter => &[LONE_WRITER],
            Self::OrElse => &["or_else"],
            Self::PingPong => &["pingpong"],
            Self::Merge => &["merge"],
            Self::CreateDrop => &["create_drop"],
            Self::Snapshot => &["snapshot"],
            Self::Map(map) => map.row(),
            Self::Queue(queue) => queue.row(),
            Self::Wait(wait) => wait.row(),
        }
    }

    /// Whether it means something with so many threads.
    pub fn suits(self, threads: usize) -> bool {
        match self {
            Self::PingPong | Self::Wait(_) => threads == 2,
            Self::Queue(queue) => threads == queue.threads(),
            Self::Beside | Self::LoneWriter => threads >= 2,
            _ => threads >= 1,
        }
    }

    /// Whether an engine has what it takes; what it cannot do with that shows when the case is made.
    pub fn runs_on(self, engine: EngineName) -> bool {
        match self {
            Self::Map(map) => map.runs_on(engine),
            Self::Queue(queue) => queue.runs_on(engine),
            Self::Wait(wait) => wait.runs_on(engine),
            Self::PingPong => engine.has_variables() || engine.has_channels(),
            _ => engine.has_variables(),
        }
    }

    /// How many threads run it where the results say `threads`.
    pub fn workers(self, threads: usize) -> usize {
        match self {
            Self::LoneWriter => (threads / 2).max(1),
            Self::Wait(wait) => wait.workers(),
            _ => threads,
        }
    }

    /// Which of [`rows`](Self::rows) a thread works for.
    pub fn side(self, thread: usize) -> usize {
        if self == Self::Beside { thread % 2 } else { 0 }
    }
}

/// Variables between those of two threads in `disjoint`: more than share a leaf of any tree or a cache line.
const APART: usize = 128;

/// How many `i64` variables a load needs, and how many boxed ones of each kind.
fn sizes(load: Load, threads: usize) -> (usize, usize) {
    match load {
        Load::Transfer1m => (MANY, 0),
        Load::Scan | Load::Beside | Load::LoneWriter => (SCANNED, 0),
        Load::Disjoint => (threads * APART, 0),
        Load::Boxed => (0, FEW),
        Load::CreateDrop => (0, 0),
        _ => (FEW, 0),
    }
}

/// What the variables must add up to after so many operations; nothing if anything goes.
fn expected(load: Load, variables: usize, operations: u64) -> Option<i64> {
    let first = FIRST * variables as i64;
    match load {
        Load::Write10 | Load::PingPong | Load::Boxed | Load::CreateDrop => None,
        Load::Counter | Load::Disjoint | Load::OrElse | Load::Merge => Some(first + operations as i64),
        _ => Some(first),
    }
}

/// What `boxed` starts with.
fn text() -> String {
    "the quick brown fox jumps over .".into()
}

/// Changes a text: a byte at its end.
fn turn_text(text: &mut String) {
    let last = text.pop();
    text.push(if last == Some('.') { '!' } else { '.' });
}

/// Changes a list of numbers: one of them.
fn turn_numbers(numbers: &mut [u64]) {
    if let Some(first) = numbers.first_mut() {
        *first += 1;
    }
}

/// Turns of `pingpong`: whose it is, or that the game is over.
mod turns {
    pub(super) const PING: i64 = 0;
    pub(super) const PONG: i64 = 1;
    pub(super) const OVER: i64 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_has_a_load() {
        let mut rows: Vec<_> = Load::ALL.iter().flat_map(|load| load.rows()).collect();
        rows.retain(|row| **row != LONE_WRITER);
        let mut names: Vec<_> = WORKLOADS.iter().collect();
        rows.sort();
        names.sort();
        assert_eq!(rows, names);
    }
}
