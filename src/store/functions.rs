//! Merge functions and functions of what will be published: applied to a base before the swap, handed over after it (§4.5).

use super::cell::{self, Var};
use super::map::{BuiltParts, NodePool, Tree};
use super::merge::{self, Outbox, OwnedWord, Source};
use super::node;
use super::reclaim::{self, Garbage};
use super::value::{self, Word, is_inline};
use super::workspace::Workspace;
use super::writes::flags_of;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Workspace<'_> {
    /// Buffers a merge function. Not for a variable with a written value.
    pub(crate) fn merge<T: Send + Sync + 'static>(&self, var: &Var<T>, f: impl Fn(&T) -> T + Send + Sync + 'static) {
        let f = merge::Typed::<T, _>::erase(f);
        // SAFETY: I9: no user code runs while the reference is alive.
        let writes = unsafe { self.writes() };
        let at = match writes.find(var.slot()) {
            Some(at) => at,
            // A box-less word: never looked at while the entry has merges.
            None => writes.insert(var.slot(), var.born(), self.before(var), Word::EMPTY, flags_of::<T>()),
        };
        writes.push_merge(at, f);
    }

    /// Registers a function of the value that the commit will publish, and says where its result will be.
    pub(crate) fn then<T: Send + Sync + 'static, R: Send + 'static>(
        &self,
        var: &Var<T>,
        g: impl Fn(&T) -> R + Send + Sync + 'static,
    ) -> Outbox<R> {
        let (f, out) = merge::then::<T, R>(g);
        // SAFETY: I9: no user code runs while the reference is alive.
        unsafe { self.writes() }.push_then(var.slot(), f);
        out
    }

    /// Turns a variable's merges into a written value, computed from the snapshot. Runs the merge functions.
    pub(crate) fn promote<T: Send + Sync + 'static>(&self, var: &Var<T>) {
        // SAFETY: I9: the functions are cloned out before any of them runs.
        let merges = unsafe {
            let writes = self.writes();
            let Some(at) = writes.find(var.slot()) else { return };
            writes.entries[at].state.merges.to_vec()
        };
        if merges.is_empty() {
            return;
        }
        let cell = var.erase();
        let source = match self.lookup(var) {
            // SAFETY: I3: the snapshot is pinned.
            Some(slot) => Source::Word(unsafe { &raw const (*slot).word }),
            None => Source::Initial(cell.as_ptr()),
        };
        let mut made: Vec<OwnedWord> = Vec::new();
        // SAFETY: I3: the source is in the pinned snapshot, or the initial value of a variable unwritten there (I8).
        unsafe { merge::apply_all(&merges, source, is_inline::<T>(), &mut made) };
        let new = made.pop().expect("there is at least one function");
        let word = new.word;
        new.publish();
        // SAFETY: I9: the functions have run. A merge is superseded, so there is no box to drop.
        let writes = unsafe { self.writes() };
        if let Some(at) = writes.find(var.slot()) {
            let superseded = writes.replace(at, word);
            if let Some(boxed) = superseded {
                reclaim::dispose_one(Garbage::Value(boxed));
            }
        }
    }

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
                let is_map = entry.state.is_map();
                let (merges, inline) = (entry.state.merges.to_vec(), entry.state.is_inline());
                let found = node::find(self.base.get(), entry.slot);
                let source = if !found.is_null() && (*found).stamp > entry.born {
                    Source::Word(&raw const (*found).word)
                } else {
                    Source::Initial(
                        entry.before.cell.as_ref().expect("unwritten in the base, so in the snapshot").as_ptr(),
                    )
                };
                if is_map {
                    let base: &Tree = match source {
                        Source::Word(word) => value::view(word),
                        Source::Initial(head) => cell::initial_of(head),
                    };
                    let word = self.build_map(entry.slot, base);
                    self.scratch().build.merged.push((at, OwnedWord { word, inline: false }));
                    continue;
                }
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

    /// Builds the next version of a map on the chosen base. Runs user code.
    fn build_map(&mut self, slot: u32, base: &Tree) -> Word {
        // SAFETY: (all blocks of this function) I9: nothing is borrowed while user code runs; parts are boxed, and stay until the attempt ends.
        let (part, mut pool) =
            unsafe { (self.scratch().maps.part(slot), std::mem::take(&mut self.seat.member.own().pool.maps)) };
        let parts = Some(BuiltParts::new(&mut pool));
        // SAFETY: as above; the base is chosen and pinned.
        let version = unsafe { self.base_version() } + 1;
        let mut making = Making { parts, pool, ws: self };
        let Making { parts: Some(parts), pool, .. } = &mut making else { unreachable!("just made") };
        // SAFETY: I3: the base is pinned; the part is of the slot's map.
        let tree = unsafe { (*part).build(base, version, pool, parts) };
        let parts = making.parts.take().expect("just made");
        drop(making);
        let word = Word::encode(tree);
        // SAFETY: as above.
        unsafe { self.scratch() }.build.maps.push((parts, word));
        word
    }

    /// Forgets what [`Workspace::evaluate`] computed for a base that was not published. Destructors wait for the end of the attempt.
    pub(crate) fn discard_evaluation(&mut self) {
        // SAFETY: I9: no user code runs.
        let scratch = unsafe { self.scratch() };
        if scratch.build.merged.is_empty() && scratch.build.maps.is_empty() {
            return;
        }
        for (parts, _) in scratch.build.maps.drain(..) {
            // SAFETY: I9: as above.
            parts.forget(unsafe { &mut self.seat.member.own().pool.maps }, &mut scratch.trash);
        }
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

/// A version of a map in the making; what it has made goes to the trash if code of the user's panics.
struct Making<'a, 's> {
    parts: Option<BuiltParts>,
    pool: NodePool,
    ws: &'a Workspace<'s>,
}

impl Drop for Making<'_, '_> {
    fn drop(&mut self) {
        // SAFETY: I9: no user code runs.
        let (own, scratch) = unsafe { (self.ws.seat.member.own(), self.ws.scratch()) };
        if let Some(parts) = self.parts.take() {
            parts.forget(&mut self.pool, &mut scratch.trash);
        }
        own.pool.maps = std::mem::take(&mut self.pool);
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
