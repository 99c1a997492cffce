//! The cache alone, with a clock of its own.

use super::*;
use crate::clock::Moment;

const LASTS: Duration = Duration::from_secs(10);

struct Fixture {
    space: Space,
    cache: Cache,
    deadlines: Deadlines,
}

fn at(seconds: u64) -> Moment {
    Moment(seconds * 1_000_000)
}

/// What a lookup gives; nothing if it would sleep.
#[derive(Debug, PartialEq)]
enum Lookup {
    Page(u64, u64),
    Coming,
    Ordered,
    Full,
}

impl Fixture {
    fn new(capacity: usize, queue: usize) -> Self {
        let space = Space::new();
        let (cache, deadlines) = (Cache::new_in(&space, capacity, LASTS, queue), Deadlines::new_in(&space));
        Fixture { space, cache, deadlines }
    }

    /// The generation and the revision of a page.
    fn find(&self, id: PageId, now: u64) -> Lookup {
        let found = |tx: &Tx<'_>| self.cache.find(tx, id, at(now)).map(Some);
        match self.space.atomically(|tx| tx.or_else(found, |_| Ok(None))) {
            Some(Found::Page(page)) => Lookup::Page(page.generation, page.revision),
            Some(Found::Coming(_)) => Lookup::Coming,
            Some(Found::Ordered(_)) => Lookup::Ordered,
            None => Lookup::Full,
        }
    }

    fn take(&self) -> Option<Work> {
        self.space.atomically(|tx| tx.or_else(|tx| self.cache.take(tx).map(Some), |_| Ok(None)))
    }

    fn put(&self, work: Work, now: u64) -> Option<Work> {
        let page = Arc::new(Page::render(work.job.id, work.job.generation, work.revision, 0));
        self.space.atomically(|tx| Ok(self.cache.put(tx, &self.deadlines, work, &page, at(now))))
    }

    fn work_off(&self, now: u64) {
        while let Some(work) = self.take() {
            assert_eq!(self.put(work, now), None);
        }
    }

    fn edit(&self, id: PageId) -> u64 {
        self.space.atomically(|tx| Ok(self.cache.edit(tx, id)))
    }

    fn counted(&self) -> [u64; 5] {
        let Cache { done, outdated, expired, evicted, edited, .. } = &self.cache;
        [done, outdated, expired, evicted, edited].map(TVar::load)
    }
}

#[test]
fn of_all_who_miss_a_page_one_orders_it() {
    let site = Fixture::new(5, 5);
    assert_eq!(
        [1, 1, 2, 1].map(|id| site.find(id, 0)),
        [Lookup::Ordered, Lookup::Coming, Lookup::Ordered, Lookup::Coming]
    );
    let work = site.take().unwrap();
    assert_eq!(site.find(1, 0), Lookup::Coming);
    site.put(work, 0);
    assert_eq!([1, 2].map(|id| site.find(id, 0)), [Lookup::Page(1, 1), Lookup::Coming]);
}

#[test]
fn a_full_queue_takes_no_order_and_still_gives_pages() {
    let site = Fixture::new(5, 2);
    site.find(1, 0);
    site.work_off(0);
    assert_eq!([2, 3, 4].map(|id| site.find(id, 0)), [Lookup::Ordered, Lookup::Ordered, Lookup::Full]);
    assert_eq!([1, 3].map(|id| site.find(id, 0)), [Lookup::Page(1, 1), Lookup::Coming]);
    assert_eq!(site.cache.longest_queue.load(), 2);
}

#[test]
fn what_was_not_used_for_longest_goes_first() {
    let site = Fixture::new(2, 5);
    for (id, now) in [(1, 0), (2, 1)] {
        site.find(id, now);
        site.work_off(now);
    }
    assert_eq!(site.find(1, 2), Lookup::Page(1, 1));
    site.find(3, 3);
    site.work_off(3);
    assert_eq!([1, 3].map(|id| site.find(id, 3)), [Lookup::Page(1, 1), Lookup::Page(1, 1)]);
    assert_eq!(site.find(2, 3), Lookup::Ordered);
    assert_eq!(site.counted(), [3, 0, 0, 1, 0]);
}

#[test]
fn an_old_page_is_not_given_out_whether_or_not_somebody_has_tidied_up() {
    let site = Fixture::new(5, 5);
    let tidy = |id, now| {
        site.space.atomically(|tx| {
            site.cache.tidy(tx, id, at(now));
            Ok(())
        })
    };
    site.find(1, 0);
    site.find(2, 0);
    site.work_off(0);
    assert_eq!(site.find(1, 9), Lookup::Page(1, 1));
    tidy(1, 9);
    tidy(2, 10);
    assert_eq!(site.counted(), [2, 0, 1, 0, 0]);
    assert_eq!([1, 2].map(|id| site.find(id, 10)), [Lookup::Ordered, Lookup::Ordered]);
    site.work_off(10);
    assert_eq!([1, 2].map(|id| site.find(id, 11)), [Lookup::Page(2, 1), Lookup::Page(2, 1)]);
    assert_eq!(site.counted(), [4, 0, 2, 0, 0]);
}

#[test]
fn nobody_who_asks_after_an_edit_is_given_the_old_text() {
    let site = Fixture::new(5, 5);
    site.find(1, 0);
    site.work_off(0);
    // While it is in the cache, in the queue, and being rendered.
    assert_eq!(site.edit(1), 2);
    assert_eq!(site.find(1, 0), Lookup::Ordered);
    assert_eq!(site.edit(1), 3);
    let work = site.take().unwrap();
    assert_eq!((work.job.generation, work.revision), (2, 3));
    assert_eq!(site.edit(1), 4);
    let again = site.put(work, 0).unwrap();
    assert_eq!((again.job.generation, again.revision), (3, 4));
    assert_eq!(site.find(1, 0), Lookup::Coming);
    assert_eq!(site.put(again, 0), None);
    assert_eq!(site.find(1, 0), Lookup::Page(3, 4));
    assert_eq!(site.counted(), [2, 1, 0, 0, 1]);
}
