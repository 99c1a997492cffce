//! The waker of a task that sleeps: put in by the task, taken out by whoever opens its latch. Neither waits for the other.

use super::atomic::{Ordering, fence};
use super::{Arc, Mutex, thread};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Wake, Waker};

/// A place for a waker.
#[derive(Debug)]
pub(super) struct WakerCell(Mutex<Option<Waker>>);

impl Default for WakerCell {
    fn default() -> Self {
        WakerCell(Mutex::new(None))
    }
}

impl WakerCell {
    /// Puts a waker in; the caller then looks at the latch. `false` if an opener is at it at this moment: it has opened the latch.
    pub(super) fn put(&self, waker: &Waker) -> bool {
        let waker = waker.clone();
        let Some(mut place) = self.0.try_lock() else {
            thread::spin();
            return false;
        };
        let before = place.replace(waker);
        drop(place);
        // ORDERING: SeqCst fence: the unlocking comes before the look at the latch; partner: the fence in `wake`. Either the opener gets
        // in, or the task sees the latch open.
        fence(Ordering::SeqCst);
        drop(before);
        true
    }

    /// Drops the waker, of a task that puts no further one in. If an opener is at it at this moment, it takes it.
    pub(super) fn clear(&self) {
        let waker = self.0.try_lock().and_then(|mut place| place.take());
        drop(waker);
    }

    /// Wakes the task; the caller has opened the latch. If the task is putting its waker in at this moment, it will see that.
    pub(super) fn wake(&self) {
        // ORDERING: SeqCst fence: the opening comes before the try; partner: the fence in `put`.
        fence(Ordering::SeqCst);
        let Some(mut place) = self.0.try_lock() else { return };
        let waker = place.take();
        drop(place);
        if let Some(waker) = waker {
            contained(|| waker.wake());
        }
    }
}

/// Runs the executor's code. A panic in it must not keep others from being woken, nor fail a commit that has happened; the panic hook has
/// reported it.
fn contained(wake: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(wake))
        && let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
    {
        std::mem::forget(another);
    }
}

/// Wakes as another waker does, and ends its panics: for the thread that looks after all deadlines.
pub(crate) fn without_panics(waker: &Waker) -> Waker {
    struct Contained(Waker);

    impl Wake for Contained {
        fn wake(self: Arc<Self>) {
            // Its end, too, may be in there.
            contained(move || match Arc::try_unwrap(self) {
                Ok(Contained(waker)) => waker.wake(),
                Err(shared) => shared.0.wake_by_ref(),
            });
        }
    }

    Waker::from(Arc::new(Contained(waker.clone())))
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::super::latch::Latch;
    use super::*;
    use std::sync::atomic::AtomicUsize;

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
    fn a_latch_that_is_done_with_keeps_no_waker() {
        let (waker, latch) = (Arc::new(Count::default()), Latch::for_task());
        assert!(!latch.poll(&waker.clone().into()));
        assert_eq!(Arc::strong_count(&waker), 2);
        latch.forget_waker();
        assert_eq!(Arc::strong_count(&waker), 1);
        latch.open();
    }

    #[test]
    fn a_panic_of_a_waker_goes_nowhere() {
        let latch = Latch::for_task();
        assert!(!latch.poll(&Arc::new(Panics).into()));
        latch.open();
        assert!(latch.poll(Waker::noop()), "it was opened");
    }
}
