//! §1.3: a variable without handles gives its slot and value back by itself. Whoever has the slot
//! next starts from its own initial value, in every snapshot, and nobody conflicts or wakes.

mod common;

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;

use common::{Census, elsewhere, many, settle, ticks};
use tvar::hooks::{self, Point};
use tvar::{Space, TVar};

/// Commits often enough that pending clearings of slots have been carried along.
fn churn(space: &Space) {
    ticks(space, 500);
}

#[test]
fn s1_3_a_variable_that_was_never_written_goes_with_its_last_handle() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, census.value(1));
    let same = var.clone();
    drop(var);
    assert_eq!(census.live(), 1);
    drop(same);
    assert_eq!(census.live(), 0);
}

#[test]
fn s1_3_the_value_of_a_written_variable_goes_after_its_last_handle() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, census.value(1));
    var.store(census.value(2));
    drop(var);
    settle(&space, || census.live() == 0);
}

#[test]
fn s1_3_values_of_dropped_variables_do_not_pile_up() {
    let (space, census) = (Space::new(), Census::new());
    let mut most = 0;
    for id in 0..many(100_000) as u64 {
        let var = TVar::new_in(&space, census.value(id));
        var.store(census.value(id));
        most = most.max(census.live());
    }
    assert!(most <= 2_000, "{most} alive at once");
    settle(&space, || census.live() == 0);
}

/// Made by one thread, dropped by another.
#[test]
fn s1_3_variables_dropped_by_other_threads_do_not_pile_up() {
    let (space, census) = (Space::new(), Census::new());
    let (send, receive) = mpsc::sync_channel(16);
    let most = thread::scope(|scope| {
        let dropper = scope.spawn(|| {
            let mut most = 0;
            for var in receive {
                drop(var);
                most = most.max(census.live());
            }
            most
        });
        for id in 0..20_000 {
            let var = TVar::new_in(&space, census.value(id));
            var.store(census.value(id));
            send.send(var).expect("the dropper runs");
        }
        drop(send);
        dropper.join().expect("the dropper")
    });
    assert!(most <= 4_000, "{most} alive at once");
    settle(&space, || census.live() == 0);
}

/// A snapshot that is older than the variable knows nothing of the slot's former owner.
#[test]
fn s1_3_an_old_snapshot_reads_the_initial_value_of_a_recycled_slot() {
    let space = Space::new();
    let mut snapshots = Vec::new();
    let mut kept: Vec<(usize, TVar<String>, TVar<i64>)> = Vec::new();
    for round in 0..40 {
        // Occupies slots with numbers and texts, keeps a snapshot that shows them, gives them up.
        let numbers: Vec<_> = (0..100).map(|n| TVar::new_in(&space, n)).collect();
        let texts: Vec<_> = (0..100).map(|n: i32| TVar::new_in(&space, n.to_string())).collect();
        numbers.iter().for_each(|var| var.store(-1));
        texts.iter().for_each(|var| var.store("former".into()));
        snapshots.push(space.snapshot());
        drop((numbers, texts));
        churn(&space);
        for n in 0..5 {
            let text = TVar::new_in(&space, format!("initial {round} {n}"));
            let number = TVar::new_in(&space, round);
            // Older snapshots, before and after the first write.
            for snapshot in &snapshots {
                assert_eq!(*snapshot.read(&text), format!("initial {round} {n}"));
                assert_eq!(*snapshot.read(&number), round);
            }
            if n % 2 == 0 {
                text.store("written".into());
                number.store(1_000);
            }
            kept.push((snapshots.len(), text, number));
        }
        for (index, (since, text, number)) in kept.iter().enumerate() {
            for snapshot in &snapshots[..*since] {
                assert!(snapshot.read(text).starts_with("initial"));
                assert_eq!(*snapshot.read(number), index as i64 / 5);
            }
            let written = index % 5 % 2 == 0;
            assert_eq!(text.load() == "written", written);
            assert_eq!(number.load() == 1_000, written);
        }
        if round % 10 == 9 {
            snapshots.drain(..5);
            kept.iter_mut().for_each(|(since, _, _)| *since = since.saturating_sub(5));
        }
    }
}

