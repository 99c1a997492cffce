//! What an attempt does to one map: its writes, in order, and the ranges that it has read (M3).

use super::super::reclaim::Garbage;
use super::number::number_of;
use super::ranges::{RangeRead, Segment, Segments, Settled};
use super::row::{Kind, Row, Sought, Spot, give};
use super::tree::Tree;
use crate::sync::Arc;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::hash::Hash;

/// A function of the newest value of a key.
pub(super) type MergeFn<V> = Arc<dyn Fn(&V) -> V + Send + Sync>;

/// The initial row of a key and the functions that wait for its value.
pub(super) type Merging<K, V> = (Arc<Row<K, V>>, Vec<MergeFn<V>>);

/// What a write does.
pub(super) enum What<K, V> {
    Put(Arc<Row<K, V>>),
    /// The row that was there.
    Remove(Arc<Row<K, V>>),
    /// The row if the key is absent at the commit; else the function of what is there. The others are applied to the result.
    Merge(Arc<Row<K, V>>, Vec<MergeFn<V>>),
    /// All rows of the map go.
    Clear,
}

pub(super) struct Op<K, V> {
    pub(super) number: u64,
    /// The nesting depth that wrote it.
    depth: u32,
    pub(super) what: What<K, V>,
    /// A reference to the row's value was handed out.
    lent: bool,
    /// A later write is of the same key.
    superseded: bool,
    /// The write that this one supersedes: of the same key, or, for `Clear`, the one before.
    before: Option<usize>,
}

impl<K, V> Op<K, V> {
    pub(super) fn set_lent(&mut self) {
        self.lent = true;
    }

    /// The row that tells the key.
    pub(super) fn row(&self) -> Option<&Arc<Row<K, V>>> {
        match &self.what {
            What::Put(row) | What::Remove(row) | What::Merge(row, _) => Some(row),
            What::Clear => None,
        }
    }
}

pub(super) struct State<K, V> {
    pub(super) ops: Vec<Op<K, V>>,
    /// The last `Clear`: writes before it are void, and so is what the snapshot has.
    pub(super) cleared: Option<usize>,
    pub(super) ranges: Vec<RangeRead<K>>,
    /// Keys that were read, and whether they were there; of maps whose keys are not told by their numbers.
    points: Vec<(K, bool)>,
    /// Rows of undone writes that were lent.
    undone: Vec<Arc<Row<K, V>>>,
    index: super::overlay::Overlay,
}

/// The part of one map in an attempt.
pub(crate) struct Part<K, V> {
    pub(super) slot: u32,
    pub(super) kind: Kind,
    /// How keys compare: as in their map.
    pub(super) compare: fn(&K, &K) -> Ordering,
    /// The snapshot's version of the map.
    pub(super) then: Cell<*const Tree>,
    pub(super) state: RefCell<State<K, V>>,
}

// SAFETY: used by the attempt's thread alone; what the pointer is to is shared by design.
unsafe impl<K: Send + Sync, V: Send + Sync> Send for Part<K, V> {}

/// What an attempt's own writes say of a key.
pub(super) enum Own<'p, K, V> {
    Nothing,
    Row(&'p Row<K, V>),
    Absent,
    Merge,
}

