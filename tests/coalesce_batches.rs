//! §4.2: one root swap commits several announced write sets; each is validated against what those before it left, and each caller gets its
//! own outcome.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod coalesce_common;
mod common;

use blocking_common::Paused;
use coalesce_common::{Call, all_commit, announced, announced_add, announced_store, at_once, counts, stopped};
use common::{Census, elsewhere, settle, ticks};
use tvar::hooks::Point;
use tvar::{Isolation, Space, TVar, TxOptions};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

/// Adds `by` to `to` what `from` has, with a read of both.
fn announced_copy(space: &Space, from: &TVar<i64>, to: &TVar<i64>, by: i64) -> Call<()> {
    let (from, to) = (from.clone(), to.clone());
    announced(space, move |tx| {
        let n = *tx.read(&from);
        tx.write(&to, n + by);
        Ok(())
    })
}

#[test]
fn s4_2_a_commit_takes_an_announced_one_along() {
    let (space, [mine, theirs]) = vars([0, 0]);
    let text = TVar::new_in(&space, String::from("a"));
    let before = space.version();
    let call = {
        let (mine, text) = (mine.clone(), text.clone());
        announced(&space, move |tx| {
            tx.modify(&mine, |n| n + 1);
            tx.write(&text, "b".into());
            Ok(*tx.read(&mine))
        })
    };
    assert_eq!((mine.load(), text.load().as_str()), (0, "a"), "nothing is committed yet");
    theirs.store(1);
    // Committed, although its thread has not moved.
    assert_eq!((mine.load(), text.load().as_str(), theirs.load()), (1, "b", 1));
    assert_eq!(space.version(), before + 1);
    assert_eq!(call.finish(), (Ok(1), 1));
    assert_eq!(space.version(), before + 1, "without a swap of its own");
    assert_eq!(counts(space.stats()), [2, 1, 1, 0, 0]);
}

#[test]
fn s4_2_one_root_for_several_announced_commits() {
    for members in [2, 3, 10] {
        let (space, [theirs]) = vars([0]);
        let own: Vec<_> = (0..members).map(|n| TVar::new_in(&space, n)).collect();
        let before = space.version();
        let calls: Vec<_> = own.iter().map(|var| announced_add(&space, var, 100)).collect();
        theirs.store(1);
        let snapshot = space.snapshot();
        assert_eq!(snapshot.version(), before + 1);
        assert!((0..).zip(&own).all(|(n, var)| *snapshot.read(var) == n + 100));
        all_commit(calls);
        assert_eq!(space.version(), before + 1);
        let members = members as u64;
        assert_eq!(counts(space.stats()), [members + 1, members, 1, 0, 0]);
    }
}

/// One of several announced commits goes on: it takes the others along.
#[test]
fn s4_2_an_announced_commit_takes_others_along() {
    let (space, [a, b, c]) = vars([0, 0, 0]);
    let [one, two, three] = [&a, &b, &c].map(|var| announced_add(&space, var, 1));
    let before = space.version();
    assert_eq!(two.finish(), (Ok(()), 1));
    assert_eq!([&a, &b, &c].map(TVar::load), [1, 1, 1]);
    all_commit([one, three]);
    assert_eq!(space.version(), before + 1);
    assert_eq!(counts(space.stats()), [3, 3, 1, 0, 0]);
}

