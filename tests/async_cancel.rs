//! §3.6, §3.7: a future that is dropped leaves nothing, wherever it stands, and never commits afterwards.

mod async_common;
mod blocking_common;

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_common::{ByHand, take, tokio_current, tokio_workers};
use blocking_common::{Counted, eventually, guarded, live_count, settle};
use tvar::{Space, TMap, TVar, Tx};

/// A space with a variable that is empty, and one that is written by whoever finds it full.
fn inbox() -> (Space, TVar<Option<u64>>, TVar<u64>) {
    let space = Space::new();
    let (inbox, sum) = (TVar::new_in(&space, None), TVar::new_in(&space, 0));
    (space, inbox, sum)
}

/// Adds what it takes.
fn adder(inbox: &TVar<Option<u64>>, sum: &TVar<u64>) -> impl FnMut(&Tx<'_>) -> tvar::Stm<()> + Send + use<> {
    let (inbox, sum) = (inbox.clone(), sum.clone());
    move |tx| {
        let n = take(tx, &inbox)?;
        tx.modify(&sum, |sum| sum + n);
        Ok(())
    }
}

#[track_caller]
fn nothing_left(space: &Space, inbox: &TVar<Option<u64>>, sum: &TVar<u64>) {
    assert_eq!((space.waiters(), inbox.waiters(), space.locks().len()), (0, 0, 0));
    inbox.store(Some(1));
    assert_eq!((inbox.load(), sum.load()), (Some(1), 0), "it has never committed");
}

#[test]
fn s3_7_dropped_before_its_first_poll() {
    let (space, inbox, sum) = inbox();
    drop(space.atomically_async(adder(&inbox, &sum)));
    nothing_left(&space, &inbox, &sum);
}

#[test]
fn s3_7_dropped_while_asleep() {
    let (space, inbox, sum) = inbox();
    let call = ByHand::asleep(space.atomically_async(adder(&inbox, &sum)));
    let pokes = call.pokes.clone();
    assert_eq!((space.waiters(), inbox.waiters(), Arc::strong_count(&pokes)), (1, 1, 3));
    drop(call);
    assert_eq!(Arc::strong_count(&pokes), 1, "its waker is gone too");
    nothing_left(&space, &inbox, &sum);
    assert_eq!(pokes.count(), 0);
}

#[test]
fn s3_7_dropped_between_polls_that_nobody_asked_for() {
    let (space, inbox, sum) = inbox();
    let mut call = ByHand::asleep(space.atomically_async(adder(&inbox, &sum)));
    for _ in 0..3 {
        assert!(call.poll().is_none());
    }
    drop(call);
    nothing_left(&space, &inbox, &sum);
}

#[test]
fn s3_7_dropped_after_it_was_woken_and_before_it_was_polled() {
    let (space, inbox, sum) = inbox();
    let call = ByHand::asleep(space.atomically_async(adder(&inbox, &sum)));
    inbox.store(Some(9));
    assert_eq!((call.pokes.count(), inbox.waiters()), (1, 1));
    drop(call);
    assert_eq!((inbox.load(), sum.load()), (Some(9), 0), "what woke it is left for others");
    nothing_left(&space, &inbox, &sum);
}

#[test]
fn s3_7_dropped_with_a_deadline_running() {
    let (space, inbox, sum) = inbox();
    let options = space.options().timeout(blocking_common::FAR);
    let call = ByHand::asleep(options.run_async(adder(&inbox, &sum)));
    drop(call);
    nothing_left(&space, &inbox, &sum);
}

#[test]
fn s3_7_what_a_wait_has_of_maps_goes_with_it() {
    let (live, space) = (live_count(), Space::new());
    let map: TMap<u64, Counted> = TMap::new_in(&space);
    let call = ByHand::asleep(space.atomically_async({
        let (map, mine) = (map.clone(), Counted::new(&live, 1));
        move |tx| tx.check(map.get(tx, &mine.get()).is_some())
    }));
    assert_eq!((live.load(Ordering::SeqCst), space.waiters()), (1, 1));
    drop((map, call));
    assert_eq!((live.load(Ordering::SeqCst), space.waiters()), (0, 0));
}

#[test]
fn s3_7_select_drops_the_loser() {
    guarded(|| {
        let (space, inbox, sum) = inbox();
        let other = TVar::new_in(&space, Some(3));
        tokio_current().block_on(async {
            for _ in 0..10 {
                tokio::select! {
                    biased;
                    () = space.atomically_async(adder(&inbox, &sum)) => panic!("nothing was sent"),
                    n = space.atomically_async(|tx| take(tx, &other)) => assert_eq!(n, 3),
                }
                assert_eq!(space.waiters(), 0);
                other.store(Some(3));
            }
        });
        nothing_left(&space, &inbox, &sum);
    });
}

#[test]
fn s3_7_abort_of_a_task_and_the_end_of_its_runtime() {
    guarded(|| {
        for by_abort in [true, false] {
            let (space, inbox, sum) = inbox();
            let workers = tokio_workers(2);
            let task = workers.spawn(space.atomically_async(adder(&inbox, &sum)));
            eventually("it sleeps", || space.waiters() == 1);
            if by_abort {
                task.abort();
                assert!(workers.block_on(task).unwrap_err().is_cancelled());
            } else {
                drop(workers);
            }
            nothing_left(&space, &inbox, &sum);
        }
        let (space, inbox, sum) = inbox();
        let task = smol::spawn(space.atomically_async(adder(&inbox, &sum)));
        eventually("it sleeps", || space.waiters() == 1);
        smol::block_on(task.cancel());
        nothing_left(&space, &inbox, &sum);
    });
}

