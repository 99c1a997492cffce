//! What is measured, and for how long.

use crate::engine::EngineName;
use crate::load::{Load, WORKLOADS};
use crate::machine;
use crate::report::Settings;
use std::time::Duration;

/// How long all samples of a full comparison take together.
const BUDGET: Duration = Duration::from_secs(190);
/// The same of a quick one.
const QUICK_BUDGET: Duration = Duration::from_secs(32);
/// A sample takes no longer, however few there are.
const LONGEST: Duration = Duration::from_millis(150);
/// Nor shorter: a thread must get its turn in it.
const SHORTEST: Duration = Duration::from_millis(10);
/// Rounds in which the harness is measured.
const HARNESS_ROUNDS: usize = 3;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names of workloads.
    pub workloads: Vec<String>,
    /// Engines.
    pub engines: Vec<EngineName>,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// Rounds of each measurement.
    pub rounds: usize,
    /// Whether to be quick about it.
    pub quick: bool,
    /// How long one sample takes, if not as long as fits.
    pub slice: Option<Duration>,
}

/// One, two, eight, and as many as there are cores.
pub fn default_threads() -> Vec<usize> {
    let cpus = machine::cpus();
    let mut threads = vec![1, 2, 8];
    if cpus > 8 {
        threads.push(cpus);
    }
    threads
}

impl Plan {
    /// Everything.
    pub fn full(quick: bool) -> Self {
        Self {
            workloads: WORKLOADS.map(str::to_owned).to_vec(),
            engines: EngineName::ALL.to_vec(),
            threads: default_threads(),
            rounds: 5,
            quick,
            slice: None,
        }
    }

    /// Whether the rows of this name are wanted.
    pub fn wants(&self, workload: &str) -> bool {
        self.workloads.iter().any(|name| name == workload)
    }

    /// The loads to run, in the order in which they run.
    pub fn loads(&self) -> Vec<Load> {
        let beside = Load::Beside.rows().iter().any(|row| self.wants(row));
        let wanted = |load: &Load| match load {
            Load::LoneWriter => beside,
            load => load.rows().iter().any(|row| self.wants(row)),
        };
        let possible = |load: &Load| self.engines_of(*load).next().is_some() && self.threads_of(*load).next().is_some();
        Load::ALL.into_iter().filter(wanted).filter(possible).collect()
    }

    /// The engines that run a load.
    pub fn engines_of(&self, load: Load) -> impl Iterator<Item = EngineName> {
        self.engines.iter().copied().filter(move |engine| load.runs_on(*engine))
    }

    /// The numbers of threads at which a load runs.
    pub fn threads_of(&self, load: Load) -> impl Iterator<Item = usize> {
        self.threads.iter().copied().filter(move |threads| load.suits(*threads))
    }

    /// Whether the harness is measured in a round.
    pub fn measures_harness(round: usize) -> bool {
        round < HARNESS_ROUNDS
    }

    /// How many samples there will be at most.
    pub fn samples(&self) -> usize {
        let harness = self.rounds.min(HARNESS_ROUNDS);
        let of = |load| self.threads_of(load).count() * (self.engines_of(load).count() * self.rounds + harness);
        self.loads().into_iter().map(of).sum()
    }

    /// How long a sample takes, without its warm-up.
    pub fn slice(&self) -> Duration {
        self.slice.unwrap_or_else(|| {
            let budget = if self.quick { QUICK_BUDGET } else { BUDGET };
            // A sixth goes into warm-up and into starting threads.
            let fits = budget.mul_f64(5.0 / 6.0) / u32::try_from(self.samples().max(1)).unwrap_or(u32::MAX);
            fits.clamp(SHORTEST, LONGEST)
        })
    }

    /// How it is reported.
    pub fn settings(&self) -> Settings {
        Settings { quick: self.quick, rounds: self.rounds, slice_ms: self.slice().as_secs_f64() * 1e3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::MapLoad;

    #[test]
    fn a_side_of_a_run_brings_the_run_and_its_measure() {
        let plan = Plan { workloads: vec!["writer_beside_scan".into()], ..Plan::full(true) };
        assert_eq!(plan.loads(), [Load::Beside, Load::LoneWriter]);
        assert!(plan.threads_of(Load::Beside).all(|threads| threads >= 2));
    }

    #[test]
    fn what_no_number_of_threads_suits_is_left_out() {
        let plan = Plan { workloads: vec!["pingpong".into(), "scan".into()], threads: vec![1, 8], ..Plan::full(true) };
        assert_eq!(plan.loads(), [Load::Scan]);
    }

    #[test]
    fn what_no_engine_runs_is_left_out() {
        let plan = Plan {
            workloads: vec!["map_90_10".into(), "ordmap_90_10".into()],
            engines: vec![EngineName::Dashmap, EngineName::Stm],
            threads: vec![1],
            ..Plan::full(true)
        };
        assert_eq!(plan.loads(), [Load::Map(MapLoad::Map9010)]);
        assert_eq!(plan.samples(), plan.rounds + HARNESS_ROUNDS, "one engine and the harness");
    }

    #[test]
    fn few_samples_are_not_made_long() {
        let plan = Plan { workloads: vec!["scan".into()], ..Plan::full(false) };
        assert_eq!(plan.slice(), LONGEST);
        assert!(Plan::full(true).slice() < Plan::full(false).slice());
    }
}
