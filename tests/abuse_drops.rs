//! §4.3, §1.7: destructors at the worst moments: while a panic unwinds, at the exit of a thread that has panicked, in the middle of other
//! destructors' vacuums, asleep until another thread commits.

mod blocking_common;
mod common;

use std::cell::{Cell, RefCell};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use blocking_common::{eventually, join};
use common::{Census, Counted, panic_of, settle, ticks};
use tvar::{Abort, Snapshot, Space, Stm, TVar, Tx};

/// A value whose destructor runs transactions, whether a panic unwinds or not.
struct Busy {
    log: TVar<usize>,
    unwinding: TVar<usize>,
    _counted: Counted,
}

struct Office {
    space: Space,
    log: TVar<usize>,
    /// Those of them that ended while a panic unwound.
    unwinding: TVar<usize>,
    census: Census,
}

impl Office {
    fn new() -> Office {
        let space = Space::new();
        let [log, unwinding] = [(); 2].map(|()| TVar::new_in(&space, 0));
        Office { space, log, unwinding, census: Census::new() }
    }

    fn value(&self) -> Busy {
        Busy { log: self.log.clone(), unwinding: self.unwinding.clone(), _counted: self.census.value(0) }
    }

    /// A variable whose value was never written, or was.
    fn var(&self, written: bool) -> TVar<Busy> {
        let var = TVar::new_in(&self.space, self.value());
        if written {
            var.store(self.value());
        }
        var
    }

    /// Everything has ended, and each destructor has come to its end.
    #[track_caller]
    fn close(self) {
        settle(&self.space, || self.census.live() == 0);
        assert_eq!(self.log.load(), self.census.dropped());
        assert_eq!((self.space.waiters(), self.space.locks().len()), (0, 0));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let space = self.log.space();
        let scratch = TVar::new_in(&space, String::new());
        space.atomically(|tx| {
            tx.modify(&self.log, |n| n + 1);
            tx.modify(&self.unwinding, |n| n + usize::from(thread::panicking()));
            tx.write(&scratch, "written".into());
            Ok(())
        });
        assert_eq!(*space.snapshot().read(&scratch), "written");
    }
}

/// The last handles, and a snapshot, end with the closure's own locals, while its panic is on its way through the attempt.
#[test]
fn s4_3_last_handles_that_end_while_the_closures_panic_unwinds() {
    for written in [false, true] {
        for part in [false, true] {
            let office = Office::new();
            let kept = office.var(true);
            let snapshot = office.space.snapshot();
            kept.store(office.value());
            let locals = Cell::new(Some((office.var(written), office.var(written), snapshot)));
            let payload = panic_of(|| {
                office.space.try_atomically(|tx| -> Result<(), Abort<()>> {
                    let panics = |tx: &Tx<'_>| -> Result<(), Abort<()>> {
                        let (a, b, _snapshot): (TVar<Busy>, TVar<Busy>, Snapshot) = locals.take().expect("one attempt");
                        tx.write(&a, office.value());
                        assert!(tx.read(&b).log.ptr_eq(&office.log));
                        resume_unwind(Box::new("planned"))
                    };
                    if part {
                        let _never = tx.nested(panics)?;
                    }
                    panics(tx)
                })
            });
            assert_eq!(payload.downcast_ref(), Some(&"planned"));
            drop(kept);
            assert!(written || office.unwinding.load() > 0, "some of them end on the way");
            office.close();
        }
    }
}

thread_local!(static KEPT: RefCell<Vec<Box<dyn std::any::Any>>> = const { RefCell::new(Vec::new()) });

/// A thread that ends by a panic leaves values in its limbo, in its thread-locals, and in its locals.
#[test]
fn s4_3_a_thread_that_panics() {
    for early in [false, true] {
        for inside in [false, true] {
            let office = Arc::new(Office::new());
            let shared = office.var(true);
            let theirs = (office.clone(), shared.clone());
            let died = thread::spawn(move || {
                let (office, shared) = theirs;
                if early {
                    KEPT.with_borrow_mut(Vec::clear);
                }
                let snapshot = office.space.snapshot();
                shared.store(office.value());
                let own = [office.var(false), office.var(true)];
                KEPT.with_borrow_mut(|kept| {
                    kept.push(Box::new(own[1].clone()));
                    kept.push(Box::new(office.var(true)));
                    kept.push(Box::new((office.space.snapshot(), snapshot)));
                });
                shared.store(office.value());
                if inside {
                    office.space.atomically(|tx| -> Stm<()> {
                        tx.write(&own[0], office.value());
                        resume_unwind(Box::new("planned"))
                    });
                }
                resume_unwind(Box::new("planned"))
            });
            let payload: Box<dyn std::any::Any + Send> = died.join().map(|()| unreachable!()).unwrap_err();
            assert_eq!(payload.downcast_ref(), Some(&"planned"));
            drop(shared);
            Arc::into_inner(office).expect("it has ended").close();
        }
    }
}

