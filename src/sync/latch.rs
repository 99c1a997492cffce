//! A latch: one thread, or one task, sleeps until somebody opens it.

use super::atomic::{AtomicBool, Ordering};
use super::thread::{self, Thread};
use super::time::Instant;
#[cfg(feature = "async")]
use super::waker::WakerCell;

/// Looks at the latch before sleeping: a partner that runs on another CPU answers sooner than a sleep takes.
const SPINS: u32 = 100;

/// Slept at by the thread that made it, or by whoever polls the task that it is for; may be opened by any.
#[derive(Debug)]
pub(crate) struct Latch {
    open: AtomicBool,
    sleeper: Sleeper,
}

#[derive(Debug)]
enum Sleeper {
    Thread(Thread),
    #[cfg(feature = "async")]
    Task(WakerCell),
}

impl Latch {
    /// A closed latch for the calling thread.
    pub(crate) fn new() -> Latch {
        Latch { open: AtomicBool::new(false), sleeper: Sleeper::Thread(thread::current()) }
    }

    /// A closed latch for a task.
    #[cfg(feature = "async")]
    pub(crate) fn for_task() -> Latch {
        Latch { open: AtomicBool::new(false), sleeper: Sleeper::Task(WakerCell::default()) }
    }

    /// Lets the sleeper go on. Of a task, that runs the executor's code.
    pub(crate) fn open(&self) {
        // ORDERING: Release: what the opener did comes before the sleeper's next step; partner: the Acquire in `is_open`.
        if !self.open.swap(true, Ordering::AcqRel) {
            match &self.sleeper {
                Sleeper::Thread(thread) => thread.unpark(),
                #[cfg(feature = "async")]
                Sleeper::Task(waker) => waker.wake(),
            }
        }
    }

    /// Closes the latch again; an `open` after this is seen by the next `wait`.
    pub(crate) fn reset(&self) {
        // ORDERING: AcqRel: the look at the variables that follows comes after the wake-up that is being consumed; partner:
        // `open`.
        self.open.swap(false, Ordering::AcqRel);
    }

    /// Sleeps until the latch is open (`true`) or the deadline has passed (`false`).
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if thread::cpus() > 1 {
            for _ in 0..SPINS {
                if self.is_open() {
                    return true;
                }
                thread::spin();
            }
        }
        while !self.is_open() {
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let now = Instant::now();
                    if now >= deadline {
                        return false;
                    }
                    thread::park_timeout(deadline - now);
                }
            }
        }
        true
    }

    /// Whether the latch is open; if it is not, whoever opens it wakes this waker. For the latch of a task.
    #[cfg(feature = "async")]
    pub(crate) fn poll(&self, waker: &std::task::Waker) -> bool {
        match &self.sleeper {
            Sleeper::Task(cell) => !cell.put(waker) || self.is_open(),
            Sleeper::Thread(_) => unreachable!("a thread waits, it does not poll"),
        }
    }

    /// The task sleeps here no more: its waker goes now, and not with the latch, which others may still hold.
    #[cfg(feature = "async")]
    pub(crate) fn forget_waker(&self) {
        if let Sleeper::Task(cell) = &self.sleeper {
            cell.clear();
        }
    }

    fn is_open(&self) -> bool {
        // ORDERING: Acquire: partner: `open`.
        self.open.load(Ordering::Acquire)
    }
}
