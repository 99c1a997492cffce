//! What the benchmarks share: the engines behind one trait, the workloads, and inputs that are the same in every run.
//!
//! The program that compares the engines is `cargo run --release -p tvar-benches -- compare`.

pub mod alloc;
pub mod child;
pub mod compare;
pub mod duel;
pub mod engine;
pub mod figures;
pub mod html;
pub mod lap;
pub mod large;
pub mod latency;
pub mod load;
pub mod locks;
pub mod machine;
pub mod map;
pub mod memory;
mod picks;
pub mod progress;
pub mod queue;
pub mod report;
pub mod section;
pub mod stats;
pub mod wake;

pub use picks::Picks;
