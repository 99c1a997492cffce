//! The lock user's choice: all variables in one `Vec` behind one mutex.

use super::{Engine, Value};
use parking_lot::{Condvar, Mutex};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// A `parking_lot::Mutex` around a `Vec`.
#[derive(Debug)]
pub enum Locked {}

/// What is behind the lock, and a bell for those who wait for a change of it.
#[derive(Debug)]
pub struct Shared<T> {
    values: Mutex<Vec<T>>,
    changed: Condvar,
}

impl Engine for Locked {
    const NAME: &'static str = "mutex";
    const ALTERNATIVES: bool = false;
    const SINGLE_VARIABLES: bool = false;
    const SNAPSHOTS: bool = true;
    type Heap<T: Value> = Shared<T>;

    fn heap<T: Value>(values: impl Iterator<Item = T>) -> Shared<T> {
        Shared { values: Mutex::new(values.collect()), changed: Condvar::new() }
    }

    fn sum(heap: &Shared<i64>, picks: &[usize]) -> i64 {
        let values = heap.values.lock();
        picks.iter().map(|&at| values[at]).sum()
    }

    fn sum_all(heap: &Shared<i64>) -> i64 {
        heap.values.lock().iter().sum()
    }

    fn add(heap: &Shared<i64>, at: usize) {
        heap.values.lock()[at] += 1;
    }

    fn transfer(heap: &Shared<i64>, from: usize, to: usize) {
        let mut values = heap.values.lock();
        values[from] -= 1;
        values[to] += 1;
    }

    fn write(heap: &Shared<i64>, picks: &[usize], value: i64) {
        let mut values = heap.values.lock();
        picks.iter().for_each(|&at| values[at] = value);
    }

    fn write_first(heap: &Shared<i64>, count: usize, value: i64) {
        heap.values.lock()[..count].fill(value);
    }

    fn add_first(heap: &Shared<i64>, count: usize, attempts: &AtomicU64) {
        attempts.fetch_add(1, Ordering::Relaxed);
        heap.values.lock()[..count].iter_mut().for_each(|n| *n += 1);
    }

    fn change<T: Value>(heap: &Shared<T>, at: usize, f: impl Fn(&mut T)) {
        f(&mut heap.values.lock()[at]);
    }

    fn or_else(_: &Shared<i64>, _: usize, _: usize, _: usize) {}

    fn turn(heap: &Shared<i64>, theirs: i64, next: impl Fn(i64) -> i64) -> i64 {
        let mut values = heap.values.lock();
        heap.changed.wait_while(&mut values, |values| values[0] == theirs);
        let now = values[0];
        values[0] = next(now);
        drop(values);
        heap.changed.notify_one();
        now
    }

    fn create_drop(_: i64) {}

    fn snapshot(heap: &Shared<i64>) {
        drop(black_box(heap.values.lock().clone()));
    }
}
