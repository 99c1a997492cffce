//! The slots of a bounded queue.

use crate::{Space, TVar, Tx, View};
use std::any::Any;

/// A place for an item (Q10).
pub(super) enum Slot<T> {
    /// The item, as long as there is one.
    Whole(TVar<Option<T>>),
    /// For numbers and the like, which are kept without a box: whether there is an item, and the newest one.
    Parts(TVar<bool>, TVar<T>),
}

impl<T: Send + Sync + 'static> Slot<T> {
    /// An empty slot.
    pub(super) fn new_in(space: &Space) -> Self {
        match zero() {
            None => Slot::Whole(TVar::new_in(space, None)),
            Some(zero) => Slot::Parts(TVar::new_in(space, false), TVar::new_in(space, zero)),
        }
    }

    /// Whether there is an item.
    #[inline]
    pub(super) fn is_full(&self, view: &impl View) -> bool {
        match self {
            Slot::Whole(item) => view.read(item).is_some(),
            Slot::Parts(full, _) => *view.read(full),
        }
    }

    /// The item, if there is one.
    #[inline]
    pub(super) fn get<'a>(&'a self, view: &'a impl View) -> Option<&'a T> {
        match self {
            Slot::Whole(item) => view.read(item).as_ref(),
            Slot::Parts(full, item) => view.read(full).then(|| view.read(item)),
        }
    }

    /// Fills it.
    #[inline]
    pub(super) fn fill(&self, tx: &Tx<'_>, new: T) {
        match self {
            Slot::Whole(item) => tx.write(item, Some(new)),
            Slot::Parts(full, item) => {
                tx.write(full, true);
                tx.write(item, new);
            }
        }
    }

    /// Empties it.
    #[inline]
    pub(super) fn clear(&self, tx: &Tx<'_>) {
        match self {
            Slot::Whole(item) => tx.write(item, None),
            Slot::Parts(full, _) => tx.write(full, false),
        }
    }
}

/// A value of a type that variables keep without a box, `None` for all other types.
fn zero<T: 'static>() -> Option<T> {
    fn of<T: 'static, N: Default + 'static>() -> Option<T> {
        (&mut Some(N::default()) as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take)
    }
    let whole =
        || of::<T, u64>().or_else(of::<T, u32>).or_else(of::<T, usize>).or_else(of::<T, u16>).or_else(of::<T, u8>);
    let signed =
        || of::<T, i64>().or_else(of::<T, i32>).or_else(of::<T, isize>).or_else(of::<T, i16>).or_else(of::<T, i8>);
    whole().or_else(signed).or_else(of::<T, f64>).or_else(of::<T, char>).or_else(of::<T, bool>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_without_a_box_and_nothing_else_is() {
        let parts = |is: bool| is.then_some(());
        assert_eq!(
            (zero::<u64>(), zero::<i8>(), zero::<char>(), zero::<bool>()),
            (Some(0), Some(0), Some('\0'), Some(false))
        );
        assert_eq!(
            parts(zero::<String>().is_some() || zero::<Option<u64>>().is_some() || zero::<()>().is_some()),
            None
        );
    }
}
