//! §4.1, §4.2, §4.4: what others get done beside a stopped thread, and how many attempts and swaps a commit needs at most. All is counted, nothing
//! is timed.

mod blocking_common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use blocking_common::{Paused, eventually, join};
use tvar::hooks::{self, Point};
use tvar::{Isolation, LockMode, Space, Stm, TMap, TVar, Tx, TxError, TxOptions};

/// Attempts that may be lost before the turn; the next one has nobody to lose to (§4.4, C4).
const LOST_BEFORE_TURN: u64 = 16;
const MOST_ATTEMPTS: u64 = LOST_BEFORE_TURN + 1;

/// Swaps that the thread of an announced commit tries itself, at most: the first may be lost to a commit that was prepared without a look at it (C5).
const MOST_OWN_SWAPS: u64 = 2;

/// A way to add one to the hot variable.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Plain,
    Coalesced,
    /// And to an entry of a map.
    WithMap,
    Merge,
    /// With a lock on a variable that nobody else touches.
    WithLock,
}

const WAYS: [Way; 5] = [Way::Plain, Way::Coalesced, Way::WithMap, Way::Merge, Way::WithLock];

#[derive(Clone)]
struct World {
    space: Space,
    hot: TVar<u64>,
    map: TMap<u64, u64>,
}

impl World {
    fn new() -> Self {
        let space = Space::new();
        let map = TMap::with_entries_in(&space, [(0, 0), (1, 1)]);
        World { hot: TVar::new_in(&space, 0), map, space }
    }

    /// Commits once; how often the closure ran.
    fn commit(&self, way: Way, own: &TVar<u64>) -> u64 {
        let coalesce_after = if way == Way::Coalesced { 0 } else { u32::MAX };
        let mut runs = 0;
        let result = TxOptions::new().space(&self.space).coalesce_after(coalesce_after).run(|tx| {
            runs += 1;
            match way {
                Way::Plain | Way::Coalesced => tx.modify(&self.hot, |n| n + 1),
                Way::WithMap => {
                    tx.modify(&self.hot, |n| n + 1);
                    self.map.modify(tx, &0, |n| n + 1);
                    self.map.upsert(tx, 2 + runs, runs);
                }
                Way::Merge => tx.merge(&self.hot, |n| n + 1),
                Way::WithLock => {
                    tx.lock(own, LockMode::Exclusive)?;
                    tx.modify(own, |n| n + 1);
                    tx.modify(&self.hot, |n| n + 1);
                }
            }
            Ok(())
        });
        assert_eq!(result, Ok(()));
        runs
    }

    /// The points that such a commit passes.
    fn points(&self, way: Way) -> Vec<Point> {
        let passed = Rc::new(RefCell::new(Vec::new()));
        let log = passed.clone();
        let hook = hooks::on_this_thread(move |point| {
            let mut log = log.borrow_mut();
            if !log.contains(&point) {
                log.push(point);
            }
        });
        self.commit(way, &TVar::new_in(&self.space, 0));
        drop(hook);
        passed.take()
    }
}

/// §4.1: while one thread stands still at any point of a commit of any kind, others do all that they have to do. A single one never even runs
/// its closure twice.
#[test]
fn others_commit_beside_a_thread_that_stands_still() {
    const EACH: u64 = 10;
    let mut stops = 0;
    for way in WAYS {
        for point in World::new().points(way) {
            let world = World::new();
            let stopped = Paused::at(point, {
                let world = world.clone();
                move || world.commit(way, &TVar::new_in(&world.space, 0))
            });
            let work = |world: World| {
                let own = TVar::new_in(&world.space, 0);
                let ways = WAYS.into_iter().cycle().take(WAYS.len() * EACH as usize);
                ways.map(|way| world.commit(way, &own)).collect::<Vec<_>>()
            };
            let before = world.space.stats();
            let alone = world.clone();
            let runs = join("one other thread", thread::spawn(move || work(alone)));
            assert!(runs.iter().all(|runs| *runs == 1), "{way:?} at {point:?}: {runs:?}");
            assert_eq!(world.space.stats().reruns, before.reruns);
            let others: Vec<_> = [world.clone(), world.clone()].map(|world| thread::spawn(move || work(world))).into();
            for other in others {
                let runs = join("two other threads", other);
                assert!(runs.iter().all(|runs| *runs <= MOST_ATTEMPTS), "{way:?} at {point:?}: {runs:?}");
            }
            let published = matches!(point, Point::Decided | Point::Swapped);
            let others = 3 * WAYS.len() as u64 * EACH;
            // An announced merge has been taken along.
            let done = published || (way == Way::Merge && point == Point::Announced);
            assert_eq!(world.hot.load(), others + u64::from(done), "{way:?} at {point:?}");
            // It had read what the others have changed; a merge has not.
            let runs = if published || way == Way::Merge { 1 } else { 2 };
            assert_eq!(stopped.finish(), runs, "{way:?} at {point:?}");
            assert_eq!(world.hot.load(), others + 1, "{way:?} at {point:?}");
            stops += 1;
        }
    }
    assert_eq!(stops, 5 + 7 + 5 + 4 + 5, "the points of the five ways");
}

