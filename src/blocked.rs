//! Reports of transactions that have waited for too long (§7.2).

use crate::space::Space;
use crate::store::drop_panic;
use crate::sync::plain::{AtomicBool, Ordering};
use crate::sync::thread::{Builder, JoinHandle, park_timeout};
use crate::sync::time::{Duration, Instant};
use crate::sync::{Arc, Weak};
use crate::waiting::Waiting;
use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

impl Space {
    /// Reports, until the result is dropped, each transaction that has waited for longer than `longer_than`: in a retry or in the line for a lock, on a
    /// thread or as a task (§7.2). A debug switch: for the transactions themselves it costs nothing.
    ///
    /// A thread of its own looks every quarter of that time (but not more often than each millisecond, and at least each second) at who
    /// [is waiting](Space::waiting), and calls `report` once for each wait. A panic in `report` (which the panic hook has reported) ends nothing. The thread does not
    /// keep the space.
    ///
    /// # Panics
    /// When no thread can be started.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tvar::{Space, TVar};
    /// let space = Space::new();
    /// let inbox = TVar::named_in(&space, "inbox", 0);
    /// let (send, reports) = std::sync::mpsc::channel();
    /// let watch = space.report_blocked(Duration::from_millis(2), move |wait| send.send(wait.to_string()).unwrap());
    /// std::thread::scope(|s| {
    ///     s.spawn(|| space.atomically(|tx| tx.check(*tx.read(&inbox) > 0)));
    ///     let report = reports.recv().unwrap();
    ///     assert!(report.contains("in retry for `inbox`"));
    ///     inbox.store(1);
    /// });
    /// drop(watch);
    /// ```
    #[track_caller]
    pub fn report_blocked(
        &self,
        longer_than: Duration,
        mut report: impl FnMut(&Waiting) + Send + 'static,
    ) -> BlockedReports {
        let stop = Arc::new(AtomicBool::new(false));
        let (store, shared) = (Arc::downgrade(&self.store), Arc::downgrade(&self.shared));
        let space = move || Some(Space { store: Weak::upgrade(&store)?, shared: Weak::upgrade(&shared)? });
        let pause = (longer_than / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let look = {
            let stop = stop.clone();
            move || {
                let mut reported: HashSet<(u8, u64, Instant)> = HashSet::new();
                // ORDERING: Acquire: partner: the Release in `drop`.
                let go_on = || !stop.load(Ordering::Acquire);
                while go_on() {
                    let Some(waiting) = space().map(|space| space.waiting()) else { return };
                    reported.retain(|key| waiting.iter().any(|wait| wait.key == *key));
                    for wait in waiting.iter().filter(|wait| wait.waited > longer_than) {
                        // The last report may have been the one that ends them.
                        if go_on() && reported.insert(wait.key) {
                            catch_unwind(AssertUnwindSafe(|| report(wait))).unwrap_or_else(drop_panic);
                        }
                    }
                    drop(waiting);
                    park_timeout(pause);
                }
            }
        };
        let thread = Builder::new().name("tvar-blocked".into()).spawn(look);
        BlockedReports {
            stop,
            thread: Some(thread.unwrap_or_else(|error| panic!("tvar: no thread for reports: {error}"))),
        }
    }
}

/// Ends the reports of [`Space::report_blocked`] when dropped; waits for one that is being made, unless that drops it. None is made after.
#[must_use = "the reports end when this is dropped"]
pub struct BlockedReports {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for BlockedReports {
    fn drop(&mut self) {
        // ORDERING: Release: partner: the Acquire of the thread.
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if thread.thread().id() != crate::sync::thread::current().id() {
            drop(thread.join());
        }
    }
}

impl fmt::Debug for BlockedReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockedReports").finish_non_exhaustive()
    }
}
