//! The write set of an attempt: buffered values, merges, and what is needed to undo a part of them.
//!
//! A value that was lent out (`read` of an own write) stays where it is until the attempt ends; one that was not is
//! dropped when it is overwritten, so that a loop of `modify`s uses bounded memory (§2.1).

use super::cell::CellRef;
use super::index::{Index, OfSlot};
use super::merge::{MergeFn, ThenFn};
use super::node::Slot;
use super::reclaim::Garbage;
use super::value::{Header, Word, is_inline, is_plain};
use crate::sync::Arc;
use std::cell::UnsafeCell;

/// The values are inline.
pub(super) const INLINE: u8 = 1;
/// A reference to the buffered value was handed out.
pub(super) const LENT: u8 = 2;
/// A `modify` is looking at the buffered value.
pub(super) const IN_USE: u8 = 4;

/// The variable is a map, whose next version is built at the commit from the attempt's part of it (M2).
pub(super) const MAP: u8 = 8;

/// The values are small, and their ends run no user code.
pub(super) const PLAIN: u8 = 16;

/// The flags of a variable's type.
#[inline(always)]
pub(super) fn flags_of<T: 'static>() -> u8 {
    match (is_inline::<T>(), is_plain::<T>()) {
        (true, _) => INLINE,
        (false, true) => PLAIN,
        (false, false) => 0,
    }
}

/// What an attempt will do to one variable.
pub(super) struct Entry {
    pub(super) slot: u32,
    pub(super) born: u64,
    pub(super) before: Before,
    pub(super) state: State,
}

impl OfSlot for Entry {
    #[inline(always)]
    fn slot(&self) -> u32 {
        self.slot
    }
}

impl Entry {
    /// Whether its end, without its handle's, may run user code.
    pub(super) fn has_values(&self, published: bool) -> bool {
        self.state.is_merge() || (!published && !self.state.is_inline())
    }

    /// Ends it: what needs dropping goes to `trash`. The box of a `published` write is the tree's now.
    pub(super) fn discard(self, published: bool, trash: &mut Vec<Garbage>) {
        if let Some(cell) = self.before.cell {
            trash.push(Garbage::Handle(cell));
        }
        if self.state.is_map() {
            // What there is to drop is in the attempt's part of it.
        } else if self.state.is_merge() {
            trash.push(Garbage::Merges(self.state.merges.into_vec()));
        } else if !published {
            trash.extend(self.state.boxed().map(Garbage::Value));
        }
    }

    /// The variable's slot in the snapshot, which must be pinned.
    #[inline(always)]
    pub(super) fn old(&self) -> Slot {
        // SAFETY: I3: the snapshot is pinned.
        if self.before.slot.is_null() { Slot::EMPTY } else { unsafe { *self.before.slot } }
    }

    /// Whether publishing this word over that slot would change nothing: an identical value (§3.1).
    #[inline(always)]
    pub(super) fn keeps(&self, old: Slot, word: Word) -> bool {
        if !self.state.is_inline() {
            return false;
        }
        if old.stamp > self.born {
            return old.word.same_bits(word);
        }
        self.before.cell.as_ref().is_some_and(|cell| cell.initial_word().same_bits(word))
    }
}

/// What the snapshot has of a variable in the write set. One of the two is there.
pub(super) struct Before {
    /// Its slot, for a commit that builds on the snapshot itself; else null.
    pub(super) slot: *const Slot,
    /// A handle, if it is unwritten there: the commit may have to retire its initial value.
    pub(super) cell: Option<CellRef>,
}

/// The part of an entry that later operations change and an undo restores.
pub(super) struct State {
    /// The nesting depth at which it was written.
    level: u32,
    pub(super) flags: u8,
    /// The value; meaningless while there are merges.
    pub(super) word: Word,
    /// Where the inline value was lent from; null if it was not.
    lent: *const Word,
    pub(super) merges: Merges,
}

impl State {
    /// Whether the value is made at the commit.
    pub(super) fn is_merge(&self) -> bool {
        !self.merges.is_empty() || self.is_map()
    }

    pub(super) fn is_map(&self) -> bool {
        self.flags & MAP != 0
    }

    pub(super) fn is_inline(&self) -> bool {
        self.flags & INLINE != 0
    }

    /// Whether what it replaces is retired without code of the user's: a small plain value, or the top of a map that has given its nodes up.
    pub(super) fn ends_plainly(&self) -> bool {
        self.flags & (PLAIN | MAP) != 0
    }

    /// The box that the state owns.
    fn boxed(&self) -> Option<*mut Header> {
        // SAFETY: neither inline nor a merge: the word was encoded from a boxed type.
        (!self.is_inline() && !self.is_merge()).then(|| unsafe { self.word.header() })
    }
}

/// The merge functions of an entry, mostly none: a word then.
#[allow(clippy::box_collection, reason = "a null pointer for the common case keeps entries small")]
#[derive(Clone, Default)]
pub(super) struct Merges(Option<Box<Vec<Arc<dyn MergeFn>>>>);

