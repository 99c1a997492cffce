//! Books a file of transfers with many threads, one transaction per line.
//!
//! ```text
//! cargo run --release --example ledger                     # a built-in sample
//! cargo run --release --example ledger transfers.csv --threads 8
//! cargo run --release --example ledger -- --help
//! ```
//!
//! Worker threads book `from,to,amount` lines. A transfer that lacks cover waits for incoming
//! money, but not forever. All the while an auditor takes snapshots and checks that in every one
//! of them no money appeared, vanished or was owed; it never holds a worker up, nor they it.
//!
//! The transaction is in `book.rs`, the threads are in `desks.rs`, the auditor is in `audit.rs`;
//! everything else makes it a program that takes real files.

mod amount;
mod args;
mod audit;
mod book;
mod desks;
mod input;
mod records;
mod report;
mod sample;

use std::io::{self, Read};
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use clap::Parser;

use args::Args;
use audit::Audits;
use book::{Book, Order, Registry};
use desks::{Desks, Tally};
use indicatif::ProgressBar;
use input::{Size, Transfers};
use report::{BadLines, Report};
use sample::Sample;

/// The bar moves once in so many lines.
const PROGRESS_STEP: u64 = 1024;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(audits) if audits.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(message) => {
            eprintln!("ledger: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Audits, String> {
    if args.print_sample {
        return print_sample(args.sample).map_err(|e| format!("cannot print the sample: {e}"));
    }
    let (source, opened) = match &args.file {
        Some(path) if path.as_os_str() == "-" => ("standard input".to_owned(), input::stdin()),
        Some(path) => (path.display().to_string(), input::open(path)),
        None => {
            let sample: Box<dyn Read> = Box::new(Sample::new(args.sample));
            (format!("built-in sample of {} lines", args.sample), Ok((sample, Size::Lines(args.sample))))
        }
    };
    let unreadable = |e: io::Error| format!("cannot read {source}: {e}");
    let (input, size) = opened.map_err(unreadable)?;
    let transfers = Transfers::new(input, args.separator, args.header).map_err(unreadable)?;

    let book = Book::new();
    let registry = Registry::new(&book, &args.opening)
        .map_err(|_| "the money of all --opening together is too much to count".to_owned())?;
    let threads = args.worker_threads();
    let tally = Tally::default();
    let bar = report::progress(&size);
    let mut feed = Feed { transfers, registry, bar, size, lines: 0, bad: BadLines::new(args.show_bad) };

    let started = Instant::now();
    let (read, audits) = thread::scope(|scope| {
        // Dropping `working` tells the auditor to stop, on the way out through an error too.
        let (working, stop) = channel();
        let book = &book;
        let auditor =
            thread::Builder::new().name("auditor".to_owned()).spawn_scoped(scope, move || audit::watch(book, &stop))?;
        let mut desks = Desks::open(scope, book, &tally, threads, args.patience)?;
        let read = feed.hand_in_all(&mut desks, &tally);
        desks.close();
        drop(working);
        let audits = auditor.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        io::Result::Ok((read, audits))
    })
    .map_err(|e| format!("cannot start {threads} worker threads: {e}"))?;
    feed.bar.finish_and_clear();
    // What was read before an error is booked, and reported.
    let report = Report {
        source: source.clone(),
        format: feed.transfers.describe(),
        lines: feed.lines,
        bad: &feed.bad,
        tally: &tally,
        audits: &audits,
        book: &book,
        threads,
        elapsed: started.elapsed(),
    };
    report.print().map_err(|e| format!("cannot print the report: {e}"))?;
    read.map_err(|e| format!("reading {source} broke off: {e}"))?;
    Ok(audits)
}

/// The reading side: turns lines into orders, and keeps what is wrong with the others.
struct Feed<'a> {
    transfers: Transfers,
    registry: Registry<'a>,
    bar: ProgressBar,
    size: Size,
    /// Good lines so far.
    lines: u64,
    bad: BadLines,
}

impl Feed<'_> {
    fn hand_in_all(&mut self, desks: &mut Desks<'_>, tally: &Tally) -> io::Result<()> {
        let mut until_progress = PROGRESS_STEP;
        while let Some((line, result)) = self.transfers.next_line()? {
            let order = result.and_then(|transfer| {
                let mut account = |name| {
                    let too_much = |_| "with one more account there is too much money to count";
                    self.registry.account(name).map_err(too_much)
                };
                let (from, to) = (account(transfer.from)?, account(transfer.to)?);
                Ok(Order { from, to, amount: transfer.amount.cents() })
            });
            match order {
                Ok(order) => {
                    self.lines += 1;
                    desks.hand_in(order);
                }
                Err(reason) => self.bad.add(line, reason),
            }
            until_progress -= 1;
            if until_progress == 0 {
                until_progress = PROGRESS_STEP;
                let booked = tally.booked.load(std::sync::atomic::Ordering::Relaxed);
                self.bar.set_position(match self.size {
                    Size::Lines(_) => self.lines + self.bad.count(),
                    Size::Bytes(_) | Size::Unknown => self.transfers.bytes_read(),
                });
                self.bar.set_message(format!("{booked} booked"));
            }
        }
        Ok(())
    }
}

fn print_sample(lines: u64) -> io::Result<Audits> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match io::copy(&mut io::BufReader::new(Sample::new(lines)), &mut out) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
        result => drop(result?),
    }
    Ok(Audits::default())
}
