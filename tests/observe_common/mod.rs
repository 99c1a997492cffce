//! Helpers of the tests of observability (§7.2): conflicts and names in a line, a transaction that loses once.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

use tvar::{Space, TVar, TxOptions, Who};

use crate::common::elsewhere;

pub(crate) type V = TVar<i64>;

/// A space that is observed.
pub(crate) fn observed() -> Space {
    let space = Space::new();
    space.observe(true);
    space
}

pub(crate) fn vars<const N: usize>(space: &Space, names: [&str; N]) -> [V; N] {
    names.map(|name| TVar::named_in(space, name, 0))
}

pub(crate) fn labelled(space: &Space, label: &'static str) -> TxOptions {
    space.options().label(label)
}

/// A transaction's label, or the function that ran it.
pub(crate) fn name(who: &Who) -> String {
    who.label.as_deref().unwrap_or(who.function).to_string()
}

/// `loser < winner: variable` for each conflict, `?` for a winner that is not known, with `xN` if it is more than one; sorted.
pub(crate) fn conflicts(space: &Space) -> Vec<String> {
    let line = |conflict: tvar::Conflict| {
        let loser = conflict.loser.as_ref().map_or("others".into(), name);
        let winner = conflict.winner.as_ref().map_or("?".into(), name);
        let times = if conflict.count == 1 { String::new() } else { format!(" x{}", conflict.count) };
        format!("{loser} < {winner}: {}{times}", conflict.variable)
    };
    let mut all: Vec<_> = space.conflicts().into_iter().map(line).collect();
    all.sort();
    all
}

/// How many conflicts are attributed, in all.
pub(crate) fn attributed(space: &Space) -> u64 {
    space.conflicts().iter().map(|conflict| conflict.count).sum()
}

/// Adds 1 to a variable; in the first attempt `win` runs on another thread between the read and the write.
#[track_caller]
pub(crate) fn lose(options: &TxOptions, v: &V, win: impl Fn() + Sync) {
    let result = options.run(|tx| {
        let n = *tx.read(v);
        if tx.attempt() == 1 {
            elsewhere(&win);
        }
        tx.write(v, n + 1);
        Ok(())
    });
    assert_eq!(result, Ok(()));
}

/// A committed blind write under a label.
pub(crate) fn win(space: &Space, label: &'static str, v: &V, value: i64) {
    labelled(space, label)
        .run(|tx| {
            tx.write(v, value);
            Ok(())
        })
        .expect("a blind write commits");
}
