//! Makes a program from a seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::program::{Bit, Block, EntryOp, KEYS, Kind, Line, LineOp, Map, Options, Plan, Program, Stmt, Via};

/// How deep blocks nest.
const DEPTH: u32 = 3;

pub(crate) fn generate(seed: u64) -> Program {
    let mut rng = StdRng::seed_from_u64(seed);
    let vars = rng.random_range(2..=5);
    let kind = |rng: &mut StdRng| match rng.random_range(0..4) {
        0 | 1 => Kind::Num,
        2 => Kind::Text,
        _ => Kind::List,
    };
    let vars: Vec<_> = (0..vars).map(|_| kind(&mut rng)).collect();
    let (threads, length) = (rng.random_range(2..=8), rng.random_range(8..=24));
    let (capacity, filled) = (rng.random_range(1..=3), rng.random_range(0..=3));
    // Some programs are about variables alone, so that batches are large.
    let whole = rng.random_bool(0.7);
    let mut generator = Generator { rng, vars: vars.len(), whole, tags: 0, snapshot: false };
    let threads = (0..threads).map(|_| (0..length).map(|_| generator.plan()).collect()).collect();
    Program { vars, capacity, filled, threads }
}

/// What helps a transaction that waits: the conditions get new answers, the queue an item, the ring an item or room.
pub(crate) fn feed(rng: &mut StdRng, vars: usize) -> Plan {
    let stmt = match rng.random_range(0..6) {
        0 => Stmt::Line(Line::Queue, LineOp::Push(1)),
        1 => Stmt::Line(Line::Ring, LineOp::TryPush(1)),
        2 => Stmt::Line(Line::Ring, LineOp::TryPop),
        _ => Stmt::Write(rng.random_range(0..vars), 1),
    };
    Plan { via: Via::Options, options: Options::default(), tells: rng.random_bool(0.5), block: vec![stmt] }
}

struct Generator {
    rng: StdRng,
    vars: usize,
    /// Whether there are maps and queues.
    whole: bool,
    tags: u16,
    /// Whether the call is under snapshot isolation: queues are left out, which rest on serialisable reads, and so is what writes to keys that only
    /// the newest version knows.
    snapshot: bool,
}

impl Generator {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn plan(&mut self) -> Plan {
        self.tags = 0;
        let (var, tag) = (self.var(), self.tag());
        let shortcut = |stmt| Plan { via: Via::Shortcut, options: Options::default(), tells: false, block: vec![stmt] };
        match self.rng.random_range(0..100) {
            0..4 => return shortcut(Stmt::Read(var)),
            4..8 => return shortcut(Stmt::Write(var, tag)),
            8..12 => return shortcut(Stmt::Modify(var, tag)),
            12..18 => return self.snapshot(),
            _ => {}
        }
        self.snapshot = self.chance(15);
        let mut options = self.options();
        let mut block = self.block(0);
        if block.iter().map(Stmt::lines).sum::<usize>() > 1 {
            // It might wait for what cannot come: an item after it has taken all, or room for more than there ever is.
            options.timeout_us.get_or_insert(3000);
        }
        if block.iter().any(Stmt::blocks) {
            // Read before anything is written, so that a wait is never in vain (§3.4).
            block.insert(0, Stmt::Read(var));
        }
        Plan { via: Via::Options, tells: options.snapshot || self.chance(70), options, block }
    }

    fn snapshot(&mut self) -> Plan {
        let mut block: Block = (0..self.vars).map(Stmt::Read).collect();
        block.push(Stmt::Rows(if self.chance(50) { Map::Hash } else { Map::Ord }));
        block.push(Stmt::Len(Map::Ord));
        let via = Via::Snapshot(self.rng.random_range(0..4));
        Plan { via, options: Options::default(), tells: true, block }
    }

    fn options(&mut self) -> Options {
        let coalesce_after = match self.rng.random_range(0..10) {
            0..4 => Some(0),
            4..6 => Some(1),
            6 => Some(u32::MAX),
            _ => None,
        };
        let limited = self.chance(6);
        Options {
            snapshot: self.snapshot,
            pessimistic: self.chance(8),
            coalesce_after,
            escalate_after: self.chance(10).then(|| self.rng.random_range(0..3)),
            max_attempts: (limited && self.chance(50)).then(|| self.rng.random_range(1..3)),
            timeout_us: limited.then(|| self.rng.random_range(50..2000)),
            eager: self.chance(40),
            fail_on_deadlock: self.chance(10),
        }
    }

