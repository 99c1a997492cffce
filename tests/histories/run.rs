//! Runs blocks on the crate, and notes what they see.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::time::Duration;

use tvar::{Abort, AfterCommit, Backoff, Isolation, LockMode, Space, TryError, Tx, TxOptions};

use crate::history::{Attempt, Entry};
use crate::program::{Code, EntryOp, Line, LineOp, Map, Options, Stmt, Tag, Writer};
use crate::things::{Datum, Things, of_any_type, of_both_maps, read, row};

/// A panic that a program has asked for.
pub(crate) struct Planned;

thread_local! {
    /// On what this thread has applied functions of merges.
    static APPLIED: RefCell<Vec<(Code, Code)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn take_applied() -> Vec<(Code, Code)> {
    APPLIED.take()
}

fn planned_panic() -> ! {
    // Without a word of the panic hook.
    resume_unwind(Box::new(Planned) as Box<dyn Any + Send>)
}

pub(crate) fn options(space: &Space, options: &Options) -> TxOptions {
    let mut all = TxOptions::new().space(space);
    if options.snapshot {
        all = all.isolation(Isolation::Snapshot);
    }
    if options.pessimistic {
        all = all.pessimistic();
    }
    if let Some(lost) = options.coalesce_after {
        all = all.coalesce_after(lost);
    }
    if let Some(lost) = options.escalate_after {
        all = all.escalate_after(lost);
    }
    if let Some(most) = options.max_attempts {
        all = all.max_attempts(most);
    }
    if let Some(limit) = options.timeout_us {
        all = all.timeout(Duration::from_micros(limit));
    }
    if options.eager {
        all = all.backoff(Backoff::None);
    }
    if options.fail_on_deadlock {
        all = all.fail_on_deadlock();
    }
    all
}

/// One call: its attempts, and the results of its merges.
pub(crate) struct Recorder<'t> {
    pub(crate) things: &'t Things,
    pub(crate) me: Writer,
    pub(crate) tells: bool,
    pub(crate) attempts: RefCell<Vec<Attempt>>,
    thens: RefCell<Vec<(Tag, AfterCommit<Code>)>>,
    at: Cell<Option<u64>>,
}

type Step = Result<(), Abort<u8>>;

impl<'t> Recorder<'t> {
    pub(crate) fn new(things: &'t Things, me: Writer, tells: bool) -> Self {
        let (attempts, thens) = (RefCell::default(), RefCell::default());
        Recorder { things, me, tells, attempts, thens, at: Cell::new(None) }
    }

    pub(crate) fn run(&self, call: &TxOptions, block: &[Stmt]) -> Result<(), TryError<u8>> {
        call.try_run(|tx| {
            self.attempts.borrow_mut().push(Attempt { number: tx.attempt(), log: Vec::new() });
            self.thens.borrow_mut().clear();
            self.at.set(None);
            self.tell();
            self.block(tx, block)
        })
    }

    /// Those of the parts that were undone stay empty.
    pub(crate) fn thens(&self) -> Vec<(Tag, Code)> {
        let thens = self.thens.borrow();
        thens.iter().filter_map(|(tag, result)| Some((*tag, result.take()?))).collect()
    }

    fn me(&self, tx: &Tx<'_>) -> Writer {
        Writer { attempt: tx.attempt(), ..self.me }
    }

    /// Notes the version of the snapshot, if it is another than before. What was seen just now was seen in it.
    fn tell(&self) {
        if self.tells {
            let version = self.things.space.snapshot().version();
            if self.at.replace(Some(version)) != Some(version) {
                self.push(Entry::At(version));
            }
        }
    }

    fn push(&self, entry: Entry) {
        self.attempts.borrow_mut().last_mut().expect("an attempt runs").log.push(entry);
    }

    fn note(&self, entry: Entry) {
        self.tell();
        self.push(entry);
    }

    fn block(&self, tx: &Tx<'_>, block: &[Stmt]) -> Step {
        block.iter().try_for_each(|stmt| self.stmt(tx, stmt))
    }

