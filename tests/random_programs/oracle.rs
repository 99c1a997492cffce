//! What retry, or_else, abort and nested mean: a small-step machine for programs of one thread.
//!
//! The rules follow the operational semantics of Harris, Marlow, Peyton Jones and Herlihy, *Composable memory
//! transactions* (PPoPP 2005), figure 4, with two additions: `nested`, which is their `catch` as closed nesting has
//! it, and kept snapshots. They answer to §2.1, §2.7, §2.8, §2.9, §3.2 and §4.5 of the contract.
//!
//! A running transaction is a configuration ⟨ C ; Θ ; Δ ; K ⟩ beside the committed heap M:
//! - C: the statements still to run of the innermost block;
//! - Θ: the heap as the transaction sees it, M overlaid by its own writes;
//! - Δ: what nothing undoes: which variables exist and their initial values (§1.2; the paper too keeps the
//!   allocations of transactions that throw), kept snapshots, and the trace of what was seen;
//! - K: the stack of frames that wait for C to end, innermost first:
//!   `left(Θ₀, b, C)` inside the left side of an or_else, `inner(Θ₀, C)` inside of a nested, and `then(C)` inside
//!   of anything else.
//!
//! Each rule below stands beside the code that is it. `·` is the empty block or stack, `Θ[x ↦ v]` is Θ with x
//! changed, `Δ + e` is Δ with e appended to the trace. Reads leave no mark in the configuration: on one thread
//! nothing changes between a read and the commit, so that validation (§2.2, §3.3) always succeeds.

use std::collections::{BTreeMap, BTreeSet};

use crate::program::{End, Event, Kept, Key, Lasting, Name, Program, Step, Stmt};
use crate::value::Val;

/// Runs the program and tells what it lets be seen.
pub(crate) fn run(program: &Program) -> Outcome {
    let mut memory = Heap::default();
    let mut world = World::default();
    for step in &program.0 {
        match step {
            Step::Lasting(lasting) => world.perform(lasting, &memory),
            // §1.6: a load, store or update is a transaction of one statement.
            Step::Load(name) => run_transaction(&[Stmt::Read(*name)], &mut memory, &mut world),
            Step::Store(name, value) => {
                run_transaction(&[Stmt::Write(*name, value.clone())], &mut memory, &mut world);
            }
            Step::Update(name, fun) => run_transaction(&[Stmt::Modify(*name, *fun)], &mut memory, &mut world),
            Step::Atomically(body) => {
                let end = transaction(body, &mut memory, &mut world);
                world.trace.push(Event::Ended(end));
            }
        }
    }
    world.look_at_all(&memory);
    Outcome { reachable: world.reachable(&memory), trace: world.trace }
}

pub(crate) struct Outcome {
    pub(crate) trace: Vec<Event>,
    /// How many boxed values the newest version and the kept snapshots reach at the end (§1.5, §1.7).
    pub(crate) reachable: usize,
}

/// A value in a variable. The stamp tells one write from another, as the address of a box does.
#[derive(Clone)]
struct Cell {
    value: Val,
    stamp: u64,
}

/// Θ, and M.
#[derive(Clone, Default)]
struct Heap {
    /// The variables that were written; every other one holds its initial value (§1.2).
    cells: BTreeMap<Name, Cell>,
    /// The entries of the map.
    entries: BTreeMap<Key, i64>,
}

/// Δ.
#[derive(Default)]
struct World {
    alive: BTreeSet<Name>,
    initial: BTreeMap<Name, Cell>,
    kept: BTreeMap<Kept, Heap>,
    trace: Vec<Event>,
    stamps: u64,
}

