//! Merge functions (commutes), erased: applied to the newest value when a root is built (§4.5).

use super::cell::{self, CellHead};
use super::reclaim::{self, Garbage};
use super::value::{self, Word};
use crate::sync::{Arc, Mutex};
use std::any::Any;
use std::marker::PhantomData;

/// The value that a merge function is applied to.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Word(*const Word),
    /// The variable is unwritten in the base.
    Initial(*const CellHead),
}

/// `f: Fn(&T) -> T`, with the `T` forgotten.
pub(super) trait MergeFn: Send + Sync {
    /// Runs user code.
    ///
    /// # Safety
    /// `old` is of the variable that the function was logged for, and stays as it is during the call.
    unsafe fn apply(&self, old: Source) -> Word;
}

pub(super) struct Typed<T, F> {
    f: F,
    _types: PhantomData<fn(&T) -> T>,
}

impl<T: 'static, F: Fn(&T) -> T + Send + Sync + 'static> Typed<T, F> {
    pub(super) fn erase(f: F) -> Arc<dyn MergeFn> {
        Arc::new(Typed { f, _types: PhantomData })
    }
}

impl<T: 'static, F: Fn(&T) -> T + Send + Sync> MergeFn for Typed<T, F> {
    unsafe fn apply(&self, old: Source) -> Word {
        // SAFETY: the caller's promise: the source is a `T`.
        let old: &T = unsafe {
            match old {
                Source::Word(word) => value::view(word),
                Source::Initial(head) => cell::initial_of(head),
            }
        };
        Word::encode((self.f)(old))
    }
}

/// A word that owns its box until it is published.
pub(super) struct OwnedWord {
    pub(super) word: Word,
    pub(super) inline: bool,
}

impl OwnedWord {
    /// What to drop if the word is not published.
    pub(super) fn into_garbage(self) -> Option<Garbage> {
        // SAFETY: not inline, so the word is a box, and it is this value's.
        let garbage = (!self.inline).then(|| Garbage::Value(unsafe { self.word.header() }));
        self.publish();
        garbage
    }

    /// Gives the box up to the tree.
    pub(super) fn publish(self) {
        std::mem::forget(self);
    }
}

impl Drop for OwnedWord {
    fn drop(&mut self) {
        if !self.inline {
            // SAFETY: not inline, so the word is a box, and it is this value's.
            reclaim::dispose_one(Garbage::Value(unsafe { self.word.header() }));
        }
    }
}

/// Applies merge functions one after the other. Runs user code, which may panic.
///
/// All results end up in `made`, the final one last: the others are dropped when no commit is under way, since their
/// destructors may commit themselves.
///
/// # Safety
/// `source` is of the variable that the functions were logged for and stays as it is during the call.
pub(super) unsafe fn apply_all(merges: &[Arc<dyn MergeFn>], source: Source, inline: bool, made: &mut Vec<OwnedWord>) {
    let mut from = source;
    let mut word;
    for merge in merges {
        // SAFETY: the caller's promise; an intermediate value is of the same type, and its box stays in `made`.
        word = unsafe { merge.apply(from) };
        made.push(OwnedWord { word, inline });
        from = Source::Word(&raw const word);
    }
}

/// Where a result waits that exists once the transaction has committed.
pub(crate) struct Outbox<R>(Arc<Mutex<Option<R>>>);

impl<R> Clone for Outbox<R> {
    fn clone(&self) -> Self {
        Outbox(self.0.clone())
    }
}

impl<R> Outbox<R> {
    pub(super) fn new() -> Self {
        Outbox(Arc::new(Mutex::new(None)))
    }

    pub(crate) fn with<A>(&self, look: impl FnOnce(&mut Option<R>) -> A) -> A {
        look(&mut self.0.lock())
    }
}

/// `then: Fn(&T) -> R` of a `merge_then`, with the types forgotten.
pub(super) trait ThenFn: Send + Sync {
    /// Computes the result for a value that is about to be published. Runs user code. Returns what it had computed for another.
    ///
    /// # Safety
    /// `word` is of the variable that the function was logged for and stays as it is during the call.
    unsafe fn evaluate(&self, word: *const Word) -> Option<Box<dyn Any + Send>>;
    /// The value was published: hands the result over.
    fn deliver(&self);
}

struct Then<T, R, G> {
    g: G,
    pending: Mutex<Option<R>>,
    out: Outbox<R>,
    _types: PhantomData<fn(&T) -> R>,
}

/// A `then` function and where its result will be.
pub(super) fn then<T: 'static, R: Send + 'static>(
    g: impl Fn(&T) -> R + Send + Sync + 'static,
) -> (Box<dyn ThenFn>, Outbox<R>) {
    let out = Outbox::new();
    (Box::new(Then { g, pending: Mutex::new(None), out: out.clone(), _types: PhantomData }), out)
}

impl<T: 'static, R: Send + 'static, G: Fn(&T) -> R + Send + Sync> ThenFn for Then<T, R, G> {
    unsafe fn evaluate(&self, word: *const Word) -> Option<Box<dyn Any + Send>> {
        // SAFETY: the caller's promise.
        let result = (self.g)(unsafe { value::view(word) });
        let before = self.pending.lock().replace(result);
        before.map(|before| Box::new(before) as Box<dyn Any + Send>)
    }

    fn deliver(&self) {
        let result = self.pending.lock().take();
        // The outbox was made for this function, which delivers once: there is nothing to replace.
        self.out.with(|slot| *slot = result);
    }
}
