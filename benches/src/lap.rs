//! Timed loops: run an operation until told to stop, and count what was done by then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// How many short operations run between two looks at the stop flag.
pub const BATCH: u32 = 64;

/// Tells loops when to stop. A cheap handle: clones tell the same, so that tasks can have one.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    flag: AtomicBool,
    at: OnceLock<Instant>,
}

impl Stop {
    /// Stops all loops. Returns the moment that counts as the end.
    pub fn stop(&self) -> Instant {
        let at = *self.0.at.get_or_init(Instant::now);
        self.0.flag.store(true, Ordering::Release); // whoever sees the flag sees the moment
        at
    }

    /// Whether it is time.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.0.flag.load(Ordering::Relaxed)
    }

    /// When it was, once it is.
    fn moment(&self) -> Option<Instant> {
        self.0.flag.load(Ordering::Acquire).then(|| self.0.at.get().copied()).flatten()
    }

    /// Runs a short operation until stopped. The last batch does not count: it may have run late.
    #[inline]
    pub fn batches(&self, mut op: impl FnMut()) -> Done {
        let mut done = Done::default();
        loop {
            for _ in 0..BATCH {
                op();
            }
            if done.batch(self.is_stopped()) {
                return done;
            }
        }
    }

    /// [`batches`](Self::batches) of an asynchronous operation.
    #[inline]
    pub async fn batches_async(&self, mut op: impl AsyncFnMut()) -> Done {
        let mut done = Done::default();
        loop {
            for _ in 0..BATCH {
                op().await;
            }
            if done.batch(self.is_stopped()) {
                return done;
            }
        }
    }

    /// Runs a long operation until stopped. The last one counts for the part of it that was in time, so that operations
    /// which take a good part of the whole, or never come to an end before the others stop, count as what they are.
    #[inline]
    pub fn singles(&self, mut op: impl FnMut()) -> Done {
        let (mut done, mut began) = (Done::default(), Instant::now());
        loop {
            op();
            if self.single(&mut done, &mut began, Instant::now()) {
                return done;
            }
        }
    }

    /// [`singles`](Self::singles) of an asynchronous operation.
    #[inline]
    pub async fn singles_async(&self, mut op: impl AsyncFnMut()) -> Done {
        let (mut done, mut began) = (Done::default(), Instant::now());
        loop {
            op().await;
            if self.single(&mut done, &mut began, Instant::now()) {
                return done;
            }
        }
    }

    /// Counts one that has just ended. Whether it was the last.
    fn single(&self, done: &mut Done, began: &mut Instant, ended: Instant) -> bool {
        done.total += 1;
        let Some(stop) = self.moment().filter(|stop| *stop <= ended) else {
            done.in_time += 1.0;
            *began = ended;
            return false;
        };
        let whole = ended.duration_since(*began).as_secs_f64();
        let early = stop.saturating_duration_since(*began).as_secs_f64();
        done.in_time += if whole > 0.0 { early / whole } else { 0.0 };
        true
    }
}

/// What a loop did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Done {
    /// Operations in all, to check results by.
    pub total: u64,
    /// Operations that count.
    pub in_time: f64,
}

impl Done {
    /// Counts a batch. Whether it was the last.
    fn batch(&mut self, late: bool) -> bool {
        self.total += u64::from(BATCH);
        if !late {
            self.in_time += f64::from(BATCH);
        }
        late
    }

    /// One more operation, in time.
    #[inline]
    pub fn one(&mut self) {
        self.total += 1;
        self.in_time += 1.0;
    }

    /// One more operation, too late.
    #[inline]
    pub fn late(&mut self) {
        self.total += 1;
    }

    /// Of operations that were so many each.
    pub fn times(self, many: usize) -> Self {
        Self { total: self.total * many as u64, in_time: self.in_time * many as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_late_batch_is_done_but_does_not_count() {
        let stop = Stop::default();
        let mut runs = 0;
        let done = stop.batches(|| {
            runs += 1;
            if runs == BATCH + 1 {
                stop.stop();
            }
        });
        assert_eq!(done, Done { total: 2 * u64::from(BATCH), in_time: f64::from(BATCH) });
    }

    #[test]
    fn a_long_operation_counts_for_the_part_in_time() {
        let (stop, mut done, start) = (Stop::default(), Done::default(), Instant::now());
        let mut began = start;
        assert!(!stop.single(&mut done, &mut began, start + Duration::from_secs(1)));
        stop.0.at.set(start + Duration::from_secs(2)).expect("it is not stopped yet");
        stop.0.flag.store(true, Ordering::Release);
        assert!(stop.single(&mut done, &mut began, start + Duration::from_secs(5)));
        assert_eq!(done, Done { total: 2, in_time: 1.25 });
    }
}
