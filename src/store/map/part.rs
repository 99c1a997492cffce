//! What an attempt does to one map: its writes, in order, and the ranges that it has read (M3).

use super::super::reclaim::Garbage;
use super::super::value::{self, Word};
use super::gone::Gone;
use super::node::Words;
use super::overlay::Overlay;
use super::ranges::RangeRead;
use super::row::{Kind, Row, RowRef, Sought, Spot, are_inline, give, key_of, words};
use super::tree::{Found, Tree};
use crate::sync::Arc;
use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::hash::Hash;

/// A part with more writes is not kept for another attempt.
pub(super) const MOST: usize = 256;

/// A function of the newest value of a key.
pub(super) type MergeFn<V> = Arc<dyn Fn(&V) -> V + Send + Sync>;

/// The initial row of a key and the functions that wait for its value.
pub(super) type Merging<K, V> = (Arc<Row<K, V>>, Vec<MergeFn<V>>);

/// What a write does.
pub(super) enum What<K, V> {
    Put(Arc<Row<K, V>>),
    /// The same, of inline types.
    PutWords(Words),
    /// The first word of the row that was there, and that row if it is the attempt's own.
    Remove(Word, Option<Arc<Row<K, V>>>),
    /// The row if the key is absent at the commit; else the function of what is there. The others are applied to the result.
    Merge(Arc<Row<K, V>>, Vec<MergeFn<V>>),
    /// All rows of the map go.
    Clear,
    /// The row was published: it is the tree's.
    Given,
}

pub(super) struct Op<K, V> {
    pub(super) number: u64,
    /// The nesting depth that wrote it.
    pub(super) depth: u32,
    pub(super) what: What<K, V>,
    /// A reference to the row's value was handed out.
    pub(super) lent: bool,
    /// A later write is of the same key.
    pub(super) superseded: bool,
    /// The write that this one supersedes: of the same key, or, for `Clear`, the one before.
    pub(super) before: Option<usize>,
}

impl<K: 'static, V: 'static> What<K, V> {
    /// Gives a key a value.
    pub(super) fn put(key: K, value: V) -> Self {
        if are_inline::<K, V>() { What::PutWords(words(key, value)) } else { What::Put(Row::new(key, value)) }
    }

    pub(super) fn key(&self) -> Option<&K> {
        match self {
            What::Put(row) | What::Merge(row, _) => Some(&row.key),
            // SAFETY: (both) words of a row of these types; one of a tree is kept by the attempt's snapshot.
            What::PutWords(words) => Some(unsafe { key_of::<K, V>(&raw const words.key) }),
            // SAFETY: as above.
            What::Remove(word, _) => Some(unsafe { key_of::<K, V>(word) }),
            What::Clear | What::Given => None,
        }
    }

    /// Another write of the key takes this one's place; returns what goes.
    pub(super) fn supersede(&mut self, by: Self) -> Option<Garbage>
    where
        K: Send + Sync,
        V: Send + Sync,
    {
        let old = std::mem::replace(self, by);
        match (self, old) {
            (What::Remove(_, kept), What::Put(row)) => {
                // It tells the key from now on.
                *kept = Some(row);
                None
            }
            (_, old) => trash(old),
        }
    }

    /// The word that tells the key.
    pub(super) fn word(&self) -> Option<Word> {
        match self {
            What::Put(row) | What::Merge(row, _) => Some(row.view().word),
            What::PutWords(words) => Some(words.key),
            What::Remove(word, _) => Some(*word),
            What::Clear | What::Given => None,
        }
    }
}

impl<K: 'static, V: 'static> Op<K, V> {
    pub(super) fn key(&self) -> &K {
        self.what.key().expect("a write of one key, not published")
    }

    /// The row that it puts in, handed out: it stays where it is until the attempt ends.
    pub(super) fn lend(&mut self) -> Option<RowRef<'static, K, V>> {
        if let What::PutWords(words) = &self.what {
            // SAFETY: words of inline types, which are `Copy`.
            let (key, value) = unsafe { (value::copy_out::<K>(words.key), value::copy_out::<V>(words.value)) };
            self.what = What::Put(Row::new(key, value));
        }
        let What::Put(row) = &self.what else { return None };
        self.lent = true;
        let row: *const Row<K, V> = Arc::as_ptr(row);
        // SAFETY: M3: rows that are lent stay in the part until it goes, with the attempt, to which callers tie the reference.
        Some(unsafe { &*row }.view())
    }
}

