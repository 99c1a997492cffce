//! The write set and its undo log: programs of writes, merges, alternatives and parts in each other, beside a model with a stack of
//! undo logs (§2.1 to §2.9, §3.2, §3.5, §4.5, §5.2). Another thread may commit in the middle of the first attempt; the model says
//! whether that makes the closure run again.

mod model;
mod perform;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use arbitrary::Arbitrary;
use tvar::{Isolation, LockMode, Space, TVar, TryError, TxOptions};

use super::list::{List, Program};
use super::values::{Counted, Ledger, ticks};
use model::Model;
use perform::{Performer, Ticket};

#[derive(Arbitrary, Debug)]
pub enum Op {
    Read(u8),
    Write(u8, u8),
    WriteIfChanged(u8, u8),
    Modify(u8, u8),
    Replace(u8, u8),
    Merge(u8, u8),
    MergeThen(u8, u8),
    Ensure(u8),
    /// Retries if the value is even.
    Check(u8),
    Retry,
    /// Until a deadline that is ahead, or over.
    RetryFor(bool),
    Abort(u8),
    Panic,
    Hook(bool),
    Lock(u8, bool),
    Locks,
    OrElse(List<Op>, List<Op>),
    /// The first one retries at its end, if not before.
    Otherwise(List<Op>, List<Op>),
    Nested(List<Op>),
    /// A part that aborts at its end, if not before.
    Undone(List<Op>),
    /// A part whose panic is caught around it.
    Caught(List<Op>),
    /// Another thread commits.
    Foreign(u8, u8),
}

/// One transaction.
#[derive(Arbitrary, Debug)]
pub struct Step {
    snapshot_isolation: bool,
    announced: bool,
    pessimistic: bool,
    ops: List<Op>,
}

/// The first are numbers, in the tree itself; the others have destructors.
const NUMBERS: usize = 3;
const BOXED: usize = 2;
const VARS: usize = NUMBERS + BOXED;
/// Parts in each other: closures lie on the stack.
const DEEPEST: usize = 40;
const MOST_FOREIGN: usize = 16;
const FOREIGN_PER_ATTEMPT: usize = 4;
/// In a trace: a panic was caught.
const CAUGHT: u64 = 10_000;
/// The error of a part that aborts at its end.
const UNDONE: u8 = 200;

/// How an attempt, or a part of it, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Retry,
    Abort(u8),
    Panic,
}

/// What a closure sees, in order.
type Trace = Vec<u64>;

/// All variables.
struct Vars {
    space: Space,
    numbers: [TVar<u64>; NUMBERS],
    boxed: [TVar<Counted>; BOXED],
    ledger: Ledger,
}

/// What a function of `modify` and `merge` makes.
fn mixed(old: u64, by: u8) -> u64 {
    (old * 3 + u64::from(by)) % 1_000
}

pub type Input = Program<Step>;

pub fn run(steps: &Input) {
    let (space, ledger) = (Space::new(), Ledger::default());
    let vars = Vars {
        numbers: [(); NUMBERS].map(|()| TVar::new_in(&space, 0)),
        boxed: [(); BOXED].map(|()| TVar::new_in(&space, ledger.value(0))),
        space,
        ledger: ledger.clone(),
    };
    let mut values = [0; VARS];
    let mut foreign = MOST_FOREIGN;
    for step in steps.iter() {
        one(&vars, &mut values, step, &mut foreign);
        // What another thread has left behind at its end waits for somebody to take it over.
        let patience = if foreign == MOST_FOREIGN { 2 } else { 3_000 };
        let exact = (0..patience).any(|_| {
            ticks(&vars.space, 1);
            ledger.count() == BOXED
        });
        assert!(exact, "{} values, of which nobody can reach some", ledger.count());
    }
    drop(vars);
    assert_eq!(ledger.count(), 0, "values outlive their space");
}

