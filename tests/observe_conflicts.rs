//! §7.2: a conflict is attributed: label of the loser, label of the winner, name of the variable.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod coalesce_common;
mod common;
mod observe_common;

use blocking_common::Paused;
use coalesce_common::{announced, at_once, stopped};
use common::elsewhere;
use observe_common::{V, attributed, conflicts, labelled, lose, name, observed, vars, win};
use std::future::Future;
use std::task::{Context, Poll, Waker};
use tvar::hooks::Point;
use tvar::{Isolation, LockMode, Space, TMap, TOrdMap, TVar};

#[test]
fn s7_2_loser_winner_and_variable_are_named() {
    let space = observed();
    let [a, b, c] = vars(&space, ["a", "b", "c"]);
    for isolation in [Isolation::Serializable, Isolation::Snapshot] {
        lose(&labelled(&space, "loser").isolation(isolation), &a, || win(&space, "winner", &a, 7));
    }
    assert_eq!(conflicts(&space), ["loser < winner: a x2"]);
    // Only read; the winner has written more than that.
    labelled(&space, "reader")
        .run(|tx| {
            let n = *tx.read(&b);
            if tx.attempt() == 1 {
                elsewhere(|| {
                    let both = labelled(&space, "both").run(|tx| Ok((tx.write(&a, 1), tx.write(&b, 1))));
                    assert!(both.is_ok());
                });
            }
            Ok(tx.write(&c, n))
        })
        .unwrap();
    assert_eq!(conflicts(&space), ["loser < winner: a x2", "reader < both: b"]);
    assert_eq!(attributed(&space), space.stats().conflicts);
}

/// §2.2: under snapshot isolation reads do not conflict, what is ensured does.
#[test]
fn s7_2_snapshot_isolation_names_what_was_written_or_ensured() {
    let space = observed();
    let [read, ensured, written] = vars(&space, ["read", "ensured", "written"]);
    let loser = labelled(&space, "loser").isolation(Isolation::Snapshot);
    for lost in [&read, &ensured, &written] {
        let run = |tx: &tvar::Tx<'_>| {
            tx.read(&read);
            tx.ensure(&ensured);
            tx.write(&written, tx.attempt().cast_signed());
            if tx.attempt() == 1 {
                elsewhere(|| win(&space, "winner", lost, 5));
            }
            Ok(())
        };
        loser.run(run).unwrap();
    }
    assert_eq!(conflicts(&space), ["loser < winner: ensured", "loser < winner: written"]);
}

#[test]
fn s7_2_calls_without_label_are_named_by_function_and_place() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let plain = |step: &(dyn Fn() + Sync)| lose(&space.options(), &v, step);
    plain(&|| v.store(10));
    let line = line!() - 1;
    plain(&|| v.update(|n| n + 1));
    plain(&|| space.atomically(|tx| Ok(tx.write(&v, 0))));
    plain(&|| space.try_atomically::<_, ()>(|tx| Ok(tx.write(&v, 100))).unwrap());
    let f = "TxOptions::run < ";
    let expected = ["Space::atomically: v", "Space::try_atomically: v", "TVar::store: v", "TVar::update: v"]
        .map(|w| format!("{f}{w}"));
    assert_eq!(conflicts(&space), expected);
    let all = space.conflicts();
    let stored = all.iter().find(|c| c.winner.as_ref().unwrap().function == "TVar::store").unwrap();
    let at = stored.winner.as_ref().unwrap().location;
    assert_eq!((at.line(), at.file().ends_with("observe_conflicts.rs")), (line, true));
    // As losers too.
    space.observe(true);
    let mut first = true;
    v.update(|n| {
        if std::mem::take(&mut first) {
            elsewhere(|| v.store(3));
        }
        n + 1
    });
    assert_eq!(conflicts(&space), ["TVar::update < TVar::store: v"]);
}

#[test]
fn s7_2_a_variable_without_a_name_shows_its_number() {
    let space = observed();
    let v = TVar::new_in(&space, 0);
    lose(&labelled(&space, "loser"), &v, || win(&space, "winner", &v, 7));
    let all = conflicts(&space);
    assert!(all[0].starts_with("loser < winner: variable #"), "{all:?}");
}

