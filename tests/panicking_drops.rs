//! §1.7: a destructor that panics is caught and undoes nothing, wherever it runs.

mod common;

use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use common::{Census, Counted, elsewhere, settle, ticks};
use tvar::hooks::{self, Point};
use tvar::{Space, TOrdMap, TVar};

/// A value whose destructor panics when told to.
struct Bomb {
    armed: bool,
    _counted: Counted,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.armed {
            // Without the message that `panic!` prints.
            std::panic::resume_unwind(Box::new("bomb"));
        }
    }
}

fn bomb(census: &Census, armed: bool) -> Bomb {
    Bomb { armed, _counted: census.value(0) }
}

#[test]
fn s1_7_a_destructor_that_panics_undoes_nothing() {
    let (space, census) = (Space::new(), Census::new());
    let vars: Vec<_> = (0..10).map(|n| TVar::new_in(&space, bomb(&census, n % 2 == 0))).collect();
    let number = TVar::new_in(&space, 0);
    let log = Rc::new(Cell::new(0));
    for round in 1..=20 {
        let committed = log.clone();
        space.atomically(|tx| {
            for (n, var) in vars.iter().enumerate() {
                tx.write(var, bomb(&census, (n + round) % 2 == 0));
            }
            tx.modify(&number, |n| n + 1);
            let committed = committed.clone();
            tx.on_commit(move || committed.set(committed.get() + 1));
            Ok(())
        });
        assert_eq!((number.load(), log.get()), (round, round));
    }
    ticks(&space, 2);
    // Panics kept no other value from being dropped.
    assert_eq!(census.live(), vars.len());
    let armed: Vec<_> = {
        let snapshot = space.snapshot();
        vars.iter().map(|var| snapshot.read(var).armed).collect()
    };
    assert_eq!(armed.iter().filter(|armed| **armed).count(), 5);
    vars.iter().for_each(|var| var.store(bomb(&census, false)));
    ticks(&space, 2);
    assert_eq!(census.live(), vars.len());
}

#[test]
fn s1_7_a_destructor_that_panics_when_a_snapshot_is_dropped() {
    let (space, census) = (Space::new(), Census::new());
    let vars: Vec<_> = (0..10).map(|_| TVar::new_in(&space, bomb(&census, true))).collect();
    let snapshot = space.snapshot();
    vars.iter().for_each(|var| var.store(bomb(&census, false)));
    ticks(&space, 2);
    assert_eq!(census.live(), 20);
    drop(snapshot);
    assert_eq!(census.live(), 10);
}

#[test]
fn s1_7_a_destructor_that_panics_at_thread_exit() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, bomb(&census, true));
    elsewhere(|| var.store(bomb(&census, false)));
    assert_eq!(census.live(), 1);
}

#[test]
fn s1_7_a_destructor_that_panics_when_an_attempt_is_undone() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, bomb(&census, false));
    let number = TVar::new_in(&space, 0);
    let result = space.try_atomically(|tx| {
        tx.write(&var, bomb(&census, true));
        tx.abort::<(), _>("the error")
    });
    assert_eq!(result, Err("the error"));
    let mut runs = 0;
    space.atomically(|tx| {
        runs += 1;
        let n = *tx.read(&number);
        if runs == 1 {
            elsewhere(|| number.store(5));
            tx.write(&var, bomb(&census, true));
        }
        tx.write(&number, n + 1);
        Ok(())
    });
    assert_eq!((runs, number.load()), (2, 6));
    // Superseded within the attempt.
    space.atomically(|tx| {
        tx.modify(&var, |_| bomb(&census, true));
        tx.modify(&var, |_| bomb(&census, true));
        tx.modify(&var, |_| bomb(&census, false));
        tx.modify(&number, |n| n + 1);
        Ok(())
    });
    ticks(&space, 2);
    assert_eq!((census.live(), number.load()), (1, 7));
}

