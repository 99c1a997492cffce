//! Pessimistic locks: what one costs, and when it pays.

use crate::lap::Stop;
use crate::progress::Progress;
use crate::report::Mark;
use crate::section::Section;
use parking_lot::Mutex;
use std::hint::spin_loop;
use std::thread;
use std::time::{Duration, Instant};
use tvar::{LockMode, Space, TVar, TxOptions};

/// How many steps [`measure`] takes.
pub const STEPS: u64 = 7;
/// Ways take turns so often.
const ROUNDS: usize = 5;
/// Threads on the hot variable.
const THREADS: usize = 8;

/// The tables.
pub fn measure(quick: bool, progress: &Progress) -> Vec<Section> {
    let slice = Duration::from_millis(if quick { 40 } else { 200 });
    vec![cost(slice, progress), hot(slice, progress)]
}

/// A counter under each way of keeping others out.
struct Counter {
    var: TVar<u64>,
    pessimistic: TxOptions,
    mutex: Mutex<u64>,
}

#[derive(Clone, Copy)]
enum Way {
    Mutex,
    Lock,
    Pessimistic,
    Optimistic,
}

const WAYS: [Way; 4] = [Way::Mutex, Way::Lock, Way::Pessimistic, Way::Optimistic];
const COLUMNS: [&str; 4] = ["mutex", "tx.lock", "pessimistic", "optimistic"];

impl Counter {
    fn new() -> Self {
        let space = Space::new();
        let var = TVar::new_in(&space, 0);
        let pessimistic = space.options().pessimistic();
        Counter { var, pessimistic, mutex: Mutex::new(0) }
    }

    /// Adds one, and takes so long for it.
    fn add(&self, way: Way, work: Duration) {
        match way {
            Way::Mutex => {
                let mut n = self.mutex.lock();
                busy(work);
                *n += 1;
            }
            Way::Lock => self.var.space().atomically(|tx| {
                tx.lock(&self.var, LockMode::Exclusive)?;
                let n = *tx.read(&self.var);
                busy(work);
                tx.write(&self.var, n + 1);
                Ok(())
            }),
            Way::Pessimistic => {
                let done = self.pessimistic.run(|tx| {
                    tx.modify(&self.var, |n| {
                        busy(work);
                        n + 1
                    });
                    Ok(())
                });
                done.expect("there is no limit to run into");
            }
            Way::Optimistic => self.var.space().atomically(|tx| {
                let n = *tx.read(&self.var);
                busy(work);
                tx.write(&self.var, n + 1);
                Ok(())
            }),
        }
    }

    /// Operations per second.
    fn rate(&self, way: Way, threads: usize, work: Duration, slice: Duration) -> f64 {
        let stop = Stop::default();
        let start = Instant::now();
        thread::scope(|s| {
            let run = || s.spawn(|| stop.singles(|| self.add(way, work)).in_time);
            let workers: Vec<_> = (0..threads).map(|_| run()).collect();
            thread::sleep(slice);
            let end = stop.stop();
            let done: f64 = workers.into_iter().map(|worker| worker.join().expect("a transaction panicked")).sum();
            done / end.duration_since(start).as_secs_f64()
        })
    }

    /// The median rate of each way, interleaved.
    fn rates(threads: usize, work: Duration, slice: Duration) -> [f64; 4] {
        let counter = Counter::new();
        let mut rounds: [Vec<f64>; 4] = Default::default();
        for _ in 0..ROUNDS {
            for (way, rates) in WAYS.into_iter().zip(&mut rounds) {
                rates.push(counter.rate(way, threads, work, slice));
            }
        }
        rounds.map(|mut rates| {
            rates.sort_by(f64::total_cmp);
            rates[rates.len() / 2]
        })
    }
}

fn busy(work: Duration) {
    if !work.is_zero() {
        let start = Instant::now();
        while start.elapsed() < work {
            spin_loop();
        }
    }
}

fn cost(slice: Duration, progress: &Progress) -> Section {
    let mut section = Section::new(
        "Locking one variable and adding one to it",
        "ns per operation and thread, including two looks at the clock, some 50 ns, in each way. mutex: a `parking_lot::Mutex` around the number.",
        &COLUMNS,
    );
    for threads in [1, 2, THREADS] {
        progress.now(&format!("locks: {threads} threads"));
        let rates = Counter::rates(threads, Duration::ZERO, slice);
        let ns = rates.map(|rate| 1e9 * threads as f64 / rate);
        section.row(format!("{threads} threads"), ns.map(Some));
        let mark =
            Mark::at_most(format!("lock and update, {threads} threads: times a mutex"), "x", 3.0, Some(ns[1] / ns[0]));
        section.marks.push(mark);
        progress.step();
    }
    section
}

fn hot(slice: Duration, progress: &Progress) -> Section {
    let mut section = Section::new(
        format!("One variable, {THREADS} threads, transactions that take a while"),
        "thousand commits per second of all threads together; the time is spent between the read and the write.",
        &COLUMNS,
    );
    for micros in [1, 10, 100, 1000] {
        progress.now(&format!("locks: {micros} µs"));
        let rates = Counter::rates(THREADS, Duration::from_micros(micros), slice);
        section.row(format!("{micros} µs"), rates.map(|rate| Some(rate / 1e3)));
        if micros >= 10 {
            let name = format!("hot variable, {micros} µs: pessimistic beside optimistic");
            section.marks.push(Mark::at_least(name, "x", 1.0, Some(rates[2] / rates[3])));
        }
        progress.step();
    }
    section
}
