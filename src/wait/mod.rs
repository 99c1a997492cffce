//! Waiting: the registry of who waits for which variable.
//!
//! This layer knows slot numbers; it never sees a value. Invariants W1 to W4 are ARCHITECTURE.md's, "Waiting".

mod registry;
mod sleeper;

pub(crate) use registry::Registry;
pub(crate) use sleeper::Sleeper;
