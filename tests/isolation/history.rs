//! What happened in a run, and whether that is allowed.

use std::fmt::{self, Write};

use tvar::hooks::Point;
use tvar::{Isolation, Stats};

use crate::program::{Contents, Op, Row, Seen, Who, initial, replay};
use crate::scheduler::label;
use crate::setting::Setting;

/// A run of a closure.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    pub(crate) log: Vec<(Op, Seen)>,
    /// Its snapshot is not older than this version.
    pub(crate) from: usize,
    /// ... and not newer than this.
    pub(crate) to: usize,
}

impl Attempt {
    /// Whether a row that it has read is different in these contents.
    pub(crate) fn saw_otherwise(&self, contents: &Contents) -> bool {
        !replay(&mut contents.clone(), &self.log)
    }

    fn has_retried(&self) -> bool {
        matches!(self.log.last(), Some((Op::Until(row, value), seen)) if *seen != [(*row, *value)])
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Committed,
    Aborted,
}

/// What became of a transaction.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) end: Option<End>,
    /// The version that it has published, if it has changed anything.
    pub(crate) version: Option<usize>,
    /// When the call began and when it returned.
    pub(crate) began: usize,
    pub(crate) ended: usize,
    /// The points that it has passed.
    pub(crate) passed: Vec<Point>,
    /// It has stopped where it was to stop once.
    pub(crate) halted: bool,
}

impl Call {
    pub(crate) fn last(&self) -> &Attempt {
        self.attempts.last().expect("it has begun")
    }

    pub(crate) fn end_attempt(&mut self, newest: usize) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.to = newest;
        }
    }

    fn log(&self) -> &[(Op, Seen)] {
        &self.last().log
    }

    /// The rows that must not have been written since the snapshot, under snapshot isolation.
    fn watched(&self) -> Vec<Row> {
        let rows = |(op, seen): &(Op, Seen)| match op {
            Op::Put(row, _) | Op::Add(row, _) | Op::Insert(row, _) | Op::Ensure(row) => vec![*row],
            Op::AddAll(_) | Op::Change(..) | Op::Delete(_) => seen.iter().map(|(row, _)| *row).collect(),
            _ => Vec::new(),
        };
        self.log().iter().flat_map(rows).collect()
    }
}

/// What happened in a run.
#[derive(Debug)]
pub(crate) struct History {
    pub(crate) setting: Setting,
    /// The contents of each version that differs from the one before.
    pub(crate) versions: Vec<Contents>,
    pub(crate) calls: Vec<Call>,
    pub(crate) trace: Vec<String>,
    pub(crate) stats: Stats,
}

/// How an anomaly was prevented, if it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Nothing had to be done: reads come from a snapshot, writes are published at once.
    Snapshot,
    /// Somebody ran again.
    Again,
    /// Somebody waited for a lock.
    Waits,
    /// Somebody gave way in a deadlock.
    Deadlock,
    /// It was not.
    Possible,
}

impl History {
    fn is_serialisable(&self) -> bool {
        self.setting.mode.isolation == Isolation::Serializable
    }

    fn committed(&self) -> Vec<Who> {
        let is_committed = |who: &Who| self.calls[*who].end == Some(End::Committed);
        (0..self.calls.len()).filter(is_committed).collect()
    }

    /// The orders in which the committed transactions, one after the other and as real time has it, would have seen the same and left the same.
    pub(crate) fn orders(&self) -> Vec<Vec<Who>> {
        let mut found = Vec::new();
        self.extend_order(&mut Vec::new(), &initial(), &mut found);
        found
    }

    fn extend_order(&self, order: &mut Vec<Who>, contents: &Contents, found: &mut Vec<Vec<Who>>) {
        let committed = self.committed();
        if order.len() == committed.len() && Some(contents) == self.versions.last() {
            found.push(order.clone());
        }
        let left: Vec<Who> = committed.into_iter().filter(|who| !order.contains(who)).collect();
        for &next in &left {
            let call = &self.calls[next];
            let mut after = contents.clone();
            if left.iter().all(|other| self.calls[*other].ended >= call.began) && replay(&mut after, call.log()) {
                order.push(next);
                self.extend_order(order, &after, found);
                order.pop();
            }
        }
    }

