//! A panic at the n-th time that user code of one kind runs.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::{Census, Counted};

/// Where the crate runs code of its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    Closure,
    Modify,
    Merge,
    MergeThen,
    /// `Drop` of what the crate was given.
    Drop,
    KeyDrop,
    /// Of what a function did not take, or somebody else has: a panic there is the closure's own.
    OwnDrop,
    /// `Clone` and `PartialEq` of values.
    Clone,
    Equal,
    Hash,
    KeyEq,
    KeyOrd,
    KeyClone,
    /// Functions that maps are given.
    UpsertWith,
    Entry,
    CommitHook,
    RollbackHook,
}

pub(crate) const POINTS: [Point; 17] = [
    Point::Closure,
    Point::Modify,
    Point::Merge,
    Point::MergeThen,
    Point::Drop,
    Point::KeyDrop,
    Point::OwnDrop,
    Point::Clone,
    Point::Equal,
    Point::Hash,
    Point::KeyEq,
    Point::KeyOrd,
    Point::KeyClone,
    Point::UpsertWith,
    Point::Entry,
    Point::CommitHook,
    Point::RollbackHook,
];

/// What a fuse throws: it is counted, too.
pub(crate) struct Boom(#[allow(dead_code, reason = "counts")] Counted);

struct Inner {
    point: Point,
    /// Passages until it blows; far more than there are: never.
    left: AtomicU64,
    armed: AtomicBool,
    own: AtomicBool,
    blown: AtomicBool,
    census: Census,
}

#[derive(Clone)]
pub(crate) struct Fuse(Arc<Inner>);

const NEVER: u64 = 1 << 40;

impl Fuse {
    /// Blows at the passage of this number of the point, counted from 0, once it is armed; `None`: never.
    pub(crate) fn new(census: &Census, point: Point, at: Option<u64>) -> Fuse {
        let left = AtomicU64::new(at.unwrap_or(NEVER));
        let (armed, own, blown) = Default::default();
        Fuse(Arc::new(Inner { point, left, armed, own, blown, census: census.clone() }))
    }

    pub(crate) fn arm(&self, on: bool) {
        self.0.armed.store(on, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, point: Point) {
        if point == self.0.point
            && self.0.armed.load(Ordering::SeqCst)
            && self.0.left.fetch_sub(1, Ordering::SeqCst) == 0
        {
            self.0.blown.store(true, Ordering::SeqCst);
            // Without the message that `panic!` prints.
            resume_unwind(Box::new(Boom(self.0.census.value(u64::MAX))));
        }
    }

    pub(crate) fn blown(&self) -> bool {
        self.0.blown.load(Ordering::SeqCst)
    }

    /// Values that end in here are not the crate's.
    pub(crate) fn own<R>(&self, f: impl FnOnce() -> R) -> R {
        self.0.own.store(true, Ordering::SeqCst);
        let result = f();
        self.0.own.store(false, Ordering::SeqCst);
        result
    }

    /// The end of a value or a key.
    pub(crate) fn pass_end(&self, point: Point) {
        self.pass(if self.0.own.load(Ordering::SeqCst) { Point::OwnDrop } else { point });
    }
}

pub(crate) fn is_boom(payload: &(dyn Any + Send)) -> bool {
    payload.is::<Boom>()
}
