//! Whether `tvar` got slower since an earlier comparison, by more than the noise of the two.

use crate::engine::EngineName;
use crate::figures::{figure, rate};
use crate::report::{Report, Row};
use crate::stats::median;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A smaller loss than this is nothing, however steady the rounds were: another layout of the code does as much.
const LEAST_LOSS: f64 = 0.05;
/// What disturbs one row by more than this, beyond the machine as a whole, makes a verdict on it worthless.
const DISTURBED: f64 = 0.2;
/// What must not have changed in between: the machine is judged by it.
const STEADY: [EngineName; 13] = [
    EngineName::Stm,
    EngineName::FastStm,
    EngineName::AsyncStm,
    EngineName::Mutex,
    EngineName::Concread,
    EngineName::Rwlock,
    EngineName::Dashmap,
    EngineName::Scc,
    EngineName::Papaya,
    EngineName::Skiplist,
    EngineName::Flume,
    EngineName::Crossbeam,
    EngineName::Tokio,
];

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// By number of threads: how fast the machine was beside the earlier run, measured by the libraries that are the same.
    pub machine: BTreeMap<usize, f64>,
    /// In what the runs differ that makes them hard to compare.
    pub differences: Vec<&'static str>,
    /// How many rows were compared.
    pub compared: usize,
    /// What got slower.
    pub slower: Vec<Slower>,
    /// Rows, as `name (threads)`, in which the unchanged libraries changed too much for a verdict.
    pub disturbed: Vec<String>,
    /// Workloads of `tvar` in the file that this run has not, as `name (threads)`.
    pub missing_now: Vec<String>,
    /// Those in this run that the file has not.
    pub missing_then: Vec<String>,
}

/// Something that got slower.
#[derive(Clone, Debug, PartialEq)]
pub struct Slower {
    /// The workload.
    pub workload: String,
    /// The number of threads.
    pub threads: usize,
    /// Operations per second then, as they would be on the machine as it is now.
    pub then: f64,
    /// Operations per second now.
    pub now: f64,
}

/// Compares. A row got slower if its fastest round is slower than the slowest one of then, and its median by more than 5 %, once
/// what the unchanged libraries lost in the same row is taken out; on another machine, also what they gained.
pub fn check(then: &Report, now: &Report) -> Check {
    let mut check = Check { machine: machine(then, now), differences: differences(then, now), ..Check::default() };
    let elsewhere = other_machine(then, now);
    for (key, row) in own(now) {
        let Some(old) = own(then).remove(&key) else {
            check.missing_then.push(name(row));
            continue;
        };
        let machine = check.machine.get(&row.threads).copied().unwrap_or(1.0);
        let gains = gains(then, now, row);
        let factor = if gains.len() < 2 { machine } else { median(&gains).unwrap_or(machine) };
        if (factor / machine - 1.0).abs() > DISTURBED {
            check.disturbed.push(name(row));
            continue;
        }
        check.compared += 1;
        // On the same machine, others that gained are others that were disturbed then: no reason to expect more of this row.
        let factor = if elsewhere { factor } else { factor.min(1.0) };
        let expected = old.ops_per_s * factor;
        let (slowest_then, fastest_now) = (old.range().0 * factor, row.range().1);
        if fastest_now < slowest_then && row.ops_per_s < expected * (1.0 - LEAST_LOSS) {
            let (workload, threads) = (row.workload.clone(), row.threads);
            check.slower.push(Slower { workload, threads, then: expected, now: row.ops_per_s });
        }
    }
    let rows_now = own(now);
    let missing = own(then).into_iter().filter(|(key, _)| !rows_now.contains_key(key));
    check.missing_now = missing.map(|(_, row)| name(row)).collect();
    check
}

fn differences(then: &Report, now: &Report) -> Vec<&'static str> {
    let quick = |report: &Report| report.settings.as_ref().map(|settings| settings.quick);
    let mut differences = Vec::new();
    if quick(then).zip(quick(now)).is_some_and(|(then, now)| then != now) {
        differences.push("one run was quick and the other was not");
    }
    if other_machine(then, now) {
        differences.push("they were on different machines");
    }
    differences
}

