//! The trees of maps, alone: every edit keeps the invariants of M1, and finds what a sorted list finds.

use super::edit::{Changes, Editor};
use super::node::{Branch, FAN, Leaf, Node, NodePool};
use super::row::{view, words};
use super::tree::{Number, Rows, Tree, tear_down};

/// Checks a node and all below it; returns its rows.
unsafe fn check(node: *const Node, height: u32, rows: &mut Vec<(u64, u64)>) -> usize {
    // SAFETY: the tests' own trees.
    unsafe {
        let n = &*node;
        assert!(n.len > 0 && n.len <= FAN);
        if height == 0 {
            let leaf = &*node.cast::<Leaf>();
            rows.extend((0..n.len).map(|i| (n.number[i], *view::<u64, u64>(&leaf.at(i)).value)));
            return n.len;
        }
        let branch = &*node.cast::<Branch>();
        let mut sum = 0;
        for i in 0..n.len {
            assert_eq!(n.number[i], (*branch.child[i]).number[0]);
            assert!(n.key[i].same_bits((*branch.child[i]).key[0]));
            sum += check(branch.child[i], height - 1, rows);
            assert_eq!(branch.upto[i], sum);
        }
        sum
    }
}

fn content(tree: &Tree) -> Vec<(u64, u64)> {
    let mut rows = Vec::new();
    if !tree.root.is_null() {
        // SAFETY: the tests' own trees.
        assert_eq!(unsafe { check(tree.root, tree.height, &mut rows) }, tree.len());
    }
    rows
}

fn walk(steps: u64, keys: u64, grow: u64) {
    let mut seed = 0x9E37_79B9_7F4A_7C15u64 ^ keys;
    let mut random = move |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % n
    };
    let mut pool = NodePool::default();
    let mut model: Vec<(u64, u64)> = Vec::new();
    let mut tree = Tree::dead(Rows::Inline);
    for version in 1..=steps {
        let mut changes = Changes::default();
        let mut editor = Editor::new(&tree, version, &mut pool, &mut changes);
        for _ in 0..1 + random(3) {
            let key = if grow == 100 { version * 4 + random(4) } else { random(keys) };
            let at = model.partition_point(|(k, _)| *k < key);
            let found = model.get(at).is_some_and(|(k, _)| *k == key);
            let row = words(key, version);
            // SAFETY: private trees.
            unsafe {
                match (found, random(100) < grow) {
                    (false, true) => {
                        editor.insert(at, key, row);
                        model.insert(at, (key, version));
                    }
                    (true, true) => {
                        editor.replace(at, key, row);
                        model[at].1 = version;
                    }
                    (true, false) => {
                        editor.remove(at);
                        model.remove(at);
                    }
                    (false, false) => {}
                }
            }
        }
        tree = editor.tree(0);
        for entry in changes.publish().drain(..) {
            match entry.into_what() {
                // SAFETY: nobody else has seen the nodes.
                super::super::limbo::What::MapLeaf(leaf) => unsafe { pool.put_leaf(leaf) },
                // SAFETY: as above.
                super::super::limbo::What::MapBranch(branch) => unsafe { pool.put_branch(branch) },
                _ => unreachable!("an editor replaces nodes"),
            }
        }
        if version % 97 == 0 || version == steps {
            assert_eq!(content(&tree), model);
        }
        let key = random(keys);
        let rank = model.partition_point(|(k, _)| *k <= key);
        // SAFETY: private trees.
        unsafe {
            let floor = tree.floor(&Number(key));
            assert_eq!(floor.rank, rank);
            assert_eq!(floor.last.map(|found| found.number), rank.checked_sub(1).map(|i| model[i].0));
            if !model.is_empty() {
                let rank = random(model.len() as u64) as usize;
                assert_eq!(tree.row_at(rank).number, model[rank].0);
                let (from, since) = (random(rank as u64 + 1) as usize, version.saturating_sub(random(200)));
                let newer = model[from..rank].iter().any(|(_, written)| *written > since);
                assert_eq!(tree.any_newer(from..rank, since), newer, "{from}..{rank} since {since}");
            }
        }
    }
    if !tree.root.is_null() {
        // SAFETY: private trees.
        unsafe { tear_down(tree.root, tree.height, &mut pool, &mut |_| ()) };
    }
}

#[test]
fn a_few_random_edits_keep_the_tree_sane() {
    walk(300, 200, 70);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn random_edits_keep_the_tree_sane() {
    walk(2_000, 60, 50);
    walk(20_000, 5_000, 60);
    walk(20_000, 100_000, 90);
    walk(20_000, 100_000, 55);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn a_large_tree_grows_and_shrinks() {
    walk(60_000, 200_000, 97);
    walk(60_000, 10_000, 30);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes")]
fn rows_that_come_in_order_fill_their_leaves() {
    walk(20_000, 100_000, 100);
}
