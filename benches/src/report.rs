//! What a run finds out, as it is written to `compare.json`.

use crate::engine::{EngineName, Rivals};
use crate::machine::Machine;
use crate::section::Section;
use crate::stats::median;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// From this on, what the harness takes on several cores beside one speaks of other work on the machine.
const BUSY: f64 = 1.25;

/// Everything. Only `rows` has to be there in a file that is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was measured of each workload, number of threads and engine.
    pub rows: Vec<Row>,
    /// The writers of `writer_beside_scan` without scanners; `threads` is that of the row to compare with.
    #[serde(default)]
    pub lone_writer: Vec<Row>,
    /// Where and when.
    #[serde(default)]
    pub machine: Option<Machine>,
    /// How much was measured.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// What was aimed at, and how near it is.
    #[serde(default)]
    pub marks: Vec<Mark>,
    /// What variables, snapshots and operations cost in memory.
    #[serde(default)]
    pub memory: Vec<Section>,
    /// Large transactions.
    #[serde(default)]
    pub large: Vec<Section>,
    /// How long single transactions take.
    #[serde(default)]
    pub latency: Vec<Section>,
    /// Pessimistic locks.
    #[serde(default)]
    pub locks: Vec<Section>,
    /// What went wrong: a library lost or invented something, or a part of the run failed.
    #[serde(default)]
    pub wrong: Vec<String>,
}

/// How much was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Whether it was a quick run.
    pub quick: bool,
    /// Rounds of each measurement.
    pub rounds: usize,
    /// How long one sample took.
    pub slice_ms: f64,
}

/// One engine at one workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The workload's name.
    pub workload: String,
    /// How many threads ran.
    pub threads: usize,
    /// The engine's name.
    pub engine: EngineName,
    /// Operations per second of all threads together: the median of the rounds.
    pub ops_per_s: f64,
    /// What one operation takes one of the threads. With more threads than cores that includes waiting for a core.
    pub ns_per_op: f64,
    /// What of `ns_per_op` is the harness's own: random numbers and the loop.
    #[serde(default)]
    pub harness_ns: f64,
    /// From the slowest round to the fastest, as a part of the median.
    #[serde(default)]
    pub spread: f64,
    /// The slowest round.
    #[serde(default)]
    pub min_ops_per_s: Option<f64>,
    /// The fastest round.
    #[serde(default)]
    pub max_ops_per_s: Option<f64>,
}

impl Row {
    /// The slowest and the fastest round; from the spread, if the file does not say.
    pub fn range(&self) -> (f64, f64) {
        let half = self.spread / 2.0;
        (
            self.min_ops_per_s.unwrap_or(self.ops_per_s * (1.0 - half)),
            self.max_ops_per_s.unwrap_or(self.ops_per_s * (1.0 + half)),
        )
    }
}

/// Something that was aimed at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// What it is about.
    pub name: String,
    /// In which unit: `×` for a ratio.
    pub unit: String,
    /// What was aimed at.
    pub target: f64,
    /// Whether less is better.
    #[serde(default)]
    pub at_most: bool,
    /// What was measured, if it was.
    pub measured: Option<f64>,
    /// Whether that is good enough, if it was measured.
    pub reached: Option<bool>,
}

impl Mark {
    /// A mark that is reached by what is at least `target`.
    pub fn at_least(name: impl Into<String>, unit: &str, target: f64, measured: Option<f64>) -> Self {
        let reached = measured.map(|measured| measured >= target);
        Self { name: name.into(), unit: unit.into(), target, at_most: false, measured, reached }
    }

    /// A mark that is reached by what is at most `target`.
    pub fn at_most(name: impl Into<String>, unit: &str, target: f64, measured: Option<f64>) -> Self {
        let reached = measured.map(|measured| measured <= target);
        Self { name: name.into(), unit: unit.into(), target, at_most: true, measured, reached }
    }

    /// In a word.
    pub fn verdict(&self) -> &'static str {
        match self.reached {
            Some(true) => "reached",
            Some(false) => "short",
            None => "not measured",
        }
    }
}