/// One transaction, in the crate and in the model.
fn one(vars: &Vars, values: &mut [u64; VARS], step: &Step, foreign: &mut usize) {
    let allowed = !step.pessimistic && *foreign > 0;
    // Attempts until one commits, or ends otherwise.
    let mut expected = Vec::new();
    let mut newest = *values;
    let mut model = Model::new(newest, step, allowed);
    let mut end = model.attempt(&step.ops, DEEPEST);
    *foreign -= model.foreign.min(*foreign);
    // Nothing would wake it: the whole then stands in an alternative.
    let mut retries = end == End::Retry;
    newest = model.newest;
    let again = end == End::Done && model.conflicts();
    expected.push(model);
    if again {
        let mut second = Model::new(newest, step, false);
        end = second.attempt(&step.ops, DEEPEST);
        retries |= end == End::Retry;
        expected.push(second);
    }
    let last = expected.last().expect("one attempt");
    if end == End::Done {
        newest = last.commit(newest);
    }

    let isolation = if step.snapshot_isolation { Isolation::Snapshot } else { Isolation::Serializable };
    let mut options = TxOptions::new().space(&vars.space).isolation(isolation).label("fuzzed");
    if step.announced {
        options = options.coalesce_after(0);
    }
    if step.pessimistic {
        options = options.pessimistic();
    }
    let log = Rc::new(RefCell::new(Vec::new()));
    let mut traces: Vec<(Trace, Vec<(Ticket, usize)>)> = Vec::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        options.try_run(|tx| {
            let first = traces.is_empty();
            let performer = Performer::new(vars, log.clone(), first && allowed, step.pessimistic);
            let all = |tx: &tvar::Tx<'_>| performer.all(tx, &step.ops, DEEPEST);
            let result = catch_unwind(AssertUnwindSafe(|| {
                if retries { tx.try_or_else(all, |tx| tx.abort(u8::MAX)) } else { all(tx) }
            }));
            traces.push(performer.end());
            result.unwrap_or_else(|planned| resume_unwind(planned))
        })
    }));
    let got = match &result {
        Ok(Ok(())) => End::Done,
        Ok(Err(TryError::Aborted(u8::MAX))) => End::Retry,
        Ok(Err(TryError::Aborted(error))) => End::Abort(*error),
        Ok(Err(TryError::Failed(error))) => panic!("{error}"),
        Err(payload) => {
            let planned = payload.downcast_ref() == Some(&perform::PLANNED);
            assert!(planned, "a panic of the crate's: {:?}", payload.downcast_ref::<String>());
            End::Panic
        }
    };
    let seen: Vec<_> = traces.iter().map(|(trace, _)| trace).collect();
    assert_eq!(seen, expected.iter().map(|model| &model.trace).collect::<Vec<_>>());
    assert_eq!(got, end);
    let hooks = expected.iter().enumerate().flat_map(|(n, model)| {
        let commits = n + 1 == expected.len() && end == End::Done;
        // What stood in an alternative that was undone is discarded.
        let undone = n + 1 == expected.len() && retries;
        model.hooks.iter().filter(move |hook| hook.1 == commits && !undone).copied()
    });
    assert_eq!(*log.borrow(), hooks.collect::<Vec<_>>(), "hooks");
    // Results of merges are of what is published; those of undone parts do not come.
    for (n, (_, tickets)) in traces.iter().enumerate() {
        for ((ticket, at), kept) in tickets.iter().zip(&expected[n].tickets) {
            let due = *kept && n + 1 == expected.len() && end == End::Done;
            assert_eq!(ticket.take(), due.then_some(newest[*at]), "result of a merge");
        }
    }
    assert!(vars.space.locks().is_empty());
    *values = newest;
    vars.space.atomically(|tx| {
        let numbers = vars.numbers.iter().map(|var| *tx.read(var));
        let all: Vec<_> = numbers.chain(vars.boxed.iter().map(|var| tx.read(var).number())).collect();
        assert_eq!(all, &values[..]);
        Ok(())
    });
}

fn mode(exclusive: bool) -> LockMode {
    if exclusive { LockMode::Exclusive } else { LockMode::Shared }
}

/// How long a deadline is ahead that is not over when the call begins.
fn limit(over: bool) -> Duration {
    if over { Duration::ZERO } else { Duration::from_secs(100_000) }
}
