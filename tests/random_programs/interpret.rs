//! Runs a program on an engine: plain recursion, closures and all, as a user would write it.

#![expect(clippy::unit_arg, reason = "`()` is one of the types that the programs use")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use crate::engine::{Datum, Engine, typed};
use crate::program::{End, Event, Kept, Key, Lasting, Name, Program, Step, Stmt, may_abort, may_retry};
use crate::tally::{Counted, Tally};
use crate::value::Val;

/// Runs the program and tells what it let be seen. With everything gone at the end, every boxed value has to have
/// been dropped, once; before that, no more than `reachable` of them may be left.
pub(crate) fn run<E: Engine>(program: &Program, reachable: usize) -> Result<Vec<Event>, String> {
    let tally = Arc::new(Tally::default());
    let trace = {
        let space = E::space();
        let world = World::<E> {
            map: E::map(&space),
            space,
            vars: RefCell::default(),
            kept: RefCell::default(),
            trace: RefCell::default(),
            tally: Arc::clone(&tally),
        };
        for step in &program.0 {
            world.step(step);
        }
        world.look_at_all();
        if E::RECLAIMS_AT_ONCE {
            // §1.7: at the latest at the next commit of the thread that replaced a value, that is gone.
            E::store(&E::var(&world.space, 0_i64), 1);
            if tally.alive() > reachable {
                return Err(format!(
                    "{} boxed values live after one more commit, but only {reachable} can be reached",
                    tally.alive()
                ));
            }
        }
        world.trace.take()
    };
    tally.close().map(|()| trace)
}

struct World<E: Engine> {
    // In the order in which they go at the end: handles, snapshots, the space.
    vars: RefCell<BTreeMap<Name, AnyVar<E>>>,
    map: E::Map,
    kept: RefCell<BTreeMap<Kept, E::Snapshot>>,
    space: E::Space,
    trace: RefCell<Vec<Event>>,
    tally: Arc<Tally>,
}

/// A handle of a variable of any kind.
enum AnyVar<E: Engine> {
    Int(E::Var<i64>),
    Byte(E::Var<u8>),
    Real(E::Var<f64>),
    Unit(E::Var<()>),
    Text(E::Var<Counted<String>>),
    List(E::Var<Counted<Vec<i64>>>),
}

/// Does the same with a variable of whatever kind.
macro_rules! with {
    ($any:expr, |$var:ident| $body:expr) => {
        match $any {
            AnyVar::Int($var) => $body,
            AnyVar::Byte($var) => $body,
            AnyVar::Real($var) => $body,
            AnyVar::Unit($var) => $body,
            AnyVar::Text($var) => $body,
            AnyVar::List($var) => $body,
        }
    };
}

impl<E: Engine> Clone for AnyVar<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Int(var) => Self::Int(var.clone()),
            Self::Byte(var) => Self::Byte(var.clone()),
            Self::Real(var) => Self::Real(var.clone()),
            Self::Unit(var) => Self::Unit(var.clone()),
            Self::Text(var) => Self::Text(var.clone()),
            Self::List(var) => Self::List(var.clone()),
        }
    }
}

/// What a program's `panic` statement throws: past the panic hook, so that it prints nothing.
struct Planned;

impl<E: Engine> World<E> {
    fn step(&self, step: &Step) {
        match step {
            Step::Lasting(lasting) => self.perform(lasting),
            Step::Load(name) => {
                self.with_var(*name, |var| with!(var, |var| self.saw(*name, &E::load(var))));
            }
            Step::Store(name, value) => {
                self.with_var(*name, |var| with!(var, |var| E::store(var, self.datum(value))));
            }
            Step::Update(name, fun) => {
                self.with_var(*name, |var| with!(var, |var| E::update(var, typed(*fun, &self.tally))));
            }
            Step::Atomically(body) => {
                let end = self.transaction(body);
                self.event(Event::Ended(end));
            }
        }
    }

    fn transaction(&self, body: &[Stmt]) -> End {
        let attempt = || {
            let runs = Cell::new(0);
            let once = || {
                runs.set(runs.get() + 1);
                assert_eq!(runs.get(), 1, "the closure ran again, with nobody to conflict with");
            };
            if may_abort(body) {
                let done = E::try_atomically(&self.space, |tx| {
                    once();
                    if may_retry(body) {
                        let left = |tx: &E::Tx<'_>| self.block::<Typed>(tx, body).map(|()| End::Committed);
                        return E::try_or_else(tx, left, |_| Ok(End::Blocked));
                    }
                    self.block::<Typed>(tx, body).map(|()| End::Committed)
                });
                done.unwrap_or_else(End::Aborted)
            } else {
                E::atomically(&self.space, |tx| {
                    once();
                    if may_retry(body) {
                        let left = |tx: &E::Tx<'_>| self.block::<Plain>(tx, body).map(|()| End::Committed);
                        return E::or_else(tx, left, |_| Ok(End::Blocked));
                    }
                    self.block::<Plain>(tx, body).map(|()| End::Committed)
                })
            }
        };
        match catch_unwind(AssertUnwindSafe(attempt)) {
            Ok(end) => end,
            Err(payload) if payload.is::<Planned>() => End::Panicked,
            Err(payload) => resume_unwind(payload),
        }
    }

