//! §2.8, §2.9, §3.4 and §8 for futures: misuse panics in the poll, says where, and leaves nothing.

mod async_common;
mod blocking_common;

use std::cell::Cell;

use async_common::{ByHand, take};
use blocking_common::panic_message;
use tvar::{Space, TVar, TxOptions, atomically_async, watch};

#[test]
fn s3_4_a_futile_retry_panics_in_the_poll_and_names_the_call() {
    let space = Space::new();
    let mut call = ByHand::new(space.atomically_async(|tx| tx.retry::<()>()));
    let message = panic_message(|| call.poll());
    for part in ["tvar: futile retry", "`Space::atomically_async` at ", "async_misuse.rs", "nothing was read"] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    let mut call = ByHand::new(space.atomically_async(|tx| {
        let own = TVar::new_in(&space, 0);
        tx.check(*tx.read(&own) > 0)
    }));
    assert!(panic_message(|| call.poll()).contains("made in the attempt"));
    assert_eq!(space.waiters(), 0);
}

#[test]
fn s2_8_a_panic_in_the_closure_leaves_nothing_and_ends_the_future() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let undone = TVar::new_in(&space, 0);
    let mut call = ByHand::asleep(space.atomically_async(|tx| {
        let undone = undone.clone();
        tx.on_rollback(move || undone.update(|n| n + 1));
        match *tx.read(&v) {
            0 => tx.retry::<()>(),
            n => {
                tx.write(&v, 50);
                panic!("on {n}");
            }
        }
    }));
    v.store(1);
    assert_eq!(panic_message(|| call.poll()), "on 1");
    assert_eq!((space.waiters(), v.load(), undone.load(), space.locks().len()), (0, 1, 2, 0));
    assert!(panic_message(|| call.poll()).contains("was polled after its end"));
}

#[test]
fn s7_1_a_panic_in_a_rollback_hook_before_a_sleep_ends_the_future() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let mut call = ByHand::new(space.atomically_async(|tx| {
        tx.on_rollback(|| panic!("hook"));
        tx.check(*tx.read(&v) > 0)
    }));
    assert_eq!(panic_message(|| call.poll()), "hook");
    assert_eq!(space.waiters(), 0);
    assert!(panic_message(|| call.poll()).contains("after its end"));
}

#[test]
fn s8_polled_after_the_end_names_the_call() {
    let space = Space::new();
    let mut plain = ByHand::new(atomically_async(|_| Ok(())));
    let mut limited = ByHand::new(TxOptions::new().run_async(|_| Ok(())));
    let mut typed = ByHand::new(space.try_atomically_async(|tx| tx.abort::<(), _>(1)));
    assert_eq!((plain.poll(), limited.poll(), typed.poll()), (Some(()), Some(Ok(())), Some(Err(1))));
    let messages = [
        ("atomically_async", panic_message(|| plain.poll())),
        ("TxOptions::run_async", panic_message(|| limited.poll())),
        ("Space::try_atomically_async", panic_message(|| typed.poll())),
    ];
    for (name, message) in messages {
        let start = format!("tvar: `{name}` at tests/async_misuse.rs:");
        assert!(message.starts_with(&start) && message.ends_with("was polled after its end"), "{message}");
    }
}

#[test]
fn s2_9_polled_inside_a_running_transaction_names_both_and_leaves_nothing() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let fresh = || ByHand::new(space.atomically_async(|tx| tx.check(*tx.read(&v) == 2)));
    for asleep in [false, true] {
        let mut call = fresh();
        if asleep {
            assert_eq!(call.poll(), None);
            v.store(1);
        }
        let message = panic_message(|| {
            space.atomically(|tx| {
                tx.read(&v);
                call.poll();
                Ok(())
            });
        });
        for part in ["Space::atomically_async", "called inside the transaction `Space::atomically`"] {
            assert!(message.contains(part), "no {part:?} in {message}");
        }
        assert_eq!(space.waiters(), 0);
        assert!(panic_message(|| call.poll()).contains("after its end"));
        v.store(0);
    }
    // The thread and the space are as before.
    v.store(2);
    fresh().end();
}