    fn stmt(&self, tx: &Tx<'_>, stmt: &Stmt) -> Step {
        if let Some(seen) = self.things.see(tx, stmt) {
            self.note(seen);
            return Ok(());
        }
        let (vars, me) = (&self.things.vars, self.me(tx));
        match stmt {
            Stmt::Write(var, tag) => of_any_type!(&vars[*var], v => tx.write(v, Datum::of(me.code(*tag)))),
            Stmt::Modify(var, tag) => {
                of_any_type!(&vars[*var], v => tx.modify(v, |old| Datum::of(me.turned(*tag, old.code()))));
            }
            Stmt::Replace(var, tag) => {
                let old = of_any_type!(&vars[*var], v => tx.replace(v, Datum::of(me.code(*tag))).code());
                self.note(Entry::Saw(Some(old)));
            }
            Stmt::Keep(var) => of_any_type!(&vars[*var], v => tx.modify(v, Clone::clone)),
            Stmt::Merge(var, tag) => {
                let tag = *tag;
                of_any_type!(&vars[*var], v => tx.merge(v, move |old| merged(me, tag, old)));
            }
            Stmt::Burst(var, bit, tag) => {
                let (bit, tag) = (*bit, *tag);
                of_any_type!(&vars[*var], v => tx.merge(v, move |old| {
                    if bit.of(old.code()) {
                        planned_panic();
                    }
                    merged(me, tag, old)
                }));
            }
            Stmt::MergeThen(var, tag) => {
                let tag = *tag;
                let then = of_any_type!(&vars[*var],
                    v => tx.merge_then(v, move |old| merged(me, tag, old), |new| new.code()));
                self.thens.borrow_mut().push((tag, then));
            }
            Stmt::Ensure(var) => of_any_type!(&vars[*var], v => tx.ensure(v)),
            Stmt::Wait(var, bit) => {
                let code = read(tx, &vars[*var]);
                self.note(Entry::Saw(Some(code)));
                tx.check(bit.of(code))?;
            }
            Stmt::WaitFor(var, bit) => {
                let code = read(tx, &vars[*var]);
                self.note(Entry::Saw(Some(code)));
                if !bit.of(code) {
                    tx.retry_for(Duration::from_micros(500))?;
                    self.note(Entry::Expired);
                }
            }
            Stmt::If(var, bit, block) => {
                let code = read(tx, &vars[*var]);
                self.note(Entry::Saw(Some(code)));
                if bit.of(code) {
                    self.block(tx, block)?;
                }
            }
            Stmt::OrElse(left, right) => tx.try_or_else(
                |tx| self.block(tx, left),
                |tx| {
                    self.note(Entry::Right);
                    self.block(tx, right)
                },
            )?,
            Stmt::Nested(block) => {
                if let Err(error) = tx.nested(|tx| self.block(tx, block))? {
                    self.note(Entry::Undone(error));
                }
            }
            Stmt::Abort(error) => tx.abort(*error)?,
            Stmt::Panic => planned_panic(),
            Stmt::Lock(var, exclusive) => {
                of_any_type!(&vars[*var], v => tx.lock(v, mode(*exclusive)))?;
                self.note(Entry::Got(true));
            }
            Stmt::TryLock(var, exclusive) => {
                let got = of_any_type!(&vars[*var], v => tx.try_lock(v, mode(*exclusive)))?;
                self.note(Entry::Got(got));
            }
            Stmt::LockKey(map, key, exclusive) => {
                of_both_maps!(self.things, map, m => m.lock_key(tx, key, mode(*exclusive)))?;
                self.note(Entry::Got(true));
            }
            Stmt::LockRange(low, high, exclusive) => {
                self.things.ord.lock_range(tx, low..=high, mode(*exclusive))?;
                self.note(Entry::Got(true));
            }
            Stmt::Entry(map, key, op) => {
                let seen = of_both_maps!(self.things, map, m => match *op {
                    EntryOp::Insert(tag) => {
                        Some(Entry::Saw(m.insert(tx, *key, Datum::of(me.code(tag))).map(Datum::code)))
                    }
                    EntryOp::InsertNew(tag) => Some(Entry::Flag(m.insert_new(tx, *key, Datum::of(me.code(tag))))),
                    EntryOp::Upsert(tag) => {
                        m.upsert(tx, *key, Datum::of(me.code(tag)));
                        None
                    }
                    EntryOp::UpsertWith(tag) => {
                        m.upsert_with(tx, *key, Datum::of(me.code(tag)), move |old| merged(me, tag, old));
                        None
                    }
                    EntryOp::Modify(tag) => {
                        Some(Entry::Flag(m.modify(tx, key, |old| Datum::of(me.turned(tag, old.code())))))
                    }
                    EntryOp::Remove => Some(Entry::Saw(m.remove(tx, key).map(Datum::code))),
                    EntryOp::Get => unreachable!("seen above"),
                });
                seen.into_iter().for_each(|seen| self.note(seen));
            }
            Stmt::PopFirst => self.note(Entry::Rows(self.things.ord.pop_first(tx).map(row).into_iter().collect())),
            Stmt::Line(Line::Queue, op) => self.queue(tx, *op)?,
            Stmt::Line(Line::Ring, op) => self.ring(tx, *op)?,
            Stmt::Read(_) | Stmt::Len(_) | Stmt::Rows(_) | Stmt::Range(..) => unreachable!("seen above"),
        }
        self.tell();
        Ok(())
    }

