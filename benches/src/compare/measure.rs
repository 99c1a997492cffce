//! The rounds: engines take turns, so that what disturbs the machine disturbs all of them.

use super::plan::Plan;
use super::sample::sample;
use crate::engine::EngineName;
use crate::load::{Case, Load, WORKLOADS, case, harness};
use crate::machine::Machine;
use crate::progress::Progress;
use crate::report::{Report, Row};
use crate::stats::{Summary, median};

/// Measures all that is planned. Marks are not in the report yet.
pub fn measure(plan: &Plan, progress: &Progress) -> Report {
    let mut report = Report { machine: Some(Machine::this()), settings: Some(plan.settings()), ..Report::default() };
    let most = plan.threads.iter().copied().max().unwrap_or(1);
    for load in plan.loads() {
        let name = load.rows()[0];
        progress.now(&format!("{name}: making the variables"));
        let mut entrants: Vec<_> = plan
            .engines_of(load)
            .filter_map(|engine| Some(Entrant { engine, case: case(engine, load, most)?, total: 0 }))
            .collect();
        for threads in plan.threads_of(load) {
            progress.now(&format!("{name}, {threads} {}", if threads == 1 { "thread" } else { "threads" }));
            let rows = rounds(plan, load, threads, &mut entrants, progress);
            if load == Load::LoneWriter {
                report.lone_writer.extend(rows);
            } else {
                report.rows.extend(rows.into_iter().filter(|row| plan.wants(&row.workload)));
            }
        }
        for entrant in entrants {
            if let Err(what) = entrant.case.verify(entrant.total) {
                report.wrong.push(format!("{name}, {}: {what}", entrant.engine));
            }
        }
    }
    report.rows.sort_by_key(|row| (row.threads, place(&row.workload), row.engine));
    report
}

/// Where a workload stands in the report.
fn place(workload: &str) -> usize {
    WORKLOADS.iter().position(|name| *name == workload).unwrap_or(WORKLOADS.len())
}

/// An engine in a contest.
struct Entrant {
    engine: EngineName,
    case: Box<dyn Case>,
    /// Operations so far.
    total: u64,
}

/// All rounds at one load and one number of threads.
fn rounds(plan: &Plan, load: Load, threads: usize, entrants: &mut [Entrant], progress: &Progress) -> Vec<Row> {
    let (sides, slice) = (load.rows().len(), plan.slice());
    let mut rates = vec![vec![Vec::new(); sides]; entrants.len()];
    let mut workers = vec![0; sides];
    let own = harness(load, threads);
    let mut own_rates = vec![Vec::new(); sides];
    for round in 0..plan.rounds {
        let seed = (round * 64 + threads) as u64;
        for turn in 0..entrants.len() {
            let at = (turn + round) % entrants.len();
            let entrant = &mut entrants[at];
            let sample = sample(&*entrant.case, load, threads, slice, seed);
            for (side, rate) in sample.rates.into_iter().enumerate() {
                rates[at][side].push(rate);
            }
            entrant.total += sample.total;
            workers = sample.workers;
            progress.step();
        }
        if let Some(own) = own.as_deref().filter(|_| Plan::measures_harness(round)) {
            let sample = sample(own, load, threads, slice / 4, seed);
            for (side, rate) in sample.rates.into_iter().enumerate() {
                own_rates[side].push(rate);
            }
            progress.step();
        }
    }

    let mut rows = Vec::new();
    for (side, workload) in load.rows().iter().enumerate() {
        let ns = |rate: f64| workers[side] as f64 * 1e9 / rate;
        let harness_ns = median(&own_rates[side]).map_or(0.0, ns);
        for (entrant, rates) in entrants.iter().zip(&rates) {
            let Some(summary) = Summary::of(&rates[side]) else { continue };
            rows.push(Row {
                workload: (*workload).to_owned(),
                threads,
                engine: entrant.engine,
                ops_per_s: summary.median,
                ns_per_op: ns(summary.median),
                harness_ns,
                spread: summary.spread(),
                min_ops_per_s: Some(summary.min),
                max_ops_per_s: Some(summary.max),
            });
        }
    }
    rows
}
