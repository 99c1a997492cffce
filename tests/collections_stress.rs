//! §6.3 under load: exactly once, in order, with the books balanced, under a watchdog. `TVAR_STRESS_SECONDS` makes it longer.
#![allow(clippy::unit_arg, reason = "a closure of one statement ends with it")]

mod blocking_common;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use blocking_common::crew::{Crew, Random, settles_to};
use blocking_common::{Counted, live_count};
use tvar::{Space, Stm, TBoundedQueue, TBroadcast, TPriorityQueue, TQueue, TSemaphore, TVar, Tx};

const WRITERS: u64 = 4;
const READERS: u64 = 4;
/// Tells a reader to end.
const LAST: u64 = u64::MAX;

/// Four writers, four readers: every item is read once, and each reader sees the items of each writer in their order; and in the order of the whole
/// queue, which a counter in the same transaction tells, they come as they were written.
fn exactly_once<Q: Clone + Send + 'static>(
    what: &'static str,
    make: impl Fn(&Space) -> Q,
    write: impl Fn(&Q, &Tx<'_>, Counted) -> Stm<()> + Copy + Send + 'static,
    read: impl for<'a> Fn(&'a Q, &'a Tx<'_>) -> Stm<&'a Counted> + Copy + Send + 'static,
) {
    let mut crew = Crew::new(what);
    let queue = make(&crew.space);
    let (live, got) = (live_count(), Arc::new(Mutex::new(Vec::new())));
    let writing = Arc::new(AtomicI64::new(WRITERS as i64));
    let written = Arc::new(AtomicU64::new(0));
    // How many reads have been committed: it numbers them.
    let reads = crew.var(0u64);
    for writer in 0..WRITERS {
        let (queue, live, writing, written) = (queue.clone(), live.clone(), writing.clone(), written.clone());
        crew.spawn(move |clock, space| {
            let mut n = 0;
            while clock.running() && n < 30_000 {
                space.atomically(|tx| write(&queue, tx, Counted::new(&live, writer << 32 | n)));
                n += 1;
            }
            written.fetch_add(n, Ordering::SeqCst);
            if writing.fetch_sub(1, Ordering::SeqCst) == 1 {
                (0..READERS).for_each(|_| space.atomically(|tx| write(&queue, tx, Counted::new(&live, LAST))));
            }
        });
    }
    for _ in 0..READERS {
        let (queue, got, reads) = (queue.clone(), got.clone(), reads.clone());
        crew.spawn(move |clock, space| {
            let mut mine = Vec::new();
            loop {
                clock.tick();
                let (turn, item) = space.atomically(|tx| {
                    let item = read(&queue, tx)?.get();
                    tx.modify(&reads, |n| n + 1);
                    Ok((*tx.read(&reads), item))
                });
                if item == LAST {
                    break;
                }
                mine.push((turn, item));
            }
            got.lock().unwrap().extend(mine);
        });
    }
    let space = crew.finish();
    let mut got = std::mem::take(&mut *got.lock().unwrap());
    got.sort_unstable();
    assert_eq!(got.len() as u64, written.load(Ordering::SeqCst), "{what}: lost or doubled");
    let mut next = [0; WRITERS as usize];
    for (_, item) in got {
        let (writer, n) = ((item >> 32) as usize, item & 0xffff_ffff);
        assert_eq!(n, next[writer], "{what}: of writer {writer}");
        next[writer] += 1;
    }
    drop(queue);
    settles_to(&space, &live, 0);
}

#[test]
fn s6_3_a_queue_gives_each_item_once_and_in_order() {
    exactly_once("queue", TQueue::new_in, |queue, tx, item| Ok(queue.write(tx, item)), |queue, tx| queue.read(tx));
}

#[test]
fn s6_3_bounded_queues_give_each_item_once_and_in_order() {
    let write = |queue: &TBoundedQueue<Counted>, tx: &Tx<'_>, item| queue.write(tx, item);
    exactly_once("room for one", |space| TBoundedQueue::new_in(space, 1), write, |queue, tx| queue.read(tx));
    exactly_once("room for 40", |space| TBoundedQueue::new_in(space, 40), write, |queue, tx| queue.read(tx));
}

/// Every receiver sees all items of every writer, all in one order.
#[test]
fn s6_3_receivers_agree_on_the_order() {
    let mut crew = Crew::new("broadcast");
    let live = live_count();
    let news = TBroadcast::new_in(&crew.space);
    let writing = Arc::new(AtomicI64::new(WRITERS as i64));
    let seen = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..READERS {
        let reader = crew.space.atomically(|tx| Ok(news.subscribe(tx)));
        let seen = seen.clone();
        crew.spawn(move |clock, space| {
            let mut mine = Vec::new();
            while mine.last() != Some(&LAST) {
                clock.tick();
                mine.push(space.atomically(|tx| reader.read(tx).map(Counted::get)));
            }
            seen.lock().unwrap().push(mine);
        });
    }
    for writer in 0..WRITERS {
        let (news, live, writing) = (news.clone(), live.clone(), writing.clone());
        crew.spawn(move |clock, space| {
            let mut n = 0;
            while clock.running() && n < 20_000 {
                space.atomically(|tx| Ok(news.write(tx, Counted::new(&live, writer << 32 | n))));
                n += 1;
            }
            if writing.fetch_sub(1, Ordering::SeqCst) == 1 {
                space.atomically(|tx| Ok(news.write(tx, Counted::new(&live, LAST))));
            }
        });
    }
    let space = crew.finish();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len() as u64, READERS);
    assert!(seen.iter().all(|mine| *mine == seen[0]), "two orders");
    let mut next = [0; WRITERS as usize];
    for item in &seen[0][..seen[0].len() - 1] {
        assert_eq!(item & 0xffff_ffff, next[(item >> 32) as usize]);
        next[(item >> 32) as usize] += 1;
    }
    drop(news);
    settles_to(&space, &live, 0);
}

