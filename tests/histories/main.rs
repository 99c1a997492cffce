//! Random concurrent programs whose calls tell their versions: replayed in the order of those on a plain sequential model they have to give what was
//! seen (§1.4, §1.5, §2.2, §2.5 to §2.9, §3.1 to §3.3, §3.5, §4.2, §4.5, §5.3, §6).

mod checks;
mod generate;
mod history;
mod model;
mod program;
mod record;
mod replay;
mod run;

use std::env;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use checks::check;
use generate::generate;
use record::record;

/// No program takes a hundredth of this.
const HANGS: Duration = Duration::from_secs(30);

#[test]
fn histories_are_those_of_the_model() {
    let seeds = match setting("TVAR_SEED") {
        // An interleaving does not come back by its seed alone.
        Some(seed) => std::iter::repeat_n(seed, setting("TVAR_HISTORIES").unwrap_or(200)).collect(),
        None => (1..=setting("TVAR_HISTORIES").unwrap_or(150)).collect::<Vec<u64>>(),
    };
    static RUNNING: AtomicU64 = AtomicU64::new(0);
    let (done, all_done) = mpsc::channel();
    thread::spawn(move || {
        let mut sum = std::collections::BTreeMap::new();
        for seed in seeds {
            RUNNING.fetch_add(1, Ordering::SeqCst);
            let t = std::time::Instant::now();
            let (history, stats) = record(&generate(seed), seed);
            let t1 = t.elapsed();
            let t = std::time::Instant::now();
            match check(&history) {
                Ok(timeline) => {
                    for (name, n) in [("conflicts", stats.conflicts), ("batches", stats.batches), ("parked", stats.parked), ("lock_waits", stats.lock_waits), ("deadlocks", stats.deadlocks), ("esc", stats.escalations), ("commits", stats.commits), ("together", timeline.together as u64), ("record us", t1.as_micros() as u64), ("check us", t.elapsed().as_micros() as u64)] {
                        *sum.entry(name).or_insert(0) += n;
                    }
                }
                Err(problem) => return done.send(Err((seed, problem, history))),
            }
        }
        println!("{sum:?}");
        done.send(Ok(()))
    });
    let mut last_seen = 0;
    loop {
        match all_done.recv_timeout(HANGS) {
            Ok(Ok(())) => return,
            Ok(Err((seed, problem, history))) => panic!("{problem}\n\nTVAR_SEED={seed} runs its program again.\n{history}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the programs' thread is gone"),
            Err(RecvTimeoutError::Timeout) => {
                let seed = RUNNING.load(Ordering::SeqCst);
                assert!(seed != last_seen, "hangs {seed}");
                last_seen = seed;
            }
        }
    }
}

fn setting<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}
