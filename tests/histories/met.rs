//! What the programs have met: a test in which nothing happens shows nothing.

use std::collections::BTreeMap;
use std::fmt;
use tvar::Stats;

use crate::history::{End, Entry, History};
use crate::replay::Timeline;

#[derive(Default)]
pub(crate) struct Met(BTreeMap<&'static str, u64>);

impl Met {
    pub(crate) fn add(&mut self, history: &History, stats: Stats, timeline: &Timeline) {
        let calls = |what: &dyn Fn(&End) -> bool| history.calls.iter().filter(|call| what(&call.end)).count() as u64;
        let attempts = || history.calls.iter().flat_map(|call| &call.attempts);
        let of_entry = |what: &dyn Fn(&Entry) -> bool| {
            attempts().flat_map(|attempt| &attempt.log).filter(|entry| what(entry)).count() as u64
        };
        let moved = |log: &[Entry]| log.iter().filter(|entry| matches!(entry, Entry::At(_))).count() > 1;
        let weak = history.calls.iter().filter(|call| call.snapshot_isolation && timeline.has_published(call));
        let counts = [
            ("commits", stats.commits),
            ("read-only commits", stats.read_only),
            ("conflicts", stats.conflicts),
            ("lost swaps", stats.lost_swaps),
            ("sleeps", stats.parked),
            ("escalations", stats.escalations),
            ("announced", stats.announced),
            ("batches", stats.batches),
            ("lock waits", stats.lock_waits),
            ("deadlocks", stats.deadlocks),
            ("versions of several commits", timeline.together as u64),
            ("aborts", calls(&|end| matches!(end, End::Aborted(_)))),
            ("panics", calls(&|end| *end == End::Panicked)),
            ("failures", calls(&|end| *end == End::Failed)),
            ("commits under snapshot isolation", weak.count() as u64),
            ("second alternatives", of_entry(&|entry| *entry == Entry::Right)),
            ("undone parts", of_entry(&|entry| matches!(entry, Entry::Undone(_)))),
            ("deadlines passed", of_entry(&|entry| *entry == Entry::Expired)),
            ("locks got", of_entry(&|entry| *entry == Entry::Got(true))),
            ("locks not got", of_entry(&|entry| *entry == Entry::Got(false))),
            ("snapshots moved", attempts().filter(|attempt| moved(&attempt.log)).count() as u64),
            ("results of merges", history.calls.iter().map(|call| call.thens.len() as u64).sum()),
        ];
        for (what, count) in counts {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Fails if anything was not met at all.
    pub(crate) fn all(&self) {
        let missing: Vec<_> = self.0.iter().filter(|(_, count)| **count == 0).map(|(what, _)| what).collect();
        assert!(missing.is_empty(), "not met: {missing:?}");
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(|(what, count)| format!("{count} {what}")).collect();
        write!(f, "{}", all.join(", "))
    }
}
