//! §6.3, §3.1 to §3.3: what of a collection blocks, what wakes it and what does not; alternatives; the `try_` twins.
#![allow(clippy::unit_arg, reason = "a closure of one statement ends with it")]

mod blocking_common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use blocking_common::{Waiter, elsewhere, guarded, join, settle};
use tvar::{
    Space, Stm, TArray, TBarrier, TBoundedQueue, TBroadcast, TMVar, TOnce, TPriorityQueue, TQueue, TSemaphore, Tx,
};

/// A call sleeps; each of `others` leaves it asleep; `wake` ends it, in its second run.
#[track_caller]
fn wakes<R: Send + PartialEq + std::fmt::Debug + 'static>(
    space: &Space,
    blocks: impl FnMut(&Tx<'_>) -> Stm<R> + Send + 'static,
    others: &[&dyn Fn(&Tx<'_>)],
    wake: impl Fn(&Tx<'_>) -> Stm<()>,
    result: R,
) {
    let waiter = Waiter::asleep(space, blocks);
    for other in others {
        space.atomically(|tx| Ok(other(tx)));
        settle();
        assert_eq!((waiter.runs(), space.waiters()), (1, 1), "woken for nothing");
    }
    space.atomically(wake);
    assert_eq!(waiter.finish("the call is woken"), (result, 2));
    assert_eq!(space.waiters(), 0);
}

#[test]
fn s6_3_readers_of_an_empty_queue_wait_for_an_item() {
    guarded(|| {
        // At every place in a segment, the border included.
        for length in 0..35 {
            let space = Space::new();
            let queue = TQueue::with_items_in(&space, 0..length);
            space.atomically(|tx| Ok(assert_eq!(queue.flush(tx).len(), length as usize)));
            let theirs = queue.clone();
            wakes(&space, move |tx| theirs.read(tx).copied(), &[], |tx| Ok(queue.write(tx, 7)), 7);
            let theirs = queue.clone();
            wakes(&space, move |tx| theirs.peek(tx).copied(), &[], |tx| Ok(queue.unget(tx, 8)), 8);
            assert_eq!(space.atomically(|tx| queue.read(tx).copied()), 8);
        }
    });
}

#[test]
fn s6_3_both_sides_of_a_bounded_queue_wait() {
    guarded(|| {
        let space = Space::new();
        let queue = TBoundedQueue::new_in(&space, 2);
        let theirs = queue.clone();
        wakes(&space, move |tx| theirs.read(tx).copied(), &[], |tx| queue.write(tx, 1), 1);
        let theirs = queue.clone();
        wakes(&space, move |tx| theirs.peek(tx).copied(), &[], |tx| queue.unget(tx, 2), 2);
        let theirs = queue.clone();
        space.atomically(|tx| queue.write(tx, 3));
        let look: &dyn Fn(&Tx<'_>) = &|tx| assert!(queue.is_full(tx) && queue.try_write(tx, 0).is_err());
        wakes(&space, move |tx| theirs.write(tx, 4), &[look], |tx| queue.read(tx).map(|_| ()), ());
        let theirs = queue.clone();
        wakes(&space, move |tx| theirs.unget(tx, 5), &[look], |tx| queue.read(tx).map(|_| ()), ());
        assert_eq!(space.atomically(|tx| Ok(queue.flush(tx).into_iter().copied().collect::<Vec<_>>())), [5, 4]);
    });
}

#[test]
fn s6_3_receivers_wait_for_what_comes_after_them() {
    guarded(|| {
        let space = Space::new();
        let news = TBroadcast::new_in(&space);
        let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
        let other = space.atomically(|tx| Ok(reader.duplicate(tx)));
        let theirs = reader.clone();
        let unget: &dyn Fn(&Tx<'_>) = &|tx| other.unget(tx, 0);
        let read: &dyn Fn(&Tx<'_>) = &|tx| assert_eq!(other.try_read(tx), Some(&0));
        wakes(&space, move |tx| theirs.read(tx).copied(), &[unget, read], |tx| Ok(news.write(tx, 7)), 7);
        let theirs = reader.clone();
        wakes(&space, move |tx| theirs.peek(tx).copied(), &[], |tx| Ok(reader.unget(tx, 9)), 9);
    });
}

#[test]
fn s6_3_small_ones_wait() {
    guarded(|| {
        let space = Space::new();
        let queue = TPriorityQueue::new_in(&space);
        let theirs = queue.clone();
        wakes(&space, move |tx| Ok(*theirs.pop(tx)?.1), &[], |tx| Ok(queue.push(tx, 1, 'a')), 'a');
        let theirs = queue.clone();
        wakes(&space, move |tx| Ok(*theirs.peek(tx)?.0), &[], |tx| Ok(queue.push(tx, 1, 'a')), 1);

        let permits = TSemaphore::new_in(&space, 0);
        let theirs = permits.clone();
        let none: &dyn Fn(&Tx<'_>) = &|tx| {
            permits.signal_n(tx, 0);
            assert!(!permits.try_wait(tx));
        };
        wakes(&space, move |tx| theirs.wait(tx), &[none], |tx| Ok(permits.signal(tx)), ());
        assert_eq!(space.atomically(|tx| Ok(permits.available(tx))), 0);

        let once = TOnce::new_in(&space);
        let theirs = once.clone();
        wakes(&space, move |tx| theirs.get(tx).cloned(), &[], |tx| Ok(once.set(tx, "set").unwrap()), "set");
        assert_eq!(space.atomically(|tx| Ok((once.try_get(tx).copied(), once.is_set(tx)))), (Some("set"), true));
        assert_eq!(space.atomically(|tx| Ok(once.set(tx, "again"))), Err("again"));

        let slot = TMVar::empty_in(&space);
        let theirs = slot.clone();
        wakes(&space, move |tx| theirs.take(tx).copied(), &[], |tx| slot.put(tx, 1), 1);
        let theirs = slot.clone();
        wakes(&space, move |tx| theirs.swap(tx, 3).copied(), &[], |tx| Ok(slot.write(tx, 2)), 2);
        let theirs = slot.clone();
        let look: &dyn Fn(&Tx<'_>) = &|tx| assert_eq!(slot.try_put(tx, 9), Err(9));
        wakes(&space, move |tx| theirs.put(tx, 4), &[look], |tx| slot.take(tx).map(|n| assert_eq!(*n, 3)), ());
        let theirs = slot.clone();
        space.atomically(|tx| slot.take(tx).map(|n| assert_eq!(*n, 4)));
        wakes(&space, move |tx| theirs.read(tx).copied(), &[], |tx| slot.put(tx, 5), 5);

        let array = TArray::new_in(&space, [0, 0]);
        let theirs = array.clone();
        let beside: &dyn Fn(&Tx<'_>) = &|tx| array.write(tx, 0, 5);
        wakes(&space, move |tx| tx.check(*theirs.read(tx, 1) > 0), &[beside], |tx| Ok(array.write(tx, 1, 1)), ());
    });
}

/// §3.1: an arrival does not wake who waits at the barrier; the last one does.
#[test]
fn s6_3_a_barrier_opens_with_the_last_arrival_and_again() {
    guarded(|| {
        let space = Space::new();
        let barrier = TBarrier::new_in(&space, 3);
        for round in 0..3 {
            let first = space.atomically(|tx| Ok(barrier.arrive(tx)));
            let (theirs, ticket) = (barrier.clone(), first.clone());
            let arrive: &dyn Fn(&Tx<'_>) = &|tx| assert!(!barrier.arrive(tx).is_leader());
            let last = |tx: &Tx<'_>| Ok(assert!(barrier.arrive(tx).is_leader()));
            wakes(&space, move |tx| theirs.pass(tx, &ticket), &[arrive], last, ());
            space.atomically(|tx| barrier.pass(tx, &first));
            assert_eq!(format!("{barrier:?}"), format!("TBarrier {{ parties: 3, arrived: 0, rounds: {} }}", round + 1));
        }
        // An arrival that is undone does not count.
        let _ = space.try_atomically(|tx| {
            let _ = (barrier.arrive(tx), barrier.arrive(tx), barrier.arrive(tx));
            tx.abort::<(), _>("undo")
        });
        let ticket = space.atomically(|tx| Ok(barrier.arrive(tx)));
        let blocked = space.atomically(|tx| tx.or_else(|tx| barrier.pass(tx, &ticket).map(|()| false), |_| Ok(true)));
        assert!(blocked);
    });
}

#[test]
fn s6_3_one_party_in_each_round_is_the_leader() {
    const PARTIES: u64 = 4;
    const ROUNDS: u64 = 50;
    let barrier = TBarrier::new_in(&Space::new(), PARTIES);
    let counts: Arc<Vec<[AtomicU64; 2]>> = Arc::new((0..ROUNDS).map(|_| Default::default()).collect());
    let threads: Vec<_> = (0..PARTIES)
        .map(|_| {
            let (barrier, counts) = (barrier.clone(), counts.clone());
            thread::spawn(move || {
                for [arrived, leaders] in counts.iter() {
                    arrived.fetch_add(1, Ordering::SeqCst);
                    leaders.fetch_add(u64::from(barrier.wait().is_leader()), Ordering::SeqCst);
                    assert_eq!(arrived.load(Ordering::SeqCst), PARTIES, "passed before all had arrived");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| join("a party", thread));
    assert!(counts.iter().all(|[_, leaders]| leaders.load(Ordering::SeqCst) == 1));
}

/// §3.2: what the left branch took is put back when it cannot go on.
#[test]
fn s3_2_alternatives_undo_what_was_taken() {
    let space = Space::new();
    let (from, to) = (TQueue::with_items_in(&space, [1, 2, 3]), TBoundedQueue::new_in(&space, 1));
    let (permits, overflow) = (TSemaphore::new_in(&space, 9), TQueue::new_in(&space));
    let moved = |tx: &Tx<'_>| {
        permits.wait(tx)?;
        to.write(tx, *from.read(tx)?)
    };
    let kept = |tx: &Tx<'_>| Ok(overflow.write(tx, *from.read(tx)?));
    (0..3).for_each(|_| space.atomically(|tx| tx.or_else(moved, kept)));
    space.atomically(|tx| {
        assert_eq!(to.flush(tx), [&1]);
        assert_eq!(overflow.flush(tx), [&2, &3]);
        assert_eq!(permits.available(tx), 8);
        Ok(assert!(from.is_empty(tx)))
    });
}

/// §3.2: if nothing is anywhere, the call waits for both; whichever comes is what it gets.
#[test]
fn s3_2_a_choice_of_two_queues_waits_for_both() {
    guarded(|| {
        for left in [false, true] {
            let space = Space::new();
            let (a, b) = (TQueue::new_in(&space), TBoundedQueue::new_in(&space, 3));
            let theirs = (a.clone(), b.clone());
            let either =
                move |tx: &Tx<'_>| tx.or_else(|tx| theirs.0.read(tx).copied(), |tx| theirs.1.read(tx).copied());
            wakes(&space, either, &[], |tx| if left { Ok(a.write(tx, 1)) } else { b.write(tx, 1) }, 1);
        }
    });
}

/// §3.3: the left queue was found empty; an item that comes there before the commit makes the choice stale.
#[test]
fn s3_3_an_empty_left_queue_is_validated() {
    let space = Space::new();
    let (urgent, normal) = (TQueue::new_in(&space), TQueue::with_items_in(&space, ["normal"]));
    let got = space.atomically(|tx| {
        let got = tx.or_else(|tx| urgent.read(tx).copied(), |tx| normal.read(tx).copied())?;
        if tx.attempt() == 1 {
            let (urgent, space) = (urgent.clone(), space.clone());
            elsewhere(move || space.atomically(|tx| Ok(urgent.write(tx, "urgent"))));
        }
        Ok(got)
    });
    assert_eq!(got, "urgent");
    assert!(!space.atomically(|tx| Ok(normal.is_empty(tx))));
}

/// A `try_` twin never sleeps, and says that there was nothing.
#[test]
fn s6_3_twins_do_not_block() {
    let space = Space::new();
    let (queue, slot) = (TQueue::<u8>::new_in(&space), TMVar::<u8>::empty_in(&space));
    let (bounded, news) = (TBoundedQueue::<u8>::new_in(&space, 1), TBroadcast::<u8>::new_in(&space));
    let (priorities, permits) = (TPriorityQueue::<u8, u8>::new_in(&space), TSemaphore::new_in(&space, 0));
    let once = TOnce::<u8>::new_in(&space);
    space.atomically(|tx| {
        let reader = news.subscribe(tx);
        let nothing = [queue.try_read(tx), queue.try_peek(tx), bounded.try_read(tx), bounded.try_peek(tx)];
        assert_eq!(nothing, [None; 4]);
        let nothing =
            [reader.try_read(tx), reader.try_peek(tx), once.try_get(tx), slot.try_take(tx), slot.try_read(tx)];
        assert_eq!(nothing, [None; 5]);
        assert_eq!((priorities.try_pop(tx), priorities.try_peek(tx)), (None, None));
        assert!(queue.flush(tx).is_empty() && bounded.flush(tx).is_empty());
        assert!(queue.is_empty(tx) && bounded.is_empty(tx) && reader.is_empty(tx) && slot.is_empty(tx));
        Ok(assert!(!permits.try_wait(tx) && !once.is_set(tx)))
    });
    let stats = space.stats();
    assert_eq!((stats.parked, stats.commits), (0, 0), "nothing was written either");
}