#[test]
fn s7_2_maps_are_named() {
    let space = observed();
    let [out] = vars(&space, ["out"]);
    let (hash, ordered) =
        (TMap::<u64, i64>::named_in(&space, "hash"), TOrdMap::<u64, i64>::named_in(&space, "ordered"));
    let lose = |label, read: &dyn Fn(&tvar::Tx<'_>) -> i64, win: &(dyn Fn(&tvar::Tx<'_>) + Sync)| {
        let run = |tx: &tvar::Tx<'_>| {
            let n = read(tx);
            if tx.attempt() == 1 {
                elsewhere(|| labelled(&space, "winner").run(|tx| Ok(win(tx))).unwrap());
            }
            Ok(tx.write(&out, n))
        };
        labelled(&space, label).run(run).unwrap();
    };
    lose("absent", &|tx| hash.get(tx, &1).copied().unwrap_or(0), &|tx| hash.upsert(tx, 1, 5));
    lose("present", &|tx| hash.get(tx, &1).copied().unwrap_or(0), &|tx| _ = hash.remove(tx, &1));
    lose("length", &|tx| hash.len(tx) as i64, &|tx| hash.upsert(tx, 2, 5));
    lose("range", &|tx| ordered.range(tx, 3..9).count() as i64, &|tx| ordered.upsert_with(tx, 4, 5, |n| n + 1));
    lose("elsewhere", &|tx| ordered.range(tx, 30..90).count() as i64, &|tx| ordered.upsert(tx, 4, 5));
    let expected =
        ["absent < winner: hash", "length < winner: hash", "present < winner: hash", "range < winner: ordered"];
    assert_eq!(conflicts(&space), expected);
}

/// §4.5: merges conflict with nobody, and win like other writes.
#[test]
fn s7_2_merges_win() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let merge = || labelled(&space, "merge").run(|tx| Ok(tx.merge(&v, |n| n + 1))).unwrap();
    let run = |tx: &tvar::Tx<'_>| {
        tx.merge(&v, |n| n + 1);
        if tx.attempt() == 1 {
            elsewhere(merge);
        }
        Ok(())
    };
    labelled(&space, "other merge").run(run).unwrap();
    assert!(conflicts(&space).is_empty());
    lose(&labelled(&space, "loser"), &v, merge);
    assert_eq!(conflicts(&space), ["loser < merge: v"]);
}

/// The winner of a batch is the member that wrote, not the commit that has published it (§4.2).
#[test]
fn s7_2_the_winner_is_the_member_not_the_publisher() {
    let space = observed();
    let [v, other] = vars(&space, ["v", "other"]);
    let member = {
        let v = v.clone();
        stopped(Point::Announced, at_once(&space).label("member"), move |tx| Ok(tx.write(&v, 9)))
    };
    lose(&labelled(&space, "loser"), &v, || win(&space, "publisher", &other, 1));
    // The member has not come to say so.
    assert_eq!(conflicts(&space), ["loser < ?: v"]);
    assert_eq!(member.finish(), (Ok(()), 1));
    assert_eq!(conflicts(&space), ["loser < member: v"]);
    // It has when the next one loses.
    lose(&labelled(&space, "announced").coalesce_after(0), &v, || {
        let run = |tx: &tvar::Tx<'_>| Ok(tx.write(&v, 9));
        labelled(&space, "member 2").coalesce_after(0).run(run).unwrap();
    });
    assert_eq!(conflicts(&space), ["announced < member 2: v", "loser < member: v"]);
    assert_eq!(attributed(&space), space.stats().conflicts);
}

/// Members of one batch that lose to the publisher, or to each other.
#[test]
fn s7_2_members_lose_to_the_publisher_and_to_members() {
    let space = observed();
    let [a, b, c] = vars(&space, ["a", "b", "c"]);
    let copy = |label: &'static str, from: &V, to: &V| {
        let (from, to) = (from.clone(), to.clone());
        let run = move |tx: &tvar::Tx<'_>| Ok(tx.write(&to, *tx.read(&from) + 1));
        stopped(Point::Announced, at_once(&space).label(label), run)
    };
    let one = copy("one", &a, &c);
    win(&space, "publisher", &a, 5);
    assert_eq!(one.finish(), (Ok(()), 2));
    assert_eq!(conflicts(&space), ["one < publisher: a"]);
    space.observe(true);
    // Each reads what the other writes: one of them loses.
    let (one, two) = (copy("one", &a, &b), copy("two", &b, &a));
    win(&space, "publisher", &c, 5);
    assert_eq!((one.finish().0, two.finish().0), (Ok(()), Ok(())));
    let all = conflicts(&space);
    assert!(all == ["one < two: a"] || all == ["two < one: b"], "{all:?}");
}

