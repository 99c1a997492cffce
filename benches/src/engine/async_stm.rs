//! The crate `async-stm`: transactions are futures, and waiting needs no thread.
//!
//! Its operations cannot be plain calls: entering a runtime for each would cost more than many of them do. So this
//! module has the same operations as [`Engine`](super::Engine) as futures, and a way into a runtime for a whole loop.

use super::Value;
use async_stm::{TVar, atomically, guard, or, retry};
use std::cell::OnceCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::{Builder, Runtime};

/// What the engine is called in the results.
pub const NAME: &str = "async-stm";

/// Variables.
pub type Heap<T> = Vec<TVar<T>>;

/// Runs a future on this thread's own runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
    }
    RUNTIME.with(|runtime| {
        let build = || Builder::new_current_thread().build().expect("a runtime without drivers needs no resources");
        runtime.get_or_init(build).block_on(future)
    })
}

/// What a handle takes beside the variable.
pub fn handle_bytes() -> usize {
    size_of::<TVar<u64>>()
}

/// New variables with these values.
pub fn heap<T: Value>(values: impl Iterator<Item = T>) -> Heap<T> {
    values.map(TVar::new).collect()
}

/// Adds up the variables at `picks`.
pub async fn sum(heap: &Heap<i64>, picks: &[usize]) -> i64 {
    atomically(|| picks.iter().try_fold(0, |sum, &at| Ok(sum + *heap[at].read()?))).await
}

/// Adds up all variables.
pub async fn sum_all(heap: &Heap<i64>) -> i64 {
    atomically(|| heap.iter().try_fold(0, |sum, var| Ok(sum + *var.read()?))).await
}

/// Adds one.
pub async fn add(heap: &Heap<i64>, at: usize) {
    atomically(|| heap[at].update(|n| n + 1)).await;
}

/// Moves one from one variable to another.
pub async fn transfer(heap: &Heap<i64>, from: usize, to: usize) {
    atomically(|| {
        heap[from].update(|n| n - 1)?;
        heap[to].update(|n| n + 1)
    })
    .await;
}

/// Writes one value to all of `picks` without looking at what was there.
pub async fn write(heap: &Heap<i64>, picks: &[usize], value: i64) {
    atomically(|| picks.iter().try_for_each(|&at| heap[at].write(value))).await;
}

/// Writes one value to each of the first `count` variables without looking at what was there.
pub async fn write_first(heap: &Heap<i64>, count: usize, value: i64) {
    atomically(|| heap[..count].iter().try_for_each(|var| var.write(value))).await;
}

/// Adds one to each of the first `count` variables; counts its attempts.
pub async fn add_first(heap: &Heap<i64>, count: usize, attempts: &AtomicU64) {
    atomically(|| {
        attempts.fetch_add(1, Ordering::Relaxed);
        heap[..count].iter().try_for_each(|var| var.update(|n| n + 1))
    })
    .await;
}

/// Replaces a value by a changed copy of it.
pub async fn change<T: Value>(heap: &Heap<T>, at: usize, f: impl Fn(&mut T)) {
    atomically(|| heap[at].update_mut(&f)).await;
}

/// An alternative that reads `read`, writes `written` and gives up; then one that adds one to `other`.
pub async fn or_else(heap: &Heap<i64>, read: usize, written: usize, other: usize) {
    atomically(|| {
        or(
            || {
                let seen = *heap[read].read()?;
                heap[written].write(seen)?;
                retry()
            },
            || heap[other].update(|n| n + 1),
        )
    })
    .await;
}

/// Sleeps until the first variable is not `theirs`, makes it `next` of what it is then, and returns what it was.
pub async fn turn(heap: &Heap<i64>, theirs: i64, next: impl Fn(i64) -> i64) -> i64 {
    atomically(|| {
        let now = *heap[0].read()?;
        guard(now != theirs)?;
        heap[0].write(next(now))?;
        Ok(now)
    })
    .await
}

/// Makes a variable and drops it.
pub fn create_drop(value: i64) {
    drop(black_box(TVar::new(value)));
}