/// Whether the two are known to be of different machines.
fn other_machine(then: &Report, now: &Report) -> bool {
    let machine = |report: &Report| report.machine.as_ref().map(|machine| (machine.cpus, machine.cpu.clone()));
    machine(then).zip(machine(now)).is_some_and(|(then, now)| then != now)
}

/// The rows of `tvar`.
fn own(report: &Report) -> BTreeMap<(usize, &str), &Row> {
    let rows = report.rows.iter().filter(|row| row.engine == EngineName::Tvar);
    rows.map(|row| ((row.threads, row.workload.as_str()), row)).collect()
}

fn name(row: &Row) -> String {
    format!("{} ({})", row.workload, row.threads)
}

/// What the unchanged libraries gained or lost at the workload and number of threads of a row.
fn gains(then: &Report, now: &Report, row: &Row) -> Vec<f64> {
    let gain = |engine: EngineName| {
        let old = then.row(&row.workload, row.threads, engine).filter(|old| old.ops_per_s > 0.0)?;
        Some(now.row(&row.workload, row.threads, engine)?.ops_per_s / old.ops_per_s)
    };
    STEADY.into_iter().filter_map(gain).collect()
}

/// For each number of threads, the median of what they gained or lost at anything.
fn machine(then: &Report, now: &Report) -> BTreeMap<usize, f64> {
    let mut all: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for row in now.rows.iter().filter(|row| row.engine == EngineName::Tvar) {
        all.entry(row.threads).or_default().extend(gains(then, now, row));
    }
    all.into_iter().filter_map(|(threads, gains)| Some((threads, median(&gains)?))).collect()
}

impl Check {
    /// Whether nothing got slower, and something was compared at all.
    pub fn passed(&self) -> bool {
        self.slower.is_empty() && self.compared > 0
    }

