//! §8, §1.1, §2.8, §1.2: misuse of collections by its message; what they are as types; what `Debug` shows.
#![allow(clippy::unit_arg, reason = "a closure of one statement ends with it")]

mod common;

use std::cell::Cell;
use std::fmt::Debug;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use common::{assert_names, panic_message};
use tvar::collections::BarrierTicket;
use tvar::{
    Space, TArray, TBarrier, TBoundedQueue, TBroadcast, TMVar, TOnce, TPriorityQueue, TQueue, TReceiver, TSemaphore,
    TSet, Tx,
};

/// A value that is `Send + Sync` and nothing else.
struct Bare;

fn is_handle<T: Clone + Send + Sync + UnwindSafe + RefUnwindSafe>() {}
fn shows<T: Debug>() {}

/// Compiles only if the type does not implement the trait: otherwise the call is ambiguous.
macro_rules! is_not {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<Marker> {
            fn check() {}
        }
        struct Implemented;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
        <$type as Ambiguous<_>>::check();
    }};
}

#[test]
fn s1_2_handles_go_anywhere() {
    is_handle::<TQueue<Bare>>();
    is_handle::<TBoundedQueue<Bare>>();
    is_handle::<TBroadcast<Bare>>();
    is_handle::<TReceiver<Bare>>();
    is_handle::<TPriorityQueue<String, Bare>>();
    is_handle::<TOnce<Bare>>();
    is_handle::<TMVar<Bare>>();
    is_handle::<TArray<Bare>>();
    is_handle::<TSet<String>>();
    is_handle::<TSemaphore>();
    is_handle::<TBarrier>();
    is_handle::<BarrierTicket>();
    shows::<TBroadcast<Bare>>();
    is_not!(TQueue<Rc<u8>>: Send);
    is_not!(TQueue<Cell<u8>>: Sync);
    is_not!(TBoundedQueue<Cell<u8>>: Sync);
    is_not!(TReceiver<Rc<u8>>: Send);
    is_not!(TPriorityQueue<u8, Cell<u8>>: Sync);
    is_not!(TArray<Rc<u8>>: Send);
    is_not!(TMVar<Cell<u8>>: Sync);
    is_not!(TOnce<Rc<u8>>: Send);
    is_not!(TSet<Rc<u8>>: Send);
}

/// The message begins with the crate's name, and the place is that of the caller.
#[track_caller]
fn refuses<R>(parts: &[&str], f: impl FnOnce() -> R) {
    thread_local!(static PLACE: Cell<Option<&'static str>> = const { Cell::new(None) });
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        PLACE.set(info.location().map(|place| if place.file() == file!() { "here" } else { "elsewhere" }));
    }));
    let message = panic_message(f);
    std::panic::set_hook(before);
    assert!(message.starts_with("tvar: "), "{message}");
    assert_names(&message, parts);
    assert_eq!(PLACE.take(), Some("here"), "{message}: {}", Location::caller());
}

#[test]
fn s8_misuse_fails_where_it_is() {
    let space = Space::new();
    refuses(&["capacity zero"], || TBoundedQueue::<u8>::new(0));
    refuses(&["capacity zero"], || TBoundedQueue::<u8>::new_in(&space, 0));
    refuses(&["TQueue", "18446744073709551615"], || TBoundedQueue::<u8>::new(usize::MAX));
    refuses(&["zero parties"], || TBarrier::new(0));
    refuses(&["zero parties"], || TBarrier::new_in(&space, 0));
    let array = TArray::new_in(&space, [1, 2, 3]);
    refuses(&["index 3", "array of 3"], || space.atomically(|tx| Ok(*array.read(tx, 3))));
    refuses(&["index 4", "array of 3"], || space.atomically(|tx| Ok(array.write(tx, 4, 0))));
    refuses(&["index 5", "array of 3"], || space.atomically(|tx| Ok(array.modify(tx, 5, |n| n + 1))));
    let (barrier, other) = (TBarrier::new_in(&space, 1), TBarrier::new_in(&space, 1));
    // The round of that number is over at both: it is not for being early that the ticket is refused.
    let (_, ticket) = space.atomically(|tx| Ok((barrier.arrive(tx), other.arrive(tx))));
    refuses(&["another barrier"], || space.atomically(|tx| barrier.pass(tx, &ticket)));
    let message = panic_message(|| space.atomically(|_| Ok(barrier.wait())));
    assert_names(&message, &["tvar: ", "inside the transaction", file!()]);
}

/// §4.5: nothing is published, and the semaphore goes on.
#[test]
fn s8_too_many_permits() {
    let space = Space::new();
    let permits = TSemaphore::new_in(&space, u64::MAX - 1);
    let signal = |n| space.atomically(|tx| Ok(permits.signal_n(tx, n)));
    let message = panic_message(|| signal(2));
    assert!(message.starts_with("tvar: "), "{message}");
    signal(1);
    assert_eq!(space.atomically(|tx| Ok(permits.available(tx))), u64::MAX);
    panic_message(|| signal(1));
    assert_eq!(space.atomically(|tx| Ok(permits.available(tx))), u64::MAX);
}

