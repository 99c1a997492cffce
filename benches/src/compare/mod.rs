//! The comparison: every workload on every engine, interleaved.

mod check;
mod marks;
mod measure;
mod plan;
mod sample;
mod table;

pub use check::{Check, Slower, check};
pub use marks::marks;
pub use measure::measure;
pub use plan::{Plan, default_threads};
pub use table::{marks_table, table};