    fn queue(&self, tx: &Tx<'_>, op: LineOp) -> Step {
        let (queue, me) = (&self.things.queue, self.me(tx));
        let seen = match op {
            LineOp::Push(tag) => {
                queue.write(tx, me.code(tag));
                return Ok(());
            }
            LineOp::Unget(tag) => {
                queue.unget(tx, me.code(tag));
                return Ok(());
            }
            LineOp::TryPush(tag) => {
                queue.write(tx, me.code(tag));
                Entry::Flag(true)
            }
            LineOp::Pop => Entry::Saw(Some(*queue.read(tx)?)),
            LineOp::TryPop => Entry::Saw(queue.try_read(tx).copied()),
            LineOp::Peek => Entry::Saw(queue.try_peek(tx).copied()),
            LineOp::Flush => Entry::Items(queue.flush(tx).into_iter().copied().collect()),
            LineOp::IsEmpty => Entry::Flag(queue.is_empty(tx)),
        };
        self.note(seen);
        Ok(())
    }

    fn ring(&self, tx: &Tx<'_>, op: LineOp) -> Step {
        let (ring, me) = (&self.things.ring, self.me(tx));
        let seen = match op {
            LineOp::Push(tag) => return Ok(ring.write(tx, Datum::of(me.code(tag)))?),
            LineOp::Unget(tag) => return Ok(ring.unget(tx, Datum::of(me.code(tag)))?),
            LineOp::TryPush(tag) => Entry::Flag(ring.try_write(tx, Datum::of(me.code(tag))).is_ok()),
            LineOp::Pop => Entry::Saw(Some(ring.read(tx)?.code())),
            LineOp::TryPop => Entry::Saw(ring.try_read(tx).map(Datum::code)),
            LineOp::Flush => Entry::Items(ring.flush(tx).into_iter().map(Datum::code).collect()),
            LineOp::Peek | LineOp::IsEmpty => unreachable!("seen above"),
        };
        self.note(seen);
        Ok(())
    }
}

fn mode(exclusive: bool) -> LockMode {
    if exclusive { LockMode::Exclusive } else { LockMode::Shared }
}

/// The function of every merge.
fn merged<D: Datum>(me: Writer, tag: Tag, old: &D) -> D {
    let old = old.code();
    APPLIED.with_borrow_mut(|all| all.push((me.code(tag), old)));
    D::of(me.turned(tag, old))
}
