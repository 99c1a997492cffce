//! §1.2, §1.3, §1.5, §2.1 and thread exit, by the bytes: an allocator that counts shows what value
//! counts cannot, nodes and bookkeeping. One test at a time.

#[path = "common/bytes.rs"]
mod bytes;
mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

use bytes::{KIB, LIVE, alone, bounded};
use common::{elsewhere, many, ticks};
use tvar::{Space, TVar};

#[test]
fn s1_3_made_written_and_dropped_variables() {
    let _alone = alone();
    let space = Space::new();
    bounded("inline", 256 * KIB, many(200_000), |n| {
        TVar::new_in(&space, 0).store(n);
    });
    bounded("boxed", 256 * KIB, many(200_000), |n| {
        TVar::new_in(&space, String::new()).store(n.to_string());
    });
    bounded("never written", 256 * KIB, many(200_000), |n| {
        TVar::new_in(&space, n.to_string());
    });
    let snapshot = space.snapshot();
    bounded("behind a snapshot", 512 * KIB, many(200_000), |n| {
        TVar::new_in(&space, String::new()).store(n.to_string());
    });
    drop(snapshot);
}

/// Variables made by one thread and dropped by another that never commits.
#[test]
fn s1_3_variables_dropped_by_a_thread_that_never_commits() {
    let _alone = alone();
    let space = Space::new();
    let (send, receive) = std::sync::mpsc::sync_channel(0);
    std::thread::scope(|scope| {
        scope.spawn(move || receive.into_iter().for_each(drop::<TVar<String>>));
        bounded("variables", 512 * KIB, 10_000, |n| {
            let var = TVar::new_in(&space, String::new());
            var.store(n.to_string());
            send.send(var).expect("the dropper runs");
        });
        drop(send);
    });
}

#[test]
fn s1_7_commits() {
    let _alone = alone();
    let space = Space::new();
    let numbers: Vec<_> = (0..200).map(|n| TVar::new_in(&space, n)).collect();
    let texts: Vec<_> = (0..200).map(|_| TVar::new_in(&space, String::new())).collect();
    let commit = |n: usize| {
        space.atomically(|tx| {
            tx.modify(&numbers[n % 200], |n| n + 1);
            tx.write(&texts[n * 7 % 200], n.to_string());
            Ok(())
        });
    };
    bounded("commits", 256 * KIB, many(200_000), commit);
    let snapshot = space.snapshot();
    bounded("behind a snapshot", 256 * KIB, many(200_000), commit);
    drop(snapshot);
    bounded("under an attempt", 256 * KIB, 1, |_| {
        space.atomically(|tx| {
            tx.read(&numbers[0]);
            elsewhere(|| (0..many(50_000)).for_each(commit));
            Ok(())
        });
    });
    bounded("snapshots", 256 * KIB, many(100_000), |n| {
        let snapshot = space.snapshot();
        commit(n);
        drop(snapshot.clone());
    });
    let mut kept = std::collections::VecDeque::new();
    bounded("a window of snapshots", 1_024 * KIB, many(100_000), |n| {
        kept.push_back(space.snapshot());
        if kept.len() > 20 {
            kept.pop_front();
        }
        commit(n);
    });
}

/// What a snapshot kept comes back when it goes, not with later commits.
#[test]
fn s1_5_dropping_a_snapshot_gives_its_memory_back() {
    let _alone = alone();
    let space = Space::new();
    let vars: Vec<_> = (0..2_000).map(|_| TVar::new_in(&space, vec![0_u8; 1_000])).collect();
    let overwrite = || vars.iter().for_each(|var| var.store(vec![1; 1_000]));
    overwrite();
    overwrite();
    let before = LIVE.load(Ordering::Relaxed);
    let snapshot = space.snapshot();
    elsewhere(overwrite);
    let held = LIVE.load(Ordering::Relaxed) - before;
    assert!(held >= 2_000_000, "{held} bytes held");
    drop(snapshot);
    let left = LIVE.load(Ordering::Relaxed) - before;
    // Nodes stay in a pool of limited size.
    assert!(left <= held / 4, "{left} of {held} bytes left");
}