    /// Whether a committed transaction has seen this.
    pub(crate) fn has_seen(&self, who: Who, row: (Row, i64)) -> bool {
        self.calls[who].log().iter().any(|(_, seen)| seen.contains(&row))
    }

    /// What kept the transactions apart.
    pub(crate) fn how(&self) -> How {
        if self.stats.deadlocks > 0 {
            How::Deadlock
        } else if self.stats.conflicts > 0 {
            How::Again
        } else if self.stats.lock_waits > 0 {
            How::Waits
        } else {
            How::Snapshot
        }
    }

    /// What happened, in a line: attempt counts, what was counted, an order that explains it.
    pub(crate) fn line(&self) -> String {
        let mut line = self.trace.join(", ");
        let attempts: Vec<_> = self.calls.iter().map(|call| call.attempts.len().to_string()).collect();
        write!(line, "; runs {}", attempts.join(" ")).unwrap();
        let Stats { conflicts, lock_waits, deadlocks, .. } = self.stats;
        for (count, what) in [(conflicts, "lost"), (lock_waits, "waits"), (deadlocks, "deadlocks")] {
            if count > 0 {
                write!(line, ", {count} {what}").unwrap();
            }
        }
        let order = self.orders().into_iter().next();
        let order = order.map(|order| order.into_iter().map(label).collect::<Vec<_>>().join(" "));
        line + "; " + &order.unwrap_or_else(|| "no order".into())
    }

    /// Fails unless the run is as its isolation level promises.
    pub(crate) fn check(&self) {
        for (who, call) in self.calls.iter().enumerate() {
            for attempt in &call.attempts {
                self.check_one_version(who, attempt);
            }
            // Another's swap may have published what was announced, together with its own.
            if call.end == Some(End::Committed) && !self.setting.announced {
                self.check_commit(who, call);
            }
        }
        if self.is_serialisable() {
            assert!(!self.orders().is_empty(), "not serialisable: {self}");
        }
        self.check_stats();
    }

    /// §1.4: what an attempt has seen is of one version, taken after it began, however it ended.
    fn check_one_version(&self, who: Who, attempt: &Attempt) {
        let mut snapshots = self.versions[attempt.from..=attempt.to].iter();
        let explained = snapshots.any(|version| replay(&mut version.clone(), &attempt.log));
        assert!(explained, "{} has seen what never was: {self}", label(who));
    }

    /// §2.2: what a committed transaction rests on was so at its commit, and what it has done is what was published.
    fn check_commit(&self, who: Who, call: &Call) {
        let Some(version) = call.version else {
            // Nothing was changed.
            return;
        };
        let explained = |snapshot: &Contents| replay(&mut snapshot.clone(), call.log());
        if self.is_serialisable() {
            assert!(explained(&self.versions[version - 1]), "{} rests on the past: {self}", label(who));
        } else {
            let watched = call.watched();
            let changed = |pair: &[Contents]| watched.iter().any(|row| pair[0].get(row) != pair[1].get(row));
            let explained =
                |at: usize| explained(&self.versions[at]) && !self.versions[at..version].windows(2).any(changed);
            let mut snapshots = call.last().from..version;
            assert!(snapshots.any(explained), "{} has overwritten another: {self}", label(who));
        }
        // Alone, on the version before, it would have left the same rows as it wrote.
        let rows = call.watched();
        let mut after = self.versions[version - 1].clone();
        replay(&mut after, call.log());
        for row in rows {
            assert_eq!(after.get(&row), self.versions[version].get(&row), "row {row:?}: {self}");
        }
    }