/// The same for a running attempt that began before the slot changed hands.
#[test]
fn s1_3_a_running_attempt_reads_the_initial_value_of_a_recycled_slot() {
    let space = Space::new();
    for round in 0..20 {
        let former: Vec<_> = (0..200).map(|n| TVar::new_in(&space, n)).collect();
        former.iter().for_each(|var| var.store(-1_i64));
        let former = RefCell::new(former);
        let seen = space.atomically(|tx| {
            tx.read(&former.borrow()[0]);
            let former = former.take();
            let fresh: Vec<TVar<String>> = elsewhere(|| {
                drop(former);
                churn(&space);
                (0..200)
                    .map(|n| {
                        let var = TVar::new_in(&space, format!("initial {n}"));
                        var.store("written".into());
                        var
                    })
                    .collect()
            });
            Ok(fresh.iter().map(|var| tx.read(var).clone()).collect::<Vec<_>>())
        });
        churn(&space);
        assert!((0..).zip(&seen).all(|(n, text)| *text == format!("initial {n}")), "{round}");
    }
}

/// What the attempt wrote to a variable whose handles are all gone lands nowhere else.
#[test]
fn s1_3_a_write_to_a_variable_that_was_dropped_in_the_attempt_lands_nowhere() {
    let space = Space::new();
    let census = Census::new();
    let mut strings = Vec::new();
    for round in 0..30 {
        let number = RefCell::new(Some(TVar::new_in(&space, 0_i64)));
        let counted = RefCell::new(Some(TVar::new_in(&space, census.value(0))));
        if let Some(var) = number.borrow().as_ref() {
            var.store(1);
        }
        let made = space.atomically(|tx| {
            let number = number.borrow_mut().take().expect("the first run");
            let counted = counted.borrow_mut().take().expect("the first run");
            tx.modify(&number, |n| n - 1_000);
            tx.write(&counted, census.value(1));
            if round % 2 == 0 {
                drop((number, counted));
            } else {
                elsewhere(|| drop((number, counted)));
            }
            // Whoever takes slots now must not get those two.
            let mut made: Vec<_> = (0..20).map(|n| TVar::new_in(&space, format!("own {n}"))).collect();
            made.extend(elsewhere(|| {
                churn(&space);
                (20..200)
                    .map(|n| {
                        let var = TVar::new_in(&space, String::new());
                        var.store(format!("own {n}"));
                        var
                    })
                    .collect::<Vec<_>>()
            }));
            Ok(made)
        });
        strings.push(made);
        churn(&space);
        for made in &strings {
            assert!((0..).zip(made).all(|(n, var)| var.load() == format!("own {n}")));
        }
    }
    settle(&space, || census.live() == 0);
}

/// The same in an attempt that read the variable: the read is judged by its own slot.
#[test]
fn s1_3_a_read_of_a_variable_that_was_dropped_in_the_attempt() {
    let space = Space::new();
    let written = TVar::new_in(&space, 0);
    for foreign_write in [false, true] {
        let mut handle = Some(TVar::new_in(&space, 5));
        let same = handle.clone().filter(|_| foreign_write);
        let mut runs = 0;
        space.atomically(|tx| {
            runs += 1;
            if let Some(var) = handle.take() {
                let n = *tx.read(&var);
                tx.write(&written, n);
                drop(var);
                elsewhere(|| {
                    if let Some(same) = &same {
                        same.store(6);
                    }
                    churn(&space);
                });
            }
            Ok(())
        });
        assert_eq!(runs, if foreign_write { 2 } else { 1 });
    }
}

#[test]
fn s1_3_reclaiming_never_makes_a_transaction_conflict() {
    let space = Space::new();
    let var = TVar::new_in(&space, 0);
    let text = TVar::new_in(&space, String::new());
    let mut runs = 0;
    for round in 0..20 {
        let neighbours: Vec<_> = (0..500).map(|n| TVar::new_in(&space, n)).collect();
        neighbours.iter().for_each(|var| var.store(-1));
        let neighbours = RefCell::new(Some(neighbours));
        space.atomically(|tx| {
            runs += 1;
            let n = *tx.read(&var);
            tx.read(&text);
            let neighbours = neighbours.borrow_mut().take();
            elsewhere(|| {
                drop(neighbours);
                churn(&space);
                let again: Vec<_> = (0..500).map(|n| TVar::new_in(&space, n)).collect();
                again.iter().for_each(|var| var.store(-2));
            });
            tx.write(&var, n + 1);
            tx.write(&text, format!("{round}"));
            Ok(())
        });
    }
    assert_eq!((runs, var.load(), text.load()), (20, 20, "19".into()));
    assert_eq!(space.stats().conflicts, 0);
}

