//! What a lock is on: a variable, a key of a map, or a range of keys.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;

/// A place that can be locked: an interval of 64-bit key numbers (both ends included) of what is in a slot.
///
/// A slot has its variable's place alone, or keys and ranges. Keys of a hash map are numbered by their hash, those of an ordered map in their
/// order. Two keys that share a number share their lock.
///
/// The order is that of the lock table: the ranges of a slot come before its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    slot: u32,
    kind: Kind,
    low: u64,
    high: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Variable,
    Range,
    Key,
}

impl Place {
    pub(crate) fn variable(slot: u32) -> Place {
        Place { slot, kind: Kind::Variable, low: 0, high: u64::MAX }
    }

    /// A key of the map in the slot, whether it has an entry or not.
    pub(crate) fn key(slot: u32, number: u64) -> Place {
        Place { slot, kind: Kind::Key, low: number, high: number }
    }

    /// The keys from `low` to `high`, both included.
    pub(crate) fn range(slot: u32, low: u64, high: u64) -> Place {
        assert!(low <= high, "a range from #{low:016x} to #{high:016x} is empty");
        if low == high { Place::key(slot, low) } else { Place { slot, kind: Kind::Range, low, high } }
    }

    pub(crate) fn slot(self) -> u32 {
        self.slot
    }

    /// The number of a key.
    pub(super) fn number(self) -> Option<u64> {
        (self.kind == Kind::Key).then_some(self.low)
    }

    pub(crate) fn is_variable(self) -> bool {
        self.kind == Kind::Variable
    }

    pub(super) fn is_range(self) -> bool {
        self.kind == Kind::Range
    }

    #[inline]
    pub(crate) fn overlaps(self, other: Place) -> bool {
        self.slot == other.slot && self.low <= other.high && other.low <= self.high
    }

    #[inline]
    pub(crate) fn contains(self, other: Place) -> bool {
        self.slot == other.slot && self.low <= other.low && other.high <= self.high
    }

    /// The entries at places that overlap this one. Looks at the ranges of the slot and at the keys inside the place, at no others.
    #[inline]
    pub(crate) fn overlapping<V>(self, map: &BTreeMap<Place, V>) -> impl Iterator<Item = (Place, &V)> {
        let (mut variable, mut ranges, mut keys) = (None, Range::default(), Range::default());
        if self.is_variable() {
            variable = map.get_key_value(&self);
        } else {
            let range = |low, high| Place { kind: Kind::Range, low, high, ..self };
            ranges = map.range(range(0, 0)..=range(self.high, u64::MAX));
            keys = map.range(Place::key(self.slot, self.low)..=Place::key(self.slot, self.high));
        }
        let ranges = ranges.filter(move |(range, _)| range.overlaps(self));
        variable.into_iter().chain(ranges).chain(keys).map(|(place, value)| (*place, value))
    }

    /// What a message calls it. `name`: the name of what is in the slot.
    pub(crate) fn describe(self, name: impl FnOnce(u32) -> String) -> String {
        let Place { slot, kind, low, high } = self;
        match kind {
            Kind::Variable => name(slot),
            Kind::Key => format!("{} key #{low:016x}", name(slot)),
            Kind::Range => format!("{} keys #{low:016x}..=#{high:016x}", name(slot)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_and_containment() {
        let (all, key) = (Place::range(1, 0, u64::MAX), Place::key(1, 7));
        for (a, b, overlap, contained) in [
            (key, key, true, true),
            (key, Place::key(1, 8), false, false),
            (key, Place::key(2, 7), false, false),
            (Place::range(1, 5, 7), key, true, true),
            (Place::range(1, 7, 9), key, true, true),
            (Place::range(1, 8, 9), key, false, false),
            (key, Place::range(1, 7, 9), true, false),
            (all, Place::range(1, 7, 9), true, true),
            (Place::range(1, 1, 5), Place::range(1, 5, 9), true, false),
            (Place::range(1, 1, 4), Place::range(1, 5, 9), false, false),
            (Place::variable(1), Place::variable(1), true, true),
            (Place::variable(1), Place::variable(2), false, false),
        ] {
            assert_eq!((a.overlaps(b), b.overlaps(a), a.contains(b)), (overlap, overlap, contained), "{a:?} {b:?}");
        }
        assert_eq!(Place::range(1, 7, 7), key);
    }

    #[test]
    fn the_overlapping_entries_are_found() {
        let numbers = || (0..6).chain([u64::MAX]);
        let mut all = vec![Place::variable(0), Place::variable(3)];
        for slot in 1..3 {
            all.extend(
                numbers()
                    .flat_map(|low| numbers().filter(move |high| low <= *high).map(move |high| (low, high)))
                    .map(|(low, high)| Place::range(slot, low, high)),
            );
        }
        let map: BTreeMap<_, _> = all.iter().map(|place| (*place, ())).collect();
        for place in &all {
            let found: Vec<_> = place.overlapping(&map).map(|(place, ())| place).collect();
            let expected: Vec<_> = map.keys().copied().filter(|other| other.overlaps(*place)).collect();
            assert_eq!(found, expected, "{place:?}");
        }
    }

    #[test]
    fn what_messages_call_them() {
        let name = |slot| format!("m{slot}");
        assert_eq!(Place::variable(1).describe(name), "m1");
        assert_eq!(Place::key(1, 0xabc).describe(name), "m1 key #0000000000000abc");
        assert_eq!(Place::range(2, 1, 2).describe(name), "m2 keys #0000000000000001..=#0000000000000002");
    }
}
