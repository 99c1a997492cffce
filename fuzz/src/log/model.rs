//! What the write set should do: a table and a stack of undo logs.

use std::collections::{BTreeMap, BTreeSet};

use super::{CAUGHT, End, FOREIGN_PER_ATTEMPT, NUMBERS, Op, Step, Trace, UNDONE, VARS, mixed};

/// What an attempt has of its own for a variable.
#[derive(Clone, Debug)]
enum Own {
    Value(u64),
    /// To be applied at the commit.
    Merges(Vec<u8>),
}

pub(super) struct Model {
    snapshot: [u64; VARS],
    pub(super) newest: [u64; VARS],
    /// Written by others since the snapshot.
    changed: BTreeSet<usize>,
    own: [Option<Own>; VARS],
    /// One per part that is running: what it has overwritten.
    undo: Vec<Vec<(usize, Option<Own>)>>,
    reads: BTreeSet<usize>,
    ensured: BTreeSet<usize>,
    locks: BTreeMap<usize, bool>,
    pub(super) trace: Trace,
    /// Their numbers, and whether they are of commits.
    pub(super) hooks: Vec<(u64, bool)>,
    next_hook: u64,
    /// Whether each result of a merge is still to come.
    pub(super) tickets: Vec<bool>,
    snapshot_isolation: bool,
    pessimistic: bool,
    foreign_allowed: bool,
    /// Commits of others so far.
    pub(super) foreign: usize,
}

impl Model {
    pub(super) fn new(values: [u64; VARS], step: &Step, foreign_allowed: bool) -> Self {
        Model {
            snapshot: values,
            newest: values,
            changed: BTreeSet::new(),
            own: [const { None }; VARS],
            undo: Vec::new(),
            reads: BTreeSet::new(),
            ensured: BTreeSet::new(),
            locks: BTreeMap::new(),
            trace: Trace::new(),
            hooks: Vec::new(),
            next_hook: 0,
            tickets: Vec::new(),
            snapshot_isolation: step.snapshot_isolation,
            pessimistic: step.pessimistic,
            foreign_allowed,
            foreign: 0,
        }
    }

    pub(super) fn attempt(&mut self, ops: &[Op], deepest: usize) -> End {
        for op in ops {
            let end = self.op(op, deepest);
            if end != End::Done {
                return end;
            }
        }
        End::Done
    }

    /// Whether the commit of this attempt fails.
    pub(super) fn conflicts(&self) -> bool {
        let writes = |at: &usize| matches!(self.own[*at], Some(Own::Value(_)));
        // Merges conflict with nobody under either isolation (§4.5).
        let watched = match self.snapshot_isolation {
            true => (0..VARS).filter(writes).chain(self.ensured.iter().copied()).collect(),
            false => self.reads.clone(),
        };
        self.own.iter().any(Option::is_some) && !watched.is_disjoint(&self.changed)
    }

    pub(super) fn commit(&self, mut newest: [u64; VARS]) -> [u64; VARS] {
        for (value, own) in newest.iter_mut().zip(&self.own) {
            *value = match own {
                None => *value,
                Some(Own::Value(own)) => *own,
                Some(Own::Merges(by)) => by.iter().fold(*value, |value, by| mixed(value, *by)),
            };
        }
        newest
    }

    fn set(&mut self, at: usize, own: Own) {
        let old = self.own[at].replace(own);
        if let Some(log) = self.undo.last_mut() {
            log.push((at, old));
        }
    }

    fn read(&mut self, at: usize) -> u64 {
        match &self.own[at] {
            Some(Own::Value(value)) => *value,
            Some(Own::Merges(by)) => {
                let value = by.iter().fold(self.snapshot[at], |value, by| mixed(value, *by));
                self.reads.insert(at);
                self.set(at, Own::Value(value));
                value
            }
            None => {
                self.reads.insert(at);
                self.snapshot[at]
            }
        }
    }

    fn merge(&mut self, at: usize, by: u8) {
        let own = match &self.own[at] {
            Some(Own::Value(value)) => Own::Value(mixed(*value, by)),
            Some(Own::Merges(earlier)) => Own::Merges([earlier, &[by][..]].concat()),
            None => Own::Merges(vec![by]),
        };
        self.set(at, own);
    }

