//! Transactions as futures, and streams of what they read (§3.6).

use crate::attempt::{Abort, Failure, Options, Stm, Task};
use crate::error::{TryError, TxError};
use crate::options::TxOptions;
use crate::space::Space;
use crate::sync::site::CallSite;
use crate::tvar::TVar;
use crate::tx::Tx;
use futures_core::Stream;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs a transaction in the global space as a future (§3.6): [`atomically`](crate::atomically()) that sleeps without a thread.
///
/// The closure is synchronous, and each poll runs attempts of it until one commits or decides to [`retry`](Tx::retry); then the task sleeps until
/// something that it read has changed. The same variables may be waited for by threads and by tasks of any executor, and commits of either wake
/// both. A poll never waits for other tasks; like any transaction it may wait for the turn of another thread (§4.4) and, if it writes to or locks
/// what somebody has [locked](Tx::lock), for the end of that transaction: on its thread. Nothing is held between two polls: no snapshot, lock or turn.
///
/// Does nothing until polled. Dropped, it never commits, and leaves no trace (§3.7): cancel-safe. `Send` if the closure is, `'static` likewise; spawned ones
/// are usually `move` closures. Deadlines ([`Tx::retry_for`]) count from the first poll; a thread of the process, the same for all, looks after them.
///
/// Hooks run in the poll in which the attempt ends. *Costs* what `atomically` does; a sleep some allocations.
///
/// # Panics
/// The poll panics as [`atomically`](crate::atomically()) does, and if the future had ended.
///
/// ```
/// use tvar::{TVar, atomically_async};
/// let inbox = TVar::new(None);
/// let take = atomically_async({
///     let inbox = inbox.clone();
///     move |tx| match tx.replace(&inbox, None) {
///         Some(message) => Ok(*message),
///         None => tx.retry(),
///     }
/// });
/// let sender = std::thread::spawn(move || inbox.store(Some("hello")));
/// assert_eq!(futures::executor::block_on(take), "hello"); // or `.await`, on any executor
/// sender.join().unwrap();
/// ```
#[track_caller]
pub fn atomically_async<R, F: FnMut(&Tx<'_>) -> Stm<R>>(f: F) -> impl Future<Output = R> + use<R, F> {
    plain(Space::global(), CallSite::here("atomically_async"), f)
}

