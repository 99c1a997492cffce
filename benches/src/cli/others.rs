//! `memory`, `large`, `latency` and `locks`: print their tables.

use super::{Memory, Quick};
use serde::Serialize;
use std::process::ExitCode;
use tvar_benches::compare::marks_table;
use tvar_benches::progress::Progress;
use tvar_benches::report::Mark;
use tvar_benches::section::Section;
use tvar_benches::{large, latency, locks, memory};

pub(crate) fn memory(options: &Memory) -> Result<ExitCode, String> {
    let quick = options.quick.quick;
    if let Some(name) = &options.case {
        let section = memory::case(name, quick).ok_or_else(|| format!("there is no memory case {name}"))?;
        return json(&section);
    }
    show(&options.quick, memory::CASES.len() as u64, |progress| memory::measure(quick, progress))
}

pub(crate) fn large(options: &Quick) -> Result<ExitCode, String> {
    show(options, large::STEPS, |progress| Ok(large::measure(options.quick, progress)))
}

pub(crate) fn latency(options: &Quick) -> Result<ExitCode, String> {
    show(options, latency::STEPS, |progress| Ok(latency::measure(options.quick, progress)))
}

pub(crate) fn locks(options: &Quick) -> Result<ExitCode, String> {
    show(options, locks::STEPS, |progress| Ok(locks::measure(options.quick, progress)))
}

/// Measures and prints.
fn show(
    options: &Quick,
    steps: u64,
    measure: impl FnOnce(&Progress) -> Result<Vec<Section>, String>,
) -> Result<ExitCode, String> {
    if options.json {
        return json(&measure(&Progress::hidden())?);
    }
    let progress = Progress::new(steps);
    let sections = measure(&progress)?;
    progress.finish();
    for section in &sections {
        println!("{}", section.text());
    }
    let marks: Vec<Mark> = sections.into_iter().flat_map(|section| section.marks).collect();
    if !marks.is_empty() {
        print!("{}", marks_table(&marks));
    }
    Ok(ExitCode::SUCCESS)
}

fn json(result: &impl Serialize) -> Result<ExitCode, String> {
    let json = serde_json::to_string(result).map_err(|error| format!("cannot write the result: {error}"))?;
    println!("{json}");
    Ok(ExitCode::SUCCESS)
}
