//! Stress: waiting and alternatives (§3.1 to §3.7).

mod blocking_common;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use blocking_common::crew::{Crew, Random, settles_to};
use blocking_common::{Counted, live_count};
use tvar::{Stm, TVar, Tx, TxOptions};

/// §3.1: pairs of threads that wake each other.
#[test]
fn ping_pong() {
    let mut crew = Crew::new("ping-pong");
    for _ in 0..4 {
        let ball = crew.var(0u64);
        let back = ball.clone();
        crew.spawn(move |clock, space| {
            let mut over = false;
            while !over {
                over = !clock.running();
                space.atomically(|tx| {
                    let n = *tx.read(&ball);
                    tx.check(n.is_multiple_of(2))?;
                    tx.write(&ball, if over { u64::MAX } else { n + 1 });
                    Ok(())
                });
            }
        });
        crew.spawn(move |clock, space| {
            let hit = |tx: &Tx<'_>| {
                let n = *tx.read(&back);
                if n == u64::MAX {
                    return Ok(false);
                }
                tx.check(n % 2 == 1)?;
                tx.write(&back, n + 1);
                Ok(true)
            };
            while space.atomically(hit) {
                clock.tick();
            }
        });
    }
    crew.finish();
}

/// §3.1: a token goes round; each change wakes all, and only one may go on.
#[test]
fn token_ring() {
    let mut crew = Crew::new("token ring");
    let token = crew.var(0usize);
    for me in 0..8 {
        let token = token.clone();
        crew.spawn(move |clock, space| {
            let pass = |tx: &Tx<'_>| {
                let holder = *tx.read(&token);
                if holder >= 100 {
                    return Ok(false);
                }
                tx.check(holder == me)?;
                let over = me == 0 && !clock.running();
                tx.write(&token, if over { 100 } else { (me + 1) % 8 });
                Ok(!over)
            };
            while space.atomically(pass) {
                clock.tick();
            }
        });
    }
    crew.finish();
}

/// §3.1: eight threads meet at a barrier, again and again.
#[test]
fn barrier() {
    let mut crew = Crew::new("barrier");
    let arrived = crew.var(0u64);
    let round = crew.var(0u64);
    let last = crew.var(u64::MAX);
    for me in 0..8 {
        let (arrived, round, last) = (arrived.clone(), round.clone(), last.clone());
        crew.spawn(move |clock, space| {
            for mine in 0.. {
                let stop = me == 0 && !clock.running();
                space.atomically(|tx| {
                    assert_eq!(*tx.read(&round), mine);
                    if stop {
                        tx.write(&last, mine);
                    }
                    let count = *tx.read(&arrived) + 1;
                    tx.write(&arrived, count % 8);
                    if count == 8 {
                        tx.write(&round, mine + 1);
                    }
                    Ok(())
                });
                let over = space.atomically(|tx| {
                    tx.check(*tx.read(&round) > mine)?;
                    Ok(*tx.read(&last) == mine)
                });
                clock.tick();
                if over {
                    break;
                }
            }
        });
    }
    crew.finish();
}

/// One element of a producer: who, and the how-manieth.
type Item = (usize, u64);

/// §3.1: a bounded queue in one variable; per producer the order holds, nothing is lost or doubled.
#[test]
fn bounded_queue() {
    let mut crew = Crew::new("bounded queue");
    let queue = crew.var(VecDeque::<Item>::new());
    let left = crew.var(4usize);
    let produced = Arc::new(AtomicU64::new(0));
    let consumed = Arc::new(AtomicU64::new(0));
    for me in 0..4 {
        let (queue, left, produced) = (queue.clone(), left.clone(), produced.clone());
        crew.spawn(move |clock, space| {
            let mut n = 0;
            while clock.running() {
                space.atomically(|tx| {
                    tx.check(tx.read(&queue).len() < 4)?;
                    tx.modify(&queue, |q| q.iter().copied().chain([(me, n)]).collect());
                    Ok(())
                });
                n += 1;
            }
            produced.fetch_add(n, Ordering::SeqCst);
            left.update(|l| l - 1);
        });
    }
    for _ in 0..4 {
        let (queue, left, consumed) = (queue.clone(), left.clone(), consumed.clone());
        crew.spawn(move |clock, space| {
            let mut last = [None; 4];
            loop {
                let item = space.atomically(|tx| {
                    let items = tx.read(&queue);
                    assert!(items.len() <= 4);
                    let Some(&item) = items.front() else {
                        tx.check(*tx.read(&left) == 0)?;
                        return Ok(None);
                    };
                    tx.modify(&queue, |q| q.iter().skip(1).copied().collect());
                    Ok(Some(item))
                });
                let Some((who, n)) = item else { break };
                assert!(last[who] < Some(n), "out of order");
                last[who] = Some(n);
                consumed.fetch_add(1, Ordering::SeqCst);
                clock.tick();
            }
        });
    }
    crew.finish();
    assert!(queue.load().is_empty());
    assert_eq!(consumed.load(Ordering::SeqCst), produced.load(Ordering::SeqCst));
}

