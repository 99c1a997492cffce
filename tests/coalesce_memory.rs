//! §1.2, §1.3, §1.5, §1.7 around announced commits: what they leave behind, by values and by bytes. An allocator counts, so one test runs
//! at a time.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
#[path = "common/bytes.rs"]
mod bytes;
mod coalesce_common;
mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use bytes::{KIB, LIVE, alone, bounded};
use coalesce_common::{all_commit, announced, announced_store, at_once};
use common::{Census, at_first, elsewhere, many, settle, ticks};
use tvar::hooks::{self, Point};
use tvar::{Space, TVar};

/// Another thread that does its work whenever it is asked to, and tells when it is done.
struct Other {
    ask: mpsc::SyncSender<()>,
    done: mpsc::Receiver<()>,
}

impl Other {
    fn new(mut work: impl FnMut() + Send + 'static) -> Self {
        let (ask, asked) = mpsc::sync_channel(0);
        let (tell, done) = mpsc::sync_channel(0);
        thread::spawn(move || {
            for () in asked {
                work();
                tell.send(()).expect("waits for it");
            }
        });
        Other { ask, done }
    }

    fn work(&self) {
        self.ask.send(()).expect("it runs");
        self.done.recv().expect("it runs");
    }
}

/// Every announced commit of this thread is taken along by a commit of `other`.
fn always_helped_by(other: Other) -> hooks::HookGuard {
    hooks::on_this_thread(move |point| {
        if point == Point::Announced {
            other.work();
        }
    })
}

#[test]
fn s1_7_announced_commits() {
    let _alone = alone();
    let space = Space::new();
    let numbers: Vec<_> = (0..200).map(|n| TVar::new_in(&space, n)).collect();
    let texts: Vec<_> = (0..200).map(|_| TVar::new_in(&space, String::new())).collect();
    let options = at_once(&space);
    let commit = |n: usize| {
        let result = options.run(|tx| {
            tx.modify(&numbers[n % 200], |n| n + 1);
            tx.write(&texts[n * 7 % 200], n.to_string());
            tx.merge(&texts[(n * 7 + 1) % 200], move |_| format!("merged {n}"));
            Ok(())
        });
        assert_eq!(result, Ok(()));
    };
    bounded("commits", 256 * KIB, many(100_000), commit);
    let snapshot = space.snapshot();
    bounded("behind a snapshot", 256 * KIB, many(100_000), commit);
    drop(snapshot);
    bounded("under an attempt", 256 * KIB, 1, |_| {
        space.atomically(|tx| {
            tx.read(&numbers[0]);
            elsewhere(|| (0..many(100_000)).for_each(commit));
            Ok(())
        });
    });
    bounded("threads", 512 * KIB, 1_000, |n| elsewhere(|| commit(n)));
}

/// Taken along by another thread, which takes over what the announcer replaced, while the announcer has its content.
#[test]
fn s1_7_announced_commits_that_others_take_along() {
    let _alone = alone();
    let space = Space::new();
    let [mine, theirs] = [(); 2].map(|()| TVar::new_in(&space, vec![0_u8; 100]));
    let target = theirs.clone();
    let hook = always_helped_by(Other::new(move || target.store(vec![1; 100])));
    let options = at_once(&space);
    let commit = |n: usize| {
        let result = options.run(|tx| {
            tx.write(&mine, vec![2; 100]);
            if n.is_multiple_of(2) {
                tx.merge(&theirs, |old| old.clone());
            }
            Ok(())
        });
        assert_eq!(result, Ok(()));
    };
    let lost = space.stats().lost_swaps;
    bounded("commits", 128 * KIB, 2_000, commit);
    assert_eq!(space.stats().lost_swaps, lost, "the announcer never swaps");
    let snapshot = space.snapshot();
    bounded("behind a snapshot", 128 * KIB, 2_000, commit);
    drop((snapshot, hook));
}

/// Drafts, with what they would have decided, that lose their swap.
#[test]
fn s1_7_drafts_of_batches_that_are_lost() {
    let _alone = alone();
    let space = Space::new();
    let [mine, theirs] = [0, 0].map(|n| TVar::new_in(&space, n));
    let (target, text) = (theirs.clone(), TVar::new_in(&space, String::new()));
    text.store("written".into());
    let other = Other::new(move || target.update(|n| n + 1));
    let hook = hooks::on_this_thread(move |point| {
        if point == Point::Swap {
            other.work();
        }
    });
    let options = at_once(&space);
    let mut rounds = 0;
    bounded("drafts", 32 * KIB, 1_500, |n| {
        let result = options.run(|tx| {
            tx.modify(&mine, |n| n + 1);
            tx.merge(&text, move |_| format!("the text of commit {n}"));
            Ok(())
        });
        assert_eq!(result, Ok(()));
        rounds += 1;
    });
    drop(hook);
    let stats = space.stats();
    assert_eq!((stats.lost_swaps, stats.batches, stats.commits), (rounds, rounds, 2 * rounds + 1));
}