const MANY: usize = 50_000;
/// For those that lose swaps instead of attempts, and are built as often; still too many to be announced.
const FEWER: usize = 2_000;
/// Root swaps that a commit loses before it takes the turn, if it cannot be announced (C4).
const LOST_SWAPS_BEFORE_TURN: u64 = 64;

/// What a large transaction does to many variables, one of which somebody else writes all the time.
struct Large {
    space: Space,
    vars: Arc<[TVar<u64>]>,
    out: TVar<u64>,
    hot: Hot,
}

/// What the hot writer does, and how far it has got. It ends when this is dropped.
#[derive(Clone, Default)]
struct Hot {
    over: Arc<AtomicBool>,
    commits: Arc<AtomicU64>,
    stage: Arc<AtomicU64>,
}

/// Stages of a swap of the hot writer's that was prepared before the turn and is tried in it.
const ASKED: u64 = 1;
const PREPARED: u64 = 2;
const TURN_BEGUN: u64 = 3;
const TRIED: u64 = 4;

impl Hot {
    fn is_at(&self, stage: u64) -> bool {
        self.stage.load(Ordering::SeqCst) == stage
    }

    fn go_to(&self, stage: u64) {
        self.stage.store(stage, Ordering::SeqCst);
    }

    /// Waits for a commit that was begun after so many. (The count goes ahead of the commits by one.)
    #[track_caller]
    fn commits_after(&self, count: u64) {
        eventually("the hot writer commits", || self.commits.load(Ordering::SeqCst) > count + 1);
    }

    fn write(&self, var: &TVar<u64>) {
        let hot = self.clone();
        let _hook = hooks::on_this_thread(move |point| match point {
            Point::Swap if hot.is_at(ASKED) => {
                hot.go_to(PREPARED);
                eventually("the turn begins", || hot.is_at(TURN_BEGUN) || hot.over.load(Ordering::SeqCst));
            }
            Point::Swapped | Point::Validate if hot.is_at(TURN_BEGUN) => hot.go_to(TRIED),
            _ => {}
        });
        while !self.over.load(Ordering::SeqCst) {
            var.store(1 + self.commits.fetch_add(1, Ordering::SeqCst));
            thread::yield_now();
        }
    }
}

impl Large {
    fn new(count: usize) -> Self {
        let space = Space::new();
        let hot = TVar::named_in(&space, "hot", 0);
        let rest = (1..count).map(|_| TVar::new_in(&space, 0));
        let vars = std::iter::once(hot).chain(rest).collect();
        Large { out: TVar::new_in(&space, 0), vars, hot: Hot::default(), space }
    }

