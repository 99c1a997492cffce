//! The array.

use crate::sync::Arc;
use crate::{Space, TVar, Tx};
use std::fmt;

/// A fixed number of variables with indices (§6.3); a cheap handle, clones are the same array.
///
/// Each index is a variable of its own: transactions conflict where they touch the same one. *Costs* what its variables cost; the handle is shared.
///
/// ```
/// use tvar::{TArray, atomically};
/// let accounts: TArray<i64> = [50, 20, 30].into_iter().collect();
/// atomically(|tx| {
///     accounts.modify(tx, 0, |n| n - 10);
///     accounts.modify(tx, 2, |n| n + 10);
///     Ok(())
/// });
/// assert_eq!(atomically(|tx| Ok(accounts.iter(tx).copied().collect::<Vec<_>>())), [40, 20, 40]);
/// ```
pub struct TArray<T> {
    vars: Arc<[TVar<T>]>,
}

impl<T: Send + Sync + 'static> TArray<T> {
    /// A new array of the global space with these values.
    pub fn new(values: impl IntoIterator<Item = T>) -> Self {
        Self::new_in(Space::global(), values)
    }

    /// A new array of a space with these values.
    pub fn new_in(space: &Space, values: impl IntoIterator<Item = T>) -> Self {
        TArray { vars: values.into_iter().map(|value| TVar::new_in(space, value)).collect() }
    }

    /// The value at an index, as [`Tx::read`].
    ///
    /// # Panics
    /// When the index is out of bounds.
    #[track_caller]
    pub fn read<'a>(&'a self, tx: &'a Tx<'_>, index: usize) -> &'a T {
        tx.read(self.at(index))
    }

    /// Gives an index a new value, as [`Tx::write`].
    ///
    /// # Panics
    /// When the index is out of bounds.
    #[track_caller]
    pub fn write(&self, tx: &Tx<'_>, index: usize, value: T) {
        tx.write(self.at(index), value);
    }

    /// Replaces the value at an index by a function of it, as [`Tx::modify`].
    ///
    /// # Panics
    /// When the index is out of bounds; with `f`'s own panic.
    #[track_caller]
    pub fn modify(&self, tx: &Tx<'_>, index: usize, f: impl FnOnce(&T) -> T) {
        tx.modify(self.at(index), f);
    }

    /// All values, in order. What the iterator has come to is read, and nothing else.
    pub fn iter<'a>(&'a self, tx: &'a Tx<'_>) -> impl DoubleEndedIterator<Item = &'a T> + ExactSizeIterator {
        self.vars.iter().map(|var| tx.read(var))
    }
}

impl<T> TArray<T> {
    /// The variable at an index; `None` if that is out of bounds.
    ///
    /// ```
    /// use tvar::TArray;
    /// let array = TArray::new(["a", "b"]);
    /// assert_eq!(array.get(1).map(|var| var.load()), Some("b"));
    /// assert!(array.get(2).is_none());
    /// ```
    pub fn get(&self, index: usize) -> Option<&TVar<T>> {
        self.vars.get(index)
    }

    #[track_caller]
    fn at(&self, index: usize) -> &TVar<T> {
        match self.vars.get(index) {
            Some(var) => var,
            None => panic!("tvar: index {index} is out of bounds of an array of {}", self.vars.len()),
        }
    }

    /// How many variables there are. They never become more or fewer.
    pub fn len(&self) -> usize {
        self.vars.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.vars.is_empty()
    }

    /// Whether two handles are of the same array.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.vars, &other.vars)
    }
}

impl<T> Clone for TArray<T> {
    /// Another handle to the same array.
    fn clone(&self) -> Self {
        TArray { vars: self.vars.clone() }
    }
}

impl<T: Send + Sync + 'static> FromIterator<T> for TArray<T> {
    /// A new array of the global space with these values.
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        TArray::new(values)
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for TArray<T> {
    /// Shows the values of one moment, as committed; inside a transaction, those of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TArray ")?;
        let snapshot = self.vars.first().map(|var| var.space().snapshot());
        let values = snapshot.iter().flat_map(|snapshot| self.vars.iter().map(|var| snapshot.read(var)));
        f.debug_list().entries(values).finish()
    }
}
