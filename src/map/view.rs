//! What a collection can be read from.

use crate::snapshot::Snapshot;
use crate::tx::Tx;

/// What a collection can be read from: a running transaction ([`Tx`]), with its own writes, or a kept [`Snapshot`].
///
/// ```
/// use tvar::{Space, TMap, atomically};
/// let stock: TMap<&str, u32> = TMap::new();
/// atomically(|tx| Ok(stock.upsert(tx, "apples", 3)));
/// let snapshot = Space::global().snapshot();
/// assert_eq!(stock.get(&snapshot, "apples"), Some(&3));
/// assert_eq!(atomically(|tx| Ok(stock.get(tx, "apples").copied())), Some(3));
/// ```
pub trait View: sealed::Sealed {}

impl View for Tx<'_> {}
impl View for Snapshot {}

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
