//! The bounded channel of `tokio`, from threads. It has one consumer.

use super::QueueEngine;
use ::tokio::sync::mpsc::{Receiver, Sender, channel};
use parking_lot::Mutex;

/// The bounded channel of `tokio`, from threads. It has one consumer.
#[derive(Debug)]
pub enum Tokio {}

impl QueueEngine for Tokio {
    type Queue = (Sender<u64>, Mutex<Receiver<u64>>);

    fn make(capacity: usize) -> Self::Queue {
        let (sender, receiver) = channel(capacity);
        (sender, Mutex::new(receiver))
    }

    fn send((sender, _): &Self::Queue, items: impl Iterator<Item = u64>) {
        let sender = sender.clone();
        items.for_each(|item| sender.blocking_send(item).expect("the channel lives as long as the queue"));
    }

    fn receive((_, receiver): &Self::Queue, mut last: impl FnMut(u64) -> bool) {
        let mut receiver = receiver.lock(); // once for all items
        while !last(receiver.blocking_recv().expect("the channel lives as long as the queue")) {}
    }
}