    /// A part of its own, which ends as `last` if nothing ends it before. A panic undoes it on its way; of the other ends `undoes` says so.
    fn part(&mut self, ops: &[Op], deepest: usize, last: End, undoes: impl Fn(End) -> bool) -> End {
        let (hooks, tickets, locks) = (self.hooks.len(), self.tickets.len(), self.locks.clone());
        self.undo.push(Vec::new());
        let end = match self.attempt(ops, deepest - 1) {
            End::Done => last,
            end => end,
        };
        let log = self.undo.pop().expect("one per part");
        if end == End::Panic || undoes(end) {
            for (at, own) in log.into_iter().rev() {
                self.own[at] = own;
            }
            self.hooks.truncate(hooks);
            self.tickets[tickets..].fill(false);
            self.locks = locks;
        } else if let Some(outer) = self.undo.last_mut() {
            outer.extend(log);
        }
        end
    }

    fn op(&mut self, op: &Op, deepest: usize) -> End {
        let at = |var: &u8| usize::from(*var) % VARS;
        match op {
            Op::Read(var) => {
                let value = self.read(at(var));
                self.trace.push(value);
            }
            Op::Write(var, value) => self.set(at(var), Own::Value(u64::from(*value))),
            Op::WriteIfChanged(var, value) => {
                let at = at(var) % NUMBERS;
                let changes = self.read(at) != u64::from(*value);
                self.trace.push(u64::from(changes));
                if changes {
                    self.set(at, Own::Value(u64::from(*value)));
                }
            }
            Op::Modify(var, by) => {
                let value = self.read(at(var));
                self.set(at(var), Own::Value(mixed(value, *by)));
            }
            Op::Replace(var, value) => {
                let old = self.read(at(var));
                self.trace.push(old);
                self.set(at(var), Own::Value(u64::from(*value)));
            }
            Op::Merge(var, by) => self.merge(at(var), *by),
            Op::MergeThen(var, by) => {
                self.merge(at(var), *by);
                self.tickets.push(true);
            }
            Op::Ensure(var) => {
                self.reads.insert(at(var));
                self.ensured.insert(at(var));
            }
            Op::Check(var) => {
                if self.read(at(var)).is_multiple_of(2) {
                    return End::Retry;
                }
            }
            Op::Retry => return End::Retry,
            Op::RetryFor(over) => {
                if !over {
                    return End::Retry;
                }
            }
            Op::Abort(error) => return End::Abort(*error % 100),
            Op::Panic => return End::Panic,
            Op::Hook(commit) => {
                self.hooks.push((self.next_hook, *commit));
                self.next_hook += 1;
            }
            Op::Lock(var, exclusive) => {
                // It would move the snapshot forward.
                if self.foreign == 0 {
                    *self.locks.entry(at(var)).or_default() |= exclusive;
                    self.foreign_allowed = false;
                }
            }
            Op::Locks if self.pessimistic => {}
            Op::Locks => {
                self.trace.push(self.locks.len() as u64);
                self.trace.push(self.locks.values().filter(|exclusive| **exclusive).count() as u64);
            }
            Op::OrElse(..) | Op::Otherwise(..) | Op::Nested(_) | Op::Undone(_) | Op::Caught(_) if deepest == 0 => {}
            Op::OrElse(a, b) | Op::Otherwise(a, b) => {
                let last = if matches!(op, Op::Otherwise(..)) { End::Retry } else { End::Done };
                return match self.part(a, deepest, last, |end| end == End::Retry) {
                    End::Retry => self.attempt(b, deepest - 1),
                    end => end,
                };
            }
            Op::Nested(ops) | Op::Undone(ops) | Op::Caught(ops) => {
                let last = if matches!(op, Op::Undone(_)) { End::Abort(UNDONE) } else { End::Done };
                let end = self.part(ops, deepest, last, |end| matches!(end, End::Abort(_)));
                match end {
                    End::Done => {}
                    End::Abort(error) => self.trace.push(u64::from(error)),
                    End::Panic if matches!(op, Op::Caught(_)) => self.trace.push(CAUGHT),
                    end => return end,
                }
            }
            Op::Foreign(var, value) => {
                if self.foreign_allowed && self.foreign < FOREIGN_PER_ATTEMPT {
                    let (at, value) = (at(var), u64::from(*value));
                    if at >= NUMBERS || self.newest[at] != value {
                        self.changed.insert(at);
                    }
                    self.newest[at] = value;
                    self.foreign += 1;
                }
            }
        }
        End::Done
    }
}
