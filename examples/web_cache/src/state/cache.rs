//! Rendered pages: found, waited for, rendered once, and thrown away.

use std::sync::Arc;
use std::time::Duration;

use tvar::{Space, Stm, TBoundedQueue, TMap, TOrdMap, TVar, Tx, View};

use super::counters::add_one;
use super::deadlines::{Deadlines, Subject};
use crate::clock::Moment;
use crate::render::{Page, PageId};

/// Of a page that is asked for all the time the place in the order of use is renewed so often, and not with each request.
const USE_COUNTS_FOR: Duration = Duration::from_millis(100);

/// What is known of a page. A page that was never asked for has no slot.
#[derive(Clone)]
pub(super) struct Slot {
    /// How often its rendering was ordered. Each generation is rendered once.
    pub(super) generation: u64,
    pub(super) state: State,
}

#[derive(Clone)]
pub(super) enum State {
    Absent,
    Queued,
    Running,
    Ready { page: Arc<Page>, expires: Moment, used: Moment },
}

/// A rendering that was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Job {
    pub(crate) id: PageId,
    pub(crate) generation: u64,
}

/// A job that a worker has taken, with the text to render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) job: Job,
    pub(crate) revision: u64,
}

/// What is to be had of a page right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Page(Arc<Page>),
    /// Somebody has ordered it.
    Coming(Job),
    /// It was ordered by this transaction.
    Ordered(Job),
}

pub(crate) struct Cache {
    pub(super) slots: TMap<PageId, Slot>,
    /// How often each text was edited.
    edits: TMap<PageId, u64>,
    pub(super) queue: TBoundedQueue<Job>,
    /// The pages that are ready, those that were not used for longest first.
    pub(super) order: TOrdMap<(Moment, PageId), ()>,
    pub(super) capacity: usize,
    lasts: Duration,
    pub(super) ordered: TVar<u64>,
    pub(super) running: TVar<u64>,
    pub(super) done: TVar<u64>,
    /// Renderings that were of no use, since the text was edited meanwhile.
    pub(super) outdated: TVar<u64>,
    pub(super) longest_queue: TVar<u64>,
    pub(super) expired: TVar<u64>,
    pub(super) evicted: TVar<u64>,
    pub(super) edited: TVar<u64>,
}

impl Cache {
    pub(crate) fn new_in(space: &Space, capacity: usize, lasts: Duration, queue_capacity: usize) -> Self {
        let counter = |name: &str| TVar::named_in(space, name, 0);
        Cache {
            slots: TMap::named_in(space, "pages"),
            edits: TMap::named_in(space, "edits"),
            queue: TBoundedQueue::new_in(space, queue_capacity),
            order: TOrdMap::named_in(space, "pages by use"),
            capacity,
            lasts,
            ordered: counter("jobs ordered"),
            running: counter("jobs running"),
            done: counter("jobs done"),
            outdated: counter("renderings outdated"),
            longest_queue: counter("longest queue"),
            expired: counter("pages expired"),
            evicted: counter("pages evicted"),
            edited: counter("pages edited"),
        }
    }

    /// Looks for a page, and orders it if nobody has: of all who miss it at the same time one does. Retries while the queue
    /// is full.
    pub(crate) fn find(&self, tx: &Tx<'_>, id: PageId, now: Moment) -> Stm<Found> {
        let slot = self.slots.get(tx, &id);
        let generation = slot.map_or(0, |slot| slot.generation);
        match slot.map(|slot| &slot.state) {
            Some(State::Queued | State::Running) => return Ok(Found::Coming(Job { id, generation })),
            Some(State::Ready { page, expires, .. }) if *expires > now => {
                self.note_use(tx, id, now);
                return Ok(Found::Page(page.clone()));
            }
            Some(State::Ready { .. }) => self.throw_away(tx, id, &self.expired),
            Some(State::Absent) | None => {}
        }
        let job = Job { id, generation: generation + 1 };
        self.queue.write(tx, job)?;
        self.slots.upsert(tx, id, Slot { generation: job.generation, state: State::Queued });
        add_one(tx, &self.ordered);
        let length = self.queue.len(tx) as u64;
        if length > *tx.read(&self.longest_queue) {
            tx.write(&self.longest_queue, length);
        }
        Ok(Found::Ordered(job))
    }