    fn block<F: Face<E>>(&self, tx: &E::Tx<'_>, block: &[Stmt]) -> Result<(), F::Early> {
        block.iter().try_for_each(|stmt| self.stmt::<F>(tx, stmt))
    }

    fn stmt<F: Face<E>>(&self, tx: &E::Tx<'_>, stmt: &Stmt) -> Result<(), F::Early> {
        match stmt {
            Stmt::Lasting(lasting) => self.perform(lasting),
            Stmt::Read(name) => {
                self.with_var(*name, |var| self.read(tx, *name, var));
            }
            Stmt::Hold(name, body) => {
                if let Some(result) = self.with_var(*name, |var| {
                    with!(var, |var| E::read(tx, var, |held| {
                        self.saw(*name, held);
                        let before = held.val();
                        let result = self.block::<F>(tx, body);
                        assert_eq!(before, held.val(), "a reference handed out by a read changed");
                        result
                    }))
                }) {
                    result?;
                }
            }
            Stmt::Write(name, value) => {
                self.with_var(*name, |var| with!(var, |var| E::write(tx, var, self.datum(value))));
            }
            Stmt::Modify(name, fun) => {
                let tally = &self.tally;
                self.with_var(*name, |var| with!(var, |var| E::modify(tx, var, typed(*fun, tally))));
            }
            Stmt::Merge(name, fun) => {
                let tally = &self.tally;
                self.with_var(*name, |var| with!(var, |var| E::merge(tx, var, typed(*fun, tally))));
            }
            Stmt::Replace(name, value) => {
                self.with_var(*name, |var| {
                    with!(var, |var| E::replace(tx, var, self.datum(value), |old| { self.saw(*name, old) }));
                });
            }
            Stmt::WriteIfChanged(name, value) => {
                self.with_var(*name, |var| {
                    let changed = with!(var, |var| E::write_if_changed(tx, var, self.datum(value)));
                    self.event(Event::Changed(*name, changed));
                });
            }
            Stmt::Lock(name, exclusive) => {
                if let Some(locked) = self.with_var(*name, |var| with!(var, |var| E::lock(tx, var, *exclusive))) {
                    locked?;
                }
            }
            Stmt::TryLock(name, exclusive) => {
                if let Some(locked) = self.with_var(*name, |var| with!(var, |var| E::try_lock(tx, var, *exclusive))) {
                    self.event(Event::Locked(locked?));
                }
            }
            Stmt::Entry(key, op) => {
                let event = E::entry(tx, &self.map, *key, *op)?;
                self.event(event);
            }
            Stmt::Range(low, high) => self.event(Event::Range(E::range(tx, &self.map, *low, *high))),
            Stmt::LockRange(low, high, exclusive) => E::lock_range(tx, &self.map, *low, *high, *exclusive)?,
            Stmt::Clear => E::clear(tx, &self.map),
            Stmt::Check(name) => {
                let value = self.with_var(*name, |var| self.read(tx, *name, var));
                if value.is_some_and(|value| !value.holds()) {
                    E::retry::<()>(tx)?;
                }
            }
            Stmt::If(name, one, other) => {
                if let Some(value) = self.with_var(*name, |var| self.read(tx, *name, var)) {
                    self.block::<F>(tx, if value.holds() { one } else { other })?;
                }
            }
            Stmt::Retry => E::retry(tx)?,
            Stmt::Abort(code) => F::abort(tx, *code)?,
            Stmt::Panic => resume_unwind(Box::new(Planned)),
            Stmt::OrElse(left, right) => {
                if may_abort(left) || may_abort(right) {
                    let (left, right) = (
                        |tx: &E::Tx<'_>| self.block::<Typed>(tx, left),
                        |tx: &E::Tx<'_>| self.block::<Typed>(tx, right),
                    );
                    F::try_or_else(tx, left, right)?;
                } else {
                    let (left, right) = (
                        |tx: &E::Tx<'_>| self.block::<Plain>(tx, left),
                        |tx: &E::Tx<'_>| self.block::<Plain>(tx, right),
                    );
                    E::or_else(tx, left, right)?;
                }
            }
            Stmt::Nested(body) => {
                let inner = E::nested(tx, |tx| self.block::<Typed>(tx, body))?;
                self.event(Event::Inner(inner));
            }
        }
        Ok(())
    }

    fn perform(&self, lasting: &Lasting) {
        match lasting {
            Lasting::New(name, value) => {
                let var = self.var(value);
                self.vars.borrow_mut().insert(*name, var);
            }
            Lasting::Drop(name) => {
                let var = self.vars.borrow_mut().remove(name);
                drop(var);
            }
            Lasting::Keep(kept) => {
                let snapshot = E::snapshot(&self.space);
                self.kept.borrow_mut().insert(*kept, snapshot);
            }
            Lasting::Forget(kept) => {
                let snapshot = self.kept.borrow_mut().remove(kept);
                drop(snapshot);
            }
            Lasting::Look(kept, name) => {
                self.with_var(*name, |var| self.look(*kept, *name, var));
            }
            Lasting::Diff(older, newer) => self.diff(*older, *newer),
        }
    }

