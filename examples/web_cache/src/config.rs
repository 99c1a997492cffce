//! How large things are and how long they last.

use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

#[derive(Clone, Debug, Args)]
pub(crate) struct Config {
    /// Threads that render pages.
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = number(1024))]
    pub(crate) workers: u32,

    /// Pages of the site.
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = number(1_000_000))]
    pub(crate) pages: u32,

    /// Pages that the cache has room for.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = number(1_000_000))]
    pub(crate) cached: u32,

    /// Jobs that the queue has room for.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = number(100_000))]
    pub(crate) queue: u32,

    /// How hard a page is to render: each further step takes twice as long. 20 takes some milliseconds.
    #[arg(long, value_name = "BITS", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=26))]
    pub(crate) effort: u32,

    /// How long a request waits, first for room in the queue and then for its page.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) patience: Duration,

    /// How long a page stays in the cache.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub(crate) page_lasts: Duration,

    /// How long a session lasts that is not used [default: 1s when driven, 10min when served]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) session_lasts: Option<Duration>,

    /// Sessions that there may be at the same time.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = number(10_000_000))]
    pub(crate) sessions: u32,

    /// Requests per second that a client may make.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = number(1_000_000))]
    pub(crate) rate: u32,

    /// Requests that a client may make at once.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = number(1_000_000))]
    pub(crate) burst: u32,
}

/// From 1 to `most`.
pub(crate) fn number(most: u64) -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..=most)
}

/// A number and a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| "must be like 200ms, 3s or 10min".to_owned())?;
    let unit = match unit {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "min" => Duration::from_secs(60),
        _ => return Err("must have a unit: ms, s or min".to_owned()),
    };
    match number {
        0 => Err("must be longer than nothing".to_owned()),
        n => unit
            .checked_mul(n)
            .filter(|d| *d <= Duration::from_secs(86_400))
            .ok_or_else(|| "is longer than a day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        let times = ["200ms", "3s", "10min"].map(|text| duration(text).map(|time| time.as_millis()));
        assert_eq!(times, [Ok(200), Ok(3_000), Ok(600_000)]);
        for bad in ["", "ms", "3", "-3s", "3 s", "0s", "1.5s", "25h", "99999min"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
