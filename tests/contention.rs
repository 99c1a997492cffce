//! §4.4: escalation, back-off.

mod blocking_common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use blocking_common::{PATIENCE, at, join};
use tvar::hooks::{HookGuard, Point};
use tvar::{Backoff, Isolation, Space, Stm, TVar, TxError, TxOptions};

/// How many attempts beyond its threshold an escalated transaction may need.
const SLACK: u64 = 3;

/// Commits to a variable at every validation of this thread, until it is held up by the turn.
struct Adversary {
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    strikes: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watch: Option<JoinHandle<()>>,
    hook: Option<HookGuard>,
}

impl Adversary {
    fn new(space: &Space, hot: &TVar<u64>) -> Self {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let strikes = Arc::new(AtomicU64::new(0));
        let escalated = Arc::new(AtomicBool::new(false));
        let over = Arc::new(AtomicBool::new(false));

        let watch = thread::spawn({
            let (space, escalated, over) = (space.clone(), escalated.clone(), over.clone());
            move || {
                while !over.load(Ordering::SeqCst) {
                    if space.stats().escalations > 0 {
                        escalated.store(true, Ordering::SeqCst);
                    }
                    thread::yield_now();
                }
            }
        });
        let strike = {
            let (hot, strikes) = (hot.clone(), strikes.clone());
            Arc::new(move || {
                hot.update(|x| x + 1);
                strikes.fetch_add(1, Ordering::SeqCst);
            })
        };
        let started = threads.clone();
        let hook = at(Point::Validate, u64::MAX, move || {
            let strike = strike.clone();
            let thread = thread::spawn(move || strike());
            let begin = Instant::now();
            // The strike ends by itself, or it waits for the end of the turn.
            while !thread.is_finished() {
                if escalated.load(Ordering::SeqCst) && begin.elapsed() > Duration::from_millis(50) {
                    break;
                }
                assert!(begin.elapsed() < PATIENCE, "the adversary is stuck");
                thread::yield_now();
            }
            started.lock().unwrap().push(thread);
        });
        Self { threads, strikes, over, watch: Some(watch), hook: Some(hook) }
    }

    /// Ends the strikes; tells how many there were.
    fn stop(mut self) -> u64 {
        drop(self.hook.take());
        for thread in std::mem::take(&mut *self.threads.lock().unwrap()) {
            join("the adversary goes on after the turn", thread);
        }
        self.over.store(true, Ordering::SeqCst);
        join("the watch ends", self.watch.take().unwrap());
        self.strikes.load(Ordering::SeqCst)
    }
}

