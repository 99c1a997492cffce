//! Variables: cheap handles; the last one to go takes the variable's entry out of the map.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::space::{RefSpace, fresh_id};
use super::value::Value;

/// A transactional variable of the reference engine (§1.2): a handle, whose clones are the same variable.
///
/// A variable that no transaction has written holds its initial value, in every snapshot. When the last handle is
/// gone, its entry is taken out of the map (§1.3), which conflicts with nobody and wakes nobody.
///
/// ```
/// use tvar::reference::{RefVar, atomically};
///
/// let balance = RefVar::new(10);
/// let before = atomically(|tx| {
///     let before = tx.read(&balance);
///     tx.modify(&balance, |b| b + 5);
///     Ok(*before)
/// });
/// assert_eq!((before, balance.load()), (10, 15));
/// ```
pub struct RefVar<T> {
    pub(super) core: Arc<VarCore>,
    kind: PhantomData<fn() -> T>,
}

/// What all handles of a variable share, and logs hold, so that no entry goes while an attempt may still need it.
pub(super) struct VarCore {
    pub(super) id: u64,
    pub(super) space: RefSpace,
    pub(super) initial: Value,
}

impl Drop for VarCore {
    fn drop(&mut self) {
        self.space.reclaim(self.id);
    }
}

impl<T: Send + Sync + 'static> RefVar<T> {
    /// A variable of the global space; publishes nothing and works anywhere, inside a transaction too (§1.2).
    pub fn new(value: T) -> Self {
        Self::new_in(RefSpace::global(), value)
    }

    /// A variable of the given space.
    pub fn new_in(space: &RefSpace, value: T) -> Self {
        let core = VarCore { id: fresh_id(), space: space.clone(), initial: Value::new(value) };
        Self { core: Arc::new(core), kind: PhantomData }
    }

    /// The space that the variable belongs to.
    pub fn space(&self) -> &RefSpace {
        &self.core.space
    }

    /// Whether both are handles of one variable.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// A copy of the newest value: a transaction of one read (§1.6).
    ///
    /// # Panics
    /// Inside a transaction (§2.9).
    #[track_caller]
    pub fn load(&self) -> T
    where
        T: Clone,
    {
        self.space().atomically(|tx| Ok(T::clone(&tx.read(self))))
    }

    /// Replaces the value: a transaction of one write, which wakes waiters like any other (§1.6).
    ///
    /// # Panics
    /// Inside a transaction (§2.9).
    #[track_caller]
    pub fn store(&self, value: T) {
        let mut value = Some(value);
        self.space().atomically(|tx| {
            // A blind write conflicts with nobody (§2.4), so that the closure runs once.
            let value = value.take();
            tx.write(self, value.expect("tvar: a blind write ran twice"));
            Ok(())
        });
    }

    /// Replaces the value by `f` of it; `f` may run several times, its last result counts (§1.6).
    ///
    /// # Panics
    /// Inside a transaction (§2.9).
    #[track_caller]
    pub fn update(&self, mut f: impl FnMut(&T) -> T) {
        self.space().atomically(|tx| {
            tx.modify(self, &mut f);
            Ok(())
        });
    }
}

impl<T> Clone for RefVar<T> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core), kind: PhantomData }
    }
}

impl<T> fmt::Debug for RefVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefVar(#{})", self.core.id)
    }
}
