//! Boxed values that are counted: each has to be dropped exactly once (§1.7).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// The values of one run that live.
#[derive(Default)]
pub(crate) struct Tally(Mutex<State>);

#[derive(Default)]
struct State {
    made: u64,
    alive: BTreeSet<u64>,
    dropped_twice: Vec<u64>,
}

impl Tally {
    pub(crate) fn alive(&self) -> usize {
        self.state().alive.len()
    }

    /// Fails unless every value has been dropped, and once.
    pub(crate) fn close(&self) -> Result<(), String> {
        let state = self.state();
        if state.alive.is_empty() && state.dropped_twice.is_empty() {
            return Ok(());
        }
        Err(format!(
            "of {} boxed values, {} were never dropped, {} more than once",
            state.made,
            state.alive.len(),
            state.dropped_twice.len()
        ))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics with the tally locked")
    }
}

/// A value that tells its tally when it is made, cloned and dropped.
pub(crate) struct Counted<T> {
    pub(crate) value: T,
    number: u64,
    tally: Arc<Tally>,
}

impl<T> Counted<T> {
    pub(crate) fn new(value: T, tally: &Arc<Tally>) -> Self {
        let mut state = tally.state();
        state.made += 1;
        let number = state.made;
        state.alive.insert(number);
        drop(state);
        Self { value, number, tally: Arc::clone(tally) }
    }
}

impl<T: Clone> Clone for Counted<T> {
    fn clone(&self) -> Self {
        Self::new(self.value.clone(), &self.tally)
    }
}

impl<T: PartialEq> PartialEq for Counted<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        let mut state = self.tally.state();
        if !state.alive.remove(&self.number) {
            state.dropped_twice.push(self.number);
        }
    }
}
