//! §1.5 and §1.7: what is kept alive, by whom, and when it is let go. Every test counts live
//! values, in a space of its own.

mod common;

use std::sync::mpsc;
use std::thread;

use common::{Census, Counted, elsewhere, many};
use tvar::{Isolation, Snapshot, Space, TVar, TxOptions};

/// A space with one counted variable, and another variable to commit to.
struct Scene {
    space: Space,
    census: Census,
    var: TVar<Counted>,
    tick: TVar<u64>,
}

impl Scene {
    fn new() -> Self {
        let (space, census) = (Space::new(), Census::new());
        let var = TVar::new_in(&space, census.value(0));
        let tick = TVar::new_in(&space, 0);
        Self { space, census, var, tick }
    }

    fn overwrite(&self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.var.store(self.census.value(id));
        }
    }

    /// A commit that replaces nothing that is counted.
    fn tick(&self) {
        self.tick.update(|n| n + 1);
    }
}

#[test]
fn s1_7_a_replaced_value_is_dropped_by_the_next_commit_of_its_thread() {
    let scene = Scene::new();
    for id in 1..100 {
        scene.overwrite([id]);
        assert!(scene.census.live() <= 2);
        scene.tick();
        assert_eq!(scene.census.live(), 1);
        assert!(scene.census.alive(id));
    }
}

/// §1.2: an initial value that was overwritten is nothing special.
#[test]
fn s1_2_an_overwritten_initial_value_is_reclaimed_while_the_handle_lives() {
    let scene = Scene::new();
    let same = scene.var.clone();
    scene.overwrite([1]);
    scene.tick();
    assert!(!scene.census.alive(0));
    // As long as a snapshot shows it, it stays.
    let late = TVar::new_in(&scene.space, scene.census.value(10));
    let older = scene.space.snapshot();
    late.store(scene.census.value(11));
    scene.tick();
    assert!(scene.census.alive(10));
    assert_eq!(older.read(&late).id, 10);
    drop(older);
    assert!(!scene.census.alive(10));
    assert_eq!(scene.space.snapshot().read(&same).id, 1);
}

#[test]
fn s1_7_a_replaced_value_is_dropped_when_its_thread_exits() {
    let scene = Scene::new();
    thread::scope(|scope| {
        scope.spawn(|| scene.overwrite([1])).join().expect("the writer");
    });
    assert_eq!(scene.census.live(), 1);
    assert!(scene.census.alive(1));
}

#[test]
fn s1_7_a_replaced_value_is_dropped_when_its_thread_parks() {
    let scene = Scene::new();
    let gate = TVar::new_in(&scene.space, false);
    let (parked, is_parked) = mpsc::channel();
    thread::scope(|scope| {
        let (scene, gate) = (&scene, &gate);
        let writer = scope.spawn(move || {
            scene.overwrite([1]);
            let _guard = tvar::hooks::on_this_thread(move |point| {
                if point == tvar::hooks::Point::Park {
                    let _ = parked.send(());
                }
            });
            scene.space.atomically(|tx| tx.check(*tx.read(gate)));
        });
        is_parked.recv().expect("the writer parks");
        let live = scene.census.live();
        gate.store(true);
        writer.join().expect("the writer");
        assert_eq!(live, 1);
    });
}

#[test]
fn s1_7_every_kind_of_write_lets_the_old_value_go() {
    let scene = Scene::new();
    let census = &scene.census;
    let relaxed = TxOptions::new().space(&scene.space).isolation(Isolation::Snapshot);
    for round in 0..50 {
        scene.space.atomically(|tx| {
            tx.modify(&scene.var, |old| census.value(old.id + 1));
            tx.replace(&scene.var, census.value(round));
            Ok(())
        });
        let census = census.clone();
        scene.space.atomically(|tx| {
            let census = census.clone();
            tx.merge(&scene.var, move |old| census.value(old.id + 1));
            Ok(())
        });
        scene.var.update(|old| scene.census.value(old.id + 1));
        let result = relaxed.run(|tx| {
            tx.write(&scene.var, census.value(round));
            Ok(())
        });
        assert_eq!(result, Ok(()));
    }
    scene.tick();
    assert_eq!(scene.census.live(), 1);
}