impl Merges {
    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn push(&mut self, f: Arc<dyn MergeFn>) {
        self.0.get_or_insert_default().push(f);
    }

    pub(super) fn to_vec(&self) -> Vec<Arc<dyn MergeFn>> {
        self.clone().into_vec()
    }

    fn into_vec(self) -> Vec<Arc<dyn MergeFn>> {
        self.0.map_or_else(Vec::new, |functions| *functions)
    }
}

struct Undo {
    at: usize,
    state: State,
}

/// A point to undo to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    entries: usize,
    undo: usize,
    thens: usize,
}

pub(super) struct Then {
    pub(super) slot: u32,
    pub(super) f: Box<dyn ThenFn>,
}

#[derive(Default)]
pub(super) struct WriteSet {
    pub(super) entries: Vec<Entry>,
    index: Index,
    undo: Vec<Undo>,
    /// How many parts that can be undone are under way.
    pub(super) depth: u32,
    /// What was superseded or undone and cannot go before the attempt ends.
    graveyard: Vec<State>,
    undone_thens: Vec<Then>,
    lent: Arena,
    pub(super) thens: Vec<Then>,
    /// Handles of entries that were announced (C8).
    pub(super) handles: Vec<CellRef>,
    /// Something was put in since `clear`.
    used: bool,
    /// Some values are boxed: theirs to drop, unless they were published.
    boxed: bool,
    /// Something else in here needs more than forgetting.
    heavy: bool,
    /// There are, or were, merge functions or `then` functions, or maps.
    pub(super) functions: bool,
    /// There are, or were, maps.
    pub(super) maps: bool,
}

impl WriteSet {
    #[inline(always)]
    pub(super) fn find(&self, slot: u32) -> Option<usize> {
        self.index.find(slot, &self.entries)
    }

    /// Slots of what was written, not merged.
    pub(super) fn written(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().filter(|entry| !entry.state.is_merge()).map(|entry| entry.slot)
    }

    /// A first write or merge of a variable in this attempt.
    #[inline(always)]
    pub(super) fn insert(&mut self, slot: u32, born: u64, before: Before, word: Word, flags: u8) -> usize {
        self.used = true;
        self.boxed |= flags & INLINE == 0;
        self.heavy |= before.cell.is_some();
        let len = self.entries.len();
        if len == self.entries.capacity() {
            self.entries.reserve(1);
        }
        let state = State { level: self.depth, flags, word, lent: std::ptr::null(), merges: Merges::default() };
        // SAFETY: there is room for one more. (`push` would make the entry elsewhere and copy it.)
        unsafe {
            self.entries.as_mut_ptr().add(len).write(Entry { slot, born, before, state });
            self.entries.set_len(len + 1);
        }
        self.index.inserted(slot, &self.entries);
        len
    }

    /// Another value for an entry; returns a box for the caller to drop outside.
    #[inline]
    pub(super) fn replace(&mut self, at: usize, word: Word) -> Option<*mut Header> {
        let depth = self.depth;
        let state = &mut self.entries[at].state;
        if state.level == depth && state.is_inline() && !state.is_merge() {
            state.word = word;
            state.lent = std::ptr::null();
            return None;
        }
        let flags = state.flags & (INLINE | PLAIN);
        let new = State { level: depth, flags, word, lent: std::ptr::null(), merges: Merges::default() };
        let old = std::mem::replace(state, new);
        if old.level < depth {
            self.undo.push(Undo { at, state: old });
            return None;
        }
        self.bury(old)
    }

    /// A first write to a map.
    pub(super) fn insert_map(&mut self, slot: u32, born: u64, before: Before) {
        self.insert(slot, born, before, Word::EMPTY, MAP);
        (self.heavy, self.functions, self.maps) = (true, true, true);
    }

    /// One more merge function for a variable: a new entry, or one that is a merge already.
    pub(super) fn push_merge(&mut self, at: usize, merge: Arc<dyn MergeFn>) {
        self.heavy = true;
        self.functions = true;
        let depth = self.depth;
        let state = &mut self.entries[at].state;
        if state.level < depth {
            let merges = state.merges.clone();
            let new = State { level: depth, flags: state.flags, word: state.word, lent: state.lent, merges };
            let old = std::mem::replace(state, new);
            self.undo.push(Undo { at, state: old });
        }
        self.entries[at].state.merges.push(merge);
    }

    /// A stable address with the entry's inline value, for a reference that outlives later writes.
    pub(super) fn lend_inline(&mut self, at: usize) -> *const Word {
        let state = &mut self.entries[at].state;
        if state.lent.is_null() {
            state.lent = self.lent.put(state.word);
            self.heavy = true;
        }
        state.lent
    }

    pub(super) fn push_then(&mut self, slot: u32, f: Box<dyn ThenFn>) {
        self.heavy = true;
        self.functions = true;
        self.thens.push(Then { slot, f });
    }

