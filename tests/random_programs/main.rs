//! Random programs of one thread, run on the fast engine, on the reference engine and by an oracle: all three have to
//! show the same, transaction by transaction and in the heap at the end (§1.2 to §1.7, §2.1, §2.6 to §2.9, §3.1 to
//! §3.3, §4.5).
//!
//! - `TVAR_PROGRAMS=1000000 cargo test --release --test random_programs` runs that many (5,000 otherwise).
//! - `TVAR_SEED=42 cargo test --test random_programs` runs the one with this seed, and prints it.
//! - `TVAR_TELL=1 cargo test --test random_programs -- --nocapture` names every seed before it runs, for a program that
//!   takes the process down.

mod compare;
mod engine;
mod fast;
mod generate;
mod interpret;
mod oracle;
mod program;
mod reference;
mod shrink;
mod tally;
mod value;

mod examples;

use std::env;
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use compare::compare;
use generate::generate;

/// No program takes a thousandth of this.
const HANGS: Duration = Duration::from_secs(30);

#[test]
fn engines_and_oracle_agree() {
    let seeds = match setting("TVAR_SEED") {
        Some(seed) => {
            println!("seed {seed}:\n{}", generate(seed));
            seed..=seed
        }
        None => 1..=setting("TVAR_PROGRAMS").unwrap_or(5_000),
    };
    let tell = env::var_os("TVAR_TELL").is_some();
    // A thread apart runs the programs, so that one that hangs can be told.
    static RUNNING: AtomicU64 = AtomicU64::new(0);
    let (done, all_done) = mpsc::channel();
    thread::spawn(move || {
        for seed in seeds {
            // ORDERING: a note for the report of a hang, and nothing else hangs on it.
            RUNNING.store(seed, Ordering::Relaxed);
            if tell {
                eprintln!("seed {seed}");
            }
            if let Err(problem) = compare(&generate(seed)) {
                return done.send(Err((seed, problem)));
            }
        }
        done.send(Ok(()))
    });
    let mut last_seen = 0;
    loop {
        match all_done.recv_timeout(HANGS) {
            Ok(Ok(())) => return,
            Ok(Err((seed, problem))) => report(seed, &problem),
            Err(RecvTimeoutError::Disconnected) => panic!("the programs' thread is gone"),
            Err(RecvTimeoutError::Timeout) => {
                // ORDERING: see above.
                let seed = RUNNING.load(Ordering::Relaxed);
                assert!(seed != last_seen, "hangs; TVAR_SEED={seed} runs it again:\n{}", generate(seed));
                last_seen = seed;
            }
        }
    }
}

fn report(seed: u64, problem: &str) -> ! {
    let small = shrink::shrink(generate(seed), |program| compare(program).is_err());
    let again = compare(&small).err().unwrap_or_else(|| "passes when it is run once more".into());
    panic!("{problem}\n\nTVAR_SEED={seed} runs it again. Made smaller:\n{again}\n\n{small}");
}

fn setting<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}