/// §1.5: values that were never in any root, since a later member of their batch has overwritten them, are nothing that an older
/// snapshot or attempt could reach.
#[test]
fn s1_5_superseded_values_are_not_kept_by_older_snapshots() {
    let _alone = alone();
    for keeper in ["nobody", "a snapshot", "an attempt"] {
        let (space, census) = (Space::new(), Census::new());
        let var = TVar::new_in(&space, census.value(0));
        let unrelated = TVar::new_in(&space, 0);
        let round = || {
            let (target, source) = (&var, &census);
            let (theirs, made) = (target.clone(), source.clone());
            let helper = always_helped_by(Other::new(move || theirs.store(made.value(2))));
            for _ in 0..500 {
                assert_eq!(at_once(&space).run(|tx| Ok(tx.write(target, source.value(1)))), Ok(()));
            }
            drop(helper);
        };
        match keeper {
            "nobody" => elsewhere(round),
            "a snapshot" => {
                let snapshot = space.snapshot();
                elsewhere(round);
                assert!(census.live() < 20, "{} values behind {keeper}", census.live());
                drop(snapshot);
            }
            _ => space.atomically(|tx| {
                tx.read(&unrelated);
                elsewhere(round);
                assert!(census.live() < 20, "{} values behind {keeper}", census.live());
                Ok(())
            }),
        }
        settle(&space, || census.live() == 1);
    }
}

/// Attempts that are announced and do not commit: conflicts, and panics in merge functions.
#[test]
fn s2_8_announced_attempts_that_are_rolled_back() {
    let _alone = alone();
    let space = Space::new();
    let number = TVar::new_in(&space, 0);
    let text = TVar::new_in(&space, String::new());
    let options = at_once(&space);
    bounded("conflicts", 512 * KIB, 1_000, |n| {
        let result = options.run(|tx| {
            tx.modify(&number, |n| n + 1);
            tx.write(&text, n.to_string());
            if tx.attempt() == 1 {
                elsewhere(|| number.update(|n| n + 1));
            }
            Ok(())
        });
        assert_eq!(result, Ok(()));
    });
    bounded("panics", 512 * KIB, 2_000, |n| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            options.run(|tx| {
                tx.write(&text, n.to_string());
                tx.merge(&number, move |_| resume_unwind(Box::new(n.to_string())));
                Ok(())
            })
        }));
        assert_eq!(caught.expect_err("panics").downcast_ref::<String>(), Some(&n.to_string()));
    });
    assert_eq!(space.stats().announced, space.stats().batches);
}

/// §1.3: variables that are made, written and dropped in and around announced transactions; their slots are used again, for values of other
/// types.
#[test]
fn s1_3_variables_that_come_and_go() {
    let _alone = alone();
    let space = Space::new();
    let options = at_once(&space);
    let step = |n: usize| {
        let kept = TVar::new_in(&space, n.to_string());
        let result = options.run(|tx| {
            let number = TVar::new_in(&space, n);
            let text = TVar::new_in(&space, String::from("new"));
            tx.write(&number, n + 1);
            tx.merge(&text, |text| format!("{text} merged"));
            tx.modify(&kept, |text| format!("{text}!"));
            assert_eq!(*tx.read(&number), n + 1);
            // The last handles of both go here.
            Ok(())
        });
        assert_eq!(result, Ok(()));
        assert_eq!(kept.load(), format!("{n}!"));
    };
    bounded("variables", 512 * KIB, many(50_000), step);
    let snapshot = space.snapshot();
    bounded("behind a snapshot", 1_024 * KIB, many(50_000), step);
    drop(snapshot);
}

