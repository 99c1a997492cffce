//! Interleavings of reclamation with commits and waits that once went wrong, forced step by step.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use tvar::hooks::{Point, on_this_thread};
use tvar::{Space, TVar, TxOptions};

/// A thread that runs one job at a time and says when it has finished.
struct Helper {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    done: mpsc::Receiver<()>,
}

impl Helper {
    fn new() -> Helper {
        let (jobs, work) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (finished, done) = mpsc::channel();
        thread::spawn(move || {
            for job in work {
                job();
                let _ = finished.send(());
            }
        });
        Helper { jobs, done }
    }

    fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.jobs.send(Box::new(job)).expect("the helper lives");
        self.done.recv().expect("the helper finished its job");
    }
}

/// §1.3, §1.4: a slot is not reused while a commit that has it in its log goes on, also after that commit has lost a swap while
/// somebody waits (which once let go of the snapshot's pin).
#[test]
fn s1_3_a_slot_in_the_log_of_a_losing_commit_is_not_reused() {
    let space = Space::new();
    let gate = TVar::new_in(&space, false);
    let waiter = {
        let (space, gate) = (space.clone(), gate.clone());
        thread::spawn(move || space.atomically(|tx| tx.check(*tx.read(&gate))))
    };
    while space.waiters() == 0 {
        thread::yield_now();
    }
    let victim = TVar::new_in(&space, String::from("initial"));
    victim.store(String::from("written, so that the log keeps no handle"));
    let last = Arc::new(Mutex::new(Some(victim.clone())));
    let other = TVar::new_in(&space, 0u64);
    let helper = Rc::new(Helper::new());
    let newcomers = Arc::new(Mutex::new(Vec::new()));

    let guard = {
        let (helper, space, other) = (helper.clone(), space.clone(), other.clone());
        let (last, newcomers) = (last.clone(), newcomers.clone());
        let swaps = Cell::new(0);
        on_this_thread(move |point| {
            if point != Point::Swap {
                return;
            }
            swaps.set(swaps.get() + 1);
            let (space, other) = (space.clone(), other.clone());
            let (last, newcomers) = (last.clone(), newcomers.clone());
            match swaps.get() {
                // The last handle goes, and the swap is lost.
                1 => helper.run(move || {
                    drop(last.lock().expect("no panic").take());
                    other.update(|n| n + 1);
                }),
                // Commits enough for many vacuums, then variables of another type.
                2 => helper.run(move || {
                    (0..400).for_each(|_| other.update(|n| n + 1));
                    newcomers.lock().expect("no panic").extend((0..400u64).map(|n| TVar::new_in(&space, n)));
                }),
                _ => {}
            }
        })
    };
    let mine = RefCell::new(Some(victim));
    space.atomically(|tx| {
        let victim = mine.borrow_mut().take().expect("one attempt suffices");
        tx.write(&victim, String::from("from the attempt"));
        drop(victim);
        // The base of the commit will be newer than the snapshot.
        let other = other.clone();
        helper.run(move || other.update(|n| n + 1));
        Ok(())
    });
    drop(guard);
    let snapshot = space.snapshot();
    for (n, newcomer) in newcomers.lock().expect("no panic").iter().enumerate() {
        assert_eq!(*snapshot.read(newcomer), n as u64);
    }
    gate.store(true);
    waiter.join().expect("the waiter woke");
}

/// §3.4: a variable of another space that dies in the attempt does not make a wait futile, though it has the same number.
#[test]
fn s3_4_a_variable_that_died_in_another_space_is_another_variable() {
    let (a, b) = (Space::new(), Space::new());
    let go = TVar::new_in(&a, false);
    let waiter = {
        let (a, go) = (a.clone(), go.clone());
        thread::spawn(move || {
            let mut other = Some(TVar::new_in(&b, 1));
            a.atomically(|tx| {
                drop(other.take());
                tx.check(*tx.read(&go))
            });
        })
    };
    while a.waiters() == 0 && !waiter.is_finished() {
        thread::yield_now();
    }
    go.store(true);
    waiter.join().expect("woken, not refused");
}

/// A value whose end commits.
struct Commits(TVar<u32>);

impl Drop for Commits {
    fn drop(&mut self) {
        self.0.update(|n| n + 1);
    }
}

/// §4.3, §4.4: a destructor that commits does not wait for the turn of its own transaction.
#[test]
fn s4_4_destructors_inside_a_turn_may_commit() {
    for superseded_inside in [true, false] {
        let space = Space::new();
        let ends = TVar::new_in(&space, 0u32);
        let contended = TVar::new_in(&space, 0u32);
        let value = TVar::new_in(&space, None);
        value.store(Some(Commits(ends.clone())));
        let helper = Helper::new();
        let done = TxOptions::new().space(&space).escalate_after(1).run(|tx| {
            let n = *tx.read(&contended);
            if tx.attempt() == 1 {
                let contended = contended.clone();
                helper.run(move || contended.store(5));
            } else if superseded_inside {
                tx.write(&value, Some(Commits(ends.clone())));
            }
            tx.write(&value, None);
            Ok(n)
        });
        assert_eq!(done, Ok(5));
        assert_eq!(ends.load(), if superseded_inside { 2 } else { 1 });
        assert_eq!(space.stats().escalations, 1);
    }
}

/// A panic whose payload panics when it is dropped.
struct Bomb(bool);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 {
            std::panic::panic_any(Bomb(false));
        }
        assert!(std::thread::panicking() || self.0, "a payload that panics, too");
    }
}

/// §2.8, §3.2: a panic in the end of a discarded value stays there, and so does one in the end of that panic's payload: the
/// alternative is taken, and the thread knows that a transaction is running.
#[test]
fn s3_2_panics_in_discarded_values_stay_there() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0);
    let hidden = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let taken = space.atomically(|tx| {
        tx.or_else(
            |tx| {
                tx.read(&v);
                let _ = tx.retry::<()>();
                Ok(Some(Bomb(true)))
            },
            |_| Ok(None),
        )?;
        Ok(std::panic::catch_unwind(|| TVar::new(1).load()).is_err())
    });
    std::panic::set_hook(hidden);
    assert!(taken, "a call inside the transaction is still refused");
}