/// K, one frame.
enum Frame<'p> {
    Left { before: Heap, right: &'p [Stmt], rest: &'p [Stmt] },
    Inner { before: Heap, rest: &'p [Stmt] },
    Then { rest: &'p [Stmt] },
}

/// ⟨ C ; Θ ; Δ ; K ⟩.
struct Machine<'p, 'w> {
    control: &'p [Stmt],
    heap: Heap,
    world: &'w mut World,
    frames: Vec<Frame<'p>>,
    committed: &'w Heap,
}

fn run_transaction(body: &[Stmt], memory: &mut Heap, world: &mut World) {
    let end = transaction(body, memory, world);
    assert_eq!(end, End::Committed);
}

/// ```text
///   ⟨ body ; M ; Δ ; · ⟩ →* committed, Θ, Δ'            ⟨ body ; M ; Δ ; · ⟩ →* blocked | aborted e | panicked, Δ'
///  ────────────────────────────────────────── (COMMIT)  ───────────────────────────────────────────── (ROLLBACK)
///   M ; Δ ; atomically body → M ◁ Θ ; Δ'                 M ; Δ ; atomically body → M ; Δ'
/// ```
/// M ◁ Θ is Θ, but with the cell of M wherever Θ has the same bits: a commit that leaves a variable identical is
/// none to it (§3.1).
///
/// A blocked transaction would sleep (§3.1). Here it is left: with one thread, nobody could ever wake it.
fn transaction(body: &[Stmt], memory: &mut Heap, world: &mut World) -> End {
    let mut machine = Machine { control: body, heap: memory.clone(), world, frames: Vec::new(), committed: memory };
    loop {
        if let Some(end) = machine.step() {
            if end == End::Committed {
                let heap = machine.heap;
                world.publish(heap, memory);
            }
            return end;
        }
    }
}

impl<'p> Machine<'p, '_> {
    /// One step; `Some` if no rule applies any more, because the transaction has ended.
    fn step(&mut self) -> Option<End> {
        let Some((stmt, rest)) = self.control.split_first() else {
            return self.end_block();
        };
        self.control = rest;
        match stmt {
            // ⟨ read x; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ ; Δ + saw x Θ(x) ; K ⟩                                      (READ)
            Stmt::Read(name) => {
                self.read(*name);
            }
            // ⟨ hold x B; C ; Θ ; Δ ; K ⟩ → ⟨ B ; Θ ; Δ + saw x Θ(x) ; then(C)·K ⟩                            (HOLD)
            Stmt::Hold(name, body) => {
                if self.read(*name).is_some() {
                    self.enter(body, Frame::Then { rest });
                }
            }
            // ⟨ write x v; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ[x ↦ v] ; Δ ; K ⟩                                        (WRITE)
            Stmt::Write(name, value) => self.write(*name, |_| value.clone()),
            // ⟨ modify x f; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ[x ↦ f(Θ(x))] ; Δ ; K ⟩                                (MODIFY)
            // A merge is applied later, to the newest value (§4.5): the same one, where nobody else commits.
            Stmt::Modify(name, fun) | Stmt::Merge(name, fun) => self.write(*name, |old| fun.apply(old)),
            // ⟨ replace x v; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ[x ↦ v] ; Δ + saw x Θ(x) ; K ⟩                       (REPLACE)
            Stmt::Replace(name, value) => {
                self.read(*name);
                self.write(*name, |_| value.clone());
            }
            // ⟨ write_if_changed x v; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ ; Δ + unchanged ; K ⟩        if Θ(x) = v    (CHANGED)
            //                                         → ⟨ C ; Θ[x ↦ v] ; Δ + changed ; K ⟩   otherwise
            Stmt::WriteIfChanged(name, value) => {
                if let Some(old) = self.lookup(*name) {
                    let changed = !old.equals(value);
                    if changed {
                        self.write(*name, |_| value.clone());
                    }
                    self.world.trace.push(Event::Changed(*name, changed));
                }
            }
            // ⟨ lock x m; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ ; Δ ; K ⟩, keys alike: nobody else holds anything (§5.2)         (LOCK)
            Stmt::Lock(..) | Stmt::LockRange(..) => {}
            // ⟨ try_lock x m; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ ; Δ + locked ; K ⟩                                 (TRY-LOCK)
            Stmt::TryLock(name, _) => {
                if self.world.alive.contains(name) {
                    self.world.trace.push(Event::Locked(true));
                }
            }
            // ⟨ o k; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ[k ↦ o(Θ(k))] ; Δ + what o shows of Θ(k) ; K ⟩                (ENTRY)
            Stmt::Entry(key, op) => {
                let (new, event) = op.applied(*key, self.heap.entries.get(key).copied());
                match new {
                    Some(n) => self.heap.entries.insert(*key, n),
                    None => self.heap.entries.remove(key),
                };
                self.world.trace.push(event);
            }
            // ⟨ range k l; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ ; Δ + Θ from k to l ; K ⟩                                (RANGE)
            Stmt::Range(low, high) => {
                let entries = self.heap.entries.range(low..=high).map(|(key, n)| (key.0, *n)).collect();
                self.world.trace.push(Event::Range(entries));
            }
            // ⟨ clear; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ without entries ; Δ ; K ⟩                                    (CLEAR)
            Stmt::Clear => self.heap.entries.clear(),
            // ⟨ check x; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ ; Δ + saw x Θ(x) ; K ⟩          if Θ(x) holds              (CHECK)
            //                            → ⟨ retry ; Θ ; Δ + saw x Θ(x) ; K ⟩      otherwise
            Stmt::Check(name) => {
                if self.read(*name).is_some_and(|value| !value.holds()) {
                    return self.retry();
                }
            }
            // ⟨ if x A B; C ; Θ ; Δ ; K ⟩ → ⟨ A or B ; Θ ; Δ + saw x Θ(x) ; then(C)·K ⟩    as Θ(x) holds          (IF)
            Stmt::If(name, one, other) => {
                if let Some(value) = self.read(*name) {
                    let body = if value.holds() { one } else { other };
                    self.enter(body, Frame::Then { rest });
                }
            }
            // ⟨ or_else A B; C ; Θ ; Δ ; K ⟩ → ⟨ A ; Θ ; Δ ; left(Θ, B, C)·K ⟩                            (OR-ENTER)
            Stmt::OrElse(left, right) => {
                let before = self.heap.clone();
                self.enter(left, Frame::Left { before, right, rest });
            }
            // ⟨ nested B; C ; Θ ; Δ ; K ⟩ → ⟨ B ; Θ ; Δ ; inner(Θ, C)·K ⟩                             (NESTED-ENTER)
            Stmt::Nested(body) => {
                let before = self.heap.clone();
                self.enter(body, Frame::Inner { before, rest });
            }
            Stmt::Retry => return self.retry(),
            Stmt::Abort(code) => return self.abort(*code),
            // ⟨ panic; C ; Θ ; Δ ; K ⟩ → panicked, Δ: no frame stops a panic (§2.8, §3.2)                    (PANIC)
            Stmt::Panic => return Some(End::Panicked),
            // ⟨ d; C ; Θ ; Δ ; K ⟩ → ⟨ C ; Θ ; d(Δ, M) ; K ⟩: snapshots show M, never Θ (§1.5)              (LASTING)
            Stmt::Lasting(lasting) => self.world.perform(lasting, self.committed),
        }
        None
    }

    fn enter(&mut self, body: &'p [Stmt], frame: Frame<'p>) {
        self.frames.push(frame);
        self.control = body;
    }

    /// The innermost block has come to its end.
    fn end_block(&mut self) -> Option<End> {
        match self.frames.pop() {
            // ⟨ · ; Θ ; Δ ; · ⟩ → committed, Θ, Δ                                                             (DONE)
            None => return Some(End::Committed),
            // ⟨ · ; Θ ; Δ ; left(Θ₀, B, C)·K ⟩ → ⟨ C ; Θ ; Δ ; K ⟩: B is not run                               (OR-1)
            Some(Frame::Left { rest, .. }) => self.control = rest,
            // ⟨ · ; Θ ; Δ ; inner(Θ₀, C)·K ⟩ → ⟨ C ; Θ ; Δ + done ; K ⟩                                  (NESTED-OK)
            Some(Frame::Inner { rest, .. }) => {
                self.world.trace.push(Event::Inner(Ok(())));
                self.control = rest;
            }
            // ⟨ · ; Θ ; Δ ; then(C)·K ⟩ → ⟨ C ; Θ ; Δ ; K ⟩                                                   (THEN)
            Some(Frame::Then { rest }) => self.control = rest,
        }
        None
    }

    fn retry(&mut self) -> Option<End> {
        loop {
            match self.frames.pop() {
                // ⟨ retry; C' ; Θ ; Δ ; · ⟩ → blocked, Δ                                                     (BLOCK)
                None => return Some(End::Blocked),
                // ⟨ retry; C' ; Θ ; Δ ; left(Θ₀, B, C)·K ⟩ → ⟨ B ; Θ₀ ; Δ ; then(C)·K ⟩                        (OR-2)
                // Exactly the writes of the left side are undone: Θ₀ has those from before it (§3.2).
                Some(Frame::Left { before, right, rest }) => {
                    self.heap = before;
                    self.enter(right, Frame::Then { rest });
                    return None;
                }
                // ⟨ retry; C' ; Θ ; Δ ; inner(Θ₀, C)·K ⟩ → ⟨ retry ; Θ ; Δ ; K ⟩, and then(C) alike    (RETRY-THROUGH)
                Some(Frame::Inner { .. } | Frame::Then { .. }) => {}
            }
        }
    }

    fn abort(&mut self, code: i64) -> Option<End> {
        loop {
            match self.frames.pop() {
                // ⟨ abort e; C' ; Θ ; Δ ; · ⟩ → aborted e, Δ                                                 (ABORT)
                None => return Some(End::Aborted(code)),
                // ⟨ abort e; C' ; Θ ; Δ ; inner(Θ₀, C)·K ⟩ → ⟨ C ; Θ₀ ; Δ + failed e ; K ⟩ (§2.9)      (NESTED-ABORT)
                Some(Frame::Inner { before, rest }) => {
                    self.heap = before;
                    self.world.trace.push(Event::Inner(Err(code)));
                    self.control = rest;
                    return None;
                }
                // ⟨ abort e; C' ; Θ ; Δ ; left(Θ₀, B, C)·K ⟩ → ⟨ abort e ; Θ ; Δ ; K ⟩, and then(C) alike       (OR-3)
                // Only a retry falls through to the right side (§3.2).
                Some(Frame::Left { .. } | Frame::Then { .. }) => {}
            }
        }
    }

    /// Θ(x), if x is alive.
    fn lookup(&self, name: Name) -> Option<Val> {
        let alive = self.world.alive.contains(&name);
        alive.then(|| self.world.cell(name, &self.heap).value.clone())
    }

    fn read(&mut self, name: Name) -> Option<Val> {
        let value = self.lookup(name)?;
        self.world.trace.push(Event::Saw(name, value.clone()));
        Some(value)
    }

    fn write(&mut self, name: Name, new: impl FnOnce(&Val) -> Val) {
        if let Some(old) = self.lookup(name) {
            let cell = self.world.stamped(new(&old));
            self.heap.cells.insert(name, cell);
        }
    }
}

