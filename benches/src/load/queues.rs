//! The workloads on queues: producers that put numbers in, as many consumers that take them out.
//!
//! A number says whose it is and which of the producer's it is, so that what was lost, doubled or overtaken shows.

use super::Case;
use crate::engine::EngineName;
use crate::lap::{Done, Stop};
use crate::queue::{self, QueueEngine};
use std::iter;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// For how many items a queue has room.
pub const CAPACITY: usize = 1_024;
/// What a producer puts in when it is stopped. Each consumer takes one of them, and then leaves: there are as many as producers, and
/// they come after all items, so that nobody is left waiting and nothing is left behind.
const END: u64 = u64::MAX;
/// The bits of a number that say which of its producer's it is.
const BITS: u32 = 48;

/// How many use a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueLoad {
    /// One producer, one consumer.
    OneToOne,
    /// Four producers, four consumers.
    FourToFour,
}

impl QueueLoad {
    /// The row that it makes.
    pub(super) fn row(self) -> &'static [&'static str] {
        match self {
            Self::OneToOne => &["queue_1_1"],
            Self::FourToFour => &["queue_4_4"],
        }
    }

    /// How many producers there are, and consumers.
    const fn pairs(self) -> usize {
        match self {
            Self::OneToOne => 1,
            Self::FourToFour => 4,
        }
    }

    /// How many threads run it.
    pub(super) fn threads(self) -> usize {
        2 * self.pairs()
    }

    /// How an engine makes its case, if it has queues for so many.
    fn of(self, engine: EngineName) -> Option<fn(Self) -> Box<dyn Case>> {
        Some(match engine {
            EngineName::Tvar => QueueLoops::<queue::Bounded>::boxed,
            EngineName::FastStm => QueueLoops::<queue::Ring>::boxed,
            EngineName::AsyncStm => QueueLoops::<queue::AsyncRing>::boxed,
            EngineName::Flume => QueueLoops::<queue::Flume>::boxed,
            EngineName::Crossbeam => QueueLoops::<queue::Crossbeam>::boxed,
            EngineName::Tokio if self.pairs() == 1 => QueueLoops::<queue::Tokio>::boxed,
            _ => return None,
        })
    }

    /// Whether an engine runs it.
    pub(super) fn runs_on(self, engine: EngineName) -> bool {
        self.of(engine).is_some()
    }

    /// The case of an engine, if it runs this.
    pub(super) fn case(self, engine: EngineName) -> Option<Box<dyn Case>> {
        self.of(engine).map(|make| make(self))
    }

    /// The case of a queue that does nothing.
    pub(super) fn harness(self) -> Box<dyn Case> {
        QueueLoops::<queue::NoQueue>::boxed(self)
    }
}

/// A queue and those who use it. Threads of even number produce, the others consume.
struct QueueLoops<E: QueueEngine> {
    queue: E::Queue,
    /// How many items each producer has put in.
    sent: Box<[AtomicU64]>,
    /// How many were taken out.
    received: AtomicU64,
    /// What these add up to.
    sum: AtomicU64,
    /// Whether an item overtook another of its producer.
    overtaken: AtomicBool,
}

impl<E: QueueEngine> QueueLoops<E> {
    fn boxed(load: QueueLoad) -> Box<dyn Case> {
        Box::new(Self {
            queue: E::make(CAPACITY),
            sent: (0..load.pairs()).map(|_| AtomicU64::new(0)).collect(),
            received: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            overtaken: AtomicBool::new(false),
        })
    }

    fn produce(&self, producer: usize, stop: &Stop) {
        let sent = &self.sent[producer];
        let mut count = sent.load(Ordering::Relaxed);
        let items = iter::from_fn(|| {
            if stop.is_stopped() {
                return None;
            }
            count += 1;
            Some(number(producer, count))
        });
        E::send(&self.queue, items.chain([END]));
        sent.store(count, Ordering::Relaxed);
    }

    /// Counts the items: one that was taken out too late is one of all, but not in time.
    fn consume(&self, stop: &Stop) -> Done {
        let (mut done, mut sum, mut overtaken) = (Done::default(), 0_u64, false);
        let mut newest = vec![0; self.sent.len()];
        E::receive(&self.queue, |item| {
            if item == END {
                return true;
            }
            let newest = &mut newest[producer_of(item)];
            overtaken |= item <= *newest;
            *newest = item;
            sum = sum.wrapping_add(item);
            if stop.is_stopped() {
                done.late()
            } else {
                done.one()
            }
            false
        });
        self.received.fetch_add(done.total, Ordering::Relaxed);
        self.sum.fetch_add(sum, Ordering::Relaxed); // wraps
        self.overtaken.fetch_or(overtaken, Ordering::Relaxed);
        done
    }
}

/// A producer's item.
fn number(producer: usize, count: u64) -> u64 {
    (producer as u64) << BITS | count
}

/// Whose item it is.
fn producer_of(item: u64) -> usize {
    (item >> BITS) as usize
}

impl<E: QueueEngine> Case for QueueLoops<E> {
    fn run(&self, thread: usize, _: u64, stop: &Stop) -> Done {
        if thread.is_multiple_of(2) {
            self.produce(thread / 2, stop);
            Done::default()
        } else {
            self.consume(stop)
        }
    }

    fn verify(&self, operations: u64) -> Result<(), String> {
        let (mut sent, mut expected) = (0, 0_u64);
        for (producer, count) in self.sent.iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            let sum = number(producer, 0).wrapping_mul(count).wrapping_add(count * (count + 1) / 2);
            (sent, expected) = (sent + count, expected.wrapping_add(sum));
        }
        let received = self.received.load(Ordering::Relaxed);
        if (sent, received) != (operations, operations) {
            return Err(format!("{sent} items were put in and {received} taken out, in {operations} operations"));
        }
        if self.sum.load(Ordering::Relaxed) != expected {
            return Err("what was taken out is not what was put in".into());
        }
        if self.overtaken.load(Ordering::Relaxed) {
            return Err("an item overtook another of its producer, or came twice".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::NoQueue;

    /// A queue that is nobody's.
    fn loops() -> QueueLoops<NoQueue> {
        let sent = [3, 2].map(AtomicU64::new).into();
        let all = (1..=3).map(|count| number(0, count)).chain((1..=2).map(|count| number(1, count))).sum();
        let (received, sum) = (AtomicU64::new(5), AtomicU64::new(all));
        QueueLoops { queue: NoQueue::make(0), sent, received, sum, overtaken: AtomicBool::new(false) }
    }

    #[test]
    fn what_is_lost_doubled_or_overtaken_shows() {
        assert_eq!(loops().verify(5), Ok(()));
        let lost = loops();
        lost.received.fetch_sub(1, Ordering::Relaxed);
        assert!(lost.verify(4).is_err_and(|what| what.contains("5 items were put in and 4 taken out")));
        let other = loops();
        other.sum.fetch_add(1, Ordering::Relaxed);
        assert!(other.verify(5).is_err_and(|what| what.contains("not what was put in")));
        let overtaken = loops();
        overtaken.overtaken.store(true, Ordering::Relaxed);
        assert!(overtaken.verify(5).is_err());
    }
}
