//! §4.2 and §4.4: announced commits while another transaction has the turn: they wait, are taken along by it, or are withdrawn.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod coalesce_common;
mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use blocking_common::{Pause, Paused, join};
use coalesce_common::{Call, all_commit, announced, announced_add, at_once, counts, stopped};
use common::{Census, elsewhere, panic_message, settle, ticks};
use tvar::hooks::{self, Point};
use tvar::{Backoff, Space, TVar, TryError, Tx, TxError, TxOptions};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

/// A call that has the turn in its second attempt, and stops inside it.
struct Holder {
    inside: Pause,
    thread: JoinHandle<(Result<(), TryError<()>>, u64)>,
}

impl Holder {
    /// Reads `hot`, then runs `f`.
    #[track_caller]
    fn start(
        space: &Space,
        hot: &TVar<i64>,
        f: impl Fn(&Tx<'_>) -> Result<(), tvar::Abort<()>> + Send + 'static,
    ) -> Self {
        let inside = Pause::new();
        let (pause, hot, options) = (inside.clone(), hot.clone(), TxOptions::new().space(space).escalate_after(1));
        let thread = thread::spawn(move || {
            let mut runs = 0;
            let result = options.try_run(|tx| {
                runs += 1;
                tx.read(&hot);
                if runs == 1 {
                    elsewhere(|| hot.update(|n| n + 1));
                } else {
                    pause.stop();
                }
                f(tx)
            });
            (result, runs)
        });
        inside.reached();
        assert_eq!(space.stats().escalations, 1);
        Holder { inside, thread }
    }

    /// Lets it go on: it never needs a third attempt.
    #[track_caller]
    fn finish(self) -> Result<(), TryError<()>> {
        self.inside.release();
        let (result, runs) = join("the holder of the turn ends", self.thread);
        assert_eq!(runs, 2, "an attempt was lost in the turn");
        result
    }
}

/// A commit that has lost 64 swaps and takes the turn, in which it stops. Such a turn begins without a swap, so what is announced just
/// before stays undecided.
struct Loser {
    inside: Pause,
    /// To end the turn by a panic.
    fail: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Loser {
    /// Writes 100 to `var`; stops at the first passage of `point` in the turn. `announce` runs right before the last lost swap is tried.
    #[track_caller]
    fn start<T>(space: &Space, var: &TVar<i64>, point: Point, announce: impl FnOnce() -> T) -> (Self, T) {
        let (inside, ready) = (Pause::new(), Pause::new());
        let options = TxOptions::new().space(space).coalesce_after(u32::MAX).backoff(Backoff::None);
        let (var, tick) = (var.clone(), TVar::new_in(space, 0));
        let (pause, last, fail) = (inside.clone(), ready.clone(), Arc::new(AtomicBool::new(false)));
        let fails = fail.clone();
        let thread = thread::spawn(move || {
            let mut swaps = 0;
            let _hook = hooks::on_this_thread(move |passed| {
                if swaps == 64 && passed == point {
                    pause.stop();
                    assert!(!fails.load(Ordering::SeqCst), "the turn ends");
                } else if passed == Point::Swap && swaps < 64 {
                    swaps += 1;
                    elsewhere(|| tick.store(swaps));
                    if swaps == 64 {
                        last.stop();
                    }
                }
            });
            let mut runs = 0;
            let result = options.run(|tx| {
                runs += 1;
                Ok(tx.write(&var, 100))
            });
            assert_eq!((result, runs), (Ok(()), 1));
        });
        ready.reached();
        let announced = announce();
        assert_eq!(space.stats().escalations, 0);
        ready.release();
        inside.reached();
        assert_eq!(space.stats().escalations, 1);
        (Loser { inside, fail, thread }, announced)
    }

    #[track_caller]
    fn finish(self) {
        self.inside.release();
        join("the holder of the turn commits", self.thread);
    }
}

/// Lets a call go on that waits for the end of the turn, and hands back its end.
#[track_caller]
fn stands_by(call: Call<()>) -> JoinHandle<(Result<(), TxError>, u64)> {
    let thread = thread::spawn(move || call.finish());
    blocking_common::settle();
    assert!(!thread.is_finished(), "it waits");
    thread
}

/// What was announced before the turn is committed as it begins: its owner need not wait.
#[test]
fn s4_4_the_beginning_of_a_turn_takes_announced_commits_along() {
    let (space, [hot, mine, sum]) = vars([0, 0, 0]);
    let write = sum.clone();
    let calls = [1, 2].map(|by| announced_add(&space, &mine, by));
    // The holder's first loss is to a commit that takes these two along.
    let holder = Holder::start(&space, &hot, move |tx| Ok(tx.write(&write, 1)));
    all_commit(calls);
    let late = space.stats().batches;
    assert_eq!((mine.load(), late), (3, 1));
    assert!(holder.finish().is_ok());
    assert_eq!((hot.load(), sum.load()), (1, 1));
}

/// The swap that begins the turn takes along what was announced after the holder's loss.
#[test]
fn s4_4_the_bump_decides() {
    let (space, [hot, mine, sum]) = vars([0, 0, 0]);
    // Stopped after its lost attempt, with the turn still ahead: at the validation of the attempt that will lose.
    let options = TxOptions::new().space(&space).escalate_after(1);
    let holder = {
        let (hot, sum, mine) = (hot.clone(), sum.clone(), mine.clone());
        stopped(Point::Validate, options, move |tx| {
            let n = *tx.read(&hot);
            if tx.attempt() == 1 {
                elsewhere(|| hot.update(|n| n + 1));
            } else {
                assert_eq!(*tx.read(&mine), 3, "committed before the attempt in the turn");
            }
            tx.write(&sum, n);
            Ok(())
        })
    };
    let calls = [1, 2].map(|by| announced_add(&space, &mine, by));
    let before = space.version();
    assert_eq!((mine.load(), space.stats().batches), (0, 0));
    assert_eq!(holder.finish(), (Ok(()), 2));
    // One root for the bump and both members, one for the holder's commit.
    assert_eq!((space.version(), mine.load(), sum.load()), (before + 2, 3, 1));
    all_commit(calls);
    assert_eq!((space.stats().batches, space.stats().escalations), (1, 1));
}

/// What is announced and undecided in the turn is taken along by the holder's commit, behind its own writes.
#[test]
fn s4_4_the_holders_commit_takes_announced_ones_along() {
    let (space, [mine, var]) = vars([0, 0]);
    let (holder, calls) = Loser::start(&space, &var, Point::Validate, || {
        [1, 10].map(|by| {
            let (mine, var) = (mine.clone(), var.clone());
            announced(&space, move |tx| {
                tx.merge(&mine, move |n| n + by);
                tx.merge(&var, move |n| n + by);
                Ok(())
            })
        })
    });
    let (before, lost) = (space.version(), space.stats().lost_swaps);
    let waiting = calls.map(stands_by);
    assert_eq!((space.version(), mine.load()), (before, 0), "nobody publishes during the turn");
    holder.finish();
    assert_eq!((space.version(), mine.load(), var.load()), (before + 1, 11, 111));
    for thread in waiting {
        assert_eq!(join("decided by the holder", thread), (Ok(()), 1));
    }
    let stats = space.stats();
    assert_eq!((space.version(), stats.batches, stats.reruns, stats.lost_swaps), (before + 1, 1, 0, lost));
}

/// A turn that ends without a commit: the announced commits go on by themselves.
#[test]
fn s4_4_after_a_turn_without_a_commit() {
    let (space, [mine, var]) = vars([0, 0]);
    let (holder, calls) =
        Loser::start(&space, &var, Point::Validate, || [1, 10].map(|by| announced_add(&space, &mine, by)));
    let waiting = calls.map(stands_by);
    holder.fail.store(true, Ordering::SeqCst);
    holder.inside.release();
    assert!(holder.thread.join().is_err());
    for thread in waiting {
        assert_eq!(join("goes on after the turn", thread), (Ok(()), 1));
    }
    assert_eq!((mine.load(), var.load()), (11, 0));
}

/// C9: a deadline that passes during the turn: the commit is withdrawn, nothing is written, values are dropped once. The holder
/// commits in its attempt, and takes along who has no deadline.
#[test]
fn s4_4_a_deadline_during_the_turn_withdraws() {
    let (space, [var, number]) = vars([0, 0]);
    let census = Census::new();
    let [written, merged] = [0, 0].map(|id| TVar::new_in(&space, census.value(id)));
    merged.store(census.value(0));
    ticks(&space, 2);
    let dropped = census.dropped();
    let (holder, (patient, hasty)) = Loser::start(&space, &var, Point::Validate, || {
        let hasty = [1, 2, 3].map(|round| {
            let (written, merged, number, census) = (written.clone(), merged.clone(), number.clone(), census.clone());
            let options = at_once(&space).timeout(Duration::from_millis(20));
            stopped(Point::Announced, options, move |tx| {
                tx.write(&written, census.value(round));
                let census = census.clone();
                tx.merge(&merged, move |old| census.value(old.id + 1));
                tx.modify(&number, |n| n + 1);
                Ok(())
            })
        });
        (announced_add(&space, &number, 1_000), hasty)
    });
    let (before, stats) = (space.version(), space.stats());
    let waiting = stands_by(patient);
    for (round, call) in (1..).zip(hasty) {
        let (result, runs) = call.finish();
        assert!(matches!(result, Err(TxError::TimedOut { .. })), "{result:?}");
        // Each a root of its own, that changes nothing. The one without a deadline waits on.
        assert_eq!((runs, space.version(), space.stats().batches - stats.batches), (1, before + round, round));
    }
    let snapshot = space.snapshot();
    assert_eq!((snapshot.read(&written).id, snapshot.read(&merged).id, *snapshot.read(&number)), (0, 0, 0));
    drop(snapshot);
    holder.finish();
    assert_eq!(join("taken along by the holder", waiting), (Ok(()), 1));
    assert_eq!((var.load(), number.load(), space.version()), (100, 1_000, before + 4));
    // The board is empty: a plain commit decides nothing.
    let batches = space.stats().batches;
    number.store(1);
    assert_eq!((space.stats().batches, space.stats().announced - stats.announced), (batches, 0));
    assert_eq!(space.stats().deadlocks, 0, "a limit is no deadlock");
    settle(&space, || census.live() == 2);
    assert_eq!(census.dropped() - dropped, 3);
}

/// C9: the holder can lose a swap to a withdrawal, never an attempt.
#[test]
fn s4_4_a_withdrawal_costs_the_holder_a_swap() {
    let (space, [var, mine]) = vars([0, 0]);
    let (holder, call) = Loser::start(&space, &var, Point::Swap, || {
        let (mine, options) = (mine.clone(), at_once(&space).timeout(Duration::from_millis(20)));
        stopped(Point::Announced, options, move |tx| Ok(tx.write(&mine, 1)))
    });
    let (before, lost) = (space.version(), space.stats().lost_swaps);
    assert!(call.finish().0.is_err_and(|error| error.is_timeout()));
    assert_eq!((space.version(), mine.load()), (before + 1, 0));
    holder.finish();
    assert_eq!((var.load(), mine.load(), space.version()), (100, 0, before + 2));
    assert_eq!(space.stats().lost_swaps, lost + 1);
}

/// A commit that begins during the turn stands by, and announces nothing while it does.
#[test]
fn s4_4_nobody_announces_during_the_turn() {
    let (space, [hot, var, mine]) = vars([0, 0, 0]);
    let write = var.clone();
    let holder = Holder::start(&space, &hot, move |tx| Ok(tx.write(&write, 1)));
    let before = (space.version(), counts(space.stats()));
    let late = at_once(&space).timeout(Duration::from_millis(20));
    assert!(elsewhere(|| late.run(|tx| Ok(tx.write(&mine, 1)))).is_err_and(|error| error.is_timeout()));
    assert_eq!((space.version(), counts(space.stats())), before);
    assert!(holder.finish().is_ok());
    assert_eq!((var.load(), mine.load()), (1, 0));
}

/// C9: a deadline that has passed does not undo a commit that another has made meanwhile.
#[test]
fn s4_4_a_deadline_that_passes_after_the_commit() {
    let (space, [hot, mine, theirs, var]) = vars([0; 4]);
    let options = at_once(&space).timeout(Duration::from_nanos(1));
    let call = {
        let mine = mine.clone();
        stopped(Point::Announced, options, move |tx| Ok(tx.write(&mine, 1)))
    };
    theirs.store(1);
    let holder = Holder::start(&space, &hot, move |tx| Ok(tx.write(&var, 1)));
    assert_eq!((mine.load(), call.finish()), (1, (Ok(()), 1)));
    assert!(holder.finish().is_ok());
}

/// C9: one that stands by, with a deadline, and is committed by the holder before that: the deadline is of no matter.
#[test]
fn s4_4_committed_by_the_holder_before_the_deadline() {
    let (space, [mine, var]) = vars([0, 0]);
    let (holder, call) = Loser::start(&space, &var, Point::Validate, || {
        let (mine, options) = (mine.clone(), at_once(&space).timeout(blocking_common::FAR));
        stopped(Point::Announced, options, move |tx| Ok(tx.write(&mine, 1)))
    });
    let waiting = stands_by(call);
    holder.finish();
    assert_eq!((mine.load(), var.load()), (1, 100));
    assert_eq!(join("told", waiting), (Ok(()), 1));
}

/// §4.4: whoever has the turn does not announce, whatever its options say.
#[test]
fn s4_4_the_holder_does_not_announce() {
    let (space, [hot]) = vars([0]);
    let mut runs = 0;
    let result = at_once(&space).escalate_after(1).run(|tx| {
        runs += 1;
        let n = *tx.read(&hot);
        if runs == 1 {
            elsewhere(|| hot.update(|n| n + 1));
        }
        tx.write(&hot, n + 10);
        Ok(())
    });
    assert_eq!((result, runs, hot.load()), (Ok(()), 2, 11));
    assert_eq!(counts(space.stats()), [2, 0, 0, 1, 0], "stale the first time, in the turn the second");
}

/// C9, §2.8: a hook that panics while another has the turn: withdrawn at once, and the holder is not disturbed.
#[test]
fn s4_4_a_panic_during_the_turn_withdraws() {
    let (space, [var]) = vars([0]);
    let census = Census::new();
    let mine = TVar::new_in(&space, census.value(0));
    let (holder, (pause, thread)) = Loser::start(&space, &var, Point::Validate, || {
        let (m, c, options, pause) = (mine.clone(), census.clone(), at_once(&space), Pause::new());
        let inside = pause.clone();
        let thread = thread::spawn(move || {
            let _hook = hooks::on_this_thread(move |passed| {
                if passed == Point::Announced {
                    inside.stop();
                    panic!("the hook");
                }
            });
            panic_message(|| options.run(|tx| Ok(tx.write(&m, c.value(1)))))
        });
        pause.reached();
        (pause, thread)
    });
    let before = space.version();
    pause.release();
    assert_eq!(join("withdrawn", thread), "the hook");
    assert_eq!((space.snapshot().read(&mine).id, space.version()), (0, before + 1));
    holder.finish();
    assert_eq!(var.load(), 100);
    settle(&space, || census.live() == 1);
    assert_eq!(census.dropped(), 1);
}

/// §4.1: the turn and a helper that is stopped before it tells the verdicts: nobody waits for the helper.
#[test]
fn s4_1_a_turn_beside_a_stopped_helper() {
    let (space, [hot, mine, theirs, var]) = vars([0, 0, 0, 0]);
    let call = announced(&space, {
        let mine = mine.clone();
        move |tx| Ok(tx.modify(&mine, |n| n + 1))
    });
    let helper = {
        let theirs = theirs.clone();
        Paused::at(Point::Decided, move || theirs.store(1))
    };
    let write = var.clone();
    let holder = Holder::start(&space, &hot, move |tx| Ok(tx.write(&write, 1)));
    all_commit([call]);
    assert!(holder.finish().is_ok());
    helper.finish();
    assert_eq!([hot, mine, theirs, var].map(|var| var.load()), [1; 4]);
}
