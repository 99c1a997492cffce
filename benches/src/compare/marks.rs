//! The marks: how fast `tvar` is to be beside the fastest of its rivals in the same run.

use crate::engine::EngineName::{Crossbeam, Tvar};
use crate::engine::Rivals;
use crate::load::{Family, LONE_WRITER, SCAN_BESIDE_WRITER, WRITER_BESIDE_SCAN};
use crate::report::{Mark, Report, find};

/// Times as fast as the fastest rival: number of threads, workload, target.
const RATIOS: [(usize, &str, f64); 17] = [
    (1, "read1", 6.0),
    (1, "read10", 10.0),
    (1, "counter", 3.0),
    (1, "transfer_1k", 4.0),
    (1, "transfer_1m", 3.0),
    (1, "boxed", 2.0),
    (2, "transfer_1k", 2.0),
    (2, "counter", 5.0),
    (2, "disjoint", 1.3),
    (2, "pingpong", 1.0),
    (1, "create_drop", 1.0),
    (2, "queue_1_1", 3.0),
    (8, "queue_4_4", 3.0),
    (2, "pingpong_tasks", 3.0),
    (2, "pingpong_mixed", 3.0),
    (2, "wake_one_of_10k", 3.0),
    (2, "wake_1000", 3.0),
];
/// Of the fastest channel that all threads may share, this part: what carries one item at a time between two threads.
const OF_A_CHANNEL: (&str, f64) = ("queue_1_1", 1.0 / 3.0);
/// Of the fastest map without transactions, this part at every number of threads: workload, target. A map whose operations are
/// transactions pays for what it promises; reads pay less.
const OF_PLAIN_MAPS: [(&str, f64); 5] = [
    ("map_90_10", 1.0 / 2.0),
    ("map_50_50", 1.0 / 4.0),
    ("ordmap_90_10", 1.0 / 2.0),
    ("ordmap_50_50", 1.0 / 4.0),
    ("ordmap_range", 1.0 / 2.0),
];
/// What keeps its speed when there are more threads than cores.
const OVERSUBSCRIBED: [&str; 4] = ["transfer_1k", "transfer_1m", "counter", "disjoint"];

/// The marks of a run.
pub fn marks(report: &Report) -> Vec<Mark> {
    let mut marks = Vec::new();
    for (threads, workload, target) in RATIOS {
        let threads_name = if threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
        let name = format!("{workload}, {threads_name}, beside the fastest STM rival");
        marks.push(Mark::at_least(name, "×", target, report.ratio(Rivals::Stm, workload, threads)));
    }
    for workload in Family::HashMaps.workloads() {
        marks.push(everywhere(report, Rivals::Stm, workload, 1.0));
    }
    for (workload, target) in OF_PLAIN_MAPS {
        marks.push(everywhere(report, Rivals::Maps, workload, target));
    }
    let (workload, target) = OF_A_CHANNEL;
    let rate = |engine| Some(report.row(workload, 2, engine)?.ops_per_s);
    let ratio = rate(Tvar).zip(rate(Crossbeam)).map(|(own, channel)| own / channel);
    marks.push(Mark::at_least(format!("{workload}, beside crossbeam-channel"), "×", target, ratio));
    for workload in OVERSUBSCRIBED {
        let rate = |threads| Some(report.row(workload, threads, Tvar)?.ops_per_s);
        let kept = rate(8).zip(rate(2)).map(|(eight, two)| eight / two);
        marks.push(Mark::at_least(format!("{workload}, 8 threads beside 2"), "×", 2.0 / 3.0, kept));
    }
    let scans = report.row(SCAN_BESIDE_WRITER, 2, Tvar).map(|row| row.ops_per_s);
    marks.push(Mark::at_least("scans of 10,000 variables beside a writer", "scans/s", 10_000.0, scans));
    let beside = report.row(WRITER_BESIDE_SCAN, 2, Tvar).map(|row| row.ops_per_s);
    let lone = find(&report.lone_writer, LONE_WRITER, 2, Tvar).map(|row| row.ops_per_s);
    let kept = beside.zip(lone).map(|(beside, lone)| beside / lone);
    marks.push(Mark::at_least("the writer beside scans, of its lone speed", "×", 1.0 / 3.0, kept));
    marks
}