impl Report {
    /// All tables beside the comparison.
    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        [&self.memory, &self.large, &self.latency, &self.locks].into_iter().flatten()
    }

    /// The row of a workload, a number of threads and an engine.
    pub fn row(&self, workload: &str, threads: usize, engine: EngineName) -> Option<&Row> {
        find(&self.rows, workload, threads, engine)
    }

    /// The fastest of some rivals.
    pub fn fastest(&self, rivals: Rivals, workload: &str, threads: usize) -> Option<&Row> {
        let rivals = rivals.engines().iter().filter_map(|engine| self.row(workload, threads, *engine));
        rivals.max_by(|a, b| a.ops_per_s.total_cmp(&b.ops_per_s))
    }

    /// How many times as fast as the fastest of those `tvar` is.
    pub fn ratio(&self, rivals: Rivals, workload: &str, threads: usize) -> Option<f64> {
        let own = self.row(workload, threads, EngineName::Tvar)?;
        Some(own.ops_per_s / self.fastest(rivals, workload, threads)?.ops_per_s)
    }

    /// A warning, if the harness, which shares nothing between threads, was slower on several cores than on one: then other work
    /// was on the machine.
    pub fn busy(&self) -> Option<String> {
        let cpus = self.machine.as_ref()?.cpus;
        let slowdown = |row: &Row| {
            let alone = self.rows.iter().find(|one| one.threads == 1 && one.workload == row.workload)?;
            (alone.harness_ns >= 1.0).then(|| row.harness_ns / alone.harness_ns)
        };
        let several = self.rows.iter().filter(|row| row.threads > 1 && row.threads <= cpus);
        let slower = median(&several.filter_map(slowdown).collect::<Vec<_>>())?;
        (slower > BUSY).then(|| {
            format!(
                "Other work was on the machine: on several cores the harness by itself took {slower:.2} times as long as on one. \
                 The figures at several threads say little."
            )
        })
    }

    /// The engines that have rows of some workloads.
    pub fn engines_of(&self, workloads: &[&str]) -> Vec<EngineName> {
        let ran = |engine: &EngineName| {
            self.rows.iter().any(|row| row.engine == *engine && workloads.contains(&row.workload.as_str()))
        };
        EngineName::ALL.into_iter().filter(ran).collect()
    }

    /// The numbers of threads in the rows, ascending.
    pub fn thread_counts(&self) -> Vec<usize> {
        let mut counts: Vec<_> = self.rows.iter().map(|row| row.threads).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// The report as JSON.
    pub fn json(&self) -> Result<String, String> {
        serde_json::to_string_pretty(self).map_err(|error| format!("cannot make JSON of the results: {error}"))
    }

    /// Reads a report. The error says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        Self::parse(&text).map_err(|error| format!("{} is not a comparison: {error}", path.display()))
    }

    /// A report from its JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// The row of a workload, a number of threads and an engine.
pub fn find<'a>(rows: &'a [Row], workload: &str, threads: usize, engine: EngineName) -> Option<&'a Row> {
    rows.iter().find(|row| (row.workload.as_str(), row.threads, row.engine) == (workload, threads, engine))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"{"rows": [
        {"workload": "read1", "threads": 1, "engine": "fast-stm", "ops_per_s": 1e6, "ns_per_op": 1000.0, "spread": 0.1},
        {"workload": "read1", "threads": 1, "engine": "tvar", "ops_per_s": 8e6, "ns_per_op": 125.0, "other": 1}
    ], "something": {}}"#;

    #[test]
    fn the_least_that_a_file_must_have_is_enough() {
        let report = Report::parse(LEAST).expect("it is a report");
        assert_eq!(report.ratio(Rivals::Stm, "read1", 1), Some(8.0));
        assert_eq!(report.ratio(Rivals::Stm, "read1", 2), None);
        assert_eq!(report.rows[0].range(), (0.95e6, 1.05e6));
        assert_eq!(report.thread_counts(), [1]);
    }

    #[test]
    fn a_harness_that_slows_down_shows_other_work() {
        let row = |threads: usize, harness_ns: f64| {
            format!(
                r#"{{"workload": "read10", "threads": {threads}, "engine": "tvar", "ops_per_s": 1, "ns_per_op": 1, "harness_ns": {harness_ns}}}"#
            )
        };
        let report = |two: f64, cpus: usize| {
            let machine = format!(r#"{{"cpus": {cpus}, "system": "", "date": ""}}"#);
            let text = format!(r#"{{"rows": [{}, {}], "machine": {machine}}}"#, row(1, 20.0), row(2, two));
            Report::parse(&text).expect("it is a report")
        };
        assert_eq!(report(21.0, 2).busy(), None);
        assert!(report(40.0, 2).busy().is_some_and(|warning| warning.contains("2.00 times")));
        assert_eq!(report(40.0, 1).busy(), None, "two threads on one core take twice as long by themselves");
    }

    #[test]
    fn a_report_survives_being_written_and_read() {
        let mut report = Report::parse(LEAST).expect("it is a report");
        report.marks.push(Mark::at_least("read1", "×", 6.0, None));
        let text = serde_json::to_string(&report).expect("it can be written");
        assert_eq!(Report::parse(&text).expect("it can be read"), report);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let unknown = LEAST.replace("fast-stm", "slow-stm");
        let error = Report::parse(&unknown).expect_err("there is no such engine").to_string();
        assert!(error.contains("slow-stm") && error.contains("async-stm"), "{error}");
        let error = Report::read(Path::new("/does/not/exist")).expect_err("there is no such file");
        assert!(error.starts_with("cannot read /does/not/exist: "), "{error}");
    }
}
