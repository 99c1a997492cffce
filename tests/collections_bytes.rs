//! §6.3, §1.7: what collections hold in bytes. An allocator counts, so one test runs at a time.
#![allow(clippy::unit_arg, reason = "a closure of one statement ends with it")]

#[path = "common/bytes.rs"]
#[allow(dead_code, reason = "every test file uses its own part of this module")]
mod bytes;

use std::sync::atomic::Ordering;

use bytes::{KIB, LIVE, alone, bounded};
use tvar::{Space, TBoundedQueue, TBroadcast, TMVar, TPriorityQueue, TQueue};

/// Items whose types have no destructor stay in their slots, but not longer than their segment.
#[test]
fn s6_3_what_is_used_for_long_stays_small() {
    let _alone = alone();
    let space = Space::new();
    let (queue, ring, slot) = (TQueue::new_in(&space), TBoundedQueue::new_in(&space, 100), TMVar::empty_in(&space));
    let (priorities, news) = (TPriorityQueue::new_in(&space), TBroadcast::new_in(&space));
    let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
    bounded("rounds", 64 * KIB, 20_000, |n| {
        let item = [n; 8];
        space.atomically(|tx| {
            queue.write(tx, item);
            news.write(tx, item);
            priorities.push(tx, n % 7, item);
            ring.write(tx, item)?;
            slot.put(tx, item)
        });
        space.atomically(|tx| {
            let read = [queue.read(tx)?, ring.read(tx)?, reader.read(tx)?, priorities.pop(tx)?.1, slot.take(tx)?];
            Ok(assert_eq!(read, [&item; 5]))
        });
    });
}

/// Putting back and taking again, over the beginning of a segment.
#[test]
fn s6_3_putting_back_leaves_nothing_behind() {
    let _alone = alone();
    let space = Space::new();
    let queue = TQueue::with_items_in(&space, 0..10);
    let news = TBroadcast::new_in(&space);
    let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
    bounded("put back", 64 * KIB, 20_000, |n| {
        space.atomically(|tx| {
            (0..n % 40).for_each(|n| queue.unget(tx, n));
            (0..n % 40).for_each(|n| reader.unget(tx, n));
            Ok(())
        });
        space.atomically(|tx| {
            (0..n % 40).for_each(|_| assert!(queue.try_read(tx).is_some() && reader.try_read(tx).is_some()));
            Ok(())
        });
    });
}

/// A capacity that is not used costs nothing to speak of; a first item costs the slots around it.
#[test]
fn s6_3_a_large_capacity_costs_nothing_until_it_is_used() {
    let _alone = alone();
    let space = Space::new();
    TBoundedQueue::<u64>::new_in(&space, 10);
    let before = LIVE.load(Ordering::SeqCst);
    let queue = TBoundedQueue::<u64>::new_in(&space, 1_000_000);
    let made = LIVE.load(Ordering::SeqCst) - before;
    assert!(made < 2 * KIB, "{made} bytes");
    space.atomically(|tx| queue.write(tx, 1));
    let used = LIVE.load(Ordering::SeqCst) - before;
    assert!(used < 64 * KIB, "{used} bytes");
    // And a small one costs its slots.
    let before = LIVE.load(Ordering::SeqCst);
    let small = TBoundedQueue::<u64>::new_in(&space, 4);
    space.atomically(|tx| small.write(tx, 1));
    let used = LIVE.load(Ordering::SeqCst) - before;
    assert!(used < 4 * KIB, "{used} bytes");
}
