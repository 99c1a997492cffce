//! A ring of variables on `fast-stm`, which has no queue of its own: the same as that of this library.

use super::QueueEngine;
use ::fast_stm::{TVar, atomically, guard, retry};

/// A ring of variables on `fast-stm`.
#[derive(Debug)]
pub struct Ring {
    head: TVar<usize>,
    tail: TVar<usize>,
    slots: Vec<TVar<Option<u64>>>,
}

impl QueueEngine for Ring {
    type Queue = Ring;

    fn make(capacity: usize) -> Ring {
        let slots = (0..capacity).map(|_| TVar::new(None)).collect();
        Ring { head: TVar::new(0), tail: TVar::new(0), slots }
    }

    fn send(queue: &Ring, items: impl Iterator<Item = u64>) {
        for item in items {
            atomically(|tx| {
                let tail = queue.tail.read(tx)?;
                let slot = &queue.slots[tail];
                guard(slot.read(tx)?.is_none())?;
                slot.write(tx, Some(item))?;
                queue.tail.write(tx, queue.after(tail))
            });
        }
    }

    fn receive(queue: &Ring, mut last: impl FnMut(u64) -> bool) {
        let take = || {
            atomically(|tx| {
                let head = queue.head.read(tx)?;
                let slot = &queue.slots[head];
                let Some(item) = slot.read(tx)? else { return retry() };
                slot.write(tx, None)?;
                queue.head.write(tx, queue.after(head))?;
                Ok(item)
            })
        };
        while !last(take()) {}
    }
}

impl Ring {
    fn after(&self, position: usize) -> usize {
        if position + 1 == self.slots.len() { 0 } else { position + 1 }
    }
}
