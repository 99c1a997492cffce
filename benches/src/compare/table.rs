//! The results as text.

use crate::engine::EngineName;
use crate::figures::{figure, rate};
use crate::load::WORKLOADS;
use crate::report::{Mark, Report};
use comfy_table::{CellAlignment, Table, presets};

/// All rows: a part for each number of threads, an engine in each column.
pub fn table(report: &Report) -> String {
    let engines: Vec<_> =
        EngineName::ALL.into_iter().filter(|engine| report.rows.iter().any(|row| row.engine == *engine)).collect();
    let mut text = String::new();
    for threads in report.thread_counts() {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        let mut header = vec![format!("{threads} {}", if threads == 1 { "thread" } else { "threads" })];
        header.extend(engines.iter().map(ToString::to_string));
        header.extend(["harness".into(), "tvar : fastest STM".into()]);
        let columns = header.len();
        table.set_header(header);
        for workload in WORKLOADS {
            let rows: Vec<_> = engines.iter().map(|engine| report.row(workload, threads, *engine)).collect();
            let Some(any) = rows.iter().flatten().next() else { continue };
            let mut cells = vec![workload.to_owned()];
            cells.extend(rows.iter().map(|row| match row {
                Some(row) => format!("{} ns\n{}/s", figure(row.ns_per_op), rate(row.ops_per_s)),
                None => "-".into(),
            }));
            cells.push(format!("{} ns", figure(any.harness_ns)));
            cells.push(report.ratio(workload, threads).map_or("-".into(), |ratio| format!("{} ×", figure(ratio))));
            table.add_row(cells);
        }
        for column in 1..columns {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        text += &format!("{table}\n\n");
    }
    text + "Upper figure: what an operation takes one thread. Lower: operations per second of all threads.\n"
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
            {"workload": "read1", "threads": 1, "engine": "stm", "ops_per_s": 1e7, "ns_per_op": 100.0}
        ]}"#;
        let table = table(&Report::parse(text).expect("it is a report"));
        let line = table.lines().find(|line| line.contains("snapshot")).expect("it has a line");
        assert!(line.contains("10.0 ns") && line.contains('-'), "{table}");
        assert!(!table.contains("mutex"), "{table}");
    }
}
