//! What the benchmarks share: the engines behind one trait, and inputs that are the same in every run.

mod engine;
mod picks;

pub use engine::{Engine, Fast, Reference};
pub use picks::Picks;
