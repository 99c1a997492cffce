//! The command line.

use clap::Parser;
use clap::builder::RangedU64ValueParser;

use crate::audit::Rule;

/// Books seats, hotels and cars with many agents, while an auditor checks the books.
///
/// Exit status: 0 when every check passed; 1 when one failed, whose rule is named on standard error; 2 when the
/// arguments make no sense. With one agent, the same arguments give the same bookings.
#[derive(Debug, Parser)]
#[command(name = "reservations")]
pub(crate) struct Args {
    /// Threads that serve customers.
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = number(1024))]
    pub(crate) agents: u32,

    /// Different customers; few of them come often, and to several agents at once.
    #[arg(short, long, value_name = "N", default_value_t = 5_000, value_parser = number(10_000_000))]
    pub(crate) customers: u32,

    /// Flights, hotels and cars to choose from, as many of each kind.
    #[arg(short, long, value_name = "N", default_value_t = 100, value_parser = number(1_000_000))]
    pub(crate) resources: u32,

    /// What the agents do in all: bookings, cancellations and calls to the manager.
    #[arg(short, long, value_name = "N", default_value_t = 300_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 40))]
    pub(crate) transactions: u64,

    /// What the orders are made up from.
    #[arg(short, long, value_name = "N", default_value_t = 12)]
    pub(crate) seed: u64,

    /// Violate this rule once at the end, to see that the check finds it.
    #[arg(long = "break", value_name = "RULE", value_enum)]
    pub(crate) break_rule: Option<Rule>,
}

/// From 1 to `most`.
fn number(most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn nothing_can_be_done_with_none() {
        for option in ["--agents", "--customers", "--resources", "--transactions"] {
            assert!(Args::try_parse_from(["reservations", option, "1"]).is_ok());
            for bad in ["0", "-1", "many", "99999999999999"] {
                let error = Args::try_parse_from(["reservations", &format!("{option}={bad}")]).unwrap_err().to_string();
                assert!(error.contains(option), "{error}");
            }
        }
    }
}
