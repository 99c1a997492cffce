//! What variables, snapshots and operations cost in memory.
//!
//! Each case runs in a process of its own, so that nothing is left in it from anything else, and so that counting costs the
//! other measurements nothing.

mod allocations;
mod snapshots;
mod variables;

use crate::alloc;
use crate::child::child;
use crate::engine::EngineName;
use crate::progress::Progress;
use crate::section::Section;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

/// The cases by name.
pub const CASES: [&str; 9] = [
    "variables-tvar",
    "variables-stm",
    "variables-fast-stm",
    "variables-async-stm",
    "variables-reference",
    "held",
    "rewritten",
    "ages",
    "allocations",
];

/// Runs all cases, each in a process of its own.
pub fn measure(quick: bool, progress: &Progress) -> Result<Vec<Section>, String> {
    let mut sections: Vec<Section> = Vec::new();
    for case in CASES {
        progress.now(&format!("memory: {case}"));
        let section: Section = child(&["memory", "--case", case], quick)?;
        match sections.last_mut().filter(|last| last.title == section.title) {
            Some(last) => last.rows.extend(section.rows), // one table, though of several processes
            None => sections.push(section),
        }
        progress.step();
    }
    Ok(sections)
}

/// Runs a case in this process, which counts from now on. Nothing if there is no such case.
pub fn case(name: &str, quick: bool) -> Option<Section> {
    alloc::count();
    if let Some(engine) = name.strip_prefix("variables-") {
        let engine = EngineName::VARIABLES.into_iter().find(|known| known.name() == engine)?;
        return Some(variables::section(engine, quick));
    }
    Some(match name {
        "held" => snapshots::held(quick),
        "rewritten" => snapshots::rewritten(quick),
        "ages" => snapshots::ages(quick),
        "allocations" => allocations::section(),
        _ => return None,
    })
}

/// Live and resident bytes at some moment.
#[derive(Clone, Copy, Debug)]
struct Bytes {
    live: f64,
    resident: Option<f64>,
}

impl Bytes {
    fn now() -> Self {
        Self { live: alloc::live() as f64, resident: alloc::resident().map(|bytes| bytes as f64) }
    }

    /// What came since an earlier moment.
    fn since(self, earlier: Self) -> Self {
        let resident = self.resident.zip(earlier.resident).map(|(now, then)| now - then);
        Self { live: self.live - earlier.live, resident }
    }

    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { live: f(self.live), resident: self.resident.map(f) }
    }
}

/// In mebibytes.
fn mib(bytes: f64) -> f64 {
    bytes / 1_048_576.0
}

/// Runs `f` and returns the most that was live meanwhile, as far as a look every other millisecond sees it.
fn peak<R>(f: impl FnOnce() -> R) -> (R, f64) {
    let (most, over) = (AtomicI64::new(alloc::live()), AtomicBool::new(false));
    let result = thread::scope(|s| {
        s.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(alloc::live(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(2));
            }
        });
        let result = f();
        most.fetch_max(alloc::live(), Ordering::Relaxed);
        over.store(true, Ordering::Relaxed);
        result
    });
    (result, most.load(Ordering::Relaxed) as f64)
}
