//! Helpers of the tests of transactions as futures: polling by hand, and every executor.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tvar::{Stm, TVar, Tx};

/// A waker that counts.
#[derive(Default)]
pub(crate) struct Pokes(AtomicU64);

impl Pokes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Pokes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand, with a waker that counts.
pub(crate) struct ByHand<F> {
    future: Pin<Box<F>>,
    pub(crate) pokes: Arc<Pokes>,
}

impl<F: Future> ByHand<F> {
    pub(crate) fn new(future: F) -> Self {
        ByHand { future: Box::pin(future), pokes: Pokes::new() }
    }

    /// A future that sleeps after its first poll.
    #[track_caller]
    pub(crate) fn asleep(future: F) -> Self {
        let mut by_hand = Self::new(future);
        assert!(by_hand.poll().is_none(), "it sleeps");
        assert_eq!(by_hand.pokes.count(), 0);
        by_hand
    }

    pub(crate) fn poll(&mut self) -> Option<F::Output> {
        let waker = Arc::clone(&self.pokes).into();
        self.poll_with(&waker)
    }

    pub(crate) fn poll_with(&mut self, waker: &Waker) -> Option<F::Output> {
        match self.future.as_mut().poll(&mut Context::from_waker(waker)) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    /// The result of a poll that must be the last one.
    #[track_caller]
    pub(crate) fn end(mut self) -> F::Output {
        self.poll().expect("it ends")
    }
}

/// Takes what is in the variable, or retries.
pub(crate) fn take(tx: &Tx<'_>, slot: &TVar<Option<u64>>) -> Stm<u64> {
    match *tx.replace(slot, None) {
        Some(value) => Ok(value),
        None => tx.retry(),
    }
}

/// Runs a future that may move between threads on every executor.
pub(crate) fn on_every_executor<F: Future<Output = ()> + Send + 'static>(make: impl Fn() -> F) {
    tokio_current().block_on(make());
    let workers = tokio_workers(2);
    workers.block_on(make());
    workers.block_on(async { tokio::spawn(make()).await.unwrap() });
    smol::block_on(make());
    smol::block_on(smol::spawn(make()));
    futures::executor::block_on(make());
    let mut pool = futures::executor::LocalPool::new();
    pool.run_until(make());
}

pub(crate) fn tokio_current() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

pub(crate) fn tokio_workers(count: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(count).enable_time().build().unwrap()
}
