//! Writes the copy of the tree whose orderings can be weakened while it runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sites::{self, File, GONE};

/// What the copy's shim has besides.
const SHIM: &str = r#"

/// `order`, or what this run has weakened it to.
pub(crate) fn weakened(sites: &[usize], order: atomic::Ordering) -> atomic::Ordering {
    match chosen(sites) {
        None => order,
        Some("Acquire") => atomic::Ordering::Acquire,
        Some("Release") => atomic::Ordering::Release,
        Some(_) => atomic::Ordering::Relaxed,
    }
}

/// Whether this run has left the fence in.
pub(crate) fn kept(site: usize) -> bool {
    chosen(&[site]).is_none()
}

fn chosen(sites: &[usize]) -> Option<&'static str> {
    static CHOSEN: OnceLock<Option<(usize, String)>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let chosen = std::env::var("TVAR_WEAKENED").ok()?;
        let (site, to) = chosen.split_once(' ')?;
        Some((site.parse().ok()?, to.to_string()))
    });
    chosen.as_ref().filter(|(site, _)| sites.contains(site)).map(|(_, to)| to.as_str())
}
"#;

/// Copies the tree, each of its orderings through `weakened`, and says where it lies.
pub(crate) fn write(root: &Path, files: &[File]) -> PathBuf {
    let tree = root.join("target/orderings/tree");
    let _ = fs::remove_dir_all(&tree);
    fs::create_dir_all(&tree).expect("target is writable");
    let parts = ["Cargo.toml", "Cargo.lock", "src", "loom-tests", "benches", "examples", "tests", "docs", "README.md"];
    let copied = Command::new("cp").arg("-pr").args(parts).arg(&tree).current_dir(root).status();
    assert!(copied.is_ok_and(|status| status.success()), "the tree was not copied");
    let shim = tree.join("src/sync/mod.rs");
    fs::write(&shim, fs::read_to_string(&shim).expect("the shim is readable") + SHIM).expect("target is writable");

    let all = sites::weakenings(files);
    for file in files {
        let mut text = file.text.clone();
        // From the end, so that the places before it stay where they are.
        for (number, weakening) in all.iter().enumerate().rev().filter(|(_, w)| w.path == file.path) {
            let here: Vec<_> =
                (0..all.len()).filter(|&i| all[i].path == file.path && all[i].start == weakening.start).collect();
            if here[0] != number {
                continue;
            }
            if weakening.to == GONE {
                // The whole statement, from the token's line.
                let start = text[..weakening.start].rfind(['\n', '{', ';']).map_or(0, |at| at + 1);
                text.insert_str(start, &format!(" if crate::sync::kept({number}) "));
                let end = start + text[start..].find(';').expect("a fence is a statement");
                text.replace_range(end..=end, ";}");
                let open = start + text[start..].find(") ").expect("just written") + 2;
                text.insert(open, '{');
            } else {
                let token = &text[weakening.start..weakening.end];
                let with = format!("crate::sync::weakened(&{here:?}, {token})");
                text.replace_range(weakening.start..weakening.end, &with);
            }
        }
        fs::write(tree.join("src").join(&file.path), text).expect("target is writable");
    }
    tree
}
