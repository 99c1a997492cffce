//! Attempts: running the closure, its logs, and the loop around it (A1 to A5, ARCHITECTURE.md, "Attempts").
//!
//! The attempt loop exists once, in [`mod@run`]; every way of starting a transaction goes through it.

mod access;
mod clock;
mod compose;
mod control;
mod hooks;
mod locks;
mod maps;
mod observe;
mod options;
mod park;
mod rare;
mod run;
#[cfg(feature = "async")]
mod task;
mod trace;

pub(crate) use access::{Attempt, check_same_space};
pub use control::{Abort, Stm, Stop};
pub(crate) use locks::Patience;
pub(crate) use options::Options;
pub use options::{Isolation, Label};
pub(crate) use run::{Call, Ended, Failure, Loss, run};
#[cfg(feature = "async")]
pub(crate) use task::Task;
