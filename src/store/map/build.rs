//! The next version of a map: the writes of an attempt applied to the newest one (M2).

use super::super::limbo::{Retired, What as Gone};
use super::super::reclaim::Garbage;
use super::edit::{Changes, Editor};
use super::node::{NodePool, RowPtr};
use super::part::{Job, MergeFn, Part, What};
use super::row::{Row, share, view};
use super::tree::Tree;
use crate::sync::Arc;

/// A version that was built and is not published yet.
pub(in crate::store) struct Built {
    /// Its nodes are those of `changes` until it is published, and its new rows those of `rows`.
    pub(in crate::store) tree: Tree,
    pub(in crate::store) parts: BuiltParts,
}

/// What a version that is not published owns.
#[derive(Default)]
pub(in crate::store) struct BuiltParts {
    changes: Changes,
    /// Counts of rows that are in this version alone.
    rows: Vec<RowPtr>,
    /// The version that it replaces.
    base: Option<*const Tree>,
}

impl BuiltParts {
    /// It was published: what it replaced goes to the limbo.
    ///
    /// # Safety
    /// The base is pinned.
    pub(in crate::store) unsafe fn publish(mut self, mut retire: impl FnMut(Retired)) {
        self.rows.clear();
        self.changes.publish().for_each(&mut retire);
        if let Some(base) = self.base.take() {
            // SAFETY: the caller's promise.
            unsafe { &*base }.give_up();
        }
    }

    /// It was not: what it made goes; rows end in `trash`.
    pub(in crate::store) fn forget(mut self, pool: &mut NodePool, trash: &mut Vec<Garbage>) {
        // SAFETY: never published, so nobody else has seen the nodes.
        unsafe { self.changes.forget(pool) };
        trash.extend(self.rows.drain(..).map(Garbage::Value));
    }
}

impl Drop for BuiltParts {
    fn drop(&mut self) {
        // A panic in code of the user's has ended the build.
        let mut trash = Vec::new();
        std::mem::take(&mut self.rows).into_iter().for_each(|row| trash.push(Garbage::Value(row)));
        // SAFETY: never published.
        unsafe { self.changes.forget(&mut NodePool::default()) };
        super::super::reclaim::dispose(&mut trash);
    }
}

/// Applies a part's writes to `base`.
///
/// From the last one to the first, so that the ranks of those to come stay what they were in the base; no key is compared once the
/// places are known.
///
/// # Safety
/// The base is pinned, and of the part's map. Runs user code.
pub(super) unsafe fn build<K: Clone + Send + Sync + 'static, V: Send + Sync + 'static>(
    part: &Part<K, V>,
    base: &Tree,
    version: u64,
    pool: &mut NodePool,
) -> Built {
    let mut parts = BuiltParts::default();
    parts.base = Some(base);
    let cleared = part.state.borrow().cleared.is_some();
    let empty = Tree::dead();
    let from = if cleared { &empty } else { base };
    let jobs = part.jobs(from);
    // User code first.
    let mut todo: Vec<(Job, Option<RowPtr>)> = Vec::with_capacity(jobs.len());
    for job in jobs {
        // SAFETY: the base is pinned; a job that is not new has the rank of a row.
        let old = (!job.new).then(|| unsafe { from.row_at(job.rank) });
        let merge = {
            let state = part.state.borrow();
            match &state.ops[job.op].what {
                What::Put(row) => Err(Some(share(row))),
                What::Remove(_) => Err(None),
                What::Merge(row, functions) => Ok((row.clone(), functions.clone())),
                What::Clear => unreachable!("is no job"),
            }
        };
        let row = match merge {
            Err(row) => row,
            Ok((initial, functions)) => {
                // SAFETY: pinned.
                let old = old.map(|found| unsafe { &view::<K, V>(found.row).value });
                Some(share(&merged(&initial, &functions, old)))
            }
        };
        parts.rows.extend(row);
        todo.push((job, row));
    }
    let mut shape = base.shape;
    let mut editor = Editor::new(from, version, pool, &mut parts.changes);
    if cleared && base.len > 0 {
        shape = version;
        // SAFETY: pinned; nothing is freed, but retired.
        unsafe { retire_all(base, version, &mut editor.changes.retired) };
    }
    for (job, row) in todo.into_iter().rev() {
        // SAFETY: pinned; ranks of rows not dealt with yet are those of the base.
        unsafe {
            if !job.new {
                let old = from.row_at(job.rank);
                editor.changes.retired.push(Retired::new(old.stamp, version, Gone::Value(old.row)));
            }
            match row {
                Some(row) if job.new => editor.insert(job.rank, job.number, row),
                Some(row) => editor.replace(job.rank, job.number, row),
                None => editor.remove(job.rank),
            }
        }
        if job.new || row.is_none() {
            shape = version;
        }
    }
    Built { tree: editor.tree(shape), parts }
}

/// The row that a key gets whose functions meet this value.
pub(super) fn merged<K: Clone, V>(
    initial: &Arc<Row<K, V>>,
    functions: &[MergeFn<V>],
    old: Option<&V>,
) -> Arc<Row<K, V>> {
    // The first function is for a key that is there; what is absent gets the initial value instead.
    let (mut value, rest) = match old {
        Some(old) => (Some(functions[0](old)), &functions[1..]),
        None => (None, &functions[1..]),
    };
    for f in rest {
        value = Some(f(value.as_ref().unwrap_or(&initial.value)));
    }
    match value {
        Some(value) => Row::new(initial.key.clone(), value),
        None => initial.clone(),
    }
}

/// Retires all nodes and rows of a version.
///
/// # Safety
/// The tree is pinned.
unsafe fn retire_all(tree: &Tree, version: u64, retired: &mut Vec<Retired>) {
    if !tree.root.is_null() {
        // SAFETY: the caller's promise.
        unsafe { super::tree::retire_below(tree.root, tree.height, version, retired) };
    }
}

/// Makes the content of a new map.
pub(crate) fn initial<K: 'static, V: 'static>(rows: impl Iterator<Item = (u64, Arc<Row<K, V>>)>) -> Tree {
    let (mut pool, mut changes) = (NodePool::default(), Changes::default());
    let empty = Tree::dead();
    let mut editor = Editor::new(&empty, 0, &mut pool, &mut changes);
    for (rank, (number, row)) in rows.enumerate() {
        // SAFETY: private; rows come in order.
        unsafe { editor.insert(rank, number, super::row::give(row)) };
    }
    let tree = editor.tree(0);
    tree.set_alive(true);
    changes.publish().for_each(drop);
    tree
}
