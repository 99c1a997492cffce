//! One attempt: its workspace, logs and recorded decisions, and the operations on variables.

use super::clock::Start;
use super::control::{Abort, Reason, Recorded, Stm, Stop, StopKind};
use super::locks::Patience;
use super::rare::Lazy;
use super::run::Call;
use crate::lock::LockMode;
use crate::store::{Outbox, Own, Store, Var, Workspace, clear_died};
use crate::sync::Arc;
use crate::sync::plain;
use crate::sync::steps::{Point, pass};
use crate::sync::time::{Duration, Instant, after};
use std::cell::Cell;
use std::panic::Location;

/// What the closure works on, through `Tx`. Small, and without parts that would be moved: the stores that make it are much of what a
/// small transaction costs.
pub(crate) struct Attempt<'s> {
    pub(super) ws: Workspace<'s>,
    pub(super) recorded: Cell<Option<Recorded>>,
    /// Identifies the attempt in the stops that it issues; 0 until it issues one.
    id: Cell<u64>,
    pub(super) start: Start,
    pub(super) rare: Lazy,
    pub(super) call: &'s Call<'s>,
    /// Every access locks (§5.2).
    pub(super) pessimistic: bool,
}

impl<'s> Attempt<'s> {
    /// The first attempt of a call, on the newest snapshot.
    #[inline(always)]
    pub(super) fn begin(call: &'s Call<'s>, start: Start) -> Self {
        Attempt {
            ws: Workspace::begin(call.store),
            recorded: Cell::new(None),
            id: Cell::new(0),
            start,
            rare: Lazy::default(),
            call,
            pessimistic: call.options.pessimistic,
        }
    }

    /// Begins the next run of the closure.
    pub(super) fn begin_again(&mut self) {
        self.recorded.set(None);
        self.id.set(0);
        let mut rare = self.rare();
        rare.history.reruns += 1;
        rare.wake_at = None;
        rare.ensured.clear();
        drop(rare);
        clear_died();
        self.ws.begin_again();
    }

