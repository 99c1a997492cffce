//! `on_commit` and `on_rollback` (§7.1).

use crate::store::{drop_panic, outside_attempt};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) type Hook = Box<dyn FnOnce()>;

/// The hooks that an attempt has registered.
#[derive(Default)]
pub(crate) struct Hooks {
    commit: RefCell<Vec<Hook>>,
    rollback: RefCell<Vec<Hook>>,
}

/// A point to undo to.
#[derive(Clone, Copy)]
pub(crate) struct HookMark(usize, usize);

impl Hooks {
    pub(crate) fn on_commit(&self, f: impl FnOnce() + 'static) {
        self.commit.borrow_mut().push(Box::new(f));
    }

    pub(crate) fn on_rollback(&self, f: impl FnOnce() + 'static) {
        self.rollback.borrow_mut().push(Box::new(f));
    }

    pub(crate) fn mark(&self) -> HookMark {
        HookMark(self.commit.borrow().len(), self.rollback.borrow().len())
    }

    /// Discards what was registered since the mark.
    pub(crate) fn undo(&self, mark: HookMark) {
        let commit = self.commit.borrow_mut().split_off(mark.0);
        let rollback = self.rollback.borrow_mut().split_off(mark.1);
        commit.into_iter().chain(rollback).for_each(discard);
    }

    /// Ends the attempt: the hooks that must run now. The others are discarded.
    #[inline]
    pub(crate) fn take(&self, committed: bool) -> Vec<Hook> {
        if self.commit.borrow().is_empty() && self.rollback.borrow().is_empty() {
            return Vec::new();
        }
        self.take_some(committed)
    }

    #[cold]
    fn take_some(&self, committed: bool) -> Vec<Hook> {
        let (commit, rollback) = (self.commit.take(), self.rollback.take());
        let (run, forget) = if committed { (commit, rollback) } else { (rollback, commit) };
        forget.into_iter().for_each(discard);
        run
    }
}

/// Drops what the user gave and nobody will get: its destructor may run transactions, and a panic in it, which the panic hook
/// has reported, undoes nothing.
pub(super) fn discard<T>(given: T) {
    if std::mem::needs_drop::<T>() {
        outside_attempt(|| {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(given))) {
                drop_panic(payload);
            }
        });
    }
}

/// Runs hooks in order; all of them, even if one panics. Returns the first panic.
pub(super) fn run_all(hooks: Vec<Hook>) -> Option<Box<dyn Any + Send>> {
    let mut first = None;
    for hook in hooks {
        match catch_unwind(AssertUnwindSafe(hook)) {
            Ok(()) => {}
            Err(payload) if first.is_none() => first = Some(payload),
            Err(payload) => drop_panic(payload),
        }
    }
    first
}
