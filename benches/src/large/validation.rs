//! How long a commit takes that has to validate 100,000 reads, by how much has changed meanwhile.

use crate::report::Mark;
use crate::section::Section;
use crate::stats::median;
use std::cell::Cell;
use std::hint::black_box;
use std::thread;
use std::time::Instant;
use tvar::{TVar, atomically};

const READ: usize = 100_000;
const CHANGED: [usize; 5] = [0, 1, 10, 1_000, 10_000];

pub(super) fn section(quick: bool) -> Section {
    let rounds = if quick { 5 } else { 15 };
    let mut section = Section::new(
        format!("µs of the commit of a writer that has read {READ} variables"),
        "By how many variables that it has not read another thread changed after its reads. Neighbours: every other variable was \
         read, the ones between have changed. Far: variables made later. The median of some rounds; no attempt ran twice.",
        &["0 changed", "1 changed", "10 changed", "1000 changed", "10000 changed"],
    );
    // Made in turns, so that read and unread ones lie side by side.
    let (mut read, mut neighbours) = (Vec::new(), Vec::new());
    for at in 0..READ as u64 {
        read.push(TVar::new(at));
        neighbours.push(TVar::new(at));
    }
    let far: Vec<_> = (0..READ as u64).map(TVar::new).collect();
    let target = TVar::new(0);
    for vars in [&read, &neighbours, &far] {
        change(vars, READ);
    }
    let mut all = Vec::new();
    for (label, others) in [("neighbours", &neighbours), ("far", &far)] {
        let times = CHANGED.map(|changed| {
            let round = |_| commit(&read, others, changed, &target);
            median(&(0..rounds).map(round).collect::<Vec<_>>())
        });
        section.row(label, times);
        all.push(times);
    }
    let few = all.first().and_then(|times| times[2].zip(times[0]));
    let name = "a commit that validates 100,000 reads where 10 other variables changed, beside where none did";
    section.marks.push(Mark::at_most(name, "µs more", 50.0, few.map(|(ten, none)| ten - none)));
    section
}

fn change(vars: &[TVar<u64>], count: usize) {
    // Spread over all of them.
    let apart = vars.len() / count.max(1);
    atomically(|tx| {
        (0..count).for_each(|at| tx.modify(&vars[at * apart], |n| n + 1));
        Ok(())
    });
}

/// Microseconds from the end of the closure to the end of the call.
fn commit(read: &[TVar<u64>], others: &[TVar<u64>], changed: usize, target: &TVar<u64>) -> f64 {
    let (ended, attempts) = (Cell::new(Instant::now()), Cell::new(0));
    atomically(|tx| {
        let sum: u64 = read.iter().map(|var| *tx.read(var)).sum();
        black_box(sum);
        attempts.set(tx.attempt());
        if tx.attempt() == 1 {
            // Another transaction, so another thread; also where it changes nothing, for the same effect on caches.
            thread::scope(|s| s.spawn(|| change(others, changed)).join().expect("a transaction panicked"));
        }
        tx.write(target, sum + ended.get().elapsed().subsec_nanos() as u64); // never the same value again
        ended.set(Instant::now());
        Ok(())
    });
    let time = ended.get().elapsed().as_secs_f64() * 1e6;
    assert_eq!(attempts.get(), 1, "a commit lost to variables that its transaction had not read");
    time
}
