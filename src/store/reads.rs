//! The read set: slots that the attempt has read, in memory that does not grow with repeated reads.

use std::cell::Cell;
use std::mem::ManuallyDrop;

/// Room that a log has at first, and below which it is not worth looking for duplicates.
const SMALL: usize = if cfg!(tvar_loom) { 4 } else { 128 };
/// Logs beyond this size are given back after the call.
const KEEP: usize = 1 << 16;

/// A log of slot numbers; duplicates are dropped when it would grow. Its memory stays with the thread's record.
#[derive(Debug)]
pub(crate) struct ReadSet {
    /// The parts of a `Vec`: its buffer, its length, its capacity.
    slots: Cell<*mut u32>,
    len: Cell<usize>,
    room: Cell<usize>,
    /// So many at the front are ascending and distinct.
    ordered: Cell<usize>,
}

impl ReadSet {
    pub(super) fn new() -> Self {
        let log = ReadSet {
            slots: Cell::new(std::ptr::null_mut()),
            len: Cell::new(0),
            room: Cell::new(0),
            ordered: Cell::new(0),
        };
        log.put(Vec::new());
        log
    }

    #[inline(always)]
    pub(super) fn push(&self, slot: u32) {
        if self.len.get() == self.room.get() {
            self.make_room();
        }
        let len = self.len.get();
        // SAFETY: `make_room` leaves room for one more; the buffer is this log's.
        unsafe { self.slots.get().add(len).write(slot) };
        self.len.set(len + 1);
    }

    /// Drops duplicates, and doubles the room if that gives less than half of it: the cost of sorting stays at a logarithm per read, and
    /// the log within four times its distinct slots.
    #[cold]
    #[inline(never)]
    fn make_room(&self) {
        let mut slots = self.take();
        if slots.len() >= SMALL {
            // Read in order: nothing to do.
            if !slots.is_sorted_by(|a, b| a < b) {
                slots.sort_unstable();
                slots.dedup();
            }
            self.ordered.set(slots.len());
        }
        if slots.len() > slots.capacity() / 2 || slots.capacity() == 0 {
            slots.reserve_exact(slots.capacity().max(SMALL / 2));
        }
        self.put(slots);
    }

    /// The buffer as a `Vec`; the log is empty until `put`.
    fn take(&self) -> Vec<u32> {
        // SAFETY: these are the parts of a `Vec`, with its first `len` elements written; `put` gives others.
        let slots = unsafe { Vec::from_raw_parts(self.slots.get(), self.len.get(), self.room.get()) };
        self.put_parts(&mut ManuallyDrop::new(Vec::new()));
        slots
    }

    fn put(&self, slots: Vec<u32>) {
        self.put_parts(&mut ManuallyDrop::new(slots));
    }

    fn put_parts(&self, slots: &mut Vec<u32>) {
        self.slots.set(slots.as_mut_ptr());
        self.len.set(slots.len());
        self.room.set(slots.capacity());
    }

    /// Everything logged so far.
    fn all(&self) -> &[u32] {
        // SAFETY: as in `take`; nothing is logged while the slice is in use (callers in this file, which run no code of the user's).
        unsafe { std::slice::from_raw_parts(self.slots.get(), self.len.get()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// The first logged slot for which the test holds.
    pub(crate) fn find(&self, mut test: impl FnMut(u32) -> bool) -> Option<u32> {
        self.all().iter().copied().find(|slot| test(*slot))
    }

    /// Copies the log.
    pub(super) fn add_to(&self, slots: &mut Vec<u32>) {
        slots.extend_from_slice(self.all());
    }

    /// A logged slot among some others, which are ascending and fewer.
    pub(super) fn find_any_of(&self, others: &[u32]) -> Option<u32> {
        let (ordered, rest) = self.all().split_at(self.ordered.get());
        if let Some(found) = others.iter().find(|slot| ordered.binary_search(slot).is_ok()) {
            return Some(*found);
        }
        // What is not in order yet goes by a filter first.
        let mut filter = [0u64; 64];
        let bit = |slot: u32| ((slot >> 6 & 63) as usize, 1u64 << (slot & 63));
        for (word, bit) in others.iter().map(|slot| bit(*slot)) {
            filter[word] |= bit;
        }
        let passes = |slot: u32| filter[bit(slot).0] & bit(slot).1 != 0;
        rest.iter().copied().find(|slot| passes(*slot) && others.binary_search(slot).is_ok())
    }

    /// The distinct slots, ascending.
    pub(crate) fn distinct(&self) -> Vec<u32> {
        let mut slots = self.all().to_vec();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    #[inline(always)]
    pub(super) fn clear(&self) {
        self.len.set(0);
        self.ordered.set(0);
    }

    /// The call has ended: a huge log goes.
    #[inline(always)]
    pub(super) fn give_back(&self) {
        if self.room.get() > KEEP {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&self) {
        drop(self.take());
    }
}

impl Drop for ReadSet {
    fn drop(&mut self) {
        drop(self.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn repeated_reads_do_not_grow_the_log() {
        let reads = ReadSet::new();
        for i in 0..1_000_000u32 {
            reads.push(i % 50);
        }
        assert!(reads.room.get() < 1000);
        assert_eq!(reads.distinct(), (0..50).collect::<Vec<_>>());
        reads.clear();
        assert_eq!(reads.find(|_| true), None);
        reads.push(7);
        assert_eq!(reads.distinct(), [7]);
    }

    /// In what is in order and in what is not yet, beside slots that share a bit of the filter with one that is sought.
    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn one_of_a_few_is_found_in_a_large_log() {
        for len in [40, 1_000, 5_000] {
            let reads = ReadSet::new();
            let slots: Vec<u32> = (0..len).map(|i| i * 7919 % 10_007 * 3).collect();
            slots.iter().for_each(|slot| reads.push(*slot));
            assert!(
                slots.len() < 1_000 || (1..slots.len()).contains(&reads.ordered.get()),
                "some of it is in order, not all"
            );
            for slot in &slots {
                assert_eq!(reads.find_any_of(&[slot + 1, slot + 4096 * 3 + 1]), None);
                assert_eq!(reads.find_any_of(&[*slot]), Some(*slot));
                let mut others = [*slot, slot / 3 * 3 + 1, slot + 4096 * 3 + 2];
                others.sort_unstable();
                assert_eq!(reads.find_any_of(&others), Some(*slot));
            }
            assert_eq!(reads.find_any_of(&[]), None);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn a_large_log_finds_what_it_has_and_nothing_else() {
        for step in [1, 7919] {
            let reads = ReadSet::new();
            let slots: Vec<u32> = (0..10_000u32).map(|i| i * step % 10_000 * 2).collect();
            slots.iter().for_each(|slot| reads.push(*slot));
            for slot in slots {
                assert_eq!(reads.find_any_of(&[slot, slot + 1]), Some(slot));
                assert_eq!(reads.find_any_of(&[slot + 1]), None);
            }
            assert_eq!(reads.distinct().len(), 10_000);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn a_huge_log_is_given_back() {
        let reads = ReadSet::new();
        (0..KEEP as u32 + 1).for_each(|slot| reads.push(slot));
        assert_eq!(reads.distinct().len(), KEEP + 1);
        reads.give_back();
        assert_eq!((reads.len(), reads.room.get()), (0, 0));
    }
}
