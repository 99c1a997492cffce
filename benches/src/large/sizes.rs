//! What a read and a write cost in transactions of one to 100,000 variables.

use crate::engine::{ClassicStm, Engine, EngineName, Fast, FastStm, Locked, Reference, async_stm};
use crate::report::Mark;
use crate::section::Section;
use crate::stats::median;
use std::hint::black_box;
use std::time::{Duration, Instant};

const SIZES: [usize; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// Each size is measured so often; the median counts.
const ROUNDS: usize = 5;
/// From this size on, what a transaction costs by itself no longer shows.
const FLAT_FROM: usize = 2;

/// What the transactions do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

pub(super) fn section(access: Access, quick: bool) -> Section {
    let what = match access {
        Access::Read => "read",
        Access::Write => "blind write",
    };
    let sizes = SIZES.map(|size| format!("{size}"));
    let mut section = Section::new(
        format!("ns per {what} in one transaction of so many variables, one thread"),
        "The transaction's own cost is in it, which is why few variables cost more each.",
        &sizes.each_ref().map(String::as_str),
    );
    let accesses = if quick { 100_000 } else { 1_000_000 };
    for engine in EngineName::VARIABLES {
        let cost = SIZES.map(|size| Some(per_access(engine, access, size, accesses / size)));
        section.row(engine.name(), cost);
    }
    if let Some(own) = section.rows.first() {
        let flat = &own.values[FLAT_FROM..];
        let growth = flat.first().copied().flatten().zip(flat.last().copied().flatten());
        let name = format!("a {what} among 100,000 in one transaction, beside one among 100");
        // A hundred variables fit into the nearest caches and 100,000 do not: "flat" leaves room for that.
        section.marks.push(Mark::at_most(name, "×", 4.0, growth.map(|(first, last)| last / first)));
    }
    section
}

fn per_access(engine: EngineName, access: Access, size: usize, transactions: usize) -> f64 {
    let transactions = transactions.clamp(1, 20_000);
    let rounds = match engine {
        EngineName::Tvar => plain::<Fast>(access, size, transactions),
        EngineName::Stm => plain::<ClassicStm>(access, size, transactions),
        EngineName::FastStm => plain::<FastStm>(access, size, transactions),
        EngineName::AsyncStm => asynchronous(access, size, transactions),
        EngineName::Mutex => plain::<Locked>(access, size, transactions),
        EngineName::Reference => plain::<Reference>(access, size, transactions),
        _ => unreachable!("{engine} has only maps"),
    };
    let accesses = (size * transactions) as f64;
    median(&rounds.map(|round| round.as_secs_f64() * 1e9 / accesses)).unwrap_or(f64::NAN)
}

fn plain<E: Engine>(access: Access, size: usize, transactions: usize) -> [Duration; ROUNDS] {
    let heap = E::heap((0..size).map(|_| 1));
    E::write_first(&heap, size, 1);
    let mut value = 1;
    [(); ROUNDS].map(|()| {
        let start = Instant::now();
        for _ in 0..transactions {
            match access {
                Access::Read => drop(black_box(E::sum_all(&heap))),
                Access::Write => {
                    value += 1; // writing what is there already could be cheaper
                    E::write_first(&heap, size, value);
                }
            }
        }
        start.elapsed()
    })
}

fn asynchronous(access: Access, size: usize, transactions: usize) -> [Duration; ROUNDS] {
    let heap = async_stm::heap((0..size).map(|_| 1));
    let mut value = 1;
    [(); ROUNDS].map(|()| {
        async_stm::block_on(async {
            let start = Instant::now();
            for _ in 0..transactions {
                match access {
                    Access::Read => drop(black_box(async_stm::sum_all(&heap).await)),
                    Access::Write => {
                        value += 1;
                        async_stm::write_first(&heap, size, value).await;
                    }
                }
            }
            start.elapsed()
        })
    })
}
