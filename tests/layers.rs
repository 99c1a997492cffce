//! The rules that hold the source together, checked on the source itself.
//!
//! - Imports point down only: sync < store < {wait, lock} < commit < attempt < face < collections.
//! - `wait` and `lock` get ids and versions as plain numbers: they name neither the store nor each other.
//! - Only `src/sync` names `std::sync`, `std::thread`, `core::sync::atomic` or `loom`.
//! - `unsafe` occurs in `src/store` alone.
//! - Every memory ordering has an ORDERING comment (or a SAFETY comment) near it.
//! - A file holds one concept: at most 500 lines.
//!
//! Every rule has a test below that breaks it.

use std::fmt::Write as _;
use std::path::Path;
use std::{fs, iter};

/// The layers from low to high; what is in one row does not know its neighbours.
const ORDER: &[&[&str]] =
    &[&["sync"], &["store"], &["wait", "lock"], &["commit"], &["attempt"], &["face"], &["collections"]];

/// Paths that only the shim may name.
const SHIMMED: &[&str] = &["std::sync", "core::sync", "alloc::sync", "std::thread", "loom"];

const LONGEST_FILE: usize = 500;
/// An ORDERING comment speaks for what follows within so many lines.
const COMMENT_REACH: usize = 8;

#[test]
fn the_source_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&root);
    assert!(files.len() > 10, "found only {} files", files.len());
    let test_files = files_of_test_modules(&files);
    let mut report = String::new();
    for (path, text) in &files {
        for finding in check(path, text, test_files.contains(path)) {
            writeln!(report, "  src/{path}:{finding}").unwrap();
        }
    }
    assert!(report.is_empty(), "rules broken:\n{report}");
}

// ---- the rules ----

/// Everything that is wrong with one file, as `LINE: what`.
fn check(path: &str, text: &str, only_in_tests: bool) -> Vec<String> {
    let Some(layer) = layer_of_file(path) else {
        return vec!["1: this folder has no layer; give it one in tests/layers.rs".into()];
    };
    let tokens = tokens(text);
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        findings.push(format!("{lines}: longer than {LONGEST_FILE} lines"));
    }
    if layer != "store" {
        for token in tokens.iter().filter(|t| t.text == "unsafe") {
            findings.push(format!("{}: `unsafe` outside src/store", token.line));
        }
    }
    for import in imports(path, &tokens) {
        let name = import.path.join("::");
        let line = import.line;
        if import.path[0] == "crate" {
            if let Some(why) = refused(layer, &import.path[1..]) {
                findings.push(format!("{line}: `{name}` in layer `{layer}`: {why}"));
            }
        } else if !matches!(layer, "sync" | "reference")
            && !only_in_tests
            && !import.in_test_module
            && SHIMMED.iter().any(|s| name == *s || name.starts_with(&format!("{s}::")))
        {
            findings.push(format!("{line}: `{name}` outside src/sync"));
        }
    }
    findings.extend(bare_orderings(text));
    findings
}

/// Why a file of `layer` may not name `crate::path`; `None` if it may.
fn refused(layer: &str, path: &[String]) -> Option<&'static str> {
    let target = layer_of_module(path.first().map_or("", String::as_str));
    if layer == target || target == "docs" {
        return None;
    }
    match (layer, target) {
        ("reference", _) => return Some("the reference engine stands apart"),
        ("face", "reference") => return None,
        (_, "reference") => return Some("only the face may name the reference engine"),
        ("docs", _) => return None,
        // What the platform gives to any crate: shared handles, memory filled once, a counter.
        ("collections", "sync") if matches!(path.get(1).map(String::as_str), Some("Arc" | "OnceLock" | "plain")) => {
            return None;
        }
        ("collections", target) if target != "face" => {
            return Some("collections are built on the face alone");
        }
        ("wait" | "lock", "store") => return Some("they get plain numbers"),
        _ => {}
    }
    match height(target).cmp(&height(layer)) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some("neighbours do not know each other"),
        std::cmp::Ordering::Greater => Some("imports point down only"),
    }
}

fn height(layer: &str) -> usize {
    ORDER.iter().position(|row| row.contains(&layer)).unwrap_or_else(|| panic!("`{layer}` has no height"))
}

fn layer_of_file(path: &str) -> Option<&'static str> {
    match path.split_once('/') {
        // The face's own folder.
        Some(("map", _)) => Some("face"),
        Some((folder, _)) => folder_layer(folder),
        None => Some(layer_of_module(path.strip_suffix(".rs")?)),
    }
}

/// The layer of a module of the crate root; whatever is no folder of its own is face.
fn layer_of_module(name: &str) -> &'static str {
    folder_layer(name).unwrap_or(if name == "guide" { "docs" } else { "face" })
}

