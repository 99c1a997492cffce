//! What the user sees: the progress bar and the closing table.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use tvar::Stats;

use crate::model::Kind;
use crate::staff::Tally;

/// A bar, or nothing where nobody looks.
pub(crate) fn progress(orders: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(orders);
    match ProgressStyle::with_template("{bar:40} {percent:>3} %  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Everything that the end of a run has to tell.
pub(crate) struct Report<'a> {
    pub(crate) tally: &'a Tally,
    pub(crate) audits: u64,
    pub(crate) stats: Stats,
    pub(crate) agents: u32,
    pub(crate) elapsed: Duration,
}

impl Report<'_> {
    pub(crate) fn print(&self) -> io::Result<()> {
        match writeln!(io::stdout().lock(), "{}", self.table()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    fn table(&self) -> Table {
        let (tally, stats) = (self.tally, &self.stats);
        let title = match self.agents {
            1 => "reservations by 1 agent".to_owned(),
            n => format!("reservations by {n} agents"),
        };
        let mut table = Table::new();
        table.load_style(presets::UTF8_FULL_CONDENSED).set_header([title.as_str(), ""]);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut row = |name: &str, value: &dyn Display| {
            table.add_row([name.to_owned(), value.to_string()]);
        };
        row("booked", &tally.booked);
        row("  in another hotel", &tally.other_hotel);
        row("  asked for seat 12A", &tally.asked_for_hot_seat);
        row("  got seat 12A", &tally.got_hot_seat);
        row("sold out", &tally.sold_out.iter().sum::<u64>());
        for kind in Kind::ALL {
            row(&format!("  no {kind}"), &tally.sold_out[kind as usize]);
        }
        row("cancelled", &tally.cancelled);
        row("nothing to cancel", &tally.nothing_to_cancel);
        row("new customers", &tally.new_customers);
        row("changes by the manager", &tally.changes);
        row("billed", &format_args!("{}.{:02}", tally.billed / 100, tally.billed % 100));
        row("conflicts", &stats.conflicts);
        row("re-runs", &stats.reruns);
        row("waits for a lock", &stats.lock_waits);
        row("audits passed", &self.audits);
        let seconds = self.elapsed.as_secs_f64();
        row("seconds", &format_args!("{seconds:.2}"));
        row("transactions/s", &format_args!("{:.0}", stats.commits as f64 / seconds.max(1e-9)));
        table
    }
}
