//! Snapshots to keep, and their differences.

use crate::attempt::check_same_space;
use crate::store::{KeptSnapshot, Store, Var};
use crate::sync::Arc;
use crate::tvar::TVar;
use std::fmt;

/// One immutable version of a whole space, for as long as it is kept (§1.4, §1.5).
///
/// Reads cannot fail and cost a few nanoseconds; writers go on meanwhile, unhindered. What a snapshot keeps in memory is what its
/// own version reaches, not everything committed since; dropping the last clone gives that back at once. Can be sent to and
/// read from any thread.
///
/// ```
/// use tvar::{Space, TVar};
/// let space = Space::new();
/// let v = TVar::new_in(&space, 1);
/// let old = space.snapshot();
/// v.store(2);
/// let new = space.snapshot();
/// assert_eq!((*old.read(&v), *new.read(&v)), (1, 2));
/// assert!(old.diff(&new).changed(&v));
/// ```
#[derive(Clone)]
pub struct Snapshot {
    kept: Arc<KeptSnapshot>,
}

impl Snapshot {
    pub(crate) fn new(kept: KeptSnapshot) -> Snapshot {
        Snapshot { kept: Arc::new(kept) }
    }

    pub(crate) fn kept(&self) -> &KeptSnapshot {
        &self.kept
    }

    /// The number of the version.
    pub fn version(&self) -> u64 {
        self.kept.version()
    }

    /// The value of a variable in this version; the initial value if it had not been written then.
    ///
    /// # Panics
    /// When the variable is of another space.
    #[inline]
    pub fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T {
        check_same_space(&var.var, self.kept.store());
        self.kept.read(&var.var)
    }

    /// What differs between this version and a newer one (or an older: the order does not matter). Time and memory in proportion
    /// to the number of variables that changed.
    ///
    /// # Panics
    /// When the snapshots are of different spaces.
    pub fn diff(&self, newer: &Snapshot) -> Diff {
        assert!(
            Arc::ptr_eq(self.kept.store(), newer.kept.store()),
            "tvar: snapshots of different spaces have no difference: `{}` and `{}`",
            self.kept.store().name(),
            newer.kept.store().name()
        );
        Diff { store: self.kept.store().clone(), slots: self.kept.diff(&newer.kept) }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("space", &self.kept.store().name()).field("version", &self.version()).finish()
    }
}

/// The variables and maps that differ between two snapshots; from [`Snapshot::diff`].
///
/// A variable differs if a commit in between gave it a new value, even if a later one gave it the old one back. A write of the same
/// bits to an integer of up to 64 bits, a float, a `bool` or a `char` gives no new value (§3.1); any other write does.
#[derive(Clone)]
pub struct Diff {
    store: Arc<Store>,
    /// Slots with their stamps in both versions, ascending.
    slots: Vec<(u32, u64, u64)>,
}

impl Diff {
    /// Whether the variable differs. O(log n) in the number of changes. For maps see [`TMap::changed`](crate::TMap::changed).
    ///
    /// # Panics
    /// When the variable is of another space.
    pub fn changed<T>(&self, var: &TVar<T>) -> bool {
        self.has(&var.var)
    }

    pub(crate) fn has<T>(&self, var: &Var<T>) -> bool {
        check_same_space(var, &self.store);
        match self.slots.binary_search_by_key(&var.slot(), |(slot, _, _)| *slot) {
            Ok(at) => {
                let (_, old, new) = self.slots[at];
                var.written_at(old) != var.written_at(new)
            }
            Err(_) => false,
        }
    }

    /// How many variables and maps differ, those whose last handle is gone included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl fmt::Debug for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Diff").field("changed", &self.len()).finish()
    }
}
