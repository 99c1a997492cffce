//! `tvar` itself.

use super::{Engine, Value};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use tvar::{Space, TVar, atomically};

/// This library.
#[derive(Debug)]
pub enum Fast {}

impl Engine for Fast {
    const NAME: &'static str = "tvar";
    const SNAPSHOTS: bool = true;
    type Heap<T: Value> = Vec<TVar<T>>;

    fn handle_bytes() -> usize {
        size_of::<TVar<u64>>()
    }

    fn heap<T: Value>(values: impl Iterator<Item = T>) -> Vec<TVar<T>> {
        values.map(TVar::new).collect()
    }

    fn sum(heap: &Vec<TVar<i64>>, picks: &[usize]) -> i64 {
        atomically(|tx| Ok(picks.iter().map(|&at| *tx.read(&heap[at])).sum()))
    }

    fn sum_all(heap: &Vec<TVar<i64>>) -> i64 {
        atomically(|tx| Ok(heap.iter().map(|var| *tx.read(var)).sum()))
    }

    fn add(heap: &Vec<TVar<i64>>, at: usize) {
        atomically(|tx| {
            tx.modify(&heap[at], |n| n + 1);
            Ok(())
        });
    }

    fn merge(heap: &Vec<TVar<i64>>, at: usize) {
        atomically(|tx| {
            tx.merge(&heap[at], |n| n + 1);
            Ok(())
        });
    }

    fn transfer(heap: &Vec<TVar<i64>>, from: usize, to: usize) {
        atomically(|tx| {
            tx.modify(&heap[from], |n| n - 1);
            tx.modify(&heap[to], |n| n + 1);
            Ok(())
        });
    }

    fn write(heap: &Vec<TVar<i64>>, picks: &[usize], value: i64) {
        atomically(|tx| {
            picks.iter().for_each(|&at| tx.write(&heap[at], value));
            Ok(())
        });
    }

    fn write_first(heap: &Vec<TVar<i64>>, count: usize, value: i64) {
        atomically(|tx| {
            heap[..count].iter().for_each(|var| tx.write(var, value));
            Ok(())
        });
    }

    fn add_first(heap: &Vec<TVar<i64>>, count: usize, attempts: &AtomicU64) {
        atomically(|tx| {
            attempts.fetch_add(1, Ordering::Relaxed);
            heap[..count].iter().for_each(|var| tx.modify(var, |n| n + 1));
            Ok(())
        });
    }

    fn change<T: Value>(heap: &Vec<TVar<T>>, at: usize, f: impl Fn(&mut T)) {
        atomically(|tx| {
            tx.modify(&heap[at], |old| {
                let mut new = old.clone();
                f(&mut new);
                new
            });
            Ok(())
        });
    }

    fn or_else(heap: &Vec<TVar<i64>>, read: usize, written: usize, other: usize) {
        atomically(|tx| {
            tx.or_else(
                |tx| {
                    let seen = *tx.read(&heap[read]);
                    tx.write(&heap[written], seen);
                    tx.retry()
                },
                |tx| {
                    tx.modify(&heap[other], |n| n + 1);
                    Ok(())
                },
            )
        });
    }

    fn turn(heap: &Vec<TVar<i64>>, theirs: i64, next: impl Fn(i64) -> i64) -> i64 {
        atomically(|tx| {
            let now = *tx.read(&heap[0]);
            tx.check(now != theirs)?;
            tx.write(&heap[0], next(now));
            Ok(now)
        })
    }

    fn create_drop(value: i64) {
        drop(black_box(TVar::new(value)));
    }

    fn snapshot(_: &Vec<TVar<i64>>) {
        drop(black_box(Space::global().snapshot()));
    }
}