impl World {
    fn stamped(&mut self, value: Val) -> Cell {
        self.stamps += 1;
        Cell { value, stamp: self.stamps }
    }

    /// M ◁ Θ.
    fn publish(&self, heap: Heap, memory: &mut Heap) {
        memory.entries = heap.entries;
        for (name, cell) in heap.cells {
            if !self.cell(name, memory).value.same_bits(&cell.value) {
                memory.cells.insert(name, cell);
            }
        }
    }

    /// What a variable holds in a version of the heap.
    fn cell<'a>(&'a self, name: Name, heap: &'a Heap) -> &'a Cell {
        heap.cells.get(&name).unwrap_or_else(|| &self.initial[&name])
    }

    fn perform(&mut self, lasting: &Lasting, committed: &Heap) {
        match lasting {
            Lasting::New(name, value) => {
                let cell = self.stamped(value.clone());
                self.initial.insert(*name, cell);
                self.alive.insert(*name);
            }
            Lasting::Drop(name) => {
                self.alive.remove(name);
            }
            Lasting::Keep(kept) => {
                self.kept.insert(*kept, committed.clone());
            }
            Lasting::Forget(kept) => {
                self.kept.remove(kept);
            }
            Lasting::Look(kept, name) => {
                if self.alive.contains(name) {
                    self.look(*kept, *name);
                }
            }
            Lasting::Diff(older, newer) => self.diff(*older, *newer),
        }
    }