/// Runs a transaction that may abort as a future: [`try_atomically`](crate::try_atomically()) that sleeps without a thread (§2.7, §3.6).
///
/// Everything else is as for [`atomically_async`].
///
/// # Errors
/// What the closure aborted with.
///
/// ```
/// use tvar::{TVar, try_atomically_async};
/// let stock = TVar::new(0);
/// let sale = try_atomically_async(|tx| if *tx.read(&stock) == 0 { tx.abort("sold out") } else { Ok(()) });
/// assert_eq!(futures::executor::block_on(sale), Err("sold out"));
/// ```
#[track_caller]
pub fn try_atomically_async<R, E, F>(f: F) -> impl Future<Output = Result<R, E>> + use<R, E, F>
where
    F: FnMut(&Tx<'_>) -> Result<R, Abort<E>>,
{
    typed(Space::global(), CallSite::here("try_atomically_async"), f)
}

/// A stream of the results of a transaction that only reads, one after each change of what it has read: see [`Watch`].
///
/// ```
/// use tvar::{TVar, watch};
/// let (width, height) = (TVar::new(2), TVar::new(3));
/// let mut area = watch(|tx| Ok(tx.read(&width) * tx.read(&height)));
/// futures::executor::block_on(async {
///     assert_eq!(area.next().await, 6);
///     width.store(5);
///     height.store(5);
///     assert_eq!(area.next().await, 25);
/// });
/// ```
#[track_caller]
pub fn watch<R, F: FnMut(&Tx<'_>) -> Stm<R>>(f: F) -> Watch<F> {
    Watch::new(Space::global(), CallSite::here("watch"), f)
}

impl Space {
    /// Like [`atomically_async`](crate::atomically_async()), in this space.
    #[track_caller]
    pub fn atomically_async<R, F: FnMut(&Tx<'_>) -> Stm<R>>(&self, f: F) -> impl Future<Output = R> + use<R, F> {
        plain(self, CallSite::here("Space::atomically_async"), f)
    }

    /// Like [`try_atomically_async`](crate::try_atomically_async()), in this space.
    ///
    /// # Errors
    /// What the closure aborted with.
    #[track_caller]
    pub fn try_atomically_async<R, E, F>(&self, f: F) -> impl Future<Output = Result<R, E>> + use<R, E, F>
    where
        F: FnMut(&Tx<'_>) -> Result<R, Abort<E>>,
    {
        typed(self, CallSite::here("Space::try_atomically_async"), f)
    }

    /// Like [`watch`], in this space.
    #[track_caller]
    pub fn watch<R, F: FnMut(&Tx<'_>) -> Stm<R>>(&self, f: F) -> Watch<F> {
        Watch::new(self, CallSite::here("Space::watch"), f)
    }
}

impl TxOptions {
    /// Like [`run`](TxOptions::run), as a future: see [`atomically_async`](crate::atomically_async()). A timeout counts from the first poll.
    ///
    /// # Errors
    /// [`TxError`] when a limit is reached; nothing was committed then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tvar::{TVar, TxOptions};
    /// let stock = TVar::new(0);
    /// let patient = TxOptions::new().timeout(Duration::from_millis(5));
    /// let none = patient.run_async(|tx| tx.check(*tx.read(&stock) > 0));
    /// assert!(futures::executor::block_on(none).unwrap_err().is_timeout());
    /// ```
    #[track_caller]
    pub fn run_async<R, F>(&self, mut f: F) -> impl Future<Output = Result<R, TxError>> + use<R, F>
    where
        F: FnMut(&Tx<'_>) -> Stm<R>,
    {
        let mut task = self.task(CallSite::here("TxOptions::run_async"));
        poll_fn(move |cx| {
            let polled = task.poll::<R, Infallible>(cx, |attempt| f(&Tx { attempt }).map_err(Abort::from));
            polled.map_err(|failure| match error(failure, &task) {
                TryError::Failed(error) => error,
                TryError::Aborted(never) => match never {},
            })
        })
    }

    /// Like [`try_run`](TxOptions::try_run), as a future: see [`try_atomically_async`](crate::try_atomically_async()).
    ///
    /// # Errors
    /// [`TryError::Aborted`] with what the closure aborted with, [`TryError::Failed`] when a limit is reached; nothing
    /// was committed then.
    #[track_caller]
    pub fn try_run_async<R, E, F>(&self, mut f: F) -> impl Future<Output = Result<R, TryError<E>>> + use<R, E, F>
    where
        F: FnMut(&Tx<'_>) -> Result<R, Abort<E>>,
    {
        let mut task = self.task(CallSite::here("TxOptions::try_run_async"));
        poll_fn(move |cx| task.poll(cx, |attempt| f(&Tx { attempt })).map_err(|failure| error(failure, &task)))
    }

    fn task(&self, site: CallSite) -> Task {
        let (space, options) = self.parts();
        Task::new(&space.store, &space.shared, options, site)
    }
}

impl<T: Clone + Send + Sync + 'static> TVar<T> {
    /// A stream of the variable's committed values: see [`Watch`].
    ///
    /// ```
    /// use tvar::TVar;
    /// let level = TVar::new(1);
    /// let mut levels = level.watch();
    /// futures::executor::block_on(async {
    ///     assert_eq!(levels.next().await, 1);
    ///     level.store(2);
    ///     level.store(3);
    ///     assert_eq!(levels.next().await, 3); // the newest; never misses the last one
    /// });
    /// ```
    #[track_caller]
    pub fn watch(&self) -> Watch<impl FnMut(&Tx<'_>) -> Stm<T> + Send + use<T>> {
        let var = self.clone();
        Watch::new(&self.space(), CallSite::here("TVar::watch"), move |tx: &Tx<'_>| Ok(tx.read(&var).clone()))
    }
}

/// A stream of the results of a transaction that only reads; from [`watch`], [`Space::watch`] and [`TVar::watch`].
///
/// The first item is of the newest snapshot; each further one comes as soon as something that the last run has read was given a new value
/// (§3.1), and is of the newest snapshot then. So versions may be passed over, but never the last one: whoever has seen an item and waits for the
/// next one has seen the newest. The closure may [`retry`](Tx::retry), to leave out what it does not want to show. The stream never ends. Between two
/// items, while nobody polls it, it is registered nowhere; a stream that was polled and waits is registered until the next item, or until it is dropped.
///
/// # Panics
/// The poll panics with the closure's own panic, when the closure has written, or has read nothing that could change (then it could never go on, §3.4); and after any of
/// these.
pub struct Watch<F> {
    task: Task,
    f: F,
}

// `f` is never pinned.
impl<F> Unpin for Watch<F> {}

impl<F> Watch<F> {
    fn new(space: &Space, site: CallSite, f: F) -> Self {
        Watch { task: Task::new(&space.store, &space.shared, &Options::PLAIN, site), f }
    }

    /// The next item, as soon as there is one. Cancel-safe: an item that was not handed out comes with the next call.
    #[allow(clippy::should_implement_trait, reason = "the name that streams give it")]
    pub fn next<R>(&mut self) -> impl Future<Output = R> + use<'_, R, F>
    where
        F: FnMut(&Tx<'_>) -> Stm<R>,
    {
        poll_fn(|cx| self.poll_item(cx))
    }

    fn poll_item<R>(&mut self, cx: &mut Context<'_>) -> Poll<R>
    where
        F: FnMut(&Tx<'_>) -> Stm<R>,
    {
        let f = &mut self.f;
        let polled = self.task.poll_next::<R, Infallible>(cx, |attempt| f(&Tx { attempt }).map_err(Abort::from));
        polled.map(without_limits).map(|Ok(item)| item)
    }
}

impl<R, F: FnMut(&Tx<'_>) -> Stm<R>> Stream for Watch<F> {
    type Item = R;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        self.get_mut().poll_item(cx).map(Some)
    }
}

impl<F> fmt::Debug for Watch<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

fn plain<R, F: FnMut(&Tx<'_>) -> Stm<R>>(
    space: &Space,
    site: CallSite,
    mut f: F,
) -> impl Future<Output = R> + use<R, F> {
    let mut task = Task::new(&space.store, &space.shared, &Options::PLAIN, site);
    poll_fn(move |cx| {
        let polled = task.poll::<R, Infallible>(cx, |attempt| f(&Tx { attempt }).map_err(Abort::from));
        polled.map(without_limits).map(|Ok(value)| value)
    })
}

fn typed<R, E, F: FnMut(&Tx<'_>) -> Result<R, Abort<E>>>(
    space: &Space,
    site: CallSite,
    mut f: F,
) -> impl Future<Output = Result<R, E>> + use<R, E, F> {
    let mut task = Task::new(&space.store, &space.shared, &Options::PLAIN, site);
    poll_fn(move |cx| task.poll(cx, |attempt| f(&Tx { attempt })).map(without_limits))
}

/// The result of a call whose options set no limits.
fn without_limits<R, E>(result: Result<R, Failure<E>>) -> Result<R, E> {
    result.map_err(|failure| match failure {
        Failure::Aborted(error) => error,
        Failure::Ended(_) => unreachable!("a plain call has no limits"),
    })
}

fn error<E>(failure: Failure<E>, task: &Task) -> TryError<E> {
    TryError::new(failure, task.options().label.as_ref(), task.store())
}
