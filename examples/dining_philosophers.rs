//! Dining philosophers: taking two forks at once, without a deadlock and without an order of forks.
//!
//! Shows `tx.check`: a philosopher sleeps until both forks are free and takes both or none. A
//! spectator looks at snapshots all the while: two neighbours must never be seen eating.
//!
//! Run with `cargo run --release --example dining_philosophers`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tvar::{Space, Stm, TVar, Tx, atomically};

const PHILOSOPHERS: usize = 5;
const MEALS: u64 = 2_000;

struct Seat<'a> {
    left: &'a TVar<bool>,
    right: &'a TVar<bool>,
    eating: &'a TVar<bool>,
    meals: &'a TVar<u64>,
}

impl Seat<'_> {
    fn begin(&self, tx: &Tx<'_>) -> Stm<()> {
        tx.check(!*tx.read(self.left) && !*tx.read(self.right))?;
        tx.write(self.left, true);
        tx.write(self.right, true);
        tx.write(self.eating, true);
        Ok(())
    }

    fn end(&self, tx: &Tx<'_>) -> Stm<()> {
        tx.write(self.left, false);
        tx.write(self.right, false);
        tx.write(self.eating, false);
        tx.modify(self.meals, |n| n + 1);
        Ok(())
    }
}

fn main() {
    let forks: [TVar<bool>; PHILOSOPHERS] = Default::default();
    let eating: [TVar<bool>; PHILOSOPHERS] = Default::default();
    let meals: [TVar<u64>; PHILOSOPHERS] = Default::default();
    let over = AtomicBool::new(false);

    let (looks, most_at_once) = thread::scope(|scope| {
        let table: Vec<_> = (0..PHILOSOPHERS)
            .map(|i| {
                let seat = Seat {
                    left: &forks[i],
                    right: &forks[(i + 1) % PHILOSOPHERS],
                    eating: &eating[i],
                    meals: &meals[i],
                };
                scope.spawn(move || {
                    for _ in 0..MEALS {
                        atomically(|tx| seat.begin(tx));
                        thread::yield_now();
                        atomically(|tx| seat.end(tx));
                    }
                })
            })
            .collect();
        let spectator = scope.spawn(|| {
            let (mut looks, mut most_at_once) = (0_u64, 0);
            while !over.load(Ordering::Relaxed) {
                let now = Space::global().snapshot();
                let eats: Vec<bool> = eating.iter().map(|e| *now.read(e)).collect();
                for i in 0..PHILOSOPHERS {
                    let neighbour = (i + 1) % PHILOSOPHERS;
                    assert!(!(eats[i] && eats[neighbour]), "{i} and {neighbour} eat at once");
                }
                most_at_once = most_at_once.max(eats.iter().filter(|e| **e).count());
                looks += 1;
            }
            (looks, most_at_once)
        });
        // Joined by hand, so that the spectator is told to stop even if a philosopher panicked.
        let table: Vec<_> = table.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        assert!(table.iter().all(Result::is_ok), "a philosopher panicked");
        spectator.join().expect("the spectator saw neighbours eat at once")
    });

    for i in 0..PHILOSOPHERS {
        assert_eq!(meals[i].load(), MEALS, "philosopher {i} went hungry");
        assert!(!forks[i].load(), "fork {i} was not put back");
    }
    println!(
        "{PHILOSOPHERS} philosophers ate {MEALS} meals each; \
         seen eating at once: at most {most_at_once}, in {looks} looks"
    );
}
