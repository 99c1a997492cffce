//! Collections block tasks as they block threads (§3.6, §6.3).

#![allow(clippy::unit_arg, reason = "a transaction that only writes")]

use std::thread;

use futures::executor::block_on;
use futures::future::join;
use tvar::{Space, TBoundedQueue, TMVar, TQueue, TSemaphore};

#[test]
fn s6_3_tasks_and_threads_share_a_bounded_queue() {
    let space = Space::new();
    let queue = TBoundedQueue::new_in(&space, 2);
    let writer = thread::spawn({
        let (space, queue) = (space.clone(), queue.clone());
        move || (0..200u64).for_each(|n| space.atomically(|tx| queue.write(tx, n)))
    });
    let read = block_on(async {
        let mut read = Vec::new();
        for _ in 0..200 {
            read.push(space.atomically_async(|tx| queue.read(tx).copied()).await);
        }
        read
    });
    writer.join().unwrap();
    assert_eq!(read, (0..200).collect::<Vec<_>>());
    assert_eq!(space.waiters(), 0);
}

#[test]
fn s6_3_two_tasks_of_one_thread_wait_for_each_other() {
    let space = Space::new();
    let (there, back) = (TMVar::empty_in(&space), TQueue::new_in(&space));
    let permits = TSemaphore::new_in(&space, 0);
    let first = async {
        space.atomically_async(|tx| permits.wait(tx)).await;
        space.atomically_async(|tx| there.put(tx, 7)).await;
        space.atomically_async(|tx| back.read(tx).copied()).await
    };
    let second = async {
        space.atomically_async(|tx| Ok(permits.signal(tx))).await;
        let n = space.atomically_async(|tx| there.take(tx).copied()).await;
        space.atomically_async(|tx| Ok(back.write(tx, n + 1))).await;
    };
    assert_eq!(block_on(join(first, second)).0, 8);
    assert_eq!(space.waiters(), 0);
}
