//! §1.4 and §1.5: snapshots that are kept. One immutable version, readable from anywhere for as
//! long as it lives, in nobody's way.

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Barrier};
use std::thread;

use common::{elsewhere, many};
use tvar::{Snapshot, Space, TVar};

#[test]
fn s1_5_a_snapshot_is_one_version() {
    let space = Space::new();
    let number = TVar::new_in(&space, 1);
    let text = TVar::new_in(&space, String::from("one"));
    let set = |n: i32, t: &str| {
        space.atomically(|tx| {
            tx.write(&number, n);
            tx.write(&text, t.to_owned());
            Ok(())
        });
    };
    let mut kept = vec![(space.snapshot(), 1, "one".to_owned())];
    for n in 2..200 {
        set(n, &n.to_string());
        kept.push((space.snapshot(), n, n.to_string()));
    }
    for (snapshot, n, text_then) in &kept {
        assert_eq!((snapshot.read(&number), snapshot.read(&text)), (n, text_then));
    }
    // In any order of dropping.
    while kept.len() > 1 {
        let middle = kept.len() / 2;
        kept.remove(middle);
        kept.remove(0);
        for (snapshot, n, text_then) in &kept {
            assert_eq!((snapshot.read(&number), snapshot.read(&text)), (n, text_then));
        }
    }
}

#[test]
fn s1_5_versions_grow_with_commits_alone() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let first = space.snapshot();
    assert_eq!(first.version(), space.version());
    assert_eq!(space.snapshot().version(), first.version());
    space.atomically(|tx| Ok(*tx.read(&var)));
    assert_eq!(space.snapshot().version(), first.version());
    var.store(1);
    let second = space.snapshot();
    assert!(second.version() > first.version());
    assert_eq!(second.version(), space.version());
    assert_eq!(first.clone().version(), first.version());
    assert!(format!("{first:?}").contains(&first.version().to_string()));
}

/// A snapshot shows what was committed before it was taken, on whatever thread.
#[test]
fn s1_5_a_snapshot_sees_every_commit_that_came_before() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    for n in 1..100 {
        elsewhere(|| var.store(n));
        assert_eq!(*space.snapshot().read(&var), n);
    }
    // Whatever this thread did before.
    let other = TVar::new_in(&space, 0);
    type Call<'a> = &'a dyn Fn();
    let calls: [Call<'_>; 5] = [
        &|| drop(var.load().to_string()),
        &|| other.store(1),
        &|| assert_eq!(space.try_atomically(|tx| tx.abort::<(), _>(())), Err(())),
        &|| drop(common::panic_of(|| other.update(|_| panic!("on purpose")))),
        &|| {
            space.atomically(|tx| {
                tx.read(&var);
                drop(space.snapshot());
                Ok(())
            });
        },
    ];
    for (n, call) in (1_000..).zip(calls) {
        call();
        elsewhere(|| var.store(n));
        assert_eq!(*space.snapshot().read(&var), n);
    }
}

#[test]
fn s1_5_a_snapshot_can_be_read_from_other_threads() {
    let space = Space::new();
    let vars: Vec<_> = (0..500_i64).map(|n| TVar::new_in(&space, (n, n.to_string()))).collect();
    for var in &vars {
        var.update(|(n, _)| (n + 1, (n + 1).to_string()));
    }
    let snapshot = space.snapshot();
    for var in &vars {
        var.store((-1, String::new()));
    }
    let check = |snapshot: &Snapshot| {
        for (n, var) in (1..).zip(&vars) {
            assert_eq!(snapshot.read(var), &(n, n.to_string()));
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| check(&snapshot));
            let own = snapshot.clone();
            scope.spawn(move || check(&own));
        }
        for var in &vars {
            var.store((-2, String::new()));
        }
    });
    // Moved to another thread, read and dropped there, after this one let go of everything.
    thread::scope(|scope| {
        let check = &check;
        scope.spawn(move || {
            check(&snapshot);
            drop(snapshot);
        });
    });
    assert!(vars.iter().all(|var| var.load().0 == -2));
}

