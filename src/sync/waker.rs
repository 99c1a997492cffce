//! The waker of a task that sleeps: put in by the task, taken out by whoever opens its latch. Neither waits for the other.

use super::Mutex;
use super::atomic::{Ordering, fence};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// A place for a waker.
#[derive(Debug)]
pub(super) struct WakerCell(Mutex<Option<Waker>>);

impl Default for WakerCell {
    fn default() -> Self {
        WakerCell(Mutex::new(None))
    }
}

impl WakerCell {
    /// Puts a waker in; the caller then looks at the latch. `false` if an opener is at it at this moment: the latch is open then.
    pub(super) fn put(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let Some(mut place) = self.0.try_lock() else { return false };
        let before = place.replace(waker);
        drop(place);
        // ORDERING: SeqCst fence: the unlocking comes before the look at the latch; partner: the fence in `wake`. Either the opener gets
        // in, or the task sees the latch open.
        fence(Ordering::SeqCst);
        drop(before);
        true
    }

    /// Wakes the task; the caller has opened the latch. If the task is putting its waker in at this moment, it will see that.
    pub(super) fn wake(&self) {
        // ORDERING: SeqCst fence: the opening comes before the try; partner: the fence in `put`.
        fence(Ordering::SeqCst);
        let Some(mut place) = self.0.try_lock() else { return };
        let waker = place.take();
        drop(place);
        // The executor's code. A panic in it must not keep others from being woken, nor fail a commit that has happened; the panic hook has reported it.
        if let Some(waker) = waker
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake()))
        {
            std::mem::forget(payload);
        }
    }
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::super::latch::Latch;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            // ORDERING: Relaxed: one thread.
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("waker");
        }
    }

    #[test]
    fn the_newest_waker_is_woken_once_for_each_opening() {
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let latch = Latch::for_task();
        assert!(!latch.poll(&first.clone().into()) && !latch.poll(&second.clone().into()));
        latch.open();
        latch.open();
        // ORDERING: Relaxed: one thread.
        let woken = || (first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed));
        assert_eq!(woken(), (0, 1));
        assert!(latch.poll(&first.clone().into()), "open");
        latch.reset();
        assert!(!latch.poll(&first.clone().into()));
        latch.open();
        assert_eq!(woken(), (1, 1));
    }

    #[test]
    fn a_task_that_finds_an_opener_inside_takes_the_latch_for_open() {
        let cell = WakerCell::default();
        let inside = cell.0.lock();
        assert!(!cell.put(Waker::noop()));
        drop(inside);
        assert!(cell.put(Waker::noop()));
    }

    #[test]
    fn a_panic_of_a_waker_goes_nowhere() {
        let latch = Latch::for_task();
        assert!(!latch.poll(&Arc::new(Panics).into()));
        latch.open();
        assert!(latch.poll(Waker::noop()), "it was opened");
    }
}
