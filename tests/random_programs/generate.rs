//! Makes a program from a seed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use crate::program::{Block, EntryOp, Kept, Key, Lasting, Name, Program, Step, Stmt};
use crate::value::{Fun, Kind, Val};

/// How deep blocks nest.
const DEPTH: u32 = 4;

pub(crate) fn generate(seed: u64) -> Program {
    let mut rng = StdRng::seed_from_u64(seed);
    // A few variables, so that statements meet on them; sometimes a crowd and a longer life, so that the tree grows
    // levels, slots are used again, and write sets outgrow what is searched from end to end.
    let crowd = rng.random_range(0..100) < 5;
    let (vars, length, budget) = if crowd { (30..100, 10..50, 500) } else { (1..5, 2..14, 80) };
    let (vars, length) = (rng.random_range(vars), rng.random_range(length));
    let mut generator = Generator { rng, crowd, budget, vars: Vec::new(), names: 0, kept: Vec::new(), snapshots: 0 };
    let mut steps: Vec<_> = (0..vars).map(|_| Step::Lasting(generator.new_var())).collect();
    if generator.chance(50) {
        // Most operations on entries are about some that are there.
        let fill = |key: Key| Stmt::Entry(key, EntryOp::Upsert(key.0.into()));
        steps.push(Step::Atomically(Key::all().skip(1).map(fill).collect()));
    }
    for _ in 0..length {
        steps.push(generator.step());
    }
    Program(steps)
}

struct Generator {
    rng: StdRng,
    /// Whether there are many variables, and long blocks.
    crowd: bool,
    /// The variables that statements are made about.
    vars: Vec<(Name, Kind)>,
    names: u32,
    /// The snapshots that statements are made about.
    kept: Vec<Kept>,
    snapshots: u32,
    /// Statements that may still be made.
    budget: u32,
}

impl Generator {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn step(&mut self) -> Step {
        let (name, kind) = self.var();
        match self.rng.random_range(0..100) {
            0..5 => Step::Load(name),
            5..12 => Step::Store(name, self.value(kind)),
            12..18 => Step::Update(name, self.fun()),
            18..45 => Step::Lasting(self.lasting()),
            _ => Step::Atomically(self.block(0)),
        }
    }

    fn lasting(&mut self) -> Lasting {
        match self.rng.random_range(0..100) {
            0..30 => self.new_var(),
            30..45 => Lasting::Drop(self.drop_var()),
            45..70 => self.keep(),
            70..78 => Lasting::Forget(self.forget()),
            78..92 => Lasting::Look(self.some_kept(), self.var().0),
            _ => {
                let (one, other) = (self.some_kept(), self.some_kept());
                Lasting::Diff(one.min(other), one.max(other))
            }
        }
    }

    fn block(&mut self, depth: u32) -> Block {
        let length = if self.crowd && self.chance(30) { 60 } else { self.rng.random_range(0..=6) };
        let mut block = Block::new();
        for _ in 0..length {
            if self.budget == 0 {
                break;
            }
            self.budget -= 1;
            block.push(self.stmt(depth));
        }
        block
    }

    fn stmt(&mut self, depth: u32) -> Stmt {
        let (name, kind) = self.var();
        let compound = if depth < DEPTH { 30 } else { 0 };
        if self.chance(30) {
            return self.lock_or_entry(name);
        }
        match self.rng.random_range(0..100 + compound) {
            0..8 => Stmt::Lasting(self.lasting()),
            8..24 => Stmt::Read(name),
            24..40 => Stmt::Write(name, self.value(kind)),
            40..52 => Stmt::Modify(name, self.fun()),
            52..68 => Stmt::Merge(name, self.fun()),
            68..76 => Stmt::Replace(name, self.value(kind)),
            76..83 => Stmt::WriteIfChanged(name, self.value(kind)),
            83..88 => Stmt::Check(name),
            88..94 => Stmt::Retry,
            94..98 => Stmt::Abort(self.rng.random_range(0..10)),
            98..100 => Stmt::Panic,
            100..113 => Stmt::OrElse(self.block(depth + 1), self.block(depth + 1)),
            113..121 => Stmt::Nested(self.nested(depth + 1)),
            121..126 => Stmt::Hold(name, self.block(depth + 1)),
            _ => Stmt::If(name, self.block(depth + 1), self.block(depth + 1)),
        }
    }