#[test]
fn s1_5_a_snapshot_keeps_its_own_version_only() {
    let scene = Scene::new();
    scene.overwrite([1]);
    let snapshot = scene.space.snapshot();
    let mut most = 0;
    for id in 2..10_000 {
        scene.overwrite([id]);
        most = most.max(scene.census.live());
    }
    // Its own, the newest one, and the one before that.
    assert!(most <= 4, "{most} alive at once");
    scene.tick();
    assert_eq!(scene.census.live(), 2);
    assert_eq!(snapshot.read(&scene.var).id, 1);
    drop(snapshot);
    // Nobody had to commit.
    assert_eq!(scene.census.live(), 1);
}

/// The value was replaced once, and the thread that did so has not committed since.
#[test]
fn s1_5_dropping_a_snapshot_frees_what_the_very_last_commit_replaced() {
    let scene = Scene::new();
    let snapshot = scene.space.snapshot();
    scene.overwrite([1]);
    assert_eq!(snapshot.read(&scene.var).id, 0);
    drop(snapshot);
    assert!(!scene.census.alive(0));
    assert_eq!(scene.census.live(), 1);
}

/// The writer is alive but idle: it will not commit for a long time.
#[test]
fn s1_5_dropping_a_snapshot_frees_its_values_while_the_writer_is_idle() {
    for overwrites in [1, 2, 1_000] {
        let scene = Scene::new();
        let snapshot = scene.space.snapshot();
        let (done, is_done) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let scene = &scene;
            scope.spawn(move || {
                scene.overwrite(1..=overwrites);
                done.send(()).expect("the test runs");
                // Idle until the end.
                let _ = finished.recv();
            });
            is_done.recv().expect("the writer");
            assert!(scene.census.alive(0) && scene.census.live() <= 3);
            drop(snapshot);
            let (alive, live) = (scene.census.alive(0), scene.census.live());
            drop(finish);
            assert!(!alive, "after {overwrites}");
            assert!(live <= 2, "{live} after {overwrites}");
        });
        assert_eq!(scene.census.live(), 1);
    }
}

#[test]
fn s1_5_dropping_a_snapshot_frees_its_values_after_the_writer_exited() {
    for overwrites in [1, 2, 1_000] {
        let scene = Scene::new();
        let snapshot = scene.space.snapshot();
        elsewhere(|| scene.overwrite(1..=overwrites));
        assert!(scene.census.alive(0));
        assert_eq!(scene.census.live(), 2);
        drop(snapshot);
        assert_eq!(scene.census.live(), 1, "after {overwrites}");
    }
}

#[test]
fn s1_5_a_snapshot_may_be_dropped_by_another_thread() {
    for writer_first in [true, false] {
        let scene = Scene::new();
        let snapshot = scene.space.snapshot();
        if writer_first {
            scene.overwrite(1..=5);
        }
        let clone = elsewhere(|| snapshot.clone());
        elsewhere(move || drop(snapshot));
        if !writer_first {
            scene.overwrite(1..=5);
        }
        scene.tick();
        assert!(scene.census.alive(0));
        assert_eq!(clone.read(&scene.var).id, 0);
        elsewhere(move || drop(clone));
        assert_eq!(scene.census.live(), 1);
    }
}

/// One value that several snapshots show lives until the last of them goes, in any order.
#[test]
fn s1_5_a_value_lives_as_long_as_any_snapshot_that_shows_it() {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        for foreign in [false, true] {
            let scene = Scene::new();
            let mut kept: Vec<Option<Snapshot>> = Vec::new();
            for _ in 0..3 {
                scene.tick();
                kept.push(Some(scene.space.snapshot()));
                scene.tick();
            }
            if foreign {
                elsewhere(|| scene.overwrite(1..=20));
            } else {
                scene.overwrite(1..=20);
                scene.tick();
            }
            for (dropped, index) in order.into_iter().enumerate() {
                assert_eq!(scene.census.live(), 2, "{dropped} dropped of {order:?}");
                let snapshot = kept[index].take().expect("still there");
                assert_eq!(snapshot.read(&scene.var).id, 0);
                drop(snapshot);
            }
            assert_eq!(scene.census.live(), 1, "{order:?}");
        }
    }
}