    /// §7.2: the counters agree with what was seen.
    fn check_stats(&self) {
        let Stats { commits, read_only, conflicts, reruns, deadlocks, .. } = self.stats;
        let writers = self.committed().into_iter().filter(|who| writes(self.calls[*who].log())).count() as u64;
        let committed = self.committed().len() as u64;
        assert_eq!((commits, read_only), (writers, committed - writers), "{self}");
        let again: usize = self.calls.iter().map(|call| call.attempts.len() - 1).sum();
        let retries = self.calls.iter().flat_map(|call| &call.attempts).filter(|attempt| attempt.has_retried());
        let retries = retries.count() as u64;
        assert_eq!((reruns, conflicts + deadlocks + retries), (again as u64, again as u64), "{self}");
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.setting, self.line())?;
        for (at, contents) in self.versions.iter().enumerate() {
            writeln!(f, "version {at}: {contents:?}")?;
        }
        for (who, call) in self.calls.iter().enumerate() {
            for Attempt { log, from, to } in &call.attempts {
                writeln!(f, "{}, in a version from {from} to {to}: {log:?}", label(who))?;
            }
            writeln!(f, "{}: {:?}, as version {:?}", label(who), call.end, call.version)?;
        }
        write!(f, "{}", self.stats)
    }
}

/// Whether a committed attempt has written: a read-only one has touched nothing (§2.5).
fn writes(log: &[(Op, Seen)]) -> bool {
    log.iter().any(|(op, seen)| match op {
        Op::Put(..) | Op::Add(..) => true,
        Op::Insert(..) => seen[0].1 == 1,
        Op::AddAll(_) | Op::Change(..) | Op::Delete(_) => !seen.is_empty(),
        _ => false,
    })
}

/// The checks find what they are for.
mod tests {
    use super::*;
    use crate::program::Op::{Commit, Get, Put};
    use crate::program::{T1, T2, X, Y};
    use crate::rows::Kind;
    use crate::scheduler;
    use crate::setting::MODES;
    use std::panic::catch_unwind;

    /// T1 has written X and returned; T2 has begun then.
    fn one_after_the_other() -> History {
        let setting = Setting { mode: MODES[0], kind: Kind::Variables, announced: false };
        let script = [(T1, Put(X, 11)), (T1, Commit), (T2, Get(X)), (T2, Get(Y)), (T2, Put(Y, 21)), (T2, Commit)];
        let history = scheduler::run(setting, &script, None);
        history.check();
        assert_eq!(history.orders(), [[T1, T2]]);
        history
    }

    fn is_refused(history: &History) -> bool {
        catch_unwind(std::panic::AssertUnwindSafe(|| history.check())).is_err()
    }

    #[test]
    fn a_read_of_the_past() {
        let mut history = one_after_the_other();
        history.calls[T2].attempts[0].log[0].1 = vec![(X, 10)];
        assert!(history.orders().is_empty() && is_refused(&history));
        // If it had begun before, that would be an order.
        history.calls[T2].began = 0;
        assert_eq!(history.orders(), [[T2, T1]]);
        assert!(is_refused(&history), "its snapshot is of an earlier version than the one before its own");
    }

    #[test]
    fn a_read_of_what_never_was() {
        let mut history = one_after_the_other();
        history.calls[T2].attempts[0].log[0].1 = vec![(X, 12)];
        assert!(history.orders().is_empty() && is_refused(&history));
    }

    #[test]
    fn another_row_than_was_written() {
        let mut history = one_after_the_other();
        history.versions[2].insert(Y, 22);
        assert!(history.orders().is_empty() && is_refused(&history));
    }

    #[test]
    fn an_overwritten_row_under_snapshot_isolation() {
        let mut history = one_after_the_other();
        history.setting.mode = MODES[2];
        assert!(!is_refused(&history));
        // As if it had written the row that T1 has, from the snapshot before.
        let attempt = &mut history.calls[T2].attempts[0];
        attempt.from = 0;
        attempt.log = vec![(Get(X), vec![(X, 10)]), (Put(X, 12), Vec::new())];
        history.versions[2] = Contents::from([(X, 12), (Y, 20)]);
        assert!(is_refused(&history));
    }
}
