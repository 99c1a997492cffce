//! Who waits at this moment, for what and since when; and a watch over waits that last too long (§7.2).

use crate::lock::LockWait;
use crate::space::Space;
use crate::store::outside_attempt;
use crate::sync::Arc;
use crate::sync::site::Who;
use crate::sync::time::{Duration, Instant};
use crate::wait::Sleeper;
use std::fmt;

impl Space {
    /// Every transaction that waits at this moment, of threads and of tasks: in [`retry`](crate::Tx::retry), or in the line for a
    /// [lock](crate::Tx::lock), the longest wait first (§7.2). O(waiters).
    ///
    /// Who is about to sleep, or is being woken, may be listed or not. While the list is made, no commit waits.
    ///
    /// ```
    /// use tvar::{Space, TVar, TxOptions};
    /// let space = Space::new();
    /// let inbox = TVar::named_in(&space, "inbox", 0);
    /// std::thread::scope(|s| {
    ///     s.spawn(|| TxOptions::new().space(&space).label("reader").run(|tx| tx.check(*tx.read(&inbox) > 0)));
    ///     while inbox.waiters() == 0 {
    ///         std::thread::yield_now();
    ///     }
    ///     let waits = space.waiting();
    ///     assert_eq!((waits[0].who.label.as_deref(), waits[0].variables.as_slice()), (Some("reader"), &["inbox".to_string()][..]));
    ///     println!("{}", waits[0]); // `reader` (TxOptions::run at src/main.rs:5:80) has waited 12 µs in retry for `inbox`
    ///     inbox.store(1);
    /// });
    /// ```
    pub fn waiting(&self) -> Vec<Waiting> {
        let now = Instant::now();
        let name = |slot| self.store.describe(slot);
        let retry = |(sleeper, slots): (Arc<Sleeper>, Vec<u32>)| {
            let Sleeper { who, since, ticket, .. } = &*sleeper;
            let variables = slots.into_iter().map(name).collect();
            Waiting {
                who: who.clone(),
                variables,
                behind: None,
                waited: now.saturating_duration_since(*since),
                key: (0, *ticket, *since),
            }
        };
        let lock = |LockWait { number, who, place, since, behind }: LockWait| {
            let waited = now.saturating_duration_since(since);
            Waiting {
                who,
                variables: vec![place.describe(name)],
                behind: Some(behind),
                waited,
                key: (1, number, since),
            }
        };
        let mut sleepers = Vec::new();
        // Tasks may be woken (W2), which is the executor's code.
        outside_attempt(|| sleepers = self.shared.registry.list());
        let mut all: Vec<_> = sleepers.into_iter().map(retry).collect();
        all.extend(self.shared.locks.list_waits().into_iter().map(lock));
        all.sort_by_key(|waiting| waiting.key.2);
        all
    }
}

/// A transaction that waits; from [`Space::waiting`] and [`Space::report_blocked`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The transaction.
    pub who: Who,
    /// What it waits for: in a retry the variables (or maps) that it has read, else what it wants to lock; names, or "variable #" and a number.
    pub variables: Vec<String>,
    /// Of a wait for a lock: who holds it, or stands before it in the line. `None` in a retry.
    pub behind: Option<Vec<Who>>,
    /// How long it has waited, when the list was made.
    pub waited: Duration,
    /// What it is told apart by from other waits.
    pub(crate) key: (u8, u64, Instant),
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Waiting { who, variables, behind, waited, .. } = self;
        let how = if behind.is_some() { "to lock" } else { "in retry for" };
        write!(f, "{who} has waited {waited:.1?} {how} ")?;
        const SHOWN: usize = 8;
        for (at, variable) in variables.iter().take(SHOWN).enumerate() {
            write!(f, "{}`{variable}`", if at == 0 { "" } else { ", " })?;
        }
        match variables.len() {
            0 => write!(f, "its deadline")?,
            n if n > SHOWN => write!(f, " and {} more", n - SHOWN)?,
            _ => {}
        }
        for (at, other) in behind.iter().flatten().enumerate() {
            write!(f, "{}{other}", if at == 0 { ", behind " } else { " and " })?;
        }
        Ok(())
    }
}
