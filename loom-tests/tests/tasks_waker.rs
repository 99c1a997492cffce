//! The waker of a sleeping task against those who open its latch (W4): the newest waker is woken, or the task sees the latch open; and what an opener
//! has said before is seen by the look after the latch was closed again.
//! Bound: 3 preemptions; one task, polled with one waker and then with another, and one or two openers.
#![cfg(tvar_loom)]

use loom::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use tvar::internals::TaskLatch;
use tvar_loom_tests::{Bell, model};

/// What an opener says, as a commit does by its root.
type Said = Arc<[AtomicBool]>;

fn task_against(openers: usize) {
    model(3, move || {
        let said: Said = (0..openers).map(|_| AtomicBool::new(false)).collect();
        let latch = Arc::new(TaskLatch::default());
        let threads: Vec<_> = (0..openers)
            .map(|n| {
                let (said, latch) = (said.clone(), latch.clone());
                loom::thread::spawn(move || {
                    said[n].store(true, Ordering::Relaxed);
                    latch.open();
                })
            })
            .collect();
        // Nobody hears the first one.
        let (deaf, bell) = (Bell::new().into(), Bell::new());
        let waker = bell.clone().into();
        let mut polls = 0;
        loop {
            polls += 1;
            if latch.poll(if polls == 1 { &deaf } else { &waker }) {
                latch.reset();
                if said.iter().all(|said| said.load(Ordering::Relaxed)) {
                    break;
                }
            } else if polls > 1 {
                bell.wait();
            }
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn the_newest_waker_is_woken() {
    task_against(1);
}

#[test]
fn one_of_two_openers_wakes_it() {
    task_against(2);
}