    /// In words.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for difference in &self.differences {
            _ = writeln!(text, "Mind that {difference}.");
        }
        for (threads, factor) in &self.machine {
            let percent = (factor - 1.0) * 100.0;
            _ = writeln!(
                text,
                "The other libraries, at {threads} threads: {percent:+.1} %. That is the machine; a loss is taken out row by row."
            );
        }
        for (what, rows) in [
            ("Not in this run", &self.missing_now),
            ("Not in the file", &self.missing_then),
            ("Not judged, since the other libraries changed by more than 20 % there", &self.disturbed),
        ] {
            if !rows.is_empty() {
                _ = writeln!(text, "{what}: workload (threads) {}.", rows.join(", "));
            }
        }
        for Slower { workload, threads, then, now } in &self.slower {
            let loss = figure((1.0 - now / then) * 100.0);
            _ = writeln!(
                text,
                "SLOWER: {workload} ({threads}): {}/s, was {}/s: {loss} % less.",
                rate(*now),
                rate(*then)
            );
        }
        _ = match (self.compared, self.slower.len()) {
            (0, _) => writeln!(text, "Nothing to compare: no row of tvar is in both and undisturbed."),
            (compared, 0) => {
                writeln!(text, "Compared {compared} rows of tvar; none got slower by more than the noise.")
            }
            (compared, slower) => writeln!(text, "Compared {compared} rows of tvar; {slower} got slower."),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;

    fn report(rows: &[(&str, usize, EngineName, f64, f64)]) -> Report {
        let row = |&(workload, threads, engine, ops_per_s, spread): &(&str, usize, EngineName, f64, f64)| Row {
            workload: workload.into(),
            threads,
            engine,
            ops_per_s,
            ns_per_op: 1e9 / ops_per_s,
            harness_ns: 0.0,
            spread,
            min_ops_per_s: None,
            max_ops_per_s: None,
        };
        Report { rows: rows.iter().map(row).collect(), ..Report::default() }
    }

    use EngineName::{Mutex, Stm, Tvar};

    #[test]
    fn a_loss_beyond_the_noise_is_named() {
        let then = report(&[("read1", 1, Tvar, 100.0, 0.1), ("scan", 1, Tvar, 100.0, 0.5)]);
        let now = report(&[("read1", 1, Tvar, 80.0, 0.1), ("scan", 1, Tvar, 80.0, 0.1)]);
        let check = check(&then, &now);
        let slower: Vec<_> = check.slower.iter().map(|slower| slower.workload.as_str()).collect();
        assert_eq!((slower, check.passed()), (vec!["read1"], false));
        assert!(check.text().contains("SLOWER: read1 (1): 80.0/s, was 100/s: 20.0 % less."), "{}", check.text());
    }

    #[test]
    fn what_the_machine_did_to_all_is_taken_out() {
        let then =
            report(&[("read1", 1, Tvar, 100.0, 0.0), ("read1", 1, Stm, 50.0, 0.0), ("scan", 1, Mutex, 10.0, 0.0)]);
        let slow = report(&[("read1", 1, Tvar, 60.0, 0.0), ("read1", 1, Stm, 30.0, 0.0), ("scan", 1, Mutex, 6.0, 0.0)]);
        assert!(check(&then, &slow).passed());
    }

    #[test]
    fn a_faster_machine_asks_for_more() {
        let on = |cpus: usize, rows: &[(&str, usize, EngineName, f64, f64)]| {
            let machine = Machine { cpus, ..Machine::this() };
            Report { machine: Some(machine), ..report(rows) }
        };
        let then = [("read1", 1, Tvar, 100.0, 0.0), ("read1", 1, Stm, 50.0, 0.0), ("scan", 1, Mutex, 10.0, 0.0)];
        let now = [("read1", 1, Tvar, 100.0, 0.0), ("read1", 1, Stm, 70.0, 0.0), ("scan", 1, Mutex, 14.0, 0.0)];
        assert!(check(&on(2, &then), &on(2, &now)).passed(), "the run of the file was disturbed");
        assert_eq!(check(&on(2, &then), &on(4, &now)).slower.len(), 1);
    }

    #[test]
    fn a_row_in_which_all_changed_by_themselves_is_not_judged() {
        let rows = |disturbance: f64, own: f64| {
            let calm = ["read1", "read10", "scan"].map(|name| (name, 8, Stm, 50.0, 0.0));
            let own = [
                ("read1", 8, Tvar, 9.0, 0.0),
                ("read10", 8, Tvar, 9.0, 0.0),
                ("scan", 8, Tvar, 9.0, 0.0),
                ("boxed", 8, Tvar, own, 0.0),
            ];
            let disturbed = [Stm, Mutex].map(|engine| ("boxed", 8, engine, 50.0 * disturbance, 0.0));
            report(&[&calm[..], &own[..], &disturbed[..]].concat())
        };
        let found = check(&rows(1.0, 100.0), &rows(0.4, 10.0));
        assert_eq!((found.disturbed, found.slower), (vec!["boxed (8)".into()], Vec::new()));
        assert_eq!(check(&rows(1.0, 100.0), &rows(0.9, 10.0)).slower.len(), 1);
    }

    #[test]
    fn a_small_loss_is_nothing_even_without_noise() {
        let (then, now) = (report(&[("read1", 1, Tvar, 100.0, 0.0)]), report(&[("read1", 1, Tvar, 96.0, 0.0)]));
        assert!(check(&then, &now).passed());
    }

    #[test]
    fn what_is_missing_is_said_on_both_sides() {
        let then = report(&[("read1", 1, Tvar, 1.0, 0.0), ("scan", 2, Tvar, 1.0, 0.0)]);
        let now = report(&[("read1", 1, Tvar, 1.0, 0.0), ("merge", 8, Tvar, 1.0, 0.0)]);
        let found = check(&then, &now);
        assert_eq!((found.missing_now, found.missing_then), (vec!["scan (2)".into()], vec!["merge (8)".into()]));
        assert!(!check(&report(&[]), &now).passed(), "nothing was compared");
    }
}
