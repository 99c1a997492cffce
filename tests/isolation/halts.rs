//! The same cases once more, each transaction in turn made to stop at each point that it passes until the others cannot go on without
//! it: what a level promises holds wherever a thread is stopped.

use crate::cases;
use crate::rows::Kind;
use crate::scheduler::{self, Halt};
use crate::setting::{MODES, Mode, Setting};

/// Whoever stops, wherever (§1.4, §2.2, §3.1).
fn check(mode: Mode, announced: bool) {
    let mut runs = 0;
    for case in cases().filter(|case| !case.stops_by_itself()) {
        for (setting, line) in case.settings().filter(|(setting, _)| setting.mode == mode) {
            if announced && setting.kind != Kind::Variables {
                continue;
            }
            let setting = Setting { announced, ..setting };
            for (who, call) in case.run(setting).calls.iter().enumerate() {
                let mut points = call.passed.clone();
                points.sort_by_key(|point| *point as usize);
                points.dedup();
                for at in points {
                    let history = scheduler::run(setting, case.script, Some(Halt { who, at }));
                    history.check();
                    assert!(history.calls[who].halted, "it has come to {at:?}: {history}");
                    if !line.ends_with("no order") {
                        assert!(!history.orders().is_empty(), "{history}");
                    }
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 300, "{runs} runs");
}

#[test]
fn stopped_serialisable() {
    check(MODES[0], false);
}

#[test]
fn stopped_serialisable_and_pessimistic() {
    check(MODES[1], false);
}

#[test]
fn stopped_under_snapshot_isolation() {
    check(MODES[2], false);
}

#[test]
fn stopped_under_snapshot_isolation_and_pessimistic() {
    check(MODES[3], false);
}

/// §4.2: those who go on take along what the one that has stopped has announced.
#[test]
fn stopped_when_announced() {
    check(MODES[0], true);
    check(MODES[2], true);
}