/// Between two kept snapshots nothing is kept, and dropping one frees exactly its own value.
#[test]
fn s1_5_each_of_many_snapshots_keeps_its_own_value() {
    let scene = Scene::new();
    let mut kept = Vec::new();
    for part in 0..10 {
        scene.overwrite(part * 300..(part + 1) * 300);
        kept.push((scene.space.snapshot(), (part + 1) * 300 - 1));
    }
    scene.overwrite([5_000]);
    scene.tick();
    assert_eq!(scene.census.live(), 11);
    // From the middle outwards.
    while !kept.is_empty() {
        let (snapshot, id) = kept.remove(kept.len() / 2);
        assert_eq!(snapshot.read(&scene.var).id, id);
        drop(snapshot);
        assert!(!scene.census.alive(id), "{id}");
        assert_eq!(scene.census.live(), kept.len() + 1);
    }
}

/// Many variables, each overwritten behind the snapshot: all of them come free at once.
#[test]
fn s1_5_a_snapshot_of_many_values() {
    let count = many(100_000) as u64;
    let (space, census) = (Space::new(), Census::new());
    let vars: Vec<_> = (0..count).map(|id| TVar::new_in(&space, census.value(id))).collect();
    let half = vars.len() / 2;
    for var in &vars[..half] {
        var.update(|old| census.value(old.id + count));
    }
    let snapshot = space.snapshot();
    let overwrite = |vars: &[TVar<Counted>]| {
        for chunk in vars.chunks(50) {
            space.atomically(|tx| {
                for var in chunk {
                    tx.modify(var, |old| census.value(old.id + 2 * count));
                }
                Ok(())
            });
        }
    };
    elsewhere(|| overwrite(&vars[half..]));
    overwrite(&vars);
    elsewhere(|| overwrite(&vars[..half]));
    TVar::new_in(&space, 0).store(1);
    assert_eq!(census.live(), 2 * vars.len());
    for (id, var) in (0..).zip(&vars) {
        let written = id < half as u64;
        assert_eq!(snapshot.read(var).id, if written { id + count } else { id });
    }
    drop(snapshot);
    assert_eq!(census.live(), vars.len());
    drop(vars);
    drop(space);
    assert_eq!(census.live(), 0);
}

/// A running attempt keeps what it may still read, and nothing that came later.
#[test]
fn s1_7_a_running_attempt_keeps_its_own_version_only() {
    let scene = Scene::new();
    scene.overwrite([1]);
    scene.tick();
    scene.space.atomically(|tx| {
        let mut most = 0;
        elsewhere(|| {
            for id in 2..10_000 {
                scene.overwrite([id]);
                most = most.max(scene.census.live());
            }
        });
        assert!(most <= 4, "{most} alive at once");
        // Not read before the overwrites, and still there.
        assert_eq!(tx.read(&scene.var).id, 1);
        Ok(())
    });
    // The writer is gone; somebody takes over what it left.
    for _ in 0..1_000 {
        scene.tick();
    }
    assert_eq!(scene.census.live(), 1);
}

/// The reference outlives the closure's interest, the value does not outlive the attempt.
#[test]
fn s1_7_a_value_read_by_a_running_attempt_is_not_dropped_under_it() {
    let scene = Scene::new();
    for round in 1..50_u64 {
        scene.space.atomically(|tx| {
            let value = tx.read(&scene.var);
            let id = value.id;
            elsewhere(|| {
                scene.overwrite([round]);
                scene.tick();
            });
            assert!(scene.census.alive(id));
            assert_eq!(value.id, id);
            Ok(())
        });
    }
    scene.overwrite([100]);
    for _ in 0..1_000 {
        scene.tick();
    }
    assert_eq!(scene.census.live(), 1);
}