#[test]
fn s2_9_a_transaction_inside_the_closure_of_a_future_is_nested() {
    let v = TVar::new(0);
    let mut call = ByHand::new(atomically_async(|_| Ok(v.load())));
    let message = panic_message(|| call.poll());
    assert!(message.contains("called inside the transaction `atomically_async`"), "{message}");
    assert_eq!(v.load(), 0);
}

#[test]
fn s2_9_futures_made_inside_a_transaction_run_outside() {
    let v = TVar::new(0);
    let inner = tvar::atomically(|_| {
        Ok(atomically_async({
            let v = v.clone();
            move |tx| {
                tx.write(&v, 1);
                Ok(())
            }
        }))
    });
    assert_eq!(v.load(), 0);
    ByHand::new(inner).end();
    assert_eq!(v.load(), 1);
    // Of a closure of a future, too.
    let call = ByHand::new(atomically_async(|_| Ok(atomically_async(|_| Ok(3))))).end();
    assert_eq!(ByHand::new(call).end(), 3);
}

#[test]
fn s1_1_a_variable_of_another_space_panics_in_the_poll() {
    let (here, there) = (Space::named("here"), Space::named("there"));
    let v = TVar::new_in(&there, None);
    let mut call = ByHand::new(here.atomically_async(|tx| take(tx, &v)));
    let message = panic_message(|| call.poll());
    assert!(message.contains("here") && message.contains("there"), "{message}");
    assert_eq!((here.waiters(), there.waiters()), (0, 0));
}

#[test]
fn s8_what_is_watched_is_only_read() {
    let space = Space::new();
    let (v, map) = (TVar::new_in(&space, 0), tvar::TMap::new_in(&space));
    let how = Cell::new(0);
    let closure = |tx: &tvar::Tx<'_>| {
        let n = *tx.read(&v);
        match how.get() {
            0 => tx.write(&v, n),
            1 => tx.merge(&v, |n| n + 1),
            2 => map.upsert(tx, 1, 1),
            _ => drop(map.remove(tx, &1)),
        }
        Ok(n)
    };
    for _ in 0..3 {
        let mut watched = space.watch(closure);
        let message = panic_message(|| ByHand::new(watched.next()).poll());
        for part in ["tvar: the closure of `Space::watch` at tests/async_misuse.rs:", "has written", "only read"] {
            assert!(message.contains(part), "{}: no {part:?} in {message}", how.get());
        }
        assert!(panic_message(|| ByHand::new(watched.next()).poll()).contains("after its end"));
        how.set(how.get() + 1);
    }
    assert_eq!((v.load(), space.stats().commits, space.waiters()), (0, 0, 0));
}

#[test]
fn s2_2_an_undone_write_is_no_write() {
    let v = TVar::new(0);
    let mut watched = watch(|tx| {
        tx.or_else(
            |tx| {
                tx.write(&v, 1);
                tx.retry()
            },
            |tx| Ok(*tx.read(&v)),
        )
    });
    assert_eq!(ByHand::new(watched.next()).end(), 0);
}

#[test]
fn s3_4_a_watch_that_could_never_go_on_panics_at_once() {
    let space = Space::new();
    let mut watched = space.watch(|_| Ok(1));
    let message = panic_message(|| ByHand::new(watched.next()).poll());
    for part in ["tvar: ", "`Space::watch` at tests/async_misuse.rs:", "nothing was read"] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    let mut own = space.watch(|tx| Ok(*tx.read(&TVar::new_in(&space, 1))));
    let message = panic_message(|| ByHand::new(own.next()).poll());
    assert!(message.contains("made in the attempt"), "{message}");
    assert_eq!(space.waiters(), 0);
}
