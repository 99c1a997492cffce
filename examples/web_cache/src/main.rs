//! An HTTP server whose whole state is in transactional variables: sessions, a cache of rendered pages, a bounded queue of work, a
//! rate limit per client, and counters.
//!
//! ```text
//! cargo run --release -p web_cache                        # serves, drives the server with 32 clients, checks everything
//! cargo run --release -p web_cache -- --clients 100 --queue 2 --patience 20ms
//! cargo run --release -p web_cache -- --break sums        # does the check see it?
//! cargo run --release -p web_cache -- serve --port 8080   # until Ctrl-C; then look at http://127.0.0.1:8080
//! ```
//!
//! Handlers are futures and workers are threads, on the same variables. A handler that does not find its page puts a job into
//! the queue, and sleeps if that is full; a worker takes it, renders, and puts the page into the cache; all handlers that want the page
//! wake up, since they have read its slot. There is no channel, no condition variable and no lock in this.
//!
//! The transactions are in `state/`, which knows nothing of HTTP, and show
//!
//! * of all who miss a page, one orders it, since looking and ordering are one transaction (`cache.rs`);
//! * a wait for one of two things, with a time limit: room in the queue or somebody else's order, the page or the end of the
//!   server (`visit.rs`); a thread that waits for a job or the end (`site.rs`);
//! * a thread that sleeps until the earliest of many deadlines, and wakes for an earlier one (`deadlines.rs`);
//! * a future that is dropped when its client hangs up, in whatever it waits for, and leaves nothing behind (`visit.rs`);
//! * statistics of one version, whose sums agree however busy the site is (`stats.rs`), and a stream of them (`http/live.rs`).
//!
//! `drive/` is the load and the checks.

#![deny(unsafe_code)]

mod args;
mod clock;
mod config;
mod drive;
mod http;
mod render;
mod serve;
mod state;
mod workers;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Some(Command::Serve(args)) => serve::run(args).map(|()| false),
        None => drive::run(&cli.drive),
    };
    match result {
        Ok(false) => ExitCode::SUCCESS,
        Ok(true) => ExitCode::from(1),
        Err(message) => {
            eprintln!("web_cache: {message}");
            ExitCode::from(2)
        }
    }
}