    /// Runs `f` beside a thread that writes the first variable all the time: during each attempt that may lose to that, and, with a swap that it has
    /// prepared before, in the turn. How often it ran, and its result.
    fn run(&self, options: TxOptions, f: impl Fn(&Tx<'_>) -> Stm<()>) -> (u64, Result<(), TxError>) {
        let hot = &self.hot;
        let writer = thread::spawn({
            let (hot, var) = (hot.clone(), self.vars[0].clone());
            move || hot.write(&var)
        });
        let over = OnDrop(&hot.over);
        let mut runs = 0;
        let result = options.space(&self.space).run(|tx| {
            runs += 1;
            let began = hot.commits.load(Ordering::SeqCst);
            f(tx)?;
            if runs <= LOST_BEFORE_TURN {
                hot.commits_after(began);
            }
            if runs == LOST_BEFORE_TURN {
                hot.go_to(ASKED);
                eventually("the hot writer is about to swap", || hot.is_at(PREPARED));
            } else if runs == MOST_ATTEMPTS {
                hot.go_to(TURN_BEGUN);
                eventually("the hot writer has tried", || hot.is_at(TRIED));
            }
            Ok(())
        });
        hot.commits_after(hot.commits.load(Ordering::SeqCst));
        drop(over);
        join("the hot writer ends", writer);
        (runs, result)
    }
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// §4.4: who reads or writes 50,000 variables, and loses one of them in each attempt, commits in the first one of its turn. §7.2: the counters tell.
#[test]
fn large_transactions_commit_in_their_turn() {
    let read = |large: &Large, tx: &Tx<'_>| {
        let sum = large.vars.iter().map(|var| *tx.read(var)).sum();
        tx.write(&large.out, sum);
    };
    let modify = |large: &Large, tx: &Tx<'_>| large.vars.iter().for_each(|var| tx.modify(var, |n| n + 1));
    let store = |large: &Large, tx: &Tx<'_>| large.vars.iter().for_each(|var| tx.write(var, tx.attempt()));
    let merge = |large: &Large, tx: &Tx<'_>| large.vars.iter().for_each(|var| tx.merge(var, |n| n + 1));
    type Work = fn(&Large, &Tx<'_>);
    let cases: [(&str, usize, Isolation, Work, u64); 6] = [
        ("a reader that writes", MANY, Isolation::Serializable, read, MOST_ATTEMPTS),
        ("a reader that writes", MANY, Isolation::Snapshot, read, 1),
        ("a writer", MANY, Isolation::Serializable, modify, MOST_ATTEMPTS),
        ("a blind writer", FEWER, Isolation::Serializable, store, 1),
        ("a blind writer", MANY, Isolation::Snapshot, store, MOST_ATTEMPTS),
        ("a writer that merges", FEWER, Isolation::Serializable, merge, 1),
    ];
    for (what, count, isolation, work, expected) in cases {
        let large = Large::new(count);
        let options = TxOptions::new().isolation(isolation);
        let (runs, result) = large.run(options, |tx| {
            work(&large, tx);
            Ok(())
        });
        assert_eq!((result, runs), (Ok(()), expected), "{what}, {isolation:?}");
        let stats = large.space.stats();
        assert_eq!((stats.conflicts, stats.reruns), (expected - 1, expected - 1), "{what}, {isolation:?}: {stats}");
        // A commit that loses nothing but swaps may need the turn for these.
        assert!(stats.escalations <= 1 && stats.escalations >= u64::from(expected > 1), "{what}: {stats}");
    }
}

/// §2.3, §4.4, C4: a commit that conflicts with nobody, is too large to be announced, and loses each swap, takes the turn; nobody runs again for it.
#[test]
fn a_large_commit_that_loses_its_swaps_takes_the_turn() {
    let large = Large::new(FEWER);
    let hook = hooks::on_this_thread({
        let (hot, mut swaps) = (large.hot.clone(), 0);
        move |point| {
            if point == Point::Swap && swaps < LOST_SWAPS_BEFORE_TURN {
                swaps += 1;
                hot.commits_after(hot.commits.load(Ordering::SeqCst));
            }
        }
    });
    let (runs, result) = large.run(TxOptions::new(), |tx| {
        large.vars.iter().for_each(|var| tx.merge(var, |n| n + 1));
        Ok(())
    });
    drop(hook);
    let stats = large.space.stats();
    assert_eq!((result, runs, stats.conflicts, stats.announced, stats.escalations), (Ok(()), 1, 0, 0, 1), "{stats}");
    // The hot writer may have a swap prepared when the turn begins, which the large commit loses to, or which is lost to that.
    assert!((0..=2).contains(&(stats.lost_swaps - LOST_SWAPS_BEFORE_TURN)), "{stats}");
}

/// §4.4: with a limit below that it fails, and says how often it has lost, and to what.
#[test]
fn a_large_transaction_with_a_limit_tells_what_it_lost_to() {
    const LIMIT: u64 = 3;
    let large = Large::new(MANY);
    let (runs, result) = large.run(TxOptions::new().max_attempts(LIMIT), |tx| {
        let sum = large.vars.iter().map(|var| *tx.read(var)).sum();
        tx.write(&large.out, sum);
        Ok(())
    });
    let error = result.expect_err("each attempt loses");
    assert_eq!((runs, error.attempts(), error.lost_to()), (LIMIT, LIMIT, Some("hot")));
    assert_eq!((large.out.load(), large.space.stats().escalations), (0, 0));
}

/// §4.4: of many that meet at one variable none runs more often than the bound, and the counters agree with the callers.
#[test]
fn attempts_per_commit_are_bounded_and_counted() {
    const EACH: u64 = 300;
    let world = World::new();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let world = world.clone();
            thread::spawn(move || {
                // Others have the chance to get in between.
                let _hook = hooks::on_this_thread(|point| {
                    if point == Point::Validate {
                        thread::yield_now();
                    }
                });
                let own = TVar::new_in(&world.space, 0);
                (0..EACH).map(|_| world.commit(Way::Plain, &own)).collect::<Vec<_>>()
            })
        })
        .collect();
    let runs: Vec<u64> = threads.into_iter().flat_map(|thread| join("a thread ends", thread)).collect();
    let stats = world.space.stats();
    let again: u64 = runs.iter().map(|runs| runs - 1).sum();
    assert_eq!((runs.len() as u64, world.hot.load()), (4 * EACH, 4 * EACH));
    assert!(runs.iter().all(|runs| *runs <= MOST_ATTEMPTS), "{runs:?}");
    assert_eq!((stats.commits, stats.conflicts, stats.reruns), (4 * EACH, again, again), "{stats}");
    let escalated = runs.iter().filter(|runs| **runs == MOST_ATTEMPTS).count() as u64;
    assert!(stats.escalations >= escalated, "{stats}");
}

