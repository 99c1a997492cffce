//! §4.2: what an announced commit does when nobody is there to take it along: the same as any other.

mod blocking_common;
mod coalesce_common;
mod common;

use std::cell::Cell;
use std::rc::Rc;

use blocking_common::strike_at;
use coalesce_common::{all_commit, announced_add, at_once, counts};
use common::{Census, elsewhere, panic_message, settle};
use tvar::hooks::Point;
use tvar::{Abort, Isolation, Space, TMap, TOrdMap, TVar, Tx, TxOptions};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

#[test]
fn s4_2_an_announced_commit_commits_by_itself() {
    let space = Space::new();
    let number = TVar::new_in(&space, 1);
    let text = TVar::new_in(&space, String::from("a"));
    let unit = TVar::new_in(&space, ());
    let before = space.version();
    let options = at_once(&space);
    for round in 1..=3 {
        let mut runs = 0;
        let result = options.run(|tx| {
            runs += 1;
            tx.modify(&number, |n| n + 1);
            tx.modify(&text, |text| format!("{text}b"));
            tx.write(&unit, ());
            assert_eq!((*tx.read(&number), tx.read(&text).len() as i64), (round + 1, round + 1));
            Ok(round)
        });
        assert_eq!((result, runs), (Ok(round), 1));
        // One root each, of which it is the only member.
        assert_eq!(space.version(), before + round as u64);
        assert_eq!(counts(space.stats()), [round as u64, round as u64, round as u64, 0, 0]);
    }
    assert_eq!((number.load(), text.load().as_str()), (4, "abbb"));
}

/// §1.2: the initial value of a variable that is written for the first time is dropped once, as are those that follow.
#[test]
fn s4_2_values_that_an_announced_commit_replaces_are_dropped_once() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, census.value(0));
    for id in 1..50 {
        let result = at_once(&space).run(|tx| {
            tx.write(&var, census.value(1_000));
            assert_eq!(tx.read(&var).id, 1_000);
            tx.write(&var, census.value(id));
            Ok(())
        });
        assert_eq!(result, Ok(()));
        common::ticks(&space, 1);
        assert_eq!((census.live(), census.dropped()), (1, 2 * id as usize), "only the last is left");
        assert!(census.alive(id));
    }
    drop(var);
    settle(&space, || census.live() == 0);
}