/// Whatever kind of commit comes along, also one that itself changes nothing; a transaction without writes does not.
#[test]
fn s4_2_every_kind_of_commit_takes_along() {
    type Help = fn(&Space, &TVar<i64>);
    let helpers: [(&str, Help); 7] = [
        ("store", |_, var| var.store(1)),
        ("update", |_, var| var.update(|n| n + 1)),
        ("merge", |space, var| {
            space.atomically(|tx| {
                tx.merge(var, |n| n + 1);
                Ok(())
            });
        }),
        ("merge_then", |space, var| {
            let ticket = space.atomically(|tx| Ok(tx.merge_then(var, |n| n + 1, |n| *n)));
            assert_eq!(ticket.unwrap(), 1);
        }),
        ("snapshot isolation", |space, var| {
            let options = TxOptions::new().space(space).isolation(Isolation::Snapshot);
            assert_eq!(options.run(|tx| Ok(tx.write(var, 1))), Ok(()));
        }),
        ("never announced", |space, var| {
            let options = TxOptions::new().space(space).coalesce_after(u32::MAX);
            assert_eq!(options.run(|tx| Ok(tx.write(var, 1))), Ok(()));
        }),
        ("the same bits", |_, var| var.store(0)),
    ];
    for (kind, help) in helpers {
        let (space, [mine, theirs]) = vars([0, 0]);
        let call = announced_add(&space, &mine, 1);
        assert_eq!((theirs.load(), mine.load()), (0, 0), "a reader takes nobody along");
        help(&space, &theirs);
        assert_eq!((mine.load(), theirs.load()), (1, i64::from(kind != "the same bits")), "{kind}");
        assert_eq!(call.finish(), (Ok(()), 1));
        assert_eq!(counts(space.stats()), [2, 1, 1, 0, 0], "{kind}");
    }
}

/// §2.2: a helper that overwrites what the announcer has read: its closure runs again, its first run's write does not show.
#[test]
fn s4_2_a_member_that_has_read_what_the_helper_writes_conflicts() {
    let (space, [read, written, theirs]) = vars([1, 0, 0]);
    let call = announced_copy(&space, &read, &written, 100);
    space.atomically(|tx| {
        tx.write(&read, 2);
        tx.write(&theirs, 7);
        Ok(())
    });
    assert_eq!((written.load(), theirs.load()), (0, 7));
    assert_eq!(call.finish(), (Ok(()), 2));
    assert_eq!(written.load(), 102);
    // The second attempt was announced as well, and decided by itself.
    assert_eq!(counts(space.stats()), [2, 2, 2, 1, 0]);
}

/// §2.2: what the announcer has read is overwritten by a swap that was prepared before it announced, and so does not take it along: the
/// next helper finds that in its base.
#[test]
fn s4_2_a_member_that_is_stale_in_the_helpers_base_conflicts() {
    let (space, [read, written, theirs]) = vars([1, 0, 0]);
    let prepared = {
        let read = read.clone();
        Paused::at(Point::Swap, move || read.store(2))
    };
    let call = announced_copy(&space, &read, &written, 100);
    prepared.finish();
    assert_eq!(space.stats().batches, 0);
    theirs.store(7);
    assert_eq!((written.load(), space.stats().batches), (0, 1));
    assert_eq!((call.finish(), written.load()), ((Ok(()), 2), 102));
    assert_eq!(counts(space.stats()), [3, 2, 2, 1, 0]);
}

/// §2.2: the same under snapshot isolation, for what was written or ensured.
#[test]
fn s4_2_a_member_under_snapshot_isolation() {
    for (kind, expected) in [("read", 1), ("ensure", 2), ("write", 2), ("merge", 1)] {
        let (space, [var, other]) = vars([1, 1]);
        let options = at_once(&space).isolation(Isolation::Snapshot);
        let (mine, other_of_mine) = (var.clone(), other.clone());
        let call = stopped(Point::Announced, options, move |tx| {
            match kind {
                "read" => assert!(*tx.read(&mine) < 3),
                "ensure" => tx.ensure(&mine),
                "write" => tx.write(&mine, 10),
                _ => tx.merge(&mine, |n| n + 10),
            }
            tx.write(&other_of_mine, 5);
            Ok(())
        });
        var.store(2);
        assert_eq!(other.load(), if expected == 1 { 5 } else { 1 }, "{kind}");
        assert_eq!(call.finish(), (Ok(()), expected), "{kind}");
        assert_eq!(space.stats().conflicts, expected - 1, "{kind}");
        assert_eq!(other.load(), 5);
    }
}

