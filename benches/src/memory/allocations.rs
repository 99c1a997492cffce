//! Allocations per operation on the warm path.

use crate::alloc;
use crate::engine::EngineName;
use crate::lap::Stop;
use crate::load::{Case, Load, case};
use crate::section::Section;
use std::thread;
use std::time::Duration;

const LOADS: [Load; 12] = [
    Load::Read1,
    Load::Read10,
    Load::Read1000,
    Load::Counter,
    Load::Transfer1k,
    Load::Write10,
    Load::Boxed,
    Load::Scan,
    Load::OrElse,
    Load::Merge,
    Load::CreateDrop,
    Load::Snapshot,
];

pub(super) fn section() -> Section {
    let mut section = Section::new(
        "Allocations per operation",
        "One thread, after a warm-up. A boxed value is itself an allocation.",
        &EngineName::VARIABLES.map(EngineName::name),
    );
    for load in LOADS {
        let values = EngineName::VARIABLES.map(|engine| case(engine, load, 1).map(|case| per_operation(&*case)));
        section.row(load.rows()[0], values);
    }
    section
}

fn per_operation(case: &dyn Case) -> f64 {
    let (warm, stop) = (Stop::default(), Stop::default());
    thread::scope(|s| {
        let worker = s.spawn(|| {
            case.run(0, 1, &warm);
            let before = alloc::allocations();
            let done = case.run(0, 2, &stop);
            (alloc::allocations() - before) as f64 / done.total.max(1) as f64
        });
        thread::sleep(Duration::from_millis(15));
        warm.stop();
        thread::sleep(Duration::from_millis(15));
        stop.stop();
        match worker.join() {
            Ok(count) => count,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
