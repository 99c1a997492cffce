//! Helpers of the tests of coalesced commits (§4.2): calls that announce at once, and calls that stop when they have.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

use tvar::hooks::Point;
use tvar::{Space, Stats, Stm, TVar, Tx, TxError, TxOptions};

use crate::blocking_common::Paused;

/// Options of a call whose every commit is announced.
pub(crate) fn at_once(space: &Space) -> TxOptions {
    TxOptions::new().space(space).coalesce_after(0)
}

/// A call on a thread of its own: its result, and how often the closure ran.
pub(crate) type Call<R> = Paused<(Result<R, TxError>, u64)>;

/// Starts a call and waits until it has announced its writes, where it stops. A later attempt does not stop.
#[track_caller]
pub(crate) fn announced<R: Send + 'static>(
    space: &Space,
    f: impl FnMut(&Tx<'_>) -> Stm<R> + Send + 'static,
) -> Call<R> {
    stopped(Point::Announced, at_once(space), f)
}

/// Starts a call with these options and waits until it stops at the point.
#[track_caller]
pub(crate) fn stopped<R: Send + 'static>(
    point: Point,
    options: TxOptions,
    mut f: impl FnMut(&Tx<'_>) -> Stm<R> + Send + 'static,
) -> Call<R> {
    Paused::at(point, move || {
        let mut runs = 0;
        let result = options.run(|tx| {
            runs += 1;
            f(tx)
        });
        (result, runs)
    })
}

/// A call that announces a blind write and stops.
#[track_caller]
pub(crate) fn announced_store<T: Clone + Send + Sync + 'static>(space: &Space, var: &TVar<T>, value: T) -> Call<()> {
    let var = var.clone();
    announced(space, move |tx| {
        tx.write(&var, value.clone());
        Ok(())
    })
}

/// A call that announces a merge that adds `by`, and stops.
#[track_caller]
pub(crate) fn announced_add(space: &Space, var: &TVar<i64>, by: i64) -> Call<()> {
    let var = var.clone();
    announced(space, move |tx| {
        tx.merge(&var, move |n| n + by);
        Ok(())
    })
}

/// Commits, announced, batches, conflicts, lost swaps.
pub(crate) fn counts(stats: Stats) -> [u64; 5] {
    [stats.commits, stats.announced, stats.batches, stats.conflicts, stats.lost_swaps]
}

/// Lets the calls go on: each commits in its first attempt.
#[track_caller]
pub(crate) fn all_commit(calls: impl IntoIterator<Item = Call<()>>) {
    for call in calls {
        assert_eq!(call.finish(), (Ok(()), 1));
    }
}