#[test]
fn s3_7_at_every_await_of_a_longer_function() {
    for stop in 0..6 {
        let space = Space::new();
        let steps: Vec<TVar<Option<u64>>> = (0..5).map(|_| TVar::new_in(&space, None)).collect();
        let done = TVar::new_in(&space, 0);
        let mut call = ByHand::new(async {
            for step in &steps {
                space.atomically_async(adder(step, &done)).await;
            }
        });
        let mut ended = call.poll().is_some();
        for step in &steps[..stop.min(5)] {
            assert!(!ended);
            assert_eq!((space.waiters(), step.waiters()), (1, 1));
            step.store(Some(1));
            ended = call.poll().is_some();
        }
        assert_eq!(ended, stop >= 5);
        drop(call);
        assert_eq!((space.waiters(), done.load()), (0, stop.min(5) as u64), "at {stop}");
        steps.iter().for_each(|step| step.store(Some(1)));
        assert_eq!(done.load(), stop.min(5) as u64, "at {stop}");
    }
}

#[test]
fn s3_7_dropped_inside_the_closure_of_a_transaction() {
    for same in [true, false] {
        let (space, inbox, sum) = inbox();
        let elsewhere = Space::new();
        let call = RefCell::new(Some(ByHand::asleep(space.atomically_async(adder(&inbox, &sum)))));
        let around = if same { &space } else { &elsewhere };
        around.atomically(|tx| {
            if same {
                tx.write(&sum, 0);
            }
            drop(call.take());
            assert_eq!(space.waiters(), 0);
            Ok(())
        });
        nothing_left(&space, &inbox, &sum);
    }
}

#[test]
fn s3_7_the_last_trace_of_its_space_dropped_inside_another_transaction() {
    let live = live_count();
    let call = {
        let space = Space::new();
        let v = TVar::new_in(&space, Counted::new(&live, 1));
        ByHand::asleep(space.atomically_async(move |tx| tx.check(tx.read(&v).get() == 2)))
    };
    assert_eq!(live.load(Ordering::SeqCst), 1);
    let call = RefCell::new(Some(call));
    Space::new().atomically(|_| {
        drop(call.take());
        Ok(())
    });
    assert_eq!(live.load(Ordering::SeqCst), 0);
}

/// Drops what it holds, in its own destructor.
struct Holds(#[allow(dead_code, reason = "held")] Box<dyn Send + Sync>);

struct Shareable<T>(std::sync::Mutex<T>);

#[test]
fn s4_3_dropped_in_the_destructor_of_a_value() {
    let (space, inbox, sum) = inbox();
    let call = ByHand::asleep(space.atomically_async(adder(&inbox, &sum)));
    let holder = TVar::new_in(&space, Some(Holds(Box::new(Shareable(std::sync::Mutex::new(call))))));
    assert_eq!(space.waiters(), 1);
    holder.store(None);
    blocking_common::elsewhere(|| ());
    space.atomically(|tx| {
        tx.write(&sum, 0);
        Ok(())
    });
    nothing_left(&space, &inbox, &sum);
}

#[test]
fn s3_7_dropped_and_polled_at_the_end_of_a_thread() {
    type Kept = std::pin::Pin<Box<dyn Future<Output = ()>>>;
    struct AtExit(Option<Kept>, bool);
    impl Drop for AtExit {
        fn drop(&mut self) {
            if self.1 {
                let call = self.0.take().unwrap();
                ByHand::new(call).end();
            }
        }
    }
    thread_local!(static KEPT: RefCell<Option<AtExit>> = const { RefCell::new(None) });
    for (early, poll) in [(true, false), (false, false), (true, true), (false, true)] {
        let (space, inbox, sum) = inbox();
        let thread = std::thread::spawn({
            let (space, inbox, sum) = (space.clone(), inbox.clone(), sum.clone());
            move || {
                if early {
                    KEPT.set(None);
                }
                let mut call: Kept = Box::pin(space.atomically_async(adder(&inbox, &sum)));
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(call.as_mut().poll(&mut context).is_pending());
                if poll {
                    inbox.store(Some(5));
                }
                KEPT.set(Some(AtExit(Some(call), poll)));
            }
        });
        thread.join().unwrap();
        assert_eq!((space.waiters(), sum.load()), (0, if poll { 5 } else { 0 }));
    }
}

#[test]
fn s3_6_wakes_that_race_with_drops_leave_nothing() {
    guarded(|| {
        let (space, inbox, sum) = inbox();
        let writer = std::thread::spawn({
            let inbox = inbox.clone();
            move || (1..=2_000).for_each(|n| inbox.store((n % 2 == 0).then_some(n)))
        });
        let mut taken = 0;
        while !writer.is_finished() {
            let mut call = ByHand::new(space.atomically_async(|tx| take(tx, &inbox)));
            for _ in 0..3 {
                if let Some(n) = call.poll() {
                    taken += n;
                    break;
                }
                settle();
            }
        }
        writer.join().unwrap();
        assert!(taken <= (1..=1_000u64).map(|n| 2 * n).sum());
        inbox.store(None);
        nothing_left(&space, &inbox, &sum);
    });
}
