//! The box that is empty or full.

use crate::{Space, Stm, TVar, Tx};
use std::fmt;

/// A box with room for one value, which is taken out and put in (§6.3), as `TMVar` in Haskell's `stm`; a cheap handle, clones are the same box.
///
/// Whoever takes waits while it is empty, whoever puts waits while it is full. Values need no `Clone`: what is taken is a reference that
/// lives as long as the transaction.
///
/// ```
/// use tvar::{TMVar, atomically};
/// let slot = TMVar::empty();
/// std::thread::scope(|s| {
///     s.spawn(|| (1..=3).for_each(|n| atomically(|tx| slot.put(tx, n))));
///     let taken = [(); 3].map(|()| atomically(|tx| slot.take(tx).copied()));
///     assert_eq!(taken, [1, 2, 3]);
/// });
/// ```
pub struct TMVar<T> {
    value: TVar<Option<T>>,
}

impl<T: Send + Sync + 'static> TMVar<T> {
    /// A new box of the global space with this value in it.
    pub fn new(value: T) -> Self {
        Self::new_in(Space::global(), value)
    }

    /// A new box of a space with this value in it.
    pub fn new_in(space: &Space, value: T) -> Self {
        TMVar { value: TVar::new_in(space, Some(value)) }
    }

    /// A new, empty box of the global space.
    pub fn empty() -> Self {
        Self::empty_in(Space::global())
    }

    /// A new, empty box of a space.
    pub fn empty_in(space: &Space) -> Self {
        TMVar { value: TVar::new_in(space, None) }
    }

    /// Takes the value out; blocks while the box is empty.
    ///
    /// # Errors
    /// The stop, while it is empty.
    pub fn take<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_take(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// Takes the value out if there is one. That there is none counts as read.
    pub fn try_take<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        let value = self.try_read(tx)?;
        tx.write(&self.value, None);
        Some(value)
    }

    /// Puts a value in; blocks while the box is full.
    ///
    /// # Errors
    /// The stop, while it is full; the value is dropped, and the closure makes it anew.
    pub fn put(&self, tx: &Tx<'_>, value: T) -> Stm<()> {
        self.try_put(tx, value).or_else(|_| tx.retry())
    }

    /// Puts a value in if the box is empty. That it is full counts as read.
    ///
    /// # Errors
    /// The value, if the box is full.
    ///
    /// ```
    /// use tvar::{TMVar, atomically};
    /// let slot = TMVar::new(1);
    /// assert_eq!(atomically(|tx| Ok(slot.try_put(tx, 2))), Err(2));
    /// ```
    pub fn try_put(&self, tx: &Tx<'_>, value: T) -> Result<(), T> {
        if !self.is_empty(tx) {
            return Err(value);
        }
        self.write(tx, value);
        Ok(())
    }

    /// The value, which stays in; blocks while the box is empty.
    ///
    /// # Errors
    /// The stop, while it is empty.
    pub fn read<'a>(&'a self, tx: &'a Tx<'_>) -> Stm<&'a T> {
        self.try_read(tx).map_or_else(|| tx.retry(), Ok)
    }

    /// The value, which stays in, if there is one.
    pub fn try_read<'a>(&'a self, tx: &'a Tx<'_>) -> Option<&'a T> {
        tx.read(&self.value).as_ref()
    }

    /// Puts a value in, whether the box is full or empty. Never blocks; a blind write (§2.4).
    pub fn write(&self, tx: &Tx<'_>, value: T) {
        tx.write(&self.value, Some(value));
    }

    /// Takes the value out and puts another in; blocks while the box is empty.
    ///
    /// # Errors
    /// The stop, while it is empty; the new value is dropped.
    ///
    /// ```
    /// use tvar::{TMVar, atomically};
    /// let slot = TMVar::new(1);
    /// assert_eq!(atomically(|tx| slot.swap(tx, 2).copied()), 1);
    /// assert_eq!(atomically(|tx| slot.read(tx).copied()), 2);
    /// ```
    pub fn swap<'a>(&'a self, tx: &'a Tx<'_>, value: T) -> Stm<&'a T> {
        let before = self.read(tx)?;
        self.write(tx, value);
        Ok(before)
    }

    /// Whether the box is empty.
    pub fn is_empty(&self, tx: &Tx<'_>) -> bool {
        self.try_read(tx).is_none()
    }
}

impl<T> TMVar<T> {
    /// Whether two handles are of the same box.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.value.ptr_eq(&other.value)
    }
}

impl<T> Clone for TMVar<T> {
    /// Another handle to the same box.
    fn clone(&self) -> Self {
        TMVar { value: self.value.clone() }
    }
}

impl<T: Send + Sync + 'static> Default for TMVar<T> {
    /// An empty box of the global space.
    fn default() -> Self {
        TMVar::empty()
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for TMVar<T> {
    /// Shows the value as committed; inside a transaction, as of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.value.space().snapshot();
        f.debug_tuple("TMVar").field(snapshot.read::<Option<T>>(&self.value)).finish()
    }
}
