//! List-append histories, in the form that Elle reads: transactions of reads and appends on variables that hold lists, recorded as black boxes, without
//! versions.

mod broken;
mod cycles;
mod edn;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;
use tvar::{Abort, Space, Stats, TVar, TryError, Tx, TxOptions};

use crate::record::{Clock, disturb};

#[derive(Clone, Debug, PartialEq, Eq)]
enum Micro {
    Append(u64, u64),
    /// `None`: not known (yet).
    Read(u64, Option<Vec<u64>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Invoke,
    Ok,
    /// It did not commit. (Of a call on a thread one knows; what Jepsen calls `:info` does not occur.)
    Fail,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Op {
    index: u64,
    time: u64,
    kind: Kind,
    process: u64,
    value: Vec<Micro>,
}

type List = TVar<Vec<u64>>;

const PROCESSES: u64 = 6;
const CALLS: usize = 60;
/// So many calls of all threads later the keys are others, so that lists stay short.
const CALLS_PER_KEY: u64 = 24;
/// Keys in use at a time.
const WINDOW: u64 = 3;

struct Lists {
    space: Space,
    lists: Vec<List>,
    clock: Clock,
    start: Instant,
    calls: AtomicU64,
}

impl Lists {
    /// The keys that are in use now.
    fn pick(&self, rng: &mut StdRng) -> u64 {
        // ORDERING: Relaxed: any key will do.
        self.calls.load(Ordering::Relaxed) / CALLS_PER_KEY + rng.random_range(0..WINDOW)
    }

    /// What happens now; the moment puts it in its place.
    fn op(&self, kind: Kind, process: u64, value: Vec<Micro>) -> Op {
        let (index, time) = (self.clock.now(), self.start.elapsed().as_nanos() as u64);
        Op { index, time, kind, process, value }
    }

    /// One transaction, and its two operations.
    fn call(&self, options: &TxOptions, process: u64, plan: Vec<Micro>, aborts: bool, ops: &mut Vec<Op>) {
        ops.push(self.op(Kind::Invoke, process, plan.clone()));
        let result = options.try_run(|tx| {
            let seen = plan.iter().map(|micro| self.run(tx, micro)).collect();
            if aborts { tx.abort(()) } else { Ok::<Vec<_>, Abort<()>>(seen) }
        });
        ops.push(match result {
            Ok(seen) => self.op(Kind::Ok, process, seen),
            Err(TryError::Aborted(()) | TryError::Failed(_)) => self.op(Kind::Fail, process, plan),
        });
    }

    fn run(&self, tx: &Tx<'_>, micro: &Micro) -> Micro {
        match *micro {
            Micro::Read(key, _) => Micro::Read(key, Some(tx.read(&self.lists[key as usize]).clone())),
            Micro::Append(key, value) => {
                let list = &self.lists[key as usize];
                let append = move |list: &Vec<u64>| list.iter().copied().chain([value]).collect();
                // Blindly, unless it is read later.
                if value % 2 == 0 {
                    tx.merge(list, append);
                } else {
                    tx.modify(list, append);
                }
                micro.clone()
            }
        }
    }

    fn worker(&self, process: u64, seed: u64) -> Vec<Op> {
        let mut rng = StdRng::seed_from_u64(seed ^ (process + 1) << 40);
        let _disturbed = disturb(seed ^ process << 32);
        let mut ops = Vec::new();
        for call in 0..CALLS as u64 {
            let mut plan = Vec::new();
            for n in 0..rng.random_range(1..=4) {
                let key = self.pick(&mut rng);
                // Unique.
                let value = (process * CALLS as u64 + call) * 4 + n;
                let micro = if rng.random_bool(0.5) { Micro::Append(key, value) } else { Micro::Read(key, None) };
                plan.push(micro);
            }
            let mut options = TxOptions::new().space(&self.space);
            if rng.random_bool(0.4) {
                options = options.coalesce_after(rng.random_range(0..2));
            }
            if rng.random_bool(0.05) {
                options = options.pessimistic();
            }
            if rng.random_bool(0.05) {
                options = options.max_attempts(1);
            }
            self.call(&options, process, plan, rng.random_bool(0.05), &mut ops);
            // ORDERING: Relaxed: a count.
            self.calls.fetch_add(1, Ordering::Relaxed);
        }
        ops
    }
}

/// Runs the threads, and in the end reads every list.
fn record(seed: u64) -> (Vec<Op>, Stats) {
    let space = Space::new();
    let keys = PROCESSES * CALLS as u64 / CALLS_PER_KEY + WINDOW;
    let lists = (0..keys).map(|_| TVar::new_in(&space, Vec::new())).collect();
    let (clock, start, calls) = (Clock::default(), Instant::now(), AtomicU64::new(0));
    let lists = Lists { space, lists, clock, start, calls };
    let mut ops: Vec<Op> = thread::scope(|scope| {
        let threads: Vec<_> = (0..PROCESSES).map(|process| (process, &lists)).collect();
        let threads = threads.into_iter().map(|(process, lists)| scope.spawn(move || lists.worker(process, seed)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no worker panics")).collect()
    });
    let all: Vec<_> = (0..keys).map(|key| Micro::Read(key, None)).collect();
    lists.call(&lists.space.options(), PROCESSES, all, false, &mut ops);
    ops.sort_by_key(|op| op.index);
    let mut time = 0;
    for (at, op) in ops.iter_mut().enumerate() {
        time = time.max(op.time);
        (op.index, op.time) = (at as u64, time);
    }
    (ops, lists.space.stats())
}

/// §2.2: strictly serialisable, by what a checker sees that knows nothing of versions.
///
/// `TVAR_ELLE=target/elle` writes the histories into this folder, a file for each.
#[test]
fn list_append_histories_have_no_cycles() {
    let folder = env::var_os("TVAR_ELLE").map(PathBuf::from);
    let (mut announced, mut conflicts) = (0, 0);
    for seed in 1..=if cfg!(debug_assertions) { 12 } else { 50 } {
        let (ops, stats) = record(seed);
        (announced, conflicts) = (announced + stats.announced, conflicts + stats.conflicts);
        let text = edn::write(&ops);
        assert_eq!(edn::parse(&text).as_ref(), Ok(&ops));
        if let Some(folder) = &folder {
            fs::create_dir_all(folder).expect("the folder can be made");
            fs::write(folder.join(format!("append-{seed}.edn")), &text).expect("the history can be written");
        }
        if let Err(anomaly) = cycles::check(&ops) {
            panic!("{anomaly}\n\nseed {seed}:\n{text}");
        }
    }
    assert!(announced > 0 && conflicts > 0, "{announced} announced, {conflicts} conflicts");
}

/// Some micro-operations as Elle writes them.
fn show(value: &[Micro]) -> String {
    let mut out = String::new();
    for (at, micro) in value.iter().enumerate() {
        let space = if at == 0 { "" } else { " " };
        let done = match micro {
            Micro::Append(key, value) => write!(out, "{space}[:append {key} {value}]"),
            Micro::Read(key, None) => write!(out, "{space}[:r {key} nil]"),
            Micro::Read(key, Some(list)) => {
                let list: Vec<_> = list.iter().map(u64::to_string).collect();
                write!(out, "{space}[:r {key} [{}]]", list.join(" "))
            }
        };
        done.expect("a string takes everything");
    }
    format!("[{out}]")
}
