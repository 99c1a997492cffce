//! Small charts: throughput by number of threads, one for each workload.

use super::engines;
use crate::figures::rate;
use crate::load::WORKLOADS;
use crate::report::{Report, Row};
use std::fmt::Write;

const WIDTH: f64 = 280.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 24.0;

/// A chart for each workload that ran at more than one number of threads.
pub(super) fn charts(report: &Report) -> String {
    let counts = report.thread_counts();
    WORKLOADS.iter().filter_map(|workload| chart(report, workload, &counts)).collect()
}

fn chart(report: &Report, workload: &str, counts: &[usize]) -> Option<String> {
    let rows: Vec<_> = report.rows.iter().filter(|row| row.workload == workload).collect();
    let mut ran: Vec<_> = counts.iter().copied().filter(|count| rows.iter().any(|row| row.threads == *count)).collect();
    ran.dedup();
    if ran.len() < 2 {
        return None;
    }
    // A lock without contention is so much faster that nothing else would show beside it: it may leave the chart.
    let libraries = |row: &&&Row| !row.engine.is_lock();
    let top = rows.iter().filter(libraries).map(|row| row.ops_per_s).reduce(f64::max)? * 1.08;
    let x = |count: usize| {
        let at = ran.iter().position(|ran| *ran == count).unwrap_or(0);
        LEFT + 10.0 + (WIDTH - LEFT - RIGHT - 20.0) * at as f64 / (ran.len() - 1) as f64
    };
    let y = |ops: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (ops / top);

    let mut svg = format!("<figure><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
    for part in [0.0, 0.5, 1.0] {
        let (at, name) = (y(top * part), if part == 0.0 { "0".into() } else { rate(top * part) });
        _ = write!(svg, "<line class=\"tick\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", WIDTH - RIGHT);
        _ = write!(svg, "<text class=\"label\" x=\"{}\" y=\"{:.1}\">{name}</text>", LEFT - 6.0, at + 4.0);
    }
    for count in &ran {
        _ = write!(svg, "<text class=\"axis\" x=\"{:.1}\" y=\"{}\">{count}</text>", x(*count), HEIGHT - 6.0);
    }
    for engine in engines(report).into_iter().rev() {
        let points: Vec<_> = ran.iter().filter_map(|count| report.row(workload, *count, engine)).collect();
        if points.iter().any(|row| row.ops_per_s > top) {
            continue;
        }
        let path: Vec<_> = points.iter().map(|row| format!("{:.1},{:.1}", x(row.threads), y(row.ops_per_s))).collect();
        _ = write!(svg, "<polyline class=\"{engine}\" points=\"{}\"/>", path.join(" "));
        for row in points {
            _ = write!(
                svg,
                "<circle class=\"{engine}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{engine}, {} threads: {}/s</title></circle>",
                x(row.threads),
                y(row.ops_per_s),
                row.threads,
                rate(row.ops_per_s)
            );
        }
    }
    Some(svg + &format!("</svg><figcaption>{workload}</figcaption></figure>"))
}
