//! The running transaction, as the closure sees it.

use crate::after::AfterCommit;
use crate::attempt::{Abort, Attempt, Patience, Stm};
use crate::lock::LockMode;
use crate::sync::time::{Duration, Instant};
use crate::tvar::TVar;
use std::fmt;
use std::panic::Location;

/// The running transaction: what a closure given to [`atomically`](crate::atomically()) works on.
///
/// Neither `Send` nor `Sync`, and it cannot leave its closure. All reads are as if from one snapshot (§1.4); writes are buffered and
/// read back; nothing is visible to others before the commit.
///
/// # Panics
/// Every method that takes a variable panics when it is of another space than the transaction (§1.1).
///
/// ```compile_fail
/// use tvar::{TVar, atomically};
/// let v = TVar::new(1);
/// let mut smuggled = None;
/// atomically(|tx| {
///     smuggled = Some(tx); // a `Tx` cannot leave its closure
///     Ok(())
/// });
/// ```
pub struct Tx<'tx> {
    pub(crate) attempt: &'tx Attempt<'tx>,
}

impl Tx<'_> {
    /// The value of a variable: the transaction's own if it has written one, else the snapshot's (§2.1).
    ///
    /// Cannot fail, does not clone, never blocks (unless the transaction is [pessimistic](crate::TxOptions::pessimistic)). The reference stays valid, and keeps its value, after a later write to the same
    /// variable. What is read is in the read set: the commit of a writer validates it, a retry waits for it. *Costs* some
    /// nanoseconds, O(log₃₂ n).
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let name = TVar::new(String::from("ada"));
    /// let len = atomically(|tx| {
    ///     let before: &String = tx.read(&name);
    ///     tx.write(&name, String::from("grace"));
    ///     Ok((before.len(), tx.read(&name).len()))
    /// });
    /// assert_eq!(len, (3, 5));
    /// ```
    #[inline]
    pub fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>) -> &'a T {
        self.attempt.read(&var.var)
    }

    /// Gives a variable a new value, from the commit on. Without a read of the same variable it conflicts with nobody (§2.4).
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let v = TVar::new(1);
    /// atomically(|tx| Ok(tx.write(&v, 2)));
    /// assert_eq!(v.load(), 2);
    /// ```
    #[inline]
    pub fn write<T: Send + Sync + 'static>(&self, var: &TVar<T>, value: T) {
        self.attempt.write(&var.var, value);
    }

    /// Replaces a value by a function of it: a read and a write.
    ///
    /// `f` may use the transaction, the same variable included; then the result of `f` is written last. Repeated `modify`s
    /// of one variable use bounded memory.
    ///
    /// # Panics
    /// With `f`'s own panic.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let v = TVar::new(20);
    /// atomically(|tx| Ok(tx.modify(&v, |n| n + 1)));
    /// assert_eq!(v.load(), 21);
    /// ```
    #[inline]
    pub fn modify<T: Send + Sync + 'static>(&self, var: &TVar<T>, f: impl FnOnce(&T) -> T) {
        self.attempt.modify(&var.var, f);
    }

    /// Writes a value and returns the one that it replaces: a read and a write.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let v = TVar::new(1);
    /// assert_eq!(atomically(|tx| Ok(*tx.replace(&v, 2))), 1);
    /// ```
    pub fn replace<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>, value: T) -> &'a T {
        self.attempt.replace(&var.var, value)
    }

    /// Writes a value unless the variable has an equal one, and says whether it did. A read in any case; a commit that writes nothing
    /// wakes nobody (§3.1).
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let v = TVar::new(String::from("a"));
    /// assert!(!atomically(|tx| Ok(tx.write_if_changed(&v, String::from("a")))));
    /// assert!(atomically(|tx| Ok(tx.write_if_changed(&v, String::from("b")))));
    /// ```
    pub fn write_if_changed<T: PartialEq + Send + Sync + 'static>(&self, var: &TVar<T>, value: T) -> bool {
        self.attempt.write_if_changed(&var.var, value)
    }

    /// Makes the commit conflict with any commit to this variable since the snapshot: promotes one read under snapshot isolation
    /// (§2.2). Counts as a read.
    ///
    /// ```
    /// use tvar::{Isolation, TVar, TxOptions};
    /// let (limit, n) = (TVar::new(10), TVar::new(0));
    /// let result = TxOptions::new().isolation(Isolation::Snapshot).run(|tx| {
    ///     tx.ensure(&limit);
    ///     Ok(tx.modify(&n, |n| (n + 1).min(*tx.read(&limit))))
    /// });
    /// assert_eq!((result, n.load()), (Ok(()), 1));
    /// ```
    pub fn ensure<T: Send + Sync + 'static>(&self, var: &TVar<T>) {
        self.attempt.ensure(&var.var);
    }

    /// Applies `f` to the newest value when the transaction commits (commute, §4.5): two merges of one variable never conflict.
    ///
    /// `f` may run several times, on values that are not published in the end, on any thread, in the middle of any commit of the space
    /// (§4.2, §4.3); only the published result counts. So it must not wait for anything nor run long, since every commit may be waiting for it, nor
    /// take a lock that anybody holds around a transaction. What it has captured may be dropped some commits after its own. Several merges of one variable are applied in order. Reading the variable afterwards in the same
    /// transaction makes it an ordinary read and write; after an own write, `f` is applied at once.
    ///
    /// # Panics
    /// The commit panics when `f` does on a value that is current; nothing is published then.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let hits = TVar::new(0u64);
    /// atomically(|tx| Ok(tx.merge(&hits, |n| n + 1)));
    /// assert_eq!(hits.load(), 1);
    /// ```
    pub fn merge<T: Send + Sync + 'static>(&self, var: &TVar<T>, f: impl Fn(&T) -> T + Send + Sync + 'static) {
        self.attempt.merge(&var.var, f);
    }

    /// A [`merge`](Tx::merge), and a result computed from the value of the variable that the commit publishes.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let next_id = TVar::new(100u64);
    /// let id = atomically(|tx| Ok(tx.merge_then(&next_id, |n| n + 1, |n| *n))).unwrap();
    /// assert_eq!(id, 101);
    /// ```
    pub fn merge_then<T: Send + Sync + 'static, R: Send + 'static>(
        &self,
        var: &TVar<T>,
        f: impl Fn(&T) -> T + Send + Sync + 'static,
        then: impl Fn(&T) -> R + Send + Sync + 'static,
    ) -> AfterCommit<R> {
        AfterCommit::new(self.attempt.merge_then(&var.var, f, then))
    }

    /// Locks a variable (§5.2, §5.3): from here to the end of the transaction nobody else commits a write to it, and its newest value
    /// is what `read` gives.
    ///
    /// Waits in line while another transaction holds the lock in a mode that does not [go with](LockMode) this one. Held until the
    /// transaction ends or sleeps, or the alternative or part around the call is undone; re-entrant; `Shared` can be made `Exclusive`. An attempt
    /// that runs again since its reads were stale keeps its locks, unless it has rollback hooks, which run outside all locks. Whoever only reads, without a lock, never waits. *Costs* some
    /// 300 ns if nobody is in the way; and while any lock is held anywhere, other commits look whether it is in theirs.
    ///
    /// Deadlocks are found when a wait begins, among locks and commits that wait for locks alike: the transaction that has given way least often, then
    /// the one that has done least, gives way, lets go of its locks and runs again. When two that hold a lock shared both want it exclusive, the
    /// second is refused at once, and gives way.
    ///
    /// # Errors
    /// The stop: something that was read before is stale, the transaction has to give way in a deadlock, or the deadline of the call has passed.
    ///
    /// ```
    /// use tvar::{LockMode, TVar, atomically};
    /// let hot = TVar::new(1);
    /// atomically(|tx| {
    ///     tx.lock(&hot, LockMode::Exclusive)?;
    ///     tx.modify(&hot, |n| n + 1); // cannot be lost to another commit
    ///     Ok(())
    /// });
    /// assert_eq!(hot.load(), 2);
    /// ```
    pub fn lock<T: Send + Sync + 'static>(&self, var: &TVar<T>, mode: LockMode) -> Stm<()> {
        self.attempt.lock(&var.var, mode, Patience::Until(None)).map(|_| ())
    }

    /// Locks a variable if that needs no wait; whether it did.
    ///
    /// # Errors
    /// The stop: something that was read before is stale, or two holders of a shared lock both want it exclusive.
    ///
    /// ```
    /// use tvar::{LockMode, TVar, atomically};
    /// let v = TVar::new(1);
    /// assert!(atomically(|tx| tx.try_lock(&v, LockMode::Shared)));
    /// ```
    pub fn try_lock<T: Send + Sync + 'static>(&self, var: &TVar<T>, mode: LockMode) -> Stm<bool> {
        self.attempt.lock(&var.var, mode, Patience::None)
    }

    /// Locks a variable, waiting no longer than `limit`; whether it did.
    ///
    /// # Errors
    /// As [`lock`](Tx::lock).
    ///
    /// ```
    /// use std::time::Duration;
    /// use tvar::{LockMode, TVar, atomically};
    /// let v = TVar::new(1);
    /// assert!(atomically(|tx| tx.lock_for(&v, LockMode::Exclusive, Duration::from_millis(5))));
    /// ```
    pub fn lock_for<T: Send + Sync + 'static>(&self, var: &TVar<T>, mode: LockMode, limit: Duration) -> Stm<bool> {
        self.attempt.lock_for(&var.var, mode, limit)
    }

    /// [`lock`](Tx::lock), then [`read`](Tx::read): the newest committed value (or the transaction's own).
    ///
    /// # Errors
    /// As [`lock`](Tx::lock).
    ///
    /// ```
    /// use tvar::{LockMode, TVar, atomically};
    /// let v = TVar::new(3);
    /// assert_eq!(atomically(|tx| Ok(*tx.read_locked(&v, LockMode::Shared)?)), 3);
    /// ```
    pub fn read_locked<'a, T: Send + Sync + 'static>(&'a self, var: &'a TVar<T>, mode: LockMode) -> Stm<&'a T> {
        self.lock(var, mode)?;
        Ok(self.read(var))
    }

    /// [`try_lock`](Tx::try_lock), then [`read`](Tx::read); `None` if it would have to wait.
    ///
    /// # Errors
    /// As [`try_lock`](Tx::try_lock).
    pub fn try_read_locked<'a, T: Send + Sync + 'static>(
        &'a self,
        var: &'a TVar<T>,
        mode: LockMode,
    ) -> Stm<Option<&'a T>> {
        Ok(self.try_lock(var, mode)?.then(|| self.read(var)))
    }

    /// Gives up this attempt and sleeps until a variable that it read has a new value; then the closure runs again (§3.1).
    ///
    /// Hand the stop up with `?`. Inside [`or_else`](Tx::or_else), the other alternative is tried first. Nothing is held while
    /// sleeping.
    ///
    /// # Errors
    /// Always: the stop.
    ///
    /// # Panics
    /// The call panics when nothing was read, since nothing could ever wake it (§3.4).
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let inbox = TVar::new(Some("hello"));
    /// let message = atomically(|tx| match *tx.read(&inbox) {
    ///     Some(message) => {
    ///         tx.write(&inbox, None);
    ///         Ok(message)
    ///     }
    ///     None => tx.retry(),
    /// });
    /// assert_eq!(message, "hello");
    /// ```
    pub fn retry<R>(&self) -> Stm<R> {
        Err(self.attempt.retry())
    }

    /// Goes on if the condition holds, else [retries](Tx::retry).
    ///
    /// # Errors
    /// The stop, if it does not hold.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let ready = TVar::new(true);
    /// atomically(|tx| tx.check(*tx.read(&ready)));
    /// ```
    pub fn check(&self, condition: bool) -> Stm<()> {
        if condition { Ok(()) } else { self.retry() }
    }

    /// [Retries](Tx::retry) until `limit` has passed since the call of the transaction began; goes on from then on (§3.5).
    ///
    /// While several alternatives wait, the earliest deadline wakes. On a thread that has run a thousand calls in a row without any deadline,
    /// the next call that asks for one counts from its question, if it asks in its first attempt; all later ones count from their beginning
    /// again.
    ///
    /// # Errors
    /// The stop, while the deadline is ahead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tvar::{TVar, atomically};
    /// let answer = TVar::new(None::<u32>);
    /// let result = atomically(|tx| {
    ///     if tx.read(&answer).is_none() {
    ///         tx.retry_for(Duration::from_millis(5))?;
    ///     }
    ///     Ok(*tx.read(&answer))
    /// });
    /// assert_eq!(result, None);
    /// ```
    pub fn retry_for(&self, limit: Duration) -> Stm<()> {
        self.attempt.retry_for(limit)
    }

    /// [Retries](Tx::retry) until a point in time; goes on from then on (§3.5).
    ///
    /// # Errors
    /// The stop, while the deadline is ahead.
    pub fn retry_until(&self, deadline: Instant) -> Stm<()> {
        self.attempt.retry_until(deadline)
    }

    /// Runs the closure again at once if something that it read has a newer value (§2.10): for loops that only a newer value
    /// could end.
    ///
    /// # Errors
    /// The stop, if something is stale.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let stop = TVar::new(true);
    /// atomically(|tx| {
    ///     while !*tx.read(&stop) {
    ///         tx.refresh()?;
    ///     }
    ///     Ok(())
    /// });
    /// ```
    pub fn refresh(&self) -> Stm<()> {
        self.attempt.refresh()
    }

    /// Ends the whole call, or the [`nested`](Tx::nested) part around it, with an error; everything is rolled back (§2.7).
    ///
    /// # Errors
    /// Always: what the closure must return.
    ///
    /// # Panics
    /// The call panics when the closure drops this error and returns `Ok`: it is lost then, and the transaction cannot commit.
    ///
    /// ```
    /// use tvar::{TVar, try_atomically};
    /// let stock = TVar::new(0);
    /// let result = try_atomically(|tx| if *tx.read(&stock) == 0 { tx.abort("sold out") } else { Ok(()) });
    /// assert_eq!(result, Err("sold out"));
    /// ```
    #[track_caller]
    pub fn abort<R, E>(&self, error: E) -> Result<R, Abort<E>> {
        self.attempt.abort(error, Location::caller())
    }

    /// Runs `a`; if it retries, undoes exactly its writes and hooks and runs `b` on the same snapshot (§3.2).
    ///
    /// Only a retry falls through: conflicts, aborts and panics do not. If both retry, the reads of both are waited on. What `a` read
    /// is validated at the commit, so that the choice of `b` is serialisable (§3.3). Alternatives may stand in each other as deep as the stack allows;
    /// beside the closures' own frames each takes less than half a kilobyte of it (`tests/abuse_scale.rs`, optimised).
    ///
    /// # Errors
    /// The stop of the alternative that was chosen.
    ///
    /// ```
    /// use tvar::{Stm, TVar, Tx, atomically};
    /// fn take(tx: &Tx<'_>, from: &TVar<u32>) -> Stm<u32> {
    ///     tx.check(*tx.read(from) > 0)?;
    ///     tx.modify(from, |n| n - 1);
    ///     Ok(*tx.read(from))
    /// }
    /// let (urgent, normal) = (TVar::new(0), TVar::new(5));
    /// assert_eq!(atomically(|tx| tx.or_else(|tx| take(tx, &urgent), |tx| take(tx, &normal))), 4);
    /// ```
    pub fn or_else<R>(&self, a: impl FnOnce(&Tx<'_>) -> Stm<R>, b: impl FnOnce(&Tx<'_>) -> Stm<R>) -> Stm<R> {
        self.attempt.or_else(|| a(self), || b(self))
    }

    /// [`or_else`](Tx::or_else) for alternatives that may abort. An abort in `a` ends the call; it does not fall through.
    ///
    /// # Errors
    /// The stop or abort of the alternative that was chosen.
    ///
    /// ```
    /// use tvar::{TVar, try_atomically};
    /// let (a, b) = (TVar::new(0), TVar::new(0));
    /// let result = try_atomically(|tx| {
    ///     tx.try_or_else(|tx| Ok(tx.check(*tx.read(&a) > 0)?), |tx| tx.abort("both are empty"))
    /// });
    /// assert_eq!(result, Err("both are empty"));
    /// # let _ = b;
    /// ```
    pub fn try_or_else<R, E>(
        &self,
        a: impl FnOnce(&Tx<'_>) -> Result<R, Abort<E>>,
        b: impl FnOnce(&Tx<'_>) -> Result<R, Abort<E>>,
    ) -> Result<R, Abort<E>> {
        self.attempt.or_else(|| a(self), || b(self))
    }

    /// Runs a part whose abort can be handled: closed nesting (§2.9).
    ///
    /// An abort in it undoes its own writes and hooks and is returned as the inner `Err`; its reads stay in the read set, since the
    /// code after it goes on from the error. Stops pass through. Without an abort, the part is as if written in place.
    ///
    /// # Errors
    /// The stop, if the part retried.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let (log, stock) = (TVar::new(0), TVar::new(0));
    /// let sold = atomically(|tx| {
    ///     tx.modify(&log, |n| n + 1);
    ///     let sale = tx.nested(|tx| {
    ///         tx.modify(&stock, |n| n - 1);
    ///         if *tx.read(&stock) < 0 { tx.abort("sold out") } else { Ok(()) }
    ///     })?;
    ///     Ok(sale.is_ok())
    /// });
    /// assert_eq!((sold, log.load(), stock.load()), (false, 1, 0));
    /// ```
    pub fn nested<R, E>(&self, f: impl FnOnce(&Tx<'_>) -> Result<R, Abort<E>>) -> Stm<Result<R, E>> {
        self.attempt.nested(|| f(self))
    }

    /// Runs `f` on this thread after the commit, once (§7.1): the place for effects that cannot be undone.
    ///
    /// Hooks run in the order of registration, with nothing held, and may run transactions. Those of an undone alternative or
    /// part are discarded. If one panics, the others run, the commit stands, and the (first) panic goes on to the caller.
    ///
    /// ```
    /// use tvar::{TVar, atomically};
    /// let n = TVar::new(0);
    /// atomically(|tx| {
    ///     tx.modify(&n, |n| n + 1);
    ///     tx.on_commit(|| println!("counted"));
    ///     Ok(())
    /// });
    /// ```
    pub fn on_commit(&self, f: impl FnOnce() + 'static) {
        self.attempt.on_commit(f);
    }

    /// Runs `f` on this thread when the attempt that registered it is rolled back, for whatever reason (§7.1): a conflict, a retry
    /// (before it sleeps), an abort, a panic, a limit.
    ///
    /// ```
    /// use tvar::{TVar, try_atomically};
    /// let result = try_atomically(|tx| {
    ///     tx.on_rollback(|| println!("nothing was sold"));
    ///     tx.abort::<(), _>("closed")
    /// });
    /// assert_eq!(result, Err("closed"));
    /// # let _ = TVar::new(0);
    /// ```
    pub fn on_rollback(&self, f: impl FnOnce() + 'static) {
        self.attempt.on_rollback(f);
    }

    /// Which run of the closure in this call this is, counted from 1.
    pub fn attempt(&self) -> u64 {
        self.attempt.number()
    }
}

impl fmt::Debug for Tx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("attempt", &self.attempt()).finish_non_exhaustive()
    }
}
