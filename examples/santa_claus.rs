//! The Santa Claus problem, after "Beautiful Concurrency" by Simon Peyton Jones.
//!
//! Santa sleeps until all nine reindeer are back from holiday, or three of the ten elves want to
//! consult him. He lets a group in through one gate, works with it, and lets it out through
//! another. If both groups stand at the door, the reindeer go first.
//!
//! Shows `or_else`: Santa's choice is two blocking transactions joined by it, and so is every
//! helper's "join the group, or go home when the shop closes". Gates are variables created inside
//! transactions.
//!
//! Run with `cargo run --release --example santa_claus`.

use std::thread;
use std::time::Duration;

use tvar::{Stm, TVar, Tx, atomically};

const REINDEER: usize = 9;
const ELVES: usize = 10;
const ELVES_AT_ONCE: usize = 3;
/// The shop closes when Santa has done both at least so often.
const ENOUGH: u32 = 200;

/// Lets through as many as its group has members each time Santa opens it.
#[derive(Clone)]
struct Gate {
    capacity: usize,
    open_for: TVar<usize>,
}

impl Gate {
    fn new(capacity: usize) -> Self {
        Self { capacity, open_for: TVar::new(0) }
    }

    fn pass(&self, tx: &Tx<'_>) -> Stm<()> {
        tx.check(*tx.read(&self.open_for) > 0)?;
        tx.modify(&self.open_for, |n| n - 1);
        Ok(())
    }

    /// Opens it and waits until all have passed.
    fn operate(&self) {
        self.open_for.store(self.capacity);
        atomically(|tx| tx.check(*tx.read(&self.open_for) == 0));
    }
}

/// Those who gather at the door, with the gates that the next full group will pass.
struct Group {
    capacity: usize,
    missing: TVar<usize>,
    gates: TVar<(Gate, Gate)>,
    /// How many are inside with Santa.
    inside: TVar<usize>,
}

impl Group {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            missing: TVar::new(capacity),
            gates: TVar::new((Gate::new(capacity), Gate::new(capacity))),
            inside: TVar::new(0),
        }
    }

    fn join(&self, tx: &Tx<'_>) -> Stm<(Gate, Gate)> {
        tx.check(*tx.read(&self.missing) > 0)?;
        tx.modify(&self.missing, |n| n - 1);
        Ok(tx.read(&self.gates).clone())
    }

    /// Santa's side: waits for a full group, and makes room for the next one.
    fn full(&self, tx: &Tx<'_>) -> Stm<(Gate, Gate)> {
        tx.check(*tx.read(&self.missing) == 0)?;
        tx.write(&self.missing, self.capacity);
        let next = (Gate::new(self.capacity), Gate::new(self.capacity));
        Ok(tx.replace(&self.gates, next).clone())
    }
}

/// One helper's life. Returns how often it was inside.
fn help(group: &Group, closed: &TVar<bool>) -> u32 {
    let mut visits = 0;
    loop {
        let joined = atomically!(
            |tx| { Some(group.join(tx)?) }
            or |tx| { tx.check(*tx.read(closed))?; None }
        );
        let Some((gate_in, gate_out)) = joined else {
            return visits;
        };
        let entered = atomically!(
            |tx| { gate_in.pass(tx)?; tx.modify(&group.inside, |n| n + 1); true }
            or |tx| { tx.check(*tx.read(closed))?; false }
        );
        if !entered {
            return visits;
        }
        visits += 1;
        atomically(|tx| {
            gate_out.pass(tx)?;
            tx.modify(&group.inside, |n| n - 1);
            Ok(())
        });
        // A holiday, or a toy to make: time for the others to gather.
        thread::sleep(Duration::from_micros(50));
    }
}

/// Serves one group; true if it was the reindeer.
fn serve(reindeer: &Group, elves: &Group) -> bool {
    let (is_reindeer, reindeer_missing, (gate_in, gate_out)) = atomically(|tx| {
        let (is_reindeer, gates) =
            tx.or_else(|tx| Ok((true, reindeer.full(tx)?)), |tx| Ok((false, elves.full(tx)?)))?;
        Ok((is_reindeer, *tx.read(&reindeer.missing), gates))
    });
    // What the left side saw before it gave up is part of the choice, and still true at commit.
    assert!(is_reindeer || reindeer_missing > 0, "elves were let in before a full sleigh");
    let (group, other) = if is_reindeer { (reindeer, elves) } else { (elves, reindeer) };
    let inside = || atomically(|tx| Ok((*tx.read(&group.inside), *tx.read(&other.inside))));

    gate_in.operate();
    assert_eq!(inside(), (group.capacity, 0), "not exactly one group is inside");
    gate_out.operate();
    assert_eq!(inside(), (0, 0), "somebody stayed inside");
    is_reindeer
}

fn main() {
    let reindeer = Group::new(REINDEER);
    let elves = Group::new(ELVES_AT_ONCE);
    let closed = TVar::new(false);

    let (deliveries, meetings, visits) = thread::scope(|scope| {
        let start = |group, count: usize| -> Vec<_> {
            let closed = &closed;
            (0..count).map(|_| scope.spawn(move || help(group, closed))).collect()
        };
        let helpers = [start(&reindeer, REINDEER), start(&elves, ELVES)];
        let santa = scope.spawn(|| {
            let (mut deliveries, mut meetings) = (0, 0);
            while deliveries < ENOUGH || meetings < ENOUGH {
                if serve(&reindeer, &elves) {
                    deliveries += 1;
                } else {
                    meetings += 1;
                }
            }
            (deliveries, meetings)
        });
        let (deliveries, meetings): (u32, u32) = santa.join().unwrap_or_else(|_| {
            // Nobody is left to open a gate for those inside.
            eprintln!("Santa saw something that must not be");
            std::process::exit(1)
        });
        closed.store(true);
        let visits = helpers.map(|group| group.into_iter().map(|h| h.join().expect("a helper panicked")).sum::<u32>());
        (deliveries, meetings, visits)
    });

    assert_eq!(visits[0], deliveries * REINDEER as u32, "a delivery without the full sleigh");
    assert_eq!(visits[1], meetings * ELVES_AT_ONCE as u32, "a meeting without three elves");
    println!("{deliveries} deliveries with {REINDEER} reindeer each");
    println!("{meetings} meetings with {ELVES_AT_ONCE} of {ELVES} elves each");
}
