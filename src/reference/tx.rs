//! What a closure can do: read, write, and leave.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::sync::Arc;

use imbl::Vector;

use super::commit::{Effect, MergeFn, Read, Reads, Write, Writes};
use super::space::{RefSpace, Root};
use super::stop::{RefAbort, RefStm, RefStop, Why};
use super::value::Value;
use super::var::{RefVar, VarCore};

/// One attempt of a transaction; lives as long as the closure runs.
///
/// Every method that takes a variable panics if that belongs to another space (§1.1).
pub struct RefTx<'run> {
    pub(super) space: &'run RefSpace,
    pub(super) begun: Arc<Root>,
    pub(super) reads: RefCell<Reads>,
    pub(super) writes: RefCell<Writes>,
    issued: Cell<Option<Issued>>,
}

/// What the closure, or the part of it that is running, was told to leave with (§2.6).
#[derive(Clone, Copy)]
enum Issued {
    Retry,
    Abort,
}

/// How a closure, or a part of it, ended.
pub(super) enum Ended<R, E> {
    Done(R),
    Retry,
    Failed(E),
}

impl<'run> RefTx<'run> {
    pub(super) fn begin(space: &'run RefSpace) -> Self {
        Self {
            space,
            begun: space.newest(),
            reads: RefCell::default(),
            writes: RefCell::default(),
            issued: Cell::new(None),
        }
    }

