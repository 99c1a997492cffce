//! What the user sees: the progress bar and the closing table.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

use super::tally::Tally;
use crate::args::Drive;
use crate::state::{Outcome, Stats};

/// A bar, or nothing where nobody looks.
pub(super) fn progress(time: Duration) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar =
        ProgressBar::new(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).with_finish(ProgressFinish::AndClear);
    match ProgressStyle::with_template("{bar:40} {percent:>3} %  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Everything that the end of a run has to tell.
pub(super) struct Report<'a> {
    pub(super) args: &'a Drive,
    pub(super) tally: Tally,
    pub(super) stats: Stats,
    pub(super) engine: tvar::Stats,
    pub(super) audits: u64,
    pub(super) polls: u64,
    pub(super) events: u64,
    pub(super) elapsed: Duration,
    pub(super) closing: Duration,
}

impl Report<'_> {
    pub(super) fn print(self, renderings_seen: usize) -> io::Result<()> {
        match writeln!(io::stdout().lock(), "{}", self.table(renderings_seen)) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    fn table(mut self, renderings_seen: usize) -> Table {
        let Stats { jobs, cache, sessions, .. } = &self.stats;
        let title = format!("web_cache, {} clients, {} workers", self.args.clients, self.args.config.workers);
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header([title.as_str(), ""]);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut row = |name: &str, value: &dyn Display| {
            table.add_row([name.to_owned(), value.to_string()]);
        };
        row("requests", &self.stats.requests);
        for outcome in Outcome::ALL {
            row(&format!("  {}", describe(outcome)), &self.stats.of(outcome));
        }
        row("hung up by clients", &self.tally.hung_up);
        row("renderings ordered", &jobs.ordered);
        row("  outdated by an edit, done again", &jobs.outdated);
        row("  different ones seen by clients", &renderings_seen);
        row("longest queue", &format_args!("{} of {}", jobs.longest_queue, jobs.capacity));
        row("pages in the cache", &format_args!("{} of {}", cache.ready, cache.capacity));
        row("  expired", &cache.expired);
        row("  evicted", &cache.evicted);
        row("  edited", &cache.edited);
        row("logins", &sessions.logins);
        row("  logged out", &sessions.logouts);
        row("  expired", &sessions.expired);
        row("versions audited", &self.audits);
        row("statistics checked over HTTP", &self.polls);
        row("statistics streamed", &self.events);
        row("commits", &self.engine.commits);
        row("conflicts", &self.engine.conflicts);
        row("sleeps in retry", &self.engine.parked);
        let (median, slow) = (self.tally.hits_within(500), self.tally.hits_within(990));
        row("hits, median", &format_args!("{median:?}"));
        row("hits, 99 % within", &format_args!("{slow:?}"));
        let seconds = self.elapsed.as_secs_f64();
        row("answers/s", &format_args!("{:.0}", self.tally.answers() as f64 / seconds.max(1e-9)));
        row("seconds", &format_args!("{seconds:.2}"));
        row("seconds to shut down", &format_args!("{:.2}", self.closing.as_secs_f64()));
        table
    }
}

fn describe(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Hit => "hit",
        Outcome::Miss => "miss: ordered the page and waited",
        Outcome::Joined => "joined: waited for another's order",
        Outcome::Edited => "edited",
        Outcome::Limited => "limited (429)",
        Outcome::Full => "queue full for too long (503)",
        Outcome::Late => "page too late (503)",
        Outcome::Closing => "closing (503)",
        Outcome::Stranger => "not logged in (401)",
        Outcome::NotFound => "no such page (404)",
        Outcome::Abandoned => "abandoned: client gone",
    }
}