pub(super) struct State<K, V> {
    pub(super) ops: Vec<Op<K, V>>,
    /// The last `Clear`: writes before it are void, and so is what the snapshot has.
    pub(super) cleared: Option<usize>,
    pub(super) ranges: Vec<RangeRead<K>>,
    /// Keys that were read, and whether they were there; of maps whose keys are not told by their numbers.
    pub(super) points: Vec<(K, bool)>,
    /// Rows of undone writes that were lent.
    pub(super) undone: Vec<Arc<Row<K, V>>>,
    pub(super) index: Overlay,
    pub(super) gone: Gone,
    /// There may be functions that wait for a value.
    pub(super) merges: bool,
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
    Row(RowRef<'p, K, V>),
    Absent,
    Merge,
}

/// Equal or not: the order of keys in a hash map is that of their hashes.
pub(crate) fn compare_by_eq<K: Eq + Hash>(a: &K, b: &K) -> Ordering {
    if a == b { Ordering::Equal } else { Ordering::Less }
}

impl<K: Send + Sync + 'static, V: Send + Sync + 'static> Part<K, V> {
    /// The part is of this map from now on.
    pub(super) fn begin(&mut self, slot: u32, kind: Kind, compare: fn(&K, &K) -> Ordering) {
        (self.slot, self.kind, self.compare) = (slot, kind, compare);
    }

    pub(super) fn new(slot: u32, kind: Kind, compare: fn(&K, &K) -> Ordering) -> Self {
        let state = State {
            ops: Vec::new(),
            cleared: None,
            ranges: Vec::new(),
            points: Vec::new(),
            undone: Vec::new(),
            index: Overlay::default(),
            gone: Gone::NOTHING,
            merges: false,
        };
        Part { slot, kind, compare, then: Cell::new(std::ptr::null()), state: RefCell::new(state) }
    }

    /// What the key's own last write says. A reference to its row is handed out: it is good until the attempt ends.
    pub(super) fn own<C: Fn(&K) -> Ordering>(&self, sought: &Sought<C>) -> Own<'_, K, V> {
        let mut state = self.state.borrow_mut();
        self.index_last(&mut state);
        let Some(at) = state.find(sought) else {
            return if state.cleared.is_some() { Own::Absent } else { Own::Nothing };
        };
        let op = &mut state.ops[at];
        match &op.what {
            What::Put(_) | What::PutWords(_) => match op.lend() {
                Some(row) => Own::Row(row),
                None => Own::Nothing,
            },
            What::Merge(..) => Own::Merge,
            What::Remove(..) | What::Clear | What::Given => Own::Absent,
        }
    }

    /// The row of the key's own last write, to be looked at for a while: not handed out, so that the next write can take its place.
    pub(super) fn own_for_now<C: Fn(&K) -> Ordering>(&self, sought: &Sought<C>) -> Option<Arc<Row<K, V>>> {
        let mut state = self.state.borrow_mut();
        self.index_last(&mut state);
        match &state.ops[state.find(sought)?].what {
            What::Put(row) => Some(row.clone()),
            What::PutWords(words) => {
                // SAFETY: words of inline types, which are `Copy`.
                Some(unsafe { Row::new(value::copy_out::<K>(words.key), value::copy_out::<V>(words.value)) })
            }
            _ => None,
        }
    }

