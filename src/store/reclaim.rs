//! Running destructors: outside every critical section, one after another, however deep the values nest (§4.3).

use super::cell::{CellRef, DeadCell};
use super::claims::RetiredInitial;
use super::local;
use super::map::AnyPart;
use super::merge::{MergeFn, ThenFn};
use super::value::{Header, free_boxed};
use crate::sync::Arc;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Something out of reach whose end may run user code.
pub(super) enum Garbage {
    /// A boxed value.
    Value(*mut Header),
    /// An overwritten initial value.
    Initial(RetiredInitial),
    /// A variable without handles.
    Cell(DeadCell),
    /// A log entry's handle, perhaps the last one.
    Handle(CellRef),
    /// Functions that an attempt logged, with what they captured.
    Merges(Vec<Arc<dyn MergeFn>>),
    Then(Box<dyn ThenFn>),
    /// What an attempt has done to a map.
    Part(Box<dyn AnyPart>),
    /// A result that one of these computed in vain, or the payload of a panic in vain.
    Result(Box<dyn Any + Send>),
}

// SAFETY: garbage is owned by whoever holds it, and what it owns is `Send`.
unsafe impl Send for Garbage {}

crate::sync::tls!(
    /// The queue of the drain that is running on this thread, on that drain's stack; null when there is none.
    /// It needs no destructor of its own, so it works while a thread's other locals are being destroyed.
    static DRAIN: Cell<*mut Vec<Garbage>> = Cell::new(ptr::null_mut())
);

/// Ends the life of one thing now, or right after those that are being ended on this thread already.
pub(super) fn dispose_one(garbage: Garbage) {
    let queue = DRAIN.with(Cell::get);
    if queue.is_null() {
        drain(Some(garbage), &mut Vec::new());
    } else {
        // SAFETY: the pointer is set only while `drain` is on this thread's stack, and `drain` keeps no reference into
        // the queue while user code runs.
        unsafe { (*queue).push(garbage) };
    }
}

/// Ends the life of everything in `list`, which is left empty with its capacity.
pub(super) fn dispose(list: &mut Vec<Garbage>) {
    if list.is_empty() {
        return;
    }
    let queue = DRAIN.with(Cell::get);
    if queue.is_null() {
        drain(None, list);
    } else {
        // SAFETY: as in `dispose_one`; `list` is another vector.
        unsafe { (*queue).append(list) };
    }
}

fn drain(mut first: Option<Garbage>, list: &mut Vec<Garbage>) {
    let queue: *mut Vec<Garbage> = list;
    DRAIN.with(|drain| drain.set(queue));
    // A destructor may run transactions even when it is this thread's transaction that let the value go.
    local::outside_attempt(|| {
        loop {
            // SAFETY: `queue` points to the caller's vector, borrowed for the whole call; no reference outlives the pop.
            let next = first.take().or_else(|| unsafe { (*queue).pop() });
            match next {
                Some(garbage) => end(garbage),
                None => break,
            }
        }
    });
    DRAIN.with(|drain| drain.set(ptr::null_mut()));
}

/// One destructor. A panic in it was reported by the panic hook and undoes nothing (§1.7).
fn end(garbage: Garbage) {
    match garbage {
        Garbage::Value(header) => {
            // SAFETY: I4: the vacuum (or the attempt that never published it) found the value out of reach.
            guarded(|| unsafe { free_boxed(header) });
        }
        Garbage::Initial(retired) => {
            // SAFETY: I8: the vacuum found every version without a written value out of reach.
            guarded(|| unsafe { retired.drop_value() });
        }
        Garbage::Cell(dead) => {
            guarded(|| dead.drop_value());
            dead.release();
        }
        Garbage::Handle(handle) => drop(handle),
        Garbage::Merges(functions) => guarded(|| drop(functions)),
        Garbage::Then(function) => guarded(|| drop(function)),
        Garbage::Part(part) => guarded(|| drop(part)),
        Garbage::Result(result) => guarded(|| drop(result)),
    }
}

fn guarded(destructor: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(destructor)) {
        drop_panic(payload);
    }
}

/// Drops the payload of a panic that nobody gets. Its own destructor may panic as well, with a payload of its own; there is nobody left
/// to tell.
pub(crate) fn drop_panic(mut payload: Box<dyn Any + Send>) {
    for _ in 0..4 {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(again) => payload = again,
        }
    }
    // A destructor that panics with another of its kind would go on for ever.
    std::mem::forget(payload);
}
