//! What has to be looked at when: one ordered map for everything that expires.
//!
//! An entry is a reminder and no more: what it is about may have gone, or may have got more time since. So nobody has to
//! take reminders back, and whoever uses a session does not write here.

use std::sync::Arc;

use tvar::{Space, Stm, TOrdMap, Tx};

use super::limits::Client;
use crate::clock::{Clock, Moment};
use crate::render::PageId;

/// What the reminder is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    Page(PageId),
    Session(Arc<str>),
    Client(Client),
}

pub(crate) struct Deadlines {
    due: TOrdMap<(Moment, Subject), ()>,
}

impl Deadlines {
    pub(crate) fn new_in(space: &Space) -> Self {
        Deadlines { due: TOrdMap::named_in(space, "deadlines") }
    }

    pub(crate) fn remind(&self, tx: &Tx<'_>, at: Moment, subject: Subject) {
        self.due.upsert(tx, (at, subject), ());
    }

    /// Sleeps until the first reminder is due and takes it out. An earlier one that is put in meanwhile wakes the sleeper,
    /// which then sleeps for that one.
    pub(crate) fn next(&self, tx: &Tx<'_>, clock: &Clock) -> Stm<(Moment, Subject)> {
        let Some((first, ())) = self.due.first(tx) else { return tx.retry() };
        tx.retry_until(clock.instant(first.0))?;
        self.due.remove(tx, first);
        Ok(first.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_earliest_comes_first_and_not_before_its_time() {
        let (space, clock) = (Space::new(), Clock::new());
        let deadlines = Deadlines::new_in(&space);
        let soon = clock.now().plus(Duration::from_millis(20));
        let later = soon.plus(Duration::from_millis(20));
        let next = || {
            let (at, subject) = space.atomically(|tx| deadlines.next(tx, &clock));
            assert!(clock.now() >= at);
            subject
        };
        std::thread::scope(|scope| {
            let janitor = scope.spawn(|| [next(), next()]);
            for (at, id) in [(later, 2), (soon, 1)] {
                space.atomically(|tx| {
                    deadlines.remind(tx, at, Subject::Page(id));
                    Ok(())
                });
            }
            assert_eq!(janitor.join().unwrap(), [Subject::Page(1), Subject::Page(2)]);
        });
    }
}
