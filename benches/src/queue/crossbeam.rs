//! The bounded channel of `crossbeam-channel`.

use super::QueueEngine;
use crossbeam_channel::{Receiver, Sender, bounded};

/// The bounded channel of `crossbeam-channel`.
#[derive(Debug)]
pub enum Crossbeam {}

impl QueueEngine for Crossbeam {
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
