//! What the threads of a history do: calls, each a block of statements that runs in a transaction.

/// Numbers a write inside its call.
pub(crate) type Tag = u16;

/// A value of the programs, whatever the type of the variable: who wrote it, and 24 bits that depend on the value that it was made from. So values
/// are unique, a read tells its writer, and a merge tells on what it was applied.
pub(crate) type Code = u64;

/// A question about a value that has both answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bit(pub(crate) u8);

impl Bit {
    pub(crate) fn of(self, code: Code) -> bool {
        mixed(code) >> (40 + self.0) & 1 == 1
    }
}

fn mixed(code: Code) -> u64 {
    let code = (code ^ (code >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (code ^ (code >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Writer {
    pub(crate) process: u8,
    pub(crate) call: u16,
    pub(crate) attempt: u64,
}

impl Writer {
    /// Values that are there from the beginning are of this process.
    pub(crate) const FIRST: u8 = 63;

    fn bits(self) -> u64 {
        assert!(self.process < 64 && self.call < 1 << 12 && self.attempt < 1 << 11, "too many to number: {self:?}");
        u64::from(self.process) << 34 | u64::from(self.call) << 22 | self.attempt << 11
    }

    pub(crate) fn code(self, tag: Tag) -> Code {
        assert!(tag < 1 << 11);
        (self.bits() | u64::from(tag)) << 24
    }

    /// A value made from another.
    pub(crate) fn turned(self, tag: Tag, old: Code) -> Code {
        self.code(tag) | mixed(old) >> 40
    }

    pub(crate) fn of(code: Code) -> Writer {
        let id = code >> 24;
        Writer { process: (id >> 34 & 63) as u8, call: (id >> 22 & 0xFFF) as u16, attempt: id >> 11 & 0x7FF }
    }

    /// The value that a thing holds at first.
    pub(crate) fn first(thing: Tag) -> Code {
        Writer { process: Writer::FIRST, call: 0, attempt: 0 }.code(thing)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Map {
    Hash,
    Ord,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Line {
    Queue,
    Ring,
}

/// What a transaction under snapshot isolation can conflict over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    Var(usize),
    Key(Map, u8),
}

pub(crate) type Block = Vec<Stmt>;

/// A `bool` says whether a lock is exclusive.
#[derive(Clone, Debug)]
pub(crate) enum Stmt {
    Read(usize),
    Write(usize, Tag),
    Modify(usize, Tag),
    Replace(usize, Tag),
    /// Writes what is there already.
    Keep(usize),
    Merge(usize, Tag),
    /// A merge that panics on values of which the bit is set.
    Burst(usize, Bit, Tag),
    MergeThen(usize, Tag),
    Ensure(usize),
    /// Retries unless the bit is set; the second until a deadline.
    Wait(usize, Bit),
    WaitFor(usize, Bit),
    If(usize, Bit, Block),
    OrElse(Block, Block),
    Nested(Block),
    Abort(u8),
    Panic,
    Lock(usize, bool),
    TryLock(usize, bool),
    LockKey(Map, u8, bool),
    LockRange(u8, u8, bool),
    Entry(Map, u8, EntryOp),
    Len(Map),
    Rows(Map),
    /// Of the ordered map, the second bound included.
    Range(u8, u8),
    PopFirst,
    Line(Line, LineOp),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum EntryOp {
    Get,
    Insert(Tag),
    InsertNew(Tag),
    Upsert(Tag),
    UpsertWith(Tag),
    Modify(Tag),
    Remove,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum LineOp {
    Push(Tag),
    /// Does nothing if the ring is full.
    TryPush(Tag),
    Unget(Tag),
    Pop,
    TryPop,
    Peek,
    Flush,
    IsEmpty,
}

impl Stmt {
    /// Whether it can write.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Stmt::If(_, _, block) | Stmt::Nested(block) => block.iter().any(Stmt::writes),
            Stmt::OrElse(a, b) => a.iter().chain(b).any(Stmt::writes),
            Stmt::Entry(_, _, EntryOp::Get) | Stmt::Line(_, LineOp::Peek | LineOp::IsEmpty) => false,
            Stmt::Write(..) | Stmt::Modify(..) | Stmt::Replace(..) | Stmt::Keep(_) => true,
            Stmt::Merge(..) | Stmt::Burst(..) | Stmt::MergeThen(..) => true,
            Stmt::Entry(..) | Stmt::PopFirst | Stmt::Line(..) => true,
            _ => false,
        }
    }

    /// How many operations on queues it has.
    pub(crate) fn lines(&self) -> usize {
        let of = |block: &Block| block.iter().map(Stmt::lines).sum();
        match self {
            Stmt::If(_, _, block) | Stmt::Nested(block) => of(block),
            Stmt::OrElse(a, b) => of(a) + of(b),
            Stmt::Line(..) => 1,
            _ => 0,
        }
    }

    /// Whether it can retry.
    pub(crate) fn blocks(&self) -> bool {
        match self {
            Stmt::If(_, _, block) | Stmt::Nested(block) => block.iter().any(Stmt::blocks),
            Stmt::OrElse(a, b) => a.iter().any(Stmt::blocks) && b.iter().any(Stmt::blocks),
            Stmt::Wait(..) | Stmt::WaitFor(..) => true,
            Stmt::Line(_, LineOp::Pop) | Stmt::Line(Line::Ring, LineOp::Push(_) | LineOp::Unget(_)) => true,
            _ => false,
        }
    }
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    Options,
    /// `load`, `store` or `update`.
    Shortcut,
    /// `Space::snapshot`, read when so many further calls have been made.
    Snapshot(u8),
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) via: Via,
    pub(crate) options: Options,
    /// Whether it notes its snapshot's version.
    pub(crate) tells: bool,
    pub(crate) block: Block,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Snapshot isolation, not strict serialisability.
    pub(crate) snapshot: bool,
    pub(crate) pessimistic: bool,
    pub(crate) coalesce_after: Option<u32>,
    pub(crate) escalate_after: Option<u64>,
    pub(crate) max_attempts: Option<u64>,
    pub(crate) timeout_us: Option<u64>,
    pub(crate) eager: bool,
    pub(crate) fail_on_deadlock: bool,
}

/// The types of the variables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Num,
    Text,
    List,
}

#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) vars: Vec<Kind>,
    pub(crate) capacity: usize,
    /// Rows and items that are there from the beginning.
    pub(crate) filled: u8,
    pub(crate) threads: Vec<Vec<Plan>>,
}

/// Keys of both maps.
pub(crate) const KEYS: u8 = 5;
