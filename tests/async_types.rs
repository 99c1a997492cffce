//! §3.6 in the types: which futures are `Send`, `Sync` and `'static`.

mod async_common;

use std::cell::Cell;
use std::rc::Rc;

use async_common::ByHand;
use futures::Stream;
use tvar::{Space, TMap, TVar, TxOptions, Watch, atomically_async, try_atomically_async, watch};

fn is_send<T: Send>(value: T) -> T {
    value
}
fn is_unpin<T: Unpin>(_: &T) {}
fn outlives_all<T: 'static>(value: T) -> T {
    value
}

#[test]
fn s3_6_futures_of_send_closures_are_send_and_static() {
    let (space, v) = (Space::new(), TVar::new(Box::new(1)));
    let read = {
        let v = v.clone();
        move |tx: &tvar::Tx<'_>| Ok(**tx.read(&v))
    };
    let typed = {
        let v = v.clone();
        move |tx: &tvar::Tx<'_>| if **tx.read(&v) < 0 { tx.abort("negative") } else { Ok(()) }
    };
    // The space's own name may go: futures hold what they need.
    let options = TxOptions::new().label("typed");
    drop(outlives_all(is_send(space.atomically_async(|_| Ok(())))));
    drop(outlives_all(is_send(space.try_atomically_async::<(), (), _>(|_| Ok(())))));
    drop(outlives_all(is_send(space.watch(|_| Ok(())))));
    drop(space);
    assert_eq!(ByHand::new(outlives_all(is_send(atomically_async(read.clone())))).end(), 1);
    assert_eq!(ByHand::new(outlives_all(is_send(try_atomically_async(typed.clone())))).end(), Ok(()));
    assert_eq!(ByHand::new(outlives_all(is_send(options.run_async(read.clone())))).end(), Ok(1));
    assert!(ByHand::new(outlives_all(is_send(options.try_run_async(typed)))).end().is_ok());
    let mut watched = outlives_all(is_send(watch(read)));
    is_unpin(&watched);
    assert_eq!(ByHand::new(is_send(watched.next())).end(), 1);
    let mut values = outlives_all(is_send(v.watch()));
    is_unpin(&values);
    assert_eq!(*ByHand::new(is_send(values.next())).end(), 1);
}

#[test]
fn s3_6_also_while_they_sleep_for_maps_with_a_deadline_and_over_awaits() {
    let (space, map) = (Space::new(), TMap::<String, Vec<u8>>::new());
    let long = async move {
        let absent = TxOptions::new()
            .timeout(std::time::Duration::from_millis(1))
            .run_async(|tx| tx.check(map.contains_key(tx, "none")));
        let late = absent.await.is_err();
        let mut lengths = watch(|tx| Ok(map.len(tx)));
        (late, lengths.next().await, space.atomically_async(|_| Ok(1)).await)
    };
    assert_eq!(futures::executor::block_on(outlives_all(is_send(long))), (true, 0, 1));
}

/// Compiles only if the type does not implement `Send`: otherwise the call is ambiguous.
trait AmbiguousIfSend<Marker> {
    fn is_not_send(&self) {}
}
impl<T: ?Sized> AmbiguousIfSend<()> for T {}
impl<T: ?Sized + Send> AmbiguousIfSend<u8> for T {}

#[test]
fn s3_6_a_closure_that_is_not_send_makes_a_future_that_stays() {
    let (v, runs) = (TVar::new(3), Rc::new(Cell::new(0)));
    let count = || {
        let (v, runs) = (v.clone(), runs.clone());
        move |tx: &tvar::Tx<'_>| {
            runs.set(runs.get() + 1);
            Ok(*tx.read(&v))
        }
    };
    let call = atomically_async(count());
    call.is_not_send();
    assert_eq!(futures::executor::block_on(call), 3);
    let mut watched = watch(count());
    watched.is_not_send();
    assert_eq!(futures::executor::block_on(watched.next()), 3);
    assert_eq!(runs.get(), 2);
}

#[test]
fn s3_6_results_and_closures_need_not_be_send_and_may_borrow() {
    let v = TVar::new(String::from("borrowed"));
    let mut lengths = Vec::new();
    let call = atomically_async(|tx| {
        lengths.push(tx.read(&v).len());
        Ok(Rc::new(tx.read(&v).clone()))
    });
    assert_eq!(*ByHand::new(call).end(), "borrowed");
    assert_eq!(lengths, [8]);
}

#[test]
fn a_watch_is_a_stream_that_can_be_named() {
    fn first<R, F>(values: Watch<F>) -> impl Stream<Item = R>
    where
        F: FnMut(&tvar::Tx<'_>) -> tvar::Stm<R>,
    {
        values
    }
    let v = TVar::new(1);
    let mut values = Box::pin(first(watch(|tx| Ok(*tx.read(&v)))));
    let next = futures::StreamExt::next(&mut values);
    assert_eq!(futures::executor::block_on(next), Some(1));
}
