//! Finds the orderings and fences in the source, and says what each can be weakened to.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// A source file that the models run.
pub(crate) struct File {
    /// Below `src`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// One ordering, or one fence, made weaker.
#[derive(Debug)]
pub(crate) struct Weakening {
    pub(crate) path: String,
    /// The function, and the how-manyeth ordering of functions of that name in the file.
    place: String,
    method: String,
    from: String,
    /// `Relaxed`, `Acquire`, `Release`, or [`GONE`].
    pub(crate) to: &'static str,
    /// Where the token stands in the file.
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// What becomes of a fence.
pub(crate) const GONE: &str = "gone";

impl Weakening {
    /// Its row in the table, but for the last column.
    pub(crate) fn row(&self) -> String {
        format!("| {} | {} | {} {} → {} |", self.path, self.place, self.method, self.from, self.to)
    }
}

/// The files of the crate, but for the reference engine, unit tests, and what stands for loom's own side.
pub(crate) fn sources(root: &Path) -> Vec<File> {
    let mut files = Vec::new();
    collect(&root.join("src"), "", &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn collect(dir: &Path, below: &str, files: &mut Vec<File>) {
    for entry in fs::read_dir(dir).expect("the source is readable").flatten() {
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        let left_out = ["reference", "sync/mod.rs", "sync/model.rs", "sync/probe.rs"].contains(&path.as_str())
            || path.ends_with("tests.rs");
        if left_out || path.ends_with("/tests") {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{path}/"), files);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(entry.path()).expect("the source is readable");
            files.push(File { path, text });
        }
    }
}

/// Every weakening of every file, in order.
pub(crate) fn weakenings(files: &[File]) -> Vec<Weakening> {
    files.iter().flat_map(of_file).collect()
}

fn of_file(file: &File) -> Vec<Weakening> {
    let (mut found, mut counts, mut function, mut offset) =
        (Vec::new(), HashMap::<String, usize>::new(), String::new(), 0);
    for line in file.text.split_inclusive('\n') {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        let code = line.split("//").next().unwrap_or_default();
        if let Some(name) = code.split_once("fn ").map(|(_, rest)| rest).filter(|_| !code.contains("Fn ")) {
            function = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        }
        for token in tokens(code) {
            let start = offset + token.start;
            let Some((method, tos)) = what(&file.text[..start], token.order) else { continue };
            let nth = counts.entry(function.clone()).or_default();
            *nth += 1;
            found.extend(tos.iter().map(|&to| Weakening {
                path: file.path.clone(),
                place: format!("`{function}` {nth}"),
                method: method.clone(),
                from: token.order.to_string(),
                to,
                start,
                end: offset + token.end,
            }));
        }
        offset += line.len();
    }
    found
}

struct Token<'a> {
    start: usize,
    end: usize,
    order: &'a str,
}

/// Other enums have the same name.
const MEMORY: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];
const MODEL_FENCE: &str = "model_fence()";

/// The orderings that a line names, without those of the standard library's own atomics, and its fences for models.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("Ordering::") {
        let name = &code[start + "Ordering::".len()..];
        let order = &name[..name.find(|c: char| !c.is_alphabetic()).unwrap_or(name.len())];
        if MEMORY.contains(&order) && !code[..start].ends_with("::") {
            found.push(Token { start, end: start + "Ordering::".len() + order.len(), order });
        }
    }
    found.extend(code.match_indices(MODEL_FENCE).map(|(start, text)| Token {
        start,
        end: start + text.len(),
        order: "SeqCst",
    }));
    found
}

/// The method whose argument the next token is, and the weaker orderings to try; nothing where nothing is weaker.
fn what(before: &str, order: &str) -> Option<(String, &'static [&'static str])> {
    if !before.trim_end().ends_with(['(', ',']) {
        return Some(("model_fence".into(), &[GONE]));
    }
    let tos: &[&str] = match (last_call(before), order) {
        (_, "Relaxed") => return None,
        ("fence", _) => &[GONE],
        (_, "AcqRel") => &["Acquire", "Release"],
        _ => &["Relaxed"],
    };
    Some((last_call(before).into(), tos))
}

/// The name before the innermost bracket that is still open.
fn last_call(before: &str) -> &str {
    let (mut depth, mut open) = (0, 0);
    for (at, c) in before.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' if depth == 0 => {
                open = at;
                break;
            }
            '(' => depth -= 1,
            _ => {}
        }
    }
    before[..open].rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<String> {
        of_file(&File { path: "f.rs".into(), text: text.into() }).iter().map(Weakening::row).collect()
    }

    #[test]
    fn each_ordering_is_weakened_once_for_each_half() {
        let text = "fn a(&self) {\n    self.x.load(Ordering::Acquire);\n    // Ordering::Acquire\n    self.x.swap(f(1), Ordering::AcqRel);\n}\n";
        assert_eq!(
            rows(text),
            [
                "| f.rs | `a` 1 | load Acquire → Relaxed |",
                "| f.rs | `a` 2 | swap AcqRel → Acquire |",
                "| f.rs | `a` 2 | swap AcqRel → Release |",
            ]
        );
    }

    #[test]
    fn fences_go_and_relaxed_stays() {
        let text = "fn a() {\n    fence(Ordering::SeqCst);\n    model_fence();\n    x.store(1, Ordering::Relaxed);\n    y.load(plain::Ordering::Acquire);\n}\n";
        assert_eq!(
            rows(text),
            ["| f.rs | `a` 1 | fence SeqCst → gone |", "| f.rs | `a` 2 | model_fence SeqCst → gone |"]
        );
    }

    #[test]
    fn an_exchange_over_several_lines() {
        let text = "fn a() {\n    x.compare_exchange(\n        f(old),\n        new,\n        Ordering::SeqCst,\n        Ordering::Relaxed,\n    )\n}\n";
        assert_eq!(rows(text), ["| f.rs | `a` 1 | compare_exchange SeqCst → Relaxed |"]);
    }
}
