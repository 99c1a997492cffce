//! The fuzz targets' corpus, without a fuzzer: every input in `fuzz/corpus`, and every finding in `fuzz/artifacts`, runs beside its model.
//! What is checked is said in `fuzz/src`; `fuzz/run` looks for more.

// Of the crate `tvar-fuzz`, which is no member of the workspace.
#[allow(dead_code, unreachable_pub)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::fmt::Debug;
use std::fs;
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};

fn replay<Input: for<'a> Arbitrary<'a> + Debug>(target: &str, run: fn(&Input)) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let files = |folder: &str| {
        let entries = fs::read_dir(fuzz.join(folder).join(target)).into_iter().flatten();
        entries.map(|entry| entry.expect("a file").path()).collect::<Vec<_>>()
    };
    let corpus = files("corpus");
    assert!(corpus.len() > 2, "the corpus of {target} is missing");
    for path in corpus.into_iter().chain(files("artifacts")) {
        let bytes = fs::read(&path).expect("an input");
        // Shown when the test fails.
        println!("{}", path.display());
        if let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(&bytes)) {
            println!("{input:#?}");
            run(&input);
        }
    }
}

/// §1.2 to §1.5.
#[test]
fn the_tree_of_variables() {
    replay("tree", targets::tree::run);
}

/// §1.3, §1.7.
#[test]
fn the_vacuum() {
    replay("vacuum", targets::vacuum::run);
}

/// §2.1 to §2.9, §3.2, §3.5, §4.5, §5.2.
#[test]
fn the_write_set_and_its_undo_log() {
    replay("log", targets::log::run);
}

/// §6.1, §6.2.
#[test]
fn maps() {
    replay("maps", targets::maps::run);
}