    fn look(&mut self, kept: Kept, name: Name) {
        if let Some(heap) = self.kept.get(&kept) {
            let value = self.cell(name, heap).value.clone();
            self.trace.push(Event::Snapshot(kept, name, value));
        }
    }

    /// A variable differs if it got a new value in between (§1.5), though it may be back to the old bits since.
    fn diff(&mut self, older: Kept, newer: Kept) {
        let (Some(before), Some(after)) = (self.kept.get(&older), self.kept.get(&newer)) else {
            return;
        };
        let differences = self.alive.iter().map(|name| {
            let (was, is) = (self.cell(*name, before), self.cell(*name, after));
            Event::Differs(older, newer, *name, was.stamp != is.stamp)
        });
        let differences: Vec<_> = differences.collect();
        self.trace.extend(differences);
    }

    /// The last lines of every trace: the heap, every kept snapshot, and from each to the next the difference.
    fn look_at_all(&mut self, committed: &Heap) {
        let kept: Vec<_> = self.kept.keys().copied().collect();
        for name in self.alive.clone() {
            let value = self.cell(name, committed).value.clone();
            self.trace.push(Event::Saw(name, value));
            for kept in &kept {
                self.look(*kept, name);
            }
        }
        for key in Key::all() {
            let entry = |kept, heap: &Heap| Some(Event::Entry(key, kept, Some(*heap.entries.get(&key)?)));
            let all = self.kept.iter().filter_map(|(kept, heap)| entry(Some(*kept), heap));
            let all: Vec<_> = entry(None, committed).into_iter().chain(all).collect();
            self.trace.extend(all);
        }
        for pair in kept.windows(2) {
            self.diff(pair[0], pair[1]);
        }
    }

    fn reachable(&self, committed: &Heap) -> usize {
        let versions = || self.kept.values().chain([committed]);
        let readable = (self.alive.iter()).flat_map(|name| versions().map(|heap| self.cell(*name, heap)));
        // The newest version does not reach what belonged to dropped variables; the kept ones may.
        let kept = self.kept.values().flat_map(|heap| heap.cells.values());
        let boxed = |cell: &&Cell| matches!(cell.value, Val::Text(_) | Val::List(_));
        let boxes: BTreeSet<_> = readable.chain(kept).filter(boxed).map(|cell| cell.stamp).collect();
        boxes.len()
    }
}