/// While a panic of the closure is on its way already: no abort of the process.
#[test]
fn s1_7_a_destructor_that_panics_while_the_closure_panics() {
    let (space, census) = (Space::new(), Census::new());
    let var = TVar::new_in(&space, bomb(&census, false));
    let message = common::panic_message(|| {
        space.atomically(|tx| -> tvar::Stm<()> {
            tx.write(&var, bomb(&census, true));
            tx.write(&var, bomb(&census, true));
            panic!("the closure's own")
        })
    });
    assert_eq!((message.as_str(), census.live()), ("the closure's own", 1));
}

#[test]
fn s1_7_a_destructor_that_panics_in_the_middle_of_a_chain() {
    struct Node {
        next: Option<TVar<Node>>,
        bomb: Bomb,
    }
    for written in [false, true] {
        let (space, census) = (Space::new(), Census::new());
        let mut head: Option<TVar<Node>> = None;
        for n in 0..1_000 {
            let node = Cell::new(Some(Node { next: head.take(), bomb: bomb(&census, n % 100 == 50) }));
            head = Some(if written {
                let var = TVar::new_in(&space, Node { next: None, bomb: bomb(&census, false) });
                space.atomically(|tx| {
                    tx.write(&var, node.take().expect("the first run"));
                    Ok(())
                });
                var
            } else {
                TVar::new_in(&space, node.take().expect("a node"))
            });
        }
        let head = head.expect("a head");
        assert!(!space.snapshot().read(&head).bomb.armed);
        assert!(space.snapshot().read(&head).next.is_some());
        // Whether a user's own dropping of a handle reports the panic is not the point here.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(head)));
        settle(&space, || census.live() == 0);
    }
}

thread_local!(static KEYS_PANIC: Cell<bool> = const { Cell::new(false) });

/// A key whose destructor runs a transaction, and then panics at times.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BadKey(u64);

impl Drop for BadKey {
    fn drop(&mut self) {
        if KEYS_PANIC.replace(false) {
            TVar::new(0).update(|n| n + 1);
            std::panic::resume_unwind(Box::new("key"));
        }
    }
}

/// A map, a key of it, and a variable that somebody waits for.
fn bad_map(space: &Space) -> (TOrdMap<BadKey, u64>, BadKey, TVar<bool>) {
    (TOrdMap::with_entries_in(space, [(BadKey(1), 10)]), BadKey(1), TVar::new_in(space, false))
}

/// What a sleeper has of the keys that it has read goes when it wakes: the call goes on.
#[test]
fn s1_7_a_key_that_panics_after_a_sleep() {
    let space = Space::new();
    let (map, key, gate) = bad_map(&space);
    let theirs = gate.clone();
    let guard = hooks::on_this_thread(move |point| match point {
        Point::Register => {
            elsewhere(|| theirs.store(true));
            KEYS_PANIC.set(true);
        }
        Point::Begin => assert!(!KEYS_PANIC.get(), "its keys have gone"),
        _ => {}
    });
    let mut runs = 0;
    let found = space.atomically(|tx| {
        runs += 1;
        let found = map.get(tx, &key).copied();
        tx.check(*tx.read(&gate))?;
        Ok(found)
    });
    drop(guard);
    assert_eq!((found, runs, space.waiters()), (Some(10), 2, 0));
}

/// And when the call has failed, or was dropped.
#[test]
fn s1_7_a_key_that_panics_at_the_end_of_a_wait() {
    let space = Space::new();
    let (map, key, gate) = bad_map(&space);
    let guard = hooks::on_this_thread(|point| KEYS_PANIC.set(point == Point::Register));
    let result = space.options().timeout(Duration::from_millis(1)).run(|tx| {
        map.get(tx, &key);
        tx.check(*tx.read(&gate))
    });
    drop(guard);
    assert!(result.unwrap_err().is_timeout());
    assert!(!KEYS_PANIC.get(), "its keys have gone");
    let mut call = Box::pin(space.atomically_async(|tx| {
        map.get(tx, &key);
        tx.check(*tx.read(&gate))
    }));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    KEYS_PANIC.set(true);
    drop(call);
    assert!(!KEYS_PANIC.get(), "its keys have gone");
    assert_eq!(space.waiters(), 0);
}
