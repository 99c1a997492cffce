//! Runs a program's threads and records what they see, with moments and versions.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tvar::hooks::{self, HookGuard, Point};
use tvar::{Snapshot, Stats, TryError};

use crate::generate::feed;
use crate::history::{Call, End, History};
use crate::program::{Code, Plan, Program, Stmt, Via, Writer};
use crate::run::{Planned, Recorder, options, take_applied};
use crate::things::Things;

/// Moments: each look at this clock gives another one.
#[derive(Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn now(&self) -> u64 {
        // ORDERING: SeqCst: real time is what it is about.
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

thread_local! {
    static VERSION: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Keeps the version of the thread's last commit (§7.2).
struct Versions;

impl Visit for Versions {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "version" {
            VERSION.set(Some(value));
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Versions {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "tvar"
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Versions);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        unreachable!("there are no spans")
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// For the whole process: what commits from here on tells its version.
pub(crate) fn listen() {
    // Only the first one counts.
    let _ = tracing::subscriber::set_global_default(Versions);
}

/// Delays this thread now and then at the points of a commit, so that others get in between.
pub(crate) fn disturb(seed: u64) -> HookGuard {
    let mut rng = StdRng::seed_from_u64(seed);
    hooks::on_this_thread(move |point| {
        let often = match point {
            Point::Announced => 60,
            Point::Validate | Point::Swap | Point::Begin | Point::Register => 25,
            _ => 5,
        };
        match rng.random_range(0..100) {
            n if n >= often => {}
            n if n % 3 == 0 => (0..rng.random_range(0..2000)).for_each(|_| std::hint::spin_loop()),
            n => (0..=n % 4).for_each(|_| thread::yield_now()),
        }
    })
}

/// Ends with the workers.
struct Working<'w>(&'w AtomicUsize);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        // ORDERING: SeqCst: nothing rests on it but the feeder's end.
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs the program once.
pub(crate) fn record(program: &Program, seed: u64) -> (History, Stats) {
    listen();
    let (things, start) = Things::new(program);
    let first = things.space.version();
    let (clock, working) = (Clock::default(), AtomicUsize::new(program.threads.len()));
    let worker = |process: usize, plans: &[Plan]| {
        let _working = Working(&working);
        let mut process = Process::new(&things, &clock, process as u8);
        let _disturbed = disturb(seed ^ (process.number as u64) << 32);
        plans.iter().for_each(|plan| process.call(plan));
        process.end()
    };
    let feeder = || {
        let mut process = Process::new(&things, &clock, program.threads.len() as u8);
        let mut rng = StdRng::seed_from_u64(seed);
        // ORDERING: SeqCst: as above.
        while working.load(Ordering::SeqCst) > 0 {
            if things.space.waiters() > 0 {
                process.call(&feed(&mut rng, program.vars.len()));
            }
            thread::sleep(Duration::from_micros(200));
        }
        process.end()
    };
    let recorded: Vec<_> = thread::scope(|scope| {
        let threads = program.threads.iter().enumerate();
        let mut threads: Vec<_> = threads.map(|(process, plans)| scope.spawn(move || worker(process, plans))).collect();
        threads.push(scope.spawn(feeder));
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|result| result.unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let stats = things.space.stats();
    let (calls, applied): (Vec<_>, Vec<_>) = recorded.into_iter().unzip();
    let calls = calls.into_iter().flatten().collect();
    let applied: HashSet<_> = applied.into_iter().flatten().collect();
    (History { first, start, capacity: program.capacity, calls, applied, finally: things.world() }, stats)
}

/// A thread that records.
struct Process<'t> {
    things: &'t Things,
    clock: &'t Clock,
    number: u8,
    calls: Vec<Call>,
    /// Snapshots that are read after so many further calls.
    kept: Vec<(u8, usize, Snapshot)>,
}

impl<'t> Process<'t> {
    fn new(things: &'t Things, clock: &'t Clock, number: u8) -> Self {
        Process { things, clock, number, calls: Vec::new(), kept: Vec::new() }
    }

    fn call(&mut self, plan: &Plan) {
        let index = self.calls.len() as u16;
        let me = Writer { process: self.number, call: index, attempt: 1 };
        let mut call = Call {
            process: self.number,
            index,
            snapshot_isolation: plan.options.snapshot,
            block: Arc::new(plan.block.clone()),
            called: self.clock.now(),
            returned: 0,
            attempts: Vec::new(),
            thens: Vec::new(),
            end: End::Failed,
        };
        VERSION.set(None);
        match plan.via {
            Via::Options => self.transaction(plan, me, &mut call),
            Via::Shortcut => {
                call.attempts.push(self.things.shortcut(&plan.block[0], me));
                call.end = End::Committed(told());
            }
            Via::Snapshot(later) => {
                let snapshot = self.things.space.snapshot();
                call.end = End::Committed(snapshot.version());
                self.kept.push((later, usize::from(index), snapshot));
            }
        }
        call.returned = self.clock.now();
        self.calls.push(call);
        self.look(false);
    }

    fn transaction(&self, plan: &Plan, me: Writer, call: &mut Call) {
        let recorder = Recorder::new(self.things, me, plan.tells);
        let how = options(&self.things.space, &plan.options);
        let result = catch_unwind(AssertUnwindSafe(|| recorder.run(&how, &plan.block)));
        call.end = match result {
            Ok(Ok(())) => End::Committed(told()),
            Ok(Err(TryError::Aborted(error))) => End::Aborted(error),
            Ok(Err(TryError::Failed(_))) => End::Failed,
            Err(panic) if panic.is::<Planned>() => End::Panicked,
            Err(panic) => resume_unwind(panic),
        };
        call.thens = recorder.thens();
        call.attempts = recorder.attempts.take();
    }

    /// Reads the snapshots whose time has come.
    fn look(&mut self, all: bool) {
        let (things, calls) = (self.things, &mut self.calls);
        self.kept.retain_mut(|(later, index, snapshot)| {
            if *later > 0 && !all {
                *later -= 1;
                return true;
            }
            let block: Arc<Vec<Stmt>> = Arc::clone(&calls[*index].block);
            calls[*index].attempts.push(things.look(snapshot, &block));
            false
        });
    }

    fn end(mut self) -> (Vec<Call>, Vec<(Code, Code)>) {
        self.look(true);
        (self.calls, take_applied())
    }
}

/// The version of the commit that this thread has just made.
fn told() -> u64 {
    VERSION.take().expect("the event of a commit tells its version")
}
