//! Random concurrent programs whose calls tell their versions: replayed in the order of those on a plain sequential model they have to give what was
//! seen (§1.4 to §1.6, §2.1 to §2.9, §3.1 to §3.3, §3.5, §4.2, §4.5, §5.2 to §5.5, §6.1 to §6.3).
//!
//! - `TVAR_HISTORIES=10000 cargo test --release --test histories` runs that many programs (150 otherwise).
//! - `TVAR_SEED=42 cargo test --test histories` runs the program with this seed, again and again: its threads meet otherwise each time.

mod append;
mod checks;
mod generate;
mod history;
mod met;
mod model;
mod program;
mod record;
mod replay;
mod run;
mod things;

mod broken;

use std::env;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use checks::check;
use generate::generate;
use met::Met;
use record::record;

/// No program takes a hundredth of this.
const HANGS: Duration = Duration::from_secs(30);

#[test]
fn histories_are_those_of_the_model() {
    let count = setting("TVAR_HISTORIES").unwrap_or(150);
    let only = setting("TVAR_SEED");
    // A thread apart runs the programs, so that one that hangs can be told.
    static RUN: AtomicU64 = AtomicU64::new(0);
    let (done, all_done) = mpsc::channel();
    thread::spawn(move || {
        let mut met = Met::default();
        for run in 1..=count {
            // ORDERING: a note for the report, and nothing hangs on it.
            RUN.store(run, Ordering::Relaxed);
            let seed = only.unwrap_or(run);
            let (history, stats) = record(&generate(seed), seed);
            match check(&history) {
                Ok(timeline) => met.add(&history, stats, &timeline),
                Err(broken) => {
                    done.send(Err((broken, history))).expect("the test waits");
                    return;
                }
            }
        }
        done.send(Ok(met)).expect("the test waits");
    });
    let mut last_seen = 0;
    loop {
        let told = all_done.recv_timeout(HANGS);
        // ORDERING: see above.
        let run = RUN.load(Ordering::Relaxed);
        let again = format!("TVAR_SEED={} runs its program again", only.unwrap_or(run));
        match told {
            Ok(Ok(met)) => {
                println!("{met}");
                return if only.is_none() && count >= 150 {
                    met.all()
                };
            }
            Ok(Err((broken, history))) => {
                panic!("{}\n\n{again}.\n{}", broken.why, history.around(broken.version));
            }
            Err(RecvTimeoutError::Disconnected) => panic!("a thread has panicked; {again}"),
            Err(RecvTimeoutError::Timeout) => {
                assert!(run != last_seen, "hangs; {again}");
                last_seen = run;
            }
        }
    }
}

fn setting<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}
