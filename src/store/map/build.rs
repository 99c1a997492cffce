//! The next version of a map: the writes of an attempt applied to the newest one (M2).

use super::super::limbo::Limbo;
use super::super::merge::OwnedWord;
use super::super::reclaim::Garbage;
use super::super::value::{Word, is_inline};
use super::any::AnyPart;
use super::edit::{Changes, Editor};
use super::node::{NodePool, Words};
use super::part::{Job, MergeFn, Part, What};
use super::row::{Row, are_inline, give, rows_of, view, word_of, words};
use super::tree::{Rows, Tree, retire_below, retire_row};
use super::{Key, Value};
use crate::sync::Arc;
use std::ptr;

/// What a version that is not published owns.
pub(in crate::store) struct BuiltParts {
    changes: Changes,
    /// Rows that this build has made.
    rows: Vec<Garbage>,
    /// Values that merge functions have made on the way to others. Their destructors may commit, so they wait for the end of the attempt.
    spent: Vec<Garbage>,
    /// The version that it replaces, and whose writes it has.
    of: Option<(*const Tree, *const dyn AnyPart)>,
}

impl BuiltParts {
    pub(in crate::store) fn new(pool: &mut NodePool) -> BuiltParts {
        BuiltParts { changes: pool.changes(), rows: Vec::new(), spent: Vec::new(), of: None }
    }

    /// It was published: what it replaced goes to the limbo.
    ///
    /// # Safety
    /// The base is pinned, and the attempt has not ended.
    pub(in crate::store) unsafe fn publish(mut self, pool: &mut NodePool, limbo: &mut Limbo, trash: &mut Vec<Garbage>) {
        if !self.rows.is_empty() {
            self.rows.drain(..).for_each(std::mem::forget);
        }
        trash.append(&mut self.spent);
        let (base, part) = self.of.expect("published after it was built");
        // SAFETY: the caller's promise.
        unsafe {
            limbo.append(self.changes.publish(), (*base).rows == Rows::Boxed);
            (*part).give(&self.changes.jobs);
            (*base).give_up();
        }
        pool.put_changes(std::mem::take(&mut self.changes));
    }

    /// It was not: what it made goes; rows end in `trash`.
    pub(in crate::store) fn forget(mut self, pool: &mut NodePool, trash: &mut Vec<Garbage>) {
        // SAFETY: never published, so nobody else has seen the nodes.
        unsafe { self.changes.forget(pool) };
        trash.append(&mut self.rows);
        trash.append(&mut self.spent);
        pool.put_changes(std::mem::take(&mut self.changes));
    }
}

impl Drop for BuiltParts {
    fn drop(&mut self) {
        // Not empty only if the store ends with a build that a panic has left.
        // SAFETY: never published.
        unsafe { self.changes.forget(&mut NodePool::default()) };
        self.rows.append(&mut self.spent);
        super::super::reclaim::dispose(&mut self.rows);
    }
}

/// Applies a part's writes to `base`. The version's nodes are those of `parts` until it is published; so they are if a panic ends the build.
///
/// From the last one to the first, so that the ranks of those to come stay what they were in the base; no key is compared once the
/// places are known.
///
/// # Safety
/// The base is pinned, and of the part's map. Runs user code.
pub(super) unsafe fn build<K: Key, V: Value>(
    part: &Part<K, V>,
    base: &Tree,
    version: u64,
    pool: &mut NodePool,
    parts: &mut BuiltParts,
) -> Tree {
    parts.of = Some((base, ptr::from_ref(part)));
    let cleared = part.is_cleared();
    let empty = Tree::dead(base.rows);
    let from = if cleared { &empty } else { base };
    let mut jobs = std::mem::take(&mut parts.changes.jobs);
    part.jobs(from, &mut jobs);
    // User code first.
    for job in &mut jobs {
        job.words = row_of(part, job, parts);
    }
    let mut shape = base.shape;
    let mut editor = Editor::new(from, version, pool, &mut parts.changes);
    if cleared && base.len() > 0 {
        shape = version;
        // SAFETY: pinned; nothing is freed, but retired.
        unsafe { retire_below(base.root(), base.height, base.rows, version, &mut editor.changes.retired) };
    }
    for job in jobs.iter().rev() {
        // SAFETY: pinned; ranks of rows not dealt with yet are those of the base.
        unsafe {
            if let Some(old) = &job.old {
                retire_row(base.rows, *old.key, old.stamp, version, &mut editor.changes.retired);
            }
            match job.words {
                Some(words) if job.old.is_none() => editor.insert(job.rank, job.number, words),
                Some(words) => editor.replace(job.rank, job.number, words),
                None => editor.remove(job.rank),
            }
        }
        if job.old.is_none() || job.words.is_none() {
            shape = version;
        }
    }
    let tree = editor.tree(shape);
    parts.changes.jobs = jobs;
    tree
}

