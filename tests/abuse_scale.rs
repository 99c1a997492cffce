//! Large numbers (§1.3, §2.1, §2.3, §2.9, §3.2): variables, threads, parts in each other, alternatives. (Long chains and long histories are in
//! `long_chains.rs`.)

mod common;

use std::sync::Barrier;
use std::thread;

use common::{Census, many, on_small_stack, settle, ticks};
use tvar::{LockMode, Space, Stm, TVar, Tx};

/// §1.3: a million variables, made, written, read in one transaction, dropped, and made again in the slots of those that have gone.
#[test]
fn s1_3_a_million_variables() {
    let (space, census) = (Space::new(), Census::new());
    let count = many(1_000_000) as u64;
    let mut numbers: Vec<_> = (0..count).map(|n| TVar::new_in(&space, n)).collect();
    let boxed: Vec<_> = (0..count / 100).map(|n| TVar::new_in(&space, census.value(n))).collect();
    space.atomically(|tx| {
        numbers.iter().step_by(3).for_each(|var| tx.write(var, 1));
        boxed.iter().for_each(|var| tx.write(var, census.value(1)));
        Ok(())
    });
    let sum = |numbers: &[TVar<u64>]| space.atomically(|tx| Ok(numbers.iter().map(|var| *tx.read(var)).sum::<u64>()));
    let expected = (0..count).map(|n| if n % 3 == 0 { 1 } else { n }).sum::<u64>();
    assert_eq!(sum(&numbers), expected);
    let snapshot = space.snapshot();
    // Every second one goes, and as many come.
    let mut at = 0;
    numbers.retain(|_| {
        at += 1;
        at % 2 == 0
    });
    ticks(&space, 100);
    let more: Vec<_> = (0..count / 2).map(|_| TVar::new_in(&space, 7)).collect();
    space.atomically(|tx| {
        more.iter().for_each(|var| tx.write(var, 8));
        Ok(())
    });
    assert_eq!(sum(&more), 8 * (count / 2));
    let expected = (0..count).skip(1).step_by(2).map(|n| if n % 3 == 0 { 1 } else { n }).sum::<u64>();
    assert_eq!(sum(&numbers), expected);
    assert_eq!(numbers.iter().map(|var| *snapshot.read(var)).sum::<u64>(), expected);
    assert!(more.iter().all(|var| *snapshot.read(var) == 7));
    drop((numbers, more, boxed, snapshot));
    settle(&space, || census.live() == 0);
}

/// §2.2: 2,500 threads, most of them at once, each of which counts in every way; then none.
#[test]
fn s2_2_fork_and_join_of_2500_threads() {
    let space = Space::new();
    let counters: [TVar<u64>; 3] = std::array::from_fn(|_| TVar::new_in(&space, 0));
    let census = Census::new();
    let boxed = TVar::new_in(&space, census.value(0));
    const BATCH: usize = 500;
    for _ in 0..5 {
        let ready = Barrier::new(BATCH);
        thread::scope(|scope| {
            for n in 0..BATCH {
                let (space, counters, boxed, census, ready) = (&space, &counters, &boxed, &census, &ready);
                let work = move || {
                    // All of them are there before the first goes on.
                    ready.wait();
                    counters[0].update(|n| n + 1);
                    space.atomically(|tx| {
                        tx.merge(&counters[1], |n| n + 1);
                        Ok(())
                    });
                    space.atomically(|tx| {
                        tx.modify(&counters[2], |n| n + 1);
                        if n % 10 == 0 {
                            tx.modify(boxed, |old| census.value(old.id + 1));
                        }
                        Ok(())
                    });
                };
                thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, work).expect("a thread");
            }
        });
    }
    assert_eq!(counters.map(|counter| counter.load()), [2_500; 3]);
    assert_eq!(space.atomically(|tx| Ok(tx.read(&boxed).id)), 250);
    settle(&space, || census.live() == 1);
}

/// How deep parts lie in each other here.
const DEEPEST: usize = 10_000;

/// How much stack the crate may take for one part in another: the closures' own frames are in it. Unoptimised code takes many times that of
/// optimised code, and more with instrumentation.
const FRAMES: usize = if cfg!(debug_assertions) { 16 * 1024 } else { 1024 };

