//! `on_commit` and `on_rollback` (§7.1).

use super::access::Attempt;
use crate::store::{drop_panic, outside_attempt};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) type Hook = Box<dyn FnOnce()>;

/// The hooks that an attempt has registered.
#[derive(Default)]
pub(super) struct Hooks {
    commit: Vec<Hook>,
    rollback: Vec<Hook>,
}

/// A point to undo to.
#[derive(Clone, Copy, Default)]
pub(super) struct HookMark(usize, usize);

impl Attempt<'_> {
    pub(crate) fn on_commit(&self, f: impl FnOnce() + 'static) {
        self.rare().hooks.commit.push(Box::new(f));
    }

    pub(crate) fn on_rollback(&self, f: impl FnOnce() + 'static) {
        self.rare().hooks.rollback.push(Box::new(f));
    }

    pub(super) fn mark_hooks(&self) -> HookMark {
        self.if_rare(|rare| HookMark(rare.hooks.commit.len(), rare.hooks.rollback.len()))
    }

    /// Discards what was registered since the mark.
    pub(super) fn undo_hooks(&self, mark: HookMark) {
        let undone: Vec<Hook> = self.if_rare(|rare| {
            let Hooks { commit, rollback } = &mut rare.hooks;
            commit.drain(mark.0..).chain(rollback.drain(mark.1..)).collect()
        });
        undone.into_iter().for_each(discard);
    }

    /// Ends the attempt: the hooks that must run now. The others are discarded.
    pub(super) fn take_hooks(&self, committed: bool) -> Vec<Hook> {
        let Hooks { commit, rollback } = self.if_rare(|rare| std::mem::take(&mut rare.hooks));
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
