//! Finding a slot in the write set: a filter word, a short scan, and for larger sets an open-addressing table.

/// Something that is about one slot.
pub(super) trait OfSlot {
    fn slot(&self) -> u32;
}

/// Up to here a backwards scan is as good as a table.
const LINEAR: usize = 8;
/// Tables beyond this size are given back after the attempt.
const KEEP: usize = 1 << 16;

#[derive(Default)]
pub(super) struct Index {
    /// Bit `slot % 64` of every slot in the set (and perhaps of some that were undone).
    filter: u64,
    /// Positions plus one, 0 for empty; length a power of two; empty while the scan serves.
    table: Vec<u32>,
    in_use: bool,
}

impl Index {
    #[inline(always)]
    pub(super) fn find(&self, slot: u32, entries: &[impl OfSlot]) -> Option<usize> {
        if self.filter & (1 << (slot & 63)) == 0 {
            return None;
        }
        if self.in_use {
            return self.find_in_table(slot, entries);
        }
        entries.iter().rposition(|entry| entry.slot() == slot)
    }

    #[inline(never)]
    fn find_in_table(&self, slot: u32, entries: &[impl OfSlot]) -> Option<usize> {
        let mut cell = self.home(slot);
        loop {
            match self.table[cell] {
                0 => return None,
                position if entries[position as usize - 1].slot() == slot => return Some(position as usize - 1),
                _ => cell = (cell + 1) & (self.table.len() - 1),
            }
        }
    }

    fn home(&self, slot: u32) -> usize {
        // Fibonacci hashing: the high bits of the product are the well-mixed ones.
        let product = slot.wrapping_mul(0x9E37_79B9);
        (product >> (32 - self.table.len().trailing_zeros())) as usize
    }

    /// The last entry is new.
    #[inline(always)]
    pub(super) fn inserted(&mut self, slot: u32, entries: &[impl OfSlot]) {
        self.filter |= 1 << (slot & 63);
        if self.in_use || entries.len() > LINEAR {
            self.insert_last(entries);
        }
    }

    #[inline(never)]
    fn insert_last(&mut self, entries: &[impl OfSlot]) {
        if !self.in_use || entries.len() * 2 > self.table.len() {
            let size = (entries.len() * 4).next_power_of_two();
            self.table.clear();
            self.table.resize(size, 0);
            self.in_use = true;
            // In the order of insertion, which `removing_last` relies on.
            (0..entries.len()).for_each(|position| self.place(position, entries));
        } else {
            self.place(entries.len() - 1, entries);
        }
    }

    fn place(&mut self, position: usize, entries: &[impl OfSlot]) {
        let mut cell = self.home(entries[position].slot());
        while self.table[cell] != 0 {
            cell = (cell + 1) & (self.table.len() - 1);
        }
        self.table[cell] = position as u32 + 1;
    }

    /// The last entry is about to go. It was the last to be placed, so no other probe passes over its cell and emptying
    /// that is enough.
    pub(super) fn removing_last(&mut self, entries: &[impl OfSlot]) {
        if !self.in_use {
            return;
        }
        let Some(last) = entries.last() else { return };
        let mut cell = self.home(last.slot());
        while self.table[cell] != entries.len() as u32 {
            cell = (cell + 1) & (self.table.len() - 1);
        }
        self.table[cell] = 0;
    }

    #[inline(always)]
    pub(super) fn clear(&mut self) {
        self.filter = 0;
        if self.in_use {
            self.clear_table();
        }
    }

    #[cold]
    fn clear_table(&mut self) {
        // The table is emptied when it is needed again.
        self.in_use = false;
        if self.table.len() > KEEP {
            self.table = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::value::Word;
    use super::super::writes::{Before, INLINE, WriteSet};

    fn nothing() -> Before {
        Before { slot: std::ptr::null(), cell: None }
    }

    #[test]
    fn a_set_that_shrinks_by_undo_and_grows_again_finds_everything() {
        let mut writes = WriteSet::default();
        let mut trash = Vec::new();
        for slot in 0..3 {
            writes.insert(slot, 0, nothing(), Word::EMPTY, INLINE);
        }
        for round in 0..5 {
            let mark = writes.enter();
            for slot in 3..40 {
                writes.insert(64 * slot + round, 0, nothing(), Word::EMPTY, INLINE);
            }
            writes.undo(mark, &mut trash);
            assert_eq!(writes.find(2), Some(2));
            assert_eq!(writes.find(64 * 3 + round), None);
        }
        assert_eq!(writes.insert(7, 0, nothing(), Word::EMPTY, INLINE), 3);
        assert_eq!(writes.find(7), Some(3));
    }
}