/// Equal or not: the order of keys in a hash map is that of their hashes.
pub(crate) fn compare_by_eq<K: Eq + Hash>(a: &K, b: &K) -> Ordering {
    if a == b { Ordering::Equal } else { Ordering::Less }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Part<K, V> {
    pub(super) fn new(slot: u32, kind: Kind, compare: fn(&K, &K) -> Ordering) -> Self {
        let state = State {
            ops: Vec::new(),
            cleared: None,
            ranges: Vec::new(),
            points: Vec::new(),
            undone: Vec::new(),
            index: super::overlay::Overlay::default(),
        };
        Part { slot, kind, compare, then: Cell::new(std::ptr::null()), state: RefCell::new(state) }
    }

    /// What the key's own last write says. `lend`: a reference to its value is handed out.
    ///
    /// The reference is good until the attempt ends: a row that was lent is kept.
    pub(super) fn own<C: Fn(&K) -> Ordering>(&self, sought: &Sought<C>, lend: bool) -> Own<'_, K, V> {
        let mut state = self.state.borrow_mut();
        let Some(at) = state.find(sought) else {
            return if state.cleared.is_some() { Own::Absent } else { Own::Nothing };
        };
        let op = &mut state.ops[at];
        match &op.what {
            What::Put(row) => {
                op.lent |= lend;
                let row: *const Row<K, V> = Arc::as_ptr(row);
                // SAFETY: M3: rows that are lent stay in the part until it goes, with the attempt; others are used at once.
                Own::Row(unsafe { &*row })
            }
            What::Remove(_) => Own::Absent,
            What::Merge(..) => Own::Merge,
            What::Clear => unreachable!("has no key"),
        }
    }

    /// Adds a write; returns what it supersedes, to be dropped when nothing is borrowed.
    pub(super) fn push(&self, number: u64, depth: u32, what: What<K, V>) -> Option<Garbage> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let before = match &what {
            What::Clear => state.cleared,
            What::Put(row) | What::Remove(row) | What::Merge(row, _) => {
                let key = &row.key;
                let compare = |other: &K| (self.compare)(other, key);
                state.find(&Sought { kind: self.kind, number, compare })
            }
        };
        if let (Some(at), false) = (before, matches!(what, What::Clear)) {
            let op = &mut state.ops[at];
            if op.depth == depth && !op.lent {
                let old = std::mem::replace(&mut op.what, what);
                let State { ops, index, .. } = state;
                index.note_again(ops, at, self.kind, self.compare);
                return Some(trash(old));
            }
            op.superseded = true;
        }
        let at = state.ops.len();
        if matches!(what, What::Clear) {
            state.cleared = Some(at);
        }
        state.ops.push(Op { number, depth, what, lent: false, superseded: false, before });
        self.index_last(state);
        None
    }

    /// One more function for a key that has some already.
    pub(super) fn push_merge<C: Fn(&K) -> Ordering>(&self, sought: &Sought<C>, depth: u32, f: MergeFn<V>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let Some(at) = state.find(sought) else { return };
        let op = &mut state.ops[at];
        let What::Merge(row, functions) = &mut op.what else { return };
        if op.depth == depth {
            return functions.push(f);
        }
        let mut functions = functions.clone();
        functions.push(f);
        let (number, what) = (op.number, What::Merge(row.clone(), functions));
        op.superseded = true;
        state.ops.push(Op { number, depth, what, lent: false, superseded: false, before: Some(at) });
        self.index_last(state);
    }

    /// The functions that wait for a key's value.
    pub(super) fn merges<C: Fn(&K) -> Ordering>(&self, sought: &Sought<C>) -> Option<Merging<K, V>> {
        let state = self.state.borrow();
        match &state.ops[state.find(sought)?].what {
            What::Merge(row, functions) => Some((row.clone(), functions.clone())),
            _ => None,
        }
    }

    /// A key of this map, to be sought.
    fn sought<'k>(&self, number: u64, key: &'k K) -> Sought<impl Fn(&K) -> Ordering + use<'k, K, V>> {
        let (kind, compare) = (self.kind, self.compare);
        Sought { kind, number, compare: move |other: &K| compare(other, key) }
    }

    /// Notes that a key was read that its number does not tell.
    pub(super) fn log_point(&self, key: K, present: bool) {
        let mut state = self.state.borrow_mut();
        let points = &mut state.points;
        if points.len() == points.capacity() && points.len() >= 32 {
            points.sort_by(|(a, _), (b, _)| (self.compare)(a, b));
            points.dedup_by(|(a, _), (b, _)| (self.compare)(a, b) == Ordering::Equal);
            let room = points.len();
            points.reserve(room);
        }
        points.push((key, present));
    }

    pub(super) fn is_cleared(&self) -> bool {
        self.state.borrow().cleared.is_some()
    }

    /// Keys with functions that wait for their values.
    pub(super) fn merged_rows(&self) -> Vec<(u64, Arc<Row<K, V>>)> {
        let state = self.state.borrow();
        let merged = |op: &Op<K, V>| match &op.what {
            What::Merge(row, _) if !op.superseded => Some((op.number, row.clone())),
            _ => None,
        };
        let from = state.cleared.map_or(0, |at| at + 1);
        state.ops[from..].iter().filter_map(merged).collect()
    }

    /// How many keys there are after the writes, in this version or, if the map was cleared, in an empty one.
    pub(super) fn len_over(&self, tree: &Tree) -> usize {
        let jobs = self.jobs(tree);
        let state = self.state.borrow();
        let removed = |job: &&Job| matches!(state.ops[job.op].what, What::Remove(_));
        tree.len() + jobs.iter().filter(|job| job.new).count() - jobs.iter().filter(removed).count()
    }

    pub(super) fn any_ops(&self) -> bool {
        !self.state.borrow().ops.is_empty()
    }

    /// Finds the latest write of a key fast.
    fn index_last(&self, state: &mut State<K, V>) {
        let State { ops, index, cleared, .. } = state;
        index.note_last(ops, *cleared, self.kind, self.compare);
    }

    /// The writes that count, in the order of their keys, with where they belong in a version of the map.
    pub(super) fn jobs(&self, tree: &Tree) -> Vec<Job> {
        let state = self.state.borrow();
        let from = state.cleared.map_or(0, |at| at + 1);
        let mut jobs = Vec::with_capacity(state.ops.len() - from);
        for (at, op) in state.ops.iter().enumerate().skip(from).filter(|(_, op)| !op.superseded) {
            let row = op.row().expect("after the last `Clear`");
            let compare = |other: &K| (self.compare)(other, &row.key);
            let sought = Sought { kind: self.kind, number: op.number, compare };
            // SAFETY: the caller's tree is pinned, and of this map.
            let Spot { rank, found } = unsafe { sought.spot::<K, V>(tree) };
            if found.is_none() && matches!(op.what, What::Remove(_)) {
                continue;
            }
            jobs.push(Job { number: op.number, rank, new: found.is_none(), op: at });
        }
        jobs.sort_by(|a, b| {
            // A new row stands before the one of its rank.
            let place = (a.rank, !a.new, a.number).cmp(&(b.rank, !b.new, b.number));
            place.then_with(|| match self.kind {
                Kind::Ordered => {
                    let key = |job: &Job| state.ops[job.op].row().expect("after the last `Clear`");
                    (self.compare)(&key(a).key, &key(b).key)
                }
                Kind::Hash | Kind::Exact => Ordering::Equal,
            })
        });
        jobs
    }
}

