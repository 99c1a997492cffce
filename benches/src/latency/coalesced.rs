//! What coalescing (§4.2) does for the slowest commits, and what it costs the others.

use super::Histogram;
use crate::lap::Stop;
use crate::section::Section;
use std::thread;
use std::time::{Duration, Instant};
use tvar::{Space, TVar, TxOptions};

/// The settings take turns so often.
const ROUNDS: usize = 5;
/// Variables between those of two threads.
const APART: usize = 128;
/// Lost swaps after which a commit is announced, and what the row is called.
const SETTINGS: [(Option<u32>, &str); 3] =
    [(Some(u32::MAX), "never announced"), (None, "after 3 lost swaps (default)"), (Some(1), "after 1 lost swap")];

/// One way to contend for the root.
#[derive(Clone, Copy)]
pub(super) enum Workload {
    /// All threads add one to one variable, by `modify`: they conflict, and swaps are lost besides.
    Equal,
    /// The same by `merge`: only swaps are lost.
    Merged,
    /// Each thread adds one to a variable of its own: only swaps are lost.
    Disjoint,
}

impl Workload {
    pub(super) const ALL: [Workload; 3] = [Workload::Equal, Workload::Merged, Workload::Disjoint];

    pub(super) fn name(self) -> &'static str {
        match self {
            Workload::Equal => "one variable, modify",
            Workload::Merged => "one variable, merge",
            Workload::Disjoint => "disjoint variables",
        }
    }
}

pub(super) fn section() -> Section {
    Section::new(
        "Coalesced commits",
        "Threads that do nothing but commit. M/s: transactions per second in all; latencies in µs from call to return, the clock's own 20 to \
         50 ns included; announced: commits per million that lost so many swaps that whoever built the next root took them along. \
         Settings are interleaved.",
        &["M/s", "p50", "p99", "p99.9", "p99.99", "announced per million"],
    )
}

/// Adds a row for each setting.
pub(super) fn measure(section: &mut Section, workload: Workload, threads: usize, slice: Duration) {
    let contests: Vec<_> = SETTINGS.iter().map(|(after, _)| Contest::new(workload, threads, *after)).collect();
    let mut histograms = vec![Histogram::default(); SETTINGS.len()];
    for _ in 0..ROUNDS {
        for (contest, histogram) in contests.iter().zip(&mut histograms) {
            histogram.merge(&contest.run(slice));
        }
    }
    for (((_, setting), contest), histogram) in SETTINGS.iter().zip(&contests).zip(&histograms) {
        let us = |part: f64| histogram.quantile(part).map(|ns| ns as f64 / 1e3);
        let total = histogram.total() as f64;
        let stats = contest.space.stats();
        let row = [
            Some(total / slice.as_secs_f64() / ROUNDS as f64 / 1e6),
            us(0.5),
            us(0.99),
            us(0.999),
            us(0.9999),
            Some(stats.announced as f64 / stats.commits.max(1) as f64 * 1e6),
        ];
        section.row(format!("{}, {threads} threads, {setting}", workload.name()), row);
    }
}

struct Contest {
    workload: Workload,
    threads: usize,
    space: Space,
    vars: Vec<TVar<i64>>,
    options: TxOptions,
}

impl Contest {
    fn new(workload: Workload, threads: usize, after: Option<u32>) -> Self {
        let space = Space::new();
        let vars: Vec<_> = (0..threads * APART).map(|_| TVar::new_in(&space, 0)).collect();
        space.atomically(|tx| {
            vars.iter().for_each(|var| tx.write(var, 1));
            Ok(())
        });
        let options = after.into_iter().fold(space.options(), TxOptions::coalesce_after);
        Contest { workload, threads, space, vars, options }
    }

    fn transact(&self, thread: usize) {
        let done = self.options.run(|tx| {
            match self.workload {
                Workload::Equal => tx.modify(&self.vars[0], |n| n + 1),
                Workload::Merged => tx.merge(&self.vars[0], |n| n + 1),
                Workload::Disjoint => tx.modify(&self.vars[thread * APART], |n| n + 1),
            }
            Ok(())
        });
        done.expect("there is no limit to run into");
    }

    fn run(&self, slice: Duration) -> Histogram {
        let stop = Stop::default();
        thread::scope(|s| {
            let work = |at: usize| {
                let stop = &stop;
                s.spawn(move || {
                    let mut histogram = Histogram::default();
                    while !stop.is_stopped() {
                        let start = Instant::now();
                        self.transact(at);
                        histogram.add(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    }
                    histogram
                })
            };
            let workers: Vec<_> = (0..self.threads).map(work).collect();
            thread::sleep(slice);
            stop.stop();
            let mut all = Histogram::default();
            for worker in workers {
                all.merge(&worker.join().expect("a transaction panicked"));
            }
            all
        })
    }
}