/// Readers of kept snapshots, readers that take new ones, and a writer, at the same time.
#[test]
fn s1_5_snapshots_beside_a_busy_writer() {
    let space = Space::new();
    let vars: Vec<_> = (0..100).map(|_| TVar::new_in(&space, 0_i64)).collect();
    let total = |snapshot: &Snapshot| vars.iter().map(|var| *snapshot.read(var)).sum::<i64>();
    let rounds = many(20_000);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            start.wait();
            for n in 0..rounds {
                space.atomically(|tx| {
                    tx.modify(&vars[n * 7 % 100], |n| n + 1);
                    tx.modify(&vars[n * 13 % 100], |n| n - 1);
                    Ok(())
                });
            }
        });
        start.wait();
        let mut kept: HashMap<usize, (Snapshot, Vec<i64>)> = HashMap::new();
        for turn in 0.. {
            let snapshot = space.snapshot();
            assert_eq!(total(&snapshot), 0);
            let values = vars.iter().map(|var| *snapshot.read(var)).collect();
            if let Some((old, values)) = kept.insert(turn % 20, (snapshot, values)) {
                assert!(vars.iter().zip(&values).all(|(var, n)| old.read(var) == n));
            }
            if writer.is_finished() {
                break;
            }
        }
    });
    assert_eq!(space.stats().conflicts, 0);
}

/// It never makes a writer run again, whoever holds it.
#[test]
fn s1_5_a_snapshot_never_disturbs_a_writer() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let mut kept = Vec::new();
    let mut runs = 0;
    for _ in 0..1_000 {
        space.atomically(|tx| {
            runs += 1;
            let n = *tx.read(&var);
            kept.push(elsewhere(|| space.snapshot()));
            tx.write(&var, n + 1);
            Ok(())
        });
    }
    assert_eq!(runs, 1_000);
    assert!((0..).zip(&kept).all(|(n, snapshot)| *snapshot.read(&var) == n));
}

/// §2.9: allowed inside an attempt, where it is the attempt's own snapshot.
#[test]
fn s1_5_a_snapshot_taken_inside_an_attempt_is_the_attempts_own() {
    let space = Space::new();
    let [x, y] = [0, 0].map(|n| TVar::new_in(&space, n));
    let mut kept = Vec::new();
    space.atomically(|tx| {
        let seen = *tx.read(&x);
        if tx.attempt() == 1 {
            elsewhere(|| {
                space.atomically(|tx| {
                    tx.write(&x, 1);
                    tx.write(&y, 1);
                    Ok(())
                });
            });
        }
        tx.write(&x, 10);
        let snapshot = space.snapshot();
        // Neither the foreign commit nor the own writes.
        assert_eq!((*snapshot.read(&x), *snapshot.read(&y)), (seen, seen));
        assert_eq!(*tx.read(&y), seen);
        kept.push(snapshot);
        Ok(())
    });
    let seen: Vec<_> = kept.iter().map(|s| (*s.read(&x), *s.read(&y))).collect();
    assert_eq!(seen, [(0, 0), (1, 1)]);
    assert_eq!((x.load(), y.load()), (10, 1));
    assert!(kept[0].version() < kept[1].version());
}

/// The snapshot of an attempt that was rolled back stays readable.
#[test]
fn s1_5_a_snapshot_outlives_the_attempt_that_took_it() {
    let space = Space::new();
    let var = TVar::new_in(&space, String::from("initial"));
    let mut kept = None;
    let result = space.try_atomically(|tx| {
        tx.write(&var, "undone".into());
        kept = Some(space.snapshot());
        tx.abort::<(), _>(())
    });
    assert_eq!(result, Err(()));
    for n in 0..1_000 {
        var.store(n.to_string());
    }
    assert_eq!(kept.expect("a snapshot").read(&var), "initial");
}

#[test]
fn s1_5_a_snapshot_of_another_space_inside_an_attempt() {
    let (space, other) = (Space::new(), Space::new());
    let (var, foreign) = (TVar::new_in(&space, 1), TVar::new_in(&other, 2));
    let seen = space.atomically(|tx| {
        elsewhere(|| foreign.store(3));
        let snapshot = other.snapshot();
        Ok(*tx.read(&var) + *snapshot.read(&foreign))
    });
    assert_eq!(seen, 4);
}

