//! The results as text.

use crate::figures::{figure, rate};
use crate::load::Family;
use crate::report::{Mark, Report};
use comfy_table::{CellAlignment, Table, presets};

/// All rows: a part for each number of threads and kind of workloads, an engine in each column.
pub fn table(report: &Report) -> String {
    let mut text = String::new();
    for threads in report.thread_counts() {
        for family in Family::ALL {
            if let Some(part) = part(report, threads, family) {
                text += &format!("{part}\n\n");
            }
        }
    }
    text + "Upper figure: what an operation takes one thread. Lower: operations per second of all threads.\n"
}

/// The rows of a number of threads and kind of workloads, if there are any.
fn part(report: &Report, threads: usize, family: Family) -> Option<Table> {
    let engines = report.engines_of(family.workloads());
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let threads_name = format!("{threads} {}", if threads == 1 { "thread" } else { "threads" });
    let mut header = vec![format!("{},\n{threads_name}", family.title())];
    header.extend(engines.iter().map(ToString::to_string));
    header.push("harness".into());
    header.extend(family.rivals().iter().map(|rivals| format!("tvar : fastest {}", rivals.name())));
    let columns = header.len();
    table.set_header(header);
    for workload in family.workloads() {
        let rows: Vec<_> = engines.iter().map(|engine| report.row(workload, threads, *engine)).collect();
        let Some(any) = rows.iter().flatten().next() else { continue };
        let mut cells = vec![(*workload).to_owned()];
        cells.extend(rows.iter().map(|row| match row {
            Some(row) => format!("{} ns\n{}/s", figure(row.ns_per_op), rate(row.ops_per_s)),
            None => "-".into(),
        }));
        cells.push(format!("{} ns", figure(any.harness_ns)));
        cells.extend(family.rivals().iter().map(|rivals| {
            report.ratio(*rivals, workload, threads).map_or("-".into(), |ratio| format!("{} ×", figure(ratio)))
        }));
        table.add_row(cells);
    }
    for column in 1..columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    (table.row_count() > 0).then_some(table)
}

/// The marks with what was measured.
pub fn marks_table(marks: &[Mark]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["mark", "target", "measured", ""]);
    for mark in marks {
        let bound = if mark.at_most { "≤" } else { "≥" };
        table.add_row([
            mark.name.clone(),
            format!("{bound} {} {}", figure(mark.target), mark.unit),
            mark.measured.map_or("-".into(), |measured| format!("{} {}", figure(measured), mark.unit)),
            mark.verdict().to_owned(),
        ]);
    }
    format!("{table}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_a_dash() {
        let text = r#"{"rows": [
            {"workload": "snapshot", "threads": 1, "engine": "tvar", "ops_per_s": 1e8, "ns_per_op": 10.0},
            {"workload": "read1", "threads": 1, "engine": "stm", "ops_per_s": 1e7, "ns_per_op": 100.0},
            {"workload": "map_90_10", "threads": 1, "engine": "scc", "ops_per_s": 1e7, "ns_per_op": 100.0}
        ]}"#;
        let table = table(&Report::parse(text).expect("it is a report"));
        let line = table.lines().find(|line| line.contains("snapshot")).expect("it has a line");
        assert!(line.contains("10.0 ns") && line.contains('-'), "{table}");
        assert!(!table.contains("mutex"), "{table}");
        assert!(!table.contains("ordered maps"), "{table}");
        let line = |word: &str| table.lines().find(|line| line.contains(word)).expect("it has a line");
        assert!(line("stm").contains("tvar") && !line("stm").contains("scc"), "each kind has its engines: {table}");
    }
}