    /// Sleeps until the page is there; nothing if it has gone again before anybody came to look.
    pub(crate) fn wait_for(&self, tx: &Tx<'_>, job: Job) -> Stm<Option<Arc<Page>>> {
        match self.slots.get(tx, &job.id) {
            Some(Slot { state: State::Ready { page, .. }, generation }) if *generation >= job.generation => {
                Ok(Some(page.clone()))
            }
            Some(Slot { state: State::Absent, .. }) => Ok(None),
            _ => tx.retry(),
        }
    }

    /// Takes a job out of the queue; sleeps until there is one.
    pub(crate) fn take(&self, tx: &Tx<'_>) -> Stm<Work> {
        let job = *self.queue.read(tx)?;
        add_one(tx, &self.running);
        Ok(self.start(tx, job))
    }

    /// Puts a rendered page in. If its text was edited meanwhile the page is of no use, and the worker has more work to do: those who
    /// came after the edit are waiting as well.
    pub(crate) fn put(
        &self,
        tx: &Tx<'_>,
        deadlines: &Deadlines,
        work: Work,
        page: &Arc<Page>,
        now: Moment,
    ) -> Option<Work> {
        let Job { id, generation } = work.job;
        if self.revision(tx, id) != work.revision {
            add_one(tx, &self.outdated);
            return Some(self.start(tx, Job { id, generation: generation + 1 }));
        }
        while self.order.len(tx) >= self.capacity {
            let Some((&(_, oldest), ())) = self.order.pop_first(tx) else { break };
            self.throw_away(tx, oldest, &self.evicted);
        }
        let expires = now.plus(self.lasts);
        let state = State::Ready { page: page.clone(), expires, used: now };
        self.slots.upsert(tx, id, Slot { generation, state });
        self.order.upsert(tx, (now, id), ());
        deadlines.remind(tx, expires, Subject::Page(id));
        tx.merge(&self.running, |n| n - 1);
        add_one(tx, &self.done);
        None
    }

    /// Edits the text; its new revision. Nobody who asks afterwards is given an older one.
    pub(crate) fn edit(&self, tx: &Tx<'_>, id: PageId) -> u64 {
        if self.is_ready(tx, id, |_| true) {
            self.throw_away(tx, id, &self.edited);
        }
        let revision = self.revision(tx, id) + 1;
        self.edits.upsert(tx, id, revision - 1);
        revision
    }

    /// Throws a page away whose time is over.
    pub(crate) fn tidy(&self, tx: &Tx<'_>, id: PageId, now: Moment) {
        if self.is_ready(tx, id, |expires| expires <= now) {
            self.throw_away(tx, id, &self.expired);
        }
    }

    /// How often the rendering of a page was begun.
    pub(crate) fn generation(&self, view: &impl View, id: PageId) -> u64 {
        self.slots.get(view, &id).map_or(0, |slot| slot.generation)
    }

    fn start(&self, tx: &Tx<'_>, job: Job) -> Work {
        self.slots.upsert(tx, job.id, Slot { generation: job.generation, state: State::Running });
        Work { job, revision: self.revision(tx, job.id) }
    }

    fn revision(&self, tx: &Tx<'_>, id: PageId) -> u64 {
        1 + self.edits.get(tx, &id).copied().unwrap_or(0)
    }

    fn is_ready(&self, tx: &Tx<'_>, id: PageId, expires: impl FnOnce(Moment) -> bool) -> bool {
        match self.slots.get(tx, &id) {
            Some(Slot { state: State::Ready { expires: at, .. }, .. }) => expires(*at),
            _ => false,
        }
    }

    /// Most hits write nothing here.
    fn note_use(&self, tx: &Tx<'_>, id: PageId, now: Moment) {
        let Some(Slot { generation, state: State::Ready { page, expires, used } }) = self.slots.get(tx, &id) else {
            return;
        };
        if now.since(*used) > USE_COUNTS_FOR {
            self.order.remove(tx, &(*used, id));
            self.order.upsert(tx, (now, id), ());
            let state = State::Ready { page: page.clone(), expires: *expires, used: now };
            self.slots.upsert(tx, id, Slot { generation: *generation, state });
        }
    }

    fn throw_away(&self, tx: &Tx<'_>, id: PageId, why: &TVar<u64>) {
        if let Some(Slot { generation, state: State::Ready { used, .. } }) = self.slots.get(tx, &id) {
            self.order.remove(tx, &(*used, id));
            self.slots.upsert(tx, id, Slot { generation: *generation, state: State::Absent });
            add_one(tx, why);
        }
    }
}

#[cfg(test)]
mod tests;
