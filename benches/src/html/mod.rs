//! The report as one HTML file that needs no other.

mod dots;
mod scaling;
mod tables;

use crate::engine::EngineName;
use crate::load::{Family, WORKLOADS};
use crate::report::Report;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// The page.
pub fn page(report: &Report) -> String {
    let mut body = String::new();
    _ = write!(body, "<header><h1>tvar beside other libraries</h1>{}</header>{}", about(report), legend(report));
    for what in &report.wrong {
        _ = write!(body, "<p class=\"wrong\">Wrong: {}</p>", escape(what));
    }
    if let Some(warning) = report.busy() {
        _ = write!(body, "<p class=\"wrong\">{}</p>", escape(&warning));
    }
    _ = write!(body, "<section><h2>Marks</h2>{}</section>", tables::marks(&report.marks));
    for threads in report.thread_counts() {
        let title = format!("{threads} {}", if threads == 1 { "thread" } else { "threads" });
        _ = write!(body, "<section><h2>{title}</h2>");
        let ran = |name: &str| report.rows.iter().any(|row| row.threads == threads && row.workload == name);
        for family in Family::ALL.into_iter().filter(|family| family.workloads().iter().any(|name| ran(name))) {
            _ = write!(
                body,
                "<h3>{}</h3><figure>{}<figcaption>Time per operation on a logarithmic scale; left is faster. The line \
                 behind a dot goes from its fastest to its slowest round.</figcaption></figure>{}",
                family.title(),
                dots::chart(report, threads, family),
                tables::rows(report, threads, family)
            );
        }
        body += "</section>";
    }
    _ = write!(
        body,
        "<section><h2>Scaling</h2><p>Operations per second of all threads together, by number of threads; each chart has its \
         own scale from zero. An engine that would leave it, as a lock often does, is not \
         drawn.</p><div class=\"small\">{}</div></section>",
        scaling::charts(report)
    );
    for (title, sections) in [
        ("Memory", &report.memory),
        ("Large transactions", &report.large),
        ("Latency", &report.latency),
        ("Locks", &report.locks),
    ] {
        if !sections.is_empty() {
            let parts: String = sections.iter().map(tables::section).collect();
            _ = write!(body, "<section><h2>{title}</h2>{parts}</section>");
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>tvar: comparison</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
}

/// Where, when and how much.
fn about(report: &Report) -> String {
    let mut parts = Vec::new();
    if let Some(machine) = &report.machine {
        parts.push(machine.date.clone());
        parts.push(format!("{} cores", machine.cpus));
        parts.extend(machine.cpu.clone());
        parts.push(machine.system.clone());
        parts.extend(machine.rustc.clone());
    }
    if let Some(settings) = &report.settings {
        let quick = if settings.quick { "quick run, " } else { "" };
        parts.push(format!("{quick}median of {} rounds of {:.0} ms", settings.rounds, settings.slice_ms));
    }
    format!("<p class=\"about\">{}</p>", escape(&parts.join(" · ")))
}

/// The engines and their colours.
fn legend(report: &Report) -> String {
    let items: String = engines(report)
        .into_iter()
        .map(|engine| {
            let dot = format!("<circle class=\"{engine}\" cx=\"5\" cy=\"5\" r=\"4.5\"/>");
            format!("<span><svg viewBox=\"0 0 10 10\">{dot}</svg>{engine}</span>")
        })
        .collect();
    format!("<p class=\"legend\">{items}</p>")
}

/// The engines that have rows.
fn engines(report: &Report) -> Vec<EngineName> {
    report.engines_of(&WORKLOADS)
}

/// Text as HTML.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_else_and_escapes_what_it_shows() {
        let text = r#"{"rows": [
            {"workload": "read1", "threads": 1, "engine": "tvar", "ops_per_s": 1e8, "ns_per_op": 10.0},
            {"workload": "read1", "threads": 2, "engine": "tvar", "ops_per_s": 2e8, "ns_per_op": 10.0},
            {"workload": "read1", "threads": 1, "engine": "stm", "ops_per_s": 1e7, "ns_per_op": 100.0}
        ], "wrong": ["1 < 2"]}"#;
        let page = page(&Report::parse(text).expect("it is a report"));
        assert!(page.contains("Wrong: 1 &lt; 2") && page.contains("<svg") && page.contains("10.0"));
        for outside in ["http:", "https:", "src=", "href=", "@import", "NaN", "inf"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
