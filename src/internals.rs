//! What the models in `loom-tests` need to reach; exists under `cfg(tvar_loom)` alone.

use crate::space::Space;
use crate::sync::Arc;
use crate::sync::latch::Latch;
use crate::sync::site::{CallSite, Who};
use crate::tvar::TVar;
use crate::wait::Sleeper;

/// A space whose waiting lists were made by the calling thread.
pub fn space() -> Space {
    let space = Space::new();
    space.shared.registry.prepare();
    space
}

/// A call that registers to wait for `v` and gives up at once, as one does whose deadline has passed.
pub fn register_and_cancel<T: Send + Sync + 'static>(v: &TVar<T>) {
    let (space, slots) = (v.space(), [v.var.slot()]);
    let sleeper = Arc::new(Sleeper::new(Latch::new(), Who::new(None, CallSite::here("register_and_cancel"))));
    space.shared.registry.enter(&slots, &sleeper);
    space.shared.registry.leave(&slots, &sleeper);
}

/// The latch of a task, alone.
pub struct TaskLatch(Latch);

impl Default for TaskLatch {
    fn default() -> Self {
        TaskLatch(Latch::for_task())
    }
}

impl TaskLatch {
    /// Whether it is open; if it is not, whoever opens it wakes this waker.
    pub fn poll(&self, waker: &std::task::Waker) -> bool {
        self.0.poll(waker)
    }

    /// Opens it.
    pub fn open(&self) {
        self.0.open();
    }

    /// Closes it again.
    pub fn reset(&self) {
        self.0.reset();
    }
}

/// What a thread's end does, while its locals still work. A model's threads call it last.
pub fn leave_thread() {
    crate::store::leave_thread();
}

/// Tree nodes of all spaces that are in neither a pool nor the allocator.
pub fn nodes_in_use() -> isize {
    crate::sync::probe::in_use(0)
}
