//! Random programs: their syntax, and how they are printed.
//!
//! Every variable and every kept snapshot has a name of its own, bound at one place. A statement about a name that
//! is not bound when it runs (its `new` was not reached, it was dropped, or shrinking cut it) does nothing.

use std::fmt::{self, Display, Formatter};

use crate::value::{Fun, Val};

/// A variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) u32);

/// A kept snapshot; the higher number was taken later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kept(pub(crate) u32);

/// A key of the program's one map, which has entries of numbers. It begins empty, and is there from begin to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u8);

impl Key {
    pub(crate) const COUNT: u8 = 4;

    pub(crate) fn all() -> impl Iterator<Item = Key> {
        (0..Key::COUNT).map(Key)
    }
}

pub(crate) type Block = Vec<Stmt>;

#[derive(Clone, Debug)]
pub(crate) struct Program(pub(crate) Vec<Step>);

/// What one thread does, outside of transactions.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Lasting(Lasting),
    Load(Name),
    Store(Name, Val),
    Update(Name, Fun),
    Atomically(Block),
}

/// What may happen inside and outside of transactions, and is undone by nothing.
#[derive(Clone, Debug)]
pub(crate) enum Lasting {
    New(Name, Val),
    Drop(Name),
    Keep(Kept),
    Forget(Kept),
    Look(Kept, Name),
    /// Asks the difference of the two about every variable that lives.
    Diff(Kept, Kept),
}

/// What happens inside of a transaction.
#[derive(Clone, Debug)]
pub(crate) enum Stmt {
    Lasting(Lasting),
    Read(Name),
    /// Reads, and holds on to the reference while the block runs (§2.1).
    Hold(Name, Block),
    Write(Name, Val),
    Modify(Name, Fun),
    Merge(Name, Fun),
    Replace(Name, Val),
    WriteIfChanged(Name, Val),
    /// Locks a variable (§5.2); with one thread, at once, and to no effect. `bool`: exclusively.
    Lock(Name, bool),
    TryLock(Name, bool),
    Entry(Key, EntryOp),
    /// Reads the entries from the first key to the second (§6.2).
    Range(Key, Key),
    /// Locks the keys from the first to the second (§5.5).
    LockRange(Key, Key, bool),
    /// Takes all entries out.
    Clear,
    /// Reads, and retries unless the value [holds](Val::holds).
    Check(Name),
    If(Name, Block, Block),
    Retry,
    Abort(i64),
    Panic,
    OrElse(Block, Block),
    Nested(Block),
}

/// What is done with one entry of the map (§6.1).
#[derive(Clone, Copy, Debug)]
pub(crate) enum EntryOp {
    Get,
    Insert(i64),
    InsertNew(i64),
    Upsert(i64),
    /// Adds to what is there.
    UpsertWith(i64),
    /// Adds to what is there, if anything is.
    Modify(i64),
    Remove,
    TryLock(bool),
}

impl EntryOp {
    /// What it makes of an entry, and what it lets be seen.
    pub(crate) fn applied(self, key: Key, old: Option<i64>) -> (Option<i64>, Event) {
        let (seen, answered) = (Event::Entry(key, None, old), |yes| Event::Answered(key, yes));
        match self {
            EntryOp::Get => (old, seen),
            EntryOp::Insert(n) => (Some(n), seen),
            EntryOp::InsertNew(n) => (old.or(Some(n)), answered(old.is_none())),
            EntryOp::Upsert(n) => (Some(n), answered(true)),
            EntryOp::UpsertWith(n) => (Some(old.map_or(n, |old| old + n)), answered(true)),
            EntryOp::Modify(n) => (old.map(|old| old + n), answered(old.is_some())),
            EntryOp::Remove => (None, seen),
            EntryOp::TryLock(_) => (old, answered(true)),
        }
    }
}

/// Whether an abort can leave the block. (One inside of `nested` does not.)
pub(crate) fn may_abort(block: &[Stmt]) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::Abort(_) => true,
        Stmt::Hold(_, body) => may_abort(body),
        Stmt::If(_, one, other) | Stmt::OrElse(one, other) => may_abort(one) || may_abort(other),
        _ => false,
    })
}

/// Whether a retry can leave the block.
pub(crate) fn may_retry(block: &[Stmt]) -> bool {
    block.iter().any(|stmt| match stmt {
        Stmt::Retry | Stmt::Check(_) => true,
        Stmt::Hold(_, body) | Stmt::Nested(body) => may_retry(body),
        Stmt::If(_, one, other) => may_retry(one) || may_retry(other),
        Stmt::OrElse(_, right) => may_retry(right),
        _ => false,
    })
}

