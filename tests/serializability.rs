//! §1.4 and §2.2: the anomalies that a strictly serialisable transaction excludes. Every
//! interleaving is forced by a foreign commit at a chosen place of the attempt.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use common::{at_first, elsewhere, many};
use tvar::hooks::{self, Point};
use tvar::{Space, TVar, Tx};

fn vars<const N: usize>(initial: [i64; N]) -> (Space, [TVar<i64>; N]) {
    let space = Space::new();
    let vars = initial.map(|n| TVar::new_in(&space, n));
    (space, vars)
}

#[test]
fn s2_2_lost_update() {
    let (space, [var]) = vars([0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&var);
        if runs == 1 {
            elsewhere(|| var.store(5));
        }
        tx.write(&var, n + 1);
        Ok(())
    });
    assert_eq!((runs, var.load()), (2, 6));
    let stats = space.stats();
    assert_eq!((stats.commits, stats.conflicts), (2, 1));
}

/// Every point of the attempt at which the foreign commit may come.
#[test]
fn s2_2_lost_update_at_every_point() {
    for (point, expected_runs) in
        [(Point::Begin, 2), (Point::Read, 2), (Point::Validate, 2), (Point::Swap, 2), (Point::Swapped, 1)]
    {
        for boxed in [false, true] {
            let space = Space::new();
            let number = TVar::new_in(&space, 0_i64);
            let text = TVar::new_in(&space, String::from("0"));
            let foreign = (number.clone(), text.clone());
            let guard = at_first(point, move || {
                if boxed {
                    foreign.1.update(|text| text.clone() + "f");
                } else {
                    foreign.0.update(|n| n + 100);
                }
            });
            let mut runs = 0;
            space.atomically(|tx| {
                runs += 1;
                if boxed {
                    tx.modify(&text, |text| text.clone() + "o");
                } else {
                    // An explicit read, so that every point is passed.
                    let n = *tx.read(&number);
                    tx.write(&number, n + 1);
                }
                Ok(())
            });
            drop(guard);
            if boxed {
                // `modify` need not pass `Read`.
                if point != Point::Read {
                    assert_eq!(runs, expected_runs, "{point:?}");
                    let swapped = point == Point::Swapped;
                    assert_eq!(text.load(), if swapped { "0of" } else { "0fo" });
                }
            } else {
                assert_eq!((runs, number.load()), (expected_runs, 101), "{point:?}");
            }
        }
    }
}

/// The value goes from A to B and back to A in another box.
#[test]
fn s2_2_a_boxed_value_that_went_and_came_back_is_a_change() {
    let space = Space::new();
    let var = TVar::new_in(&space, String::from("A"));
    let other = TVar::new_in(&space, 0);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let length = tx.read(&var).len();
        if runs == 1 {
            elsewhere(|| {
                var.store("B".into());
                var.store("A".into());
            });
        }
        tx.write(&other, length);
        Ok(())
    });
    assert_eq!(runs, 2);
}

#[test]
fn s2_2_write_skew() {
    // At least one of two doctors stays on call.
    let (space, [a, b]) = vars([1, 1]);
    let leave = |me: &TVar<i64>, during: &dyn Fn(u32)| {
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            let on_call = *tx.read(&a) + *tx.read(&b);
            during(runs);
            if on_call > 1 {
                tx.write(me, 0);
            }
            Ok(())
        });
        runs
    };
    let runs = leave(&a, &|run| {
        if run == 1 {
            assert_eq!(elsewhere(|| leave(&b, &|_| ())), 1);
        }
    });
    assert_eq!((runs, a.load(), b.load()), (2, 1, 0));
}

/// Reads made by operations other than `read` count as reads.
#[test]
fn s2_2_every_reading_operation_is_validated() {
    type Reading = fn(&Tx<'_>, &TVar<i64>);
    let operations: [(&str, Reading); 7] = [
        ("read", |tx, var| {
            tx.read(var);
        }),
        ("modify", |tx, var| tx.modify(var, |n| n + 1)),
        ("replace", |tx, var| {
            tx.replace(var, 1);
        }),
        ("write_if_changed, unchanged", |tx, var| {
            assert_eq!(tx.write_if_changed(var, 0), tx.attempt() > 1);
        }),
        ("write_if_changed, changed", |tx, var| {
            assert!(tx.write_if_changed(var, 1));
        }),
        ("ensure", |tx, var| tx.ensure(var)),
        ("read after a write", |tx, var| {
            tx.replace(var, 5);
            tx.read(var);
        }),
    ];
    for (name, operation) in operations {
        let (space, [var, other]) = vars([0, 0]);
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            operation(tx, &var);
            if runs == 1 {
                elsewhere(|| var.store(100));
            }
            tx.write(&other, runs);
            Ok(())
        });
        assert_eq!((runs, other.load()), (2, 2), "{name}");
    }
}