/// A write and where it belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) rank: usize,
    /// The key is not in the tree.
    pub(super) new: bool,
    pub(super) op: usize,
}

impl<K: 'static, V: 'static> State<K, V> {
    /// The last write of a key since the last `Clear`.
    pub(super) fn find<C: Fn(&K) -> Ordering>(&self, sought: &Sought<C>) -> Option<usize> {
        let from = self.cleared.map_or(0, |at| at + 1);
        if let Some(found) = self.index.find::<K, V, C>(sought) {
            return found;
        }
        let is_same = |op: &Op<K, V>| {
            let same =
                |row: &Arc<Row<K, V>>| sought.kind == Kind::Exact || (sought.compare)(&row.key) == Ordering::Equal;
            op.number == sought.number && op.row().is_some_and(same)
        };
        self.ops[from..].iter().rposition(is_same).map(|at| from + at)
    }
}

/// What a superseded write leaves.
fn trash<K: Send + Sync + 'static, V: Send + Sync + 'static>(what: What<K, V>) -> Garbage {
    match what {
        What::Put(row) | What::Remove(row) => Garbage::Value(give(row)),
        What::Merge(row, functions) => Garbage::Result(Box::new((row, functions))),
        What::Clear => unreachable!("is not replaced"),
    }
}

/// A part, whatever its types are.
pub(in crate::store) trait AnyPart: Any + Send {
    fn slot(&self) -> u32;
    /// Undoes the writes of this depth.
    fn undo(&self, depth: u32, trash: &mut Vec<Garbage>);
    /// The writes of this depth are the enclosing one's from now on.
    fn keep(&self, depth: u32);
    fn is_written(&self) -> bool;
    /// The numbers of the keys that are written, and whether the whole map is.
    fn written(&self) -> (Vec<u64>, bool);
    /// Builds the next version. Runs user code.
    ///
    /// # Safety
    /// The base is pinned, and of this part's map.
    unsafe fn build(&self, base: &Tree, version: u64, pool: &mut super::node::NodePool) -> super::build::Built;
    /// Whether a range that was read, as of `version`, is different in `now`. Runs user code.
    ///
    /// # Safety
    /// Pinned, and of this part's map.
    unsafe fn ranges_are_stale(&self, now: &Tree, version: u64) -> bool;
    /// Whether a key that is written, not merged, is different in `now` than as of `version`. Runs user code.
    ///
    /// # Safety
    /// Pinned, and of this part's map.
    unsafe fn is_overwritten(&self, now: &Tree, version: u64) -> bool;
    /// Makes the ranges that were read independent of the pinned version: what a sleeper looks at. Runs user code.
    ///
    /// # Safety
    /// The attempt's versions are pinned.
    unsafe fn settle(&self) -> Box<dyn Settled>;
    /// Whether ranges were read.
    fn has_ranges(&self) -> bool;
}