    fn look(&self, kept: Kept, name: Name, var: &AnyVar<E>) {
        if let Some(snapshot) = self.kept.borrow().get(&kept) {
            let value = with!(var, |var| E::look(snapshot, var, Datum::val));
            self.event(Event::Snapshot(kept, name, value));
        }
    }

    fn diff(&self, older: Kept, newer: Kept) {
        let kept = self.kept.borrow();
        if let (Some(before), Some(after)) = (kept.get(&older), kept.get(&newer)) {
            let diff = E::diff(before, after);
            for (name, var) in &*self.vars.borrow() {
                let differs = with!(var, |var| E::changed(&diff, var));
                self.event(Event::Differs(older, newer, *name, differs));
            }
        }
    }

    /// The last lines of every trace: the heap, every kept snapshot, and from each to the next the difference.
    fn look_at_all(&self) {
        for (name, var) in &*self.vars.borrow() {
            with!(var, |var| self.saw(*name, &E::load(var)));
            for kept in self.kept.borrow().keys() {
                self.look(*kept, *name, var);
            }
        }
        let newest = E::snapshot(&self.space);
        for key in Key::all() {
            let entry = |kept, snapshot| {
                let found = E::entry_in(snapshot, &self.map, key);
                found.is_some().then(|| self.event(Event::Entry(key, kept, found)))
            };
            entry(None, &newest);
            self.kept.borrow().iter().for_each(|(kept, snapshot)| _ = entry(Some(*kept), snapshot));
        }
        drop(newest);
        let kept: Vec<_> = self.kept.borrow().keys().copied().collect();
        for pair in kept.windows(2) {
            self.diff(pair[0], pair[1]);
        }
    }

    fn var(&self, value: &Val) -> AnyVar<E> {
        match value {
            Val::Int(_) => AnyVar::Int(E::var(&self.space, self.datum(value))),
            Val::Byte(_) => AnyVar::Byte(E::var(&self.space, self.datum(value))),
            Val::Real(_) => AnyVar::Real(E::var(&self.space, self.datum(value))),
            Val::Unit => AnyVar::Unit(E::var(&self.space, self.datum(value))),
            Val::Text(_) => AnyVar::Text(E::var(&self.space, self.datum(value))),
            Val::List(_) => AnyVar::List(E::var(&self.space, self.datum(value))),
        }
    }

    /// Does something with a handle of its own, if the name is bound: the statement may drop the one in the world.
    fn with_var<R>(&self, name: Name, act: impl FnOnce(&AnyVar<E>) -> R) -> Option<R> {
        let var = self.vars.borrow().get(&name).cloned();
        var.map(|var| act(&var))
    }

    fn read(&self, tx: &E::Tx<'_>, name: Name, var: &AnyVar<E>) -> Val {
        with!(var, |var| E::read(tx, var, |value| {
            self.saw(name, value);
            value.val()
        }))
    }

    fn datum<T: Datum>(&self, value: &Val) -> T {
        T::new(value, &self.tally)
    }

    fn saw<T: Datum>(&self, name: Name, value: &T) {
        self.event(Event::Saw(name, value.val()));
    }

    fn event(&self, event: Event) {
        self.trace.borrow_mut().push(event);
    }
}

/// Which of the two faces of an engine a block runs under: that of transactions that only wait, or that of those
/// that may abort. Both are used: a block is plain wherever no abort can leave it.
trait Face<E: Engine> {
    type Early: From<E::Stop>;

    fn abort(tx: &E::Tx<'_>, code: i64) -> Result<(), Self::Early>;

    fn try_or_else(
        tx: &E::Tx<'_>,
        left: impl FnOnce(&E::Tx<'_>) -> Result<(), E::Abort>,
        right: impl FnOnce(&E::Tx<'_>) -> Result<(), E::Abort>,
    ) -> Result<(), Self::Early>;
}

struct Plain;
struct Typed;

impl<E: Engine> Face<E> for Plain {
    type Early = E::Stop;

    fn abort(_: &E::Tx<'_>, _: i64) -> Result<(), E::Stop> {
        unreachable!("a block with an abort is typed")
    }

    fn try_or_else(
        _: &E::Tx<'_>,
        _: impl FnOnce(&E::Tx<'_>) -> Result<(), E::Abort>,
        _: impl FnOnce(&E::Tx<'_>) -> Result<(), E::Abort>,
    ) -> Result<(), E::Stop> {
        unreachable!("a block with an abort is typed")
    }
}

impl<E: Engine> Face<E> for Typed {
    type Early = E::Abort;

    fn abort(tx: &E::Tx<'_>, code: i64) -> Result<(), E::Abort> {
        E::abort(tx, code)
    }

    fn try_or_else(
        tx: &E::Tx<'_>,
        left: impl FnOnce(&E::Tx<'_>) -> Result<(), E::Abort>,
        right: impl FnOnce(&E::Tx<'_>) -> Result<(), E::Abort>,
    ) -> Result<(), E::Abort> {
        E::try_or_else(tx, left, right)
    }
}
