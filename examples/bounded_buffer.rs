//! A bounded buffer: producers sleep while it is full, consumers while it is empty.
//!
//! Shows how a blocking data structure is made of variables: `put` and `take` are ordinary
//! functions that return `Stm`, wait with `tx.check` and compose: the consumers here take from
//! whichever of two buffers has something, the urgent one first, or learn that all is done.
//!
//! Run with `cargo run --release --example bounded_buffer`.

use std::thread;

use tvar::{Space, Stm, TVar, Tx, atomically};

const CAPACITY: usize = 8;
const PRODUCERS: u64 = 3;
const CONSUMERS: usize = 3;
const ITEMS: u64 = 10_000;

/// A ring of slots. `put` and `take` change different counters, so that they get in each other's
/// way no more than they must.
struct Buffer<T> {
    slots: Vec<TVar<Option<T>>>,
    put: TVar<usize>,
    taken: TVar<usize>,
}

impl<T: Clone + Send + Sync + 'static> Buffer<T> {
    fn new(capacity: usize) -> Self {
        let slots = (0..capacity).map(|_| TVar::new(None)).collect();
        Self { slots, put: TVar::new(0), taken: TVar::new(0) }
    }

    fn put(&self, tx: &Tx<'_>, item: T) -> Stm<()> {
        let put = *tx.read(&self.put);
        tx.check(put - *tx.read(&self.taken) < self.slots.len())?;
        tx.write(&self.slots[put % self.slots.len()], Some(item));
        tx.write(&self.put, put + 1);
        Ok(())
    }

    fn take(&self, tx: &Tx<'_>) -> Stm<T> {
        let taken = *tx.read(&self.taken);
        tx.check(taken < *tx.read(&self.put))?;
        tx.write(&self.taken, taken + 1);
        match tx.replace(&self.slots[taken % self.slots.len()], None) {
            Some(item) => Ok(item.clone()),
            None => unreachable!("a slot between `taken` and `put` is full"),
        }
    }
}

#[derive(Clone, Copy)]
struct Item {
    producer: u64,
    number: u64,
}

fn main() {
    let urgent = Buffer::new(CAPACITY);
    let normal = Buffer::new(CAPACITY);
    let closed = TVar::new(false);
    let (urgent, normal, closed) = (&urgent, &normal, &closed);

    let (received, checks) = thread::scope(|scope| {
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                // The first producer is the urgent one.
                let buffer = if producer == 0 { urgent } else { normal };
                scope.spawn(move || {
                    for number in 0..ITEMS {
                        atomically(|tx| buffer.put(tx, Item { producer, number }));
                    }
                })
            })
            .collect();
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|_| {
                scope.spawn(move || {
                    let mut received = Vec::new();
                    // `None` only when both buffers are empty and nobody puts any more.
                    while let Some(item) = atomically!(
                        |tx| { Some(urgent.take(tx)?) }
                        or |tx| { Some(normal.take(tx)?) }
                        or |tx| { tx.check(*tx.read(closed))?; None }
                    ) {
                        received.push(item);
                    }
                    received
                })
            })
            .collect();
        let inspector = scope.spawn(move || {
            let mut checks = 0_u64;
            loop {
                let now = Space::global().snapshot();
                for buffer in [urgent, normal] {
                    let filled = buffer.slots.iter().filter(|s| now.read(s).is_some()).count();
                    let counted = *now.read(&buffer.put) - *now.read(&buffer.taken);
                    assert_eq!(filled, counted, "counters and slots disagree");
                    assert!(counted <= CAPACITY, "{counted} items in {CAPACITY} slots");
                }
                checks += 1;
                if *now.read(closed) {
                    return checks;
                }
            }
        });
        let producers: Vec<_> = producers.into_iter().map(|p| p.join()).collect();
        closed.store(true);
        assert!(producers.iter().all(Result::is_ok), "a producer panicked");
        let received: Vec<Vec<Item>> = consumers.into_iter().map(|c| c.join().expect("a consumer panicked")).collect();
        (received, inspector.join().expect("the inspector found a bad snapshot"))
    });

    // Everything arrived once, and to each consumer in the order of its producer.
    let mut seen = vec![vec![false; ITEMS as usize]; PRODUCERS as usize];
    for items in &received {
        let mut next = [0; PRODUCERS as usize];
        for item in items {
            let producer = item.producer as usize;
            assert!(item.number >= next[producer], "items of one producer changed their order");
            next[producer] = item.number + 1;
            let seen = &mut seen[producer][item.number as usize];
            assert!(!std::mem::replace(seen, true), "an item arrived twice");
        }
    }
    assert!(seen.iter().flatten().all(|s| *s), "an item was lost");
    let shares: Vec<usize> = received.iter().map(Vec::len).collect();
    println!("{} items arrived once and in order", PRODUCERS * ITEMS);
    println!("shares of the consumers: {shares:?}; snapshots checked: {checks}");
}