    /// The value of the variable: this attempt's own, or the one of its snapshot (§1.4, §2.1). Cannot fail.
    #[track_caller]
    pub fn read<T: Send + Sync + 'static>(&self, var: &RefVar<T>) -> Arc<T> {
        self.value(&var.core).typed()
    }

    /// Replaces the value, blind: alone it conflicts with nobody (§2.4).
    #[track_caller]
    pub fn write<T: Send + Sync + 'static>(&self, var: &RefVar<T>, value: T) {
        self.space.admit(&var.core);
        self.put(&var.core, Effect::Set(Value::new(value)));
    }

    /// Replaces the value by `f` of it: a read and a write (§2.1).
    #[track_caller]
    pub fn modify<T: Send + Sync + 'static>(&self, var: &RefVar<T>, f: impl FnOnce(&T) -> T) {
        let value = f(&self.read(var));
        self.write(var, value);
    }

    /// Replaces the value and returns the old one: a read and a write (§2.1).
    #[track_caller]
    pub fn replace<T: Send + Sync + 'static>(&self, var: &RefVar<T>, value: T) -> Arc<T> {
        let old = self.read(var);
        self.write(var, value);
        old
    }

    /// Replaces the value unless it equals the present one, and tells whether it did; a read either way (§3.1).
    #[track_caller]
    pub fn write_if_changed<T: PartialEq + Send + Sync + 'static>(&self, var: &RefVar<T>, value: T) -> bool {
        let changed = *self.read(var) != value;
        if changed {
            self.write(var, value);
        }
        changed
    }

    /// Applies `f` at commit to what is the newest value by then, so that merges never conflict (§4.5).
    ///
    /// `f` may run several times. Reading the variable afterwards makes it an ordinary read and write.
    #[track_caller]
    pub fn merge<T: Send + Sync + 'static>(&self, var: &RefVar<T>, f: impl Fn(&T) -> T + Send + Sync + 'static) {
        self.space.admit(&var.core);
        let f: MergeFn = Arc::new(move |value| Value::new(f(&value.typed::<T>())));
        let effect = match self.effect(&var.core) {
            Some(Effect::Set(value)) => Effect::Set(f(&value)),
            Some(Effect::Merge(mut functions)) => {
                functions.push_back(f);
                Effect::Merge(functions)
            }
            None => Effect::Merge(Vector::unit(f)),
        };
        self.put(&var.core, effect);
    }

    /// Rolls back and sleeps until a variable that was read has a new value, then runs the closure again (§3.1);
    /// inside of the left side of an `or_else`, goes on with the right side instead (§3.2). Leave with `?`.
    pub fn retry<R>(&self) -> RefStm<R> {
        self.issued.set(Some(Issued::Retry));
        Err(RefStop { _issued_by_a_tx: () })
    }

    /// [`retry`](Self::retry), unless the condition holds.
    pub fn check(&self, condition: bool) -> RefStm<()> {
        if condition { Ok(()) } else { self.retry() }
    }

    /// Rolls back and makes the call, or the enclosing [`nested`](Self::nested), return the error (§2.7).
    /// Leave with `?`.
    pub fn abort<R, E>(&self, error: E) -> Result<R, RefAbort<E>> {
        self.issued.set(Some(Issued::Abort));
        Err(RefAbort(Why::Failed(error)))
    }

    /// Runs `a`; if that retries, undoes what it wrote and runs `b` (§3.2). What `a` read stays read (§3.3): the
    /// choice of `b` rests on it, and if both retry, the reads of both are waited on.
    pub fn or_else<R>(
        &self,
        a: impl FnOnce(&RefTx<'_>) -> RefStm<R>,
        b: impl FnOnce(&RefTx<'_>) -> RefStm<R>,
    ) -> RefStm<R> {
        let chosen = self.try_or_else::<R, Infallible>(|tx| Ok(a(tx)?), |tx| Ok(b(tx)?));
        chosen.map_err(|abort| match abort.0 {
            Why::Stopped(stop) => stop,
            Why::Failed(never) => match never {},
        })
    }

    /// [`or_else`](Self::or_else) for branches that may also abort; an abort does not fall through (§3.2).
    pub fn try_or_else<R, E>(
        &self,
        a: impl FnOnce(&RefTx<'_>) -> Result<R, RefAbort<E>>,
        b: impl FnOnce(&RefTx<'_>) -> Result<R, RefAbort<E>>,
    ) -> Result<R, RefAbort<E>> {
        let before = self.writes.borrow().clone();
        match self.part(a) {
            Ended::Done(value) => Ok(value),
            Ended::Failed(error) => self.abort(error),
            Ended::Retry => {
                self.undo(before);
                b(self)
            }
        }
    }

    /// Closed nesting (§2.9): an abort of `f` undoes the writes of `f` alone and becomes the inner `Err`. Its reads
    /// stay, since what follows rests on them. A retry passes through.
    pub fn nested<R, E>(&self, f: impl FnOnce(&RefTx<'_>) -> Result<R, RefAbort<E>>) -> RefStm<Result<R, E>> {
        let before = self.writes.borrow().clone();
        match self.part(f) {
            Ended::Done(value) => Ok(Ok(value)),
            Ended::Retry => self.retry(),
            Ended::Failed(error) => {
                self.undo(before);
                Ok(Err(error))
            }
        }
    }

    /// Runs the closure, or a part of it, and tells how it ended. What was issued counts, whatever came back
    /// (§2.6); what was issued before the part stays issued.
    ///
    /// # Panics
    /// If the part swallowed an abort, whose error is gone, or ended with a stop that this attempt did not issue.
    pub(super) fn part<R, E>(&self, f: impl FnOnce(&RefTx<'_>) -> Result<R, RefAbort<E>>) -> Ended<R, E> {
        let outside = self.issued.take();
        let result = f(self);
        match (result, self.issued.replace(outside)) {
            (Ok(value), None) => Ended::Done(value),
            (Err(RefAbort(Why::Failed(error))), _) => Ended::Failed(error),
            (_, Some(Issued::Retry)) => Ended::Retry,
            (Ok(_), Some(Issued::Abort)) => {
                panic!("tvar: swallowed abort: the closure went on after `abort`")
            }
            (Err(_), _) => panic!("tvar: foreign stop: this transaction did not issue it"),
        }
    }

    /// The value as this attempt sees it. A merged variable is promoted to one that was read and written (§4.5).
    #[track_caller]
    fn value(&self, var: &Arc<VarCore>) -> Value {
        self.space.admit(var);
        match self.effect(var) {
            Some(Effect::Set(value)) => value,
            Some(merge) => {
                let value = merge.on(self.observe(var));
                self.put(var, Effect::Set(value.clone()));
                value
            }
            None => self.observe(var),
        }
    }

    /// Reads from the attempt's version and remembers what was seen.
    fn observe(&self, var: &Arc<VarCore>) -> Value {
        let seen = self.begun.value(var);
        let read = Read { var: Arc::clone(var), seen: seen.clone() };
        self.reads.borrow_mut().insert(var.id, read);
        seen
    }

    fn effect(&self, var: &VarCore) -> Option<Effect> {
        let writes = self.writes.borrow();
        writes.get(&var.id).map(|write| write.effect.clone())
    }

    fn put(&self, var: &Arc<VarCore>, effect: Effect) {
        let write = Write { var: Arc::clone(var), effect };
        let replaced = self.writes.borrow_mut().insert(var.id, write);
        // Only now: a destructor may use this very attempt.
        drop(replaced);
    }

    fn undo(&self, before: Writes) {
        let undone = self.writes.replace(before);
        drop(undone);
    }
}
