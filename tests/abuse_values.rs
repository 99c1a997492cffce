//! §1.2, §2.1: values that allocators and tables may get wrong (no size, an alignment of 1024, padding, a megabyte) through every
//! operation there is. Each knows its number, is looked at for its alignment wherever it is handed out, and is counted.

mod common;

use common::{Census, Counted, elsewhere, settle};
use tvar::{LockMode, Space, TBoundedQueue, TBroadcast, TMVar, TMap, TOnce, TOrdMap, TQueue, TVar};

/// A value that is made of a number; 0 if it has no room for it.
trait Odd: Clone + PartialEq + Send + Sync + 'static {
    fn of(number: u8) -> Self;
    fn number(&self) -> u8;
}

#[derive(Clone, PartialEq)]
struct Empty;

#[derive(Clone, PartialEq)]
#[repr(align(1024))]
struct EmptyAligned;

#[derive(Clone, PartialEq)]
#[repr(align(1024))]
struct Aligned(u8);

/// Holes at every place.
#[derive(Clone, PartialEq)]
#[repr(C, align(32))]
struct Padded(u8, u64, u8, u16, u8);

/// In the value itself.
#[derive(Clone, PartialEq)]
struct Wide([u8; 64 * 1024]);

/// On the heap.
#[derive(Clone, PartialEq)]
struct Heap(Box<[u8]>);

impl Odd for Empty {
    fn of(_: u8) -> Self {
        Empty
    }
    fn number(&self) -> u8 {
        0
    }
}

impl Odd for EmptyAligned {
    fn of(_: u8) -> Self {
        EmptyAligned
    }
    fn number(&self) -> u8 {
        0
    }
}

impl Odd for Aligned {
    fn of(number: u8) -> Self {
        Aligned(number)
    }
    fn number(&self) -> u8 {
        self.0
    }
}

impl Odd for Padded {
    fn of(n: u8) -> Self {
        Padded(n, u64::MAX - u64::from(n), n, u16::MAX, n)
    }
    fn number(&self) -> u8 {
        assert!(*self == Padded::of(self.0), "all of its parts belong together");
        self.0
    }
}

impl Odd for Wide {
    fn of(number: u8) -> Self {
        Wide([number; 64 * 1024])
    }
    fn number(&self) -> u8 {
        assert!([1, 4_097, self.0.len() - 1].iter().all(|at| self.0[*at] == self.0[0]), "one value");
        self.0[0]
    }
}

impl Odd for Heap {
    fn of(number: u8) -> Self {
        Heap(vec![number; 1 << 20].into())
    }
    fn number(&self) -> u8 {
        assert!([1, 70_000, self.0.len() - 1].iter().all(|at| self.0[*at] == self.0[0]), "one value");
        self.0[0]
    }
}

/// With something to drop, so that it is retired as a value; without, as a node.
trait Held: Clone + PartialEq + Send + Sync + 'static {
    fn of(census: &Census, number: u8) -> Self;
    fn number(&self) -> u8;
    fn has_room() -> bool;
}

/// Without a destructor of its own.
#[derive(Clone, PartialEq)]
struct Bare<T>(T);

/// Counted.
struct Kept<T>(T, Counted, Census);

impl<T: Odd> Held for Bare<T> {
    fn of(_: &Census, number: u8) -> Self {
        Bare(T::of(number))
    }
    fn number(&self) -> u8 {
        aligned(&self.0);
        self.0.number()
    }
    fn has_room() -> bool {
        size_of::<T>() > 0
    }
}

impl<T: Odd> Held for Kept<T> {
    fn of(census: &Census, number: u8) -> Self {
        Kept(T::of(number), census.value(u64::from(number)), census.clone())
    }
    fn number(&self) -> u8 {
        aligned(&self.0);
        self.0.number()
    }
    fn has_room() -> bool {
        size_of::<T>() > 0
    }
}

impl<T: Odd> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Kept(self.0.clone(), self.2.value(self.1.id), self.2.clone())
    }
}

impl<T: PartialEq> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 && self.1.id == other.1.id
    }
}

fn aligned<T>(value: &T) {
    assert_eq!(std::ptr::from_ref(value).addr() % align_of::<T>(), 0, "{}", std::any::type_name::<T>());
}

#[track_caller]
fn is<T: Held>(value: &T, number: u8) {
    aligned(value);
    assert_eq!(value.number(), if T::has_room() { number } else { 0 });
}

