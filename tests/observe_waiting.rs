//! §7.2, §3.7: `Space::waiting` lists who waits, for what, and since when.

#![allow(clippy::unit_arg, reason = "`Ok(tx.write(...))` is a whole closure")]

mod blocking_common;
mod common;
mod locks_common;
mod observe_common;

use blocking_common::{FAR, Paused, Waiter, eventually, join};
use locks_common::{Actor, Event, in_line};
use observe_common::{V, labelled, name, vars};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;
use tvar::hooks::Point;
use tvar::{LockMode, Space, TMap, TOrdMap, TVar};

/// `who: variables`, with `< whom, whom` for a lock; in the order of the listing.
fn waiting(space: &Space) -> Vec<String> {
    let line = |wait: tvar::Waiting| {
        let behind = wait
            .behind
            .map_or(String::new(), |all| format!(" < {}", all.iter().map(name).collect::<Vec<_>>().join(", ")));
        format!("{}: {}{behind}", name(&wait.who), wait.variables.join(", "))
    };
    space.waiting().into_iter().map(line).collect()
}

/// A thread that waits under this label until the variable is positive.
#[track_caller]
fn asleep(space: &Space, label: &'static str, v: &V) -> thread::JoinHandle<()> {
    let before = space.stats().parked;
    let (options, v) = (labelled(space, label), v.clone());
    let thread = thread::spawn(move || options.run(|tx| tx.check(*tx.read(&v) > 0)).unwrap());
    eventually("it sleeps", || space.stats().parked > before);
    thread
}

