//! Measurements in processes of their own, where nothing is left from anything else: no deep tree, no fragmented heap.

use serde::de::DeserializeOwned;
use std::env;
use std::process::{Command, Stdio};

/// Runs this program with these arguments, and `--quick` if so, and reads what it writes as JSON.
pub fn child<T: DeserializeOwned>(arguments: &[&str], quick: bool) -> Result<T, String> {
    let failed = |what: String| format!("`{}` in a process of its own: {what}", arguments.join(" "));
    let exe = env::current_exe().map_err(|error| failed(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(exe);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit());
    if quick {
        command.arg("--quick");
    }
    let output = command.output().map_err(|error| failed(format!("cannot start: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(format!("cannot be understood: {error}")))
}