/// What a program lets be seen; equal traces are equal behaviour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// A read, a load, the old value of a replace, or one of the final heap.
    Saw(Name, Val),
    /// The entry of a key, or what was there before; or what an operation answered. The second: of which version.
    Entry(Key, Option<Kept>, Option<i64>),
    Answered(Key, bool),
    /// The entries of a range.
    Range(Vec<(u8, i64)>),
    /// What `try_lock` answered.
    Locked(bool),
    /// What `write_if_changed` answered.
    Changed(Name, bool),
    /// What a kept snapshot holds.
    Snapshot(Kept, Name, Val),
    /// What a difference answered.
    Differs(Kept, Kept, Name, bool),
    /// How a `nested` ended: the error of its abort.
    Inner(Result<(), i64>),
    /// How a transaction ended.
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Committed,
    /// It would have slept.
    Blocked,
    Aborted(i64),
    Panicked,
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl Display for Kept {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "k{}", self.0)
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Lasting(lasting) => writeln!(f, "{lasting}")?,
                Step::Load(name) => writeln!(f, "load {name}")?,
                Step::Store(name, value) => writeln!(f, "store {name} = {value:?}")?,
                Step::Update(name, fun) => writeln!(f, "update {name} by {fun:?}")?,
                Step::Atomically(body) => print_blocks(f, 0, &[("atomically", body)])?,
            }
        }
        Ok(())
    }
}

impl Display for Lasting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::New(name, value) => write!(f, "new {name} = {value:?}"),
            Self::Drop(name) => write!(f, "drop {name}"),
            Self::Keep(kept) => write!(f, "snapshot {kept}"),
            Self::Forget(kept) => write!(f, "drop {kept}"),
            Self::Look(kept, name) => write!(f, "read {name} in {kept}"),
            Self::Diff(older, newer) => write!(f, "diff {older} {newer}"),
        }
    }
}

fn mode(exclusive: bool) -> &'static str {
    if exclusive { "exclusive" } else { "shared" }
}

fn print_stmt(f: &mut Formatter<'_>, depth: usize, stmt: &Stmt) -> fmt::Result {
    let indent = "    ".repeat(depth);
    match stmt {
        Stmt::Lasting(lasting) => writeln!(f, "{indent}{lasting}"),
        Stmt::Read(name) => writeln!(f, "{indent}read {name}"),
        Stmt::Write(name, value) => writeln!(f, "{indent}write {name} = {value:?}"),
        Stmt::Modify(name, fun) => writeln!(f, "{indent}modify {name} by {fun:?}"),
        Stmt::Merge(name, fun) => writeln!(f, "{indent}merge {name} by {fun:?}"),
        Stmt::Replace(name, value) => writeln!(f, "{indent}replace {name} = {value:?}"),
        Stmt::WriteIfChanged(name, value) => {
            writeln!(f, "{indent}write_if_changed {name} = {value:?}")
        }
        Stmt::Lock(name, exclusive) => writeln!(f, "{indent}lock {name} {}", mode(*exclusive)),
        Stmt::TryLock(name, exclusive) => writeln!(f, "{indent}try_lock {name} {}", mode(*exclusive)),
        Stmt::Entry(key, op) => writeln!(f, "{indent}{op:?} {key}"),
        Stmt::Range(low, high) => writeln!(f, "{indent}range {low} to {high}"),
        Stmt::LockRange(low, high, exclusive) => {
            writeln!(f, "{indent}lock {low} to {high} {}", mode(*exclusive))
        }
        Stmt::Clear => writeln!(f, "{indent}clear"),
        Stmt::Check(name) => writeln!(f, "{indent}check {name}"),
        Stmt::Retry => writeln!(f, "{indent}retry"),
        Stmt::Abort(code) => writeln!(f, "{indent}abort {code}"),
        Stmt::Panic => writeln!(f, "{indent}panic"),
        Stmt::Hold(name, body) => print_blocks(f, depth, &[(&format!("hold {name}"), body)]),
        Stmt::Nested(body) => print_blocks(f, depth, &[("nested", body)]),
        Stmt::OrElse(left, right) => print_blocks(f, depth, &[("try", left), ("or_else", right)]),
        Stmt::If(name, one, other) => print_blocks(f, depth, &[(&format!("if {name}"), one), ("else", other)]),
    }
}

fn print_blocks(f: &mut Formatter<'_>, depth: usize, blocks: &[(&str, &Block)]) -> fmt::Result {
    let indent = "    ".repeat(depth);
    for (number, (head, body)) in blocks.iter().enumerate() {
        let before = if number == 0 { indent.as_str() } else { " " };
        writeln!(f, "{before}{head} {{")?;
        for stmt in *body {
            print_stmt(f, depth + 1, stmt)?;
        }
        write!(f, "{indent}}}")?;
    }
    writeln!(f)
}
