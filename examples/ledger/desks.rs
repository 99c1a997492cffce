//! The threads: workers that book, and a waiting room for transfers that lack cover.
//!
//! A worker never sleeps on a transfer. It passes one that is not covered to the waiting room,
//! whose threads sleep on it, and goes on: the money waited for comes from the lines behind it,
//! with a single worker too. Both queues are bounded. When the waiting room is full the workers
//! pause, but not for long: nobody in it stays beyond the deadline, which is counted from the
//! moment the worker found the cover lacking.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::book::{Book, Order, Outcome};

/// Orders that travel to a worker together; one by one the queue would cost more than the work.
const BATCH: usize = 256;
const WAITING_THREADS: usize = 16;
const WAITING_PLACES: usize = 4096;

/// What became of the orders.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) booked: AtomicU64,
    pub(crate) waited: AtomicU64,
    pub(crate) expired: AtomicU64,
}

struct Waiting {
    order: Order,
    deadline: Instant,
}

/// A queue with several takers. Whoever is the last to drop it ends the sender's work too.
type Shared<T> = Arc<Mutex<Receiver<T>>>;

fn take<T>(queue: &Shared<T>) -> Option<T> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

/// All threads at work; orders are handed in here.
pub(crate) struct Desks<'scope> {
    orders: SyncSender<Vec<Order>>,
    batch: Vec<Order>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Desks<'scope> {
    pub(crate) fn open(
        scope: &'scope Scope<'scope, '_>,
        book: &'scope Book,
        tally: &'scope Tally,
        workers: usize,
        patience: Duration,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = sync_channel(2 * workers);
        let (waiting_room, waiting) = sync_channel(WAITING_PLACES);
        let (inbox, waiting) = (Arc::new(Mutex::new(inbox)), Arc::new(Mutex::new(waiting)));
        let mut threads = Vec::new();
        for i in 0..workers {
            let (inbox, waiting_room) = (Arc::clone(&inbox), waiting_room.clone());
            let work = move || work(book, tally, patience, &inbox, &waiting_room);
            threads.push(Builder::new().name(format!("worker {i}")).spawn_scoped(scope, work)?);
        }
        for i in 0..WAITING_THREADS {
            let waiting = Arc::clone(&waiting);
            let wait = move || wait(book, tally, &waiting);
            threads.push(Builder::new().name(format!("waiting {i}")).spawn_scoped(scope, wait)?);
        }
        Ok(Self { orders, batch: Vec::with_capacity(BATCH), threads })
    }

    /// Hands one order in; blocks while all workers are behind.
    pub(crate) fn hand_in(&mut self, order: Order) {
        self.batch.push(order);
        if self.batch.len() == BATCH {
            self.send();
        }
    }

    /// Waits until everything handed in is booked or expired.
    pub(crate) fn close(mut self) {
        self.send();
        // The workers end when their queue does, and the waiting room when the workers have.
        drop(self.orders);
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                resume_unwind(panic);
            }
        }
    }

    fn send(&mut self) {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        // Fails only when every worker has panicked; `close` passes that on.
        let _ = self.orders.send(batch);
    }
}

fn work(
    book: &Book,
    tally: &Tally,
    patience: Duration,
    inbox: &Shared<Vec<Order>>,
    waiting_room: &SyncSender<Waiting>,
) {
    while let Some(batch) = take(inbox) {
        for order in batch {
            match book.book(&order) {
                Outcome::Booked => count(&tally.booked),
                Outcome::NotCovered => {
                    count(&tally.waited);
                    let deadline = Instant::now() + patience;
                    // Fails only when every waiting thread has panicked; `close` passes that on.
                    let _ = waiting_room.send(Waiting { order, deadline });
                }
            }
        }
    }
}

fn wait(book: &Book, tally: &Tally, waiting: &Shared<Waiting>) {
    while let Some(Waiting { order, deadline }) = take(waiting) {
        match book.book_until(&order, deadline) {
            Outcome::Booked => count(&tally.booked),
            Outcome::NotCovered => count(&tally.expired),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