fn folder_layer(name: &str) -> Option<&'static str> {
    let known = iter::once("reference").chain(ORDER.iter().flat_map(|row| row.iter().copied()));
    known.filter(|layer| *layer != "face").find(|layer| *layer == name)
}

fn bare_orderings(text: &str) -> Vec<String> {
    const NAMES: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
    let mut findings = Vec::new();
    let mut seen = None;
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        if line.contains("ORDERING") || line.contains("SAFETY") {
            seen = Some(number);
        }
        if code.starts_with("//") {
            continue;
        }
        let ordering = NAMES.iter().any(|name| line.contains(&format!("Ordering::{name}")));
        if code.starts_with("use ") || code.starts_with("pub use ") {
            if ordering || line.contains("Ordering::*") || line.contains("Ordering::{") {
                findings.push(format!("{}: an imported ordering cannot be seen at its use", number + 1));
            }
        } else if (ordering || line.contains("fence(")) && seen.is_none_or(|seen| number - seen > COMMENT_REACH) {
            findings.push(format!("{}: a memory ordering without an ORDERING comment", number + 1));
        }
    }
    findings
}

// ---- reading Rust, as far as the rules need it ----

struct Token {
    text: String,
    line: usize,
}

/// Words, `::` and single signs; comments, strings and characters are left out.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut i, mut line, mut out) = (0, 1, Vec::new());
    while i < chars.len() {
        let start = i;
        let c = chars[i];
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = end_of_block_comment(&chars, i);
        } else if let Some(end) = end_of_raw_string(&chars, i) {
            i = end;
        } else if c == '"' {
            i = end_of_quoted(&chars, i, '"');
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i = end_of_quoted(&chars, i, '\'');
        } else if c.is_alphanumeric() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            let text = chars[start..i].iter().collect();
            out.push(Token { text, line });
        } else if c == ':' && at(i + 1) == ':' {
            i += 2;
            let text = "::".into();
            out.push(Token { text, line });
        } else {
            i += 1;
            if !c.is_whitespace() {
                let text = c.into();
                out.push(Token { text, line });
            }
        }
        line += chars[start..i].iter().filter(|c| **c == '\n').count();
    }
    out
}