/// §1.3: the last handle goes while the commit that writes the variable is announced, and the slot's next owner has another type.
#[test]
fn s1_3_a_variable_that_dies_while_it_is_announced() {
    let _alone = alone();
    let (space, census) = (Space::new(), Census::new());
    let theirs = TVar::new_in(&space, 0_u64);
    for round in 0..200 {
        let written = round % 2 == 0;
        let boxed = TVar::new_in(&space, census.value(0));
        let inline = TVar::new_in(&space, 1_u64);
        if written {
            boxed.store(census.value(1));
            inline.store(2);
        }
        let (handles, c) = (Mutex::new(Some((boxed, inline))), census.clone());
        let call = announced(&space, move |tx| {
            let (boxed, inline) = handles.lock().unwrap().take().expect("runs once");
            let c = c.clone();
            tx.write(&inline, 3);
            // A merge of what nobody has written is not announced.
            if round % 3 == 0 || !written {
                tx.write(&boxed, c.value(2));
            } else {
                tx.merge(&boxed, move |old| c.value(old.id + 10));
            }
            Ok(())
        });
        // Slots are given out again, of other types.
        let others: Vec<_> = (0..40).map(|n| TVar::new_in(&space, format!("text {n}"))).collect();
        let more: Vec<_> = (0..40).map(|n| TVar::new_in(&space, n)).collect();
        if round % 5 > 0 {
            theirs.update(|n| n + 1);
        }
        others.iter().for_each(|var| var.update(|text| format!("{text}!")));
        all_commit([call]);
        more.iter().for_each(|var| var.update(|n| n + 1));
        assert!((0..).zip(&others).all(|(n, var)| var.load() == format!("text {n}!")));
        assert!((0..).zip(&more).all(|(n, var)| var.load() == n + 1));
        ticks(&space, 3);
    }
    settle(&space, || census.live() == 0);
}

/// §1.1: the end of a space frees everything, also if its newest root has a batch, with whatever verdicts.
#[test]
fn s1_1_spaces_whose_newest_root_has_a_batch() {
    let _alone = alone();
    let census = Census::new();
    let step = |n: usize| {
        let space = Space::new();
        let [mine, theirs] = [0, 1].map(|id| TVar::new_in(&space, census.value(id)));
        let read = TVar::new_in(&space, 0);
        let snapshot = space.snapshot();
        let (target, made) = (theirs.clone(), census.clone());
        let mut helper = Some(at_first(Point::Announced, {
            let read = read.clone();
            move || match n % 4 {
                0 => read.store(1),
                1 => target.store(made.value(2)),
                _ => {}
            }
        }));
        let ended = catch_unwind(AssertUnwindSafe(|| {
            at_once(&space).run(|tx| {
                if tx.attempt() == 2 {
                    // The batch with the conflict stays the newest root.
                    drop(helper.take());
                    return Ok(());
                }
                tx.read(&read);
                tx.write(&mine, census.value(3));
                tx.write(&theirs, census.value(4));
                let census = census.clone();
                if n % 4 == 2 {
                    tx.merge(&read, move |_| resume_unwind(Box::new(census.value(5))));
                }
                Ok(())
            })
        }));
        assert_eq!(ended.is_err(), n % 4 == 2);
        assert_eq!((space.stats().announced, space.stats().batches), (1, 1));
        drop((ended, mine, theirs, read, space, helper, snapshot));
        assert_eq!(census.live(), 0, "case {}", n % 4);
    };
    (0..100).for_each(step);
    let before = LIVE.load(Ordering::Relaxed);
    (0..400).for_each(step);
    // A batch or an announcement for each would be ten times that.
    let grown = LIVE.load(Ordering::Relaxed) - before;
    assert!(grown <= 4 * KIB, "grown by {grown} bytes");
}

/// §1.5: what an announced commit has overwritten stays for whoever has a snapshot of it, and goes with that snapshot.
#[test]
fn s1_5_a_snapshot_keeps_what_a_batch_has_overwritten() {
    let _alone = alone();
    let (space, census) = (Space::new(), Census::new());
    let [a, b] = [0, 1].map(|id| TVar::new_in(&space, census.value(id)));
    a.store(census.value(2));
    ticks(&space, 2);
    let snapshot = space.snapshot();
    let calls = [(&a, 10), (&b, 11)].map(|(var, id)| {
        let (var, census) = (var.clone(), census.clone());
        announced(&space, move |tx| Ok(tx.write(&var, census.value(id))))
    });
    let tick = TVar::new_in(&space, 0);
    all_commit([announced_store(&space, &tick, 1)]);
    all_commit(calls);
    ticks(&space, 50);
    assert_eq!((snapshot.read(&a).id, snapshot.read(&b).id, census.live()), (2, 1, 4));
    drop(snapshot);
    assert_eq!(census.live(), 2);
}