    fn block(&mut self, depth: u32) -> Block {
        let length = self.rng.random_range(1..=5 - depth);
        (0..length).map(|_| self.stmt(depth)).collect()
    }

    fn stmt(&mut self, depth: u32) -> Stmt {
        let (var, tag, exclusive) = (self.var(), self.tag(), self.chance(60));
        if self.whole && self.chance(35) {
            return self.stmt_of_collection(tag);
        }
        let compound = if depth < DEPTH { 22 } else { 0 };
        match self.rng.random_range(0..100 + compound) {
            0..22 => Stmt::Read(var),
            22..38 => Stmt::Write(var, tag),
            38..50 => Stmt::Modify(var, tag),
            50..56 => Stmt::Replace(var, tag),
            56..59 => Stmt::Keep(var),
            59..71 => Stmt::Merge(var, tag),
            71..73 => Stmt::Burst(var, self.bit(), tag),
            73..78 => Stmt::MergeThen(var, tag),
            78..80 => Stmt::Ensure(var),
            80..82 => Stmt::Wait(var, self.bit()),
            82..84 => Stmt::WaitFor(var, self.bit()),
            84..91 => Stmt::Lock(var, exclusive),
            91..96 => Stmt::TryLock(var, exclusive),
            96..99 => Stmt::Abort(self.rng.random_range(0..10)),
            99 => Stmt::Panic,
            100..112 => self.choice(depth + 1),
            112..117 => Stmt::Nested(self.nested(depth + 1)),
            _ => Stmt::If(var, self.bit(), self.block(depth + 1)),
        }
    }

    /// Two alternatives; the first one often retries in the end.
    fn choice(&mut self, depth: u32) -> Stmt {
        let mut left = self.block(depth);
        if self.chance(60) {
            let (var, bit) = (self.var(), self.bit());
            left.push(Stmt::Wait(var, bit));
        }
        Stmt::OrElse(left, self.block(depth))
    }

    /// A part that often aborts in the end.
    fn nested(&mut self, depth: u32) -> Block {
        let mut block = self.block(depth);
        if self.chance(40) {
            block.push(Stmt::Abort(self.rng.random_range(10..20)));
        }
        block
    }

    fn stmt_of_collection(&mut self, tag: u16) -> Stmt {
        let map = if self.chance(50) { Map::Hash } else { Map::Ord };
        let (one, other, exclusive) = (self.key(), self.key(), self.chance(60));
        let entry = |op| Stmt::Entry(map, one, op);
        let limit = if self.snapshot { 64 } else { 110 };
        match self.rng.random_range(0..limit) {
            0..14 => entry(EntryOp::Get),
            14..22 => entry(EntryOp::Insert(tag)),
            22..29 => entry(EntryOp::InsertNew(tag)),
            29..36 => entry(EntryOp::Upsert(tag)),
            36..42 => entry(EntryOp::Remove),
            42..46 => entry(EntryOp::Modify(tag)),
            46..51 => Stmt::Len(map),
            51..55 => Stmt::Rows(map),
            55..59 => Stmt::Range(one.min(other), one.max(other)),
            59..61 => Stmt::LockKey(map, one, exclusive),
            61..64 => Stmt::LockRange(one.min(other), one.max(other), exclusive),
            64..74 => entry(EntryOp::UpsertWith(tag)),
            74..78 => Stmt::PopFirst,
            _ => self.stmt_of_line(tag),
        }
    }

    fn stmt_of_line(&mut self, tag: u16) -> Stmt {
        let line = if self.chance(50) { Line::Queue } else { Line::Ring };
        let op = match self.rng.random_range(0..30) {
            0..8 => LineOp::Push(tag),
            8..12 => LineOp::TryPush(tag),
            12..14 => LineOp::Unget(tag),
            14..18 => LineOp::Pop,
            18..23 => LineOp::TryPop,
            23..26 => LineOp::Peek,
            26 => LineOp::Flush,
            _ => LineOp::IsEmpty,
        };
        Stmt::Line(line, op)
    }

    fn var(&mut self) -> usize {
        self.rng.random_range(0..self.vars)
    }

    fn bit(&mut self) -> Bit {
        Bit(self.rng.random_range(0..3))
    }

    fn key(&mut self) -> u8 {
        self.rng.random_range(0..KEYS)
    }

    fn tag(&mut self) -> u16 {
        // Tag 0 is nobody's, so that a forgotten one shows.
        self.tags += 1;
        self.tags
    }
}