/// A re-run lets go of the snapshot of the attempt before it.
#[test]
fn s1_7_a_re_run_lets_go_of_the_older_snapshot() {
    let scene = Scene::new();
    let mut runs = 0;
    let mut alive = Vec::new();
    scene.space.atomically(|tx| {
        runs += 1;
        let id = tx.read(&scene.var).id;
        if runs <= 3 {
            elsewhere(|| scene.overwrite([runs]));
        } else {
            // Only the snapshot of this attempt is pinned now, and a commit sweeps.
            elsewhere(|| (0..1_000).for_each(|_| scene.tick()));
            alive = (0..=3).map(|id| scene.census.alive(id)).collect();
        }
        tx.modify(&scene.var, |old| scene.census.value(old.id + 10));
        assert_eq!(id + 1, runs);
        Ok(())
    });
    assert_eq!((runs, alive), (4, vec![false, false, false, true]));
}

/// A parked attempt holds no snapshot (§3.1).
#[test]
fn s1_7_a_parked_attempt_keeps_nothing() {
    let scene = Scene::new();
    let gate = TVar::new_in(&scene.space, false);
    let (parked, is_parked) = mpsc::channel();
    thread::scope(|scope| {
        let (scene, gate) = (&scene, &gate);
        let waiter = scope.spawn(move || {
            let _guard = tvar::hooks::on_this_thread(move |point| {
                if point == tvar::hooks::Point::Park {
                    let _ = parked.send(());
                }
            });
            scene.space.atomically(|tx| {
                tx.read(&scene.var);
                tx.check(*tx.read(gate))
            });
        });
        is_parked.recv().expect("the waiter parks");
        // Would wake it: so only variables that it did not read.
        let census = Census::new();
        let other = TVar::new_in(&scene.space, census.value(0));
        for id in 1..100 {
            other.store(census.value(id));
        }
        scene.tick();
        let live = census.live();
        gate.store(true);
        waiter.join().expect("the waiter");
        assert_eq!(live, 1);
    });
}

/// Everything of a space is freed with the last handle into it.
#[test]
fn s1_7_the_end_of_a_space_frees_everything() {
    for last in 0..3 {
        let (space, census) = (Space::new(), Census::new());
        let vars: Vec<_> = (0..200).map(|id| TVar::new_in(&space, census.value(id))).collect();
        for var in &vars[..100] {
            var.store(census.value(1_000));
        }
        elsewhere(|| vars[150].store(census.value(1_000)));
        let snapshot = space.snapshot();
        for var in &vars[50..] {
            var.store(census.value(2_000));
        }
        match last {
            0 => {
                drop((vars, snapshot));
                drop(space);
            }
            1 => {
                drop((space, snapshot));
                drop(vars);
            }
            _ => {
                drop((space, vars));
                drop(snapshot);
            }
        }
        assert_eq!(census.live(), 0, "case {last}");
    }
}

/// Also when values of the space hold handles into it, and so the space itself.
#[test]
fn s1_7_the_end_of_a_space_whose_values_hold_handles() {
    struct Node {
        next: Option<TVar<Node>>,
        _counted: Counted,
    }
    for case in 0..7 {
        let census = Census::new();
        // On a thread of its own: its exit is the last moment.
        elsewhere(|| {
            let space = Space::new();
            let node = |id, next| Node { next, _counted: census.value(id) };
            let inner = TVar::new_in(&space, node(0, None));
            inner.store(node(1, Some(TVar::new_in(&space, node(2, None)))));
            let owner = TVar::new_in(&space, node(3, None));
            owner.store(node(4, Some(inner)));
            let empty = || owner.store(node(5, None));
            match case {
                0 => drop(owner),
                1 => empty(),
                2 => elsewhere(empty),
                3 => {
                    let snapshot = space.snapshot();
                    empty();
                    drop(snapshot);
                }
                4 => {
                    let snapshot = space.snapshot();
                    elsewhere(empty);
                    drop((owner, space));
                    drop(snapshot);
                }
                5 => space.atomically(|tx| {
                    assert!(tx.read(&owner).next.is_some());
                    elsewhere(empty);
                    Ok(())
                }),
                _ => {
                    let owner = std::cell::Cell::new(Some(owner));
                    space.atomically(|_| {
                        drop(owner.take());
                        Ok(())
                    });
                }
            }
        });
        assert_eq!(census.live(), 0, "case {case}");
    }
}
