//! What a call tells whoever observes its space (O1 to O3), if anybody does.

use super::access::Attempt;
use super::options::Label;
use super::rare::History;
use crate::commit::{Shared, Tally};

/// How a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Committed,
    Aborted,
    /// By a limit of its options.
    Failed,
    Panicked,
}

/// The write that an attempt has lost to.
pub(super) struct Met {
    slot: u32,
    version: u64,
    variable: String,
}

/// Counts a call that has a label and has ended, if it is observed still.
#[cold]
pub(super) fn count(shared: &Shared, label: &Label, history: &History, end: End) {
    if !shared.registry.is_observed() {
        return;
    }
    let History { reruns, lost, waits, lock_waits, deadlocks, .. } = *history;
    let one = |when| u64::from(end == when);
    let tally = Tally {
        commits: one(End::Committed),
        aborts: one(End::Aborted),
        failures: one(End::Failed),
        panics: one(End::Panicked),
        reruns,
        conflicts: lost,
        sleeps: waits,
        lock_waits,
        deadlocks,
    };
    shared.observer.ended(label.clone(), &tally);
}

impl Attempt<'_> {
    /// A call with a label begins: notes whether it is observed.
    #[cold]
    pub(super) fn begin_labelled(&self) {
        if self.call.shared.registry.is_observed() {
            self.rare().observed = true;
        }
    }

    /// Everything that the call has gone through so far.
    pub(super) fn history(&self) -> History {
        self.if_rare(|rare| {
            let mut history = rare.history;
            history.lock_waits += rare.locks.waited;
            history
        })
    }

    /// The call has ended.
    #[cold]
    pub(super) fn ended(&self, end: End) {
        let observed = self.if_rare(|rare| std::mem::take(&mut rare.observed));
        if let Some(label) = self.call.options.label.as_ref().filter(|_| observed) {
            count(self.call.shared, label, &self.history(), end);
        }
    }

    /// The attempt has committed what it has written; to be asked while it has not ended.
    #[cold]
    pub(super) fn observe_commit(&self) {
        let shared = self.call.shared;
        if shared.registry.is_observed()
            && let Some((slots, version)) = self.ws.committed()
        {
            shared.observer.committed(&self.call.who(), version, slots.into_iter());
        }
    }

    /// The attempt is lost to another commit to this slot: what is to be noted of that. To be asked before it ends: hooks and destructors may write
    /// the slot again.
    #[cold]
    pub(super) fn look_at_conflict(&self, slot: u32) -> Option<Met> {
        let observed = self.call.shared.registry.is_observed();
        observed.then(|| Met { slot, version: self.ws.stamp_met(slot), variable: self.ws.store().describe(slot) })
    }

    /// It has ended.
    #[cold]
    pub(super) fn observe_conflict(&self, Met { slot, version, variable }: Met) {
        self.call.shared.observer.lost(self.call.who(), slot, version, variable);
    }
}
