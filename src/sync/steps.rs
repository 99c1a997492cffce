//! Named points of a transaction's life at which a test can stop a thread (feature `hooks`).

/// A point that a transaction passes.
#[cfg_attr(
    not(feature = "hooks"),
    allow(unreachable_pub, dead_code, reason = "the points are named without the feature too")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// An attempt has its snapshot; the closure has not run yet.
    Begin,
    /// A read was looked up in the snapshot.
    Read,
    /// A writer's commit has loaded its base root and is about to validate its reads.
    Validate,
    /// A writer's commit is about to swap the root.
    Swap,
    /// The root was swapped; nobody was woken yet.
    Swapped,
    /// A writer's commit that has lost too many swaps has announced its writes (§4.2).
    Announced,
    /// The root was swapped for one that decides announced commits; they have not been told yet.
    Decided,
    /// A retrying call registered as a waiter and has not looked at the newest root again yet.
    Register,
    /// A retrying call is about to sleep.
    Park,
    /// A sleeping call woke and found a variable changed, or its deadline passed.
    Wake,
    /// An attempt was rolled back and the closure is about to run again.
    Restart,
}

#[cfg(not(feature = "hooks"))]
#[inline(always)]
pub(crate) fn pass(_point: Point) {}

#[cfg(feature = "hooks")]
pub(crate) use enabled::pass;
#[cfg(feature = "hooks")]
pub use enabled::{HookGuard, on_this_thread};

#[cfg(feature = "hooks")]
mod enabled {
    use super::Point;
    use std::cell::{Cell, RefCell};

    type Callback = Box<dyn FnMut(Point)>;

    crate::sync::tls!(static ARMED: Cell<bool> = Cell::new(false));
    crate::sync::tls!(static CALLBACK: RefCell<Option<Callback>> = RefCell::new(None));

    /// Ends the callback of [`on_this_thread`] when dropped.
    #[derive(Debug)]
    #[must_use = "the callback ends when the guard is dropped"]
    pub struct HookGuard {
        _not_send: std::marker::PhantomData<*const ()>,
    }

    impl Drop for HookGuard {
        fn drop(&mut self) {
            let _ = ARMED.try_with(|armed| armed.set(false));
            let _ = CALLBACK.try_with(|callback| callback.borrow_mut().take());
        }
    }

    /// Calls `f` at every [`Point`] that this thread passes from now on, until the guard is dropped.
    ///
    /// `f` runs in the middle of a transaction: it may block (that is its use), and it must not use the crate
    /// itself; let another thread do that. While `f` runs, points passed by it are not reported.
    ///
    /// # Panics
    /// When this thread already has a callback.
    ///
    /// # Example
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// use tvar::{TVar, atomically, hooks};
    ///
    /// let v = TVar::new(1);
    /// let reads = Rc::new(Cell::new(0));
    /// let seen = reads.clone();
    /// let guard = hooks::on_this_thread(move |p| if p == hooks::Point::Read { seen.set(seen.get() + 1) });
    /// assert_eq!(atomically(|tx| Ok(*tx.read(&v))), 1);
    /// drop(guard);
    /// assert_eq!(reads.get(), 1);
    /// ```
    pub fn on_this_thread(f: impl FnMut(Point) + 'static) -> HookGuard {
        CALLBACK.with(|callback| {
            let mut slot = callback.borrow_mut();
            assert!(slot.is_none(), "tvar: this thread already has a hook callback");
            *slot = Some(Box::new(f));
        });
        ARMED.with(|armed| armed.set(true));
        HookGuard { _not_send: std::marker::PhantomData }
    }

    #[inline]
    pub(crate) fn pass(point: Point) {
        if ARMED.try_with(Cell::get).unwrap_or(false) {
            call(point);
        }
    }

    #[cold]
    fn call(point: Point) {
        // Taken out while it runs, so that points passed inside are silent and a panic in it ends it.
        let taken = CALLBACK.with(|callback| callback.borrow_mut().take());
        let Some(mut f) = taken else { return };
        ARMED.with(|armed| armed.set(false));
        f(point);
        CALLBACK.with(|callback| *callback.borrow_mut() = Some(f));
        ARMED.with(|armed| armed.set(true));
    }
}
