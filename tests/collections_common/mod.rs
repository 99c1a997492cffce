//! Helpers of the tests of collections: items of both kinds, random programs beside a model.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use tvar::{Space, Tx};

/// A small generator of pseudo-random numbers.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed + 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// An item with a number: of a type that has a destructor, or none.
pub(crate) trait Item: Send + Sync + 'static {
    fn of(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    fn of(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

impl Item for Box<u64> {
    fn of(number: u64) -> Self {
        Box::new(number)
    }

    fn number(&self) -> u64 {
        **self
    }
}

/// A collection and what it should be: each step does the same to both and compares what they say.
pub(crate) trait Model: Clone {
    type Real;

    fn step(&mut self, tx: &Tx<'_>, real: &Self::Real, random: &mut Random);

    /// Compares everything.
    fn compare(&mut self, tx: &Tx<'_>, real: &Self::Real);
}

/// Random transactions of several steps; some commit, some are undone as a whole or in part, in every way there is.
pub(crate) fn run<M: Model>(space: &Space, seed: u64, transactions: u64, real: &M::Real, mut model: M) {
    let mut random = Random::new(seed);
    for _ in 0..transactions {
        let steps = 1 + random.below(5);
        let mut draft = model.clone();
        let way = random.below(10);
        let random = &mut random;
        let mut several = |tx: &Tx<'_>, model: &mut M| (0..steps).for_each(|_| model.step(tx, real, random));
        match way {
            0 => {
                let aborted = space.try_atomically(|tx| {
                    several(tx, &mut draft);
                    tx.abort::<(), _>("undo")
                });
                assert_eq!(aborted, Err("undo"));
            }
            1 => {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    space.atomically(|tx| {
                        several(tx, &mut draft);
                        std::panic::resume_unwind(Box::new("undo"));
                        #[allow(unreachable_code)]
                        Ok(())
                    })
                }));
                assert!(panicked.is_err());
            }
            2 => {
                space.atomically(|tx| {
                    several(tx, &mut model);
                    let mut draft = model.clone();
                    let part = tx.nested(|tx| {
                        several(tx, &mut draft);
                        tx.abort::<(), _>("undo")
                    })?;
                    assert_eq!(part, Err("undo"));
                    several(tx, &mut model);
                    Ok(())
                });
            }
            3 => {
                space.atomically(|tx| {
                    several(tx, &mut model);
                    let (mut draft, random) = (model.clone(), &mut several);
                    let random = std::cell::RefCell::new(random);
                    tx.or_else(
                        |tx| {
                            (random.borrow_mut())(tx, &mut draft);
                            tx.retry()
                        },
                        |tx| {
                            (random.borrow_mut())(tx, &mut model);
                            Ok(())
                        },
                    )
                });
            }
            _ => {
                space.atomically(|tx| {
                    several(tx, &mut model);
                    Ok(())
                });
            }
        }
    }
    space.atomically(|tx| {
        model.compare(tx, real);
        Ok(())
    });
    assert_eq!(space.stats().reruns, 0, "one thread has nobody to lose to");
}

/// How many transactions a random test runs per seed.
pub(crate) fn transactions() -> u64 {
    if cfg!(debug_assertions) { 400 } else { 4000 }
}
