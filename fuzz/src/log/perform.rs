//! The same program in a transaction of the crate.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

use tvar::{Abort, AfterCommit, TVar, Tx};

use super::super::values::elsewhere;
use super::{CAUGHT, FOREIGN_PER_ATTEMPT, NUMBERS, Op, Trace, UNDONE, VARS, Vars, limit, mixed, mode};

pub(super) const PLANNED: &str = "planned";

pub(super) type Ticket = AfterCommit<u64>;

type Result = std::result::Result<(), Abort<u8>>;

/// One attempt.
pub(super) struct Performer<'a> {
    vars: &'a Vars,
    trace: RefCell<Trace>,
    tickets: RefCell<Vec<(Ticket, usize)>>,
    /// The hooks that ran, of all attempts.
    log: Rc<RefCell<Vec<(u64, bool)>>>,
    next_hook: Cell<u64>,
    foreign_allowed: Cell<bool>,
    foreign: Cell<usize>,
    pessimistic: bool,
}

enum At<'a> {
    Number(&'a TVar<u64>),
    Boxed(&'a TVar<super::Counted>),
}

impl<'a> Performer<'a> {
    pub(super) fn new(
        vars: &'a Vars,
        log: Rc<RefCell<Vec<(u64, bool)>>>,
        foreign_allowed: bool,
        pessimistic: bool,
    ) -> Self {
        Performer {
            vars,
            trace: RefCell::default(),
            tickets: RefCell::default(),
            log,
            next_hook: Cell::new(0),
            foreign_allowed: Cell::new(foreign_allowed),
            foreign: Cell::new(0),
            pessimistic,
        }
    }

    /// What was seen, and the results that are to come.
    pub(super) fn end(self) -> (Trace, Vec<(Ticket, usize)>) {
        (self.trace.into_inner(), self.tickets.into_inner())
    }

    pub(super) fn all(&self, tx: &Tx<'_>, ops: &[Op], deepest: usize) -> Result {
        ops.iter().try_for_each(|op| self.op(tx, op, deepest))
    }

    fn see(&self, value: u64) {
        self.trace.borrow_mut().push(value);
    }

    fn at(&self, var: u8) -> At<'a> {
        let at = usize::from(var) % VARS;
        if at < NUMBERS { At::Number(&self.vars.numbers[at]) } else { At::Boxed(&self.vars.boxed[at - NUMBERS]) }
    }

    fn read(&self, tx: &Tx<'_>, var: u8) -> u64 {
        match self.at(var) {
            At::Number(var) => *tx.read(var),
            At::Boxed(var) => tx.read(var).number(),
        }
    }

    fn op(&self, tx: &Tx<'_>, op: &Op, deepest: usize) -> Result {
        let ledger = &self.vars.ledger;
        match *op {
            Op::Read(var) => self.see(self.read(tx, var)),
            Op::Write(var, value) => match self.at(var) {
                At::Number(var) => tx.write(var, u64::from(value)),
                At::Boxed(var) => tx.write(var, ledger.value(u64::from(value))),
            },
            Op::WriteIfChanged(var, value) => {
                let var = &self.vars.numbers[usize::from(var) % VARS % NUMBERS];
                self.see(u64::from(tx.write_if_changed(var, u64::from(value))));
            }
            Op::Modify(var, by) => match self.at(var) {
                At::Number(var) => tx.modify(var, |old| mixed(*old, by)),
                At::Boxed(var) => tx.modify(var, |old| ledger.value(mixed(old.number(), by))),
            },
            Op::Replace(var, value) => self.see(match self.at(var) {
                At::Number(var) => *tx.replace(var, u64::from(value)),
                At::Boxed(var) => tx.replace(var, ledger.value(u64::from(value))).number(),
            }),
            Op::Merge(var, by) => match self.at(var) {
                At::Number(var) => tx.merge(var, move |old| mixed(*old, by)),
                At::Boxed(var) => {
                    let ledger = ledger.clone();
                    tx.merge(var, move |old| ledger.value(mixed(old.number(), by)));
                }
            },
            Op::MergeThen(var, by) => {
                let ticket = match self.at(var) {
                    At::Number(var) => tx.merge_then(var, move |old| mixed(*old, by), |new| *new),
                    At::Boxed(var) => {
                        let ledger = ledger.clone();
                        let merge = move |old: &super::Counted| ledger.value(mixed(old.number(), by));
                        tx.merge_then(var, merge, |new| new.number())
                    }
                };
                self.tickets.borrow_mut().push((ticket, usize::from(var) % VARS));
            }
            Op::Ensure(var) => match self.at(var) {
                At::Number(var) => tx.ensure(var),
                At::Boxed(var) => tx.ensure(var),
            },
            Op::Check(var) => tx.check(!self.read(tx, var).is_multiple_of(2))?,
            Op::Retry => tx.retry()?,
            Op::RetryFor(over) => tx.retry_for(limit(over))?,
            Op::Abort(error) => return tx.abort(error % 100),
            Op::Panic => resume_unwind(Box::new(PLANNED)),
            Op::Hook(commit) => {
                let (log, hook) = (self.log.clone(), (self.next_hook.get(), commit));
                self.next_hook.set(hook.0 + 1);
                let run = move || log.borrow_mut().push(hook);
                if commit { tx.on_commit(run) } else { tx.on_rollback(run) }
            }
            Op::Lock(var, exclusive) => {
                if self.foreign.get() == 0 {
                    self.foreign_allowed.set(false);
                    match self.at(var) {
                        At::Number(var) => tx.lock(var, mode(exclusive))?,
                        At::Boxed(var) => tx.lock(var, mode(exclusive))?,
                    }
                }
            }
            Op::Locks if self.pessimistic => {}
            Op::Locks => {
                let locks = self.vars.space.locks();
                let exclusive = locks.iter().filter(|lock| lock.holders[0].mode == mode(true));
                self.see(locks.len() as u64);
                self.see(exclusive.count() as u64);
            }
            Op::OrElse(..) | Op::Otherwise(..) | Op::Nested(_) | Op::Undone(_) | Op::Caught(_) if deepest == 0 => {}
            Op::OrElse(ref a, ref b) => {
                tx.try_or_else(|tx| self.all(tx, a, deepest - 1), |tx| self.all(tx, b, deepest - 1))?;
            }
            Op::Otherwise(ref a, ref b) => {
                let retries = |tx: &Tx<'_>| {
                    self.all(tx, a, deepest - 1)?;
                    Ok(tx.retry()?)
                };
                tx.try_or_else(retries, |tx| self.all(tx, b, deepest - 1))?;
            }
            Op::Nested(ref ops) => {
                if let Err(error) = tx.nested(|tx| self.all(tx, ops, deepest - 1))? {
                    self.see(u64::from(error));
                }
            }
            Op::Undone(ref ops) => {
                let aborts = |tx: &Tx<'_>| {
                    self.all(tx, ops, deepest - 1)?;
                    tx.abort(UNDONE)
                };
                let part: std::result::Result<(), u8> = tx.nested(aborts)?;
                self.see(u64::from(part.unwrap_err()));
            }
            Op::Caught(ref ops) => {
                let part = || tx.nested(|tx| self.all(tx, ops, deepest - 1));
                match catch_unwind(AssertUnwindSafe(part)) {
                    Ok(result) => {
                        if let Err(error) = result? {
                            self.see(u64::from(error));
                        }
                    }
                    Err(payload) => {
                        assert_eq!(payload.downcast_ref(), Some(&PLANNED));
                        self.see(CAUGHT);
                    }
                }
            }
            Op::Foreign(var, value) => {
                if self.foreign_allowed.get() && self.foreign.get() < FOREIGN_PER_ATTEMPT {
                    self.foreign.set(self.foreign.get() + 1);
                    match self.at(var) {
                        At::Number(var) => elsewhere(|| var.store(u64::from(value))),
                        At::Boxed(var) => elsewhere(|| var.store(ledger.value(u64::from(value)))),
                    }
                }
            }
        }
        Ok(())
    }
}
