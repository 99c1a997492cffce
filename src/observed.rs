//! What a space that is observed tells: conflicts with their names, and statistics by label (§7.2).

use crate::attempt::Label;
use crate::commit::{Defeat, Tally};
use crate::space::Space;
use crate::sync::site::Who;
use std::fmt;

impl Space {
    /// Begins (or ends) to observe this space: to attribute [conflicts](Space::conflicts) and to count [by label](Space::label_stats).
    ///
    /// What was observed before is forgotten when it begins. Of transactions that are running, conflicts are attributed from then on; by label those are counted that begin after it. *Costs* nothing while it is off; while it is
    /// on, each commit that writes takes a mutex of the space for a moment, and some hundred nanoseconds. Memory is bounded: the last 8,192 writes and 4,096 distinct conflicts are kept, and one entry
    /// for each label.
    ///
    /// ```
    /// use tvar::{Space, TVar, TxOptions};
    /// let space = Space::new();
    /// let stock = TVar::named_in(&space, "stock", 3);
    /// space.observe(true);
    /// TxOptions::new().space(&space).label("sale").run(|tx| {
    ///     let n = *tx.read(&stock);
    ///     if tx.attempt() == 1 {
    ///         // Somebody else is faster.
    ///         std::thread::scope(|s| {
    ///             s.spawn(|| TxOptions::new().space(&space).label("delivery").run(|tx| Ok(tx.write(&stock, 9))).unwrap());
    ///         });
    ///     }
    ///     Ok(tx.write(&stock, n - 1))
    /// }).unwrap();
    /// let conflict = &space.conflicts()[0];
    /// assert_eq!((conflict.variable.as_str(), conflict.count), ("stock", 1));
    /// assert!(conflict.to_string().contains("`sale`") && conflict.to_string().contains("`delivery`"));
    /// println!("{conflict}");
    /// ```
    pub fn observe(&self, on: bool) {
        if on {
            self.shared.observer.clear();
        }
        self.shared.registry.set_observed(on);
    }

    /// The conflicts since [`observe`](Space::observe) began: who has lost to whom over which variable, the most frequent first (§7.2). O(conflicts).
    pub fn conflicts(&self) -> Vec<Conflict> {
        let (all, more) = self.shared.observer.defeats();
        let mut all: Vec<_> = all.into_iter().map(|(defeat, count)| Conflict::new(defeat, count)).collect();
        let key = |conflict: &Conflict| std::cmp::Reverse(conflict.count);
        all.sort_by(|a, b| {
            key(a).cmp(&key(b)).then_with(|| a.variable.cmp(&b.variable)).then_with(|| a.loser.cmp(&b.loser))
        });
        if more > 0 {
            all.push(Conflict { loser: None, winner: None, variable: String::from("others"), count: more });
        }
        all
    }

    /// What transactions with a [label](crate::TxOptions::label) have gone through since [`observe`](Space::observe) began, in the order of the labels
    /// (§7.2). A call is counted when it ends. O(labels).
    pub fn label_stats(&self) -> Vec<LabelStats> {
        self.shared.observer.labels().into_iter().map(|(label, tally)| LabelStats::new(label, tally)).collect()
    }
}

/// Attempts lost to another commit; from [`Space::conflicts`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The transaction that had to run again; `None` in the last entry, if there were more distinct conflicts than are kept apart.
    pub loser: Option<Who>,
    /// The one that had committed; `None` if it did so before it was observed, or too long ago.
    pub winner: Option<Who>,
    /// The variable or map that the loser had read (or, under snapshot isolation, written) and the winner wrote: its name, or "variable #" and its number.
    pub variable: String,
    /// How often.
    pub count: u64,
}

impl Conflict {
    fn new(Defeat { loser, winner, variable }: Defeat, count: u64) -> Self {
        Conflict { loser: Some(loser), winner, variable, count }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conflict { loser, winner, variable, count } = self;
        match (loser, winner) {
            (None, _) => write!(f, "{count} other conflict(s)"),
            (Some(loser), Some(winner)) => write!(f, "{count} conflict(s) on `{variable}`: {loser} lost to {winner}"),
            (Some(loser), None) => {
                write!(f, "{count} conflict(s) on `{variable}`: {loser} lost, it is not known to whom")
            }
        }
    }
}

/// What the transactions of one label have gone through; from [`Space::label_stats`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelStats {
    /// The label.
    pub label: Label,
    /// Calls that committed, those that only read included.
    pub commits: u64,
    /// Calls that ended by [`abort`](crate::Tx::abort).
    pub aborts: u64,
    /// Calls that ended by a limit of their options: [`TxError`](crate::TxError).
    pub failures: u64,
    /// Calls that ended by a panic.
    pub panics: u64,
    /// Runs of a closure after the first of its call.
    pub reruns: u64,
    /// Attempts lost to another commit.
    pub conflicts: u64,
    /// Decisions to wait by a retry.
    pub sleeps: u64,
    /// Waits in the line for a lock.
    pub lock_waits: u64,
    /// Deadlocks in which they have given way.
    pub deadlocks: u64,
}

impl LabelStats {
    fn new(label: Label, tally: Tally) -> Self {
        let Tally { commits, aborts, failures, panics, reruns, conflicts, sleeps, lock_waits, deadlocks } = tally;
        LabelStats { label, commits, aborts, failures, panics, reruns, conflicts, sleeps, lock_waits, deadlocks }
    }
}

impl fmt::Display for LabelStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {} commits", self.label, self.commits)?;
        let rest = [
            (self.aborts, "aborts"),
            (self.failures, "failures"),
            (self.panics, "panics"),
            (self.reruns, "re-runs"),
            (self.conflicts, "conflicts"),
            (self.sleeps, "sleeps"),
            (self.lock_waits, "lock waits"),
            (self.deadlocks, "deadlocks"),
        ];
        rest.iter().filter(|(count, _)| *count > 0).try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}
