//! `compare`: measures, prints, writes, checks.

use super::Compare;
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, path::Path};
use tvar_benches::child::child;
use tvar_benches::compare::{Plan, check, marks, marks_table, measure, table};
use tvar_benches::progress::Progress;
use tvar_benches::report::Report;
use tvar_benches::section::Section;
use tvar_benches::{html, memory};

/// Runs it. An error is one of what was asked for or of the file system, not of what was measured.
pub(crate) fn run(options: &Compare) -> Result<ExitCode, String> {
    // What cannot be read or written is said now, and not after five minutes.
    let earlier = options.check.as_deref().map(Report::read).transpose()?;
    fs::create_dir_all(&options.out).map_err(|error| format!("cannot make {}: {error}", options.out.display()))?;

    let plan = plan(options);
    if plan.loads().is_empty() {
        return Err("none of these workloads runs on these engines at these numbers of threads".into());
    }
    // A choice among workloads, engines or threads is one to look at just those.
    let all = options.workload.is_empty() && options.engine.is_empty() && options.threads.is_empty();
    let others = memory::CASES.len() as u64 + 3;
    let progress = Progress::new(plan.samples() as u64 + if all { others } else { 0 });
    let mut report = measure(&plan, &progress);
    report.marks = marks(&report);
    if all {
        // What was measured so far is worth more than to be lost if one of these fails.
        let mut failed = Vec::new();
        let mut keep = |sections: Result<_, String>| sections.unwrap_or_else(|why| (failed.push(why), Vec::new()).1);
        report.memory = keep(memory::measure(options.quick, &progress));
        report.large = keep(apart("large", options.quick, &progress));
        report.latency = keep(apart("latency", options.quick, &progress));
        report.locks = keep(apart("locks", options.quick, &progress));
        report.wrong.extend(failed);
        let more: Vec<_> = report.sections().flat_map(|section| section.marks.clone()).collect();
        report.marks.extend(more);
    }
    progress.finish();

    let (json, page) = (options.out.join("compare.json"), options.out.join("compare.html"));
    write(&json, &report.json()?)?;
    write(&page, &html::page(&report))?;
    print(&report);
    println!("Written: {} and {}", json.display(), page.display());
    Ok(if verdict(&report, earlier.as_ref()) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs another subcommand of this program.
fn apart(name: &str, quick: bool, progress: &Progress) -> Result<Vec<Section>, String> {
    progress.now(name);
    let sections = child(&[name, "--json"], quick)?;
    progress.step();
    Ok(sections)
}

fn print(report: &Report) {
    println!("{}", table(report));
    for section in report.sections() {
        println!("{}", section.text());
    }
    println!("{}", marks_table(&report.marks));
    if let Some(warning) = report.busy() {
        println!("{warning}\n");
    }
}

/// Says what is wrong. Whether nothing is; a mark that was not reached is not wrong.
fn verdict(report: &Report, earlier: Option<&Report>) -> bool {
    for what in &report.wrong {
        eprintln!("WRONG: {what}");
    }
    let passed = earlier.is_none_or(|earlier| {
        let check = check(earlier, report);
        print!("\n{}", check.text());
        check.passed()
    });
    passed && report.wrong.is_empty()
}

fn plan(options: &Compare) -> Plan {
    let mut plan = Plan::full(options.quick);
    if !options.workload.is_empty() {
        plan.workloads.clone_from(&options.workload);
    }
    if !options.engine.is_empty() {
        plan.engines.clone_from(&options.engine);
        plan.engines.sort_unstable();
        plan.engines.dedup();
    }
    if !options.threads.is_empty() {
        plan.threads.clone_from(&options.threads);
        plan.threads.sort_unstable();
        plan.threads.dedup();
    }
    plan.rounds = options.rounds;
    plan.slice = options.slice_ms.map(Duration::from_millis);
    plan
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}
