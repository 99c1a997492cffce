//! The harness's own cost: the loops of the workloads around operations that do nothing.

use super::{Engine, Value};
use std::hint::black_box;
use std::sync::atomic::AtomicU64;

/// An engine that only makes the compiler compute what an operation is given.
#[derive(Debug)]
pub enum Nothing {}

impl Engine for Nothing {
    const NAME: &'static str = "harness";
    const SNAPSHOTS: bool = true;
    type Heap<T: Value> = ();

    fn heap<T: Value>(_: impl Iterator<Item = T>) {}

    fn sum((): &(), picks: &[usize]) -> i64 {
        black_box(picks);
        0
    }

    fn sum_all((): &()) -> i64 {
        0
    }

    fn add((): &(), at: usize) {
        black_box(at);
    }

    fn transfer((): &(), from: usize, to: usize) {
        black_box((from, to));
    }

    fn write((): &(), picks: &[usize], value: i64) {
        black_box((picks, value));
    }

    fn write_first((): &(), count: usize, value: i64) {
        black_box((count, value));
    }

    fn add_first((): &(), count: usize, _: &AtomicU64) {
        black_box(count);
    }

    fn change<T: Value>((): &(), at: usize, f: impl Fn(&mut T)) {
        black_box((at, f));
    }

    fn or_else((): &(), read: usize, written: usize, other: usize) {
        black_box((read, written, other));
    }

    fn turn((): &(), theirs: i64, next: impl Fn(i64) -> i64) -> i64 {
        black_box(next(theirs))
    }

    fn create_drop(value: i64) {
        black_box(value);
    }

    fn snapshot((): &()) {}
}
