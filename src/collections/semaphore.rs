//! The semaphore.

use crate::{Space, Stm, TVar, Tx, View};
use std::fmt;

/// A number of permits to take and give back (§6.3); a cheap handle, clones are the same semaphore.
///
/// [`signal`](TSemaphore::signal) is a merge (§4.5): two of them never conflict, and none ever runs again for its sake. Those who wait conflict with each other and run again when somebody
/// signals in between. There is no line: of several that wait, any may be next.
///
/// A permit is taken when the transaction commits, and given back by another one: a transaction that does both holds nothing in between.
///
/// ```
/// use tvar::{TSemaphore, atomically};
/// let tickets = TSemaphore::new(2);
/// atomically(|tx| tickets.wait(tx));
/// assert_eq!(atomically(|tx| Ok((tickets.try_wait(tx), tickets.try_wait(tx)))), (true, false));
/// atomically(|tx| Ok(tickets.signal_n(tx, 2)));
/// assert_eq!(atomically(|tx| Ok(tickets.available(tx))), 2);
/// ```
#[derive(Clone)]
pub struct TSemaphore {
    permits: TVar<u64>,
}

impl TSemaphore {
    /// A new semaphore of the global space with so many permits.
    pub fn new(permits: u64) -> Self {
        Self::new_in(Space::global(), permits)
    }

    /// A new semaphore of a space with so many permits.
    pub fn new_in(space: &Space, permits: u64) -> Self {
        TSemaphore { permits: TVar::new_in(space, permits) }
    }

    /// Takes a permit; blocks while there is none, until somebody signals.
    ///
    /// # Errors
    /// The stop, while there is none.
    #[doc(alias("acquire", "take"))]
    pub fn wait(&self, tx: &Tx<'_>) -> Stm<()> {
        tx.check(self.try_wait(tx))
    }

    /// Takes a permit if there is one; whether there was. That there is none counts as read.
    #[doc(alias = "try_acquire")]
    pub fn try_wait(&self, tx: &Tx<'_>) -> bool {
        let permits = *tx.read(&self.permits);
        if permits > 0 {
            tx.write(&self.permits, permits - 1);
        }
        permits > 0
    }

    /// Gives a permit back, or makes one. Never blocks, conflicts with nobody, wakes who waits.
    ///
    /// # Panics
    /// The commit panics when there are `u64::MAX` permits already; nothing is published then.
    #[doc(alias("release", "post"))]
    pub fn signal(&self, tx: &Tx<'_>) {
        self.signal_n(tx, 1);
    }

    /// Gives several permits back at once; see [`signal`](TSemaphore::signal).
    ///
    /// # Panics
    /// The commit panics when there would be more than `u64::MAX` permits; nothing is published then.
    #[doc(alias = "release_n")]
    pub fn signal_n(&self, tx: &Tx<'_>, permits: u64) {
        if permits > 0 {
            tx.merge(&self.permits, move |n| {
                n.checked_add(permits)
                    .unwrap_or_else(|| panic!("tvar: a semaphore with {n} permits cannot get {permits} more"))
            });
        }
    }

    /// How many permits there are. In a transaction that writes anything, conflicts with whoever takes or gives one.
    pub fn available(&self, view: &impl View) -> u64 {
        *view.read(&self.permits)
    }

    /// Whether two handles are of the same semaphore.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.permits.ptr_eq(&other.permits)
    }
}

impl fmt::Debug for TSemaphore {
    /// Shows how many permits there are as committed; inside a transaction, as of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.permits.space().snapshot();
        f.debug_struct("TSemaphore").field("available", snapshot.read::<u64>(&self.permits)).finish()
    }
}
