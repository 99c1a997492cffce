//! Iterators over maps.

use crate::store::Walk;
use std::fmt;
use std::iter::FusedIterator;

/// The entries of a map, as one version has them (§6.2).
pub struct Iter<'a, K, V>(pub(super) Walk<'a, K, V>);

/// The entries of an ordered map in a range of keys, from both ends (§6.2).
///
/// What the iterator has not come to is not read: a commit there does not conflict.
pub struct Range<'a, K, V>(pub(super) Walk<'a, K, V>);

/// The keys of a map.
pub struct Keys<'a, K, V>(pub(super) Walk<'a, K, V>);

/// The values of a map.
pub struct Values<'a, K, V>(pub(super) Walk<'a, K, V>);

macro_rules! iterator {
    ($name:ident, $item:ty, $row:ident => $value:expr, $hint:expr) => {
        impl<'a, K: Clone + Send + Sync + 'static, V: Send + Sync + 'static> Iterator for $name<'a, K, V> {
            type Item = $item;

            fn next(&mut self) -> Option<Self::Item> {
                self.0.next_front().map(|$row| $value)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                $hint(&self.0)
            }
        }

        impl<K: Clone + Send + Sync + 'static, V: Send + Sync + 'static> DoubleEndedIterator for $name<'_, K, V> {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.0.next_back().map(|$row| $value)
            }
        }

        impl<K: Clone + Send + Sync + 'static, V: Send + Sync + 'static> FusedIterator for $name<'_, K, V> {}

        impl<K, V> fmt::Debug for $name<'_, K, V> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
    ($name:ident, $item:ty, $row:ident => $value:expr) => {
        iterator!($name, $item, $row => $value, |walk: &Walk<'_, K, V>| (walk.len(), Some(walk.len())));
        impl<K: Clone + Send + Sync + 'static, V: Send + Sync + 'static> ExactSizeIterator for $name<'_, K, V> {}
    };
}

iterator!(Iter, (&'a K, &'a V), row => (row.key, row.value));
// Nothing is said of how many there are: that would be a read of all of them.
iterator!(Range, (&'a K, &'a V), row => (row.key, row.value), |_| (0, None));
iterator!(Keys, &'a K, row => row.key);
iterator!(Values, &'a V, row => row.value);
