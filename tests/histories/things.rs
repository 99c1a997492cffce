//! What the programs share, and how to look at it.

use tvar::{Snapshot, Space, TBoundedQueue, TMap, TOrdMap, TQueue, TVar, View};

use crate::history::{Attempt, Entry, World};
use crate::program::{Code, EntryOp, Kind, Line, LineOp, Map, Program, Stmt, Tag, Writer};

/// A type that variables have.
pub(crate) trait Datum: PartialEq + Clone + Send + Sync + 'static {
    fn of(code: Code) -> Self;

    fn code(&self) -> Code;
}

impl Datum for u64 {
    fn of(code: Code) -> Self {
        code
    }

    fn code(&self) -> Code {
        *self
    }
}

impl Datum for String {
    fn of(code: Code) -> Self {
        code.to_string()
    }

    fn code(&self) -> Code {
        self.parse().unwrap_or_else(|_| panic!("a torn text: {self:?}"))
    }
}

impl Datum for Vec<u64> {
    fn of(code: Code) -> Self {
        vec![code; 6]
    }

    fn code(&self) -> Code {
        assert!(self.len() == 6 && self.iter().all(|one| *one == self[0]), "a torn list: {self:?}");
        self[0]
    }
}

#[derive(Clone)]
pub(crate) enum Var {
    Num(TVar<u64>),
    Text(TVar<String>),
    List(TVar<Vec<u64>>),
}

/// With the variable, of whatever type.
macro_rules! of_any_type {
    ($var:expr, $v:ident => $what:expr) => {
        match $var {
            $crate::things::Var::Num($v) => $what,
            $crate::things::Var::Text($v) => $what,
            $crate::things::Var::List($v) => $what,
        }
    };
}

/// With the map.
macro_rules! of_both_maps {
    ($things:expr, $map:expr, $m:ident => $what:expr) => {
        match $map {
            Map::Hash => {
                let $m = &$things.hash;
                $what
            }
            Map::Ord => {
                let $m = &$things.ord;
                $what
            }
        }
    };
}

pub(crate) use {of_any_type, of_both_maps};

/// Everything that is shared.
pub(crate) struct Things {
    pub(crate) space: Space,
    pub(crate) vars: Vec<Var>,
    pub(crate) hash: TMap<u8, String>,
    pub(crate) ord: TOrdMap<u8, u64>,
    pub(crate) queue: TQueue<u64>,
    pub(crate) ring: TBoundedQueue<String>,
}

impl Things {
    pub(crate) fn new(program: &Program) -> (Things, World) {
        let space = Space::new();
        let mut world = World::default();
        let mut vars = Vec::new();
        for (at, kind) in program.vars.iter().enumerate() {
            let code = Writer::first(at as Tag);
            world.vars.push(code);
            vars.push(match kind {
                Kind::Num => Var::Num(TVar::new_in(&space, Datum::of(code))),
                Kind::Text => Var::Text(TVar::new_in(&space, Datum::of(code))),
                Kind::List => Var::List(TVar::new_in(&space, Datum::of(code))),
            });
        }
        for n in 0..program.filled {
            let code = Writer::first(100 + Tag::from(n));
            world.hash.insert(n, code);
            world.ord.insert(n + 1, code);
            world.queue.push_back(code);
        }
        let hash = TMap::with_entries_in(&space, world.hash.iter().map(|(key, code)| (*key, Datum::of(*code))));
        let ord = TOrdMap::with_entries_in(&space, world.ord.iter().map(|(key, code)| (*key, *code)));
        let queue = TQueue::with_items_in(&space, world.queue.iter().copied());
        let ring = TBoundedQueue::new_in(&space, program.capacity);
        (Things { space, vars, hash, ord, queue, ring }, world)
    }

    /// What is there, read from outside of the recorded calls.
    pub(crate) fn world(&self) -> World {
        self.space.atomically(|tx| {
            Ok(World {
                vars: self.vars.iter().map(|var| read(tx, var)).collect(),
                hash: self.hash.iter(tx).map(|(key, code)| (*key, code.code())).collect(),
                ord: self.ord.iter(tx).map(|(key, code)| (*key, *code)).collect(),
                queue: self.queue.flush(tx).into_iter().copied().collect(),
                ring: self.ring.flush(tx).into_iter().map(Datum::code).collect(),
            })
        })
    }

    /// `load`, `store` or `update`; what it saw, and how often the function of `update` ran.
    pub(crate) fn shortcut(&self, stmt: &Stmt, mut me: Writer) -> Attempt {
        let mut log = Vec::new();
        match stmt {
            Stmt::Read(var) => log.push(Entry::Saw(Some(of_any_type!(&self.vars[*var], v => v.load().code())))),
            Stmt::Write(var, tag) => of_any_type!(&self.vars[*var], v => v.store(Datum::of(me.code(*tag)))),
            Stmt::Modify(var, tag) => of_any_type!(&self.vars[*var], v => {
                me.attempt = 0;
                v.update(|old| {
                    me.attempt += 1;
                    Datum::of(me.turned(*tag, old.code()))
                });
            }),
            other => unreachable!("{other:?} has no shortcut"),
        }
        Attempt { number: me.attempt, log }
    }

    /// What a block of reads sees in a snapshot.
    pub(crate) fn look(&self, snapshot: &Snapshot, block: &[Stmt]) -> Attempt {
        let mut log = vec![Entry::At(snapshot.version())];
        log.extend(block.iter().map(|stmt| self.see(snapshot, stmt).expect("snapshots are read alone")));
        Attempt { number: 1, log }
    }

    /// What can be seen in snapshots, too.
    pub(crate) fn see(&self, view: &impl View, stmt: &Stmt) -> Option<Entry> {
        Some(match stmt {
            Stmt::Read(var) => Entry::Saw(Some(read(view, &self.vars[*var]))),
            Stmt::Len(map) => Entry::Count(of_both_maps!(self, map, m => m.len(view))),
            Stmt::Rows(map) => {
                let mut rows: Vec<_> = of_both_maps!(self, map, m => m.iter(view).map(row).collect());
                // A hash map's order is its own.
                rows.sort_unstable();
                Entry::Rows(rows)
            }
            Stmt::Range(low, high) => Entry::Rows(self.ord.range(view, low..=high).map(row).collect()),
            Stmt::Entry(map, key, EntryOp::Get) => {
                Entry::Saw(of_both_maps!(self, map, m => m.get(view, key).map(Datum::code)))
            }
            Stmt::Line(Line::Ring, LineOp::IsEmpty) => Entry::Flag(self.ring.is_empty(view)),
            Stmt::Line(Line::Ring, LineOp::Peek) => Entry::Saw(self.ring.try_peek(view).map(Datum::code)),
            _ => return None,
        })
    }
}

pub(crate) fn read(view: &impl View, var: &Var) -> Code {
    of_any_type!(var, v => view.read(v).code())
}

pub(crate) fn row<D: Datum>((key, value): (&u8, &D)) -> (u8, Code) {
    (*key, value.code())
}