/// The row that a write puts in, if it does. What it makes for that is noted in `parts`. Runs user code.
fn row_of<K: Key, V: Value>(part: &Part<K, V>, job: &Job, parts: &mut BuiltParts) -> Option<Words> {
    let (initial, functions) = match &part.state.borrow().ops[job.op].what {
        What::Put(row) if are_inline::<K, V>() => return Some(copy_words(row)),
        What::Put(row) => return Some(Words { key: word_of(row), value: Word::EMPTY }),
        What::PutWords(words) => return Some(*words),
        What::Remove(..) | What::Clear | What::Given => return None,
        What::Merge(row, functions) => (row.clone(), functions.clone()),
    };
    // SAFETY: the base is pinned.
    let old = job.old.as_ref().map(|found| unsafe { view::<K, V>(found).value });
    // Other counts of both are in the log.
    let row = merged(&initial, &functions, old, &mut parts.spent);
    if are_inline::<K, V>() {
        return Some(copy_words(&row));
    }
    let words = Words { key: word_of(&row), value: Word::EMPTY };
    parts.rows.push(Garbage::Value(give(row)));
    Some(words)
}

/// A row of inline types in words.
fn copy_words<K: 'static, V: 'static>(row: &Arc<Row<K, V>>) -> Words {
    // SAFETY: inline types, which are `Copy`.
    unsafe { words(ptr::from_ref(&row.key).read(), ptr::from_ref(&row.value).read()) }
}

/// The row that a key gets whose functions meet this value. What they make on the way ends in `spent`, also if one of them panics.
pub(super) fn merged<K: Clone, V: 'static>(
    initial: &Arc<Row<K, V>>,
    functions: &[MergeFn<V>],
    old: Option<&V>,
    spent: &mut Vec<Garbage>,
) -> Arc<Row<K, V>> {
    let mut last = Last { value: None, spent };
    // The first function is for a key that is there; what is absent gets the initial value instead.
    if let Some(old) = old {
        last.set(functions[0](old));
    }
    for f in &functions[1..] {
        let value = f(last.value.as_ref().unwrap_or(&initial.value));
        last.set(value);
    }
    if last.value.is_none() {
        return initial.clone();
    }
    let key = initial.key.clone();
    match last.value.take() {
        Some(value) => Row::new(key, value),
        None => initial.clone(),
    }
}

/// The last value that merge functions have made; it and those before it are not dropped in here.
struct Last<'s, V: 'static> {
    value: Option<V>,
    spent: &'s mut Vec<Garbage>,
}

impl<V: 'static> Last<'_, V> {
    fn set(&mut self, value: V) {
        self.bury();
        self.value = Some(value);
    }

    fn bury(&mut self) {
        let word = self.value.take().map(|value| OwnedWord { word: Word::encode(value), inline: is_inline::<V>() });
        self.spent.extend(word.and_then(OwnedWord::into_garbage));
    }
}

impl<V: 'static> Drop for Last<'_, V> {
    fn drop(&mut self) {
        self.bury();
    }
}

/// Makes the content of a new map, from rows that come in order.
pub(super) fn initial<K: 'static, V: 'static>(rows: impl Iterator<Item = (u64, K, V)>) -> Tree {
    let (mut pool, mut changes) = (NodePool::default(), Changes::default());
    let empty = Tree::dead(rows_of::<K, V>());
    let mut editor = Editor::new(&empty, 0, &mut pool, &mut changes);
    for (rank, (number, key, value)) in rows.enumerate() {
        let words = if are_inline::<K, V>() {
            words(key, value)
        } else {
            Words { key: Word::of_header(give(Row::new(key, value))), value: Word::EMPTY }
        };
        // SAFETY: private; rows come in order.
        unsafe { editor.insert(rank, number, words) };
    }
    let tree = editor.tree(0);
    tree.set_alive(true);
    // The nodes are the tree's, and nothing was replaced.
    changes.publish().clear();
    tree
}
