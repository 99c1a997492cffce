//! §2.1 and §8: what must not compile. Every program of `tests/compile_fail` is checked by the
//! compiler; the errors that it names on its first line have to come out, and no others. Only codes
//! are compared (where the compiler gives one), so the wording may change with the compiler.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

const MANIFEST: &str = r#"
[package]
name = "compile-fail"
version = "0.0.0"
edition = "2024"

[dependencies]
tvar = { path = "ROOT" }

[workspace]
"#;

/// What went wrong, by code where there is one, else by message.
fn errors(output: &str) -> BTreeSet<&str> {
    let of_line = |line: &'_ str| -> Option<(usize, usize)> {
        if line.starts_with("error[") {
            return Some((6, 11));
        }
        let told = line.starts_with("error: ") && !line.contains("could not compile");
        told.then_some((7, line.len()))
    };
    let lines = output.lines();
    lines.filter_map(|line| of_line(line).map(|(from, to)| &line[from..to])).collect()
}

#[test]
fn s8_what_must_not_compile_does_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    let programs = scratch.join("src/bin");
    let _ = fs::remove_dir_all(&programs);
    fs::create_dir_all(&programs).expect("a scratch crate");
    let manifest = MANIFEST.replace("ROOT", &root.display().to_string().replace('\\', "/"));
    fs::write(scratch.join("Cargo.toml"), manifest).expect("a manifest");
    // The versions that the workspace uses, so that nothing has to be fetched.
    let _ = fs::copy(root.join("Cargo.lock"), scratch.join("Cargo.lock"));

    let mut count = 0;
    for entry in fs::read_dir(root.join("tests/compile_fail")).expect("the programs") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("a program");
        let first = source.lines().next().expect("a first line");
        let expected: BTreeSet<_> =
            first.strip_prefix("// Fails: ").map_or_else(BTreeSet::new, |errors| errors.split(", ").collect());
        fs::write(programs.join(format!("{name}.rs")), &source).expect("a copy");
        let output = Command::new(env!("CARGO"))
            .args(["check", "--quiet", "--offline", "--color=never", "--bin", &name])
            .arg("--manifest-path")
            .arg(scratch.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(scratch.join("target"))
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("CARGO_BUILD_TARGET")
            .output()
            .expect("cargo runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors(&text), expected, "{name}:\n{text}");
        assert_eq!(output.status.success(), expected.is_empty(), "{name}:\n{text}");
        count += 1;
    }
    assert!(count >= 10, "only {count} programs");
}
