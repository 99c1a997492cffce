//! Snapshots: a root, kept.

use std::fmt;
use std::sync::Arc;

use super::space::{RefSpace, Root};
use super::var::RefVar;

/// One immutable version of a whole space (§1.4, §1.5), readable from any thread for as long as it is kept.
#[derive(Clone)]
pub struct RefSnapshot {
    pub(super) space: RefSpace,
    pub(super) root: Arc<Root>,
}

impl RefSnapshot {
    /// The number of this version; every commit that writes makes a higher one.
    pub fn version(&self) -> u64 {
        self.root.version
    }

    /// The value of the variable in this version; its initial value if nobody had written it by then (§1.2).
    ///
    /// # Panics
    /// If the variable belongs to another space (§1.1).
    #[track_caller]
    pub fn read<T: Send + Sync + 'static>(&self, var: &RefVar<T>) -> Arc<T> {
        self.space.admit(&var.core);
        self.root.value(&var.core).typed()
    }

    /// What changed from this snapshot to a newer one (§1.5).
    pub fn diff(&self, newer: &Self) -> RefDiff {
        RefDiff { older: self.clone(), newer: newer.clone() }
    }
}

impl fmt::Debug for RefSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefSnapshot(version {} of {:?})", self.version(), self.space)
    }
}

/// The difference of two snapshots (§1.5); compares nothing before it is asked about a variable.
#[derive(Clone, Debug)]
pub struct RefDiff {
    older: RefSnapshot,
    newer: RefSnapshot,
}

impl RefDiff {
    /// Whether the variable got a new value in between. A commit that left it identical (§3.1) gave it none; two
    /// that changed it and changed it back did.
    ///
    /// # Panics
    /// If the variable belongs to another space than the snapshots (§1.1).
    #[track_caller]
    pub fn changed<T>(&self, var: &RefVar<T>) -> bool {
        self.older.space.admit(&var.core);
        self.newer.space.admit(&var.core);
        !self.older.root.value(&var.core).is(&self.newer.root.value(&var.core))
    }
}
