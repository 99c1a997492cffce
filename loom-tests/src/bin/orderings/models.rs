//! Builds the models of the copied tree, and runs one file of them with one ordering weakened.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The programs of the models, by the name of their file.
pub(crate) struct Models {
    programs: BTreeMap<String, PathBuf>,
    /// How long each takes as it is, once it was seen to be green.
    green: RefCell<HashMap<String, Duration>>,
}

/// After this a model is neither red nor green; that counts as green.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn build(tree: &Path) -> Models {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--release", "-p", "tvar-loom-tests", "--tests", "--no-run", "--message-format=json"])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", tree.with_file_name("target"))
        .env("RUSTFLAGS", "--cfg tvar_loom --cap-lints allow")
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "the models were not built");
    let programs = String::from_utf8_lossy(&output.stdout);
    let programs = programs.split("\"executable\":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let named = programs.filter_map(|program| {
        let (name, _) = Path::new(program).file_name()?.to_str()?.rsplit_once('-')?;
        tree.join(format!("loom-tests/tests/{name}.rs")).exists().then(|| (name.to_string(), program.into()))
    });
    Models { programs: named.collect(), green: RefCell::default() }
}

impl Models {
    /// Whether the models of a file notice a weakening; they are seen first to be green without it.
    pub(crate) fn turns_red(&self, name: &str, number: usize, to: &str) -> bool {
        self.time(name);
        !self.is_green(name, &format!("{number} {to}"))
    }

    /// Every file of models, the quickest first.
    pub(crate) fn names(&self) -> Vec<&String> {
        let mut names: Vec<_> = self.programs.keys().collect();
        names.sort_by_key(|name| self.time(name));
        names
    }

    fn time(&self, name: &str) -> Duration {
        let known = self.green.borrow().get(name).copied();
        known.unwrap_or_else(|| {
            let began = Instant::now();
            assert!(self.is_green(name, ""), "{name} is red as it is");
            self.green.borrow_mut().insert(name.into(), began.elapsed());
            began.elapsed()
        })
    }

    fn is_green(&self, name: &str, weakened: &str) -> bool {
        let program = self.programs.get(name).unwrap_or_else(|| panic!("there is no model {name}"));
        let mut child = Command::new(program)
            .arg("--test-threads=1")
            .env("TVAR_WEAKENED", weakened)
            .env("LOOM_MAX_BRANCHES", "10000")
            .env("RUST_BACKTRACE", "0")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a model runs");
        let began = Instant::now();
        loop {
            match child.try_wait().expect("a model ends") {
                Some(status) => return status.success(),
                None if began.elapsed() > LIMIT => {
                    let _ = child.kill();
                    let _ = child.wait();
                    eprintln!("{name} took more than {LIMIT:?}");
                    return true;
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    /// A model without its bound proves nothing that can be named, and a long one is not read.
    #[test]
    fn each_model_says_its_bound_and_is_short() {
        let folder = crate::root().join("loom-tests/tests");
        for entry in std::fs::read_dir(folder).expect("the models are readable").flatten() {
            let (name, text) = (entry.file_name(), std::fs::read_to_string(entry.path()).expect("a model is readable"));
            assert!(
                text.starts_with("//! ") && text.contains("\n//! Bound: "),
                "{name:?} begins with what it proves, and its bound"
            );
            assert!(text.contains("#![cfg(tvar_loom)]"), "{name:?} compiles to nothing elsewhere");
            assert!(text.lines().count() <= 150, "{name:?} has at most 150 lines");
        }
    }
}