fn poll_once<T>(future: &mut Pin<Box<impl Future<Output = T> + ?Sized>>) -> bool {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn s7_2_threads_and_tasks_in_a_retry_the_longest_wait_first() {
    let space = Space::new();
    let [a, b] = vars(&space, ["a", "b"]);
    assert!(space.waiting().is_empty());
    let first = asleep(&space, "first", &a);
    let mut task = Box::pin(labelled(&space, "task").run_async(|tx| tx.check(*tx.read(&b) > *tx.read(&a))));
    assert!(!poll_once(&mut task));
    let third = asleep(&space, "third", &b);
    assert_eq!(waiting(&space), ["first: a", "task: a, b", "third: b"]);
    let waits = space.waiting();
    assert!(waits.windows(2).all(|pair| pair[0].waited >= pair[1].waited));
    assert!(waits.iter().all(|wait| wait.behind.is_none()));
    a.store(1);
    join("the first wakes", first);
    eventually("it is not listed", || waiting(&space).len() == 2);
    assert_eq!(waiting(&space), ["task: a, b", "third: b"]);
    drop(task);
    assert_eq!(waiting(&space), ["third: b"]);
    b.store(1);
    join("the third wakes", third);
    assert!(space.waiting().is_empty());
}

#[test]
fn s7_2_maps_variables_without_a_name_and_calls_without_a_label() {
    let space = Space::new();
    let (hash, ordered) =
        (TMap::<u64, i64>::named_in(&space, "hash"), TOrdMap::<u64, i64>::named_in(&space, "ordered"));
    let v = TVar::new_in(&space, 0);
    let mut future = Box::pin(space.atomically_async(|tx| {
        tx.check(hash.get(tx, &1).is_some() && *tx.read(&v) == 0 || ordered.range(tx, 1..).count() > 0)
    }));
    assert!(!poll_once(&mut future));
    let wait = space.waiting().pop().unwrap();
    assert_eq!(wait.variables, ["hash", "ordered"]);
    let text = wait.to_string();
    assert!(text.starts_with("`Space::atomically_async` at tests/observe_waiting.rs:"), "{text}");
    assert!(text.contains(" has waited ") && text.ends_with(" in retry for `hash`, `ordered`"), "{text}");
    drop(future);
    let mut watch = Box::pin(v.watch());
    let mut item = Box::pin(watch.next());
    assert!(poll_once(&mut item));
    drop(item);
    assert!(space.waiting().is_empty(), "nobody polls");
    let mut item = Box::pin(watch.next());
    assert!(!poll_once(&mut item));
    let wait = space.waiting().pop().unwrap();
    assert_eq!((wait.who.function, wait.variables[0].starts_with("variable #")), ("TVar::watch", true));
}

#[test]
fn s7_2_the_text_of_many_variables_and_of_none() {
    let space = Space::new();
    let all: Vec<V> = (0..20).map(|n| TVar::named_in(&space, format!("v{n}"), 0)).collect();
    let mut many = Box::pin(labelled(&space, "many").run_async(|tx| tx.check(all.iter().any(|v| *tx.read(v) > 0))));
    assert!(!poll_once(&mut many));
    let wait = space.waiting().pop().unwrap();
    let mut names: Vec<_> = (0..20).map(|n| format!("v{n}")).collect();
    let text = wait.to_string();
    let shown = wait.variables.iter().take(8).map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ");
    assert!(text.ends_with(&format!("in retry for {shown} and 12 more")), "{text}");
    let mut listed = wait.variables;
    listed.sort();
    names.sort();
    assert_eq!(listed, names);
    drop(many);
    let mut none = Box::pin(labelled(&space, "none").run_async(|tx| tx.retry_for(FAR)));
    assert!(!poll_once(&mut none));
    let wait = space.waiting().pop().unwrap();
    assert_eq!((wait.variables.len(), space.waiters()), (0, 1));
    let text = wait.to_string();
    assert!(
        text.starts_with("`none` (TxOptions::run_async at ") && text.ends_with(" in retry for its deadline"),
        "{text}"
    );
    drop(none);
    assert!(space.waiting().is_empty());
}

#[test]
fn s7_2_lock_waits_with_who_is_in_the_way() {
    let space = Space::new();
    let [a, b] = locks_common::vars(&space, ["a", "b"]);
    let (one, two) = (Actor::start(&space, "one"), Actor::start(&space, "two"));
    one.lock(&a, LockMode::Shared);
    two.lock(&a, LockMode::Shared);
    let three = Actor::start(&space, "three");
    three.want(&a, LockMode::Exclusive);
    in_line(&space, 1);
    let four = Actor::start(&space, "four");
    four.want(&a, LockMode::Shared);
    in_line(&space, 2);
    // §5.3: a commit that writes stands in the same line.
    let five = Actor::start(&space, "five");
    five.write(&a, 5);
    five.end();
    in_line(&space, 3);
    let six = Actor::start(&space, "six");
    six.lock(&b, LockMode::Exclusive);
    let seven = Actor::start(&space, "seven");
    seven.want(&b, LockMode::Shared);
    in_line(&space, 4);
    let expected = ["three: a < one, two", "four: a < three", "five: a < one, two, three, four", "seven: b < six"];
    assert_eq!(waiting(&space), expected);
    // One in a retry, which began last.
    let [c] = locks_common::vars(&space, ["c"]);
    let mut last = Box::pin(labelled(&space, "last").run_async(|tx| tx.check(*tx.read(&c) > 0)));
    assert!(!poll_once(&mut last));
    assert_eq!(waiting(&space).last().unwrap(), "last: c");
    drop(last);
    let text = space.waiting()[0].to_string();
    let (from, to) = text.split_once(" to lock `a`, behind ").unwrap_or_else(|| panic!("{text}"));
    assert!(from.starts_with("`three` (TxOptions::run at ") && from.contains(") has waited "), "{text}");
    assert!(to.starts_with("`one` (TxOptions::run at ") && to.contains(") and `two` (TxOptions::run at "), "{text}");
    six.commit();
    assert_eq!(seven.event(), Event::Done(0));
    one.commit();
    two.commit();
    assert_eq!(three.event(), Event::Done(0));
    assert_eq!(waiting(&space), ["four: a < three", "five: a < three, four"]);
    three.commit();
    assert_eq!(four.event(), Event::Done(0));
    four.commit();
    assert_eq!(five.ended(), Ok(()));
    seven.commit();
    assert!(space.waiting().is_empty());
}

/// §5.5: keys and ranges by the map's name.
#[test]
fn s7_2_lock_waits_for_keys() {
    let space = Space::new();
    let map = TOrdMap::<u64, i64>::named_in(&space, "map");
    let holder = Actor::start(&space, "holder");
    let held = map.clone();
    holder.ask(move |tx| held.lock_key(tx, &7, LockMode::Exclusive).map(|()| 0));
    let waits = Actor::start(&space, "waits");
    waits.tell(move |tx| map.lock_key(tx, &7, LockMode::Shared).map(|()| 0));
    in_line(&space, 1);
    let all = waiting(&space);
    assert!(all[0].starts_with("waits: map key ") && all[0].ends_with(" < holder"), "{all:?}");
    holder.commit();
    assert_eq!(waits.event(), Event::Done(0));
    waits.commit();
}

#[test]
fn s3_7_after_wake_timeout_and_cancel_nothing_is_listed() {
    let space = Space::new();
    let [v, w] = vars(&space, ["v", "w"]);
    let short = labelled(&space, "short").timeout(Duration::from_millis(1));
    assert!(short.run(|tx| tx.check(*tx.read(&v) > *tx.read(&w))).unwrap_err().is_timeout());
    assert!(space.waiting().is_empty());
    let late = futures::executor::block_on(short.run_async(|tx| tx.check(*tx.read(&v) > *tx.read(&w))));
    assert!(late.unwrap_err().is_timeout());
    assert!(space.waiting().is_empty());
    space.atomically(|tx| {
        tx.lock(&v, LockMode::Exclusive)?;
        let timed_out = common::elsewhere(|| short.run(|tx| tx.lock(&v, LockMode::Shared)));
        assert!(timed_out.unwrap_err().is_timeout());
        let gave_up = common::elsewhere(|| space.atomically(|tx| tx.lock_for(&v, LockMode::Shared, Duration::ZERO)));
        Ok(assert!(!gave_up && space.waiting().is_empty()))
    });
    let task = Paused::at(Point::Register, {
        let (space, v) = (space.clone(), v.clone());
        move || {
            let mut future = Box::pin(space.atomically_async(|tx| tx.check(*tx.read(&v) > 0)));
            poll_once(&mut future)
        }
    });
    assert_eq!(waiting(&space), ["Space::atomically_async: v"], "about to sleep");
    task.finish();
    assert!(space.waiting().is_empty(), "dropped");
}

/// The list shows where each of very many waits.
#[test]
fn s7_2_a_thousand_waiters() {
    let space = Space::new();
    let all: Vec<V> = (0..50).map(|n| TVar::named_in(&space, format!("v{n}"), 0)).collect();
    let mut tasks: Vec<_> = (0..1000)
        .map(|n| {
            let (v, w) = (&all[n % 50], &all[(n + 1) % 50]);
            Box::pin(space.options().label(format!("task {n}")).run_async(|tx| tx.check(*tx.read(v) > *tx.read(w))))
        })
        .collect();
    assert!(tasks.iter_mut().all(|task| !poll_once(task)));
    let waits = space.waiting();
    assert_eq!(waits.len(), 1000);
    for (n, wait) in waits.iter().enumerate() {
        assert_eq!(wait.who.label.as_deref(), Some(format!("task {n}").as_str()), "in the order of their beginnings");
        let mut expected = [format!("v{}", n % 50), format!("v{}", (n + 1) % 50)];
        expected.sort();
        let mut listed = wait.variables.clone();
        listed.sort();
        assert_eq!(listed, expected);
    }
    drop(tasks.split_off(500));
    assert_eq!(space.waiting().len(), 500);
    drop(tasks);
    assert!(space.waiting().is_empty());
}

/// Listing while others sleep, wake and commit: nobody is held up, no wake-up is lost, and every line is one that makes sense.
#[test]
fn s7_2_listing_holds_up_nobody() {
    let space = Space::new();
    let [ball] = vars(&space, ["ball"]);
    let rounds = common::many(20_000) as i64;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let lister = scope.spawn(|| {
            let mut seen = 0;
            while !stop.load(Ordering::Relaxed) {
                for wait in space.waiting() {
                    assert_eq!((wait.variables.as_slice(), wait.behind), (&["ball".to_string()][..], None));
                    seen += 1;
                }
            }
            seen
        });
        let players: Vec<_> = (0..2)
            .map(|player| {
                let (space, ball) = (&space, &ball);
                scope.spawn(move || {
                    for n in 0..rounds {
                        let turn = |tx: &tvar::Tx<'_>| {
                            tx.check(*tx.read(ball) == 2 * n + player)?;
                            Ok(tx.modify(ball, |n| n + 1))
                        };
                        labelled(space, "player").run(turn).unwrap();
                    }
                })
            })
            .collect();
        for player in players {
            player.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
        lister.join().unwrap();
    });
    assert_eq!(ball.load(), 2 * rounds);
    assert!(space.waiting().is_empty());
}

