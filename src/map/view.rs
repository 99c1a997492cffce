//! What variables and collections can be read from.

use crate::snapshot::Snapshot;
use crate::tvar::TVar;
use crate::tx::Tx;

/// What variables and collections can be read from: a running transaction ([`Tx`]), with its own writes, or a kept [`Snapshot`]. For functions that serve both.
///
/// ```
/// use tvar::{Space, TMap, atomically};
/// let stock: TMap<&str, u32> = TMap::new();
/// atomically(|tx| Ok(stock.upsert(tx, "apples", 3)));
/// let snapshot = Space::global().snapshot();
/// assert_eq!(stock.get(&snapshot, "apples"), Some(&3));
/// assert_eq!(atomically(|tx| Ok(stock.get(tx, "apples").copied())), Some(3));
/// ```
pub trait View: sealed::Sealed {
    /// The value of a variable in this view: [`Tx::read`] or [`Snapshot::read`].
    ///
    /// # Panics
    /// When the variable is of another space.
    ///
    /// ```
    /// use tvar::{Space, TVar, View, atomically};
    /// let accounts = [TVar::new(1), TVar::new(2)];
    /// fn sum(view: &impl View, accounts: &[TVar<i64>]) -> i64 {
    ///     accounts.iter().map(|account| view.read(account)).sum()
    /// }
    /// assert_eq!(sum(&Space::global().snapshot(), &accounts), 3);
    /// assert_eq!(atomically(|tx| Ok(sum(tx, &accounts))), 3);
    /// ```
    fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T;
}

impl View for Tx<'_> {
    #[inline]
    fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T {
        Tx::read(self, var)
    }
}

impl View for Snapshot {
    #[inline]
    fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T {
        Snapshot::read(self, var)
    }
}

pub(super) mod sealed {
    use super::{Snapshot, Tx};

    /// The two kinds of view.
    #[derive(Debug)]
    pub enum Source<'a> {
        Tx(&'a Tx<'a>),
        Snapshot(&'a Snapshot),
    }

    pub trait Sealed {
        fn source(&self) -> Source<'_>;
    }

    impl Sealed for Tx<'_> {
        #[inline(always)]
        fn source(&self) -> Source<'_> {
            Source::Tx(self)
        }
    }

    impl Sealed for Snapshot {
        #[inline(always)]
        fn source(&self) -> Source<'_> {
            Source::Snapshot(self)
        }
    }
}
