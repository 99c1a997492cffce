//! A chart of dots: a line for each workload, a dot on it for each engine.

use super::escape;
use crate::figures::{figure, rate};
use crate::load::Family;
use crate::report::{Report, Row};
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 26.0;
const LINE: f64 = 24.0;

/// Nanoseconds as places on the chart.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Whole powers of ten around all rows.
    fn around(rows: &[&Row]) -> Option<Self> {
        let ns = || rows.iter().map(|row| row.ns_per_op).filter(|ns| ns.is_finite() && *ns > 0.0);
        let (low, high) = (ns().reduce(f64::min)?.log10().floor(), ns().reduce(f64::max)?.log10().ceil());
        Some(Self { low, high: high.max(low + 1.0) })
    }

    fn x(&self, ns: f64) -> f64 {
        let part = (ns.max(1e-3).log10() - self.low) / (self.high - self.low);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

/// The chart of a number of threads and a kind of workloads.
pub(super) fn chart(report: &Report, threads: usize, family: Family) -> String {
    let fits = |row: &&Row| row.threads == threads && family.workloads().contains(&row.workload.as_str());
    let rows: Vec<_> = report.rows.iter().filter(fits).collect();
    let Some(scale) = Scale::around(&rows) else { return String::new() };
    let ran = |name: &&&str| rows.iter().any(|row| row.workload == **name);
    let workloads: Vec<_> = family.workloads().iter().filter(ran).collect();
    let engines = report.engines_of(family.workloads());
    let bottom = TOP + LINE * workloads.len() as f64;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">", bottom + 8.0);
    axis(&mut svg, &scale, bottom);
    for (line, workload) in workloads.into_iter().enumerate() {
        let y = TOP + LINE * (line as f64 + 0.5);
        _ = write!(svg, "<text class=\"label\" x=\"{}\" y=\"{:.1}\">{workload}</text>", LEFT - 12.0, y + 4.0);
        _ = write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>", WIDTH - RIGHT);
        // The own dot comes last, on top of the others.
        for &engine in engines.iter().rev() {
            if let Some(row) = report.row(workload, threads, engine) {
                dot(&mut svg, &scale, row, y);
            }
        }
    }
    svg + "</svg>"
}

fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    for power in scale.low as i32..=scale.high as i32 {
        let ns = 10_f64.powi(power);
        let (x, name) = (scale.x(ns), time(ns));
        _ = write!(svg, "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{bottom}\"/>", TOP - 4.0);
        _ = write!(svg, "<text class=\"axis\" x=\"{x:.1}\" y=\"{}\">{name}</text>", TOP - 10.0);
    }
}

fn dot(svg: &mut String, scale: &Scale, row: &Row, y: f64) {
    let (engine, x) = (row.engine, scale.x(row.ns_per_op));
    let (slowest, fastest) = row.range();
    let end = |ops: f64| scale.x(row.ns_per_op * row.ops_per_s / ops.max(1e-9));
    let title = format!("{engine}, {}: {} per operation, {}/s", row.workload, time(row.ns_per_op), rate(row.ops_per_s));
    _ = write!(
        svg,
        "<line class=\"range {engine}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
         <circle class=\"{engine}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\"><title>{}</title></circle>",
        end(fastest),
        end(slowest),
        if row.engine == crate::engine::EngineName::Tvar { 6.0 } else { 4.5 },
        escape(&title)
    );
}

/// Nanoseconds in the unit that suits them.
fn time(ns: f64) -> String {
    let (number, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns => (ns / 1e6, "ms"),
    };
    let number = figure(number);
    let whole = number.strip_suffix(".00").or(number.strip_suffix(".0"));
    format!("{} {unit}", whole.unwrap_or(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_the_unit_that_suits_them() {
        assert_eq!([0.1, 10.0, 1_500.0, 1e6].map(time), ["0.10 ns", "10 ns", "1.50 µs", "1 ms"]);
    }

    #[test]
    fn a_scale_has_whole_powers_of_ten_around_what_it_shows() {
        let text = r#"{"workload": "scan", "threads": 1, "engine": "tvar", "ops_per_s": 5e7, "ns_per_op": 20.0}"#;
        let row: Row = serde_json::from_str(text).expect("it is a row");
        let scale = Scale::around(&[&row]).expect("there is a row");
        assert_eq!((scale.low, scale.high), (1.0, 2.0));
        assert!(scale.x(20.0) > LEFT && scale.x(1e9) <= WIDTH - RIGHT);
        assert!(Scale::around(&[]).is_none());
    }
}
