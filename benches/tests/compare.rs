//! The program as a user runs it, on a very small plan.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{fs, process};

/// A directory for the files of a test, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", process::id()));
        fs::create_dir_all(&path).expect("the target directory can be written");
        Self(path)
    }

    /// A path in it, as an argument.
    fn arg(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tvar-benches")).args(arguments).output().expect("the program starts")
}

/// `compare` with almost nothing to do.
fn compare(out: &str, more: &[&str]) -> Output {
    let small = ["compare", "--quick", "--rounds", "5", "--slice-ms", "5", "--out", out];
    run(&[&small[..], more].concat())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn compare_writes_rows_for_every_engine_and_a_page() {
    let scratch = Scratch::new("rows");
    let out = scratch.arg("new/out");
    let output = compare(&out, &["--workload", "read1", "writer_beside_scan", "--threads", "1,2"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(
        printed.contains("read1") && printed.contains("fast-stm") && printed.contains("beside the fastest STM rival"),
        "{printed}"
    );

    let json = fs::read_to_string(scratch.0.join("new/out/compare.json")).expect("it was written");
    let report: Value = serde_json::from_str(&json).expect("it is JSON");
    let rows = report["rows"].as_array().expect("it has rows");
    for engine in ["tvar", "stm", "fast-stm", "async-stm", "mutex", "reference"] {
        for (workload, threads) in [("read1", 1), ("read1", 2), ("writer_beside_scan", 2)] {
            let fits =
                |row: &&Value| row["engine"] == engine && row["workload"] == workload && row["threads"] == threads;
            let found: Vec<_> = rows.iter().filter(fits).collect();
            assert_eq!(found.len(), 1, "{engine} {workload} {threads}");
            let number = |key: &str| found[0][key].as_f64().expect("it is a number");
            assert!(number("ops_per_s") > 0.0 && number("ns_per_op") > 0.0 && number("harness_ns") >= 0.0);
        }
    }
    assert_eq!(rows.len(), 18, "nothing else was asked for");
    assert_eq!(report["lone_writer"].as_array().map(Vec::len), Some(6));

    let page = fs::read_to_string(scratch.0.join("new/out/compare.html")).expect("it was written");
    assert!(page.starts_with("<!doctype html>") && page.contains("<svg") && page.contains("read1"));
}

/// The engines that have rows of a workload and a number of threads.
fn engines_of(report: &Value, workload: &str, threads: usize) -> Vec<String> {
    let rows = report["rows"].as_array().expect("it has rows");
    let fits = |row: &&Value| row["workload"] == workload && row["threads"] == threads;
    rows.iter().filter(fits).map(|row| row["engine"].as_str().expect("it is a name").to_owned()).collect()
}

#[test]
fn maps_run_on_the_engines_that_have_them() {
    let scratch = Scratch::new("maps");
    let workloads = ["map_90_10", "map_50_50", "map_insert_remove", "ordmap_90_10", "ordmap_50_50", "ordmap_range"];
    let more = [&["--workload"], &workloads[..], &["--threads", "1,2"]].concat();
    let output = compare(&scratch.arg("out"), &more);
    assert!(output.status.success(), "a map lost or invented something: {}", text(&output.stderr));
    let printed = text(&output.stdout);
    for said in ["hash maps", "ordered maps", "beside the fastest plain map rival"] {
        assert!(printed.contains(said), "{said}: {printed}");
    }

    let json = fs::read_to_string(scratch.0.join("out/compare.json")).expect("it was written");
    let report: Value = serde_json::from_str(&json).expect("it is JSON");
    for workload in workloads {
        for threads in [1, 2] {
            let engines = engines_of(&report, workload, threads);
            let expected: &[&str] = if workload.starts_with("ord") {
                &["tvar", "rwlock", "skiplist"]
            } else {
                &["tvar", "fast-stm", "concread", "rwlock", "dashmap", "scc", "papaya"]
            };
            assert_eq!(engines, expected, "{workload}, {threads} threads");
        }
    }
    assert_eq!(report["lone_writer"].as_array().map(Vec::len), Some(0));
    let page = fs::read_to_string(scratch.0.join("out/compare.html")).expect("it was written");
    assert!(page.contains("<h3>hash maps</h3>") && page.contains("ordmap_range") && !page.contains("read1</"));
}

#[test]
fn queues_and_waits_run_on_the_engines_that_have_them() {
    let scratch = Scratch::new("waits");
    let rows: [(&str, usize, &[&str]); 7] = [
        ("queue_1_1", 2, &["tvar", "fast-stm", "async-stm", "flume", "crossbeam", "tokio"]),
        ("queue_4_4", 8, &["tvar", "fast-stm", "async-stm", "flume", "crossbeam"]),
        ("pingpong", 2, &["tvar", "stm", "fast-stm", "async-stm", "mutex", "reference", "flume", "crossbeam", "tokio"]),
        ("pingpong_tasks", 2, &["tvar", "async-stm", "flume", "tokio"]),
        ("pingpong_mixed", 2, &["tvar", "async-stm", "flume", "tokio"]),
        ("wake_one_of_10k", 2, &["tvar", "async-stm"]),
        ("wake_1000", 2, &["tvar", "async-stm"]),
    ];
    let names = rows.map(|(name, ..)| name);
    let output = compare(&scratch.arg("out"), &[&["--workload"], &names[..], &["--threads", "1,2,8"]].concat());
    assert!(output.status.success(), "something was lost or came twice: {}", text(&output.stderr));
    let printed = text(&output.stdout);
    for said in ["queues", "waiting", "tvar : fastest channel", "beside crossbeam-channel"] {
        assert!(printed.contains(said), "{said}: {printed}");
    }
    let json = fs::read_to_string(scratch.0.join("out/compare.json")).expect("it was written");
    let report: Value = serde_json::from_str(&json).expect("it is JSON");
    for (workload, threads, expected) in rows {
        assert_eq!(engines_of(&report, workload, threads), expected, "{workload}");
        let elsewhere = [1, 2, 8].into_iter().filter(|other| *other != threads);
        elsewhere.for_each(|other| assert!(engines_of(&report, workload, other).is_empty(), "{workload}, {other}"));
    }
}

#[test]
fn check_names_what_got_slower_and_what_is_missing() {
    let scratch = Scratch::new("check");
    let earlier = |name: &str, ops_per_s: f64| {
        let row = |workload: &str| {
            serde_json::json!({"workload": workload, "threads": 1, "engine": "tvar", "ops_per_s": ops_per_s,
                "ns_per_op": 1e9 / ops_per_s})
        };
        let report = serde_json::json!({"rows": [row("merge"), row("scan")]});
        fs::write(scratch.0.join(name), report.to_string()).expect("the target directory can be written");
        scratch.arg(name)
    };
    let only = ["--workload", "merge", "--threads", "1", "--engine", "tvar", "--check"];

    let output = compare(&scratch.arg(""), &[&only[..], &[&earlier("fast.json", 1e12)]].concat());
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("SLOWER: merge (1)"), "{printed}");
    assert!(printed.contains("Not in this run: workload (threads) scan (1)."), "{printed}");

    let output = compare(&scratch.arg(""), &[&only[..], &[&earlier("slow.json", 1.0)]].concat());
    assert!(output.status.success(), "{}", text(&output.stdout));
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_measured() {
    let scratch = Scratch::new("errors");
    let fails = |arguments: &[&str], message: &str| {
        let output = compare(&scratch.arg(""), arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(message), "{arguments:?}: {said}");
    };
    fails(&["--workload", "read2"], "read10");
    fails(&["--engine", "swym"], "async-stm");
    fails(&["--threads", "0"], "not between 1 and 256");
    fails(&["--workload", "pingpong", "--threads", "1"], "none of these workloads");
    fails(&["--workload", "map_90_10", "--engine", "stm"], "on these engines");
    fails(&["--check", "/does/not/exist.json"], "cannot read /does/not/exist.json");
    let broken = scratch.arg("broken.json");
    fs::write(&broken, "{\"rows\": 3}").expect("the target directory can be written");
    fails(&["--check", &broken], "is not a comparison");
}

#[test]
fn a_memory_case_reports_as_json() {
    let output = run(&["memory", "--case", "allocations", "--quick"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let section: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let create = section["rows"].as_array().into_iter().flatten().find(|row| row["label"] == "create_drop");
    let stm = create.and_then(|row| row["values"][1].as_f64());
    assert!(stm.is_some_and(|count| count > 0.5), "making a variable allocates: {section}");
}
