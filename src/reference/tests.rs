//! The reference engine on its own: what one thread cannot show, and misuse. (The random programs of the test suite
//! have it agree with the fast engine on everything else.)

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use super::*;

fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("it should have panicked");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().expect("a text").to_string(),
    }
}

#[test]
fn concurrent_increments_are_all_counted() {
    let counter = RefVar::new_in(&RefSpace::new(), 0_u64);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| counter.update(|n| n + 1)));
        }
    });
    assert_eq!(counter.load(), 2_000);
}

#[test]
fn write_skew_is_rejected() {
    // §2.2: both attempts read both variables before either commits; only one may then write.
    let space = RefSpace::new();
    let on_call = [RefVar::new_in(&space, true), RefVar::new_in(&space, true)];
    let both_have_read = Barrier::new(2);
    thread::scope(|scope| {
        for mine in &on_call {
            let (space, on_call, both_have_read) = (&space, &on_call, &both_have_read);
            scope.spawn(move || {
                let mut runs = 0;
                space.atomically(|tx| {
                    runs += 1;
                    let both = *tx.read(&on_call[0]) && *tx.read(&on_call[1]);
                    if runs == 1 {
                        both_have_read.wait();
                    }
                    if both {
                        tx.write(mine, false);
                    }
                    Ok(())
                });
            });
        }
    });
    assert!(on_call[0].load() != on_call[1].load());
}

#[test]
fn disjoint_commits_and_merges_do_not_run_closures_again() {
    // §2.3, §4.5: another thread commits between the read and the commit of this attempt.
    let space = RefSpace::new();
    let (mine, other) = (RefVar::new_in(&space, 0), RefVar::new_in(&space, 0));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.modify(&mine, |n| n + 1);
        tx.merge(&other, |n| n + 1);
        thread::scope(|scope| {
            scope.spawn(|| other.update(|n| n + 10));
        });
        Ok(())
    });
    assert_eq!((runs, mine.load(), other.load()), (1, 1, 11));
}

#[test]
fn a_left_side_that_retried_is_validated() {
    // §3.3: the right side was chosen because the left variable was empty; it is not any more.
    let space = RefSpace::new();
    let (left, out) = (RefVar::new_in(&space, 0), RefVar::new_in(&space, 0));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        tx.or_else(
            |tx| {
                tx.check(*tx.read(&left) != 0)?;
                tx.write(&out, 1);
                Ok(())
            },
            |tx| {
                tx.write(&out, 2);
                Ok(())
            },
        )?;
        if runs == 1 {
            thread::scope(|scope| {
                scope.spawn(|| left.store(7));
            });
        }
        Ok(())
    });
    assert_eq!((runs, out.load()), (2, 1));
}

#[test]
fn blocked_threads_hand_a_token_round() {
    // §3.1: every hand-over needs a wake-up; one lost, and this never ends.
    let space = RefSpace::new();
    let turn = RefVar::new_in(&space, 0_usize);
    thread::scope(|scope| {
        for me in 0..3 {
            let (space, turn) = (&space, &turn);
            scope.spawn(move || {
                for round in 0..200 {
                    space.atomically(|tx| {
                        tx.check(*tx.read(turn) == 3 * round + me)?;
                        tx.modify(turn, |n| n + 1);
                        Ok(())
                    });
                }
            });
        }
    });
    assert_eq!(turn.load(), 600);
}

#[test]
fn the_same_bits_do_not_wake() {
    let space = RefSpace::new();
    let (gate, told) = (RefVar::new_in(&space, 0_i32), RefVar::new_in(&space, false));
    let runs = AtomicUsize::new(0);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            space.atomically(|tx| {
                // ORDERING: a statistic, read after the thread has been joined or only to wait for the first run.
                runs.fetch_add(1, Ordering::Relaxed);
                tx.check(*tx.read(&gate) == 1)
            });
        });
        // ORDERING: see above.
        while runs.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        gate.store(0);
        told.store(true);
        gate.store(1);
        waiter.join().expect("the waiter ends");
    });
    // ORDERING: see above.
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

#[test]
fn a_dropped_variable_leaves_the_map_and_kept_snapshots_keep_its_value() {
    // §1.3, §1.5
    let space = RefSpace::new();
    let value = Arc::new(());
    let var = RefVar::new_in(&space, None);
    var.store(Some(Arc::clone(&value)));
    assert_eq!(space.newest().values.len(), 1);
    let kept = space.snapshot();
    drop(var);
    assert_eq!(space.newest().values.len(), 0);
    assert_eq!(Arc::strong_count(&value), 2);
    drop(kept);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_handle_dropped_inside_takes_its_entry_along_at_the_end() {
    let space = RefSpace::new();
    space.atomically(|tx| {
        let var = RefVar::new_in(&space, 1);
        tx.write(&var, 2);
        Ok(())
    });
    assert_eq!(space.newest().values.len(), 0);
}

#[test]
fn a_panic_publishes_nothing_and_leaves_all_usable() {
    // §2.8
    let var = RefVar::new_in(&RefSpace::new(), 1);
    let text = panic_text(|| {
        var.space().atomically(|tx| {
            tx.write(&var, 2);
            panic!("as planned");
            #[expect(unreachable_code)]
            Ok(())
        })
    });
    assert_eq!((text.as_str(), var.load()), ("as planned", 1));
}

#[test]
fn misuse_panics() {
    // §8
    let (here, there) = (RefSpace::new(), RefSpace::new());
    let (mine, foreign) = (RefVar::new_in(&here, 1), RefVar::new_in(&there, 1));

    let text = panic_text(|| here.atomically(|tx| Ok(tx.read(&foreign))));
    assert!(text.contains(&format!("{here:?}")) && text.contains(&format!("{there:?}")), "{text}");
    let text = panic_text(|| here.atomically(|_| Ok(mine.load())));
    assert!(text.matches("tests.rs:").count() == 2, "both call sites: {text}");
    let text = panic_text(|| here.atomically(|tx| tx.retry::<()>()));
    assert!(text.starts_with("tvar: futile retry"), "{text}");
    let text = panic_text(|| {
        let mut stolen = None;
        let mut steal = |tx: &RefTx<'_>| {
            stolen = tx.retry::<()>().err();
            Ok(())
        };
        there.atomically(|tx| tx.or_else(&mut steal, |_| Ok(())));
        here.atomically(|_| stolen.take().map_or(Ok(()), Err));
    });
    assert!(text.starts_with("tvar: foreign stop"), "{text}");
    let text = panic_text(|| {
        here.try_atomically(|tx| {
            let _ = tx.abort::<(), _>("gone");
            Ok::<_, RefAbort<&str>>(())
        })
    });
    assert!(text.starts_with("tvar: swallowed abort"), "{text}");
}

#[test]
fn a_swallowed_retry_still_retries() {
    // §2.6
    let var = RefVar::new_in(&RefSpace::new(), 0);
    let chosen = var.space().atomically(|tx| {
        tx.or_else(
            |tx| {
                let _ = tx.retry::<()>();
                Ok(1)
            },
            |_| Ok(2),
        )
    });
    assert_eq!(chosen, 2);
}
