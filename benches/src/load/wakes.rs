//! The loops of the workloads that wake many tasks. The tasks sleep as long as the case lives, from one sample to the next, and end
//! with the runtime: nobody waits for them.

use super::Case;
use super::waits::runtime;
use crate::Picks;
use crate::lap::{Done, Stop};
use crate::wake::WakeEngine;
use crossbeam_channel::{Receiver, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Runtime;

/// Tasks that sleep in `wake_one_of_10k`, each at a variable of its own.
pub const SLEEPERS: usize = 10_000;
/// Tasks that sleep in `wake_1000`, all at one variable.
pub const CROWD: usize = 1_000;

/// Many that sleep, one of whom is woken at a time. A variable is odd when its task was asked, and even when that has answered.
pub(super) struct WakeOne<E: WakeEngine> {
    vars: Vec<E::Var>,
    _runtime: Runtime,
}

impl<E: WakeEngine> WakeOne<E> {
    pub(super) fn boxed() -> Box<dyn Case> {
        let runtime = runtime();
        let vars: Vec<_> = (0..SLEEPERS).map(|_| E::var(0)).collect();
        for var in &vars {
            let var = var.clone();
            runtime.spawn(async move {
                loop {
                    E::answer(&var).await;
                }
            });
        }
        // All have slept once, so that none is still to be started.
        let asked: Vec<_> = vars.iter().map(E::add).collect();
        vars.iter().zip(asked).for_each(|(var, asked)| E::wait(var, asked + 1));
        Box::new(Self { vars, _runtime: runtime })
    }
}

impl<E: WakeEngine> Case for WakeOne<E> {
    fn run(&self, _: usize, seed: u64, stop: &Stop) -> Done {
        let mut picks = Picks::new(seed);
        stop.singles(|| {
            let var = &self.vars[picks.below(SLEEPERS)];
            let asked = E::add(var);
            E::wait(var, asked + 1);
        })
    }

    fn verify(&self, operations: u64) -> Result<(), String> {
        let (found, expected) = (self.vars.iter().map(E::get).sum::<u64>(), 2 * (SLEEPERS as u64 + operations));
        if found == expected { Ok(()) } else { Err(format!("the total is {found} instead of {expected}")) }
    }
}

/// Many that sleep at one variable, all of whom are woken at a time.
pub(super) struct WakeAll<E: WakeEngine> {
    round: E::Var,
    /// How often a task was woken, in all.
    answers: Arc<AtomicU64>,
    /// Rung by the last task of a round.
    bell: Receiver<()>,
    _runtime: Runtime,
}

impl<E: WakeEngine> WakeAll<E> {
    pub(super) fn boxed() -> Box<dyn Case> {
        let (runtime, round, answers) = (runtime(), E::var(0), Arc::new(AtomicU64::new(0)));
        let (rope, bell) = bounded(1);
        for _ in 0..CROWD {
            let (round, answers, rope) = (round.clone(), answers.clone(), rope.clone());
            runtime.spawn(async move {
                let mut seen = 0;
                loop {
                    seen = E::other(&round, seen).await;
                    let answers = answers.fetch_add(1, Ordering::Relaxed) + 1;
                    if answers.is_multiple_of(CROWD as u64) && rope.try_send(()).is_err() {
                        return; // the case has ended, or a round has begun before the last one's end, and then its total is wrong
                    }
                }
            });
        }
        let case = Self { round, answers, bell, _runtime: runtime };
        case.wake_all(); // all have slept once, so that none is still to be started
        case.answers.store(0, Ordering::Relaxed);
        Box::new(case)
    }

    /// A round.
    fn wake_all(&self) {
        E::add(&self.round);
        self.bell.recv().expect("the tasks live as long as the case");
    }
}

impl<E: WakeEngine> Case for WakeAll<E> {
    fn run(&self, _: usize, _: u64, stop: &Stop) -> Done {
        stop.singles(|| self.wake_all()).times(CROWD)
    }

    fn verify(&self, operations: u64) -> Result<(), String> {
        let found = self.answers.load(Ordering::Relaxed);
        if found == operations { Ok(()) } else { Err(format!("{found} tasks were woken instead of {operations}")) }
    }
}
