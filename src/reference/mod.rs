//! The reference engine: what the fast engine means, in plain safe code.
//!
//! One space is one [`imbl::OrdMap`] from variable numbers to values, behind an [`arc_swap::ArcSwap`]. An attempt
//! holds one map and so sees one version of everything (§1.4). A commit looks whether what the attempt read is
//! still in the newest map (§2.2, per variable: §2.3), writes its changes into a copy and swaps that in; when the
//! swap is lost it starts over with the newer map, without running the closure again.
//!
//! It serves two ends. The random programs of the test suite run on both engines and have to agree, and the
//! benchmarks show what the tree of the fast engine buys. Hence it shares no code with it, errors included.
//!
//! It offers the part of the contract that a single-process program can see the meaning of: reading, writing,
//! merging, `retry`, `or_else`, `nested`, typed aborts, snapshots and reclaiming. It has no deadlines, options,
//! hooks, names or statistics, always is strictly serialisable, and is free to be simple where that costs nothing
//! but memory and time:
//! - reads hand out [`Arc`](std::sync::Arc)s, and cost a look-up in the map and an entry in the read set;
//! - a variable's initial value lives as long as its last handle, overwritten or not;
//! - a parked attempt keeps the values alive that it read, and every commit makes every parked thread look again
//!   (its closure runs again only if a value that it read has changed, §3.1).

mod commit;
mod run;
mod snapshot;
mod space;
mod stop;
mod tx;
mod value;
mod var;

#[cfg(test)]
mod tests;

pub use run::{atomically, try_atomically};
pub use snapshot::{RefDiff, RefSnapshot};
pub use space::RefSpace;
pub use stop::{RefAbort, RefStm, RefStop};
pub use tx::RefTx;
pub use var::RefVar;