/// Items wander among queues of all kinds, with alternatives and parts that are undone; none is ever lost or doubled.
#[test]
fn s6_3_items_wander_and_stay_as_many() {
    const ITEMS: u64 = 40;
    let mut crew = Crew::new("wandering");
    let (a, b) = (TQueue::with_items_in(&crew.space, 0..ITEMS), TBoundedQueue::new_in(&crew.space, 33));
    let c: TPriorityQueue<u64, u64> = TPriorityQueue::new_in(&crew.space);
    let moves = crew.var(0u64);
    for seed in 0..8 {
        let (a, b, c, moves) = (a.clone(), b.clone(), c.clone(), moves.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let (from, to, undo) = (random.below(3), random.below(3), random.below(4));
                let take = |tx: &Tx<'_>, from: usize| match from {
                    0 => a.read(tx).copied(),
                    1 => b.read(tx).copied(),
                    _ => c.pop(tx).map(|(_, item)| *item),
                };
                space.atomically(|tx| {
                    let first = |tx: &Tx<'_>| tx.or_else(|tx| take(tx, from), |tx| take(tx, (from + 1) % 3));
                    let item = tx.or_else(first, |tx| take(tx, (from + 2) % 3))?;
                    if undo == 0 {
                        let _ = tx.nested(|tx| {
                            a.write(tx, 1000);
                            let _ = take(tx, 0)?;
                            tx.abort::<(), _>(())
                        })?;
                    }
                    let put = |tx: &Tx<'_>, to: usize| match (to, undo) {
                        (0, 1) => Ok(a.unget(tx, item)),
                        (0, _) => Ok(a.write(tx, item)),
                        (1, 1) => b.unget(tx, item),
                        (1, _) => b.write(tx, item),
                        _ => Ok(c.push(tx, item % 5, item)),
                    };
                    tx.or_else(|tx| put(tx, to), |tx| put(tx, 0))?;
                    Ok(tx.merge(&moves, |n| n + 1))
                });
            }
        });
    }
    let space = crew.finish();
    let mut items = space.atomically(|tx| {
        let mut items: Vec<u64> = a.flush(tx).into_iter().chain(b.flush(tx)).copied().collect();
        items.extend(std::iter::from_fn(|| c.try_pop(tx).map(|(_, item)| *item)));
        Ok(items)
    });
    items.sort_unstable();
    assert!(items.into_iter().eq(0..ITEMS), "after {} moves", moves.load());
    assert!(moves.load() > 0);
}

/// Never more inside than there are permits, and all of them are back in the end.
#[test]
fn s6_3_a_semaphore_lets_in_as_many_as_it_says() {
    let mut crew = Crew::new("semaphore");
    let permits = TSemaphore::new_in(&crew.space, 3);
    let inside = Arc::new(AtomicI64::new(0));
    for _ in 0..8 {
        let (permits, inside) = (permits.clone(), inside.clone());
        crew.spawn(move |clock, space| {
            while clock.running() {
                space.atomically(|tx| permits.wait(tx));
                assert!((1..=3).contains(&(inside.fetch_add(1, Ordering::SeqCst) + 1)));
                inside.fetch_sub(1, Ordering::SeqCst);
                space.atomically(|tx| Ok(permits.signal(tx)));
            }
        });
    }
    let space = crew.finish();
    assert_eq!(space.atomically(|tx| Ok(permits.available(tx))), 3);
}

/// Pushes of all threads, none of which runs twice; then everything comes out by priority.
#[test]
fn s6_3_pushes_run_once() {
    let mut crew = Crew::new("priorities");
    let queue = TPriorityQueue::new_in(&crew.space);
    let total: TVar<u64> = crew.var(0);
    for seed in 0..4 {
        let (queue, total) = (queue.clone(), total.clone());
        crew.spawn(move |clock, space| {
            let (mut random, mut n) = (Random::new(seed), 0);
            while clock.running() && n < 5_000 {
                let priority = random.below(100);
                space.atomically(|tx| {
                    queue.push(tx, priority, n);
                    Ok(tx.merge(&total, |n| n + 1))
                });
                n += 1;
            }
        });
    }
    let space = crew.finish();
    assert_eq!((space.stats().conflicts, space.stats().reruns), (0, 0));
    let pop = || space.atomically(|tx| Ok(queue.try_pop(tx).map(|(priority, _)| *priority)));
    let order: Vec<usize> = std::iter::from_fn(pop).collect();
    assert_eq!(order.len() as u64, total.load());
    assert!(order.is_sorted_by(|a, b| a >= b));
}