    /// The deadline of the whole call.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.call.options.timeout.and_then(|limit| after(self.start.get(), limit))
    }

    /// Which run of the closure this is.
    pub(crate) fn number(&self) -> u64 {
        1 + self.if_rare(|rare| rare.history.reruns)
    }

    #[inline(always)]
    pub(super) fn check_space<T>(&self, var: &Var<T>) {
        if !self.ws.is_home_of(var) {
            foreign_space(var.name(), var.slot(), var.home(), self.ws.store());
        }
    }

    #[inline(always)]
    pub(crate) fn read<'a, T: Send + Sync + 'static>(&'a self, var: &'a Var<T>) -> &'a T {
        self.check_space(var);
        if self.pessimistic {
            self.lock_access(var, LockMode::Shared);
        }
        if self.ws.has_own(var.slot()) {
            return self.read_own(var);
        }
        self.ws.log_read(var.slot());
        let value = self.ws.read(var);
        pass(Point::Read);
        value
    }

    #[inline(never)]
    fn read_own<'a, T: Send + Sync + 'static>(&'a self, var: &'a Var<T>) -> &'a T {
        loop {
            match self.ws.own(var) {
                Own::Value(value) => return value,
                // The value is needed now: an ordinary read and write from here on (§4.5).
                Own::Merges => self.promote(var),
                Own::Nothing => unreachable!("asked only for variables in the write set"),
            }
        }
    }

    fn promote<T: Send + Sync + 'static>(&self, var: &Var<T>) {
        self.ws.log_read(var.slot());
        self.ws.promote(var);
    }

    #[inline]
    pub(crate) fn write<T: Send + Sync + 'static>(&self, var: &Var<T>, value: T) {
        self.check_space(var);
        if self.pessimistic {
            self.lock_access(var, LockMode::Exclusive);
        }
        self.ws.write(var, value);
    }

    #[inline]
    pub(crate) fn modify<T: Send + Sync + 'static>(&self, var: &Var<T>, f: impl FnOnce(&T) -> T) {
        self.check_space(var);
        if self.pessimistic {
            self.lock_access(var, LockMode::Exclusive);
        }
        if !self.ws.has_own(var.slot()) {
            self.ws.log_read(var.slot());
            pass(Point::Read);
            return self.ws.modify_first(var, f);
        }
        if self.ws.has_merges(var.slot()) {
            self.promote(var);
        }
        self.ws.modify_own(var, f);
    }

    /// A lock that the options ask for. If it leads to a stop, that is recorded, and the closure goes on with its snapshot, to no
    /// effect (A3).
    #[cold]
    #[inline(never)]
    fn lock_access<T>(&self, var: &Var<T>, mode: LockMode) {
        let _ = self.lock(var, mode, Patience::Until(None));
    }

    pub(crate) fn replace<'a, T: Send + Sync + 'static>(&'a self, var: &'a Var<T>, value: T) -> &'a T {
        if self.pessimistic {
            self.lock_access(var, LockMode::Exclusive);
        }
        let old = self.read(var);
        self.ws.write(var, value);
        old
    }

    pub(crate) fn write_if_changed<T: PartialEq + Send + Sync + 'static>(&self, var: &Var<T>, value: T) -> bool {
        if self.pessimistic {
            self.lock_access(var, LockMode::Exclusive);
        }
        let changed = *self.read(var) != value;
        if changed {
            self.ws.write(var, value);
        }
        changed
    }

    pub(crate) fn ensure<T: Send + Sync + 'static>(&self, var: &Var<T>) {
        self.check_space(var);
        if self.pessimistic {
            self.lock_access(var, LockMode::Shared);
        }
        self.ws.log_read(var.slot());
        self.rare().ensured.push(var.slot());
    }

    pub(crate) fn merge<T: Send + Sync + 'static>(&self, var: &Var<T>, f: impl Fn(&T) -> T + Send + Sync + 'static) {
        self.check_space(var);
        if self.pessimistic {
            self.lock_access(var, LockMode::Exclusive);
        }
        if self.ws.has_own(var.slot()) && !self.ws.has_merges(var.slot()) {
            // The attempt's own value is known: nothing to defer.
            return self.ws.modify_own(var, f);
        }
        self.ws.merge(var, f);
    }

    pub(crate) fn merge_then<T: Send + Sync + 'static, R: Send + 'static>(
        &self,
        var: &Var<T>,
        f: impl Fn(&T) -> T + Send + Sync + 'static,
        then: impl Fn(&T) -> R + Send + Sync + 'static,
    ) -> Outbox<R> {
        self.merge(var, f);
        self.ws.then(var, then)
    }

    /// This attempt's mark on the stops that it issues.
    pub(super) fn id(&self) -> u64 {
        static NEXT: plain::AtomicU64 = plain::AtomicU64::new(1);
        if self.id.get() == 0 {
            // ORDERING: Relaxed: only uniqueness counts.
            self.id.set(NEXT.fetch_add(1, plain::Ordering::Relaxed));
        }
        self.id.get()
    }

    pub(super) fn stop(&self, kind: StopKind) -> Stop {
        if self.recorded.get().is_none() {
            self.recorded.set(Some(Recorded::Stop(kind)));
        }
        Stop { attempt: self.id(), kind }
    }

    pub(crate) fn retry(&self) -> Stop {
        self.stop(StopKind::Retry)
    }

    pub(crate) fn retry_until(&self, deadline: Instant) -> Stm<()> {
        if Instant::now() >= deadline {
            return Ok(());
        }
        let mut rare = self.rare();
        rare.wake_at = Some(rare.wake_at.map_or(deadline, |earlier| earlier.min(deadline)));
        drop(rare);
        Err(self.retry())
    }

    pub(crate) fn retry_for(&self, limit: Duration) -> Stm<()> {
        match after(self.start.get(), limit) {
            Some(deadline) => self.retry_until(deadline),
            None => Err(self.retry()),
        }
    }

    pub(crate) fn refresh(&self) -> Stm<()> {
        let stale = self.ws.any_stale(|is_stale| self.ws.reads().find(is_stale).is_some())
            || self.ws.find_stale_map().is_some();
        if stale { Err(self.stop(StopKind::Refresh)) } else { Ok(()) }
    }

    pub(crate) fn abort<R, E>(&self, error: E, at: &'static Location<'static>) -> Result<R, Abort<E>> {
        if self.recorded.get().is_none() {
            self.recorded.set(Some(Recorded::Abort(at)));
        }
        Err(Abort(Reason::Error { error, issued: Some(self.id()) }))
    }
}

#[cold]
#[inline(never)]
fn foreign_space(name: Option<&str>, slot: u32, home: Option<&Arc<Store>>, store: &Store) -> ! {
    let home = home.unwrap_or_else(|| Store::global());
    let variable = match name {
        Some(name) => format!("variable `{name}`"),
        None => format!("variable #{slot}"),
    };
    panic!(
        "tvar: {variable} belongs to space `{}`, but it is used in a transaction or snapshot of space `{}`; \
         one transaction works in one space",
        home.name(),
        store.name()
    );
}

/// Panics if a variable is not of this store (§1.1).
pub(crate) fn check_same_space<T>(var: &Var<T>, store: &Store) {
    if !var.lives_in(store) {
        foreign_space(var.name(), var.slot(), var.home(), store);
    }
}
