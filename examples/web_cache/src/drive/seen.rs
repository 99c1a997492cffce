//! What was seen of each page, by all clients together.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::http::Reply;
use super::rules::{Rule, Verdict};
use crate::http::{GENERATION, REVISION, SEAL};
use crate::render::{Page, PageId};

/// The newest that has been seen of a page.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    generation: u64,
    revision: u64,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    newest: Mutex<HashMap<PageId, Floor>>,
    /// What each generation was first seen as.
    renderings: Mutex<HashMap<(PageId, u64), Page>>,
}

impl Seen {
    /// What a request that is sent now must not fall behind.
    pub(super) fn floor(&self, id: PageId) -> Floor {
        lock(&self.newest).get(&id).copied().unwrap_or_default()
    }

    /// Checks a page that was asked for when the floor was this.
    pub(super) fn page(&self, id: PageId, floor: Floor, reply: &Reply, effort: u32, verdict: &Verdict) {
        let [generation, revision, seal] = [GENERATION, REVISION, SEAL].map(|name| reply.number(name));
        let (Some(generation), Some(revision), Some(seal)) = (generation, revision, seal) else {
            return verdict.violated(Rule::Pages, format!("page {id} came without its numbers"));
        };
        let page = Page { id, generation, revision, seal };
        let right = page.is_sealed(effort) && reply.body == page.html();
        verdict.check(Rule::Pages, right, || format!("this is not {page:?}: {}", reply.body));
        let new_enough = generation >= floor.generation && revision >= floor.revision;
        verdict.check(Rule::Pages, new_enough, || format!("{page:?} is older than {floor:?}, which was seen before"));
        self.note(page, verdict);
    }

    fn note(&self, page: Page, verdict: &Verdict) {
        self.edited(page.id, page.revision);
        let mut newest = lock(&self.newest);
        let floor = newest.entry(page.id).or_default();
        floor.generation = floor.generation.max(page.generation);
        drop(newest);
        let mut renderings = lock(&self.renderings);
        let first = renderings.entry((page.id, page.generation)).or_insert_with(|| page.clone());
        verdict.check(Rule::Once, *first == page, || format!("{first:?} was rendered again, as {page:?}"));
    }

    /// Checks the answer to an edit that was asked for when the floor was this.
    pub(super) fn edit(&self, id: PageId, floor: Floor, revision: u64, verdict: &Verdict) {
        let newer = revision > floor.revision;
        verdict.check(Rule::Pages, newer, || format!("an edit of page {id} gave revision {revision}, after {floor:?}"));
        self.edited(id, revision);
    }

    /// Somebody knows that the text has this revision now.
    pub(super) fn edited(&self, id: PageId, revision: u64) {
        let mut newest = lock(&self.newest);
        let floor = newest.entry(id).or_default();
        floor.revision = floor.revision.max(revision);
    }

    /// How many different renderings were seen.
    pub(super) fn len(&self) -> usize {
        lock(&self.renderings).len()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::{HeaderMap, StatusCode};
    use std::time::Instant;

    fn reply(page: &Page) -> Reply {
        let numbers = [(GENERATION, page.generation), (REVISION, page.revision), (SEAL, page.seal)];
        let header = |(name, n): (&'static str, u64)| (name.parse().unwrap(), n.into());
        let headers: HeaderMap = numbers.into_iter().map(header).collect();
        let now = Instant::now();
        Reply { status: StatusCode::OK, headers, body: page.html(), sent: now, received: now }
    }

    /// What is said of page 7 after these have come, the last one to a request that was sent after the others had come.
    fn verdict(pages: &[Page]) -> Option<String> {
        let (seen, verdict) = (Seen::default(), Verdict::default());
        for page in pages {
            seen.page(7, seen.floor(7), &reply(page), 4, &verdict);
        }
        verdict.into_first().map(|violation| violation.to_string())
    }

    #[test]
    fn a_wrong_page_is_found_out() {
        let page = |generation, revision| Page::render(7, generation, revision, 4);
        assert_eq!(verdict(&[page(1, 1), page(1, 1), page(2, 1), page(5, 3)]), None);
        let starts = |pages: &[Page], with: &str| {
            let verdict = verdict(pages).unwrap();
            assert!(verdict.starts_with(with), "{verdict}");
        };
        starts(&[Page::render(8, 1, 1, 4)], "pages: this is not");
        let unsealed = (0..).map(|seal| Page { seal, ..page(1, 1) }).find(|page| !page.is_sealed(4)).unwrap();
        starts(&[unsealed], "pages: this is not");
        starts(&[page(2, 1), page(1, 1)], "pages: Page");
        starts(&[page(1, 2), page(2, 1)], "pages: Page");
        starts(&[page(1, 1), page(1, 2)], "once: Page");
    }
}