/// W4: who lists inside a transaction may have to wake tasks for a commit that found a list taken; that is the executor's code, which may run
/// transactions.
#[test]
fn s3_6_wakers_run_outside_the_transaction_that_lists() {
    struct Commits {
        wakes: V,
        panics: AtomicU64,
    }
    impl Wake for Commits {
        fn wake(self: Arc<Self>) {
            let store = std::panic::AssertUnwindSafe(|| self.wakes.update(|n| n + 1));
            if std::panic::catch_unwind(store).is_err() {
                self.panics.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let wakes = TVar::new_in(&Space::new(), 0);
    let commits = Arc::new(Commits { wakes, panics: AtomicU64::new(0) });
    let waker = Waker::from(commits.clone());
    let mut cx = Context::from_waker(&waker);
    let mut tasks: Vec<_> =
        (0..200).map(|_| Box::pin(space.atomically_async(|tx| tx.check(*tx.read(&v) < 0)))).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for which in 0..2 {
            let (space, v, stop) = (&space, &v, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    space.atomically(|_| Ok(if which == 0 { drop(space.waiting()) } else { _ = v.waiters() }));
                }
            });
        }
        for n in 0..common::many(3_000) as i64 {
            tasks.iter_mut().for_each(|task| assert!(task.as_mut().poll(&mut cx).is_pending()));
            v.store(n);
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(tasks);
    assert_eq!(commits.panics.load(Ordering::SeqCst), 0, "of {} wake-ups", commits.wakes.load());
}

/// A wait that ends between the look at its lists and the report, and sleepers that are woken for nothing.
#[test]
fn s7_2_a_wake_up_for_nothing_is_the_same_wait() {
    let space = Space::new();
    let [v] = vars(&space, ["v"]);
    let waiter = {
        let v = v.clone();
        Waiter::closed(&space, move |tx| Ok(*tx.read(&v)))
    };
    let first = space.waiting().pop().unwrap();
    let [other] = vars(&space, ["other"]);
    (0..100).for_each(|n| other.store(n));
    let second = space.waiting().pop().unwrap();
    assert_eq!((&first.who, &first.variables), (&second.who, &second.variables));
    assert!(second.waited >= first.waited);
    waiter.open();
    v.store(1);
    waiter.finish("it wakes");
}
