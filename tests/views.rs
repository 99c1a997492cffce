//! Functions that serve a running transaction and a kept snapshot alike (§1.5).

use std::panic::{AssertUnwindSafe, catch_unwind};

use tvar::{Space, TBoundedQueue, TSemaphore, TVar, View};

/// What a view shows of a queue with room for two: its length, whether it is empty, whether it is full, and its first item.
fn look(view: &impl View, queue: &TBoundedQueue<String>) -> (usize, bool, bool, Option<String>) {
    (queue.len(view), queue.is_empty(view), queue.is_full(view), queue.try_peek(view).cloned())
}

#[test]
fn s1_5_a_variable_is_read_with_the_transactions_own_writes_or_as_of_the_snapshot() {
    fn sum(view: &impl View, all: &[TVar<i64>]) -> i64 {
        all.iter().map(|v| view.read(v)).sum()
    }
    let space = Space::new();
    let all = [1, 2, 3].map(|n| TVar::new_in(&space, n));
    let before = space.snapshot();
    let inside = space.atomically(|tx| {
        tx.write(&all[0], 10);
        Ok((sum(tx, &all), sum(&space.snapshot(), &all)))
    });
    assert_eq!((inside, sum(&before, &all), sum(&space.snapshot(), &all)), ((15, 6), 6, 15));
}

#[test]
fn s1_1_a_view_of_another_space_is_refused() {
    let (space, other) = (Space::named("here"), Space::named("there"));
    let v = TVar::new_in(&other, 1);
    let snapshot = space.snapshot();
    let panic = catch_unwind(AssertUnwindSafe(|| *View::read(&snapshot, &v))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("here") && message.contains("there"), "{message}");
}

#[test]
fn s6_3_queues_and_semaphores_are_looked_at_in_snapshots_too() {
    let space = Space::new();
    let (queue, permits) = (TBoundedQueue::new_in(&space, 2), TSemaphore::new_in(&space, 3));
    let empty = space.snapshot();
    let inside = space.atomically(|tx| {
        queue.write(tx, "a".to_string())?;
        permits.wait(tx)?;
        Ok((look(tx, &queue), permits.available(tx)))
    });
    assert_eq!(inside, ((1, false, false, Some("a".into())), 2));
    let one = space.snapshot();
    space.atomically(|tx| queue.write(tx, "b".to_string()));
    let two = space.snapshot();
    space.atomically(|tx| Ok((queue.read(tx)?.len(), queue.read(tx)?.len())));
    assert_eq!(look(&empty, &queue), (0, true, false, None));
    assert_eq!(look(&one, &queue), (1, false, false, Some("a".into())));
    assert_eq!(look(&two, &queue), (2, false, true, Some("a".into())));
    assert_eq!(look(&space.snapshot(), &queue), (0, true, false, None));
    assert_eq!([&empty, &one].map(|view| permits.available(view)), [3, 2]);
}
