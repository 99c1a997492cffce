//! Functions that read variables either in a running transaction or in a kept snapshot.

use tvar::{Snapshot, TVar, Tx, View};

/// A [`View`] that single variables can be read from too, like maps.
pub(crate) trait Look: View {
    fn value<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T;
}

impl Look for Tx<'_> {
    fn value<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T {
        self.read(var)
    }
}

impl Look for Snapshot {
    fn value<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T {
        self.read(var)
    }
}