    /// Begins a part that can be undone.
    pub(super) fn enter(&mut self) -> Mark {
        self.depth += 1;
        (self.used, self.heavy) = (true, true);
        Mark { entries: self.entries.len(), undo: self.undo.len(), thens: self.thens.len() }
    }

    /// The part stays: its writes are the enclosing part's from now on.
    pub(super) fn keep(&mut self, mark: Mark, trash: &mut Vec<Garbage>) {
        self.depth -= 1;
        let outer = self.depth;
        for entry in &mut self.entries[mark.entries..] {
            entry.state.level = outer;
        }
        // Of the states saved in the part, those are needed on that the enclosing part has not saved itself.
        let saved = self.undo.split_off(mark.undo);
        for Undo { at, state } in saved {
            self.entries[at].state.level = outer;
            if state.level < outer {
                self.undo.push(Undo { at, state });
            } else if let Some(boxed) = self.bury(state) {
                trash.push(Garbage::Value(boxed));
            }
        }
    }

    /// Undoes exactly what was written since the mark.
    pub(super) fn undo(&mut self, mark: Mark, trash: &mut Vec<Garbage>) {
        self.depth -= 1;
        while self.undo.len() > mark.undo {
            let Undo { at, state } = self.undo.pop().expect("longer than the mark");
            let undone = std::mem::replace(&mut self.entries[at].state, state);
            trash.extend(self.bury(undone).map(Garbage::Value));
        }
        while self.entries.len() > mark.entries {
            self.index.removing_last(&self.entries);
            let entry = self.entries.pop().expect("longer than the mark");
            trash.extend(self.bury(entry.state).map(Garbage::Value));
            if let Some(cell) = entry.before.cell {
                trash.push(Garbage::Handle(cell));
            }
        }
        self.undone_thens.extend(self.thens.drain(mark.thens..));
    }

    /// Puts a superseded state where it can wait; a box that nobody looks at is returned to be dropped now.
    fn bury(&mut self, state: State) -> Option<*mut Header> {
        if state.flags & (LENT | IN_USE) == 0
            && let Some(boxed) = state.boxed()
        {
            return Some(boxed);
        }
        if !state.is_inline() || state.is_merge() {
            self.heavy = true;
            self.graveyard.push(state);
        }
        None
    }

    /// The attempt has ended: forgets everything; what needs dropping goes to `trash`. Boxes of `published` writes are the
    /// tree's now.
    #[inline(always)]
    pub(super) fn clear(&mut self, published: bool, trash: &mut Vec<Garbage>) {
        if self.used {
            self.clear_used(published, trash);
        }
    }

    #[inline]
    fn clear_used(&mut self, published: bool, trash: &mut Vec<Garbage>) {
        self.used = false;
        self.index.clear();
        if self.heavy || (self.boxed && !published) {
            self.clear_heavy(published, trash);
        }
        self.boxed = false;
        // SAFETY: entries that own anything make the set heavy, and those were drained.
        unsafe { self.entries.set_len(0) };
    }

    #[cold]
    fn clear_heavy(&mut self, published: bool, trash: &mut Vec<Garbage>) {
        self.heavy = false;
        (self.functions, self.maps) = (false, false);
        self.depth = 0;
        self.lent.clear();
        while let Some(Undo { state, .. }) = self.undo.pop() {
            self.graveyard.push(state);
        }
        while let Some(entry) = self.entries.pop() {
            entry.discard(published, trash);
        }
        // Mostly there is nothing in most of these, which is quicker asked than drained.
        if !self.handles.is_empty() {
            trash.extend(self.handles.drain(..).map(Garbage::Handle));
        }
        while let Some(state) = self.graveyard.pop() {
            trash.extend(state.boxed().map(Garbage::Value));
            if !state.merges.is_empty() {
                trash.push(Garbage::Merges(state.merges.into_vec()));
            }
        }
        if !self.thens.is_empty() || !self.undone_thens.is_empty() {
            trash.extend(self.thens.drain(..).chain(self.undone_thens.drain(..)).map(|then| Garbage::Then(then.f)));
        }
    }
}

/// Words at stable addresses.
#[derive(Default)]
struct Arena {
    /// Boxed, so that words stay in place when the list grows.
    #[allow(clippy::vec_box, reason = "the addresses of the words are lent out")]
    chunks: Vec<Box<[UnsafeCell<Word>; CHUNK]>>,
    used: usize,
}

const CHUNK: usize = 32;

impl Arena {
    fn put(&mut self, word: Word) -> *const Word {
        let (chunk, at) = (self.used / CHUNK, self.used % CHUNK);
        if chunk == self.chunks.len() {
            self.chunks.push(Box::new(std::array::from_fn(|_| UnsafeCell::new(Word::EMPTY))));
        }
        self.used += 1;
        let place = self.chunks[chunk][at].get();
        // SAFETY: a place is written once between two `clear`s, and lent only afterwards.
        unsafe { place.write(word) };
        place
    }

    #[inline]
    fn clear(&mut self) {
        if self.used > CHUNK {
            self.chunks.truncate(1);
        }
        self.used = 0;
    }
}
