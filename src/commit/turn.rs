//! The turnstile: a transaction that keeps losing gets a turn during which nobody else publishes (§4.4).
//!
//! The holder sets `taken` and then swaps the root (to one with the same content); a committer loads its base root and then
//! looks at `taken` (C4). So a committer that did not see the turn has a base that the holder's swap has replaced, and its own
//! swap fails.

use crate::sync::atomic::{AtomicUsize, Ordering, model_fence};
use crate::sync::latch::Latch;
use crate::sync::thread;
use crate::sync::time::Instant;
use crate::sync::{Arc, Mutex};
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;

/// The turnstile of one space.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    taken: CachePadded<Taken>,
    line: Mutex<Line>,
}

/// The holder's thread, 0 for none.
#[derive(Debug)]
struct Taken(AtomicUsize);

impl Default for Taken {
    fn default() -> Self {
        Taken(AtomicUsize::new(0))
    }
}

#[derive(Debug, Default)]
struct Line {
    held: bool,
    /// Turns that have begun.
    turns: u64,
    /// Who wants the turn, in order of arrival.
    next: VecDeque<Arc<Latch>>,
    /// Committers that wait for the end of the running turn.
    bystanders: Vec<Arc<Latch>>,
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

/// The turn; ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turnstile: &'a Turnstile,
    /// Within a turn of the same thread: a transaction in a destructor, whose end ends nothing.
    inner: bool,
    /// Which turn it is.
    number: u64,
}

impl Turnstile {
    /// Whether another thread holds the turn. To be asked after the base root was loaded.
    #[inline(always)]
    pub(crate) fn is_taken(&self) -> bool {
        let holder = self.holder();
        holder != 0 && holder != thread::token()
    }

    #[inline(always)]
    fn holder(&self) -> usize {
        // ORDERING: SeqCst: after the load of the base in the total order; partner: `take`, before the holder's swap.
        self.taken.0.load(Ordering::SeqCst)
    }

    /// Waits for the turn; `None` if the deadline passes first.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Option<Turn<'_>> {
        if self.holder() == thread::token() {
            return Some(Turn { turnstile: self, inner: true, number: 0 });
        }
        let mut line = self.line.lock();
        if line.held {
            let latch = Arc::new(Latch::new());
            line.next.push_back(latch.clone());
            drop(line);
            if !latch.wait(deadline) {
                let mut line = self.line.lock();
                if let Some(at) = line.next.iter().position(|other| Arc::ptr_eq(other, &latch)) {
                    line.next.remove(at);
                    return None;
                }
                // Granted just now: goes on to the next in line.
                drop(line);
                self.pass_on();
                return None;
            }
            line = self.line.lock();
        } else {
            line.held = true;
        }
        let number = line.turns;
        drop(line);
        // ORDERING: SeqCst: before the holder's swap of the root in the total order; partner: `is_taken`.
        self.taken.0.store(thread::token(), Ordering::SeqCst);
        model_fence();
        Some(Turn { turnstile: self, inner: false, number })
    }

    /// Ends this thread's turn, if it has it, before that ends by itself: it is about to wait for a lock, whose holder may be waiting for the
    /// turn's end.
    pub(crate) fn give_up(&self) {
        if self.holder() == thread::token() {
            self.pass_on();
        }
    }

    /// Ends the turn: the next in line has it, or those that stood by go on.
    fn pass_on(&self) {
        let mut line = self.line.lock();
        let next = line.next.pop_front();
        if next.is_none() {
            line.held = false;
        }
        line.turns += 1;
        // ORDERING: SeqCst: pairs with `holder`; under the lock, so that the next holder's store comes after.
        self.taken.0.store(0, Ordering::SeqCst);
        // They look again: what one of them has announced may have been decided (§4.2), though another turn follows.
        let bystanders = std::mem::take(&mut line.bystanders);
        drop(line);
        next.iter().chain(&bystanders).for_each(|latch| latch.open());
    }

    /// Waits for the end of the running turn (of several in a row); `false` if the deadline passes first.
    pub(crate) fn stand_by(&self, deadline: Option<Instant>) -> bool {
        let latch = Arc::new(Latch::new());
        let mut line = self.line.lock();
        if !line.held {
            return true;
        }
        line.bystanders.push(latch.clone());
        drop(line);
        let over = latch.wait(deadline);
        if !over {
            self.line.lock().bystanders.retain(|other| !Arc::ptr_eq(other, &latch));
        }
        over
    }
}

impl Turn<'_> {
    /// Whether it has not been given up.
    pub(crate) fn is_current(&self) -> bool {
        self.turnstile.holder() == thread::token()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Another number: it was given up before.
        if !self.inner && self.turnstile.line.lock().turns == self.number {
            self.turnstile.pass_on();
        }
    }
}

#[cfg(all(test, not(tvar_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_turn_keeps_others_out_and_a_deadline_leaves_no_trace() {
        let turnstile = Turnstile::default();
        assert!(!turnstile.is_taken() && turnstile.stand_by(None));
        let turn = turnstile.take(None).expect("free");
        assert!(!turnstile.is_taken(), "its own thread is not kept out");
        drop(turnstile.take(None).expect("a turn within the turn"));
        std::thread::scope(|s| {
            let other = s.spawn(|| {
                let now = Instant::now();
                assert!(turnstile.is_taken(), "the inner turn's end ended nothing");
                assert!(turnstile.take(Some(now)).is_none() && !turnstile.stand_by(Some(now)));
            });
            other.join().expect("no panic");
        });
        let line = turnstile.line.lock();
        assert!(line.next.is_empty() && line.bystanders.is_empty());
        drop(line);
        drop(turn);
        std::thread::scope(|s| {
            s.spawn(|| assert!(!turnstile.is_taken() && turnstile.take(None).is_some()));
        });
    }

    /// What has been given up is over: its end takes nothing from those that follow.
    #[test]
    fn a_turn_that_was_given_up_ends_nothing() {
        let turnstile = Turnstile::default();
        let turn = turnstile.take(None).expect("free");
        assert!(turn.is_current());
        let [next, last] = [0; 2].map(|_| Arc::new(Latch::new()));
        turnstile.line.lock().next.extend([next, last]);
        turnstile.give_up();
        assert!(!turn.is_current() && turnstile.line.lock().next.len() == 1, "the next in line has it");
        drop(turn);
        assert!(turnstile.line.lock().next.len() == 1, "it has not run yet, and passes its turn on by itself");
        turnstile.pass_on();
        turnstile.pass_on();

        let turn = turnstile.take(None).expect("free");
        turnstile.give_up();
        let again = turnstile.take(None).expect("free again");
        drop(turn);
        assert!(again.is_current());
        drop(again);
        assert!(!turnstile.line.lock().held);
    }
}
