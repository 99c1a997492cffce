//! A workload on an engine.

use super::{FutureLoops, Load, Loops, waits};
use crate::engine::{ClassicStm, EngineName, Fast, FastStm, Locked, Nothing, Reference};
use crate::lap::{Done, Stop};

/// A workload on an engine, with its variables.
pub trait Case: Send + Sync {
    /// Runs one thread's part until stopped.
    fn run(&self, thread: usize, seed: u64, stop: &Stop) -> Done;
    /// Checks the variables after so many operations in all, since the case was made. What is wrong, if something is.
    fn verify(&self, operations: u64) -> Result<(), String>;
}

/// The case of an engine, unless it cannot do that. `threads` is the largest number that will run it.
pub fn case(engine: EngineName, load: Load, threads: usize) -> Option<Box<dyn Case>> {
    match load {
        Load::Map(map) => return map.case(engine),
        Load::Queue(queue) => return queue.case(engine),
        Load::Wait(wait) => return wait.case(engine),
        _ => {}
    }
    match engine {
        EngineName::Tvar => Loops::<Fast>::boxed(load, threads),
        EngineName::Stm => Loops::<ClassicStm>::boxed(load, threads),
        EngineName::FastStm => Loops::<FastStm>::boxed(load, threads),
        EngineName::AsyncStm => FutureLoops::boxed(load, threads),
        EngineName::Mutex => Loops::<Locked>::boxed(load, threads),
        EngineName::Reference => Loops::<Reference>::boxed(load, threads),
        EngineName::Flume | EngineName::Crossbeam | EngineName::Tokio => waits::channels(engine, load),
        EngineName::Concread
        | EngineName::Rwlock
        | EngineName::Dashmap
        | EngineName::Scc
        | EngineName::Papaya
        | EngineName::Skiplist => None,
    }
}

/// The case of an engine that does nothing: the harness's own cost. Waiting for each other costs it nothing.
pub fn harness(load: Load, threads: usize) -> Option<Box<dyn Case>> {
    match load {
        Load::PingPong | Load::Wait(_) => None,
        Load::Map(map) => Some(map.harness()),
        Load::Queue(queue) => Some(queue.harness()),
        load => Loops::<Nothing>::boxed(load, threads),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_runs_every_load_it_can_and_adds_up() {
        for load in Load::ALL.into_iter().filter(|load| *load != Load::Transfer1m) {
            let threads = [1, 2, 8].into_iter().find(|threads| load.suits(*threads)).expect("it suits one of them");
            for engine in EngineName::ALL {
                let Some(case) = case(engine, load, threads) else { continue };
                assert!(load.runs_on(engine), "{engine} {load:?}");
                let stop = Stop::default();
                let total = std::thread::scope(|s| {
                    let run = |thread| {
                        let (case, stop) = (&case, &stop);
                        s.spawn(move || case.run(thread, 1, stop).total)
                    };
                    let workers: Vec<_> = (0..load.workers(threads)).map(run).collect();
                    std::thread::sleep(std::time::Duration::from_millis(3));
                    stop.stop();
                    workers.into_iter().map(|worker| worker.join().expect("a worker panicked")).sum()
                });
                assert_eq!(case.verify(total), Ok(()), "{engine} {load:?}");
            }
        }
    }
}
