//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::amount::Amount;

/// Books a CSV file of transfers, one transaction per line, while an auditor checks the books.
///
/// A line is `from,to,amount[,anything]`. Accounts are named by text and are opened when a line
/// first mentions them; amounts are `12`, `12.50` or `12,50`. Where a header names the columns
/// `from`, `to` and `amount`, these may stand anywhere. Exit status: 0 when every audit passed,
/// 1 when one failed, 2 when the input could not be read or the arguments make no sense.
#[derive(Debug, Parser)]
#[command(name = "ledger")]
pub(crate) struct Args {
    /// The transfers; `-` is standard input. Without it, a built-in sample is booked.
    pub(crate) file: Option<PathBuf>,

    /// Threads that book [default: one per processor].
    #[arg(short, long, value_name = "N", value_parser = thread_count)]
    pub(crate) threads: Option<NonZeroUsize>,

    /// Money on every account when it is opened, or on the account NAME only; can be repeated.
    #[arg(long, value_name = "[NAME=]AMOUNT", value_parser = opening)]
    pub(crate) opening: Vec<Opening>,

    /// How long a transfer that lacks cover waits for incoming money, in milliseconds.
    #[arg(long, value_name = "MS", default_value = "30", value_parser = milliseconds)]
    pub(crate) patience: Duration,

    /// What separates the columns: one character, or `tab` [default: found out among , ; tab |].
    #[arg(short, long, value_name = "CHAR", value_parser = separator)]
    pub(crate) separator: Option<u8>,

    /// Whether the first line names the columns.
    #[arg(long, value_enum, default_value_t = Header::Auto)]
    pub(crate) header: Header,

    /// How many bad lines to show; the others are only counted.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) show_bad: usize,

    /// Number of lines of the built-in sample.
    #[arg(long, value_name = "N", default_value_t = 100_000, conflicts_with = "file")]
    pub(crate) sample: u64,

    /// Print the built-in sample as CSV instead of booking it.
    #[arg(long, conflicts_with = "file")]
    pub(crate) print_sample: bool,
}

impl Args {
    pub(crate) fn worker_threads(&self) -> usize {
        self.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
    }
}

/// Whether the first line is a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Header {
    /// Found out: a first line with no digit where the amount should be is one.
    Auto,
    Yes,
    No,
}

/// One `--opening`: for one account, or for all that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) name: Option<String>,
    pub(crate) amount: Amount,
}

fn opening(text: &str) -> Result<Opening, String> {
    // The last `=`, because a name may hold one and an amount may not.
    let (name, amount) = match text.rsplit_once('=') {
        Some((name, amount)) => (Some(name.trim().to_owned()), amount),
        None => (None, text),
    };
    if name.as_deref() == Some("") {
        return Err("the name before `=` is empty".to_owned());
    }
    let amount = amount.parse().map_err(|e| format!("{e}"))?;
    Ok(Opening { name, amount })
}

fn separator(text: &str) -> Result<u8, String> {
    match text {
        "tab" | "\\t" => Ok(b'\t'),
        "\"" | "\n" | "\r" => Err("quotes and line ends cannot separate columns".to_owned()),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !byte.is_ascii_alphanumeric() => Ok(*byte),
            _ => Err("expected one ASCII character that is no letter or digit, or `tab`".to_owned()),
        },
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    let ms: u32 = text.parse().map_err(|_| "expected a whole number of milliseconds")?;
    Ok(Duration::from_millis(ms.into()))
}

fn thread_count(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 1024;
    match text.parse() {
        Ok(n) if n <= MOST => NonZeroUsize::new(n).ok_or_else(|| "at least 1 is needed".to_owned()),
        _ => Err(format!("expected a number from 1 to {MOST}")),
    }
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
    fn openings_are_for_all_or_for_one() {
        let all = opening("10").unwrap();
        assert_eq!((all.name, all.amount.cents()), (None, 1000));
        let one = opening("a=b=0.5").unwrap();
        assert_eq!((one.name.as_deref(), one.amount.cents()), (Some("a=b"), 50));
        assert!(opening("=5").is_err());
        assert!(opening("bank=").is_err());
    }

    #[test]
    fn separators_are_one_character() {
        assert_eq!(separator("tab"), Ok(b'\t'));
        assert_eq!(separator(";"), Ok(b';'));
        for bad in ["", ";;", "x", "\"", "\n", "§"] {
            assert!(separator(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn thread_counts_are_sane() {
        assert_eq!(thread_count("8").map(NonZeroUsize::get), Ok(8));
        for bad in ["0", "-1", "1025", "many"] {
            assert!(thread_count(bad).is_err(), "{bad}");
        }
    }
}