fn variables<T: Held>(space: &Space, census: &Census) {
    let of = |number| T::of(census, number);
    let [a, b] = [1, 2].map(|number| TVar::new_in(space, of(number)));
    let before = space.snapshot();
    space.atomically(|tx| {
        let first = tx.read(&a);
        is(first, 1);
        tx.write(&a, of(3));
        let own = tx.read(&a);
        tx.modify(&a, |old| {
            is(old, 3);
            of(4)
        });
        is(tx.replace(&a, of(5)), 4);
        // What was handed out stays.
        is(first, 1);
        is(own, 3);
        assert!(!tx.write_if_changed(&a, of(5)));
        for number in [6, 7] {
            let census = census.clone();
            tx.merge(&b, move |old| {
                aligned(old);
                T::of(&census, number)
            });
        }
        tx.or_else(
            |tx| {
                tx.write(&a, of(8));
                tx.lock(&b, LockMode::Exclusive)?;
                tx.retry()
            },
            |tx| {
                is(tx.read(&a), 5);
                tx.modify(&a, |_| of(9));
                Ok(())
            },
        )?;
        let part = tx.nested(|tx| {
            tx.write(&a, of(10));
            tx.abort::<(), _>(of(11))
        })?;
        is(&part.expect_err("it aborts"), 11);
        Ok(())
    });
    let snapshot = space.snapshot();
    is(snapshot.read(&a), 9);
    is(snapshot.read(&b), 7);
    is(before.read(&a), 1);
    is(&a.load(), 9);
    elsewhere(|| a.store(of(12)));
    a.update(|old| {
        is(old, 12);
        of(13)
    });
    let census_too = census.clone();
    let merged = space.atomically(|tx| {
        let census = census_too.clone();
        Ok(tx.merge_then(&b, move |_| T::of(&census, 14), Clone::clone))
    });
    is(&merged.unwrap(), 14);
    // Announced, and built by another.
    let announced = space.options().coalesce_after(0).run(|tx| {
        let census = census_too.clone();
        tx.merge(&b, move |_| T::of(&census, 15));
        tx.write(&a, of(16));
        Ok(())
    });
    assert_eq!(announced, Ok(()));
    is(&a.load(), 16);
    is(&b.load(), 15);
    // A slot that was another's.
    for number in 20..30 {
        let passing = TVar::new_in(space, of(number));
        passing.store(of(number + 1));
        is(&passing.load(), number + 1);
    }
    is(snapshot.read(&a), 9);
}

fn maps<T: Held>(space: &Space, census: &Census) {
    let of = |number| T::of(census, number);
    let hash: TMap<u64, T> = TMap::new_in(space);
    let ordered: TOrdMap<u64, T> = TOrdMap::with_entries_in(space, (0..3).map(|number| (number, of(number as u8))));
    space.atomically(|tx| {
        for number in 0..40 {
            hash.upsert(tx, number, of(number as u8));
            let census = census.clone();
            ordered.upsert_with(tx, number, of(number as u8), move |old| {
                aligned(old);
                T::of(&census, old.number())
            });
        }
        is(hash.insert(tx, 7, of(70)).expect("it was there"), 7);
        is(ordered.remove(tx, &8).expect("it was there"), 8);
        is(hash.entry(tx, 90).or_insert(of(90)), 90);
        hash.modify(tx, &9, |old| {
            is(old, 9);
            of(99)
        });
        is(ordered.pop_first(tx).expect("there are many").1, 0);
        is(ordered.range(tx, 20..).next_back().expect("there are many").1, 39);
        Ok(())
    });
    let snapshot = space.snapshot();
    space.atomically(|tx| {
        hash.clear(tx);
        ordered.clear(tx);
        Ok(())
    });
    hash.iter(&snapshot).for_each(|(key, value)| {
        is(value, [(7, 70), (9, 99)].iter().find(|(k, _)| k == key).map_or(*key as u8, |(_, n)| *n))
    });
    ordered.iter(&snapshot).for_each(|(key, value)| is(value, *key as u8));
    assert_eq!((hash.len(&snapshot), ordered.len(&snapshot)), (41, 38));
}

fn collections<T: Held>(space: &Space, census: &Census) {
    let of = |number| T::of(census, number);
    let (queue, ring) = (TQueue::new_in(space), TBoundedQueue::new_in(space, 3));
    let (slot, once, news) = (TMVar::empty_in(space), TOnce::new_in(space), TBroadcast::new_in(space));
    let reader = space.atomically(|tx| Ok(news.subscribe(tx)));
    for round in 0..4 {
        space.atomically(|tx| {
            queue.write(tx, of(round));
            ring.write(tx, of(round))?;
            news.write(tx, of(round));
            slot.put(tx, of(round))
        });
        space.atomically(|tx| {
            is(queue.read(tx)?, round);
            is(ring.read(tx)?, round);
            is(reader.read(tx)?, round);
            is(slot.take(tx)?, round);
            Ok(())
        });
    }
    space.atomically(|tx| {
        assert!(once.set(tx, of(5)).is_ok());
        is(once.get(tx)?, 5);
        queue.unget(tx, of(6));
        is(queue.peek(tx)?, 6);
        Ok(())
    });
}

fn through_everything<T: Held>() {
    let (space, census) = (Space::new(), Census::new());
    for whole in [variables::<T>, maps::<T>, collections::<T>] {
        whole(&space, &census);
        settle(&space, || census.live() == 0);
    }
}

macro_rules! odd {
    ($($name:ident: $($type:ty)*;)*) => {$(
        #[test]
        fn $name() {
            // Large values are made on the stack before they are boxed.
            let run = || { $(through_everything::<$type>();)* };
            std::thread::Builder::new().stack_size(64 << 20).spawn(run).unwrap().join().unwrap();
        }
    )*};
}

odd! {
    s1_2_nothing: Bare<Empty> Kept<Empty>;
    s1_2_nothing_aligned: Bare<EmptyAligned>;
    s1_2_aligned: Bare<Aligned> Kept<Aligned>;
    s1_2_padded: Bare<Padded>;
    s1_2_wide: Bare<Wide>;
    s1_2_a_megabyte: Kept<Heap>;
}
