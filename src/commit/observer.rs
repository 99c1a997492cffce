//! What a space that is observed remembers: who has lost to whom, and what calls with a label have gone through (O1, O2).

use crate::sync::Mutex;
use crate::sync::site::Who;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Writes that are remembered, to name the winners of conflicts.
const WRITES: usize = 8192;
/// Conflicts whose winner has published and has not come to say so.
const PENDING: usize = 256;
/// Distinct conflicts that are counted apart; others are counted together.
const CONFLICTS: usize = 4096;

/// What calls of one label have gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) commits: u64,
    pub(crate) aborts: u64,
    pub(crate) failures: u64,
    pub(crate) panics: u64,
    pub(crate) reruns: u64,
    pub(crate) conflicts: u64,
    pub(crate) sleeps: u64,
    pub(crate) lock_waits: u64,
    pub(crate) deadlocks: u64,
}

/// A lost attempt: who has lost, to whom (if that is known), and over what.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Defeat {
    pub(crate) loser: Who,
    pub(crate) winner: Option<Who>,
    pub(crate) variable: String,
}

#[derive(Debug, Default)]
pub(crate) struct Observer(Mutex<Observed>);

#[derive(Debug, Default)]
struct Observed {
    labels: BTreeMap<Cow<'static, str>, Tally>,
    defeats: HashMap<Defeat, u64>,
    /// Those for which there was no room.
    more: u64,
    /// The last writes, oldest first.
    writes: VecDeque<Write>,
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Write {
    slot: u32,
    version: u64,
    who: Who,
}

#[derive(Debug)]
struct Pending {
    slot: u32,
    version: u64,
    loser: Who,
    variable: String,
}

impl Observer {
    /// Forgets everything.
    pub(crate) fn clear(&self) {
        let before = std::mem::take(&mut *self.0.lock());
        drop(before);
    }

    /// A transaction has committed writes to these slots, which were published in this version.
    pub(crate) fn committed(&self, who: &Who, version: u64, slots: impl Iterator<Item = u32>) {
        let mut observed = self.0.lock();
        let Observed { writes, pending, .. } = &mut *observed;
        let mut settled = Vec::new();
        for slot in slots {
            if writes.len() == WRITES {
                writes.pop_front();
            }
            let write = Write { slot, version, who: who.clone() };
            let mut at = 0;
            while let Some(waiting) = pending.get(at) {
                if (waiting.slot, waiting.version) == (slot, version) {
                    settled.extend(pending.remove(at));
                } else {
                    at += 1;
                }
            }
            writes.push_back(write);
        }
        for Pending { loser, variable, .. } in settled {
            observed.count(Defeat { loser, winner: Some(who.clone()), variable });
        }
    }

    /// An attempt was lost to the commit that has published this version of a slot.
    pub(crate) fn lost(&self, loser: Who, slot: u32, version: u64, variable: String) {
        let mut observed = self.0.lock();
        let winner = observed
            .writes
            .iter()
            .rev()
            .find(|write| (write.slot, write.version) == (slot, version))
            .map(|write| write.who.clone());
        if winner.is_some() {
            return observed.count(Defeat { loser, winner, variable });
        }
        if observed.pending.len() == PENDING
            && let Some(Pending { loser, variable, .. }) = observed.pending.pop_front()
        {
            observed.count(Defeat { loser, winner: None, variable });
        }
        observed.pending.push_back(Pending { slot, version, loser, variable });
    }

    /// A call with a label has ended.
    pub(crate) fn ended(&self, label: Cow<'static, str>, of_call: &Tally) {
        let mut observed = self.0.lock();
        let all = observed.labels.entry(label).or_default();
        let Tally { commits, aborts, failures, panics, reruns, conflicts, sleeps, lock_waits, deadlocks } = of_call;
        all.commits += commits;
        all.aborts += aborts;
        all.failures += failures;
        all.panics += panics;
        all.reruns += reruns;
        all.conflicts += conflicts;
        all.sleeps += sleeps;
        all.lock_waits += lock_waits;
        all.deadlocks += deadlocks;
    }

    /// By label, in the order of the labels.
    pub(crate) fn labels(&self) -> Vec<(Cow<'static, str>, Tally)> {
        self.0.lock().labels.iter().map(|(label, tally)| (label.clone(), *tally)).collect()
    }

    /// The conflicts with their numbers, and how many there were beyond those that are counted apart.
    pub(crate) fn defeats(&self) -> (Vec<(Defeat, u64)>, u64) {
        let observed = self.0.lock();
        let mut all = observed.defeats.clone();
        for Pending { loser, variable, .. } in &observed.pending {
            let (loser, variable) = (loser.clone(), variable.clone());
            *all.entry(Defeat { loser, winner: None, variable }).or_default() += 1;
        }
        (all.into_iter().collect(), observed.more)
    }
}

impl Observed {
    fn count(&mut self, defeat: Defeat) {
        if self.defeats.len() == CONFLICTS && !self.defeats.contains_key(&defeat) {
            self.more += 1;
        } else {
            *self.defeats.entry(defeat).or_default() += 1;
        }
    }
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::*;
    use crate::sync::site::CallSite;

    fn who(label: &'static str) -> Who {
        Who::new(Some(&label.into()), CallSite::here("test"))
    }

    fn winners(observer: &Observer) -> Vec<(Option<String>, u64)> {
        let (all, _) = observer.defeats();
        let mut all: Vec<_> =
            all.into_iter().map(|(d, n)| (d.winner.map(|w| w.label.unwrap().into_owned()), n)).collect();
        all.sort();
        all
    }

    #[test]
    fn a_winner_is_named_whether_it_says_so_before_or_after() {
        let observer = Observer::default();
        observer.committed(&who("early"), 5, [1, 2].into_iter());
        observer.lost(who("loser"), 2, 5, "v".into());
        observer.lost(who("loser"), 2, 6, "v".into());
        assert_eq!(winners(&observer), [(None, 1), (Some("early".into()), 1)]);
        observer.committed(&who("late"), 6, [2].into_iter());
        assert_eq!(winners(&observer), [(Some("early".into()), 1), (Some("late".into()), 1)]);
        observer.clear();
        assert!(winners(&observer).is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let observer = Observer::default();
        for n in 0..2 * CONFLICTS as u64 {
            observer.lost(who("loser"), n as u32, n, format!("v{n}"));
            observer.committed(&who("winner"), n, [n as u32, 0].into_iter());
        }
        let (all, more) = observer.defeats();
        assert_eq!((all.len(), more), (CONFLICTS, CONFLICTS as u64));
        assert_eq!(observer.0.lock().writes.len(), WRITES);
        for n in 0..2 * PENDING as u64 {
            observer.lost(who("loser"), 1, 1 << 40 | n, "p".into());
        }
        assert_eq!(observer.0.lock().pending.len(), PENDING);
    }
}