/// §2.2: write skew between two members of one batch: the first commits, the other conflicts, whichever that is.
#[test]
fn s4_2_members_that_conflict_with_each_other() {
    let (space, [a, b, theirs]) = vars([0, 0, 0]);
    let calls = [announced_copy(&space, &a, &b, 1), announced_copy(&space, &b, &a, 1)];
    let before = space.version();
    theirs.store(1);
    assert_eq!((space.version(), a.load() + b.load()), (before + 1, 1), "one of the two");
    let mut runs = calls.map(|call| {
        let (result, runs) = call.finish();
        assert_eq!(result, Ok(()));
        runs
    });
    runs.sort_unstable();
    assert_eq!(runs, [1, 2]);
    let mut values = [a.load(), b.load()];
    values.sort_unstable();
    assert_eq!(values, [1, 2]);
    assert_eq!(counts(space.stats()), [3, 3, 2, 1, 0]);
}

/// §2.3: members that read one variable and write others do not conflict, nor does one that has read what another member or the
/// helper wrote with the same bits.
#[test]
fn s4_2_members_without_a_conflict_between_them() {
    let (space, [read, same, a, b, c]) = vars([1, 5, 0, 0, 0]);
    let calls = [
        announced_copy(&space, &read, &a, 1),
        announced_copy(&space, &read, &b, 2),
        announced_copy(&space, &same, &c, 3),
        announced_add(&space, &same, 0),
    ];
    same.store(5);
    assert_eq!([&a, &b, &c].map(TVar::load), [2, 3, 8]);
    all_commit(calls);
    assert_eq!(counts(space.stats()), [5, 4, 1, 0, 0]);
}

/// §2.4, §4.2: of blind writes in one batch the last wins; all commit. The builder's own come first.
#[test]
fn s4_2_the_last_blind_write_of_a_batch_wins() {
    let (space, [inline]) = vars([0]);
    let text = TVar::new_in(&space, String::from("initial"));
    let calls = [1, 2, 3].map(|n| {
        let (inline, text) = (inline.clone(), text.clone());
        announced(&space, move |tx| {
            tx.write(&inline, n);
            tx.write(&text, format!("member {n}"));
            Ok(())
        })
    });
    space.atomically(|tx| {
        tx.write(&inline, 100);
        tx.write(&text, "helper".into());
        Ok(())
    });
    let last = inline.load();
    assert!((1..=3).contains(&last), "{last}");
    assert_eq!(text.load(), format!("member {last}"));
    all_commit(calls);
    assert_eq!((inline.load(), counts(space.stats())), (last, [4, 3, 1, 0, 0]));
}

/// A batch whose last write of a variable puts back what it had: in between it was another value, so it has changed.
#[test]
fn s4_2_a_batch_that_puts_a_value_back_is_a_change() {
    let (space, [var, theirs]) = vars([1, 0]);
    let older = space.snapshot();
    let call = announced_add(&space, &var, -1);
    space.atomically(|tx| {
        tx.write(&var, 2);
        tx.write(&theirs, 1);
        Ok(())
    });
    let diff = older.diff(&space.snapshot());
    assert_eq!((var.load(), diff.changed(&var), diff.changed(&theirs)), (1, true, true));
    all_commit([call]);
}

/// §1.7: of boxed values that were written and superseded in one batch none is dropped twice, none stays.
#[test]
fn s4_2_superseded_values_are_dropped_once() {
    for written_before in [false, true] {
        let (space, census) = (Space::new(), Census::new());
        let var = TVar::new_in(&space, census.value(0));
        if written_before {
            var.store(census.value(0));
            ticks(&space, 1);
        }
        let dropped = census.dropped();
        let calls: Vec<_> = (1..=4)
            .map(|id| {
                let (var, census) = (var.clone(), census.clone());
                announced(&space, move |tx| {
                    tx.write(&var, census.value(id));
                    Ok(())
                })
            })
            .collect();
        var.store(census.value(100));
        let last = space.snapshot().read(&var).id;
        assert!((1..=4).contains(&last));
        all_commit(calls);
        settle(&space, || census.live() == 1);
        assert_eq!((census.alive(last), census.dropped() - dropped), (true, 5));
        drop(var);
        settle(&space, || census.live() == 0);
    }
}