#[test]
fn s2_1_many_modifies_in_one_attempt() {
    let _alone = alone();
    let space = Space::new();
    let number = TVar::new_in(&space, 0_u64);
    let text = TVar::new_in(&space, String::new());
    let count = many(1_000_000);
    bounded("inline", 256 * KIB, 1, |_| {
        space.atomically(|tx| {
            (0..count).for_each(|_| tx.modify(&number, |n| n + 1));
            Ok(())
        });
    });
    bounded("boxed", 256 * KIB, 1, |_| {
        space.atomically(|tx| {
            (0..count).for_each(|n| tx.modify(&text, |_| n.to_string()));
            Ok(())
        });
    });
    assert_eq!(number.load(), 2 * count as u64);
}

/// Attempts that end in any other way than a commit.
#[test]
fn s2_8_attempts_that_are_rolled_back() {
    let _alone = alone();
    let space = Space::new();
    let number = TVar::new_in(&space, 0);
    let text = TVar::new_in(&space, String::new());
    let step = |tx: &tvar::Tx<'_>, n: usize| {
        tx.modify(&number, |n| n + 1);
        tx.modify(&text, |_| n.to_string());
        let captured = n.to_string();
        tx.on_commit(move || drop(captured));
        TVar::new_in(&space, n.to_string())
    };
    bounded("aborts", 256 * KIB, many(100_000), |n| {
        let result = space.try_atomically(|tx| {
            tx.write(&step(tx, n), "undone".into());
            tx.abort::<(), _>(n)
        });
        assert_eq!(result, Err(n));
    });
    bounded("conflicts", 512 * KIB, 1_000, |n| {
        space.atomically(|tx| {
            step(tx, n);
            if tx.attempt() == 1 {
                elsewhere(|| number.update(|n| n + 1));
            }
            Ok(())
        });
    });
    bounded("undone parts", 256 * KIB, many(100_000), |n| {
        let result = space.atomically(|tx| {
            tx.nested(|tx| {
                step(tx, n);
                tx.abort::<(), _>(n)
            })
        });
        assert_eq!(result, Err(n));
    });
    // Last: AddressSanitizer gets slower and slower on a thread that has unwound.
    bounded("panics", 256 * KIB, 10_000, |n| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            space.atomically(|tx| -> tvar::Stm<()> {
                step(tx, n);
                resume_unwind(Box::new(n))
            });
        }));
        assert!(caught.is_err());
    });
}

/// Threads come and go; what they had is handed on.
#[test]
fn s1_7_threads_that_come_and_go() {
    let _alone = alone();
    let space = Space::new();
    let vars: Vec<_> = (0..50).map(|n| TVar::new_in(&space, n)).collect();
    let snapshot = space.snapshot();
    bounded("threads", 512 * KIB, 1_000, |n| {
        elsewhere(|| {
            vars[n % 50].store(n);
            TVar::new_in(&space, String::new()).store(n.to_string());
            let snapshot = space.snapshot();
            vars[(n + 1) % 50].store(n);
            drop(snapshot);
        });
    });
    drop(snapshot);
}

#[test]
fn s1_1_spaces_that_come_and_go() {
    let _alone = alone();
    bounded("spaces", 256 * KIB, 2_000, |n| {
        let space = Space::named(format!("space {n}"));
        let vars: Vec<_> = (0..100).map(|n| TVar::new_in(&space, n)).collect();
        let text = TVar::named_in(&space, "text", String::new());
        let snapshot = space.snapshot();
        for var in &vars {
            var.store(n);
        }
        text.store("text".into());
        ticks(&space, 10);
        assert_eq!(*snapshot.read(&vars[5]), 5);
    });
    // Used by many threads, the last of them far away.
    bounded("shared spaces", 512 * KIB, 300, |n| {
        let space = Space::new();
        let var = TVar::new_in(&space, String::new());
        elsewhere(|| var.store(n.to_string()));
        var.store(n.to_string());
        elsewhere(move || drop((space, var)));
    });
}