/// A mark on the number of threads at which `tvar` is least beside the fastest of some rivals.
fn everywhere(report: &Report, rivals: Rivals, workload: &str, target: f64) -> Mark {
    let ratios = report.thread_counts().into_iter().filter_map(|threads| report.ratio(rivals, workload, threads));
    let name = format!("{workload}, at any number of threads, beside the fastest {} rival", rivals.name());
    Mark::at_least(name, "×", target, ratios.reduce(f64::min))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineName;
    use crate::report::Row;

    fn row(workload: &str, threads: usize, engine: EngineName, ops_per_s: f64) -> Row {
        Row {
            workload: workload.into(),
            threads,
            engine,
            ops_per_s,
            ns_per_op: threads as f64 * 1e9 / ops_per_s,
            harness_ns: 0.0,
            spread: 0.0,
            min_ops_per_s: None,
            max_ops_per_s: None,
        }
    }

    fn mark<'a>(marks: &'a [Mark], name: &str) -> &'a Mark {
        marks.iter().find(|mark| mark.name.starts_with(name)).expect("there is such a mark")
    }

    #[test]
    fn the_fastest_rival_of_the_kind_counts() {
        let rows = vec![
            row("counter", 2, Tvar, 50.0),
            row("counter", 2, EngineName::Stm, 5.0),
            row("counter", 2, EngineName::FastStm, 20.0),
            row("counter", 2, EngineName::Mutex, 1_000.0),
            row("counter", 2, EngineName::Reference, 30.0),
            row("counter", 8, Tvar, 40.0),
        ];
        let marks = marks(&Report { rows, ..Report::default() });
        let counter = mark(&marks, "counter, 2 threads");
        assert_eq!((counter.measured, counter.verdict()), (Some(2.5), "short"));
        let kept = mark(&marks, "counter, 8 threads");
        assert_eq!((kept.measured, kept.verdict()), (Some(0.8), "reached"));
        assert_eq!(mark(&marks, "read1,").verdict(), "not measured");
    }

    #[test]
    fn maps_are_judged_where_they_are_worst() {
        let rows = vec![
            row("map_90_10", 1, Tvar, 60.0),
            row("map_90_10", 1, EngineName::Scc, 100.0),
            row("map_90_10", 1, EngineName::Concread, 20.0),
            row("map_90_10", 8, Tvar, 60.0),
            row("map_90_10", 8, EngineName::Scc, 100.0),
            row("map_90_10", 8, EngineName::Papaya, 150.0),
            row("map_90_10", 8, EngineName::FastStm, 30.0),
        ];
        let marks = marks(&Report { rows, ..Report::default() });
        let all: Vec<_> = marks.iter().filter(|mark| mark.name.starts_with("map_90_10,")).collect();
        let found = |at: usize| (all[at].measured, all[at].verdict());
        assert_eq!((found(0), found(1)), ((Some(2.0), "reached"), (Some(0.4), "short")));
    }

    #[test]
    fn a_queue_is_compared_with_the_channel_and_with_transactions() {
        let rows = vec![
            row("queue_1_1", 2, Tvar, 20.0),
            row("queue_1_1", 2, Crossbeam, 50.0),
            row("queue_1_1", 2, EngineName::Flume, 500.0),
            row("queue_1_1", 2, EngineName::FastStm, 10.0),
        ];
        let marks = marks(&Report { rows, ..Report::default() });
        let (stm, channel) = (mark(&marks, "queue_1_1, 2 threads"), mark(&marks, "queue_1_1, beside crossbeam"));
        assert_eq!((stm.measured, stm.verdict()), (Some(2.0), "short"));
        assert_eq!((channel.measured, channel.verdict()), (Some(0.4), "reached"));
    }

    #[test]
    fn the_writer_is_compared_with_itself_alone() {
        let rows = vec![row(SCAN_BESIDE_WRITER, 2, Tvar, 9_999.0), row(WRITER_BESIDE_SCAN, 2, Tvar, 40.0)];
        let lone_writer = vec![row(LONE_WRITER, 2, Tvar, 100.0)];
        let marks = marks(&Report { rows, lone_writer, ..Report::default() });
        assert_eq!(mark(&marks, "scans").verdict(), "short");
        assert_eq!(mark(&marks, "the writer").measured, Some(0.4));
    }
}