    fn lock_or_entry(&mut self, name: Name) -> Stmt {
        let (one, other, n) = (self.key(), self.key(), self.rng.random_range(0..4));
        let exclusive = self.chance(50);
        let op = match self.rng.random_range(0..100) {
            0..15 => return Stmt::Lock(name, exclusive),
            15..25 => return Stmt::TryLock(name, exclusive),
            25..32 => return Stmt::LockRange(one.min(other), one.max(other), exclusive),
            32..46 => return Stmt::Range(one.min(other), one.max(other)),
            46..48 => return Stmt::Clear,
            48..52 => EntryOp::Get,
            52..60 => EntryOp::Insert(n),
            60..66 => EntryOp::InsertNew(n),
            66..74 => EntryOp::Upsert(n),
            74..82 => EntryOp::UpsertWith(n),
            82..88 => EntryOp::Modify(n),
            88..95 => EntryOp::Remove,
            _ => EntryOp::TryLock(exclusive),
        };
        Stmt::Entry(one, op)
    }

    fn key(&mut self) -> Key {
        Key(self.rng.random_range(0..Key::COUNT))
    }

    /// Aborts are rare, since they end so much; where they end little, some more.
    fn nested(&mut self, depth: u32) -> Block {
        let mut block = self.block(depth);
        if self.chance(30) {
            block.push(Stmt::Abort(self.rng.random_range(10..20)));
        }
        block
    }

    fn new_var(&mut self) -> Lasting {
        const KINDS: [Kind; 8] =
            [Kind::Int, Kind::Int, Kind::Text, Kind::Text, Kind::List, Kind::Byte, Kind::Real, Kind::Unit];
        let kind = *KINDS.choose(&mut self.rng).expect("there are kinds");
        let name = Name(self.names);
        self.names += 1;
        self.vars.push((name, kind));
        Lasting::New(name, self.value(kind))
    }

    /// Some variable; one of the youngest by preference, so that statements meet even in a crowd.
    fn var(&mut self) -> (Name, Kind) {
        if self.vars.is_empty() {
            // Nothing lives: a statement about a name that is never bound.
            return (Name(u32::MAX), Kind::Int);
        }
        let recent = if self.chance(if self.crowd { 30 } else { 80 }) { 4 } else { self.vars.len() };
        let from = self.vars.len().saturating_sub(recent);
        *self.vars[from..].choose(&mut self.rng).expect("there are variables")
    }

    /// Mostly nothing more is said about a dropped variable; now and then the drop is in a branch not taken.
    fn drop_var(&mut self) -> Name {
        let (name, _) = self.var();
        if self.chance(80) {
            self.vars.retain(|(other, _)| *other != name);
        }
        name
    }

    fn keep(&mut self) -> Lasting {
        let kept = Kept(self.snapshots);
        self.snapshots += 1;
        self.kept.push(kept);
        Lasting::Keep(kept)
    }

    fn some_kept(&mut self) -> Kept {
        // With nothing kept: a statement about a name that is never bound.
        *self.kept.choose(&mut self.rng).unwrap_or(&Kept(u32::MAX))
    }

    fn forget(&mut self) -> Kept {
        let kept = self.some_kept();
        self.kept.retain(|other| *other != kept);
        kept
    }

    fn value(&mut self, kind: Kind) -> Val {
        let n = self.rng.random_range(0..4);
        match kind {
            Kind::Int => Val::Int(n),
            Kind::Byte => Val::Byte(self.rng.random_range(0..4)),
            Kind::Real => Val::Real(*[0.0, -0.0, 1.5, f64::NAN].choose(&mut self.rng).expect("four")),
            Kind::Unit => Val::Unit,
            Kind::Text => Val::Text((*["", "a", "bc", "def"].choose(&mut self.rng).expect("four")).into()),
            Kind::List => Val::List((0..n).collect()),
        }
    }

    fn fun(&mut self) -> Fun {
        match self.rng.random_range(0..5) {
            0 => Fun::Keep,
            1 | 2 => Fun::Turn,
            _ => Fun::Add(self.rng.random_range(1..5)),
        }
    }
}
