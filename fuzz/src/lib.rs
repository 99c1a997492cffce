//! Programs of steps for the fuzzer, each beside a model of `std` collections. One module per target: `Step`, which `arbitrary`
//! makes of bytes, and `run`, which panics where crate and model differ. `tests/fuzz_corpus.rs` runs them as well.

mod list;
pub mod log;
pub mod maps;
pub mod tree;
pub mod vacuum;
mod values;
