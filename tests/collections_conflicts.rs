//! §6.3, §2.3 to §2.5, §4.5: who conflicts with whom in collections. One producer and one consumer of a queue never do while it is neither empty nor
//! full, under either isolation and with locks.
#![allow(clippy::unit_arg, reason = "a closure of one statement ends with it")]

mod collections_common;
mod common;

use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;

use collections_common::Item;
use common::{at_first, elsewhere};
use tvar::hooks::Point;
use tvar::{
    Isolation, Space, Stm, TArray, TBarrier, TBoundedQueue, TBroadcast, TMVar, TOnce, TPriorityQueue, TQueue,
    TSemaphore, TSet, TVar, Tx, TxOptions,
};

fn ways(space: &Space) -> [(&'static str, TxOptions); 3] {
    let options = || TxOptions::new().space(space);
    [
        ("serialisable", options()),
        ("snapshot", options().isolation(Isolation::Snapshot)),
        ("pessimistic", options().pessimistic()),
    ]
}

/// How often `mine` runs when `theirs` commits, whole, between its end and its commit. It writes something else too, so it is validated.
#[track_caller]
fn runs_with(
    options: &TxOptions,
    space: &Space,
    mine: impl Fn(&Tx<'_>) -> Stm<()>,
    theirs: impl Fn(&Tx<'_>) -> Stm<()> + Sync,
) -> u64 {
    let (written, runs, before) = (TVar::new_in(space, 0u64), Cell::new(0), space.stats());
    let result = options.run(|tx| {
        runs.set(runs.get() + 1);
        tx.write(&written, runs.get());
        mine(tx)?;
        if runs.get() == 1 {
            elsewhere(|| options.run(|tx| theirs(tx))).expect("theirs commits");
        }
        Ok(())
    });
    result.expect("mine commits");
    let after = space.stats();
    assert_eq!(after.reruns - before.reruns, runs.get() - 1);
    assert_eq!(after.conflicts - before.conflicts, runs.get() - 1);
    runs.get()
}

#[track_caller]
fn runs(space: &Space, mine: impl Fn(&Tx<'_>) -> Stm<()>, theirs: impl Fn(&Tx<'_>) -> Stm<()> + Sync) -> u64 {
    runs_with(&TxOptions::new().space(space), space, mine, theirs)
}

fn done<T>(_: T) -> Stm<()> {
    Ok(())
}

/// Every step of one side between any two steps of the other, over all places in a segment or block, and over the borders.
fn never_meet<T: Item>(
    space: &Space,
    write: impl Fn(&Tx<'_>, T) -> Stm<()> + Sync,
    read: impl Fn(&Tx<'_>) -> Stm<u64> + Sync,
) {
    for (what, options) in ways(space) {
        let before = space.stats();
        options.run(|tx| (0..2).try_for_each(|n| write(tx, T::of(n)))).unwrap();
        for n in 0..150 {
            let (mine, theirs) = (|tx: &Tx<'_>| write(tx, T::of(n + 2)), |tx: &Tx<'_>| Ok(assert_eq!(read(tx)?, n)));
            let runs = if n % 2 == 0 {
                runs_with(&options, space, mine, theirs)
            } else {
                runs_with(&options, space, theirs, mine)
            };
            assert_eq!(runs, 1, "{what}: item {n}");
        }
        options.run(|tx| Ok(assert_eq!([read(tx)?, read(tx)?], [150, 151]))).unwrap();
        let after = space.stats();
        assert_eq!((after.conflicts, after.reruns, after.lock_waits), (before.conflicts, before.reruns, 0), "{what}");
    }
}

#[test]
fn s6_3_a_producer_and_a_consumer_never_meet() {
    let space = Space::new();
    let queue = TQueue::<u64>::new_in(&space);
    never_meet::<u64>(&space, |tx, item| done(queue.write(tx, item)), |tx| queue.read(tx).copied());
    let queue = TQueue::<Box<u64>>::new_in(&space);
    never_meet::<Box<u64>>(&space, |tx, item| done(queue.write(tx, item)), |tx| Ok(**queue.read(tx)?));
    for capacity in [4, 31, 32, 33, 1000] {
        let queue = TBoundedQueue::<Box<u64>>::new_in(&space, capacity);
        never_meet::<Box<u64>>(&space, |tx, item| queue.write(tx, item), |tx| Ok(**queue.read(tx)?));
    }
    let news = TBroadcast::<u64>::new_in(&space);
    let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
    never_meet::<u64>(&space, |tx, item| done(news.write(tx, item)), |tx| reader.read(tx).copied());
}

/// A thread that is stopped in its commit, before and after it has looked at what it has read.
#[test]
fn s6_3_a_producer_and_a_consumer_never_meet_in_the_commit() {
    for point in [Point::Begin, Point::Read, Point::Validate, Point::Swap] {
        for n in 0..70 {
            let space = Space::new();
            let queue = TQueue::with_items_in(&space, (0..=n).map(Box::new));
            let (theirs, other) = (queue.clone(), space.clone());
            let hook = at_first(point, move || other.atomically(|tx| done(theirs.write(tx, Box::new(n + 1)))));
            space.atomically(|tx| Ok((0..=n).for_each(|n| assert_eq!(queue.try_read(tx).map(|n| **n), Some(n)))));
            drop(hook);
            // The last item leads to where the other's is, and that is found only if something is looked for there.
            assert_eq!(space.stats().conflicts, 0, "{point:?}, {n}");
            assert_eq!(space.atomically(|tx| Ok(**queue.read(tx)?)), n + 1);
        }
    }
}

#[test]
fn s6_3_readers_and_writers_of_a_queue_among_themselves() {
    let space = Space::new();
    let queue = TQueue::new_in(&space);
    let write = |tx: &Tx<'_>| done(queue.write(tx, 1));
    let read = |tx: &Tx<'_>| done(queue.try_read(tx));
    assert_eq!(runs(&space, read, write), 2, "found empty");
    space.atomically(|tx| Ok((0..9).for_each(|n| queue.write(tx, n))));
    assert_eq!(runs(&space, write, write), 2);
    assert_eq!(runs(&space, read, read), 2);
    assert_eq!(runs(&space, |tx| done(queue.peek(tx)?), read), 2);
    assert_eq!(runs(&space, |tx| done(queue.is_empty(tx)), write), 1);
    assert_eq!(runs(&space, |tx| done(queue.unget(tx, 1)), write), 1);
    assert_eq!(runs(&space, |tx| done(queue.unget(tx, 1)), read), 2);
    assert_eq!(runs(&space, |tx| done(queue.flush(tx)), write), 2);
    assert_eq!(space.atomically(|tx| Ok(queue.flush(tx).len())), 0);
}

/// An empty queue whose end is the end of a segment: the absence of the next segment is what was read.
#[test]
fn s6_3_empty_at_the_end_of_a_segment() {
    for length in 0..100 {
        let space = Space::new();
        let queue = TQueue::with_items_in(&space, 0..length);
        space.atomically(|tx| done(queue.flush(tx)));
        let seen = Cell::new(None);
        let read = |tx: &Tx<'_>| done(seen.set(queue.try_read(tx).copied()));
        assert_eq!(runs(&space, read, |tx| done(queue.write(tx, 7))), 2, "{length}");
        assert_eq!(seen.get(), Some(7));
    }
}

#[test]
fn s6_3_readers_and_writers_of_a_bounded_queue_among_themselves() {
    let space = Space::new();
    let queue = TBoundedQueue::new_in(&space, 5);
    let write = |tx: &Tx<'_>| queue.write(tx, 1);
    let read = |tx: &Tx<'_>| done(queue.try_read(tx));
    assert_eq!(runs(&space, read, write), 2, "found empty");
    assert_eq!(runs(&space, |tx| done(queue.len(tx)), write), 2);
    assert_eq!(runs(&space, |tx| done(queue.len(tx)), read), 2);
    space.atomically(|tx| queue.write(tx, 1));
    assert_eq!(runs(&space, write, write), 2);
    assert_eq!(runs(&space, read, read), 2);
    assert_eq!(runs(&space, |tx| queue.unget(tx, 1), write), 1);
    assert_eq!(space.atomically(|tx| Ok(queue.len(tx))), 3);
    assert_eq!(runs(&space, |tx| done(queue.is_full(tx)), read), 1);
    assert_eq!(runs(&space, |tx| done(queue.is_full(tx)), |tx| queue.write(tx, 1)), 2);
    assert_eq!(runs(&space, |tx| done(queue.is_empty(tx)), |tx| done(queue.try_write(tx, 1).ok())), 1);
    space.atomically(|tx| Ok(while queue.try_write(tx, 2).is_ok() {}));
    assert_eq!(runs(&space, |tx| done(queue.try_write(tx, 3).ok()), read), 2, "found full");
    assert_eq!(space.atomically(|tx| Ok(queue.len(tx))), 5);
    // The one free place is the next of both sides.
    space.atomically(read);
    let unget = |tx: &Tx<'_>| tx.or_else(|tx| queue.unget(tx, 4), |_| Ok(()));
    assert_eq!(runs(&space, unget, |tx| queue.write(tx, 5)), 2);
    assert_eq!(space.atomically(|tx| Ok(queue.flush(tx).pop().copied())), Some(5));
}

/// §2.2: under snapshot isolation, too, the last place is given away once.
#[test]
fn s2_2_the_last_place_under_snapshot_isolation() {
    let space = Space::new();
    let queue = TBoundedQueue::new_in(&space, 2);
    space.atomically(|tx| queue.write(tx, 1));
    let [_, (_, options), _] = ways(&space);
    let put = Cell::new(true);
    let unget = |tx: &Tx<'_>| tx.or_else(|tx| queue.unget(tx, 0).map(|()| put.set(true)), |_| done(put.set(false)));
    assert_eq!(runs_with(&options, &space, unget, |tx| queue.write(tx, 2)), 2);
    assert!(!put.get());
    assert_eq!(space.atomically(|tx| Ok(queue.flush(tx).into_iter().copied().collect::<Vec<_>>())), [1, 2]);
}

#[test]
fn s6_3_receivers_never_conflict_with_each_other() {
    let space = Space::new();
    let news = TBroadcast::new_in(&space);
    let [ada, bob] = [(); 2].map(|()| space.atomically(|tx| Ok(news.subscribe(tx))));
    let write = |tx: &Tx<'_>| done(news.write(tx, 1));
    assert_eq!(runs(&space, |tx| done(ada.try_read(tx)), write), 2, "found empty");
    space.atomically(|tx| Ok((0..40).for_each(|n| news.write(tx, n))));
    for _ in 0..40 {
        assert_eq!(runs(&space, |tx| done(ada.read(tx)?), |tx| done(bob.read(tx)?)), 1);
    }
    space.atomically(write);
    assert_eq!(runs(&space, |tx| done(ada.try_read(tx)), |tx| done(ada.try_read(tx))), 2);
    assert_eq!(runs(&space, |tx| done(ada.unget(tx, 5)), |tx| done(bob.try_read(tx))), 1);
    assert_eq!(runs(&space, |tx| done(ada.unget(tx, 5)), write), 1);
    assert_eq!(runs(&space, |tx| done(news.subscribe(tx)), write), 2);
    assert_eq!(runs(&space, write, write), 2);
}

/// At every place in a segment, the border included: putting back looks at nothing that a writer changes.
#[test]
fn s6_3_putting_back_never_meets_a_writer() {
    for length in 0..65 {
        let space = Space::new();
        let (queue, news) = (TQueue::with_items_in(&space, 0..length), TBroadcast::new_in(&space));
        let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
        space.atomically(|tx| Ok((0..length).for_each(|n| news.write(tx, n))));
        space.atomically(|tx| Ok((0..length).for_each(|_| assert!(reader.try_read(tx).is_some()))));
        space.atomically(|tx| done(queue.flush(tx)));
        assert_eq!(runs(&space, |tx| done(reader.unget(tx, 1)), |tx| done(news.write(tx, 2))), 1, "{length}");
        assert_eq!(runs(&space, |tx| done(queue.unget(tx, 1)), |tx| done(queue.write(tx, 2))), 1, "{length}");
        let read =
            space.atomically(|tx| Ok([*reader.read(tx)?, *reader.read(tx)?, *queue.read(tx)?, *queue.read(tx)?]));
        assert_eq!(read, [1, 2, 1, 2]);
    }
}

#[test]
fn s6_3_pushes_with_priorities_conflict_with_no_other() {
    let space = Space::new();
    let queue = TPriorityQueue::new_in(&space);
    let push = |priority: u32| {
        let queue = &queue;
        move |tx: &Tx<'_>| done(queue.push(tx, priority, ()))
    };
    let pop = |tx: &Tx<'_>| done(queue.try_pop(tx));
    assert_eq!(runs(&space, push(5), push(5)), 1);
    assert_eq!(runs(&space, push(5), push(6)), 1);
    assert_eq!(runs(&space, push(5), pop), 1);
    assert_eq!(runs(&space, pop, push(5)), 1, "behind the first");
    assert_eq!(runs(&space, pop, push(9)), 2, "before the first");
    assert_eq!(runs(&space, |tx| done(queue.try_peek(tx)), push(1)), 1);
    assert_eq!(runs(&space, |tx| done(queue.is_empty(tx)), push(1)), 1);
    assert_eq!(runs(&space, |tx| done(queue.len(tx)), push(1)), 2);
    assert_eq!(runs(&space, pop, pop), 2);
    let [_, (_, snapshot), _] = ways(&space);
    assert_eq!(runs_with(&snapshot, &space, push(7), push(7)), 1);
    space.atomically(|tx| done(queue.clear(tx)));
    assert_eq!(runs(&space, pop, push(1)), 2, "found empty");
}

#[test]
fn s4_5_signals_conflict_with_nobody() {
    let space = Space::new();
    let permits = TSemaphore::new_in(&space, 5);
    let signal = |tx: &Tx<'_>| done(permits.signal(tx));
    let wait = |tx: &Tx<'_>| permits.wait(tx);
    assert_eq!(runs(&space, signal, signal), 1);
    assert_eq!(runs(&space, signal, wait), 1);
    assert_eq!(runs(&space, |tx| done(permits.signal_n(tx, 3)), |tx| done(permits.signal_n(tx, 4))), 1);
    assert_eq!(runs(&space, wait, signal), 2);
    assert_eq!(runs(&space, wait, wait), 2);
    assert_eq!(runs(&space, wait, |tx| done(permits.signal_n(tx, 0))), 1);
    let (given, taken) = (1 + 1 + 1 + 3 + 4 + 1, 1 + 1 + 1 + 1 + 1);
    assert_eq!(space.atomically(|tx| Ok(permits.available(tx))), 5 + given - taken);
}

#[test]
fn s6_3_small_ones() {
    let space = Space::new();
    let once = TOnce::new_in(&space);
    let results = Cell::new(None);
    let set = |tx: &Tx<'_>| done(results.set(Some(once.set(tx, 1))));
    assert_eq!(runs(&space, set, |tx| done(once.set(tx, 2).ok())), 2);
    assert_eq!(results.get(), Some(Err(1)), "one of two sets it");

    let slot = TMVar::new_in(&space, 1);
    let write = |tx: &Tx<'_>| done(slot.write(tx, 2));
    assert_eq!(runs(&space, write, write), 1, "blind");
    assert_eq!(runs(&space, |tx| done(slot.swap(tx, 3)?), write), 2);

    let array = TArray::new_in(&space, [1, 2, 3]);
    let modify = |index: usize| {
        let array = &array;
        move |tx: &Tx<'_>| done(array.modify(tx, index, |n| n + 1))
    };
    assert_eq!(runs(&space, modify(1), modify(2)), 1);
    assert_eq!(runs(&space, modify(1), modify(1)), 2);
    assert_eq!(runs(&space, |tx| done(array.iter(tx).next()), modify(1)), 1, "not come to");
    assert_eq!(runs(&space, |tx| done(array.iter(tx).count()), modify(1)), 2);

    let set = TSet::new_in(&space);
    assert_eq!(runs(&space, |tx| done(set.insert(tx, 1)), |tx| done(set.insert(tx, 2))), 1);
    assert_eq!(runs(&space, |tx| done(set.insert(tx, 3)), |tx| done(set.insert(tx, 3))), 2);

    let barrier = TBarrier::new_in(&space, 10);
    let arrive = |tx: &Tx<'_>| {
        let _ = barrier.arrive(tx);
        Ok(())
    };
    assert_eq!(runs(&space, arrive, arrive), 2);
}

/// Free running: a queue that is kept neither empty nor full has no conflict and no second run, however its two threads meet.
#[test]
fn s6_3_a_pair_of_threads_runs_free_of_conflicts() {
    const ROOM: usize = 100;
    let space = Space::new();
    let items = common::many(300_000) as u64;
    let (queue, bounded) = (TQueue::<Box<u64>>::new_in(&space), TBoundedQueue::new_in(&space, ROOM));
    let written = std::sync::atomic::AtomicU64::new(0);
    let read = std::sync::atomic::AtomicU64::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    thread::scope(|scope| {
        let consumer = scope.spawn(|| {
            for n in 0..items {
                // Two items stay ahead: the last of the two could be the one that is being written.
                while written.load(order) < (n + 2).min(items) {
                    thread::yield_now();
                }
                let (first, second) = space.atomically(|tx| Ok((**queue.read(tx)?, *bounded.read(tx)?)));
                assert_eq!((first, second), (n, n));
                read.store(n + 1, order);
            }
        });
        for n in 0..items {
            while n - read.load(order) >= ROOM as u64 - 1 && !consumer.is_finished() {
                thread::yield_now();
            }
            space.atomically(|tx| {
                queue.write(tx, Box::new(n));
                bounded.write(tx, n)
            });
            written.store(n + 1, order);
        }
        consumer.join().unwrap_or_else(|panic| resume_unwind(panic));
    });
    let stats = space.stats();
    assert_eq!((stats.conflicts, stats.reruns, stats.parked, stats.escalations), (0, 0, 0, 0), "{stats}");
}