/// C5, §4.2: the thread of an announced commit tries two swaps of its own at most, whatever others do.
#[test]
fn an_announced_commit_tries_two_swaps_at_most() {
    const EACH: u64 = 500;
    let world = World::new();
    let threads: Vec<_> = [0, 0, 0, u32::MAX, u32::MAX, u32::MAX]
        .map(|coalesce_after| {
            let World { space, hot, .. } = world.clone();
            thread::spawn(move || {
                let (swaps, most) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(0)));
                let hook = hooks::on_this_thread({
                    let (swaps, most) = (swaps.clone(), most.clone());
                    move |point| match point {
                        Point::Begin => swaps.set(None),
                        Point::Announced => swaps.set(Some(0)),
                        Point::Swap => {
                            swaps.set(swaps.get().map(|swaps| swaps + 1));
                            most.set(most.get().max(swaps.get().unwrap_or(0)));
                            // Drafts grow old, and swaps are lost.
                            thread::yield_now();
                        }
                        _ => {}
                    }
                });
                let options = TxOptions::new().space(&space).coalesce_after(coalesce_after);
                for _ in 0..EACH {
                    let mut runs = 0;
                    let result = options.run(|tx| {
                        runs += 1;
                        tx.merge(&hot, |n| n + 1);
                        Ok(())
                    });
                    assert_eq!((result, runs), (Ok(()), 1), "merges lose to nobody");
                }
                drop(hook);
                most.get()
            })
        })
        .into();
    let most: Vec<u64> = threads.into_iter().map(|thread| join("a thread ends", thread)).collect();
    let stats = world.space.stats();
    assert!(most.iter().all(|most| *most <= MOST_OWN_SWAPS), "{most:?}: {stats}");
    assert_eq!((world.hot.load(), stats.announced, stats.commits), (6 * EACH, 3 * EACH, 6 * EACH), "{stats}");
    assert!((1..=3 * EACH).contains(&stats.batches), "{stats}");
}
