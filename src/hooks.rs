//! Points at which a test can stop a thread, to force an interleaving (feature `hooks`).
//!
//! A callback, installed for one thread, is called at each named [`Point`] that the thread's transactions pass. It can block
//! there while other threads do what the test is about. Works for tests of code that uses this crate, too.

pub use crate::sync::steps::Point;
pub use crate::sync::steps::{HookGuard, on_this_thread};