fn ignore<T>(_: T) {}

/// §1.1: every collection of another space is refused by name, before anything is published.
#[test]
fn s1_1_collections_of_another_space() {
    let (here, there) = (Space::named("here"), Space::named("there"));
    let queue = TQueue::with_items_in(&there, [1]);
    let bounded = TBoundedQueue::new_in(&there, 1);
    let news = TBroadcast::new_in(&there);
    let priorities = TPriorityQueue::with_items_in(&there, [(1, 1)]);
    let (permits, once, slot) = (TSemaphore::new_in(&there, 1), TOnce::new_in(&there), TMVar::empty_in(&there));
    let (barrier, array, set) = (TBarrier::new_in(&there, 1), TArray::new_in(&there, [1]), TSet::new_in(&there));
    let uses: [&dyn Fn(&Tx<'_>); 14] = [
        &|tx| queue.write(tx, 1),
        &|tx| ignore(queue.try_read(tx)),
        &|tx| queue.unget(tx, 1),
        &|tx| ignore(bounded.try_write(tx, 1)),
        &|tx| ignore(bounded.try_read(tx)),
        &|tx| news.write(tx, 1),
        &|tx| ignore(news.subscribe(tx)),
        &|tx| priorities.push(tx, 1, 1),
        &|tx| permits.signal(tx),
        &|tx| ignore(once.set(tx, 1)),
        &|tx| slot.write(tx, 1),
        &|tx| ignore(barrier.arrive(tx)),
        &|tx| array.write(tx, 0, 1),
        &|tx| ignore(set.insert(tx, 1)),
    ];
    for misuse in uses {
        let message = panic_message(|| here.atomically(|tx| Ok(misuse(tx))));
        assert!(message.starts_with("tvar: "), "{message}");
        assert_names(&message, &["`here`", "`there`"]);
    }
    assert_eq!(here.stats().commits + there.stats().commits, 0);
}

#[test]
fn debug_shows_what_is_committed_and_never_panics() {
    let space = Space::new();
    let queue = TQueue::with_items_in(&space, 1..=2);
    let bounded = TBoundedQueue::new_in(&space, 3);
    let news = TBroadcast::new_in(&space);
    let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
    let priorities = TPriorityQueue::with_items_in(&space, [(1, 'a'), (2, 'b')]);
    let (permits, once, slot) = (TSemaphore::new_in(&space, 4), TOnce::<u8>::new_in(&space), TMVar::new_in(&space, 5));
    let (array, set) = (TArray::new_in(&space, [6, 7]), TSet::with_elements_in(&space, [8]));
    let barrier = TBarrier::new_in(&space, 2);
    // Inside of a transaction it is the snapshot that is shown.
    space.atomically(|tx| {
        queue.write(tx, 3);
        news.write(tx, 9);
        bounded.write(tx, 10)?;
        bounded.write(tx, 11)?;
        bounded.read(tx)?;
        assert_eq!(format!("{queue:?} {bounded:?}"), "TQueue [1, 2] TBoundedQueue { capacity: 3, items: [] }");
        Ok(())
    });
    let shown = format!(
        "{queue:?} {bounded:?} {news:?} {reader:?} {priorities:?} {permits:?} {once:?} {slot:?} {array:?} {set:?} {barrier:?}"
    );
    let expected = "TQueue [1, 2, 3] TBoundedQueue { capacity: 3, items: [11] } TBroadcast { written: 1, .. } \
        TReceiver [9] TPriorityQueue [(2, 'b'), (1, 'a')] TSemaphore { available: 4 } TOnce(None) TMVar(Some(5)) \
        TArray [6, 7] TSet {8} TBarrier { parties: 2, arrived: 0, rounds: 0 }";
    assert_eq!(shown, expected);
    assert_eq!(format!("{:?}", TArray::<u8>::new([])), "TArray []");
}

/// Clones are the same collection; those made apart are not.
#[test]
fn clones_are_the_same() {
    let space = Space::new();
    macro_rules! same {
        ($($made:expr),* $(,)?) => {$({
            let (a, b) = ($made, $made);
            assert!(a.ptr_eq(&a.clone()) && !a.ptr_eq(&b), "{}", stringify!($made));
        })*};
    }
    let news = TBroadcast::<u8>::new();
    same!(
        TQueue::<u8>::default(),
        TBoundedQueue::<u8>::new(1),
        TBroadcast::<u8>::default(),
        tvar::atomically(|tx| Ok(news.subscribe(tx))),
        TPriorityQueue::<u8, u8>::default(),
        TSemaphore::new(1),
        TOnce::<u8>::default(),
        TOnce::from(1),
        TMVar::<u8>::default(),
        TMVar::new(1),
        TBarrier::new(1),
        TArray::from_iter([1]),
        TSet::<u8>::default(),
    );
    let queue: TQueue<u8> = [1, 2].into_iter().collect();
    let clone = queue.clone();
    assert_eq!(tvar::atomically(|tx| clone.read(tx).copied()), 1);
    assert_eq!(tvar::atomically(|tx| queue.read(tx).copied()), 2);
    assert_eq!(space.stats().commits, 0);
}