    /// Adds a write; returns what it supersedes, to be dropped when nothing is borrowed.
    pub(super) fn push(&self, number: u64, depth: u32, what: What<K, V>) -> Option<Garbage> {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.merges |= matches!(what, What::Merge(..));
        let before = match what.key() {
            None => state.cleared,
            Some(key) => {
                let compare = |other: &K| (self.compare)(other, key);
                state.find(&Sought { kind: self.kind, number, compare })
            }
        };
        if let (Some(at), false) = (before, matches!(what, What::Clear)) {
            state.gone.forget();
            let op = &mut state.ops[at];
            if op.depth == depth && !op.lent {
                let old = op.what.supersede(what);
                let State { ops, index, .. } = state;
                index.note_again(ops, at, self.kind, self.compare);
                return old;
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
    pub(super) fn sought<'k>(&self, number: u64, key: &'k K) -> Sought<impl Fn(&K) -> Ordering + use<'k, K, V>> {
        let (kind, compare) = (self.kind, self.compare);
        Sought { kind, number, compare: move |other: &K| compare(other, key) }
    }

    /// Notes that a key was read that its number does not tell. What that makes superfluous is returned, to be dropped when nothing is borrowed.
    pub(super) fn log_point(&self, key: K, present: bool) -> Option<Garbage> {
        let mut state = self.state.borrow_mut();
        let points = &mut state.points;
        let mut known = Vec::new();
        if points.len() == points.capacity() && points.len() >= 32 {
            points.sort_by(|(a, _), (b, _)| (self.compare)(a, b));
            let all = std::mem::take(points);
            points.reserve(all.len());
            for point in all {
                if points.last().is_some_and(|(last, _)| (self.compare)(last, &point.0) == Ordering::Equal) {
                    known.push(point);
                } else {
                    points.push(point);
                }
            }
            let room = points.len();
            points.reserve(room);
        }
        points.push((key, present));
        (!known.is_empty()).then(|| Garbage::Result(Box::new(known)))
    }

    /// Keys with functions that wait for their values.
    pub(super) fn merged_rows(&self) -> Vec<(u64, Arc<Row<K, V>>)> {
        let state = self.state.borrow();
        if !state.merges {
            return Vec::new();
        }
        let merged = |op: &Op<K, V>| match &op.what {
            What::Merge(row, _) if !op.superseded => Some((op.number, row.clone())),
            _ => None,
        };
        let from = state.cleared.map_or(0, |at| at + 1);
        state.ops[from..].iter().filter_map(merged).collect()
    }

    /// How many keys there are after the writes, in this version or, if the map was cleared, in an empty one.
    pub(super) fn len_over(&self, tree: &Tree) -> usize {
        let mut jobs = Vec::new();
        self.jobs(tree, &mut jobs);
        let state = self.state.borrow();
        let removed = |job: &&Job| matches!(state.ops[job.op].what, What::Remove(..));
        tree.len() + jobs.iter().filter(|job| job.old.is_none()).count() - jobs.iter().filter(removed).count()
    }

    pub(super) fn any_ops(&self) -> bool {
        !self.state.borrow().ops.is_empty()
    }

    /// Sees to it that the latest write of a key is found fast.
    fn index_last(&self, state: &mut State<K, V>) {
        let State { ops, index, cleared, .. } = state;
        index.note_last(ops, *cleared, self.kind, self.compare);
    }

    /// The writes that count, in the order of their keys, with where they belong in a version of the map.
    pub(super) fn jobs(&self, tree: &Tree, jobs: &mut Vec<Job>) {
        let state = self.state.borrow();
        let from = state.cleared.map_or(0, |at| at + 1);
        for (at, op) in state.ops.iter().enumerate().skip(from).filter(|(_, op)| !op.superseded) {
            // SAFETY: the caller's tree is pinned, and of this map.
            let Spot { rank, found } = unsafe { self.sought(op.number, op.key()).spot::<K, V>(tree) };
            if found.is_none() && matches!(op.what, What::Remove(..)) {
                continue;
            }
            jobs.push(Job { number: op.number, rank, old: found, op: at, words: None });
        }
        if jobs.len() < 2 {
            return;
        }
        jobs.sort_by(|a, b| {
            // A new row stands before the one of its rank.
            let place = (a.rank, a.old.is_some(), a.number).cmp(&(b.rank, b.old.is_some(), b.number));
            place.then_with(|| match self.kind {
                Kind::Ordered => (self.compare)(state.ops[a.op].key(), state.ops[b.op].key()),
                Kind::Hash | Kind::Exact => Ordering::Equal,
            })
        });
        // Else its row would go twice.
        let twice = |pair: &[Job]| pair.iter().all(|job| job.old.is_some()) && pair[0].rank == pair[1].rank;
        assert!(
            !jobs.windows(2).any(twice),
            "tvar: keys of a map that were different are equal now: their `Eq` or `Ord` is wrong"
        );
    }
}

/// A write and where it belongs.
#[derive(Clone, Copy)]
pub(in crate::store) struct Job {
    pub(super) number: u64,
    pub(super) rank: usize,
    /// The row that the tree has; `None`: the key is not in it.
    pub(super) old: Option<Found>,
    pub(super) op: usize,
    /// The row that it gets; `None`: the key goes.
    pub(super) words: Option<Words>,
}

impl<K: 'static, V: 'static> State<K, V> {
    /// Writes have changed, or have gone: what was found out about them.
    pub(super) fn forget(&mut self) {
        self.index.forget();
        self.gone.forget();
    }

    /// The last write of a key since the last `Clear`.
    pub(super) fn find<C: Fn(&K) -> Ordering>(&self, sought: &Sought<C>) -> Option<usize> {
        let from = self.cleared.map_or(0, |at| at + 1);
        if let Some(found) = self.index.find::<K, V, C>(sought) {
            return found;
        }
        let is_same = |op: &Op<K, V>| {
            let same = |key: &K| sought.kind == Kind::Exact || (sought.compare)(key) == Ordering::Equal;
            op.number == sought.number && op.what.key().is_some_and(same)
        };
        self.ops[from..].iter().rposition(is_same).map(|at| from + at)
    }
}

/// What a superseded write leaves.
pub(super) fn trash<K: Send + Sync + 'static, V: Send + Sync + 'static>(what: What<K, V>) -> Option<Garbage> {
    match what {
        What::Put(row) | What::Remove(_, Some(row)) => Some(Garbage::Value(give(row))),
        What::Merge(row, functions) => Some(Garbage::Result(Box::new((row, functions)))),
        What::PutWords(_) | What::Remove(_, None) | What::Clear | What::Given => None,
    }
}