/// §4.5: merges of one variable by several members and the helper never conflict, and all count.
#[test]
fn s4_5_merges_of_several_members_add_up() {
    for written_before in [false, true] {
        let (space, [sum]) = vars([if written_before { 0 } else { 1_000 }]);
        let text = TVar::new_in(&space, String::new());
        text.store("x".into());
        if written_before {
            sum.store(1_000);
        }
        let (version, stats) = (space.version(), space.stats());
        let merge = |letter: &'static str, by: i64| {
            let (sum, text) = (sum.clone(), text.clone());
            move |tx: &tvar::Tx<'_>| {
                tx.merge(&sum, move |n| n + by);
                tx.merge(&text, move |text| format!("{text}{letter}"));
                tx.merge(&text, move |text| format!("{text}{letter}"));
                Ok(())
            }
        };
        let calls = [("a", 1), ("b", 10), ("c", 100)].map(|(letter, by)| announced(&space, merge(letter, by)));
        space.atomically(merge("h", 5));
        assert_eq!((sum.load(), space.version()), (1_116, version + 1));
        let text = text.load();
        assert!(text.starts_with("xhh") && text.len() == 9, "the builder first: {text}");
        assert!(["aa", "bb", "cc"].iter().all(|pair| text.matches(pair).count() == 1), "{text}");
        all_commit(calls);
        assert_eq!(sum.load(), 1_116);
        assert_eq!((space.stats().conflicts, space.stats().batches - stats.batches), (0, 1));
    }
}

/// §4.5: the values that the merges of a batch made, but for the last, are dropped once; so are those of a helper that lost.
#[test]
fn s4_5_results_of_merges_are_dropped_once() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, census.value(0));
    let side = TVar::new_in(&space, 0);
    var.store(census.value(0));
    ticks(&space, 1);
    let dropped = census.dropped();
    let members: Vec<_> = (0..3)
        .map(|_| {
            let (var, census) = (var.clone(), census.clone());
            announced(&space, move |tx| {
                for _ in 0..2 {
                    let census = census.clone();
                    tx.merge(&var, move |old| census.value(old.id + 1));
                }
                Ok(())
            })
        })
        .collect();
    // A helper that has its draft ready, and loses it.
    let late = Paused::at(Point::Swap, move || side.store(1));
    assert_eq!(census.live(), 1 + 6, "its results wait for the swap");
    let own = census.clone();
    elsewhere(|| {
        space.atomically(|tx| {
            let census = own.clone();
            tx.merge(&var, move |old| census.value(old.id + 100));
            Ok(())
        });
    });
    assert_eq!(space.snapshot().read(&var).id, 106);
    all_commit(members);
    late.finish();
    assert_eq!(space.snapshot().read(&var).id, 106);
    settle(&space, || census.live() == 1);
    // The value before, six results in vain, and all but one of the seven that counted.
    assert_eq!(census.dropped() - dropped, 1 + 6 + 6);
}

/// A write and merges in one batch: some order of the members explains the result.
#[test]
fn s4_2_writes_and_merges_in_one_batch() {
    let (space, [var, theirs]) = vars([1, 0]);
    let calls =
        [announced_add(&space, &var, 10), announced_store(&space, &var, 1_000), announced_add(&space, &var, 100)];
    theirs.store(1);
    let end = var.load();
    assert!([1_000, 1_010, 1_100, 1_110].contains(&end), "{end}");
    all_commit(calls);
    assert_eq!((var.load(), counts(space.stats())), (end, [4, 3, 1, 0, 0]));
}
