//! Merge functions and functions of what will be published: applied to a base before the swap, handed over after it (§4.5).

use super::merge::{self, OwnedWord, Source};
use super::node;
use super::reclaim::Garbage;
use super::workspace::Workspace;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Workspace<'_> {
    /// Whether there are any.
    #[inline(always)]
    pub(crate) fn has_functions(&self) -> bool {
        // SAFETY: I9: a short look.
        unsafe { self.scratch() }.writes.functions
    }

    /// Applies the merge functions to the base, and the `then` functions to what will be published.
    ///
    /// # Errors
    /// The payload, if one of them panics.
    #[inline]
    pub(crate) fn evaluate(&mut self) -> Result<(), Box<dyn Any + Send>> {
        // SAFETY: I9: a short look.
        if !unsafe { self.scratch() }.writes.functions {
            return Ok(());
        }
        // What a panic between evaluation and swap has left.
        self.discard_evaluation();
        catch_unwind(AssertUnwindSafe(|| self.run_functions()))
    }

    #[cold]
    fn run_functions(&mut self) {
        // SAFETY: (all blocks of this function) I9: functions and handles are cloned out, so that nothing is borrowed while user code runs;
        // the set of entries does not change during a commit.
        let count = unsafe { self.scratch() }.writes.entries.len();
        for at in 0..count {
            // SAFETY: as above; I3: the source is in the pinned base, or the initial value of a variable unwritten there (I8), whose
            // handle the entry holds.
            unsafe {
                let entry = &self.scratch().writes.entries[at];
                if !entry.state.is_merge() {
                    continue;
                }
                let (merges, inline) = (entry.state.merges.to_vec(), entry.state.is_inline());
                let found = node::find(self.base.get(), entry.slot);
                let source = if !found.is_null() && (*found).stamp > entry.born {
                    Source::Word(&raw const (*found).word)
                } else {
                    Source::Initial(
                        entry.before.cell.as_ref().expect("unwritten in the base, so in the snapshot").as_ptr(),
                    )
                };
                let mut made = Made::new(self);
                merge::apply_all(&merges, source, inline, &mut made.words);
                let owned = made.words.pop().expect("a merge entry has at least one function");
                drop(made);
                self.scratch().build.merged.push((at, owned));
            }
        }
        // SAFETY: as above.
        let thens = unsafe { self.scratch() }.writes.thens.len();
        for i in 0..thens {
            // SAFETY: as above; the `then` functions and the words that they look at stay where they are during the commit.
            unsafe {
                let scratch = self.scratch();
                let then = &raw const *scratch.writes.thens[i].f;
                let at = scratch.writes.find(scratch.writes.thens[i].slot).expect("a `then` has an entry");
                let merged = scratch.build.merged.iter().find(|(position, _)| *position == at);
                let word = merged.map_or(scratch.writes.entries[at].state.word, |(_, owned)| owned.word);
                let before = (*then).evaluate(&raw const word);
                self.scratch().trash.extend(before.map(Garbage::Result));
            }
        }
    }

    /// Forgets what [`Workspace::evaluate`] computed for a base that was not published. Destructors wait for the end of the attempt.
    pub(crate) fn discard_evaluation(&mut self) {
        // SAFETY: I9: no user code runs.
        let scratch = unsafe { self.scratch() };
        scratch.trash.extend(scratch.build.merged.drain(..).filter_map(|(_, owned)| owned.into_garbage()));
    }

    /// Has a panic's payload dropped when the attempt has ended.
    pub(crate) fn drop_later(&mut self, payload: Box<dyn Any + Send>) {
        // SAFETY: I9: no user code runs.
        unsafe { self.scratch() }.trash.push(Garbage::Result(payload));
    }

    /// Hands the results of `merge_then` over, after the swap.
    #[inline]
    pub(crate) fn deliver(&mut self) {
        // SAFETY: I9: a short look.
        if !unsafe { self.scratch() }.writes.thens.is_empty() {
            self.deliver_results();
        }
    }

    #[cold]
    fn deliver_results(&mut self) {
        // SAFETY: I9: taken out before user code (the drop of an older result) can run.
        let thens = std::mem::take(unsafe { &mut self.scratch().writes.thens });
        thens.iter().for_each(|then| then.f.deliver());
        // SAFETY: I9: as above. They are dropped with the write set.
        unsafe { self.scratch() }.writes.thens = thens;
    }
}

/// Results of merge functions; those that are not taken out go to the trash, also when a function panics.
pub(super) struct Made<'a, 's> {
    pub(super) words: Vec<OwnedWord>,
    ws: &'a Workspace<'s>,
}

impl<'a, 's> Made<'a, 's> {
    pub(super) fn new(ws: &'a Workspace<'s>) -> Self {
        Made { words: Vec::new(), ws }
    }
}

impl Drop for Made<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: I9: no user code runs.
        let trash = unsafe { &mut self.ws.scratch().trash };
        trash.extend(self.words.drain(..).filter_map(OwnedWord::into_garbage));
    }
}