#[test]
fn s1_3_reclaiming_never_wakes_a_waiter() {
    let space = Space::new();
    let neighbours: Vec<_> = (0..100).map(|n| TVar::new_in(&space, n)).collect();
    let var = TVar::new_in(&space, 0);
    let (parked, is_parked) = mpsc::channel();
    thread::scope(|scope| {
        let (space, var) = (&space, &var);
        let waiter = scope.spawn(move || {
            let _guard = hooks::on_this_thread(move |point| {
                if point == Point::Park {
                    let _ = parked.send(());
                }
            });
            let mut runs = 0;
            let seen = space.atomically(|tx| {
                runs += 1;
                tx.check(*tx.read(var) != 0)?;
                Ok(*tx.read(var))
            });
            (runs, seen)
        });
        is_parked.recv().expect("the waiter parks");
        let before = space.stats().wakeups;
        neighbours.iter().for_each(|var| var.store(-1));
        drop(neighbours);
        for _ in 0..10 {
            churn(space);
            let more: Vec<_> = (0..500).map(|n| TVar::new_in(space, n)).collect();
            more.iter().for_each(|var| var.store(-1));
        }
        let wakeups = space.stats().wakeups - before;
        let waiters = var.waiters();
        var.store(9);
        assert_eq!(waiter.join().expect("the waiter"), (2, 9));
        assert_eq!((wakeups, waiters), (0, 1));
    });
}

/// A kept snapshot does not keep slots from being reused, and does not show the new owner.
#[test]
fn s1_3_slots_are_reused_behind_a_kept_snapshot() {
    let (space, census) = (Space::new(), Census::new());
    let old = TVar::new_in(&space, census.value(0));
    old.store(census.value(1));
    let snapshot = space.snapshot();
    let mut most = 0;
    for id in 0..5_000 {
        let var = TVar::new_in(&space, census.value(id));
        var.store(census.value(id));
        assert_eq!(snapshot.read(&var).id, id);
        most = most.max(census.live());
    }
    assert!(most <= 2_000, "{most} alive at once");
    // The newest value of the old variable, and nothing else.
    settle(&space, || census.live() == 1);
    assert_eq!(snapshot.read(&old).id, 1);
}

/// Variables of differing types on two threads, made and dropped all the time.
#[test]
fn s1_3_recycling_under_two_threads() {
    let space = Space::new();
    let shared = TVar::new_in(&space, 0_usize);
    let rounds = many(20_000);
    thread::scope(|scope| {
        for _ in 0..2 {
            let (space, shared) = (&space, &shared);
            scope.spawn(move || {
                let mut kept = Vec::new();
                for round in 0..rounds {
                    let text = TVar::new_in(space, format!("initial {round}"));
                    let number = TVar::new_in(space, round);
                    space.atomically(|tx| {
                        tx.modify(shared, |n| n + 1);
                        if round % 3 != 0 {
                            tx.modify(&text, |text| format!("{text}!"));
                            tx.modify(&number, |n| n + 1);
                        }
                        Ok(())
                    });
                    kept.push((round, text, number));
                    if kept.len() > 30 {
                        let (round, text, number) = kept.swap_remove(round % 30);
                        let more = usize::from(round % 3 != 0);
                        assert_eq!(number.load(), round + more);
                        assert_eq!(text.load(), format!("initial {round}{}", &"!"[..more]));
                    }
                }
            });
        }
        for _ in 0..200 {
            let snapshot = space.snapshot();
            let var = TVar::new_in(&space, "fresh");
            assert_eq!((*snapshot.read(&var), var.load()), ("fresh", "fresh"));
            var.store("written");
            assert_eq!((*snapshot.read(&var), var.load()), ("fresh", "written"));
        }
    });
    assert_eq!(shared.load(), 2 * rounds);
}

/// The diff of two snapshots does not take a recycled slot's new owner for changed, whether the
/// former one was last written before the older snapshot or after it.
#[test]
fn s1_3_a_recycled_slot_in_a_diff() {
    for write_after in [false, true] {
        let space = Space::new();
        let former: Vec<_> = (0..300).map(|n| TVar::new_in(&space, n)).collect();
        former.iter().for_each(|var| var.store(-1));
        let older = space.snapshot();
        if write_after {
            former.iter().for_each(|var| var.store(-2));
        }
        drop(former);
        churn(&space);
        let fresh: Vec<_> = (0..600).map(|n: i32| TVar::new_in(&space, n.to_string())).collect();
        fresh[299].store("written".into());
        let newer = space.snapshot();
        let diff = older.diff(&newer);
        for (n, var) in fresh.iter().enumerate() {
            assert_eq!(diff.changed(var), n == 299, "{n}");
            let expected = if n == 299 { "written".into() } else { n.to_string() };
            assert_eq!((older.read(var), newer.read(var)), (&n.to_string(), &expected));
        }
    }
}
