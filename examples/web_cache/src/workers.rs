//! The threads of the site: those that render, and one that throws away what has expired.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};

use crate::render::{Page, PageId};
use crate::state::Site;

/// How often each page was really rendered: what the renderings themselves say, apart from the state and its transactions.
#[derive(Debug)]
pub(crate) struct Renderings(Box<[AtomicU64]>);

impl Renderings {
    pub(crate) fn new(pages: u32) -> Self {
        Renderings((0..pages).map(|_| AtomicU64::new(0)).collect())
    }

    /// One more.
    pub(crate) fn count(&self, id: PageId) {
        self.0[id as usize - 1].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, id: PageId) -> u64 {
        self.0[id as usize - 1].load(Ordering::Relaxed)
    }
}

pub(crate) struct Crew {
    threads: Vec<JoinHandle<()>>,
    pub(crate) renderings: Arc<Renderings>,
}

/// Closes the site if its thread panics: nobody must wait for a page that does not come.
struct Duty(Arc<Site>);

impl Drop for Duty {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}

impl Crew {
    pub(crate) fn start(site: &Arc<Site>, workers: u32) -> io::Result<Crew> {
        let mut crew = Crew { threads: Vec::new(), renderings: Arc::new(Renderings::new(site.pages)) };
        let started = crew.start_all(site, workers);
        if let Err(error) = started {
            site.close();
            crew.join();
            return Err(error);
        }
        Ok(crew)
    }

    fn start_all(&mut self, site: &Arc<Site>, workers: u32) -> io::Result<()> {
        for n in 0..workers {
            let (duty, renderings) = (Duty(site.clone()), self.renderings.clone());
            let work = move || work(&duty.0, &renderings);
            self.threads.push(Builder::new().name(format!("worker {n}")).spawn(work)?);
        }
        let duty = Duty(site.clone());
        self.threads.push(Builder::new().name("janitor".into()).spawn(move || while duty.0.tidy() {})?);
        Ok(())
    }

    /// Waits until all have ended, which they do when the site is closed; how many of them have panicked.
    pub(crate) fn join(self) -> usize {
        self.threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
    }
}

/// Rendering takes long, so it is done between two transactions and not in one.
fn work(site: &Site, renderings: &Renderings) {
    while let Some(mut work) = site.next_work() {
        loop {
            renderings.count(work.job.id);
            let page = Page::render(work.job.id, work.job.generation, work.revision, site.effort);
            match site.hand_in(work, page) {
                Some(again) => work = again,
                None => break,
            }
        }
    }
}
