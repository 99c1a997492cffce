//! The threads: agents, the manager and the auditor.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread::{Builder, ScopedJoinHandle, scope};

use indicatif::ProgressBar;

use crate::agency::Agency;
use crate::audit::{self, Audits};
use crate::model::{Change, HOT_SEAT, Kind, Refusal};
use crate::orders::{Order, Orders};

/// The bar moves once in so many orders of an agent.
const PROGRESS_STEP: u64 = 1024;

/// What agents have done, as they tell it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) booked: u64,
    pub(crate) other_hotel: u64,
    pub(crate) sold_out: [u64; Kind::ALL.len()],
    pub(crate) twice: u64,
    pub(crate) cancelled: u64,
    pub(crate) nothing_to_cancel: u64,
    pub(crate) asked_for_hot_seat: u64,
    pub(crate) got_hot_seat: u64,
    pub(crate) new_customers: u64,
    pub(crate) changes: u64,
    /// What all bookings that were not cancelled cost.
    pub(crate) billed: i64,
}

impl Tally {
    fn add(mut self, other: Tally) -> Tally {
        self.booked += other.booked;
        self.other_hotel += other.other_hotel;
        for (mine, theirs) in self.sold_out.iter_mut().zip(other.sold_out) {
            *mine += theirs;
        }
        self.twice += other.twice;
        self.cancelled += other.cancelled;
        self.nothing_to_cancel += other.nothing_to_cancel;
        self.asked_for_hot_seat += other.asked_for_hot_seat;
        self.got_hot_seat += other.got_hot_seat;
        self.new_customers += other.new_customers;
        self.changes += other.changes;
        self.billed += other.billed;
        self
    }
}

pub(crate) struct Shift {
    pub(crate) tally: Tally,
    pub(crate) audits: Audits,
}

/// Closes the agency on the way out, through a panic too: nobody waits for the manager then, nor the manager for calls.
struct Opened<'a>(&'a Agency);

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.0.closed.store(true);
    }
}

/// Serves the orders below `count` with so many agents.
pub(crate) fn work(agency: &Agency, orders: &Orders, count: u64, agents: u32, bar: &ProgressBar) -> io::Result<Shift> {
    let next = AtomicU64::new(0);
    scope(|scope| {
        // Dropping `working` tells the auditor to stop, on the way out through an error too.
        let (working, stop) = channel();
        let auditor = Builder::new().name("auditor".into()).spawn_scoped(scope, move || audit::watch(agency, &stop))?;
        let manager = Builder::new().name("manager".into()).spawn_scoped(scope, || manage(agency))?;
        let opened = Opened(agency);
        let serve = || serve(agency, orders, &next, count, bar);
        let agents: io::Result<Vec<_>> =
            (0..agents).map(|n| Builder::new().name(format!("agent {n}")).spawn_scoped(scope, serve)).collect();
        let tally = agents?.into_iter().map(join).fold(Tally::default(), Tally::add);
        drop(opened);
        let changes = join(manager);
        drop(working);
        Ok(Shift { tally: Tally { changes, ..tally }, audits: join(auditor) })
    })
}

fn join<R>(thread: ScopedJoinHandle<'_, R>) -> R {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// An agent's day.
fn serve(agency: &Agency, orders: &Orders, next: &AtomicU64, count: u64, bar: &ProgressBar) -> Tally {
    let mut tally = Tally::default();
    let mut served = 0;
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            bar.inc(served % PROGRESS_STEP);
            return tally;
        }
        serve_one(agency, number, orders.order(number), &mut tally);
        served += 1;
        if served % PROGRESS_STEP == 0 {
            bar.inc(PROGRESS_STEP);
        }
    }
}

