//! The plain sequential model: runs a block on a world and compares with what was seen. What the model cannot know (whether a lock was got, whether a
//! deadline had passed) it takes from there.

use std::collections::{BTreeMap, VecDeque};

use crate::history::{Entry, World, show};
use crate::program::{Bit, Code, EntryOp, Line, LineOp, Map, Place, Stmt, Tag, Writer};

/// How a block, or a call's attempt, has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    Done,
    Retry,
    Abort(u8),
    Panic,
    /// Where what was seen ends: the attempt was lost there.
    Lost,
    /// Something else was seen than the world holds.
    Wrong(String),
}

/// What an attempt does to a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    Written,
    /// Merges alone: they are applied to the newest value.
    Merged,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Locked {
    Var(usize),
    Keys(Map, u8, u8),
}

impl Locked {
    pub(crate) fn has(self, place: Place) -> bool {
        match (self, place) {
            (Locked::Var(locked), Place::Var(var)) => locked == var,
            (Locked::Keys(locked, low, high), Place::Key(map, key)) => locked == map && (low..=high).contains(&key),
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Merge {
    pub(crate) var: usize,
    pub(crate) tag: Tag,
    /// On which values it panics.
    pub(crate) bursts: Option<Bit>,
    /// Whether the new value is asked for.
    pub(crate) then: bool,
}

/// What is undone with an alternative or a part.
#[derive(Clone, Debug)]
pub(crate) struct Effects {
    pub(crate) world: World,
    pub(crate) touched: BTreeMap<Place, Touch>,
    pub(crate) ensured: Vec<usize>,
    /// In order; those of written variables have been applied, or do not count.
    pub(crate) merges: Vec<Merge>,
    /// What it has locked, with its snapshot then, if that is known.
    pub(crate) locked: Vec<(Locked, Option<u64>)>,
}

pub(crate) struct Machine<'l> {
    pub(crate) effects: Effects,
    capacity: usize,
    me: Writer,
    log: &'l [Entry],
    /// Its snapshot.
    at: Option<u64>,
}

/// `Err`: it does not go on to the next statement.
type Step = Result<(), Flow>;

impl<'l> Machine<'l> {
    /// Runs a block; `Done` only if nothing more was seen.
    pub(crate) fn run(world: &World, capacity: usize, me: Writer, block: &[Stmt], log: &'l [Entry]) -> (Flow, Effects) {
        let effects = Effects {
            world: world.clone(),
            touched: BTreeMap::new(),
            ensured: Vec::new(),
            merges: Vec::new(),
            locked: Vec::new(),
        };
        let mut machine = Machine { effects, capacity, me, log, at: None };
        let mut flow = machine.block(block).err().unwrap_or(Flow::Done);
        if !matches!(flow, Flow::Wrong(_))
            && let Some(entry) = machine.next()
        {
            flow = Flow::Wrong(format!("ends with {flow:?}, but goes on with {entry:?}"));
        }
        (flow, machine.effects)
    }

    fn block(&mut self, block: &[Stmt]) -> Step {
        block.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    /// The next thing seen.
    fn next(&mut self) -> Option<&'l Entry> {
        while let Some((entry, rest)) = self.log.split_first() {
            self.log = rest;
            match entry {
                Entry::At(version) => self.at = Some(*version),
                _ => return Some(entry),
            }
        }
        None
    }

    fn expect(&mut self, expected: Entry) -> Step {
        match self.next() {
            None => Err(Flow::Lost),
            Some(seen) if *seen == expected => Ok(()),
            Some(Entry::Saw(Some(seen))) => {
                let expected = match expected {
                    Entry::Saw(Some(code)) => show(code),
                    other => format!("{other:?}"),
                };
                Err(Flow::Wrong(format!("saw {}, not {expected}", show(*seen))))
            }
            Some(seen) => Err(Flow::Wrong(format!("saw {seen:?}, not {expected:?}"))),
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Step {
        match stmt {
            Stmt::Read(var) => self.see(*var).map(drop),
            Stmt::Write(var, tag) => self.write(*var, *tag),
            Stmt::Modify(var, tag) => self.turn(*var, *tag),
            Stmt::Replace(var, tag) => {
                self.see(*var)?;
                self.write(*var, *tag)
            }
            Stmt::Keep(var) => {
                let old = self.read(*var)?;
                self.put(*var, old);
                Ok(())
            }
            Stmt::Merge(var, tag) => self.merge(Merge { var: *var, tag: *tag, bursts: None, then: false }),
            Stmt::Burst(var, bit, tag) => self.merge(Merge { var: *var, tag: *tag, bursts: Some(*bit), then: false }),
            Stmt::MergeThen(var, tag) => self.merge(Merge { var: *var, tag: *tag, bursts: None, then: true }),
            Stmt::Ensure(var) => {
                self.effects.ensured.push(*var);
                Ok(())
            }
            Stmt::Wait(var, bit) => {
                let code = self.see(*var)?;
                if bit.of(code) { Ok(()) } else { Err(Flow::Retry) }
            }
            Stmt::WaitFor(var, bit) => {
                let code = self.see(*var)?;
                let expired = !bit.of(code) && self.next_is(&Entry::Expired);
                if expired {
                    self.next();
                }
                if bit.of(code) || expired { Ok(()) } else { Err(Flow::Retry) }
            }
            Stmt::If(var, bit, block) => {
                let code = self.see(*var)?;
                if bit.of(code) { self.block(block) } else { Ok(()) }
            }
            Stmt::OrElse(left, right) => {
                let before = self.effects.clone();
                match self.block(left) {
                    Err(Flow::Retry) => {
                        self.effects = before;
                        self.expect(Entry::Right)?;
                        self.block(right)
                    }
                    step => step,
                }
            }
            Stmt::Nested(block) => {
                let before = self.effects.clone();
                match self.block(block) {
                    Err(Flow::Abort(error)) => {
                        self.effects = before;
                        self.expect(Entry::Undone(error))
                    }
                    step => step,
                }
            }
            Stmt::Abort(error) => Err(Flow::Abort(*error)),
            Stmt::Panic => Err(Flow::Panic),
            Stmt::Lock(var, _) => self.lock(Locked::Var(*var), true),
            Stmt::TryLock(var, _) => self.lock(Locked::Var(*var), false),
            Stmt::LockKey(map, key, _) => self.lock(Locked::Keys(*map, *key, *key), true),
            Stmt::LockRange(low, high, _) => self.lock(Locked::Keys(Map::Ord, *low, *high), true),
            Stmt::Entry(map, key, op) => self.entry(*map, *key, *op),
            Stmt::Len(map) => {
                let len = self.rows(*map).len();
                self.expect(Entry::Count(len))
            }
            Stmt::Rows(map) => self.see_rows(*map, 0, u8::MAX),
            Stmt::Range(low, high) => self.see_rows(Map::Ord, *low, *high),
            Stmt::PopFirst => {
                let first = self.rows(Map::Ord).pop_first();
                if let Some((key, _)) = first {
                    self.effects.touched.insert(Place::Key(Map::Ord, key), Touch::Written);
                }
                self.expect(Entry::Rows(first.into_iter().collect()))
            }
            Stmt::Line(line, op) => self.line(*line, *op),
        }
    }

    /// `waits`: so that it gets it.
    fn lock(&mut self, what: Locked, waits: bool) -> Step {
        match self.next() {
            None => Err(Flow::Lost),
            Some(Entry::Got(true)) => {
                self.effects.locked.push((what, self.at));
                Ok(())
            }
            Some(Entry::Got(false)) if !waits => Ok(()),
            Some(seen) => Err(Flow::Wrong(format!("saw {seen:?} of a lock"))),
        }
    }

    fn next_is(&self, entry: &Entry) -> bool {
        self.log.iter().find(|entry| !matches!(entry, Entry::At(_))) == Some(entry)
    }

    /// Reading makes merges an ordinary write (§4.5).
    fn read(&mut self, var: usize) -> Result<Code, Flow> {
        let Effects { world, touched, merges, .. } = &mut self.effects;
        if let Some(touch) = touched.get_mut(&Place::Var(var))
            && *touch == Touch::Merged
        {
            *touch = Touch::Written;
            for merge in merges.iter().filter(|merge| merge.var == var) {
                world.vars[var] = apply(self.me, merge, world.vars[var]).ok_or(Flow::Panic)?;
            }
        }
        Ok(world.vars[var])
    }

    fn see(&mut self, var: usize) -> Result<Code, Flow> {
        let code = self.read(var)?;
        self.expect(Entry::Saw(Some(code)))?;
        Ok(code)
    }

    fn put(&mut self, var: usize, code: Code) {
        self.effects.world.vars[var] = code;
        self.effects.touched.insert(Place::Var(var), Touch::Written);
    }

    fn write(&mut self, var: usize, tag: Tag) -> Step {
        self.put(var, self.me.code(tag));
        Ok(())
    }

    fn turn(&mut self, var: usize, tag: Tag) -> Step {
        let old = self.read(var)?;
        self.put(var, self.me.turned(tag, old));
        Ok(())
    }

    fn merge(&mut self, merge: Merge) -> Step {
        let Effects { world, touched, merges, .. } = &mut self.effects;
        let var = merge.var;
        if *touched.entry(Place::Var(var)).or_insert(Touch::Merged) == Touch::Written {
            world.vars[var] = apply(self.me, &merge, world.vars[var]).ok_or(Flow::Panic)?;
        }
        merges.push(merge);
        Ok(())
    }

    fn rows(&mut self, map: Map) -> &mut BTreeMap<u8, Code> {
        self.effects.world.rows_mut(map)
    }

    fn see_rows(&mut self, map: Map, low: u8, high: u8) -> Step {
        let rows = self.rows(map).range(low..=high).map(|(key, code)| (*key, *code)).collect();
        self.expect(Entry::Rows(rows))
    }

    fn entry(&mut self, map: Map, key: u8, op: EntryOp) -> Step {
        let me = self.me;
        let old = self.rows(map).get(&key).copied();
        let (new, seen) = match op {
            EntryOp::Get => (old, Some(Entry::Saw(old))),
            EntryOp::Insert(tag) => (Some(me.code(tag)), Some(Entry::Saw(old))),
            EntryOp::InsertNew(tag) => (old.or(Some(me.code(tag))), Some(Entry::Flag(old.is_none()))),
            EntryOp::Upsert(tag) => (Some(me.code(tag)), None),
            EntryOp::UpsertWith(tag) => (Some(old.map_or(me.code(tag), |old| me.turned(tag, old))), None),
            EntryOp::Modify(tag) => (old.map(|old| me.turned(tag, old)), Some(Entry::Flag(old.is_some()))),
            EntryOp::Remove => (None, Some(Entry::Saw(old))),
        };
        match new {
            Some(new) => self.rows(map).insert(key, new),
            None => self.rows(map).remove(&key),
        };
        if new != old {
            self.effects.touched.insert(Place::Key(map, key), Touch::Written);
        }
        seen.map_or(Ok(()), |seen| self.expect(seen))
    }

    fn line(&mut self, line: Line, op: LineOp) -> Step {
        let (capacity, me) = (self.capacity, self.me);
        let (items, full) = match line {
            Line::Queue => (&mut self.effects.world.queue, false),
            Line::Ring => {
                let ring = &mut self.effects.world.ring;
                let full = ring.len() == capacity;
                (ring, full)
            }
        };
        let seen = match op {
            LineOp::Push(_) | LineOp::Unget(_) if full => return Err(Flow::Retry),
            LineOp::Push(tag) => {
                items.push_back(me.code(tag));
                return Ok(());
            }
            LineOp::Unget(tag) => {
                items.push_front(me.code(tag));
                return Ok(());
            }
            LineOp::TryPush(tag) => {
                if !full {
                    items.push_back(me.code(tag));
                }
                Entry::Flag(!full)
            }
            LineOp::Pop => match items.pop_front() {
                None => return Err(Flow::Retry),
                item => Entry::Saw(item),
            },
            LineOp::TryPop => Entry::Saw(items.pop_front()),
            LineOp::Peek => Entry::Saw(items.front().copied()),
            LineOp::Flush => Entry::Items(std::mem::take::<VecDeque<_>>(items).into()),
            LineOp::IsEmpty => Entry::Flag(items.is_empty()),
        };
        self.expect(seen)
    }
}

/// `None`: the function panics.
pub(crate) fn apply(me: Writer, merge: &Merge, old: Code) -> Option<Code> {
    (!merge.bursts.is_some_and(|bit| bit.of(old))).then(|| me.turned(merge.tag, old))
}