/// What an announced commit has written it is known to have written in one version only.
#[test]
fn s7_2_a_later_winner_is_not_taken_for_an_announced_one() {
    let space = observed();
    let [v, other] = vars(&space, ["v", "other"]);
    let member = {
        let v = v.clone();
        announced(&space, move |tx| Ok(tx.write(&v, 9)))
    };
    win(&space, "publisher", &other, 1);
    assert_eq!(member.finish(), (Ok(()), 1));
    let late = {
        let (space, v) = (space.clone(), v.clone());
        let start = move || Paused::at(Point::Swapped, move || win(&space, "late", &v, 7));
        std::sync::Mutex::new(Some(start))
    };
    let paused = std::sync::Mutex::new(None);
    lose(&labelled(&space, "loser"), &v, || {
        *paused.lock().unwrap() = Some(late.lock().unwrap().take().unwrap()());
    });
    assert_eq!(conflicts(&space), ["loser < ?: v"]);
    paused.into_inner().unwrap().unwrap().finish();
    assert_eq!(conflicts(&space), ["loser < late: v"]);
}

/// A write that changes no bit is no write (§3.1): it has won against nobody.
#[test]
fn s7_2_a_commit_that_changes_nothing_wins_nothing() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    v.store(1);
    win(&space, "same", &v, 1);
    let paused = std::sync::Mutex::new(None);
    lose(&labelled(&space, "loser"), &v, || {
        let (space, v) = (space.clone(), v.clone());
        *paused.lock().unwrap() = Some(Paused::at(Point::Swapped, move || win(&space, "late", &v, 7)));
    });
    assert_eq!(conflicts(&space), ["loser < ?: v"]);
    paused.into_inner().unwrap().unwrap().finish();
    assert_eq!(conflicts(&space), ["loser < late: v"]);
}

/// §5.3: a lock brings to light that what was read is stale.
#[test]
fn s7_2_stale_reads_that_a_lock_finds() {
    let space = observed();
    let [read, locked] = vars(&space, ["read", "locked"]);
    let run = |tx: &tvar::Tx<'_>| {
        tx.read(&read);
        if tx.attempt() == 1 {
            elsewhere(|| labelled(&space, "winner").run(|tx| Ok((tx.write(&read, 1), tx.write(&locked, 1)))).unwrap());
        }
        tx.lock(&locked, LockMode::Exclusive)
    };
    labelled(&space, "locker").run(run).unwrap();
    assert_eq!(conflicts(&space), ["locker < winner: read"]);
    assert_eq!(space.stats().conflicts, 1);
}

/// §2.10: a refresh finds that something is stale, not what.
#[test]
fn s7_2_a_refresh_names_no_variable() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let run = |tx: &tvar::Tx<'_>| {
        tx.read(&v);
        if tx.attempt() == 1 {
            elsewhere(|| v.store(1));
        }
        tx.refresh()
    };
    labelled(&space, "loser").run(run).unwrap();
    assert_eq!((space.stats().conflicts, attributed(&space)), (1, 0));
    assert_eq!(space.label_stats()[0].conflicts, 1);
}

#[test]
fn s7_2_futures_lose_and_win() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = Box::pin(labelled(&space, "future").run_async(|tx| {
        let n = *tx.read(&v);
        if tx.attempt() == 1 {
            elsewhere(|| win(&space, "thread", &v, 5));
        }
        Ok(tx.write(&v, n + 1))
    }));
    assert_eq!(future.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    lose(&labelled(&space, "thread"), &v, || {
        let mut plain = Box::pin(space.atomically_async(|tx| Ok(tx.write(&v, 9))));
        assert!(plain.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    });
    assert_eq!(conflicts(&space), ["future < thread: v", "thread < Space::atomically_async: v"]);
}

/// The winner has published, and has not noted it when the loser looks.
#[test]
fn s7_2_the_winner_may_say_so_later() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let winner = std::sync::Mutex::new(None);
    let start = || {
        let (space, v) = (space.clone(), v.clone());
        *winner.lock().unwrap() = Some(Paused::at(Point::Swapped, move || win(&space, "slow", &v, 7)));
    };
    lose(&labelled(&space, "loser"), &v, start);
    let unknown = space.conflicts();
    assert_eq!((unknown.len(), &unknown[0].winner), (1, &None));
    winner.into_inner().unwrap().unwrap().finish();
    assert_eq!(conflicts(&space), ["loser < slow: v"]);
}

