//! Which keys of maps an attempt has read, told by map and number; in memory that does not grow with repeated reads.

use super::tree::{Number, Tree};
use std::ops::Range;

/// Room at first, below which it is not worth looking for duplicates.
const SMALL: usize = if cfg!(tvar_loom) { 4 } else { 64 };
/// Logs beyond this size are given back after the attempt.
const KEEP: usize = 1 << 14;

/// What was seen in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    /// Rows of one number: how many there were (nearly always none or one).
    Number(u64, u32),
    /// How many rows there are: what inserts and removals change.
    Shape,
    /// All of it.
    Whole,
}

/// One read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct KeyRead {
    pub(in crate::store) slot: u32,
    pub(in crate::store) seen: Seen,
}

/// The reads of an attempt.
#[derive(Debug, Default)]
pub(in crate::store) struct KeyLog {
    reads: Vec<KeyRead>,
}

impl KeyLog {
    #[inline(always)]
    pub(in crate::store) fn push(&mut self, slot: u32, seen: Seen) {
        if self.reads.len() == self.reads.capacity() {
            self.make_room();
        }
        self.reads.push(KeyRead { slot, seen });
    }

    /// Drops duplicates, and doubles the room if that gives less than half of it.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) {
        if self.reads.len() >= SMALL {
            self.reads.sort_unstable();
            self.reads.dedup();
        }
        if self.reads.len() > self.reads.capacity() / 2 || self.reads.capacity() == 0 {
            self.reads.reserve_exact(self.reads.capacity().max(SMALL / 2));
        }
    }

    pub(in crate::store) fn all(&self) -> &[KeyRead] {
        &self.reads
    }

    pub(in crate::store) fn clear(&mut self) {
        if self.reads.capacity() > KEEP {
            self.reads = Vec::new();
        }
        self.reads.clear();
    }
}

impl Tree {
    /// How many rows have a number, and the newest version that wrote one of them.
    ///
    /// # Safety
    /// The tree is of a pinned version.
    pub(super) unsafe fn rows_of(&self, number: u64) -> (u32, u64) {
        // SAFETY: the caller's promise, throughout.
        unsafe {
            let Some(last) = self.last_of(&Number(number)) else { return (0, 0) };
            if last.number != number {
                return (0, 0);
            }
            let ranks = self.ranks_of(number, number);
            let newest = ranks.clone().map(|rank| self.row_at(rank).stamp).max();
            (ranks.len() as u32, newest.unwrap_or(0))
        }
    }

    /// The ranks of the rows with these numbers, both included.
    ///
    /// # Safety
    /// As for [`Tree::rows_of`].
    pub(super) unsafe fn ranks_of(&self, low: u64, high: u64) -> Range<usize> {
        // SAFETY: the caller's promise.
        let upto = |number| unsafe { self.floor(&Number(number)).rank };
        low.checked_sub(1).map_or(0, upto)..upto(high)
    }

    /// Whether what was seen in this map, as of `version`, is different now.
    ///
    /// # Safety
    /// As for [`Tree::rows_of`].
    pub(in crate::store) unsafe fn is_stale(&self, seen: Seen, version: u64) -> bool {
        self.probe.read();
        match seen {
            Seen::Number(number, count) => {
                // SAFETY: the caller's promise.
                let (now, stamp) = unsafe { self.rows_of(number) };
                now != count || stamp > version
            }
            Seen::Shape => self.shape > version,
            // The slot's own stamp says so.
            Seen::Whole => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes")]
    fn repeated_reads_do_not_grow_the_log() {
        let mut log = KeyLog::default();
        for i in 0..100_000u64 {
            log.push((i % 3) as u32, Seen::Number(i % 50, 1));
        }
        assert!(log.reads.capacity() < 1000);
        log.make_room();
        assert_eq!(log.all().len(), 150);
        log.clear();
        assert!(log.all().is_empty());
    }
}
