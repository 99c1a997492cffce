//! The promise.

use crate::{Space, Stm, TVar, Tx};
use std::fmt;

/// A value that is set once, and that others wait for: a promise (§6.3); a cheap handle, clones are the same promise.
///
/// ```
/// use tvar::{TOnce, atomically};
/// let answer = TOnce::new();
/// std::thread::scope(|s| {
///     let reader = s.spawn(|| atomically(|tx| answer.get(tx).copied()));
///     assert_eq!(atomically(|tx| Ok(answer.set(tx, 42))), Ok(()));
///     assert_eq!(reader.join().unwrap(), 42);
/// });
/// assert_eq!(atomically(|tx| Ok(answer.set(tx, 43))), Err(43));
/// ```
#[doc(alias("promise", "future", "TIVar"))]
pub struct TOnce<T> {
    value: TVar<Option<T>>,
}

impl<T: Send + Sync + 'static> TOnce<T> {
    /// A new promise of the global space that is not set.
    pub fn new() -> Self {
        Self::new_in(Space::global())
    }

    /// A new promise of a space that is not set.
    pub fn new_in(space: &Space) -> Self {
        TOnce { value: TVar::new_in(space, None) }
    }

    /// Sets the value. Never blocks; wakes who waits for it. Of several transactions that set it one succeeds, and the others find that out.
    ///
    /// # Errors
    /// The value, if one was set before.
    pub fn set(&self, tx: &Tx<'_>, value: T) -> Result<(), T> {
        if self.is_set(tx) {
            return Err(value);
        }
        tx.write(&self.value, Some(value));
        Ok(())
    }

    /// The value; blocks until it is set.
    ///
    /// # Errors
    /// The stop, while it is not.
    #[doc(alias("wait", "read"))]
    pub fn get<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_get(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// The value if it is set. That it is not counts as read.
    pub fn try_get<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        tx.read(&self.value).as_ref()
    }

    /// Whether the value is set.
    pub fn is_set(&self, tx: &Tx<'_>) -> bool {
        self.try_get(tx).is_some()
    }
}

impl<T> TOnce<T> {
    /// Whether two handles are of the same promise.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.value.ptr_eq(&other.value)
    }
}

impl<T> Clone for TOnce<T> {
    /// Another handle to the same promise.
    fn clone(&self) -> Self {
        TOnce { value: self.value.clone() }
    }
}

impl<T: Send + Sync + 'static> Default for TOnce<T> {
    fn default() -> Self {
        TOnce::new()
    }
}

impl<T: Send + Sync + 'static> From<T> for TOnce<T> {
    /// A promise of the global space that is set.
    fn from(value: T) -> Self {
        TOnce { value: TVar::new(Some(value)) }
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for TOnce<T> {
    /// Shows the value as committed; inside a transaction, as of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.value.space().snapshot();
        f.debug_tuple("TOnce").field(snapshot.read::<Option<T>>(&self.value)).finish()
    }
}
