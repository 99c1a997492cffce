//! An allocator that counts bytes, for tests that run one at a time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Counting;

pub(crate) static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: usize, sign: isize) {
    let bytes = sign * isize::try_from(bytes).expect("fits");
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The right to count.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) const KIB: isize = 1024;

/// Warms up with one call, then fails if `count` more of them raise the live bytes, or the peak of
/// them, by more than `limit`.
#[track_caller]
pub(crate) fn bounded(what: &str, limit: isize, count: usize, mut step: impl FnMut(usize)) {
    for n in 0..count.min(2_000) {
        step(n);
    }
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    for n in 0..count {
        step(n);
    }
    let grown = PEAK.load(Ordering::Relaxed) - before;
    assert!(grown <= limit, "{what}: grown by {grown} bytes");
}
