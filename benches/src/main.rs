//! `tvar-benches`: measures this library beside others.

mod cli;

use clap::Parser;
use cli::{Cli, Command, compare, others};
use std::process::ExitCode;
use tvar_benches::alloc::Counting;

/// Counts in the processes that measure memory only.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Compare(options) => compare::run(&options),
        Command::Memory(options) => others::memory(&options),
        Command::Large(options) => others::large(&options),
        Command::Latency(options) => others::latency(&options),
        Command::Locks(options) => others::locks(&options),
    };
    result.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(2)
    })
}