impl<K: Clone + Send + Sync + 'static, V: Send + Sync + 'static> AnyPart for Part<K, V> {
    fn slot(&self) -> u32 {
        self.slot
    }

    fn undo(&self, depth: u32, trash: &mut Vec<Garbage>) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let mut changed = false;
        while let Some(op) = state.ops.pop_if(|op| op.depth >= depth) {
            changed = true;
            match (op.before, &op.what) {
                (before, What::Clear) => state.cleared = before,
                (Some(before), _) => state.ops[before].superseded = false,
                (None, _) => {}
            }
            match op.what {
                What::Put(row) if op.lent => state.undone.push(row),
                What::Clear => {}
                what => trash.push(self::trash(what)),
            }
        }
        if changed {
            state.index.forget();
            let State { ops, index, cleared, .. } = state;
            index.note_last(ops, *cleared, self.kind, self.compare);
        }
    }

    fn keep(&self, depth: u32) {
        let mut state = self.state.borrow_mut();
        state.ops.iter_mut().rev().take_while(|op| op.depth == depth).for_each(|op| op.depth = depth - 1);
    }

    fn is_written(&self) -> bool {
        self.any_ops()
    }

    fn written(&self) -> (Vec<u64>, bool) {
        let state = self.state.borrow();
        let from = state.cleared.map_or(0, |at| at + 1);
        (state.ops[from..].iter().map(|op| op.number).collect(), state.cleared.is_some())
    }

    unsafe fn build(&self, base: &Tree, version: u64, pool: &mut super::node::NodePool) -> super::build::Built {
        // SAFETY: the caller's promise.
        unsafe { super::build::build(self, base, version, pool) }
    }

    unsafe fn ranges_are_stale(&self, now: &Tree, version: u64) -> bool {
        let state = self.state.borrow();
        // SAFETY: the caller's promise.
        let is_stale = |range: &RangeRead<K>| unsafe { range.is_stale::<V>(self.kind, self.compare, now, version) };
        state.ranges.iter().any(is_stale)
            || state.points.iter().any(|(key, present)| {
                // SAFETY: the caller's promise.
                let found =
                    unsafe { self.sought(number_of::<K, K>(key).expect("a key has a number"), key).find::<K, V>(now) };
                found.is_some() != *present || found.is_some_and(|found| found.stamp > version)
            })
    }

    unsafe fn is_overwritten(&self, now: &Tree, version: u64) -> bool {
        let state = self.state.borrow();
        if state.cleared.is_some() {
            return true;
        }
        // SAFETY: the snapshot's version of the map is pinned.
        let then = unsafe { &*self.then.get() };
        state.ops.iter().filter(|op| !op.superseded && !matches!(op.what, What::Merge(..))).any(|op| {
            let sought = self.sought(op.number, &op.row().expect("there is no `Clear`").key);
            // SAFETY: the caller's promise.
            let (then, now) = unsafe { (sought.find::<K, V>(then), sought.find::<K, V>(now)) };
            now.is_some_and(|found| found.stamp > version) || then.is_some() != now.is_some()
        })
    }

    unsafe fn settle(&self) -> Box<dyn Settled> {
        let state = self.state.borrow();
        // SAFETY: the caller's promise.
        let segments = state.ranges.iter().flat_map(|range| unsafe { range.segments::<V>(self.kind, self.compare) });
        let points = state.points.iter().map(|(key, present)| Segment::point(key.clone(), *present));
        Box::new(Segments::<K, V>::new(self.kind, self.compare, segments.chain(points).collect()))
    }

    fn has_ranges(&self) -> bool {
        let state = self.state.borrow();
        !state.ranges.is_empty() || !state.points.is_empty()
    }
}

impl<K, V> Drop for State<K, V> {
    fn drop(&mut self) {
        // Rows go one by one, each guarded, like other values.
        let mut rows = Vec::new();
        for op in self.ops.drain(..) {
            match op.what {
                What::Put(row) | What::Remove(row) => rows.push(Garbage::Value(give(row))),
                What::Merge(row, functions) => {
                    rows.push(Garbage::Value(give(row)));
                    drop(functions);
                }
                What::Clear => {}
            }
        }
        rows.extend(self.undone.drain(..).map(|row| Garbage::Value(give(row))));
        super::super::reclaim::dispose(&mut rows);
    }
}