fn end_of_block_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match chars[i..] {
            ['/', '*', ..] => (depth, i) = (depth + 1, i + 2),
            ['*', '/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn end_of_quoted(chars: &[char], mut i: usize, quote: char) -> usize {
    i += 1;
    while i < chars.len() && chars[i] != quote {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn end_of_raw_string(chars: &[char], i: usize) -> Option<usize> {
    let mut j = i;
    j += usize::from(chars[j] == 'b');
    if chars.get(j) != Some(&'r') || i > 0 && (chars[i - 1].is_alphanumeric()) {
        return None;
    }
    j += 1;
    let hashes = chars[j..].iter().take_while(|c| **c == '#').count();
    j += hashes;
    if chars.get(j) != Some(&'"') {
        return None;
    }
    j += 1;
    while j < chars.len() {
        if chars[j] == '"' && chars[j + 1..].iter().take(hashes).all(|c| *c == '#') {
            return Some((j + 1 + hashes).min(chars.len()));
        }
        j += 1;
    }
    Some(j)
}

/// A path that leaves the module: of this crate (`crate` first) or of the platform.
struct Import {
    path: Vec<String>,
    line: usize,
    in_test_module: bool,
}

fn imports(file: &str, tokens: &[Token]) -> Vec<Import> {
    let text = |i: usize| tokens.get(i).map_or("", |t: &Token| t.text.as_str());
    let home = module_of_file(file);
    // One entry per open brace: `Some(name, is it a test module)` where the brace opened a module.
    let mut braces: Vec<Option<(String, bool)>> = Vec::new();
    let mut opening = None;
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        match text(i) {
            "mod" if text(i + 2) == "{" => {
                opening = Some((text(i + 1).to_owned(), is_for_tests(tokens, i)));
            }
            "{" => braces.push(opening.take()),
            "}" => {
                braces.pop();
            }
            root @ ("crate" | "super" | "std" | "core" | "alloc" | "loom")
                if text(i + 1) == "::" && begins_path(tokens, i) =>
            {
                let modules = braces.iter().flatten();
                let in_test_module = modules.clone().any(|(_, test)| *test);
                let mut here = home.clone();
                here.extend(modules.map(|(name, _)| name.clone()));
                for path in expand(tokens, i) {
                    let path = match root {
                        "super" => absolute(&here, &path),
                        _ => path,
                    };
                    let line = tokens[i].line;
                    found.push(Import { path, line, in_test_module });
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether the word at `i` is the first of its path; `::std` counts, `my::std` does not.
fn begins_path(tokens: &[Token], i: usize) -> bool {
    let is_word = |t: &Token| t.text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    match tokens[..i] {
        [.., ref before, ref colons] if colons.text == "::" => {
            before.text == "use" || !is_word(before) && before.text != ">"
        }
        _ => true,
    }
}

/// The module that a file is, as names below the crate root.
fn module_of_file(file: &str) -> Vec<String> {
    let mut names: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib")) {
        names.pop();
    }
    names
}

/// `super::super::x` as seen from module `here`, written from `crate`.
fn absolute(here: &[String], path: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let kept = here.len().saturating_sub(ups);
    let mut out = vec!["crate".to_owned()];
    out.extend_from_slice(&here[..kept]);
    out.extend_from_slice(&path[ups..]);
    out
}

/// All paths of the use tree (or the one path) that begins at token `i`.
fn expand(tokens: &[Token], i: usize) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    grow(tokens, i, &mut Vec::new(), &mut paths);
    paths
}

fn grow(tokens: &[Token], mut i: usize, prefix: &mut Vec<String>, out: &mut Vec<Vec<String>>) -> usize {
    let text = |i: usize| tokens.get(i).map_or("", |t: &Token| t.text.as_str());
    let length = prefix.len();
    loop {
        if text(i) == "{" {
            i += 1;
            while !matches!(text(i), "}" | "") {
                i = grow(tokens, i, prefix, out);
                while !matches!(text(i), "," | "}" | "") {
                    i += 1; // `as name`
                }
                i += usize::from(text(i) == ",");
            }
            i += 1;
            break;
        }
        prefix.push(text(i).to_owned());
        i += 1;
        let goes_on = text(i + 1).starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '{' | '*'));
        if text(i) != "::" || !goes_on {
            out.push(prefix.clone());
            break;
        }
        i += 1;
    }
    prefix.truncate(length);
    i
}

/// Whether the `mod` at `i` has an attribute such as `#[cfg(test)]` right before it.
fn is_for_tests(tokens: &[Token], i: usize) -> bool {
    let Some(start) = tokens[..i].iter().rposition(|t| t.text == "#") else { return false };
    let words: Vec<&str> = tokens[start..i].iter().map(|t| t.text.as_str()).collect();
    let is_attribute = words.starts_with(&["#", "[", "cfg"]) && words.iter().filter(|w| **w == "]").count() == 1;
    is_attribute
        && words.last() == Some(&"]")
        && words.contains(&"test")
        && !words.windows(3).any(|w| w == ["not", "(", "test"])
}

/// Files that another file declares as `#[cfg(test)] mod name;`.
fn files_of_test_modules(files: &[(String, String)]) -> Vec<String> {
    let mut out = Vec::new();
    for (path, text) in files {
        let tokens = tokens(text);
        let home = module_of_file(path).join("/");
        for i in 0..tokens.len().saturating_sub(2) {
            if tokens[i].text == "mod" && tokens[i + 2].text == ";" && is_for_tests(&tokens, i) {
                out.push(format!("{home}/{}.rs", tokens[i + 1].text).trim_start_matches('/').to_owned());
            }
        }
    }
    out
}

/// All files below `root` as (path from `root`, text), sorted.
fn sources(root: &Path) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                out.push((name.replace('\\', "/"), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    out.sort();
    out
}

// ---- each rule, broken ----

#[track_caller]
fn refuses(path: &str, text: &str, part: &str) {
    let findings = check(path, text, false);
    assert!(
        findings.iter().any(|f| f.contains(part)),
        "{path} with\n{text}\nshould be refused for `{part}`, found {findings:?}"
    );
}

#[track_caller]
fn allows(path: &str, text: &str) {
    assert_eq!(check(path, text, false), Vec::<String>::new(), "{path} with\n{text}");
}

#[test]
fn an_import_that_points_up_is_found() {
    refuses("store/tree.rs", "use crate::commit::publish;", "down only");
    refuses("store/tree.rs", "fn f() { crate::wait::latch(); }", "down only");
    refuses("sync/mod.rs", "use crate::store::Tree;", "down only");
    refuses("wait/latch.rs", "use crate::{sync::Mutex,\n attempt::{log, run}};", "`crate::attempt::log`");
    refuses("commit/publish.rs", "use crate::TVar;", "down only");
    refuses("commit/publish.rs", "use super::super::attempt::Log;", "down only");
    refuses("commit.rs", "use super::attempt::Log;", "down only");
    refuses("attempt/run.rs", "mod tests { use super::super::super::tx::Tx; }", "down only");
    refuses("tx.rs", "use crate::collections::map::TMap;", "down only");
    refuses("commit/mod.rs", "macro_rules! m { () => { $crate::tx::Tx } }", "down only");
}

#[test]
fn an_import_that_points_down_is_allowed() {
    allows("store/tree.rs", "use crate::sync::Mutex; use super::slot; use crate::store::root;");
    allows("wait/latch.rs", "mod tests { use super::super::registry::Registry; }");
    allows("commit/mod.rs", "use crate::{store::{Tree, Version}, wait::Registry, lock};");
    allows("attempt/run.rs", "use crate::commit::publish as p;");
    allows("lib.rs", "mod store; pub use attempt::Stm; pub mod x { pub use crate::store::Tree; }");
    allows("collections/map.rs", "use crate::{TVar, Tx};");
    allows(
        "tx.rs",
        "//! crate::collections::TMap\n/* use crate::collections; */ const S: &str = \"crate::collections\";",
    );
}

#[test]
fn waiting_and_locking_know_neither_the_store_nor_each_other() {
    allows("wait/registry.rs", "use crate::sync::Mutex; use super::latch::Latch;");
    refuses("wait/registry.rs", "use crate::store::{Store, Value};", "plain numbers");
    refuses("lock/table.rs", "use crate::wait::Latch;", "neighbours");
}

#[test]
fn collections_and_the_reference_engine_stand_apart() {
    refuses("collections/map.rs", "use crate::store::Tree;", "face alone");
    refuses("collections/map.rs", "use crate::sync::{Arc, Mutex};", "`crate::sync::Mutex`");
    refuses("collections/map.rs", "use std::sync::Arc;", "outside src/sync");
    allows("collections/map.rs", "use crate::sync::{Arc, OnceLock, plain::AtomicU64};");
    refuses("reference/mod.rs", "use crate::store::Tree;", "apart");
    refuses("commit/mod.rs", "use crate::reference::Engine;", "only the face");
    allows("lib.rs", "pub use crate::reference::Engine;");
}

#[test]
fn a_folder_without_a_layer_is_found() {
    refuses("extras/mod.rs", "", "no layer");
}

#[test]
fn the_platform_is_named_in_the_shim_alone() {
    refuses("store/root.rs", "use std::sync::atomic::AtomicU64;", "outside src/sync");
    refuses("store/root.rs", "use std::{fmt,\n sync::Arc};", "`std::sync::Arc`");
    refuses("wait/latch.rs", "fn f() { ::std::thread::park(); }", "outside src/sync");
    refuses("tx.rs", "use core::sync::atomic;", "outside src/sync");
    refuses("tx.rs", "use loom::thread;", "outside src/sync");
    allows("sync/mod.rs", "pub use std::sync::Arc; pub use loom::thread;");
    allows("tx.rs", "use std::time::Duration; use crate::sync::Arc;");
    allows("tx.rs", "#[cfg(test)] mod tests { use std::thread; }");
    refuses("tx.rs", "#[cfg(not(test))] mod real { use std::thread; }", "outside src/sync");
    let declared = "mod a; #[cfg(test)]\nmod checks; #[cfg(all(test, not(tvar_loom)))] mod more; #[cfg(unix)] mod b;";
    let test_files = files_of_test_modules(&[("store/mod.rs".to_owned(), declared.to_owned())]);
    assert_eq!(test_files, ["store/checks.rs", "store/more.rs"]);
    assert!(check("store/checks.rs", "use std::thread;", true).is_empty());
}

#[test]
fn unsafe_outside_the_store_is_found() {
    refuses("attempt/log.rs", "fn f() {\n unsafe { g() } }", "2: `unsafe`");
    allows("attempt/log.rs", "// unsafe\n#![forbid(unsafe_code)] const S: &str = r#\"unsafe \"# ;");
    allows("attempt/log.rs", "fn f<'a>(x: &'a str) -> char { '\"' } /* unsafe */");
    allows("store/tree.rs", "// SAFETY: none\nunsafe fn f() {}");
}

#[test]
fn a_bare_ordering_is_found() {
    let far = format!("// ORDERING: I1{}x.load(Ordering::Acquire);", "\n".repeat(9));
    refuses("commit/mod.rs", &far, "ORDERING comment");
    refuses("commit/mod.rs", "fence(SeqCst);", "ORDERING comment");
    refuses("commit/mod.rs", "use std::sync::atomic::Ordering::*;", "imported ordering");
    let near = format!("// ORDERING: I1{}x.load(Ordering::Acquire);", "\n".repeat(8));
    allows("commit/mod.rs", &near);
    allows("commit/mod.rs", "a.cmp(&b) == Ordering::Less");
}

#[test]
fn a_long_file_is_found() {
    refuses("tx.rs", &"\n".repeat(LONGEST_FILE + 1), "longer than");
    allows("tx.rs", &"\n".repeat(LONGEST_FILE));
}