fn serve_one(agency: &Agency, number: u64, order: Order, tally: &mut Tally) {
    match order {
        Order::Book(wish) => match agency.book(number, &wish) {
            Ok(booked) => {
                tally.booked += 1;
                tally.billed += booked.booking.price();
                tally.new_customers += u64::from(booked.new_customer);
                tally.asked_for_hot_seat += u64::from(wish.hot_seat);
                tally.got_hot_seat += u64::from(booked.booking.has(HOT_SEAT));
                let got_dream = booked
                    .booking
                    .items
                    .iter()
                    .any(|item| item.resource.kind == Kind::Hotel && item.resource.id == wish.hotel);
                tally.other_hotel += u64::from(!got_dream);
            }
            Err(Refusal::SoldOut(kind)) => tally.sold_out[kind as usize] += 1,
            Err(Refusal::Twice) => tally.twice += 1,
        },
        Order::Cancel(from) => match agency.cancel(from) {
            Some(booking) => {
                tally.cancelled += 1;
                tally.billed -= booking.price();
            }
            None => tally.nothing_to_cancel += 1,
        },
        Order::CallManager(change) => call_manager(agency, number, change),
    }
}

/// Asks the manager for something and waits until it is done, while the other agents go on.
fn call_manager(agency: &Agency, number: u64, change: Change) {
    agency.space.atomically(|tx| {
        agency.calls.upsert(tx, number, change);
        Ok(())
    });
    // Sleeps until this one key of the map changes.
    agency.space.atomically(|tx| tx.check(!agency.calls.contains_key(tx, &number) || *tx.read(&agency.closed)));
}

/// The manager's day; the number of changes.
fn manage(agency: &Agency) -> u64 {
    let _opened = Opened(agency);
    let mut changes = 0;
    let next_call = || {
        agency.space.atomically(|tx| {
            let Some((_, &change)) = agency.calls.pop_first(tx) else {
                // Sleeps until a call comes in, or all have gone home.
                tx.check(*tx.read(&agency.closed))?;
                return Ok(false);
            };
            agency.change(tx, change);
            Ok(true)
        })
    };
    while next_call() {
        changes += 1;
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Customer, Wish};

    fn shift(agents: u32) -> (Agency, Tally) {
        let orders = Orders::new(3, 50, 4);
        let agency = Agency::new(orders.stock());
        let Shift { tally, audits } = work(&agency, &orders, 3_000, agents, &ProgressBar::hidden()).unwrap();
        assert_eq!(audits.first_failure, None);
        let books = audit::audit(&agency, &agency.space.snapshot()).unwrap();
        assert_eq!(books.agree_with(&tally), Ok(()));
        (agency, tally)
    }

    #[test]
    fn one_agent_does_the_same_every_time_and_never_runs_into_the_auditor() {
        let (first, second) = (shift(1), shift(1));
        assert_eq!(first.1, second.1);
        let (a, b) = (first.0.space.snapshot(), second.0.space.snapshot());
        assert!(first.0.bookings.iter(&a).eq(second.0.bookings.iter(&b)));
        assert!(first.0.offers.iter(&a).eq(second.0.offers.iter(&b)));
        assert_eq!(first.0.space.stats().conflicts, 0);
        let Tally { booked, other_hotel, cancelled, got_hot_seat, changes, sold_out, .. } = first.1;
        assert!([booked, other_hotel, cancelled, got_hot_seat, changes].iter().all(|n| *n > 0), "{:?}", first.1);
        assert!(sold_out.iter().any(|n| *n > 0), "{:?}", first.1);
    }

    #[test]
    fn many_agents_keep_the_rules() {
        shift(8);
    }

    #[test]
    fn a_new_customer_whom_all_agents_serve_has_one_record() {
        let orders = Orders::new(1, 1, 10);
        let agency = Agency::new(orders.stock());
        for customer in 0..200 {
            let wish = Wish { customer: Customer(customer), hotel: 1, hot_seat: false, least: 0 };
            let new: u64 = scope(|scope| {
                let agents: Vec<_> = (0..4)
                    .map(|agent| {
                        let number = u64::from(customer * 4 + agent);
                        let agency = &agency;
                        scope.spawn(move || agency.book(number, &wish).map(|booked| u64::from(booked.new_customer)))
                    })
                    .collect();
                agents.into_iter().filter_map(|agent| join(agent).ok()).sum()
            });
            let snapshot = agency.space.snapshot();
            assert_eq!(new, u64::from(agency.customers.contains_key(&snapshot, &Customer(customer))));
        }
        assert!(audit::audit(&agency, &agency.space.snapshot()).is_ok());
    }
}