/// A value whose destructor replaces others of its kind, which runs vacuums inside a vacuum, on several threads.
#[test]
fn s4_3_vacuums_inside_vacuums() {
    struct Ripple {
        shared: Arc<Vec<TVar<Option<Ripple>>>>,
        left: usize,
        ended: Arc<AtomicUsize>,
    }
    impl Ripple {
        fn next(&self) -> Option<Ripple> {
            let left = self.left.checked_sub(1)?;
            Some(Ripple { shared: self.shared.clone(), left, ended: self.ended.clone() })
        }
    }
    impl Drop for Ripple {
        fn drop(&mut self) {
            let at = self.ended.fetch_add(1, Ordering::SeqCst);
            // Two of them, with fewer left each time; what was there goes, and does the same.
            for at in [at, at + 3] {
                let var = &self.shared[at % self.shared.len()];
                let kept = var.space().snapshot();
                let next = Cell::new(self.next());
                var.space().atomically(|tx| {
                    if let Some(next) = next.take() {
                        tx.write(var, Some(next));
                    }
                    Ok(())
                });
                drop(kept);
            }
        }
    }
    let space = Space::new();
    let shared: Arc<Vec<_>> = Arc::new((0..7).map(|_| TVar::new_in(&space, None)).collect());
    let ended = Arc::new(AtomicUsize::new(0));
    thread::scope(|scope| {
        for at in 0..4 {
            let (shared, ended) = (&shared, &ended);
            scope.spawn(move || {
                for round in 0..10 {
                    let ripple = Ripple { shared: shared.clone(), left: 5, ended: ended.clone() };
                    shared[(at + round) % 7].store(Some(ripple));
                }
            });
        }
    });
    // A ripple with 5 left makes two with 4 and so on: 2^6 - 1, however they are interleaved.
    let all = 40 * 63;
    settle(&space, || {
        shared.iter().for_each(|var| var.store(None));
        ended.load(Ordering::SeqCst) == all
    });
    ticks(&space, 50);
    assert_eq!(ended.load(Ordering::SeqCst), all);
}

/// A value whose destructor sleeps until another thread commits.
struct Patient {
    gate: TVar<bool>,
    ended: TVar<usize>,
}

impl Drop for Patient {
    fn drop(&mut self) {
        self.gate.space().atomically(|tx| {
            tx.check(*tx.read(&self.gate))?;
            tx.modify(&self.ended, |n| n + 1);
            Ok(())
        });
    }
}

type Way = fn(&Space, &dyn Fn() -> Patient);

/// Ways to end such values, and how many each of them ends.
const WAYS: [(Way, usize); 6] = [
    // Replaced: at the end of the commit.
    (|space, value| TVar::new_in(space, value()).store(value()), 2),
    // With a snapshot.
    (
        |space, value| {
            let var = TVar::new_in(space, value());
            let snapshot = space.snapshot();
            var.store(value());
            drop(var);
            ticks(space, 3);
            drop(snapshot);
        },
        2,
    ),
    // Inside an attempt, which goes on.
    (
        |space, value| {
            let var = Cell::new(Some(TVar::new_in(space, value())));
            let other = TVar::new_in(space, 0);
            space.atomically(|tx| {
                tx.modify(&other, |n| n + 1);
                drop(var.take());
                tx.modify(&other, |n| n + 1);
                Ok(())
            });
            assert_eq!(other.load(), 2);
        },
        1,
    ),
    // Superseded in an attempt.
    (
        |space, value| {
            let var = TVar::new_in(space, value());
            space.atomically(|tx| {
                tx.write(&var, value());
                tx.write(&var, value());
                Ok(())
            });
        },
        3,
    ),
    // Undone, in a part and as a whole.
    (
        |space, value| {
            let var = TVar::new_in(space, value());
            let aborted = space.try_atomically(|tx| {
                let part = tx.nested(|tx| {
                    tx.write(&var, value());
                    tx.abort::<(), _>("part")
                })?;
                assert_eq!(part, Err("part"));
                tx.write(&var, value());
                tx.abort::<(), _>("whole")
            });
            assert_eq!(aborted, Err("whole"));
        },
        3,
    ),
    // At the exit of the thread.
    (
        |space, value| {
            KEPT.with_borrow_mut(|kept| kept.push(Box::new(TVar::new_in(space, value()))));
        },
        1,
    ),
];

/// While it sleeps nobody is held up: others commit, take snapshots, make variables, and replace values themselves.
#[test]
fn s4_3_a_destructor_that_sleeps_holds_up_nobody() {
    for (way, (end, values)) in WAYS.into_iter().enumerate() {
        let space = Space::new();
        let (gate, ended) = (TVar::new_in(&space, false), TVar::new_in(&space, 0));
        let theirs = (space.clone(), gate.clone(), ended.clone());
        let sleeper = thread::spawn(move || {
            let (space, gate, ended) = theirs;
            end(&space, &|| Patient { gate: gate.clone(), ended: ended.clone() });
            settle(&space, || ended.load() + 1 >= values);
        });
        eventually("a destructor sleeps", || gate.waiters() == 1);
        let census = Census::new();
        let var = TVar::new_in(&space, census.value(0));
        for id in 1..100 {
            let snapshot = space.snapshot();
            var.store(census.value(id));
            assert_eq!(snapshot.read(&var).id, id - 1);
        }
        ticks(&space, 100);
        assert_eq!((gate.waiters(), ended.load()), (1, 0), "way {way}");
        gate.store(true);
        join("the destructors end", sleeper);
        settle(&space, || ended.load() == values && census.live() == 1);
        assert_eq!(space.waiters(), 0);
    }
}