/// §3.1: a bounded queue as a ring of cells; full and empty are waited on cell by cell.
#[test]
fn ring_of_cells() {
    let mut crew = Crew::new("ring of cells");
    let cells = crew.vars(4, |_| None::<u64>);
    let head = crew.var(0u64);
    let tail = crew.var(0u64);
    let sums = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    let producers = crew.var(3usize);
    for me in 0..3 {
        let (cells, tail, producers) = (cells.clone(), tail.clone(), producers.clone());
        let sum = sums[0].clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(me);
            while clock.running() {
                let value = random.next() >> 16;
                space.atomically(|tx| {
                    let at = *tx.read(&tail);
                    let cell = &cells[(at % 4) as usize];
                    tx.check(tx.read(cell).is_none())?;
                    tx.write(cell, Some(value));
                    tx.write(&tail, at + 1);
                    Ok(())
                });
                sum.fetch_add(value, Ordering::SeqCst);
            }
            producers.update(|p| p - 1);
        });
    }
    for _ in 0..5 {
        let (cells, head, producers) = (cells.clone(), head.clone(), producers.clone());
        let sum = sums[1].clone();
        crew.spawn(move |clock, space| {
            let take = |tx: &Tx<'_>| {
                let at = *tx.read(&head);
                let cell = &cells[(at % 4) as usize];
                let Some(value) = *tx.read(cell) else {
                    tx.check(*tx.read(&producers) == 0)?;
                    return Ok(None);
                };
                tx.write(cell, None);
                tx.write(&head, at + 1);
                Ok(Some(value))
            };
            while let Some(value) = space.atomically(take) {
                sum.fetch_add(value, Ordering::SeqCst);
                clock.tick();
            }
        });
    }
    crew.finish();
    assert_eq!(head.load(), tail.load());
    let [produced, consumed] = sums.map(|s| s.load(Ordering::SeqCst));
    assert_eq!(produced, consumed);
}

/// The first full box of `boxes`, from `at` on.
fn take_any(tx: &Tx<'_>, boxes: &[TVar<Option<Counted>>], at: usize) -> Stm<u64> {
    let own = |tx: &Tx<'_>| {
        let Some(letter) = tx.replace(&boxes[at], None) else {
            return tx.retry();
        };
        Ok(letter.get())
    };
    if at + 1 == boxes.len() {
        return own(tx);
    }
    tx.or_else(own, |tx| take_any(tx, boxes, at + 1))
}

/// §3.2, §1.7: letters through several boxes, taken from whichever is full; each exactly once.
#[test]
fn mail_boxes() {
    let live = live_count();
    let mut crew = Crew::new("mail boxes");
    let boxes = crew.vars(5, |_| None::<Counted>);
    let open = crew.var(4usize);
    let sums = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    for me in 0..4 {
        let (boxes, open, sum, live) = (boxes.clone(), open.clone(), sums[0].clone(), live.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(me);
            while clock.running() {
                let (value, target) = (random.next() >> 24, &boxes[random.below(5)]);
                space.atomically(|tx| {
                    tx.check(tx.read(target).is_none())?;
                    tx.write(target, Some(Counted::new(&live, value)));
                    Ok(())
                });
                sum.fetch_add(value, Ordering::SeqCst);
            }
            open.update(|o| o - 1);
        });
    }
    for me in 0..4 {
        let (boxes, open, sum) = (boxes.clone(), open.clone(), sums[1].clone());
        crew.spawn(move |clock, space| {
            let take = |tx: &Tx<'_>| {
                tx.or_else(
                    |tx| take_any(tx, &boxes, me % 2).map(Some),
                    |tx| {
                        tx.check(*tx.read(&open) == 0)?;
                        tx.or_else(|tx| take_any(tx, &boxes, 0).map(Some), |_| Ok(None))
                    },
                )
            };
            while let Some(value) = space.atomically(take) {
                sum.fetch_add(value, Ordering::SeqCst);
                clock.tick();
            }
        });
    }
    let space = crew.finish();
    let [sent, received] = sums.map(|s| s.load(Ordering::SeqCst));
    assert_eq!(sent, received);
    settles_to(&space, &live, 0);
}