/// A cycle of three, each reading what the next one writes.
#[test]
fn s2_2_a_cycle_of_three_anti_dependencies() {
    let (space, [a, b, c]) = vars([0, 0, 0]);
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let seen = *tx.read(&b);
        if runs == 1 {
            elsewhere(|| {
                space.atomically(|tx| {
                    let seen = *tx.read(&c);
                    tx.write(&b, seen + 1);
                    Ok(())
                });
                space.atomically(|tx| {
                    let seen = *tx.read(&a);
                    tx.write(&c, seen + 1);
                    Ok(())
                });
            });
        }
        tx.write(&a, seen + 1);
        Ok(())
    });
    // As if in the order: b, c, a.
    assert_eq!((runs, a.load(), b.load(), c.load()), (2, 2, 1, 1));
}

/// The anomaly of a read-only transaction under snapshot isolation.
#[test]
fn s2_2_a_read_only_transaction_sees_a_state_of_the_serial_order() {
    let (space, [checking, savings]) = vars([0, 0]);
    let mut seen = (0, 0);
    let mut runs = 0;
    // Withdraws 10 with a fee of 1 if that overdraws both accounts together.
    space.atomically(|tx| {
        runs += 1;
        let total = *tx.read(&checking) + *tx.read(&savings);
        if runs == 1 {
            elsewhere(|| savings.update(|n| n + 20));
            seen = elsewhere(|| space.atomically(|tx| Ok((*tx.read(&checking), *tx.read(&savings)))));
        }
        let fee = i64::from(total < 10);
        tx.modify(&checking, |n| n - 10 - fee);
        Ok(())
    });
    // The report saw the deposit without the withdrawal, so the withdrawal comes after it: no fee.
    assert_eq!((seen, runs), ((0, 20), 2));
    assert_eq!((checking.load(), savings.load()), (-10, 20));
}

/// Two readers never see two independent writes in different orders.
#[test]
fn s2_2_long_fork() {
    let (space, [x, y]) = vars([0, 0]);
    let rounds = many(20_000) as i64;
    let running = AtomicUsize::new(2);
    let seen = thread::scope(|scope| {
        for var in [&x, &y] {
            let running = &running;
            scope.spawn(move || {
                for n in 1..=rounds {
                    var.store(n);
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let readers = [(&x, &y), (&y, &x)].map(|(first, second)| {
            let (space, running) = (&space, &running);
            let reader = move || {
                let mut seen = Vec::new();
                loop {
                    let last = running.load(Ordering::SeqCst) == 0;
                    let pair = space.atomically(|tx| Ok((*tx.read(first), *tx.read(second))));
                    if seen.last() != Some(&pair) {
                        seen.push(pair);
                    }
                    if last {
                        return seen;
                    }
                }
            };
            scope.spawn(reader)
        });
        readers.map(|reader| reader.join().expect("a reader"))
    });
    let [forward, backward] = seen;
    let mut all: Vec<_> = forward;
    all.extend(backward.into_iter().map(|(y, x)| (x, y)));
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].1), "a fork");
    assert_eq!(all.last(), Some(&(rounds, rounds)));
}

/// Real time: what committed before a call began is seen by it, on every thread.
#[test]
fn s1_4_a_call_sees_everything_that_committed_before_it_began() {
    let (space, [x, y]) = vars([0, 0]);
    let (send, receive) = mpsc::channel();
    let (back, answer) = mpsc::channel();
    thread::scope(|scope| {
        let (space, x, y) = (&space, &x, &y);
        scope.spawn(move || {
            for n in receive {
                space.atomically(|tx| {
                    assert_eq!((*tx.read(x), *tx.read(y)), (n, n - 1));
                    tx.write(y, n);
                    Ok(())
                });
                let snapshot = space.snapshot();
                assert_eq!((*snapshot.read(x), *snapshot.read(y)), (n, n));
                back.send(()).expect("the test runs");
            }
        });
        for n in 1..=500 {
            x.store(n);
            send.send(n).expect("the partner runs");
            answer.recv().expect("the partner runs");
            assert_eq!(space.atomically(|tx| Ok(*tx.read(y))), n);
        }
        drop(send);
    });
}

/// A re-run starts from a snapshot that holds what made it re-run.
#[test]
fn s1_4_a_re_run_sees_the_commit_that_it_lost_to() {
    let (space, [var, other]) = vars([0, 0]);
    let mut seen = Vec::new();
    space.atomically(|tx| {
        let n = *tx.read(&var);
        seen.push((n, *tx.read(&other)));
        if n < 3 {
            elsewhere(|| {
                space.atomically(|tx| {
                    tx.modify(&var, |n| n + 1);
                    tx.modify(&other, |n| n - 1);
                    Ok(())
                });
            });
        }
        tx.write(&var, n + 10);
        Ok(())
    });
    assert_eq!(seen, [(0, 0), (1, -1), (2, -2), (3, -3)]);
}

/// Opacity: an attempt that is already doomed still sees one snapshot only.
#[test]
fn s1_4_a_doomed_attempt_sees_one_snapshot() {
    let space = Space::new();
    // The sum of all is always zero.
    let all: Vec<_> = (0..200).map(|_| TVar::new_in(&space, 0_i64)).collect();
    let text = TVar::new_in(&space, String::from("0"));
    let shift = |by: i64| {
        space.atomically(|tx| {
            for pair in all.chunks(2) {
                tx.modify(&pair[0], |n| n + by);
                tx.modify(&pair[1], |n| n - by);
            }
            let first = tx.read(&all[0]).to_string();
            tx.write(&text, first);
            Ok(())
        });
    };
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let first = *tx.read(&all[0]);
        let mut sum = 0;
        for (index, var) in all.iter().enumerate() {
            if runs <= 2 && index % 50 == 10 {
                elsewhere(|| shift(1));
            }
            // The whole way through: own reads agree with the first one.
            assert_eq!(tx.read(var).abs(), first);
            sum += tx.read(var);
            if index == 20 {
                tx.modify(&all[1], |n| n - 1);
                tx.modify(&all[1], |n| n + 1);
            }
            if index % 70 == 30 {
                let alternative = tx.or_else(
                    |tx| {
                        assert_eq!(tx.read(&all[199]).abs(), first);
                        if runs <= 2 {
                            elsewhere(|| shift(1));
                        }
                        tx.retry()
                    },
                    |tx| Ok(tx.read(&all[198]).abs()),
                )?;
                assert_eq!(alternative, first);
                let part = tx.nested(|tx| Ok::<_, tvar::Abort<()>>(*tx.read(&all[100])))?;
                assert_eq!(part, Ok(first));
            }
        }
        assert_eq!(sum, 0);
        assert_eq!(tx.read(&text), &first.to_string());
        tx.write(&text, first.to_string());
        Ok(())
    });
    assert_eq!(runs, 3);
}