impl Drop for Adversary {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Adds one to `hot` against an adversary: how often the closure ran.
fn against_all_odds(options: TxOptions, space: &Space, hot: &TVar<u64>, bound: u64) -> u64 {
    let adversary = Adversary::new(space, hot);
    let mut runs = 0;
    let result = options.space(space).run(|tx| {
        runs += 1;
        assert!(runs <= bound, "not committed after {bound} runs");
        let x = *tx.read(hot);
        tx.write(hot, x + 1);
        Ok(())
    });
    let strikes = adversary.stop();
    assert_eq!(result, Ok(()));
    assert_eq!(hot.load(), strikes + 1, "no update is lost");
    runs
}

/// §4.4: a transaction whose reads go stale in every attempt commits soon after its threshold.
#[test]
fn escalation_commits_within_a_bound() {
    for threshold in [1, 2, 5, 12] {
        let space = Space::new();
        let hot = TVar::new_in(&space, 0);
        let options = TxOptions::new().escalate_after(threshold);
        let runs = against_all_odds(options, &space, &hot, threshold + SLACK);
        assert!(runs > threshold, "the adversary let it pass: {runs} runs");
        assert!(space.stats().escalations >= 1);
    }
}

/// §4.4: so it does without any option.
#[test]
fn escalation_by_default() {
    let space = Space::new();
    let hot = TVar::new_in(&space, 0);
    let runs = against_all_odds(TxOptions::new(), &space, &hot, 500);
    assert!(runs > 1);
    assert!(space.stats().escalations >= 1);
}

/// §4.4: under snapshot isolation, and with every back-off policy.
#[test]
fn escalation_with_other_options() {
    for backoff in [Backoff::None, Backoff::default()] {
        for isolation in [Isolation::Snapshot, Isolation::Serializable] {
            let space = Space::new();
            let hot = TVar::new_in(&space, 0);
            let options = TxOptions::new().escalate_after(3).isolation(isolation).backoff(backoff);
            against_all_odds(options, &space, &hot, 3 + SLACK);
            assert!(space.stats().escalations >= 1);
        }
    }
}

/// §4.4: the adversary is one: without escalation every attempt loses.
#[test]
fn without_escalation_it_loses() {
    let space = Space::new();
    let hot = TVar::new_in(&space, 0u64);
    let adversary = Adversary::new(&space, &hot);
    let mut runs = 0;
    let result = TxOptions::new().space(&space).escalate_after(u64::MAX).max_attempts(40).run(|tx| {
        runs += 1;
        tx.modify(&hot, |x| x + 1000);
        Ok(())
    });
    let strikes = adversary.stop();
    assert!(matches!(result, Err(TxError::TooManyAttempts { attempts: 40, .. })));
    assert_eq!((runs, hot.load()), (40, strikes));
    assert_eq!(space.stats().escalations, 0);
}

/// §4.4: a large transaction beside many small writers.
#[test]
fn a_large_transaction_gets_its_turn() {
    let space = Space::new();
    let vars: Vec<_> = (0..200).map(|_| TVar::new_in(&space, 0u64)).collect();
    let over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|k| {
            let (vars, over) = (vars.clone(), over.clone());
            thread::spawn(move || {
                let mut count = 0;
                while !over.load(Ordering::SeqCst) {
                    vars[(count as usize * 7 + k) % vars.len()].update(|x| x + 1);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let (mine, s) = (vars.clone(), space.clone());
    let large = thread::spawn(move || {
        let mut most = 0;
        for _ in 0..10 {
            let mut runs = 0;
            let result = TxOptions::new().space(&s).escalate_after(4).run(|tx| {
                runs += 1;
                let sum: u64 = mine.iter().map(|v| *tx.read(v)).sum();
                thread::yield_now();
                mine.iter().for_each(|v| tx.modify(v, |x| x + 1));
                Ok(sum)
            });
            assert!(result.is_ok());
            most = most.max(runs);
        }
        most
    });
    let most = join("the large transactions commit", large);
    over.store(true, Ordering::SeqCst);
    let written: u64 = writers.into_iter().map(|w| join("a writer ends", w)).sum();
    // Each writer may have been past the turnstile already, once.
    assert!(most <= 4 + 1 + 3, "{most} runs");
    let sum: u64 = vars.iter().map(TVar::load).sum();
    assert_eq!(sum, written + 10 * 200);
}

/// §4.4: no back-off policy loses an update.
#[test]
fn every_backoff_policy_counts_right() {
    let jittered = |min_spins, max_spins| Backoff::Jittered { min_spins, max_spins };
    let odd = [jittered(0, 0), jittered(1000, 1), jittered(1, 4096)];
    for backoff in [Backoff::None, Backoff::default()].into_iter().chain(odd) {
        for threshold in [2, u64::MAX] {
            let space = Space::new();
            let hot = TVar::new_in(&space, 0u64);
            let options = TxOptions::new().space(&space).backoff(backoff).escalate_after(threshold);
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let (options, v) = (options.clone(), hot.clone());
                    thread::spawn(move || {
                        for _ in 0..200 {
                            let result = options.run(|tx| -> Stm<()> {
                                tx.modify(&v, |x| x + 1);
                                Ok(())
                            });
                            assert_eq!(result, Ok(()));
                        }
                    })
                })
                .collect();
            for thread in threads {
                join("a counter ends", thread);
            }
            assert_eq!(hot.load(), 800);
        }
    }
}
