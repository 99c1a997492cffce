//! The layers one by one, each through the public API where it alone is what varies: tree, vacuum, registry, log.

use criterion::Criterion;
use std::hint::black_box;
use std::thread;
use std::time::Duration;
use tvar::{Space, TVar, TxOptions};
use tvar_benches::Picks;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    tree(&mut criterion);
    vacuum(&mut criterion);
    registry(&mut criterion);
    log(&mut criterion);
    criterion.final_summary();
}

/// Variables that have been written.
fn written(space: &Space, count: usize) -> Vec<TVar<u64>> {
    let vars: Vec<TVar<u64>> = (0..count).map(|_| TVar::new_in(space, 0)).collect();
    for some in vars.chunks(1_000) {
        space.atomically(|tx| {
            some.iter().for_each(|var| tx.write(var, 1));
            Ok(())
        });
    }
    vars
}

/// How the size of the tree shows: two levels up to 1,024 variables, then one more for every factor of 32.
fn tree(criterion: &mut Criterion) {
    for count in [1_000, 30_000, 1_000_000] {
        let space = Space::new();
        let vars = written(&space, count);
        let mut picks = Picks::new(1);
        criterion.bench_function(&format!("tree/read/{count}"), |b| {
            b.iter(|| space.atomically(|tx| Ok(*tx.read(&vars[picks.below(count)]))));
        });
        criterion.bench_function(&format!("tree/write/{count}"), |b| {
            b.iter(|| {
                space.atomically(|tx| {
                    tx.modify(&vars[picks.below(count)], |n| n + 1);
                    Ok(())
                });
            });
        });
    }
}

/// What a replaced box costs beside snapshots that are kept, and what a snapshot's end costs with what hangs on it.
fn vacuum(criterion: &mut Criterion) {
    let space = Space::new();
    let boxed = TVar::new_in(&space, [0u64; 4]);
    let replace = || {
        space.atomically(|tx| {
            tx.modify(&boxed, |old| old.map(|n| n + 1));
            Ok(())
        });
    };
    for snapshots in [0, 1, 1_000] {
        let kept: Vec<_> = (0..snapshots).map(|_| space.snapshot()).collect();
        let name = format!("vacuum/replace_a_box_beside_snapshots/{snapshots}");
        criterion.bench_function(&name, |b| b.iter(replace));
        drop(kept);
    }
    criterion.bench_function("vacuum/snapshot_taken_and_dropped", |b| b.iter(|| drop(space.snapshot())));
    criterion.bench_function("vacuum/a_hundred_replaced_under_a_snapshot", |b| {
        b.iter(|| {
            let kept = space.snapshot();
            (0..100).for_each(|_| replace());
            drop(kept);
        });
    });
}

/// What waiters cost a commit that does not concern them, and what it costs to become one.
fn registry(criterion: &mut Criterion) {
    let space = Space::new();
    let (watched, other) = (written(&space, 1_000), written(&space, 1).remove(0));
    let stop = TVar::new_in(&space, false);
    for waiters in [0, 1, 8] {
        thread::scope(|s| {
            for _ in 0..waiters {
                s.spawn(|| {
                    space.atomically(|tx| {
                        watched.iter().for_each(|var| {
                            black_box(*tx.read(var));
                        });
                        tx.check(*tx.read(&stop))
                    });
                });
            }
            while space.waiters() < waiters {
                thread::yield_now();
            }
            let name = format!("registry/commit_beside_waiters_for_others/{waiters}");
            criterion.bench_function(&name, |b| b.iter(|| other.update(|n| n + 1)));
            stop.store(true);
        });
        stop.store(false);
    }
    let at_once = TxOptions::new().space(&space).timeout(Duration::ZERO);
    for variables in [1, 100] {
        let name = format!("registry/register_and_time_out/{variables}");
        criterion.bench_function(&name, |b| {
            b.iter(|| {
                let result = at_once.run(|tx| {
                    watched[..variables].iter().for_each(|var| {
                        black_box(*tx.read(var));
                    });
                    tx.check(false)
                });
                assert!(result.is_err());
            });
        });
    }
}

/// The logs of one attempt: read set, write set, undo.
fn log(criterion: &mut Criterion) {
    let space = Space::new();
    let vars = written(&space, 30_000);
    for count in [10, 1_000, 30_000] {
        criterion.bench_function(&format!("log/reads/{count}"), |b| {
            b.iter(|| space.atomically(|tx| Ok(vars[..count].iter().map(|var| *tx.read(var)).sum::<u64>())));
        });
        criterion.bench_function(&format!("log/writes/{count}"), |b| {
            b.iter(|| {
                space.atomically(|tx| {
                    vars[..count].iter().for_each(|var| tx.modify(var, |n| n + 1));
                    Ok(())
                });
            });
        });
        criterion.bench_function(&format!("log/undone_writes/{count}"), |b| {
            b.iter(|| {
                space.atomically(|tx| {
                    tx.or_else(
                        |tx| {
                            vars[..count].iter().for_each(|var| tx.write(var, 9));
                            tx.retry()
                        },
                        |_| Ok(()),
                    )
                });
            });
        });
    }
    criterion.bench_function("log/one_variable_a_thousand_times", |b| {
        b.iter(|| {
            space.atomically(|tx| {
                (0..1_000).for_each(|_| tx.modify(&vars[0], |n| n + 1));
                Ok(())
            });
        });
    });
}