/// Opacity beside a writer that never pauses: no closure ever sees two halves.
#[test]
fn s1_4_no_closure_ever_sees_two_halves() {
    let (space, [x, y, log]) = vars([0, 0, 0]);
    let rounds = many(20_000) as i64;
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..rounds {
                space.atomically(|tx| {
                    tx.modify(&x, |n| n + 1);
                    tx.modify(&y, |n| n - 1);
                    Ok(())
                });
            }
        });
        loop {
            let seen = space.atomically(|tx| {
                let seen = *tx.read(&x);
                assert_eq!(seen, -*tx.read(&y));
                tx.write(&log, seen);
                assert_eq!(seen, *tx.read(&x));
                Ok(seen)
            });
            let snapshot = space.snapshot();
            assert_eq!(*snapshot.read(&x), -*snapshot.read(&y));
            if seen == rounds {
                break;
            }
        }
    });
    assert_eq!(log.load(), rounds);
}

/// A foreign commit after each single read of the first attempt.
#[test]
fn s1_4_foreign_commits_between_all_reads() {
    let (space, all) = vars([0; 4]);
    let theirs = all.clone();
    let mut left = 3;
    let guard = hooks::on_this_thread(move |point| {
        if point == Point::Read && left > 0 {
            left -= 1;
            let theirs = theirs.clone();
            let foreign = move || {
                theirs[0].space().atomically(|tx| {
                    theirs.iter().for_each(|var| tx.modify(var, |n| n + 1));
                    Ok(())
                });
            };
            thread::spawn(foreign).join().expect("the foreign commit");
        }
    });
    let seen = space.atomically(|tx| Ok(all.each_ref().map(|var| *tx.read(var))));
    drop(guard);
    assert_eq!(seen, [0; 4]);
    assert_eq!(all.each_ref().map(TVar::load), [3; 4]);
}

/// Counters under two threads: every increment counts, whatever the interleaving.
#[test]
fn s2_2_transfers_keep_the_total() {
    let space = Space::new();
    let accounts: Vec<_> = (0..8).map(|_| TVar::new_in(&space, 100_i64)).collect();
    let rounds = many(20_000);
    thread::scope(|scope| {
        for seed in [1_usize, 5] {
            let (space, accounts) = (&space, &accounts);
            scope.spawn(move || {
                let mut state = seed;
                for _ in 0..rounds {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (from, to) = (state >> 40 & 7, state >> 50 & 7);
                    space.atomically(|tx| {
                        tx.modify(&accounts[from], |n| n - 1);
                        tx.modify(&accounts[to], |n| n + 1);
                        Ok(())
                    });
                }
            });
        }
        for _ in 0..500 {
            let snapshot = space.snapshot();
            assert_eq!(accounts.iter().map(|a| snapshot.read(a)).sum::<i64>(), 800);
        }
    });
    assert_eq!(accounts.iter().map(TVar::load).sum::<i64>(), 800);
}
