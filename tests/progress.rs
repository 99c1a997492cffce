//! §4.1: a thread stopped at any point holds up no commit and no read.

mod blocking_common;

use std::sync::atomic::Ordering;
use std::thread;

use blocking_common::{Counted, Paused, Waiter, elsewhere, eventually, join, live_count, settle, strike_at};
use tvar::hooks::Point;
use tvar::{Isolation, Space, TVar, TxOptions};

/// Where a writer that loses its first attempt to a conflict passes.
const WRITER: [Point; 6] = [Point::Begin, Point::Read, Point::Validate, Point::Swap, Point::Swapped, Point::Restart];

/// Where a waiter passes.
const SLEEPER: [Point; 4] = [Point::Register, Point::Park, Point::Wake, Point::Restart];

/// Adds one, with a read that passes the points.
fn increment(space: &Space, v: &TVar<i64>) {
    space.atomically(|tx| {
        let x = *tx.read(v);
        tx.write(v, x + 1);
        Ok(())
    });
}

/// A full day's work for the other threads of a space.
fn others_work(space: &Space, x: &TVar<i64>, y: &TVar<i64>, bumps: i64) {
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (space, x, y) = (space.clone(), x.clone(), y.clone());
            thread::spawn(move || {
                let own = TVar::new_in(&space, 0i64);
                let text = TVar::new_in(&space, String::new());
                for i in 0..bumps {
                    space.atomically(|tx| {
                        let seen = *tx.read(&x);
                        tx.write(&x, seen + 1);
                        tx.modify(&y, |y| y + 1);
                        Ok(())
                    });
                    own.store(i + 1);
                    text.update(|t| t.clone() + "x");
                    let snap = space.snapshot();
                    assert!(snap.read(&x) >= &(i + 1));
                    assert!(space.atomically(|tx| Ok(*tx.read(&x) - *tx.read(&y))) >= -1);
                }
                assert_eq!(own.load(), bumps);
                assert_eq!(text.load().len(), bumps as usize);
            })
        })
        .collect();
    for worker in threads {
        join("others work beside a stopped thread", worker);
    }
    // Waking works, too.
    let door = TVar::new_in(space, 0i64);
    let mine = door.clone();
    let waiter = Waiter::asleep(space, move |tx| tx.check(*tx.read(&mine) != 0));
    elsewhere(move || door.store(1));
    assert_eq!(waiter.finish("woken beside a stopped thread"), ((), 2));
}

/// §4.1: others commit to and read the same variables while a writer stands still at any point.
#[test]
fn a_stopped_writer_holds_up_nobody() {
    for point in WRITER {
        let space = Space::new();
        let x = TVar::new_in(&space, 0i64);
        let y = TVar::new_in(&space, 0i64);
        let (sx, sy, s) = (x.clone(), y.clone(), space.clone());
        let stopped = Paused::at(point, move || {
            s.atomically(|tx| {
                let seen = *tx.read(&sx);
                if tx.attempt() == 1 && point == Point::Restart {
                    let rival = sx.clone();
                    elsewhere(move || rival.update(|x| x + 100));
                }
                tx.write(&sx, seen + 1);
                tx.write(&sy, *tx.read(&sy) + 1);
                Ok(())
            });
        });
        others_work(&space, &x, &y, 50);
        stopped.finish();
        let extra = if point == Point::Restart { 100 } else { 0 };
        assert_eq!((x.load(), y.load()), (101 + extra, 101), "{point:?}");
    }
}

/// §4.1: the same with a stopped waiter; what is committed meanwhile wakes it.
#[test]
fn a_stopped_waiter_holds_up_nobody() {
    for point in SLEEPER {
        let space = Space::new();
        let x = TVar::new_in(&space, 0i64);
        let y = TVar::new_in(&space, 0i64);
        let bell = TVar::new_in(&space, 0i64);
        let (sx, sb, s) = (x.clone(), bell.clone(), space.clone());
        let stopped = Paused::soon_at(point, move || {
            s.atomically(|tx| {
                tx.check(*tx.read(&sb) != 0)?;
                Ok(*tx.read(&sx))
            })
        });
        if [Point::Wake, Point::Restart].contains(&point) {
            eventually("sleeps", || space.stats().parked == 1);
            bell.store(1);
        }
        stopped.reached();
        others_work(&space, &x, &y, 50);
        bell.store(2);
        assert_eq!(stopped.finish(), 100, "{point:?}");
        assert_eq!((space.waiters(), bell.waiters()), (0, 0), "{point:?}");
    }
}

