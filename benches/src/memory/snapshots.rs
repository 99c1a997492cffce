//! What snapshots that are kept cost: memory, and the writers' speed.

use super::{Bytes, mib, peak};
use crate::Picks;
use crate::report::Mark;
use crate::section::Section;
use std::thread;
use std::time::Instant;
use tvar::{Snapshot, Space, TVar, atomically};

fn variables(count: usize) -> Vec<TVar<u64>> {
    let vars: Vec<_> = (0..count as u64).map(TVar::new).collect();
    vars.iter().for_each(add);
    vars
}

fn add(var: &TVar<u64>) {
    atomically(|tx| {
        tx.modify(var, |n| n + 1);
        Ok(())
    });
}

/// So many commits to random ones, on so many threads.
fn commits(vars: &[TVar<u64>], threads: usize, count: usize, seed: u64) {
    thread::scope(|s| {
        for thread in 0..threads {
            s.spawn(move || {
                let mut picks = Picks::new(seed * 100 + thread as u64);
                (0..count / threads).for_each(|_| add(&vars[picks.below(vars.len())]));
            });
        }
    });
}

/// One snapshot over millions of commits to a thousand variables.
pub(super) fn held(quick: bool) -> Section {
    const VARIABLES: usize = 1_000;
    let count = if quick { 1_000_000 } else { 10_000_000 };
    let mut section = Section::new(
        format!("One snapshot held over {count} commits to {VARIABLES} variables"),
        "MiB live or resident. A snapshot holds back one version of what it reaches, and nothing of what came and went since. What \
         is resident is at least as much as was ever live; with more threads than cores that is decided by a thread that \
         lost its core in the middle of a transaction, and holds back what goes out of use meanwhile.",
        &[
            "live before",
            "live after a tenth",
            "live at the end",
            "most live",
            "live without the snapshot",
            "resident before",
            "resident after a tenth",
            "resident at the end",
        ],
    );
    for (threads, hold) in [(1, true), (8, true), (8, false)] {
        let vars = variables(VARIABLES);
        commits(&vars, threads, count / 100, 1);
        let before = Bytes::now();
        let snapshot = hold.then(|| Space::global().snapshot());
        let ((tenth, end), most) = peak(|| {
            commits(&vars, threads, count / 10, 2);
            let tenth = Bytes::now();
            commits(&vars, threads, count - count / 10, 3);
            (tenth, Bytes::now())
        });
        drop(snapshot);
        let after = Bytes::now();
        let thread = if threads == 1 { "thread" } else { "threads" };
        let label = format!("{threads} {thread}, {}", if hold { "a snapshot" } else { "no snapshot" });
        let live = [before.live, tenth.live, end.live, most, after.live].map(|bytes| Some(mib(bytes)));
        let resident = [before, tenth, end].map(|bytes| bytes.resident.map(mib));
        section.row(label.clone(), live.into_iter().chain(resident));
        // Threads keep some blocks for themselves, so that a little more or less says nothing.
        let name =
            |what: &str| format!("growth of what is {what} over the last nine tenths of {count} commits, {label}");
        section.marks.push(Mark::at_most(name("live"), "MiB", 1.0, Some(mib(end.live - tenth.live))));
        let resident = end.resident.zip(tenth.resident).map(|(end, tenth)| mib(end - tenth));
        section.marks.push(Mark::at_most(name("resident"), "MiB", 4.0, resident));
    }
    section
}

/// How often a pass is measured.
const PASSES: usize = 3;

/// A pass that adds one to every variable, in an order that jumps about. `between` runs a hundred times on the way. Commits per second.
fn pass(vars: &[TVar<u64>], mut between: impl FnMut()) -> f64 {
    const STEP: usize = 7_919; // shares no factor with the number of variables: every one comes up once
    let start = Instant::now();
    for at in 0..vars.len() {
        if at % (vars.len() / 100) == 0 {
            between();
        }
        add(&vars[at * STEP % vars.len()]);
    }
    vars.len() as f64 / start.elapsed().as_secs_f64()
}

/// The fastest of some numbers: what nobody disturbed.
fn fastest(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

const COLUMNS: [&str; 7] = [
    "commits/s without",
    "commits/s with",
    "of the speed without",
    "MiB live before",
    "most MiB live",
    "MiB live after the drop",
    "MiB resident after",
];

fn count(quick: bool) -> usize {
    if quick { 200_000 } else { 1_000_000 }
}

/// One snapshot, while every variable is written.
pub(super) fn rewritten(quick: bool) -> Section {
    let vars = variables(count(quick));
    let title = format!("One snapshot held while all of {} variables are written", vars.len());
    let note = "One thread. The snapshot is taken before a pass over all variables and dropped after it.";
    beside(&vars, title, note, "one snapshot", |vars| {
        let snapshot = Space::global().snapshot();
        (pass(vars, || ()), vec![snapshot])
    })
}

/// A hundred snapshots, each of another age.
pub(super) fn ages(quick: bool) -> Section {
    let vars = variables(count(quick));
    let title = format!("A hundred snapshots of different ages held while all of {} variables are written", vars.len());
    let note =
        "One thread. The snapshots are taken one by one in a pass over all variables; the next pass is measured.";
    beside(&vars, title, note, "a hundred snapshots", |vars| {
        let mut snapshots = Vec::with_capacity(100);
        pass(vars, || snapshots.push(Space::global().snapshot()));
        (pass(vars, || ()), snapshots)
    })
}

/// Passes without and with snapshots in turn.
fn beside(
    vars: &[TVar<u64>],
    title: String,
    note: &str,
    label: &str,
    with: impl Fn(&[TVar<u64>]) -> (f64, Vec<Snapshot>),
) -> Section {
    let mut section = Section::new(title, note, &COLUMNS);
    pass(vars, || ()); // until here every node is as new as its neighbours
    let (mut rates_without, mut rates_with) = (Vec::new(), Vec::new());
    let (mut before, mut most, mut after) = (Bytes::now(), 0.0, Bytes::now());
    for _ in 0..PASSES {
        rates_without.push(pass(vars, || ()));
        before = Bytes::now();
        let ((rate, snapshots), peak) = peak(|| with(vars));
        rates_with.push(rate);
        most = peak;
        drop(snapshots);
        after = Bytes::now();
    }
    let (without, with) = (fastest(&rates_without), fastest(&rates_with));
    let values = [without, with, with / without, mib(before.live), mib(most), mib(after.live)];
    section.row(label, values.map(Some).into_iter().chain([after.resident.map(mib)]));
    let left = (after.live - before.live).max(0.0) / (most - before.live).max(1.0);
    section.marks = vec![
        Mark::at_least(format!("the writer beside {label}, of its speed without"), "×", 0.5, Some(with / without)),
        Mark::at_most(format!("left at once after dropping {label}, of what it held"), "×", 0.05, Some(left)),
    ];
    section
}
