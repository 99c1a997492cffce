//! How long single transactions take, from call to return: not on average, but at worst.

mod coalesced;
mod histogram;

pub use histogram::Histogram;

use crate::engine::{Engine, Fast, FastStm};
use crate::lap::Stop;
use crate::progress::Progress;
use crate::section::Section;
use std::thread;
use std::time::{Duration, Instant};

/// How many steps [`measure`] takes.
pub const STEPS: u64 = 10;
/// Engines take turns so often.
const ROUNDS: usize = 3;
/// Variables between those of two threads.
const APART: usize = 128;

/// The tables.
pub fn measure(quick: bool, progress: &Progress) -> Vec<Section> {
    let slice = Duration::from_millis(if quick { 80 } else { 400 });
    let mut section = Section::new(
        "Latency of a transaction that adds one",
        "µs from call to return, the clock's own 20 to 50 ns included. With more threads than cores the longest ones are those \
         that lost their core to another thread, which takes milliseconds whatever they do.",
        &["p50", "p99", "p99.9", "max", "transactions"],
    );
    for threads in [2, 8] {
        for (workload, apart) in [("counter", 0), ("disjoint", APART)] {
            progress.now(&format!("latency: {workload}, {threads} threads"));
            let contest = Contest { threads, apart };
            let (fast, rival) = (contest.heap::<Fast>(), contest.heap::<FastStm>());
            let (mut own, mut theirs) = (Histogram::default(), Histogram::default());
            for _ in 0..ROUNDS {
                own.merge(&contest.run::<Fast>(&fast, slice));
                theirs.merge(&contest.run::<FastStm>(&rival, slice));
            }
            for (name, histogram) in [(Fast::NAME, own), (FastStm::NAME, theirs)] {
                let us = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e3);
                let parts = [0.5, 0.99, 0.999].map(|part| us(histogram.quantile(part)));
                let rest = [us(histogram.max()), Some(histogram.total() as f64)];
                section.row(format!("{workload}, {threads} threads, {name}"), parts.into_iter().chain(rest));
            }
            progress.step();
        }
    }
    let mut coalesced = coalesced::section();
    for threads in [2, 8] {
        for workload in coalesced::Workload::ALL {
            progress.now(&format!("coalesced commits: {}, {threads} threads", workload.name()));
            coalesced::measure(&mut coalesced, workload, threads, slice);
            progress.step();
        }
    }
    vec![section, coalesced]
}

struct Contest {
    threads: usize,
    apart: usize,
}

impl Contest {
    fn heap<E: Engine>(&self) -> E::Heap<i64> {
        let heap = E::heap((0..self.threads * APART).map(|_| 0));
        E::write_first(&heap, self.threads * APART, 1);
        heap
    }

    fn run<E: Engine>(&self, heap: &E::Heap<i64>, slice: Duration) -> Histogram {
        let stop = Stop::default();
        thread::scope(|s| {
            let run = |thread: usize| {
                let (stop, at) = (&stop, thread * self.apart);
                s.spawn(move || {
                    let mut histogram = Histogram::default();
                    (0..1_000).for_each(|_| E::add(heap, at)); // warm-up
                    while !stop.is_stopped() {
                        let start = Instant::now();
                        E::add(heap, at);
                        histogram.add(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    }
                    histogram
                })
            };
            let workers: Vec<_> = (0..self.threads).map(run).collect();
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