/// §4.1: the same with a blind writer, under snapshot isolation, in a merge.
#[test]
fn other_stopped_writers_hold_up_nobody() {
    for point in [Point::Begin, Point::Validate, Point::Swap, Point::Swapped] {
        for kind in 0..3 {
            let space = Space::new();
            let x = TVar::new_in(&space, 0i64);
            let y = TVar::new_in(&space, 0i64);
            let blind = TVar::new_in(&space, 0i64);
            let (sy, sb, s) = (y.clone(), blind.clone(), space.clone());
            let stopped = Paused::soon_at(point, move || {
                let isolation = [Isolation::Serializable, Isolation::Snapshot][kind % 2];
                let options = TxOptions::new().space(&s).isolation(isolation);
                options.run(|tx| {
                    tx.write(&sb, 7);
                    if kind == 2 {
                        tx.merge(&sy, |y| y + 1);
                    }
                    Ok(())
                })
            });
            // A blind write may have nothing to validate and pass that point by.
            if point != Point::Validate {
                stopped.reached();
            }
            others_work(&space, &x, &y, 20);
            assert_eq!(stopped.finish(), Ok(()));
            assert_eq!(blind.load(), 7);
            let merged = if kind == 2 { 41 } else { 40 };
            assert_eq!((x.load(), y.load()), (40, merged), "{point:?} {kind}");
        }
    }
}

/// §4.1: one thread stopped at each point at the same time.
#[test]
fn stopped_everywhere_at_once() {
    let space = Space::new();
    let x = TVar::new_in(&space, 0i64);
    let y = TVar::new_in(&space, 0i64);
    let bell = TVar::new_in(&space, 0i64);
    let mut writers = Vec::new();
    for point in WRITER.into_iter().filter(|p| *p != Point::Restart) {
        let (sx, sy, s) = (x.clone(), y.clone(), space.clone());
        writers.push(Paused::at(point, move || {
            s.atomically(|tx| {
                tx.modify(&sx, |x| x + 1);
                tx.modify(&sy, |y| y + 1);
                assert_eq!(tx.read(&sx), tx.read(&sy));
                Ok(())
            });
        }));
    }
    let mut sleepers = Vec::new();
    for point in [Point::Register, Point::Park] {
        let (sb, s) = (bell.clone(), space.clone());
        sleepers.push(Paused::at(point, move || {
            s.atomically(|tx| tx.check(*tx.read(&sb) != 0));
        }));
    }
    others_work(&space, &x, &y, 50);
    bell.store(1);
    for writer in writers {
        writer.finish();
    }
    for sleeper in sleepers {
        sleeper.finish();
    }
    assert_eq!((x.load(), y.load()), (105, 105));
    assert_eq!(space.waiters(), 0);
}

/// §4.1: the wake-up that a committer owes is delivered by whoever commits next, whatever that writes.
#[test]
fn an_owed_wake_up_is_delivered_by_the_next_committer() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let unrelated = TVar::new_in(&space, 0i64);
    let mine = v.clone();
    let waiter = Waiter::asleep(&space, move |tx| {
        let x = *tx.read(&mine);
        tx.check(x != 0)?;
        Ok(x)
    });
    let writer = v.clone();
    let committer = Paused::at(Point::Swapped, move || writer.store(3));
    elsewhere(move || unrelated.store(1));
    assert_eq!(waiter.finish("the owed wake-up comes from another"), (3, 2));
    committer.finish();
    assert_eq!((space.waiters(), v.load()), (0, 3));
}

/// §4.1: several committers owe several wake-ups; one commit pays for all.
#[test]
fn several_owed_wake_ups_are_delivered_at_once() {
    let space = Space::new();
    let vars: Vec<_> = (0..4).map(|_| TVar::new_in(&space, 0i64)).collect();
    let unrelated = TVar::new_in(&space, String::new());
    let waiters: Vec<_> = (0..8)
        .map(|i| {
            let mine = vars[i % 4].clone();
            Waiter::asleep(&space, move |tx| tx.check(*tx.read(&mine) != 0))
        })
        .collect();
    let committers: Vec<_> = vars
        .iter()
        .map(|v| {
            let writer = v.clone();
            Paused::at(Point::Swapped, move || writer.store(3))
        })
        .collect();
    elsewhere(move || unrelated.store("next".into()));
    for waiter in waiters {
        assert_eq!(waiter.finish("each owed wake-up comes"), ((), 2));
    }
    for committer in committers {
        committer.finish();
    }
    assert_eq!(space.waiters(), 0);
}

/// §4.1: paying for another does not wake those whose variable nobody wrote.
#[test]
fn owed_wake_ups_are_exact() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let quiet = TVar::new_in(&space, 0i64);
    let others: Vec<_> = (0..500).map(|_| TVar::new_in(&space, 0i64)).collect();
    let mine = quiet.clone();
    let sleeper = Waiter::asleep(&space, move |tx| tx.check(*tx.read(&mine) != 0));
    let writer = v.clone();
    let committer = Paused::at(Point::Swapped, move || writer.store(3));
    elsewhere(move || others.iter().for_each(|o| o.store(1)));
    committer.finish();
    settle();
    assert_eq!(sleeper.runs(), 1);
    quiet.store(1);
    assert_eq!(sleeper.finish("woken by its own variable"), ((), 2));
}

