//! §1.7, §4.3: items are dropped once, soon, and iteratively; what is not used costs nothing.
#![allow(clippy::unit_arg, reason = "a closure of one statement ends with it")]

mod common;

use std::cell::Cell;

use common::{Census, Counted, elsewhere, many, on_small_stack, settle};
use tvar::{Space, TBoundedQueue, TBroadcast, TMVar, TOnce, TPriorityQueue, TQueue, TReceiver, try_atomically};

#[test]
fn s1_7_what_was_read_is_dropped_soon() {
    let (space, census) = (Space::new(), Census::new());
    let queue = TQueue::new_in(&space);
    let bounded = TBoundedQueue::new_in(&space, 100);
    let slot = TMVar::empty_in(&space);
    let priorities = TPriorityQueue::new_in(&space);
    for id in 0..200 {
        space.atomically(|tx| {
            queue.write(tx, census.value(id));
            bounded.write(tx, census.value(id))?;
            priorities.push(tx, id, census.value(id));
            slot.put(tx, census.value(id))
        });
        assert_eq!(census.live(), 4);
        space.atomically(|tx| {
            let read = (queue.read(tx)?, bounded.read(tx)?, priorities.pop(tx)?.1, slot.take(tx)?);
            assert_eq!([read.0.id, read.1.id, read.2.id, read.3.id], [id; 4]);
            Ok(())
        });
        settle(&space, || census.live() == 0);
    }
    assert_eq!(census.dropped(), 800);
}

/// In the middle of a segment, at its ends, and over several, by taking one by one and all at once.
#[test]
fn s1_7_a_queue_keeps_what_it_has_and_nothing_else() {
    for flush in [false, true] {
        for length in [1, 30, 31, 32, 62, 63, 100] {
            let (space, census) = (Space::new(), Census::new());
            let queue = TQueue::new_in(&space);
            space.atomically(|tx| Ok((0..length).for_each(|id| queue.write(tx, census.value(id)))));
            assert_eq!(census.live(), length as usize);
            space.atomically(|tx| {
                if flush {
                    assert_eq!(queue.flush(tx).len(), length as usize);
                } else {
                    (0..length).for_each(|id| assert_eq!(queue.try_read(tx).map(|item| item.id), Some(id)));
                }
                Ok(())
            });
            settle(&space, || census.live() == 0);
            space.atomically(|tx| Ok((0..length).for_each(|id| queue.unget(tx, census.value(id)))));
            assert_eq!(census.live(), length as usize);
            drop(queue);
            settle(&space, || census.live() == 0);
            assert_eq!(census.dropped(), 2 * length as usize);
        }
    }
}

/// §2.8, §3.2: what was not committed is dropped with its attempt.
#[test]
fn s1_7_what_was_undone_is_dropped() {
    let (space, census) = (Space::global(), Census::new());
    let (queue, bounded, once) = (TQueue::new(), TBoundedQueue::new(1), TOnce::new());
    let aborted = try_atomically(|tx| {
        (0..50).for_each(|id| queue.write(tx, census.value(id)));
        once.set(tx, census.value(0)).expect("it is not set");
        bounded.try_write(tx, census.value(0)).expect("there is room");
        assert_eq!(bounded.try_write(tx, census.value(7)).expect_err("there is none").id, 7);
        assert_eq!(once.set(tx, census.value(8)).expect_err("it is set").id, 8);
        tx.abort::<(), _>(1)
    });
    assert_eq!(aborted, Err(1));
    settle(space, || census.live() == 0);
    space.atomically(|tx| {
        tx.or_else(
            |tx| {
                queue.write(tx, census.value(1));
                bounded.write(tx, census.value(1))?;
                bounded.write(tx, census.value(2))
            },
            |tx| bounded.write(tx, census.value(3)),
        )
    });
    settle(space, || census.live() == 1);
    assert!(census.alive(3));
}

#[test]
fn s4_3_a_million_items_are_dropped_on_a_small_stack() {
    let length = many(1_000_000);
    for written in [false, true] {
        for way in 0..3 {
            let (space, census) = (Space::new(), Census::new());
            let queue = if written {
                let queue = TQueue::new_in(&space);
                for part in 0..length / 1000 {
                    let ids = part as u64 * 1000..(part as u64 + 1) * 1000;
                    space.atomically(|tx| Ok(ids.clone().for_each(|id| queue.write(tx, census.value(id)))));
                }
                queue
            } else {
                TQueue::with_items_in(&space, (0..length as u64).map(|id| census.value(id)))
            };
            assert_eq!(census.live(), length);
            let (theirs, same) = (census.clone(), space.clone());
            on_small_stack(move || {
                match way {
                    0 => drop(queue),
                    1 => same.atomically(|tx| Ok(assert_eq!(queue.flush(tx).len(), length))),
                    _ => {
                        let queue = Cell::new(Some(queue));
                        same.atomically(|_| Ok(drop(queue.take())));
                    }
                }
                settle(&same, || theirs.live() == 0);
            });
            assert_eq!(census.dropped(), length);
        }
    }
}

