//! A writer of 10,000 variables beside one that writes a single one of them at a time.

use crate::Picks;
use crate::engine::{ClassicStm, Engine, EngineName, Fast, FastStm, Locked, Reference, async_stm};
use crate::lap::Stop;
use crate::report::Mark;
use crate::section::Section;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const WRITTEN: usize = 10_000;

pub(super) fn section(quick: bool) -> Section {
    let time = Duration::from_millis(if quick { 300 } else { 1_500 });
    let mut section = Section::new(
        format!(
            "A thread that adds one to each of {WRITTEN} variables beside one that adds one to a random one of them"
        ),
        "They conflict all the time. A long transaction that is under way at the end is given the time to finish and \
         not counted. Attempts: runs of the long closure for each of its commits, that last one included.",
        &["long commits/s", "attempts per long commit", "short commits/s", "short alone, commits/s"],
    );
    for engine in EngineName::VARIABLES {
        let counts = match engine {
            EngineName::Tvar => plain::<Fast>(time),
            EngineName::Stm => plain::<ClassicStm>(time),
            EngineName::FastStm => plain::<FastStm>(time),
            EngineName::AsyncStm => asynchronous(time),
            EngineName::Mutex => plain::<Locked>(time),
            EngineName::Reference => plain::<Reference>(time),
            _ => unreachable!("{engine} has only maps"),
        };
        section.row(engine.name(), counts.map(Some));
    }
    let own = section.rows.first().and_then(|row| row.values[0]);
    let name = "a writer of 10,000 variables beside a short writer commits";
    section.marks.push(Mark::at_least(name, "commits/s", 1.0, own));
    section
}

fn plain<E: Engine>(time: Duration) -> [f64; 4] {
    let heap = E::heap((0..WRITTEN).map(|_| 0));
    let attempts = AtomicU64::new(0);
    let mut picks = Picks::new(1);
    contest(
        time,
        &attempts,
        || E::add_first(&heap, WRITTEN, &attempts),
        |stop| stop.batches(|| E::add(&heap, picks.below(WRITTEN))).total,
        |short, long| {
            let total = E::sum_all(&heap);
            assert_eq!(total, (short + long * WRITTEN as u64) as i64, "{} lost or invented something", E::NAME);
        },
    )
}

fn asynchronous(time: Duration) -> [f64; 4] {
    let heap = async_stm::heap((0..WRITTEN).map(|_| 0));
    let attempts = AtomicU64::new(0);
    let mut picks = Picks::new(1);
    contest(
        time,
        &attempts,
        || async_stm::block_on(async_stm::add_first(&heap, WRITTEN, &attempts)),
        |stop| {
            let short = async || async_stm::add(&heap, picks.below(WRITTEN)).await;
            async_stm::block_on(stop.batches_async(short)).total
        },
        |short, long| {
            let total = async_stm::block_on(async_stm::sum_all(&heap));
            assert_eq!(total, (short + long * WRITTEN as u64) as i64, "async-stm lost or invented something");
        },
    )
}

/// Runs both side by side, and the short one alone before.
fn contest(
    time: Duration,
    attempts: &AtomicU64,
    long: impl Fn() + Sync,
    mut short: impl FnMut(&Stop) -> u64 + Send,
    check: impl FnOnce(u64, u64),
) -> [f64; 4] {
    let mut alone = |time: Duration| {
        let stop = Stop::default();
        let start = Instant::now();
        let (done, elapsed) = thread::scope(|s| {
            let worker = s.spawn(|| short(&stop));
            thread::sleep(time);
            let elapsed = stop.stop().duration_since(start);
            (worker.join().expect("a transaction panicked"), elapsed)
        });
        (done, done as f64 / elapsed.as_secs_f64())
    };
    let (done_before, short_alone) = alone(time / 3);

    let over = Stop::default();
    let ((short_done, short_rate), (long_done, in_time), seconds) = thread::scope(|s| {
        let start = Instant::now();
        let worker = s.spawn(|| {
            let (mut done, mut in_time) = (0, 0);
            while !over.is_stopped() {
                long();
                done += 1;
                in_time += u64::from(!over.is_stopped());
            }
            (done, in_time)
        });
        let short = alone(time);
        over.stop();
        let seconds = start.elapsed().as_secs_f64();
        (short, worker.join().expect("a transaction panicked"), seconds)
    });
    check(done_before + short_done, long_done);
    let attempts = attempts.load(Ordering::Relaxed) as f64;
    [in_time as f64 / seconds, attempts / long_done.max(1) as f64, short_rate, short_alone]
}
