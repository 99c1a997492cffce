//! What the user sees: the progress bar, the bad lines and the closing tables.

use std::cmp::Reverse;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write as _};
use std::sync::atomic::Ordering;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};

use crate::amount::Cents;
use crate::audit::Audits;
use crate::book::Book;
use crate::desks::Tally;
use crate::input::Size;

const LARGEST: usize = 10;

/// A name is cut to this many characters in a table.
const NAME_WIDTH: usize = 40;

/// A bar, a spinner where the size is not known, nothing where nobody looks.
pub(crate) fn progress(size: &Size) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match *size {
        Size::Bytes(total) | Size::Lines(total) => {
            (ProgressBar::new(total), "{bar:40} {percent:>3} %  {msg}  {eta} left")
        }
        Size::Unknown => (ProgressBar::new_spinner(), "{spinner}  {msg}  {elapsed}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The bad lines: the first few in full, all of them as a number.
pub(crate) struct BadLines {
    most: usize,
    shown: Vec<(u64, String)>,
    count: u64,
}

impl BadLines {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, shown: Vec::new(), count: 0 }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn add(&mut self, line: u64, reason: String) {
        self.count += 1;
        if self.shown.len() < self.most {
            self.shown.push((line, reason));
        }
    }
}

/// Everything that the end of a run has to tell.
pub(crate) struct Report<'a> {
    pub(crate) source: String,
    pub(crate) format: String,
    pub(crate) lines: u64,
    pub(crate) bad: &'a BadLines,
    pub(crate) tally: &'a Tally,
    pub(crate) audits: &'a Audits,
    pub(crate) book: &'a Book,
    pub(crate) threads: usize,
    pub(crate) elapsed: Duration,
}

impl Report<'_> {
    /// Problems go to standard error, the tables to standard output.
    pub(crate) fn print(&self) -> io::Result<()> {
        let mut problems = String::new();
        for (line, reason) in &self.bad.shown {
            let _ = writeln!(problems, "line {line}: {reason}");
        }
        match self.bad.count - self.bad.shown.len() as u64 {
            0 => {}
            rest if self.bad.shown.is_empty() => {
                let _ = writeln!(problems, "bad lines: {rest}");
            }
            rest => {
                let _ = writeln!(problems, "... and {rest} more bad lines");
            }
        }
        if self.bad.count > 0 && self.lines == 0 {
            let format = &self.format;
            let _ = writeln!(problems, "no line could be used; this was assumed: {format}");
        }
        if let Some(failure) = &self.audits.first_failure {
            let _ = writeln!(problems, "AUDIT FAILED, {failure}");
        }
        io::stderr().write_all(problems.as_bytes())?;

        let (source, format, threads) = (&self.source, &self.format, self.threads);
        let s = if threads == 1 { "" } else { "s" };
        let (summary, largest) = (self.summary(), self.largest());
        let text = format!("{source}: {format}; {threads} worker{s}\n{summary}\n{largest}\n");
        match io::stdout().write_all(text.as_bytes()) {
            // Whoever closed the pipe has seen enough.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    fn summary(&self) -> Table {
        let stats = self.book.stats();
        let (booked, waited, expired) = (
            self.tally.booked.load(Ordering::Relaxed),
            self.tally.waited.load(Ordering::Relaxed),
            self.tally.expired.load(Ordering::Relaxed),
        );
        let seconds = self.elapsed.as_secs_f64();
        let mut table = table(["", "count"]);
        let mut row = |name: &str, value: &dyn Display| {
            table.add_row([name.to_owned(), value.to_string()]);
        };
        row("booked", &booked);
        row("waited for cover", &waited);
        row("  booked in the end", &(waited - expired));
        row("  expired", &expired);
        row("bad lines", &self.bad.count);
        row("conflicts", &stats.conflicts);
        row("re-runs", &stats.reruns);
        row("audits passed", &self.audits.passed);
        row("audits failed", &self.audits.failed);
        row("seconds", &format_args!("{seconds:.2}"));
        row("lines/s", &format_args!("{:.0}", self.lines as f64 / seconds.max(1e-9)));
        table
    }

    fn largest(&self) -> Table {
        let mut accounts = Vec::new();
        let snapshot = self.book.snapshot();
        self.book.learn(&mut accounts);
        let title = format!("largest of {} accounts", accounts.len());
        let mut ranking: Vec<_> =
            accounts.iter().map(|account| (Reverse(*snapshot.read(&account.balance)), account.name.as_str())).collect();
        ranking.sort_unstable();
        let mut table = table([title.as_str(), "balance"]);
        for (Reverse(balance), name) in ranking.into_iter().take(LARGEST) {
            let mut shown: String = name.chars().take(NAME_WIDTH).collect();
            if shown.len() < name.len() {
                shown.push('…');
            }
            table.add_row([shown, Cents(balance.into()).to_string()]);
        }
        table
    }
}

fn table(header: [&str; 2]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
