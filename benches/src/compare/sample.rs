//! One sample: threads that run a case side by side for a slice of time.

use crate::lap::{Done, Stop};
use crate::load::{Case, Load};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// The least part of an operation that counts: what never came to an end is reported as very slow, not as endless.
const LEAST: f64 = 0.01;

/// What a sample found out.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// Operations per second, of each side of the load.
    pub(super) rates: Vec<f64>,
    /// How many threads worked for each side.
    pub(super) workers: Vec<usize>,
    /// Operations in all, warm-up included.
    pub(super) total: u64,
}

/// Takes a sample. `threads` as in the results; `seed` makes its random numbers.
pub(super) fn sample(case: &dyn Case, load: Load, threads: usize, slice: Duration, seed: u64) -> Sample {
    let workers = load.workers(threads);
    let (warm, stop) = (Stop::default(), Stop::default());
    let barrier = Barrier::new(workers);
    let (runs, end) = thread::scope(|s| {
        let handles: Vec<_> = (0..workers)
            .map(|thread| {
                let (warm, stop, barrier) = (&warm, &stop, &barrier);
                s.spawn(move || worker(case, thread, seed.wrapping_mul(1_000) + thread as u64, [warm, stop], barrier))
            })
            .collect();
        thread::sleep(slice / 8 + Duration::from_millis(1));
        warm.stop();
        thread::sleep(slice);
        let end = stop.stop();
        let join = |handle: thread::ScopedJoinHandle<'_, Run>| match handle.join() {
            Ok(run) => run,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        (handles.into_iter().map(join).collect::<Vec<_>>(), end)
    });
    // All leave the barrier together: who left it first, and not who got a core first, says when the time began.
    let start = runs.iter().map(|run| run.start).min().unwrap_or(end);
    let elapsed = end.saturating_duration_since(start).as_secs_f64().max(1e-9);

    let sides = load.rows().len();
    let mut sample = Sample { rates: vec![0.0; sides], workers: vec![0; sides], total: 0 };
    for (thread, run) in runs.iter().enumerate() {
        let side = load.side(thread);
        sample.rates[side] += run.done.in_time;
        sample.workers[side] += 1;
        sample.total += run.total;
    }
    sample.rates.iter_mut().for_each(|rate| *rate = rate.max(LEAST) / elapsed);
    sample
}

/// What a thread did.
struct Run {
    start: Instant,
    done: Done,
    /// Warm-up included.
    total: u64,
}

fn worker(case: &dyn Case, thread: usize, seed: u64, [warm, stop]: [&Stop; 2], barrier: &Barrier) -> Run {
    let warmed = case.run(thread, seed ^ 0x5eed, warm);
    barrier.wait();
    let start = Instant::now();
    let done = case.run(thread, seed, stop);
    Run { start, done, total: warmed.total + done.total }
}
