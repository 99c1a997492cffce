//! The bounded channel of `flume`.

use super::QueueEngine;
use ::flume::{Receiver, Sender, bounded};

/// The bounded channel of `flume`, with default features.
#[derive(Debug)]
pub enum Flume {}

impl QueueEngine for Flume {
    type Queue = (Sender<u64>, Receiver<u64>);

    fn make(capacity: usize) -> Self::Queue {
        bounded(capacity)
    }

    fn send((sender, _): &Self::Queue, items: impl Iterator<Item = u64>) {
        let sender = sender.clone();
        items.for_each(|item| sender.send(item).expect("the channel lives as long as the queue"));
    }

    fn receive((_, receiver): &Self::Queue, mut last: impl FnMut(u64) -> bool) {
        let receiver = receiver.clone();
        while !last(receiver.recv().expect("the channel lives as long as the queue")) {}
    }
}