#[test]
fn s4_3_a_receiver_that_is_a_million_items_behind_is_dropped_on_a_small_stack() {
    let length = many(1_000_000);
    let (space, census) = (Space::new(), Census::new());
    let news = TBroadcast::new_in(&space);
    let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
    for part in 0..length / 1000 {
        let ids = part as u64 * 1000..(part as u64 + 1) * 1000;
        space.atomically(|tx| Ok(ids.clone().for_each(|id| news.write(tx, census.value(id)))));
    }
    assert_eq!(census.live(), length);
    let (theirs, same) = (census.clone(), space.clone());
    on_small_stack(move || {
        drop(reader);
        settle(&same, || theirs.live() <= 31);
        drop(news);
        settle(&same, || theirs.live() == 0);
    });
}

/// Items that were put back are a chain of single ones.
#[test]
fn s4_3_a_long_chain_of_items_put_back() {
    let length = many(300_000);
    let (space, census) = (Space::new(), Census::new());
    let news = TBroadcast::new_in(&space);
    let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
    for part in 0..length / 1000 {
        let ids = part as u64 * 1000..(part as u64 + 1) * 1000;
        space.atomically(|tx| Ok(ids.clone().for_each(|id| reader.unget(tx, census.value(id)))));
    }
    let (theirs, same) = (census.clone(), space.clone());
    on_small_stack(move || {
        drop(reader);
        settle(&same, || theirs.live() == 0);
    });
    assert_eq!(census.dropped(), length);
}

fn read(space: &Space, reader: &TReceiver<Counted>, count: u64) {
    for _ in 0..count {
        space.atomically(|tx| reader.read(tx).map(|_| ()));
    }
}

/// What `TBroadcast` says: items live until every receiver has begun a later segment of 31.
#[test]
fn s1_7_a_broadcast_keeps_what_a_receiver_has_before_it_by_segments() {
    let (space, census) = (Space::new(), Census::new());
    let news = TBroadcast::new_in(&space);
    let write = |count: u64| space.atomically(|tx| Ok((0..count).for_each(|id| news.write(tx, census.value(id)))));
    write(31 * 4);
    settle(&space, || census.live() == 31);
    let [fast, slow] = [(); 2].map(|()| space.atomically(|tx| Ok(news.subscribe(tx))));
    write(31 * 3);
    assert_eq!(census.live(), 31 * 4);
    read(&space, &fast, 31 * 3);
    assert_eq!(census.live(), 31 * 4, "the slow one keeps all");
    read(&space, &slow, 31);
    settle(&space, || census.live() == 31 * 3);
    read(&space, &slow, 1);
    settle(&space, || census.live() == 31 * 2);
    drop(slow.clone());
    assert_eq!(census.live(), 31 * 2, "a clone is the same receiver");
    let other = space.atomically(|tx| Ok(slow.duplicate(tx)));
    drop(slow);
    common::ticks(&space, 100);
    assert_eq!(census.live(), 31 * 2, "the duplicate keeps what it has before it");
    drop(other);
    settle(&space, || census.live() == 31);
    drop((news, fast));
    settle(&space, || census.live() == 0);
    assert_eq!(census.dropped(), 31 * 7);
}

/// A block of slots that an attempt made and that was undone serves the next; two threads that make one agree on it.
#[test]
fn s6_3_slots_are_made_once() {
    let (space, census) = (Space::new(), Census::new());
    let queue = TBoundedQueue::new_in(&space, 64);
    let aborted = space.try_atomically(|tx| {
        queue.write(tx, census.value(1))?;
        tx.abort::<(), _>("undo")
    });
    assert_eq!(aborted, Err("undo"));
    space.atomically(|tx| {
        queue.write(tx, census.value(2))?;
        if tx.attempt() == 1 {
            elsewhere(|| space.atomically(|tx| queue.write(tx, census.value(3))));
        }
        Ok(())
    });
    let order = space.atomically(|tx| Ok(queue.flush(tx).into_iter().map(|item| item.id).collect::<Vec<_>>()));
    assert_eq!(order, [3, 2]);
    settle(&space, || census.live() == 0);
}
