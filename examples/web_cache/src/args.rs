//! The command line.

use std::net::IpAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, duration, number};
use crate::drive::Rule;

/// An HTTP server whose shared state is in transactional variables, and clients that drive it and check what it does.
///
/// Without a command: serves on the loopback interface, drives the server with many clients over HTTP, then checks that every answer was right
/// and that all sums agree. Exit status: 0 when every check passed; 1 when one failed, whose rule is named on standard
/// error; 2 when the arguments make no sense or the server cannot start.
#[derive(Debug, Parser)]
#[command(name = "web_cache", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) drive: Drive,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve until Ctrl-C.
    Serve(Serve),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Drive {
    /// Clients, each with a connection of its own.
    #[arg(short, long, value_name = "N", default_value_t = 32, value_parser = number(1_000))]
    pub(crate) clients: u32,

    /// How long to drive.
    #[arg(short, long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub(crate) time: Duration,

    /// The port to serve on meanwhile; a free one if it is 0. Look at the statistics there as you like; but a page that you ask for is
    /// one that the clients have not counted.
    #[arg(short, long, default_value_t = 0)]
    pub(crate) port: u16,

    /// Violate this rule at the end, to see that the check finds it.
    #[arg(long = "break", value_name = "RULE", value_enum)]
    pub(crate) break_rule: Option<Rule>,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Serve {
    /// The port to serve on; a free one if it is 0.
    #[arg(short, long, default_value_t = 8080)]
    pub(crate) port: u16,

    /// The address to serve on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) address: IpAddr,

    #[command(flatten)]
    pub(crate) config: Config,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_can_be_done_with_none() {
        for option in ["--clients", "--workers", "--pages", "--cached", "--queue", "--rate", "--burst", "--sessions"] {
            assert!(Cli::try_parse_from(["web_cache", option, "1"]).is_ok());
            assert!(option == "--clients" || Cli::try_parse_from(["web_cache", "serve", option, "1"]).is_ok());
            for bad in ["0", "-1", "many", "99999999999999"] {
                let error = Cli::try_parse_from(["web_cache", &format!("{option}={bad}")]).unwrap_err().to_string();
                assert!(error.contains(option), "{error}");
            }
        }
        assert!(Cli::try_parse_from(["web_cache", "--time", "0s"]).is_err());
        assert!(Cli::try_parse_from(["web_cache", "serve", "--port", "70000"]).is_err());
    }
}
