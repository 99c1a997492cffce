//! An allocator that counts, in the processes that measure memory; in all others it costs a look at a flag.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// Threads count in different places, so that counting does not make them wait for each other.
const SHARDS: usize = 64;

/// Counts of some of the threads.
#[repr(align(128))]
struct Shard {
    live: AtomicI64,
    allocations: AtomicU64,
}

static COUNTING: AtomicBool = AtomicBool::new(false);
static SHARD: [Shard; SHARDS] = [const { Shard { live: AtomicI64::new(0), allocations: AtomicU64::new(0) } }; SHARDS];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The thread's shard; `SHARDS` before it has one. Needs neither allocation nor destructor, so that an allocator can use it.
    static MINE: Cell<usize> = const { Cell::new(SHARDS) };
}

/// The system's allocator, with counts of live bytes and of allocations.
#[derive(Debug)]
pub struct Counting;

/// Starts to count. What was allocated before is not in the counts; where it is freed, they go down.
pub fn count() {
    COUNTING.store(true, Ordering::Relaxed);
}

/// Bytes allocated and not yet freed, since counting began.
pub fn live() -> i64 {
    SHARD.iter().map(|shard| shard.live.load(Ordering::Relaxed)).sum()
}

/// Allocations since counting began; growing a block is one.
pub fn allocations() -> u64 {
    SHARD.iter().map(|shard| shard.allocations.load(Ordering::Relaxed)).sum()
}

/// Bytes of this process that are in memory, where the system says.
pub fn resident() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1_024)
}

#[inline]
fn note(bytes: i64, allocations: u64) {
    if COUNTING.load(Ordering::Relaxed) {
        let shard = MINE.try_with(|mine| {
            if mine.get() == SHARDS {
                mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
            }
            mine.get()
        });
        let shard = &SHARD[shard.unwrap_or(0)];
        shard.live.fetch_add(bytes, Ordering::Relaxed);
        if allocations > 0 {
            shard.allocations.fetch_add(allocations, Ordering::Relaxed);
        }
    }
}

// SAFETY: every call goes to the system's allocator with the arguments it came with, and what that returns is returned.
// The counting around it neither allocates nor panics nor touches the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64, 1);
        // SAFETY: the caller owes the same to this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as i64, 1);
        // SAFETY: the caller owes the same to this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        note(-(layout.size() as i64), 0);
        // SAFETY: the caller owes the same to this function, and the block came from the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as i64 - layout.size() as i64, 1);
        // SAFETY: the caller owes the same to this function, and the block came from the system's allocator.
        unsafe { System.realloc(block, layout, size) }
    }
}
