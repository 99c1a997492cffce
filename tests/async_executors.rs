//! §3.6: futures run on any executor, and threads and tasks wake each other.

mod async_common;
mod blocking_common;

use std::thread;

use async_common::{ByHand, on_every_executor, take, tokio_current, tokio_workers};
use blocking_common::{Waiter, eventually, guarded, join};
use tvar::{Space, TVar, TxOptions, atomically_async, try_atomically_async};

#[test]
fn s3_6_a_call_that_need_not_wait_ends_in_its_first_poll() {
    let v = TVar::new(1);
    let call = ByHand::new(atomically_async(|tx| {
        tx.modify(&v, |n| n + 1);
        Ok(*tx.read(&v))
    }));
    assert_eq!(v.load(), 1, "nothing happens before the first poll");
    assert_eq!(call.end(), 2);
    assert_eq!(v.load(), 2);
}

#[test]
fn s3_6_a_commit_of_a_thread_wakes_a_task_of_every_executor() {
    guarded(|| {
        on_every_executor(|| {
            let space = Space::new();
            let inbox = TVar::new_in(&space, None);
            let sender = thread::spawn({
                let inbox = inbox.clone();
                move || {
                    eventually("the task sleeps", || inbox.waiters() == 1);
                    inbox.store(Some(7));
                }
            });
            async move {
                assert_eq!(space.atomically_async(|tx| take(tx, &inbox)).await, 7);
                assert_eq!((space.waiters(), inbox.load()), (0, None));
                join("the sender ends", sender);
            }
        });
    });
}

#[test]
fn s3_6_a_commit_of_a_task_wakes_a_thread() {
    guarded(|| {
        on_every_executor(|| {
            let space = Space::new();
            let inbox = TVar::new_in(&space, None);
            let waiter = Waiter::asleep(&space, {
                let inbox = inbox.clone();
                move |tx| take(tx, &inbox)
            });
            async move {
                let fill = |tx: &tvar::Tx<'_>| {
                    tx.write(&inbox, Some(7));
                    Ok(())
                };
                space.atomically_async(fill).await;
                assert_eq!(waiter.finish("the thread wakes"), (7, 2));
            }
        });
    });
}

#[test]
fn s3_6_tasks_of_one_thread_wake_each_other() {
    guarded(|| {
        let (there, back) = (TVar::new(None), TVar::new(None));
        let ping = async {
            for n in 0..100 {
                there.store(Some(n));
                assert_eq!(atomically_async(|tx| take(tx, &back)).await, n);
            }
        };
        let pong = async {
            for _ in 0..100 {
                let n = atomically_async(|tx| take(tx, &there)).await;
                try_atomically_async::<_, (), _>(|tx| {
                    tx.write(&back, Some(n));
                    Ok(())
                })
                .await
                .unwrap();
            }
        };
        tokio_current().block_on(async { tokio::join!(ping, pong) });
    });
}

#[test]
fn s3_6_a_chain_over_executors_and_threads() {
    guarded(|| {
        let space = Space::new();
        let cells: Vec<TVar<Option<u64>>> = (0..7).map(|_| TVar::new_in(&space, None)).collect();
        let hop = |from: usize| {
            let (from, to) = (cells[from].clone(), cells[from + 1].clone());
            move |tx: &tvar::Tx<'_>| {
                let n = take(tx, &from)?;
                tx.write(&to, Some(n + 1));
                Ok(())
            }
        };
        let (workers, single) = (tokio_workers(2), tokio_current());
        let limited = TxOptions::new().space(&space);
        workers.spawn(space.atomically_async(hop(0)));
        thread::spawn({
            let (space, hop) = (space.clone(), hop(1));
            move || space.atomically(hop)
        });
        smol::spawn(space.atomically_async(hop(2))).detach();
        workers.spawn(limited.run_async(hop(3)));
        thread::spawn({
            let (space, hop) = (space.clone(), hop(4));
            move || futures::executor::block_on(space.atomically_async(hop))
        });
        thread::spawn({
            let hop = hop(5);
            let limited = limited.clone();
            move || single.block_on(limited.try_run_async(|tx| hop(tx).map_err(tvar::Abort::<()>::from))).unwrap()
        });
        eventually("all sleep", || space.waiters() == 6);
        cells[0].store(Some(0));
        assert_eq!(space.atomically(|tx| take(tx, &cells[6])), 6);
        eventually("all end", || space.waiters() == 0);
    });
}

#[test]
fn s3_6_one_future_after_another_in_an_async_fn_and_borrowed_variables() {
    async fn moves(from: &TVar<u64>, to: &TVar<u64>, times: u64) -> u64 {
        for _ in 0..times {
            atomically_async(|tx| {
                tx.check(*tx.read(from) > 0)?;
                tx.modify(from, |n| n - 1);
                tx.modify(to, |n| n + 1);
                Ok(())
            })
            .await;
        }
        to.load()
    }
    guarded(|| {
        let (a, b) = (TVar::new(3), TVar::new(0));
        let forth = moves(&a, &b, 5);
        let back = moves(&b, &a, 2);
        let (there, _) = tokio_current().block_on(async { tokio::join!(forth, back) });
        assert_eq!((a.load(), b.load(), there), (0, 3, 3));
    });
}
