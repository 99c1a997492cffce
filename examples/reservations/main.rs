//! A travel agency, after *vacation* of the STAMP benchmarks: a seat, a hotel and a car in one transaction.
//!
//! ```text
//! cargo run --release --example reservations
//! cargo run --release --example reservations -- --agents 8 --customers 100 --resources 5
//! cargo run --release --example reservations -- --break bills     # does the check see it?
//! cargo run --release --example reservations -- --help
//! ```
//!
//! Agents book all three or nothing and cancel, a manager changes prices and stock, and an auditor
//! checks every rule of the house on snapshots all the while, without holding anybody up.
//!
//! The maps and the transactions are in `agency.rs`, and show
//!
//! * the cheapest free resource, by a range of an ordered map that is an index of another map;
//! * records that are unique without a lock around them (`insert_new`), and bills that never make
//!   two agents conflict (`upsert_with`);
//! * another hotel instead of the one that is full (`try_or_else`), and a typed abort that leaves
//!   nothing behind;
//! * one seat that too many want, taken under a lock;
//! * a queue that a thread sleeps on, which is a map too (`staff.rs`).
//!
//! The rules are in `audit.rs`; what people want is made up in `orders.rs`.

mod agency;
mod args;
mod audit;
mod model;
mod orders;
mod report;
mod staff;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use agency::Agency;
use args::Args;
use orders::Orders;
use report::Report;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(violation)) => {
            eprintln!("reservations: violated: {violation}");
            ExitCode::from(1)
        }
        Err(message) => {
            eprintln!("reservations: {message}");
            ExitCode::from(2)
        }
    }
}

/// The first violation that was found, if any.
fn run(args: &Args) -> Result<Option<audit::Violation>, String> {
    let orders = Orders::new(args.seed, args.customers, args.resources);
    let agency = Agency::new(orders.stock());
    let bar = report::progress(args.transactions);

    let started = Instant::now();
    let shift = staff::work(&agency, &orders, args.transactions, args.agents, &bar)
        .map_err(|e| format!("cannot start {} agents: {e}", args.agents))?;
    let elapsed = started.elapsed();
    bar.finish_and_clear();

    if let Some(rule) = args.break_rule {
        audit::break_rule(&agency, rule);
    }
    let last = audit::audit(&agency, &agency.space.snapshot()).and_then(|books| books.agree_with(&shift.tally));
    let stats = agency.space.stats();
    Report { tally: &shift.tally, audits: shift.audits.passed, stats, agents: args.agents, elapsed }
        .print()
        .map_err(|e| format!("cannot print the report: {e}"))?;
    Ok(shift.audits.first_failure.or(last.err()))
}
