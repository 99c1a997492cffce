//! The barrier.

use crate::{Space, Stm, TVar, Tx};
use std::fmt;

/// A place where a fixed number of parties wait for each other, again and again (§6.3); a cheap handle, clones are the same barrier.
///
/// To arrive and to pass are two transactions, since others can see an arrival only when it has been committed. [`wait`](TBarrier::wait) does both. Those who wait are
/// woken once, by the last arrival; arrivals conflict with each other.
///
/// ```
/// use tvar::TBarrier;
/// let barrier = TBarrier::new(3);
/// let leaders = std::thread::scope(|s| {
///     let threads = [(); 3].map(|()| s.spawn(|| barrier.wait().is_leader()));
///     threads.map(|thread| thread.join().unwrap())
/// });
/// assert_eq!(leaders.into_iter().filter(|leader| *leader).count(), 1);
/// ```
#[derive(Clone)]
pub struct TBarrier {
    parties: u64,
    /// How many have arrived at the present round. Apart from the round, so that arrivals do not wake who waits for its end (Q8).
    arrived: TVar<u64>,
    round: TVar<u64>,
}

/// An arrival at a [`TBarrier`]; what [`pass`](TBarrier::pass) wants to see.
#[derive(Clone)]
#[must_use = "whoever has arrived passes with the ticket"]
pub struct BarrierTicket {
    round: u64,
    leader: bool,
    barrier: TVar<u64>,
}

impl BarrierTicket {
    /// Whether this was the last arrival of its round: one party of each round is told so.
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}

impl TBarrier {
    /// A new barrier of the global space for so many parties.
    ///
    /// # Panics
    /// When the number of parties is zero.
    #[track_caller]
    pub fn new(parties: u64) -> Self {
        Self::new_in(Space::global(), parties)
    }

    /// A new barrier of a space for so many parties.
    ///
    /// # Panics
    /// When the number of parties is zero.
    #[track_caller]
    pub fn new_in(space: &Space, parties: u64) -> Self {
        assert!(parties > 0, "tvar: a barrier for zero parties has nobody to open it; it needs one at least");
        TBarrier { parties, arrived: TVar::new_in(space, 0), round: TVar::new_in(space, 0) }
    }

    /// Arrives, when the transaction commits; the last of a round opens it. Never blocks.
    ///
    /// [`pass`](TBarrier::pass) belongs into a later transaction: in the same one it would block for ever, unless this is the last arrival.
    ///
    /// ```
    /// use tvar::{TBarrier, atomically};
    /// let barrier = TBarrier::new(2);
    /// let first = atomically(|tx| Ok(barrier.arrive(tx)));
    /// let last = atomically(|tx| Ok(barrier.arrive(tx)));
    /// assert!(!first.is_leader() && last.is_leader());
    /// atomically(|tx| barrier.pass(tx, &first)); // does not block any more
    /// ```
    pub fn arrive(&self, tx: &Tx<'_>) -> BarrierTicket {
        let (round, arrived) = (*tx.read(&self.round), *tx.read(&self.arrived) + 1);
        let leader = arrived == self.parties;
        if leader {
            tx.write(&self.arrived, 0);
            tx.write(&self.round, round.wrapping_add(1));
        } else {
            tx.write(&self.arrived, arrived);
        }
        BarrierTicket { round, leader, barrier: self.round.clone() }
    }

    /// Passes; blocks until all parties of the ticket's round have arrived.
    ///
    /// # Errors
    /// The stop, until then.
    ///
    /// # Panics
    /// When the ticket is of another barrier.
    #[track_caller]
    pub fn pass(&self, tx: &Tx<'_>, ticket: &BarrierTicket) -> Stm<()> {
        assert!(
            ticket.barrier.ptr_eq(&self.round),
            "tvar: a ticket of another barrier; pass with the one that `arrive` gave"
        );
        tx.check(*tx.read(&self.round) != ticket.round)
    }

    /// Arrives and passes, in two transactions: waits until all parties of the round have arrived. The ticket tells whether this was the
    /// [leader](BarrierTicket::is_leader).
    ///
    /// # Panics
    /// Inside a running transaction of this thread: use [`arrive`](TBarrier::arrive) there, and `pass` in a later one.
    #[track_caller]
    pub fn wait(&self) -> BarrierTicket {
        let space = self.round.space();
        let ticket = space.atomically(|tx| Ok(self.arrive(tx)));
        if !ticket.leader {
            space.atomically(|tx| self.pass(tx, &ticket));
        }
        ticket
    }

    /// [`wait`](TBarrier::wait) as a future. Dropped after the first poll it may have arrived: it counts as a party of the round then, which will not pass.
    ///
    /// ```
    /// use tvar::TBarrier;
    /// let barrier = TBarrier::new(2);
    /// let other = std::thread::spawn({
    ///     let barrier = barrier.clone();
    ///     move || barrier.wait().is_leader()
    /// });
    /// let leader = futures::executor::block_on(barrier.wait_async()).is_leader();
    /// assert_ne!(leader, other.join().unwrap());
    /// ```
    #[cfg(feature = "async")]
    pub async fn wait_async(&self) -> BarrierTicket {
        let space = self.round.space();
        let ticket = space.atomically_async(|tx| Ok(self.arrive(tx))).await;
        if !ticket.leader {
            space.atomically_async(|tx| self.pass(tx, &ticket)).await;
        }
        ticket
    }

    /// For how many parties the barrier is.
    pub fn parties(&self) -> u64 {
        self.parties
    }

    /// Whether two handles are of the same barrier.
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.round.ptr_eq(&other.round)
    }
}

impl fmt::Debug for TBarrier {
    /// Shows the parties, how many have arrived, and how many rounds are over; inside a transaction, as of its snapshot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.round.space().snapshot();
        f.debug_struct("TBarrier")
            .field("parties", &self.parties)
            .field("arrived", snapshot.read::<u64>(&self.arrived))
            .field("rounds", snapshot.read::<u64>(&self.round))
            .finish()
    }
}

impl fmt::Debug for BarrierTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierTicket").field("round", &self.round).field("is_leader", &self.leader).finish()
    }
}