/// What was read in maps is validated by its own thread alone: such a commit is not announced, whatever it writes.
#[test]
fn s4_2_a_commit_that_has_read_in_a_map_is_not_announced() {
    let (space, [number]) = vars([0]);
    let (map, ordered) = (TMap::<u64, i64>::new_in(&space), TOrdMap::<u64, i64>::new_in(&space));
    type Read = fn(&Tx<'_>, &TMap<u64, i64>, &TOrdMap<u64, i64>) -> bool;
    let reads: [Read; 5] = [
        |_, _, _| true,
        |tx, map, _| map.get(tx, &1).is_none(),
        |tx, map, _| map.is_empty(tx),
        |tx, _, ordered| ordered.get(tx, &1).is_none(),
        |tx, _, ordered| ordered.range(tx, 3..9).next().is_none(),
    ];
    for (n, read) in reads.into_iter().enumerate() {
        let result = at_once(&space).run(|tx| {
            assert!(read(tx, &map, &ordered));
            tx.modify(&number, |n| n + 1);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!((number.load(), space.stats().announced), (n as i64 + 1, 1), "the first one alone");
    }
}

/// §3.1: a write that leaves an inline value with the same bits is none, announced or not.
#[test]
fn s4_2_an_announced_write_of_the_same_bits_is_no_write() {
    let (space, [var, other, unwritten]) = vars([1, 1, 7]);
    var.store(5);
    let older = space.snapshot();
    let mut runs = 0;
    let rewrite = || {
        let result = at_once(&space).run(|tx| {
            tx.write(&var, 5);
            tx.merge(&unwritten, |n| *n);
            Ok(())
        });
        assert_eq!(result, Ok(()));
    };
    space.atomically(|tx| {
        runs += 1;
        let seen = *tx.read(&var) + *tx.read(&unwritten);
        elsewhere(rewrite);
        tx.write(&other, seen);
        Ok(())
    });
    assert_eq!((runs, other.load()), (1, 12));
    let diff = older.diff(&space.snapshot());
    assert_eq!([&var, &other, &unwritten].map(|var| diff.changed(var)), [false, true, false]);
    assert_eq!(space.stats().announced, 1);
}

/// §3.1: nor does it run a waiter's closure again.
#[test]
fn s4_2_an_announced_write_of_the_same_bits_wakes_nobody() {
    let (space, [var]) = vars([5]);
    let seen = var.clone();
    let waiter = blocking_common::Waiter::asleep(&space, move |tx| tx.check(*tx.read(&seen) != 5));
    for _ in 0..20 {
        let result = at_once(&space).run(|tx| {
            tx.merge(&var, |n| *n);
            Ok(())
        });
        assert_eq!(result, Ok(()));
    }
    assert_eq!(space.stats().announced, 20);
    blocking_common::settle();
    assert_eq!(waiter.runs(), 1);
    var.store(6);
    assert_eq!(waiter.finish("woken by another value"), ((), 2));
}

/// §2.2: what the announcer read is validated, and nothing else: blind writes and merges conflict with nobody.
#[test]
fn s4_2_reads_are_validated_and_blind_writes_are_not() {
    let (space, [read, blind, merged]) = vars([1, 1, 1]);
    let mut runs = 0;
    let result = at_once(&space).run(|tx| {
        runs += 1;
        tx.write(&blind, 10);
        tx.merge(&merged, |n| n + 10);
        elsewhere(|| [&blind, &merged].map(|var| var.store(100)));
        Ok(())
    });
    assert_eq!((result, runs, blind.load(), merged.load()), (Ok(()), 1, 10, 110));
    let mut runs = 0;
    let result = at_once(&space).run(|tx| {
        runs += 1;
        let n = *tx.read(&read);
        if runs == 1 {
            elsewhere(|| read.store(2));
        }
        tx.write(&blind, n);
        Ok(())
    });
    assert_eq!((result, runs, blind.load()), (Ok(()), 2, 2));
    // The attempt that was stale already is not announced.
    assert_eq!((space.stats().conflicts, space.stats().announced), (1, 2));
}

/// §2.2: under snapshot isolation what was written or ensured is validated, and reads are not.
#[test]
fn s4_2_snapshot_isolation() {
    for (kind, expected) in [("read", 1), ("ensure", 2), ("write", 2), ("modify", 2), ("merge", 1)] {
        let (space, [var, other]) = vars([1, 1]);
        let mut runs = 0;
        let result = at_once(&space).isolation(Isolation::Snapshot).run(|tx| {
            runs += 1;
            match kind {
                "read" => assert!(*tx.read(&var) < 3),
                "ensure" => tx.ensure(&var),
                "write" => tx.write(&var, 10),
                "modify" => tx.modify(&var, |n| n + 10),
                _ => tx.merge(&var, |n| n + 10),
            }
            tx.write(&other, 5);
            if runs == 1 {
                elsewhere(|| var.store(2));
            }
            Ok(())
        });
        assert_eq!((result, runs), (Ok(()), expected), "{kind}");
        let end = ["read", "ensure", "write"].iter().position(|k| *k == kind).map_or(12, |at| [2, 2, 10][at]);
        assert_eq!((var.load(), other.load()), (end, 5), "{kind}");
        assert_eq!((space.stats().announced, space.stats().conflicts), (1, expected - 1), "{kind}");
    }
}

/// §4.5: several merges of one variable apply in order, to the newest value; a read after them promotes.
#[test]
fn s4_2_announced_merges() {
    let space = Space::new();
    let text = TVar::new_in(&space, String::from("a"));
    let number = TVar::new_in(&space, 1);
    let promoted = TVar::new_in(&space, 1);
    text.store("a".into());
    let result = at_once(&space).run(|tx| {
        for letter in ["b", "c", "d"] {
            tx.merge(&text, move |text| format!("{text}{letter}"));
        }
        tx.merge(&number, |n| n + 1);
        tx.merge(&number, |n| n * 10);
        tx.merge(&promoted, |n| n + 1);
        if tx.attempt() == 1 {
            elsewhere(|| text.store("A".into()));
            elsewhere(|| number.store(4));
        }
        Ok(*tx.read(&promoted))
    });
    assert_eq!((result, promoted.load()), (Ok(2), 2));
    assert_eq!((text.load().as_str(), number.load()), ("Abcd", 50));
    assert_eq!(counts(space.stats()), [4, 1, 1, 0, 0]);
}

/// §4.5: a commit that makes results for its own thread is not announced, and works.
#[test]
fn s4_2_merge_then_does_not_announce() {
    let (space, [var]) = vars([1]);
    let result = at_once(&space).run(|tx| {
        let ticket = tx.merge_then(&var, |n| n + 1, |n| *n);
        elsewhere(|| var.store(41));
        Ok(ticket)
    });
    assert_eq!(result.expect("commits").unwrap(), 42);
    assert_eq!(space.stats().announced, 0);
}

/// Nor is one that changes nothing, or that merges a boxed variable which nobody has written.
#[test]
fn s4_2_what_else_does_not_announce() {
    let (space, [var]) = vars([1]);
    let text = TVar::new_in(&space, String::from("a"));
    let before = space.version();
    let result = at_once(&space).run(|tx| {
        tx.write(&var, 1);
        Ok(())
    });
    assert_eq!((result, space.version(), space.stats().announced), (Ok(()), before, 0));
    let merge = || {
        at_once(&space).run(|tx| {
            tx.merge(&text, |text| format!("{text}b"));
            Ok(())
        })
    };
    assert_eq!((merge(), text.load().as_str(), space.stats().announced), (Ok(()), "ab", 0));
    assert_eq!((merge(), text.load().as_str(), space.stats().announced), (Ok(()), "abb", 1));
}

/// §2.9, §3.2: what was undone is not announced.
#[test]
fn s4_2_undone_parts_are_not_announced() {
    let (space, census) = (Space::new(), Census::new());
    let boxed = TVar::new_in(&space, census.value(0));
    let [kept, undone] = [0, 0].map(|n| TVar::new_in(&space, n));
    let result = at_once(&space).run(|tx| {
        tx.write(&boxed, census.value(1));
        assert_eq!(tx.read(&boxed).id, 1);
        let part = tx.nested(|tx| {
            tx.write(&boxed, census.value(2));
            tx.write(&undone, 1);
            tx.abort::<(), _>(())
        })?;
        assert_eq!(part, Err(()));
        tx.or_else(
            |tx| {
                tx.write(&boxed, census.value(3));
                tx.merge(&undone, |n| n + 1);
                tx.retry()
            },
            |tx| {
                tx.merge(&kept, |n| n + 1);
                Ok(())
            },
        )?;
        tx.nested(|tx| {
            tx.merge(&kept, |n| n + 10);
            Ok::<_, Abort<()>>(())
        })
    });
    assert_eq!(result, Ok(Ok(())));
    assert_eq!((kept.load(), undone.load(), space.snapshot().read(&boxed).id), (11, 0, 1));
    common::ticks(&space, 1);
    assert_eq!((census.live(), census.dropped()), (1, 3));
}

/// §2.5 to §2.8: an attempt without writes, or one that does not get as far as a commit, is not announced.
#[test]
fn s4_2_what_does_not_commit_is_not_announced() {
    let (space, [var]) = vars([1]);
    let rolled_back = Rc::new(Cell::new(0));
    let options = at_once(&space);
    assert_eq!(options.run(|tx| Ok(*tx.read(&var))), Ok(1));
    let aborted = options.try_run(|tx| {
        tx.write(&var, 2);
        let count = rolled_back.clone();
        tx.on_rollback(move || count.set(count.get() + 1));
        tx.abort::<(), _>("no")
    });
    assert!(aborted.is_err());
    let message = panic_message(|| {
        options.run(|tx| -> tvar::Stm<()> {
            tx.write(&var, 3);
            panic!("in the closure")
        })
    });
    assert_eq!((message.as_str(), rolled_back.get(), var.load()), ("in the closure", 1, 1));
    assert_eq!(counts(space.stats()), [0; 5]);
}

/// A commit is announced after as many lost swaps as the option says, 3 unless set.
#[test]
fn s4_2_the_threshold_is_exact() {
    let of = |after: Option<u32>, strikes: u64| {
        let (space, [var, other]) = vars([0, 0]);
        let mut options = TxOptions::new().space(&space);
        if let Some(after) = after {
            options = options.coalesce_after(after);
        }
        let hook = strike_at(Point::Swap, strikes, move || other.update(|n| n + 1));
        let mut runs = 0;
        let result = options.run(|tx| {
            runs += 1;
            tx.modify(&var, |n| n + 1);
            Ok(())
        });
        drop(hook);
        assert_eq!((result, runs, var.load()), (Ok(()), 1, 1));
        let stats = space.stats();
        assert_eq!((stats.commits, stats.conflicts, stats.lost_swaps), (1 + strikes, 0, strikes));
        stats.announced
    };
    for after in [1, 2, 5] {
        let seen = [after - 1, after].map(|strikes| of(Some(after), u64::from(strikes)));
        assert_eq!(seen, [0, 1], "after {after}");
    }
    assert_eq!([of(None, 2), of(None, 3)], [0, 1]);
    assert_eq!(of(Some(u32::MAX), 20), 0);
}

/// A commit with more than 1,024 reads and writes is not announced, and commits.
#[test]
fn s4_2_a_large_commit_is_not_announced() {
    let space = Space::new();
    let vars: Vec<_> = (0..1_100).map(|n| TVar::new_in(&space, n)).collect();
    for (reads, writes, announced) in [(0, 1_024, 1), (0, 1_025, 0), (500, 524, 1), (500, 525, 0), (1_025, 1, 0)] {
        let before = space.stats().announced;
        let result = at_once(&space).run(|tx| {
            let sum: i64 = vars[..reads].iter().map(|var| *tx.read(var)).sum();
            vars[vars.len() - writes..].iter().for_each(|var| tx.write(var, sum + writes as i64));
            Ok(sum + writes as i64)
        });
        let written = result.expect("commits");
        assert!(vars[vars.len() - writes..].iter().all(|var| var.load() == written));
        assert_eq!(space.stats().announced - before, announced, "{reads} reads, {writes} writes");
    }
}

/// The board has room for 32. One more commits without, and takes all of them along.
#[test]
fn s4_2_a_full_board() {
    let (space, [sum]) = vars([0]);
    let calls: Vec<_> = (0..32).map(|n| announced_add(&space, &sum, 1 << n)).collect();
    let before = space.version();
    assert_eq!(counts(space.stats()), [0, 32, 0, 0, 0]);
    let hook = strike_at(Point::Announced, 1, || panic!("there was no room"));
    let result = at_once(&space).run(|tx| {
        tx.merge(&sum, |n| n + (1 << 32));
        Ok(())
    });
    drop(hook);
    assert_eq!((result, sum.load()), (Ok(()), (1 << 33) - 1));
    assert_eq!(space.version(), before + 1);
    all_commit(calls);
    assert_eq!(counts(space.stats()), [33, 32, 1, 0, 0]);
    assert_eq!(space.version(), before + 1, "they made no root of their own");
    // There is room again.
    announced_add(&space, &sum, 1).finish().0.expect("commits");
    assert_eq!(space.stats().announced, 33);
}
