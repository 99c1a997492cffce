//! Weakens every memory ordering of the crate, one at a time, and shows that a model turns red.
//!
//! ```text
//! cargo run --release -p tvar-loom-tests --bin orderings -- [--unseen] [WORD...]
//! ```
//!
//! Runs the weakenings whose row in `loom-tests/ORDERINGS.md` holds every WORD. A row that names a model: that model must turn
//! red. A row that gives a reason instead is skipped; with `--unseen` every model is tried on it, and none may turn red. A
//! weakening without a row has every model tried on it. Exits with 1 if one of these is not so.
//!
//! All weakenings are compiled into one copy of the tree, under `target/orderings`, and chosen by an environment variable.

mod copy;
mod models;
mod sites;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use models::Models;
use sites::Weakening;
use table::Expected;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_path_buf()
}

fn main() -> ExitCode {
    let (flags, words): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    if flags.iter().any(|flag| flag != "--unseen") {
        eprintln!("usage: orderings [--unseen] [WORD...]");
        return ExitCode::from(2);
    }
    let unseen = !flags.is_empty();
    let (files, table) = (sites::sources(&root()), table::read(&root()));
    let weakenings = sites::weakenings(&files);
    let models = models::build(&copy::write(&root(), &files));
    let mut failed = 0;
    for (number, weakening) in weakenings.iter().enumerate() {
        let row = weakening.row();
        if !words.iter().all(|word| row.contains(word.as_str())) {
            continue;
        }
        let (result, good) = run(&models, number, weakening, table.get(&row), unseen);
        println!("{row} {result} |");
        failed += usize::from(!good);
    }
    println!("{failed} not as the table says");
    ExitCode::from(u8::from(failed > 0))
}

/// What the models say to a weakening, and whether that is what the table says.
fn run(
    models: &Models,
    number: usize,
    weakening: &Weakening,
    expected: Option<&Expected>,
    unseen: bool,
) -> (String, bool) {
    let red = |name: &&String| models.turns_red(name, number, weakening.to);
    let any_red = || models.names().into_iter().find(red);
    match expected {
        Some(Expected::Model(model)) if red(&model) => (model.clone(), true),
        Some(Expected::Model(model)) => (format!("{model} stays GREEN"), false),
        Some(Expected::Reason(reason)) if !unseen => (format!("- {reason}"), true),
        Some(Expected::Reason(_)) => match any_red() {
            Some(model) => (format!("{model} turns RED after all"), false),
            None => ("- no model".into(), true),
        },
        None => (format!("NO ROW: {}", any_red().map_or("no model turns red", |model| model)), false),
    }
}
