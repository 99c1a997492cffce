//! Tables.

use super::escape;
use crate::engine::EngineName;
use crate::figures::{figure, rate};
use crate::load::Family;
use crate::report::{Mark, Report};
use crate::section::Section;
use std::fmt::Write;

/// All figures of a number of threads and a kind of workloads.
pub(super) fn rows(report: &Report, threads: usize, family: Family) -> String {
    let engines = report.engines_of(family.workloads());
    let mut head = String::from("<th>ns/op, operations/s</th>");
    engines.iter().for_each(|engine| _ = write!(head, "<th>{engine}</th>"));
    head += "<th>harness, ns</th>";
    family.rivals().iter().for_each(|rivals| _ = write!(head, "<th>tvar : fastest {}</th>", rivals.name()));
    let mut body = String::new();
    for workload in family.workloads() {
        let rows: Vec<_> = engines.iter().map(|engine| report.row(workload, threads, *engine)).collect();
        let Some(any) = rows.iter().flatten().next() else { continue };
        _ = write!(body, "<tr><th>{workload}</th>");
        for row in &rows {
            _ = match row {
                Some(row) => {
                    let own = if row.engine == EngineName::Tvar { " class=\"own\"" } else { "" };
                    let (ns, per_second) = (figure(row.ns_per_op), rate(row.ops_per_s));
                    let spread = figure(row.spread * 100.0);
                    write!(body, "<td{own} title=\"spread {spread} %\">{ns}<small>{per_second}/s</small></td>")
                }
                None => write!(body, "<td>-</td>"),
            };
        }
        _ = write!(body, "<td>{}</td>", figure(any.harness_ns));
        for rivals in family.rivals() {
            let ratio = report.ratio(*rivals, workload, threads);
            _ = write!(body, "<td>{}</td>", ratio.map_or("-".into(), |ratio| format!("{} ×", figure(ratio))));
        }
        body += "</tr>";
    }
    table(&head, &body)
}

/// The marks and what became of them.
pub(super) fn marks(marks: &[Mark]) -> String {
    let mut body = String::new();
    for mark in marks {
        let class = match mark.reached {
            Some(true) => "reached",
            Some(false) => "short",
            None => "none",
        };
        let (bound, unit) = (if mark.at_most { "≤" } else { "≥" }, escape(&mark.unit));
        let measured = mark.measured.map_or("-".into(), |measured| format!("{} {unit}", figure(measured)));
        _ = write!(
            body,
            "<tr><th>{}</th><td>{bound} {} {unit}</td><td>{measured}</td><td><b class=\"{class}\">{}</b></td></tr>",
            escape(&mark.name),
            figure(mark.target),
            mark.verdict()
        );
    }
    table("<th>mark</th><th>target</th><th>measured</th><th></th>", &body)
}

/// A table of figures with its title and its note.
pub(super) fn section(section: &Section) -> String {
    let mut head = String::from("<th></th>");
    section.columns.iter().for_each(|column| _ = write!(head, "<th>{}</th>", escape(column)));
    let mut body = String::new();
    for row in &section.rows {
        _ = write!(body, "<tr><th>{}</th>", escape(&row.label));
        for value in &row.values {
            _ = write!(body, "<td>{}</td>", value.map_or("-".into(), figure));
        }
        body += "</tr>";
    }
    format!("<h3>{}</h3>{}<p class=\"note\">{}</p>", escape(&section.title), table(&head, &body), escape(&section.note))
}

fn table(head: &str, body: &str) -> String {
    format!("<div class=\"wide\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>")
}
