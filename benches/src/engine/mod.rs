//! What is compared: each library behind one trait, in the form that its documentation recommends.

pub mod async_stm;
mod fast_stm;
mod mutex;
mod nothing;
mod reference;
mod rivals;
mod stm;
mod tvar;

pub use fast_stm::FastStm;
pub use mutex::Locked;
pub use nothing::Nothing;
pub use reference::Reference;
pub use rivals::Rivals;
pub use stm::ClassicStm;
pub use tvar::Fast;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::atomic::AtomicU64;

/// A value that a variable can hold in every library.
pub trait Value: Clone + Send + Sync + 'static {}
impl<T: Clone + Send + Sync + 'static> Value for T {}

/// A library whose operations are plain calls. Each function is one transaction, unless it says otherwise.
///
/// Variables come in heaps, since a lock user keeps them in one `Vec` behind the lock.
pub trait Engine: 'static {
    /// What the engine is called in the results.
    const NAME: &'static str;
    /// Whether it can give up one alternative and try another.
    const ALTERNATIVES: bool = true;
    /// Whether a variable can be made and dropped by itself.
    const SINGLE_VARIABLES: bool = true;
    /// Whether it has snapshots to keep.
    const SNAPSHOTS: bool = false;

    /// Variables, and whatever else the operations on them need.
    type Heap<T: Value>: Send + Sync;

    /// What the handle of a variable takes beside the variable.
    fn handle_bytes() -> usize {
        0
    }

    /// New variables with these values. Not a transaction.
    fn heap<T: Value>(values: impl Iterator<Item = T>) -> Self::Heap<T>;
    /// Adds up the variables at `picks`.
    fn sum(heap: &Self::Heap<i64>, picks: &[usize]) -> i64;
    /// Adds up all variables.
    fn sum_all(heap: &Self::Heap<i64>) -> i64;
    /// Adds one.
    fn add(heap: &Self::Heap<i64>, at: usize);
    /// Adds one in the way that conflicts least.
    fn merge(heap: &Self::Heap<i64>, at: usize) {
        Self::add(heap, at);
    }
    /// Moves one from one variable to another.
    fn transfer(heap: &Self::Heap<i64>, from: usize, to: usize);
    /// Writes one value to all of `picks` without looking at what was there.
    fn write(heap: &Self::Heap<i64>, picks: &[usize], value: i64);
    /// Writes one value to each of the first `count` variables without looking at what was there.
    fn write_first(heap: &Self::Heap<i64>, count: usize, value: i64);
    /// Adds one to each of the first `count` variables; counts its attempts.
    fn add_first(heap: &Self::Heap<i64>, count: usize, attempts: &AtomicU64);
    /// Replaces a value by a changed copy of it.
    fn change<T: Value>(heap: &Self::Heap<T>, at: usize, f: impl Fn(&mut T));
    /// An alternative that reads `read`, writes `written` and gives up; then one that adds one to `other`.
    fn or_else(heap: &Self::Heap<i64>, read: usize, written: usize, other: usize);
    /// Sleeps until the first variable is not `theirs`, makes it `next` of what it is then, and returns what it was.
    fn turn(heap: &Self::Heap<i64>, theirs: i64, next: impl Fn(i64) -> i64) -> i64;
    /// Makes a variable and drops it. Not a transaction.
    fn create_drop(value: i64);
    /// Takes a snapshot of everything and drops it.
    fn snapshot(heap: &Self::Heap<i64>);
}

/// The engines by name, in the order in which they are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// This library.
    Tvar,
    /// `stm` 0.4.
    Stm,
    /// `fast-stm` 0.7.
    FastStm,
    /// `async-stm` 0.5.
    AsyncStm,
    /// A `parking_lot::Mutex` around a `Vec`.
    Mutex,
    /// The reference engine of this library.
    Reference,
    /// `concread` 0.5: maps only, as those below.
    Concread,
    /// A `parking_lot::RwLock` around a map of the standard library.
    Rwlock,
    /// `dashmap` 6.
    Dashmap,
    /// `scc` 3.
    Scc,
    /// `papaya` 0.2.
    Papaya,
    /// `crossbeam-skiplist` 0.1.
    Skiplist,
    /// `flume` 0.12: channels only, as all below.
    Flume,
    /// `crossbeam-channel` 0.5.
    Crossbeam,
    /// The channel of `tokio` 1, `sync::mpsc`.
    Tokio,
}

impl EngineName {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Tvar,
        Self::Stm,
        Self::FastStm,
        Self::AsyncStm,
        Self::Mutex,
        Self::Reference,
        Self::Concread,
        Self::Rwlock,
        Self::Dashmap,
        Self::Scc,
        Self::Papaya,
        Self::Skiplist,
        Self::Flume,
        Self::Crossbeam,
        Self::Tokio,
    ];
    /// Those that have variables, and not only maps or channels.
    pub const VARIABLES: [Self; 6] =
        [Self::Tvar, Self::Stm, Self::FastStm, Self::AsyncStm, Self::Mutex, Self::Reference];

    /// Whether it has variables, and not only maps or channels.
    pub fn has_variables(self) -> bool {
        Self::VARIABLES.contains(&self)
    }

    /// Whether it has channels, and nothing else.
    pub fn has_channels(self) -> bool {
        matches!(self, Self::Flume | Self::Crossbeam | Self::Tokio)
    }

    /// Whether it is one lock around everything.
    pub fn is_lock(self) -> bool {
        matches!(self, Self::Mutex | Self::Rwlock)
    }

    /// The name in results and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tvar => Fast::NAME,
            Self::Stm => ClassicStm::NAME,
            Self::FastStm => FastStm::NAME,
            Self::AsyncStm => async_stm::NAME,
            Self::Mutex => Locked::NAME,
            Self::Reference => Reference::NAME,
            Self::Concread => "concread",
            Self::Rwlock => "rwlock",
            Self::Dashmap => "dashmap",
            Self::Scc => "scc",
            Self::Papaya => "papaya",
            Self::Skiplist => "skiplist",
            Self::Flume => "flume",
            Self::Crossbeam => "crossbeam",
            Self::Tokio => "tokio",
        }
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
