//! The loops of the workloads on `async-stm`: the same as for the others, each loop as one future.

use super::{APART, Case, FEW, FIRST, Load, MANY, SCANNED, expected, sizes, text, turn_numbers, turn_text, turns as t};
use crate::Picks;
use crate::engine::async_stm as engine;
use crate::lap::{Done, Stop};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

/// A load and its variables.
pub struct FutureLoops {
    load: Load,
    variables: usize,
    numbers: engine::Heap<i64>,
    texts: engine::Heap<String>,
    lists: engine::Heap<Vec<u64>>,
    /// Scans whose total was wrong.
    wrong: AtomicU64,
}

impl FutureLoops {
    /// The case, unless the engine cannot do that.
    pub fn boxed(load: Load, threads: usize) -> Option<Box<dyn Case>> {
        let (variables, boxed) = sizes(load, threads);
        let first = if load == Load::PingPong { t::PING } else { FIRST };
        (!matches!(load, Load::Snapshot | Load::Map(_) | Load::Queue(_) | Load::Wait(_))).then(|| -> Box<dyn Case> {
            let case = Self {
                load,
                variables,
                numbers: engine::heap((0..variables).map(|_| first)),
                texts: engine::heap((0..boxed).map(|_| text())),
                lists: engine::heap((0..boxed).map(|_| vec![1; 8])),
                wrong: AtomicU64::new(0),
            };
            if load != Load::PingPong {
                engine::block_on(async {
                    for chunk in (0..variables).collect::<Vec<_>>().chunks(1_000) {
                        engine::write(&case.numbers, chunk, FIRST).await;
                    }
                });
            }
            Box::new(case)
        })
    }

    async fn scan(&self, stop: &Stop) -> Done {
        let right = expected(self.load, self.variables, 0);
        let scan = async || {
            if Some(engine::sum_all(&self.numbers).await) != right {
                self.wrong.fetch_add(1, Ordering::Relaxed);
            }
        };
        stop.singles_async(scan).await
    }

    async fn transfers(&self, picks: &mut Picks, among: usize, stop: &Stop) -> Done {
        let transfer = async || {
            let (from, to) = picks.two_below(among);
            engine::transfer(&self.numbers, from, to).await;
        };
        stop.batches_async(transfer).await
    }

    async fn ping(&self, stop: &Stop) -> Done {
        let mut done = Done::default();
        loop {
            let last = stop.is_stopped();
            engine::turn(&self.numbers, t::PONG, |_| if last { t::OVER } else { t::PONG }).await;
            if last {
                return done;
            }
            done.one();
        }
    }

    async fn pong(&self) -> Done {
        let mut done = Done::default();
        while engine::turn(&self.numbers, t::PING, |_| t::PING).await != t::OVER {
            done.one();
        }
        done
    }

    async fn run(&self, thread: usize, seed: u64, stop: &Stop) -> Done {
        let numbers = &self.numbers;
        let mut picks = Picks::new(seed);
        let mut value = 0;
        match self.load {
            Load::Read1 => {
                let read = async || {
                    black_box(engine::sum(numbers, &[picks.below(FEW)]).await);
                };
                stop.batches_async(read).await
            }
            Load::Read10 => {
                let read = async || {
                    let ten = [(); 10].map(|()| picks.below(FEW));
                    black_box(engine::sum(numbers, &ten).await);
                };
                stop.batches_async(read).await
            }
            Load::Read1000 => {
                let read = async || {
                    black_box(engine::sum_all(numbers).await);
                };
                stop.singles_async(read).await
            }
            Load::Counter | Load::Merge => stop.batches_async(async || engine::add(numbers, 0).await).await,
            Load::Disjoint => stop.batches_async(async || engine::add(numbers, thread * APART).await).await,
            Load::Transfer1k => self.transfers(&mut picks, FEW, stop).await,
            Load::Transfer1m => self.transfers(&mut picks, MANY, stop).await,
            Load::Write10 => {
                let write = async || {
                    value += 1;
                    let ten = [(); 10].map(|()| picks.below(FEW));
                    engine::write(numbers, &ten, value).await;
                };
                stop.batches_async(write).await
            }
            Load::Boxed => {
                let mut odd = false;
                let change = async || {
                    let at = picks.below(FEW);
                    odd = !odd;
                    if odd {
                        engine::change(&self.texts, at, turn_text).await;
                    } else {
                        engine::change(&self.lists, at, |list| turn_numbers(list)).await;
                    }
                };
                stop.batches_async(change).await
            }
            Load::Scan => self.scan(stop).await,
            Load::Beside if self.load.side(thread) == 0 => self.scan(stop).await,
            Load::Beside | Load::LoneWriter => self.transfers(&mut picks, SCANNED, stop).await,
            Load::OrElse => {
                let choose = async || {
                    let (read, other) = picks.two_below(FEW - 1);
                    engine::or_else(numbers, read, FEW - 1, other).await;
                };
                stop.batches_async(choose).await
            }
            Load::PingPong if thread == 0 => self.ping(stop).await,
            Load::PingPong => self.pong().await,
            Load::CreateDrop => stop.batches(|| {
                value += 1;
                engine::create_drop(value);
            }),
            Load::Snapshot | Load::Map(_) | Load::Queue(_) | Load::Wait(_) => Done::default(),
        }
    }
}

impl Case for FutureLoops {
    fn run(&self, thread: usize, seed: u64, stop: &Stop) -> Done {
        engine::block_on(self.run(thread, seed, stop))
    }

    fn verify(&self, operations: u64) -> Result<(), String> {
        let wrong = self.wrong.load(Ordering::Relaxed);
        if wrong > 0 {
            return Err(format!("{wrong} scans had a wrong total"));
        }
        let Some(expected) = expected(self.load, self.variables, operations) else { return Ok(()) };
        let found = engine::block_on(engine::sum_all(&self.numbers));
        if found == expected { Ok(()) } else { Err(format!("the total is {found} instead of {expected}")) }
    }
}
