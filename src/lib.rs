//! Software transactional memory on one persistent tree.
//!
//! Threads share variables; a transaction reads and writes any number of them as if it ran alone. No lock order to keep, no
//! condition variables to signal, no half-done updates to see.
//!
//! # A tour in six steps
//!
//! **1. Variables and transactions.** A [`TVar`] is a cheap handle. [`atomically!`] runs its body until it commits. Reads give
//! references: they cannot fail, do not clone, and are all of one moment.
//!
//! ```
//! use tvar::{TVar, atomically};
//! let (checking, savings) = (TVar::new(100), TVar::new(0));
//! atomically!(|tx| {
//!     let half = *tx.read(&checking) / 2;
//!     tx.modify(&checking, |n| n - half);
//!     tx.modify(&savings, |n| n + half);
//! });
//! assert_eq!((checking.load(), savings.load()), (50, 50));
//! ```
//!
//! **2. Waiting.** A transaction that cannot go on says so with [`Tx::retry`] or [`Tx::check`], and sleeps until something that
//! it read has changed. Functions of `&Tx` that return [`Stm`] compose with `?`; `or` gives alternatives.
//!
//! ```
//! use tvar::{Stm, TVar, Tx, atomically};
//! fn withdraw(tx: &Tx<'_>, from: &TVar<i64>, amount: i64) -> Stm<()> {
//!     tx.check(*tx.read(from) >= amount)?; // sleeps until the balance suffices
//!     tx.modify(from, |n| n - amount);
//!     Ok(())
//! }
//! let (wallet, bank) = (TVar::new(5), TVar::new(80));
//! let payer = std::thread::spawn({
//!     let (wallet, bank) = (wallet.clone(), bank.clone());
//!     move || atomically!(|tx| { withdraw(tx, &wallet, 100)? } or |tx| { withdraw(tx, &bank, 100)? })
//! });
//! bank.update(|n| n + 20);
//! payer.join().unwrap();
//! assert_eq!((wallet.load(), bank.load()), (5, 0));
//! ```
//!
//! **3. Failing.** [`try_atomically!`] adds typed errors: an abort rolls everything back. Options bound how long a transaction
//! may take.
//!
//! ```
//! use std::time::Duration;
//! use tvar::{TVar, TxError, atomically, try_atomically};
//! let stock = TVar::named("stock", 0);
//! let sale = try_atomically!(|tx| {
//!     tx.modify(&stock, |n| n - 1);
//!     if *tx.read(&stock) < 0 { tx.abort("sold out")? }
//! });
//! assert_eq!((sale, stock.load()), (Err("sold out"), 0));
//! let patient: Result<(), TxError> = atomically!(timeout = Duration::from_millis(1); |tx| tx.check(*tx.read(&stock) > 0)?);
//! assert!(patient.is_err());
//! ```
//!
//! **4. Snapshots.** [`Space::snapshot`] gives an immutable version of everything, to keep as long as wanted, at no cost to writers.
//!
//! ```
//! use tvar::{Space, TVar};
//! let accounts: Vec<_> = (0..100).map(TVar::new).collect();
//! let before = Space::global().snapshot();
//! accounts[7].store(0);
//! assert_eq!(accounts.iter().map(|a| before.read(a)).sum::<i64>(), 4950);
//! assert!(before.diff(&Space::global().snapshot()).changed(&accounts[7]));
//! ```
//!
//! **5. Contention.** Transactions on different variables never make each other run again. For variables that everybody writes,
//! [`Tx::merge`] applies a function at the commit, so that two of them never conflict; [`Tx::lock`] keeps others out of a variable until the
//! transaction has ended; and a transaction that keeps losing gets a turn of its own.
//!
//! ```
//! use tvar::{TVar, atomically};
//! let hits = TVar::new(0);
//! std::thread::scope(|s| {
//!     for _ in 0..4 {
//!         s.spawn(|| (0..100).for_each(|_| atomically!(|tx| tx.merge(&hits, |n| n + 1))));
//!     }
//! });
//! assert_eq!(hits.load(), 400);
//! ```
//!
//! **6. Maps.** [`TMap`] and [`TOrdMap`] conflict per key, present or absent, and per range read.
//!
//! ```
//! use tvar::{TMap, atomically};
//! let stock: TMap<&str, u32> = [("apples", 3)].into_iter().collect();
//! let (apples, pears) = atomically(|tx| {
//!     stock.upsert_with(tx, "pears", 5, |n| n + 5);
//!     Ok((stock.get(tx, "apples").copied(), stock.get(tx, "pears").copied()))
//! });
//! assert_eq!((apples, pears), (Some(3), Some(5)));
//! ```
//!
//! The [`guide`] goes further. The promises are numbered (§1.1 ...) and collected in the repository's `ARCHITECTURE.md`.
//!
//! # Features
//! * `async`: [`atomically_async!`] and the like, transactions as futures on any executor; [`watch`], a stream of what variables hold.
//! * `hooks`: the module `hooks`, points at which a test can stop a thread to force an interleaving.
//! * `reference`: the module `reference`, the same semantics in a few hundred lines of safe code on a general persistent map.
//! * `tracing`: events of transactions for the subscribers of the crate `tracing`, listed in [the guide](guide::observability).

#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod after;
#[cfg(feature = "async")]
mod asynchronous;
mod attempt;
#[cfg(not(tvar_loom))]
mod blocked;
mod call;
mod commit;
mod error;
mod lock;
mod macros;
mod observed;
mod options;
mod snapshot;
mod space;
mod stats;
mod store;
mod sync;
mod tvar;
mod tx;
mod wait;
mod waiting;

pub mod collections;
pub mod guide;
#[cfg(feature = "hooks")]
pub mod hooks;
#[cfg(tvar_loom)]
#[doc(hidden)]
pub mod internals;
pub mod map;
#[cfg(feature = "reference")]
pub mod reference;

pub use after::AfterCommit;
#[cfg(feature = "async")]
pub use asynchronous::{Watch, atomically_async, try_atomically_async, watch};
pub use attempt::{Abort, Isolation, Label, Stm, Stop};
#[cfg(not(tvar_loom))]
pub use blocked::BlockedReports;
pub use call::{atomically, try_atomically};
pub use collections::{
    TArray, TBarrier, TBoundedQueue, TBroadcast, TMVar, TOnce, TPriorityQueue, TQueue, TReceiver, TSemaphore, TSet,
};
pub use commit::Backoff;
pub use error::{TryError, TxError};
pub use lock::{LockInfo, LockMode, LockParty};
pub use map::{TMap, TOrdMap, View};
pub use observed::{Conflict, LabelStats};
pub use options::TxOptions;
pub use snapshot::{Diff, Snapshot};
pub use space::Space;
pub use stats::Stats;
pub use sync::site::Who;
pub use tvar::TVar;
pub use tx::Tx;
pub use waiting::Waiting;

/// The code in the README is run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
