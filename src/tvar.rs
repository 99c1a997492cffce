//! Shared variables.

use crate::call::atomically_in;
use crate::space::Space;
use crate::store::{KeptSnapshot, Store, Var, outside_attempt};
use crate::sync::Arc;
use crate::sync::site::CallSite;
use std::fmt;

/// A shared variable (§1.2): a cheap handle; clones are the same variable.
///
/// Read and written in transactions, with [`Tx`](crate::Tx). Values need no `Clone`. Making a variable never conflicts with
/// anything and works anywhere: in a `static` (through `LazyLock`), and inside transactions. When the last handle is gone, the
/// variable and its value are reclaimed.
///
/// A never written variable costs 40 bytes for a word-sized value (48 with the allocator's share), and the handle 16; integers of up to 64 bits, floats, `bool` and `char`
/// are stored in the tree itself, values of other types behind a pointer.
///
/// ```
/// use tvar::{TVar, atomically};
/// let names = TVar::new(vec!["ada"]);
/// atomically(|tx| Ok(tx.modify(&names, |list| [&list[..], &["grace"]].concat())));
/// assert_eq!(names.load(), ["ada", "grace"]);
/// ```
pub struct TVar<T> {
    pub(crate) var: Var<T>,
}

impl<T: Send + Sync + 'static> TVar<T> {
    /// A new variable of the global space with this initial value.
    pub fn new(value: T) -> Self {
        TVar { var: Var::new(Store::global(), None, value) }
    }

    /// A new variable of the global space, with a name for errors and `Debug`.
    ///
    /// ```
    /// use tvar::TVar;
    /// assert_eq!(TVar::named("balance", 0).name(), Some("balance"));
    /// ```
    pub fn named(name: impl Into<String>, value: T) -> Self {
        TVar { var: Var::new(Store::global(), Some(name.into().into_boxed_str()), value) }
    }

    /// A new variable of a space.
    pub fn new_in(space: &Space, value: T) -> Self {
        TVar { var: Var::new(&space.store, None, value) }
    }

    /// A new variable of a space, with a name for errors and `Debug`.
    pub fn named_in(space: &Space, name: impl Into<String>, value: T) -> Self {
        TVar { var: Var::new(&space.store, Some(name.into().into_boxed_str()), value) }
    }

    /// A copy of the newest value: a transaction of one read (§1.6).
    ///
    /// # Panics
    /// Inside a running transaction of this thread: use [`Tx::read`](crate::Tx::read) there.
    ///
    /// ```
    /// assert_eq!(tvar::TVar::new(7).load(), 7);
    /// ```
    #[track_caller]
    pub fn load(&self) -> T
    where
        T: Clone,
    {
        let site = CallSite::here("TVar::load");
        self.in_space(|space| atomically_in(space, site, |tx| Ok(tx.read(self).clone())))
    }

    /// Writes a value: a transaction of one blind write (§1.6). Wakes waiters like any commit.
    ///
    /// # Panics
    /// Inside a running transaction of this thread: use [`Tx::write`](crate::Tx::write) there.
    ///
    /// ```
    /// let v = tvar::TVar::new(1);
    /// v.store(2);
    /// assert_eq!(v.load(), 2);
    /// ```
    #[track_caller]
    pub fn store(&self, value: T) {
        // One attempt always suffices: a blind write conflicts with nobody (§2.4).
        let mut value = Some(value);
        let site = CallSite::here("TVar::store");
        self.in_space(|space| {
            atomically_in(space, site, |tx| {
                tx.write(self, value.take().expect("a blind write does not conflict"));
                Ok(())
            });
        });
    }

    /// Replaces the value by a function of it: a transaction of one read and write (§1.6). `f` runs again if another commit
    /// got in between.
    ///
    /// # Panics
    /// With `f`'s own panic, which changes nothing; inside a running transaction of this thread: use
    /// [`Tx::modify`](crate::Tx::modify) there.
    ///
    /// ```
    /// let v = tvar::TVar::new(1);
    /// v.update(|n| n + 1);
    /// assert_eq!(v.load(), 2);
    /// ```
    #[track_caller]
    pub fn update(&self, mut f: impl FnMut(&T) -> T) {
        let site = CallSite::here("TVar::update");
        self.in_space(|space| {
            atomically_in(space, site, |tx| {
                tx.modify(self, &mut f);
                Ok(())
            });
        });
    }

    fn in_space<R>(&self, f: impl FnOnce(&Space) -> R) -> R {
        match self.var.home() {
            None => f(Space::global()),
            Some(store) => f(&Space::of(store)),
        }
    }
}

impl<T> TVar<T> {
    fn home(&self) -> &Arc<Store> {
        self.var.home().unwrap_or_else(|| Store::global())
    }

    /// The name that it was given.
    pub fn name(&self) -> Option<&str> {
        self.var.name()
    }

    /// The space that it belongs to.
    pub fn space(&self) -> Space {
        Space::of(self.home())
    }

    /// Whether two handles are of the same variable.
    pub fn ptr_eq(&self, other: &TVar<T>) -> bool {
        self.var.same(&other.var)
    }

    /// How many calls sleep in `retry` until this variable changes, at this moment (§3.7).
    pub fn waiters(&self) -> usize {
        let (space, mut count) = (self.space(), 0);
        // Tasks may be woken (W2), which is the executor's code.
        outside_attempt(|| count = space.shared.registry.waiting_for(self.var.slot()));
        count
    }
}

impl<T> Clone for TVar<T> {
    /// Another handle to the same variable.
    fn clone(&self) -> Self {
        TVar { var: self.var.clone() }
    }
}

impl<T: Default + Send + Sync + 'static> Default for TVar<T> {
    fn default() -> Self {
        TVar::new(T::default())
    }
}

impl<T: Send + Sync + 'static> From<T> for TVar<T> {
    fn from(value: T) -> Self {
        TVar::new(value)
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for TVar<T> {
    /// Shows the name and the newest committed value; inside a transaction, the value in its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = KeptSnapshot::take(self.home());
        let mut out = f.debug_struct("TVar");
        if let Some(name) = self.name() {
            out.field("name", &name);
        }
        let value: &T = snapshot.read(&self.var);
        out.field("value", value).finish()
    }
}

// A panic in a transaction rolls it back and leaves no half of it behind (§2.8).
impl<T> std::panic::UnwindSafe for TVar<T> {}
impl<T> std::panic::RefUnwindSafe for TVar<T> {}