/// §3.2, §3.3: exactly one of two signs is up; the right side may rely on the left one's being down.
#[test]
fn choices_are_consistent() {
    let mut crew = Crew::new("choices");
    let signs = crew.vars(2, |i| i == 0);
    let log = crew.vars(2, |_| 0u64);
    let flips = crew.var(0u64);
    for _ in 0..3 {
        let (signs, flips) = (signs.clone(), flips.clone());
        crew.spawn(move |clock, space| {
            while clock.running() {
                space.atomically(|tx| {
                    tx.modify(&signs[0], |s| !s);
                    tx.modify(&signs[1], |s| !s);
                    tx.modify(&flips, |f| f + 1);
                    Ok(())
                });
            }
        });
    }
    let wrong = crew.var(0u64);
    for _ in 0..5 {
        let (signs, log, flips, wrong) = (signs.clone(), log.clone(), flips.clone(), wrong.clone());
        crew.spawn(move |clock, space| {
            while clock.running() {
                let (side, at) = space.atomically(|tx| {
                    tx.or_else(
                        |tx| {
                            tx.write(&wrong, 1);
                            tx.check(*tx.read(&signs[0]))?;
                            tx.write(&wrong, 0);
                            tx.modify(&log[0], |x| x + 1);
                            Ok((0, *tx.read(&flips)))
                        },
                        |tx| {
                            assert!(*tx.read(&signs[1]), "both signs down");
                            assert_eq!(*tx.read(&wrong), 0);
                            tx.modify(&log[1], |x| x + 1);
                            Ok((1, *tx.read(&flips)))
                        },
                    )
                });
                assert_eq!(at % 2, side, "the choice does not fit its moment");
            }
        });
    }
    crew.finish();
    assert_eq!((wrong.load(), signs[0].load() != signs[1].load()), (0, true));
    assert!(log.iter().map(TVar::load).sum::<u64>() > 0);
}

/// §3.2: money is taken from the first of three accounts that has enough, or the call waits.
#[test]
fn first_account_with_cover() {
    let mut crew = Crew::new("cover");
    let accounts = crew.vars(9, |_| 10i64);
    let over = crew.var(false);
    for seed in 0..7 {
        let (accounts, over) = (accounts.clone(), over.clone());
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            let mut going = true;
            while going && clock.running() {
                let amount = 8 + random.below(12) as i64;
                let (a, b) = random.two_below(9);
                let (c, to) = random.two_below(9);
                let from = |i: usize| {
                    let (from, to) = (&accounts[i], &accounts[to]);
                    move |tx: &Tx<'_>| {
                        tx.modify(from, |x| x - amount);
                        tx.check(*tx.read(from) >= 0)?;
                        tx.modify(to, |x| x + amount);
                        Ok(true)
                    }
                };
                going = space.atomically(|tx| {
                    if *tx.read(&over) {
                        return Ok(false);
                    }
                    tx.or_else(from(a), |tx| tx.or_else(from(b), from(c)))
                });
            }
        });
    }
    let all = accounts.clone();
    crew.spawn(move |clock, space| {
        while clock.running() {
            let snap = space.snapshot();
            assert!(all.iter().all(|a| *snap.read(a) >= 0));
            assert_eq!(all.iter().map(|a| snap.read(a)).sum::<i64>(), 90);
        }
        over.store(true);
    });
    crew.finish();
    assert_eq!(accounts.iter().map(TVar::load).sum::<i64>(), 90);
}

/// §3.5, §3.7: short deadlines and wake-ups in a storm; no waiter stays behind.
#[test]
fn deadlines_and_wake_ups() {
    let mut crew = Crew::new("deadlines");
    let vars = crew.vars(6, |_| 0u64);
    for seed in 0..8 {
        let vars = vars.clone();
        crew.spawn(move |clock, space| {
            let mut random = Random::new(seed);
            while clock.running() {
                let (a, b) = random.two_below(6);
                let time = Duration::from_micros(random.below(800) as u64);
                match random.below(5) {
                    0 | 1 => vars[a].update(|x| x + 1),
                    2 => {
                        let before = vars[a].load();
                        space.atomically(|tx| {
                            if *tx.read(&vars[a]) == before {
                                tx.retry_for(time)?;
                            }
                            Ok(())
                        });
                    }
                    3 => {
                        let before = vars[b].load();
                        let options = TxOptions::new().space(&space).timeout(time);
                        let result = options.run(|tx| {
                            tx.or_else(
                                |tx| tx.check(*tx.read(&vars[a]) == u64::MAX),
                                |tx| tx.check(*tx.read(&vars[b]) != before),
                            )
                        });
                        assert!(result.is_ok() || result.is_err_and(|e| e.is_timeout()));
                    }
                    _ => {
                        let before = vars[a].load();
                        space.atomically(|tx| {
                            tx.or_else(
                                |tx| tx.check(*tx.read(&vars[a]) != before),
                                |tx| {
                                    tx.read(&vars[b]);
                                    tx.retry_for(time)
                                },
                            )
                        });
                    }
                }
            }
        });
    }
    crew.finish();
    assert_eq!(vars.iter().map(TVar::waiters).sum::<usize>(), 0);
}
