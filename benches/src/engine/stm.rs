//! The crate `stm`: a lock and a version per variable, as in Haskell.

use super::{Engine, Value};
use ::stm::{TVar, atomically, guard, retry};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// The crate `stm`: a lock and a version per variable, as in Haskell.
#[derive(Debug)]
pub enum ClassicStm {}

impl Engine for ClassicStm {
    const NAME: &'static str = "stm";
    type Heap<T: Value> = Vec<TVar<T>>;

    fn handle_bytes() -> usize {
        size_of::<TVar<u64>>()
    }

    fn heap<T: Value>(values: impl Iterator<Item = T>) -> Vec<TVar<T>> {
        values.map(TVar::new).collect()
    }

    fn sum(heap: &Vec<TVar<i64>>, picks: &[usize]) -> i64 {
        atomically(|tx| picks.iter().try_fold(0, |sum, &at| Ok(sum + heap[at].read(tx)?)))
    }

    fn sum_all(heap: &Vec<TVar<i64>>) -> i64 {
        atomically(|tx| heap.iter().try_fold(0, |sum, var| Ok(sum + var.read(tx)?)))
    }

    fn add(heap: &Vec<TVar<i64>>, at: usize) {
        atomically(|tx| heap[at].modify(tx, |n| n + 1));
    }

    fn transfer(heap: &Vec<TVar<i64>>, from: usize, to: usize) {
        atomically(|tx| {
            heap[from].modify(tx, |n| n - 1)?;
            heap[to].modify(tx, |n| n + 1)
        });
    }

    fn write(heap: &Vec<TVar<i64>>, picks: &[usize], value: i64) {
        atomically(|tx| picks.iter().try_for_each(|&at| heap[at].write(tx, value)));
    }

    fn write_first(heap: &Vec<TVar<i64>>, count: usize, value: i64) {
        atomically(|tx| heap[..count].iter().try_for_each(|var| var.write(tx, value)));
    }

    fn add_first(heap: &Vec<TVar<i64>>, count: usize, attempts: &AtomicU64) {
        atomically(|tx| {
            attempts.fetch_add(1, Ordering::Relaxed);
            heap[..count].iter().try_for_each(|var| var.modify(tx, |n| n + 1))
        });
    }

    fn change<T: Value>(heap: &Vec<TVar<T>>, at: usize, f: impl Fn(&mut T)) {
        atomically(|tx| {
            let mut value = heap[at].read(tx)?; // a clone: it can be changed in place
            f(&mut value);
            heap[at].write(tx, value)
        });
    }

    fn or_else(heap: &Vec<TVar<i64>>, read: usize, written: usize, other: usize) {
        atomically(|tx| {
            tx.or(
                |tx| {
                    let seen = heap[read].read(tx)?;
                    heap[written].write(tx, seen)?;
                    retry()
                },
                |tx| heap[other].modify(tx, |n| n + 1),
            )
        });
    }

    fn turn(heap: &Vec<TVar<i64>>, theirs: i64, next: impl Fn(i64) -> i64) -> i64 {
        atomically(|tx| {
            let now = heap[0].read(tx)?;
            guard(now != theirs)?;
            heap[0].write(tx, next(now))?;
            Ok(now)
        })
    }

    fn create_drop(value: i64) {
        drop(black_box(TVar::new(value)));
    }

    fn snapshot(_: &Vec<TVar<i64>>) {}
}
