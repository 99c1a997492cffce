//! The read set: slots that the attempt has read, in memory that does not grow with repeated reads.

use std::cell::{Cell, RefCell};

/// Reads that are logged without any allocation.
const INLINE: usize = 32;

/// Logs beyond this size are given back after the attempt.
const KEEP: usize = 1 << 16;

/// A log of slot numbers; duplicates are dropped when it would grow.
#[derive(Debug)]
pub(crate) struct ReadSet {
    len: Cell<usize>,
    inline: [Cell<u32>; INLINE],
    spill: RefCell<Spill>,
    spilled: Cell<bool>,
}

#[derive(Debug, Default)]
struct Spill {
    slots: Vec<u32>,
    /// Length at which duplicates are looked for.
    compact_at: usize,
}

impl ReadSet {
    #[inline(always)]
    pub(super) fn new() -> Self {
        ReadSet {
            len: Cell::new(0),
            inline: [const { Cell::new(0) }; INLINE],
            spill: RefCell::default(),
            spilled: Cell::new(false),
        }
    }

    #[inline(always)]
    pub(crate) fn push(&self, slot: u32) {
        let len = self.len.get();
        if let Some(place) = self.inline.get(len) {
            place.set(slot);
            self.len.set(len + 1);
        } else {
            self.push_spilled(slot);
        }
    }

    #[cold]
    #[inline(never)]
    fn push_spilled(&self, slot: u32) {
        self.spilled.set(true);
        let mut spill = self.spill.borrow_mut();
        let Spill { slots, compact_at } = &mut *spill;
        slots.extend(self.inline.iter().map(Cell::get));
        slots.push(slot);
        self.len.set(0);
        if slots.len() >= (*compact_at).max(4 * INLINE) {
            slots.sort_unstable();
            slots.dedup();
            // Doubling keeps the cost of sorting at a logarithm per read, and the log within twice its distinct slots.
            *compact_at = 2 * slots.len();
        }
    }

    /// The first logged slot for which the test holds.
    pub(crate) fn find(&self, mut test: impl FnMut(u32) -> bool) -> Option<u32> {
        let spill = self.spill.borrow();
        let inline = self.inline[..self.len.get()].iter().map(Cell::get);
        inline.chain(spill.slots.iter().copied()).find(|slot| test(*slot))
    }

    /// The distinct slots, ascending.
    pub(crate) fn distinct(&self) -> Vec<u32> {
        let mut slots = self.spill.borrow().slots.clone();
        slots.extend(self.inline[..self.len.get()].iter().map(Cell::get));
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    #[inline(always)]
    pub(super) fn clear(&self) {
        self.len.set(0);
        if self.spilled.get() {
            self.clear_spill();
        }
    }

    #[cold]
    fn clear_spill(&self) {
        self.spilled.set(false);
        let mut spill = self.spill.borrow_mut();
        if spill.slots.capacity() > KEEP {
            *spill = Spill::default();
        } else {
            spill.slots.clear();
            spill.compact_at = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_reads_do_not_grow_the_log() {
        let reads = ReadSet::new();
        for i in 0..1_000_000u32 {
            reads.push(i % 50);
        }
        assert!(reads.spill.borrow().slots.capacity() < 1000);
        assert_eq!(reads.distinct(), (0..50).collect::<Vec<_>>());
        reads.clear();
        assert_eq!(reads.find(|_| true), None);
        reads.push(7);
        assert_eq!(reads.distinct(), [7]);
    }
}