/// §4.1: a wake-up owed for a value that the waiter has seen already costs at most one run.
#[test]
fn an_owed_wake_up_that_comes_late_is_harmless() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let writer = v.clone();
    let committer = Paused::at(Point::Swapped, move || writer.store(1));
    let mine = v.clone();
    let waiter = Waiter::asleep(&space, move |tx| tx.check(*tx.read(&mine) == 2));
    assert_eq!(waiter.runs(), 1);
    committer.finish();
    settle();
    v.store(2);
    let ((), runs) = waiter.finish("woken by the second store");
    assert!((2..=3).contains(&runs), "{runs} runs");
}

/// §4.1: the next committer may stop at the same place; the one after it still delivers.
#[test]
fn a_chain_of_stopped_committers() {
    let space = Space::new();
    let v = TVar::new_in(&space, 0i64);
    let mine = v.clone();
    let waiter = Waiter::asleep(&space, move |tx| tx.check(*tx.read(&mine) != 0));
    let stopped: Vec<_> = (1..=5)
        .map(|i| {
            let target = if i == 1 { v.clone() } else { TVar::new_in(&space, 0) };
            Paused::at(Point::Swapped, move || target.store(i))
        })
        .collect();
    elsewhere({
        let last = TVar::new_in(&space, 0);
        move || last.store(1)
    });
    assert_eq!(waiter.finish("delivered in the end"), ((), 2));
    for committer in stopped {
        committer.finish();
    }
}

/// §4.1, §2.3: a commit beside a stopped one makes neither run again.
#[test]
fn a_stopped_committer_loses_only_its_swap() {
    for point in [Point::Validate, Point::Swap] {
        let space = Space::new();
        let mine = TVar::new_in(&space, 0i64);
        let others: Vec<_> = (0..300).map(|_| TVar::new_in(&space, 0i64)).collect();
        let (v, s) = (mine.clone(), space.clone());
        let runs = elsewhere(move || {
            let hook = strike_at(point, 3, move || {
                others.iter().for_each(|o| o.update(|x| x + 1));
            });
            let mut runs = 0;
            s.atomically(|tx| {
                runs += 1;
                tx.modify(&v, |x| x + 1);
                Ok(())
            });
            drop(hook);
            runs
        });
        assert_eq!((runs, mine.load()), (1, 1), "{point:?}");
        assert_eq!(space.stats().conflicts, 0);
    }
}

/// §4.1, §1.5: a stopped thread keeps the values of its own versions alive, not those that came after.
#[test]
fn a_stopped_thread_does_not_stop_the_vacuum() {
    for point in [Point::Begin, Point::Read, Point::Validate, Point::Swap] {
        let live = live_count();
        let space = Space::new();
        let payload = TVar::new_in(&space, Counted::new(&live, 0));
        let other = TVar::new_in(&space, 0i64);
        let (v, s) = (other.clone(), space.clone());
        let stopped = Paused::at(point, move || increment(&s, &v));
        for i in 1..500 {
            payload.store(Counted::new(&live, i));
        }
        let kept = live.load(Ordering::SeqCst);
        assert!(kept <= 4, "{kept} values live at {point:?}");
        stopped.finish();
        TVar::new_in(&space, 0).store(1);
        assert_eq!(live.load(Ordering::SeqCst), 1, "{point:?}");
    }
}

/// §4.1: two threads at a time stop at one point, a third passes them.
#[test]
fn threads_stop_and_go_in_turns() {
    let space = Space::new();
    let x = TVar::new_in(&space, 0i64);
    for round in 0..20 {
        let point = WRITER[round % 5];
        let start = || {
            let (v, s) = (x.clone(), space.clone());
            move || increment(&s, &v)
        };
        let first = Paused::at(point, start());
        let second = Paused::at(point, start());
        elsewhere(start());
        first.finish();
        second.finish();
    }
    assert_eq!(x.load(), 60);
}

/// §4.1: a stopped reader sees its own snapshot when it goes on.
#[test]
fn a_stopped_reader_goes_on_in_its_snapshot() {
    let space = Space::new();
    let a = TVar::new_in(&space, 0i64);
    let b = TVar::new_in(&space, String::from("0"));
    let (ra, rb, s) = (a.clone(), b.clone(), space.clone());
    let reader = Paused::at(Point::Read, move || {
        let mut runs = 0;
        let seen = s.atomically(|tx| {
            runs += 1;
            Ok((*tx.read(&ra), tx.read(&rb).clone()))
        });
        (seen, runs)
    });
    for i in 1..=200 {
        space.atomically(|tx| {
            tx.write(&a, i);
            tx.write(&b, i.to_string());
            Ok(())
        });
    }
    assert_eq!(reader.finish(), ((0, "0".into()), 1));
    assert_eq!(b.load(), "200");
}