#[test]
fn s1_5_a_snapshot_outlives_its_space_and_other_handles() {
    let space = Space::new();
    let var = TVar::new_in(&space, String::from("kept"));
    let same = var.clone();
    var.store("written".into());
    let snapshot = space.snapshot();
    drop((space, var));
    assert_eq!(elsewhere(|| snapshot.read(&same).clone()), "written");
}

#[test]
fn s1_5_diff_names_what_changed() {
    let space = Space::new();
    let vars: Vec<_> = (0..10_000).map(|n| TVar::new_in(&space, n)).collect();
    let texts: Vec<_> = (0..100).map(|n: i32| TVar::new_in(&space, n.to_string())).collect();
    vars[3].store(-1);
    let older = space.snapshot();
    assert!(older.diff(&older).is_empty());
    let changed = [0, 1, 31, 32, 1_023, 1_024, 5_555, 9_999];
    for &n in &changed {
        vars[n].store(-5);
    }
    texts[50].store("new".into());
    let fresh = TVar::new_in(&space, 0);
    let newer = space.snapshot();
    let diff = older.diff(&newer);
    for (n, var) in vars.iter().enumerate() {
        assert_eq!(diff.changed(var), changed.contains(&n), "{n}");
    }
    for (n, text) in texts.iter().enumerate() {
        assert_eq!(diff.changed(text), n == 50, "{n}");
    }
    assert!(!diff.changed(&fresh));
    assert_eq!((diff.len(), diff.is_empty()), (changed.len() + 1, false));
    // Later commits are not in it, and the diff of equal snapshots is empty.
    vars[7].store(0);
    assert!(!older.diff(&newer).changed(&vars[7]));
    assert!(newer.diff(&space.snapshot()).changed(&vars[7]));
    assert_eq!(newer.diff(&space.snapshot()).len(), 1);
    assert!(newer.diff(&newer.clone()).is_empty());
}

/// Only the commits in between count, not those before the older snapshot.
#[test]
fn s1_5_diffs_over_a_history() {
    let space = Space::new();
    let vars: Vec<_> = (0..50).map(|n| TVar::new_in(&space, n)).collect();
    let mut snapshots = vec![space.snapshot()];
    for var in &vars {
        var.update(|n| n + 100);
        snapshots.push(space.snapshot());
    }
    for (from, to) in [(0, 50), (10, 11), (10, 10), (25, 40), (49, 50)] {
        let diff = snapshots[from].diff(&snapshots[to]);
        for (n, var) in vars.iter().enumerate() {
            assert_eq!(diff.changed(var), (from..to).contains(&n), "{from} {to} {n}");
        }
        assert_eq!(diff.len(), to - from);
    }
}

/// The first write of a fresh variable is a change, in a tree that grew in between too.
#[test]
fn s1_5_diff_over_the_growth_of_the_tree() {
    let space = Space::new();
    let first = TVar::new_in(&space, 0);
    let older = space.snapshot();
    let vars: Vec<_> = (0..20_000).map(|n| TVar::new_in(&space, n)).collect();
    vars[19_999].store(0);
    let newer = space.snapshot();
    let diff = older.diff(&newer);
    assert!(diff.changed(&vars[19_999]));
    assert!(!diff.changed(&vars[0]) && !diff.changed(&first));
    assert_eq!(diff.len(), 1);
}

/// What an interrupted reader of one's own making would do: keep the snapshot in an `Arc` or a
/// channel, far from the thread that took it.
#[test]
fn s1_5_snapshots_travel() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let (send, receive) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let (space, var) = (&space, &var);
        scope.spawn(move || {
            for n in 1..=200 {
                var.store(n);
                send.send((n, Arc::new(space.snapshot()))).expect("a receiver");
            }
        });
        for (n, snapshot) in receive {
            assert_eq!(*snapshot.read(var), n);
        }
    });
}