#[test]
fn s7_2_off_nothing_is_recorded_and_on_again_forgets() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let conflict = || lose(&labelled(&space, "loser"), &v, || win(&space, "winner", &v, 7));
    conflict();
    assert!(conflicts(&space).is_empty() && space.label_stats().is_empty());
    space.observe(true);
    conflict();
    space.observe(false);
    assert_eq!((conflicts(&space).len(), space.label_stats().len()), (1, 2), "what was observed stays");
    let before = (space.conflicts(), space.label_stats());
    conflict();
    assert_eq!((space.conflicts(), space.label_stats()), before, "off");
    space.observe(true);
    assert!(conflicts(&space).is_empty() && space.label_stats().is_empty());
    // Nor are earlier writes remembered.
    let observe = || {
        space.observe(false);
        win(&space, "unseen", &v, 7);
        space.observe(true);
    };
    lose(&labelled(&space, "loser"), &v, observe);
    assert_eq!(conflicts(&space), ["loser < ?: v"]);
    let text = space.conflicts()[0].to_string();
    assert!(text.starts_with("1 conflict(s) on `v`: `loser` (TxOptions::run at "), "{text}");
    assert!(text.ends_with(") lost, it is not known to whom"), "{text}");
    assert_eq!(space.stats().conflicts, 4);
}

#[test]
fn s7_2_spaces_are_observed_apart() {
    let (one, two) = (observed(), Space::new());
    let ([a], [b]) = (vars(&one, ["a"]), vars(&two, ["b"]));
    lose(&labelled(&one, "one"), &a, || win(&one, "winner", &a, 7));
    lose(&labelled(&two, "two"), &b, || win(&two, "winner", &b, 7));
    assert_eq!((conflicts(&one), conflicts(&two)), (vec!["one < winner: a".to_string()], vec![]));
    assert!(two.label_stats().is_empty());
    assert_eq!(one.label_stats().len(), 2);
}

/// §7.1: transactions in hooks and destructors are transactions of their own.
#[test]
fn s7_2_hooks_and_destructors_win_for_themselves() {
    struct Writes(V, Space);
    impl Drop for Writes {
        fn drop(&mut self) {
            win(&self.1, "destructor", &self.0, 8);
        }
    }
    let space = observed();
    let [v, hooked] = vars(&space, ["v", "hooked"]);
    let (inner, hooked_v) = (space.clone(), hooked.clone());
    lose(&labelled(&space, "loser"), &hooked, || {
        let (space, v) = (inner.clone(), hooked_v.clone());
        labelled(&inner, "outer")
            .run(move |tx| {
                let (space, v) = (space.clone(), v.clone());
                tx.on_commit(move || win(&space, "hook", &v, 3));
                Ok(())
            })
            .unwrap();
    });
    let value = TVar::new_in(&space, None);
    lose(&labelled(&space, "loser"), &v, || {
        // The first value goes at once: nobody has seen it.
        let twice = |tx: &tvar::Tx<'_>| {
            tx.write(&value, Some(Writes(v.clone(), space.clone())));
            Ok(tx.write(&value, None))
        };
        labelled(&space, "outer").run(twice).unwrap();
    });
    assert_eq!(conflicts(&space), ["loser < destructor: v", "loser < hook: hooked"]);
}

/// A rollback hook, or a destructor, of the loser writes what it has lost: it has not lost to that.
#[test]
fn s7_2_the_winner_is_who_was_met_not_who_came_after() {
    struct Writes(V, Space);
    impl Drop for Writes {
        fn drop(&mut self) {
            win(&self.1, "destructor", &self.0, 8);
        }
    }
    let space = observed();
    let [v] = vars(&space, ["v"]);
    let value = TVar::new_in(&space, None);
    for hook in [true, false] {
        let run = |tx: &tvar::Tx<'_>| {
            let n = *tx.read(&v);
            if tx.attempt() == 1 {
                elsewhere(|| win(&space, "winner", &v, 7));
                let (space, v) = (space.clone(), v.clone());
                if hook {
                    tx.on_rollback(move || win(&space, "hook", &v, 3));
                } else {
                    tx.write(&value, Some(Writes(v, space)));
                }
            }
            Ok(tx.write(&v, n + 1))
        };
        labelled(&space, "loser").run(run).unwrap();
    }
    assert_eq!(conflicts(&space), ["loser < winner: v x2"]);
}

#[test]
fn s7_2_texts_read_well() {
    let space = observed();
    let [v] = vars(&space, ["v"]);
    lose(&labelled(&space, "loser"), &v, || v.store(3));
    let conflict = &space.conflicts()[0];
    let (loser, winner) = (conflict.loser.clone().unwrap(), conflict.winner.clone().unwrap());
    assert_eq!(name(&loser), "loser");
    let expected = format!(
        "1 conflict(s) on `v`: `loser` (TxOptions::run at {}) lost to `TVar::store` at {}",
        loser.location, winner.location
    );
    assert_eq!(conflict.to_string(), expected);
}
