//! The loops of the workloads on engines whose operations are plain calls.

use super::{APART, Case, FEW, FIRST, Load, MANY, SCANNED, expected, sizes, text, turn_numbers, turn_text, turns as t};
use crate::Picks;
use crate::engine::Engine;
use crate::lap::{Done, Stop};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// A load and its variables on an engine.
pub struct Loops<E: Engine> {
    load: Load,
    variables: usize,
    numbers: E::Heap<i64>,
    texts: E::Heap<String>,
    lists: E::Heap<Vec<u64>>,
    /// Scans whose total was wrong.
    wrong: AtomicU64,
}

impl<E: Engine> Loops<E> {
    /// The case, unless the engine cannot do that.
    pub fn boxed(load: Load, threads: usize) -> Option<Box<dyn Case>> {
        let able = match load {
            Load::OrElse => E::ALTERNATIVES,
            Load::CreateDrop => E::SINGLE_VARIABLES,
            Load::Snapshot => E::SNAPSHOTS,
            Load::Map(_) | Load::Queue(_) | Load::Wait(_) => false,
            _ => true,
        };
        let (variables, boxed) = sizes(load, threads);
        let first = if load == Load::PingPong { t::PING } else { FIRST };
        able.then(|| -> Box<dyn Case> {
            let case = Self {
                load,
                variables,
                numbers: E::heap((0..variables).map(|_| first)),
                texts: E::heap((0..boxed).map(|_| text())),
                lists: E::heap((0..boxed).map(|_| vec![1; 8])),
                wrong: AtomicU64::new(0),
            };
            if load != Load::PingPong {
                // No variable is measured at its initial value: a program's variables have been written.
                for chunk in (0..variables).collect::<Vec<_>>().chunks(1_000) {
                    E::write(&case.numbers, chunk, FIRST);
                }
            }
            Box::new(case)
        })
    }

    fn scan(&self, stop: &Stop) -> Done {
        let right = expected(self.load, self.variables, 0);
        stop.singles(|| {
            if Some(E::sum_all(&self.numbers)) != right {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    fn transfers(&self, picks: &mut Picks, among: usize, stop: &Stop) -> Done {
        stop.batches(|| {
            let (from, to) = picks.two_below(among);
            E::transfer(&self.numbers, from, to);
        })
    }

    fn ping(&self, stop: &Stop) -> Done {
        let mut done = Done::default();
        loop {
            let last = stop.is_stopped();
            E::turn(&self.numbers, t::PONG, |_| if last { t::OVER } else { t::PONG });
            if last {
                return done;
            }
            done.one();
        }
    }

    fn pong(&self) -> Done {
        let mut done = Done::default();
        while E::turn(&self.numbers, t::PING, |_| t::PING) != t::OVER {
            done.one();
        }
        done
    }
}

impl<E: Engine> Case for Loops<E> {
    fn run(&self, thread: usize, seed: u64, stop: &Stop) -> Done {
        let numbers = &self.numbers;
        let mut picks = Picks::new(seed);
        match self.load {
            Load::Read1 => stop.batches(|| {
                black_box(E::sum(numbers, &[picks.below(FEW)]));
            }),
            Load::Read10 => stop.batches(|| {
                let ten = [(); 10].map(|()| picks.below(FEW));
                black_box(E::sum(numbers, &ten));
            }),
            Load::Read1000 => stop.singles(|| {
                black_box(E::sum_all(numbers));
            }),
            Load::Counter => stop.batches(|| E::add(numbers, 0)),
            Load::Disjoint => stop.batches(|| E::add(numbers, thread * APART)),
            Load::Transfer1k => self.transfers(&mut picks, FEW, stop),
            Load::Transfer1m => self.transfers(&mut picks, MANY, stop),
            Load::Write10 => {
                let mut value = 0;
                stop.batches(|| {
                    value += 1;
                    let ten = [(); 10].map(|()| picks.below(FEW));
                    E::write(numbers, &ten, value);
                })
            }
            Load::Boxed => {
                let mut odd = false;
                stop.batches(|| {
                    let at = picks.below(FEW);
                    odd = !odd;
                    if odd {
                        E::change(&self.texts, at, turn_text);
                    } else {
                        E::change(&self.lists, at, |list| turn_numbers(list));
                    }
                })
            }
            Load::Scan => self.scan(stop),
            Load::Beside if self.load.side(thread) == 0 => self.scan(stop),
            Load::Beside | Load::LoneWriter => self.transfers(&mut picks, SCANNED, stop),
            Load::OrElse => stop.batches(|| {
                let (read, other) = picks.two_below(FEW - 1);
                E::or_else(numbers, read, FEW - 1, other);
            }),
            Load::PingPong if thread == 0 => self.ping(stop),
            Load::PingPong => self.pong(),
            Load::Merge => stop.batches(|| E::merge(numbers, 0)),
            Load::CreateDrop => {
                let mut value = 0;
                stop.batches(|| {
                    value += 1;
                    E::create_drop(value);
                })
            }
            Load::Snapshot => stop.batches(|| E::snapshot(numbers)),
            Load::Map(_) | Load::Queue(_) | Load::Wait(_) => Done::default(),
        }
    }

    fn verify(&self, operations: u64) -> Result<(), String> {
        let wrong = self.wrong.load(Ordering::Relaxed);
        if wrong > 0 {
            return Err(format!("{wrong} scans had a wrong total"));
        }
        let Some(expected) = expected(self.load, self.variables, operations) else { return Ok(()) };
        let found = E::sum_all(&self.numbers);
        if found == expected { Ok(()) } else { Err(format!("the total is {found} instead of {expected}")) }
    }
}
