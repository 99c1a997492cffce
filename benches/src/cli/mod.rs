//! The command line.

pub(crate) mod compare;
pub(crate) mod others;

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use tvar_benches::engine::EngineName;
use tvar_benches::load::WORKLOADS;
use tvar_benches::memory::CASES;

/// Measures tvar beside other libraries, and its memory, large transactions, latencies and locks.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare every engine at every workload; about five minutes.
    Compare(Compare),
    /// Measure what variables, snapshots and operations cost in memory.
    Memory(Memory),
    /// Measure large transactions.
    Large(Quick),
    /// Measure how long single transactions take.
    Latency(Quick),
    /// Measure what pessimistic locks cost, and when they pay.
    Locks(Quick),
}

#[derive(Debug, Args)]
pub(crate) struct Quick {
    /// Take a fraction of the time.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print as JSON, without progress.
    #[arg(long, hide = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Memory {
    #[command(flatten)]
    pub(crate) quick: Quick,
    /// Run one case in this process, and print it as JSON.
    #[arg(long, value_name = "NAME", hide = true, value_parser = CASES)]
    pub(crate) case: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// Take about one minute: shorter samples, smaller memory runs.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Compare with an earlier compare.json; fail if tvar got slower by more than the noise of the two runs.
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    /// Only these workloads, and nothing but workloads.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',', value_parser = WORKLOADS)]
    pub(crate) workload: Vec<String>,
    /// Only these engines, and nothing but workloads.
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    pub(crate) engine: Vec<EngineName>,
    /// These numbers of threads instead of 1, 2, 8 and all cores, and nothing but workloads.
    #[arg(long, value_name = "N", num_args = 1.., value_delimiter = ',', value_parser = threads)]
    pub(crate) threads: Vec<usize>,
    /// Rounds of each measurement; the median of them is reported.
    #[arg(long, value_name = "N", default_value = "5", value_parser = rounds)]
    pub(crate) rounds: usize,
    /// Where compare.json and compare.html go.
    #[arg(long, value_name = "DIR", default_value = "target")]
    pub(crate) out: PathBuf,
    /// How long a sample takes; for tests.
    #[arg(long, value_name = "MS", hide = true)]
    pub(crate) slice_ms: Option<u64>,
}

fn threads(text: &str) -> Result<usize, String> {
    bounded(text, 1, 256)
}

fn rounds(text: &str) -> Result<usize, String> {
    bounded(text, 1, 1_000)
}

fn bounded(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().map_err(|_| "not a number".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("not between {least} and {most}")) }
}