/// On a stack that is large enough for that, and not for more.
fn on_large_stack(f: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(DEEPEST * FRAMES).spawn(f).expect("a thread");
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[test]
fn s3_2_ten_thousand_alternatives_in_each_other() {
    /// Each level writes, and all of them retry but the outermost, whose other alternative sees none of it.
    fn left(tx: &Tx<'_>, vars: &[TVar<usize>], depth: usize) -> Stm<usize> {
        if depth == 0 {
            return tx.retry();
        }
        let at = &vars[depth % vars.len()];
        tx.or_else(
            |tx| {
                tx.modify(at, |n| n + 1);
                left(tx, vars, depth - 1)?;
                unreachable!("all of them retry")
            },
            |tx| {
                assert_eq!(*tx.read(at), (DEEPEST - depth) / vars.len(), "what the levels above have written");
                if depth == DEEPEST { Ok(depth) } else { tx.retry() }
            },
        )
    }
    /// The alternative of an alternative, and so on; the last one goes through.
    fn right(tx: &Tx<'_>, vars: &[TVar<usize>], depth: usize) -> Stm<usize> {
        let at = &vars[depth % vars.len()];
        if depth == 0 {
            tx.write(at, 7);
            return Ok(*tx.read(at));
        }
        let a = |tx: &Tx<'_>| {
            tx.modify(at, |n| n + 1);
            tx.retry()
        };
        tx.or_else(a, |tx| right(tx, vars, depth - 1))
    }
    on_large_stack(|| {
        let space = Space::new();
        let vars: Vec<_> = (0..10).map(|_| TVar::new_in(&space, 0)).collect();
        let chosen = space.atomically(|tx| left(tx, &vars, DEEPEST));
        assert_eq!((chosen, vars.iter().map(TVar::load).sum::<usize>()), (DEEPEST, 0));
        let last = space.atomically(|tx| right(tx, &vars, DEEPEST));
        assert_eq!((last, vars.iter().map(TVar::load).sum::<usize>()), (7, 7));
    });
}

#[test]
fn s2_9_ten_thousand_parts_in_each_other() {
    fn descend(tx: &Tx<'_>, var: &TVar<usize>, depth: usize) -> Stm<usize> {
        if depth == 0 {
            return Ok(*tx.read(var));
        }
        let part = tx.nested(|tx| {
            tx.modify(var, |n| n + 1);
            let below = descend(tx, var, depth - 1)?;
            // What is above stays, what is below is undone half the way.
            if depth == DEEPEST / 2 { tx.abort(below) } else { Ok(below) }
        })?;
        Ok(part.unwrap_or_else(|below| below))
    }
    on_large_stack(|| {
        let space = Space::new();
        let var = TVar::new_in(&space, 0);
        assert_eq!(space.atomically(|tx| descend(tx, &var, DEEPEST)), DEEPEST);
        assert_eq!(var.load(), DEEPEST / 2);
    });
}

/// §3.2: what a part has written is undone iteratively, values with destructors included.
#[test]
fn s3_2_a_large_part_is_undone_on_a_small_stack() {
    let (space, census) = (Space::new(), Census::new());
    let vars: Vec<_> = (0..many(100_000) as u64).map(|id| TVar::new_in(&space, census.value(id))).collect();
    let (count, theirs, same) = (vars.len(), census.clone(), space.clone());
    on_small_stack(move || {
        same.atomically(|tx| {
            vars.iter().step_by(2).for_each(|var| tx.write(var, theirs.value(1)));
            tx.or_else(
                |tx| {
                    vars.iter().for_each(|var| tx.modify(var, |old| theirs.value(old.id)));
                    vars.iter().for_each(|var| tx.write(var, theirs.value(2)));
                    tx.retry()
                },
                |tx| {
                    assert!(vars.iter().step_by(2).all(|var| tx.read(var).id == 1));
                    Ok(())
                },
            )
        });
        settle(&same, || theirs.live() == count);
        drop(vars);
        settle(&same, || theirs.live() == 0);
    });
    assert_eq!((census.live(), space.waiters()), (0, 0));
}

/// §4.4: many more threads than cores, all at one variable, in every way there is to write it.
#[test]
fn s4_4_more_threads_than_cores() {
    for threads in [8, 64] {
        let space = Space::new();
        let (hot, other) = (TVar::new_in(&space, 0_u64), TVar::new_in(&space, 0_u64));
        let rounds = many(200) / if threads == 64 { 2 } else { 1 };
        let ready = Barrier::new(threads);
        thread::scope(|scope| {
            for me in 0..threads {
                let (space, hot, other, ready) = (&space, &hot, &other, &ready);
                scope.spawn(move || {
                    ready.wait();
                    for round in 0..rounds {
                        let add = |tx: &Tx<'_>| -> Stm<()> {
                            tx.modify(hot, |n| n + 1);
                            Ok(())
                        };
                        match (me + round) % 6 {
                            0 => hot.update(|n| n + 1),
                            1 => space.atomically(|tx| {
                                tx.merge(hot, |n| n + 1);
                                Ok(())
                            }),
                            2 => space.atomically(|tx| {
                                tx.lock(hot, LockMode::Exclusive)?;
                                add(tx)
                            }),
                            3 => space.options().pessimistic().run(add).expect("no limits"),
                            4 => space.options().coalesce_after(0).run(add).expect("no limits"),
                            _ => space.atomically(|tx| {
                                let a = |tx: &Tx<'_>| {
                                    tx.modify(other, |n| n + 1);
                                    tx.retry()
                                };
                                tx.or_else(a, add)
                            }),
                        }
                    }
                });
            }
        });
        assert_eq!((hot.load(), other.load()), ((threads * rounds) as u64, 0));
        assert_eq!((space.waiters(), space.locks().len()), (0, 0));
    }
}
