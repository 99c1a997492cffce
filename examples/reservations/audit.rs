//! The auditor: checks the rules of the house on snapshots while everybody works.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use clap::ValueEnum;
use tvar::Snapshot;

use crate::agency::Agency;
use crate::model::{Customer, Demand, HOT_SEAT, Kind, Price, Resource, Stock};
use crate::staff::Tally;

/// Between two audits, so that on a small machine the agents get their share of it.
const PAUSE: Duration = Duration::from_millis(2);

/// What must hold in every version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rule {
    /// Of each resource as many are used as are booked, and no more than there are.
    Stock,
    /// On offer is what is free, at its price, and nothing else.
    Offers,
    /// What a customer owes is the sum of their bookings.
    Bills,
    /// Everybody with a booking has a record, and nobody has two.
    Records,
    /// Seat 12A is taken as often as it was given, less the times that it came back.
    HotSeat,
    /// At the end, the books hold what the agents say that they have done.
    #[value(skip)]
    Tally,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    version: u64,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = self.rule.to_possible_value().map_or_else(|| "tally".into(), |value| value.get_name().to_owned());
        write!(f, "{rule}: {} (version {})", self.what, self.version)
    }
}

/// The results of all audits.
#[derive(Default)]
pub(crate) struct Audits {
    pub(crate) passed: u64,
    pub(crate) first_failure: Option<Violation>,
}

/// What an audit has counted.
#[derive(Debug)]
pub(crate) struct Books {
    version: u64,
    bookings: u64,
    billed: i64,
    customers: u64,
    demand: Demand,
}

/// Audits until the other end of `stop` is dropped.
pub(crate) fn watch(agency: &Agency, stop: &Receiver<()>) -> Audits {
    let mut audits = Audits::default();
    while stop.recv_timeout(PAUSE) != Err(RecvTimeoutError::Disconnected) {
        match audit(agency, &agency.space.snapshot()) {
            Ok(_) => audits.passed += 1,
            Err(violation) => drop(audits.first_failure.get_or_insert(violation)),
        }
    }
    audits
}

/// Checks one version. However long it takes, it is all of one moment, and no writer notices.
pub(crate) fn audit(agency: &Agency, snapshot: &Snapshot) -> Result<Books, Violation> {
    let version = snapshot.version();
    let violated = |rule, what| Err(Violation { rule, version, what });

    let mut used: BTreeMap<Resource, u32> = BTreeMap::new();
    let mut bills: HashMap<Customer, i64> = HashMap::new();
    for (number, booking) in agency.bookings.iter(snapshot) {
        for item in booking.items {
            *used.entry(item.resource).or_default() += 1;
        }
        *bills.entry(booking.customer).or_default() += booking.price();
        if !agency.customers.contains_key(snapshot, &booking.customer) {
            return violated(
                Rule::Records,
                format!("booking {number} is of customer {}, who has no record", booking.customer.0),
            );
        }
    }

    let mut offers = BTreeSet::new();
    for (resource, Stock { total, used: counted, price }) in agency.stock.iter(snapshot) {
        let booked = used.remove(resource).unwrap_or(0);
        if booked != *counted || booked > *total {
            return violated(Rule::Stock, format!("{resource}: {booked} booked, {counted} of {total} used"));
        }
        offers.extend(Stock { total: *total, used: *counted, price: *price }.offer(*resource));
    }
    if let Some((resource, booked)) = used.pop_first() {
        return violated(Rule::Stock, format!("{resource}: {booked} booked, but there is no such resource"));
    }
    if !agency.offers.keys(snapshot).eq(&offers) {
        let on_offer: BTreeSet<_> = agency.offers.keys(snapshot).copied().collect();
        let differ: Vec<_> = on_offer.symmetric_difference(&offers).collect();
        return violated(Rule::Offers, format!("offered and not free, or free and not offered: {differ:?}"));
    }

    for (customer, bill) in agency.bills.iter(snapshot) {
        let booked = bills.remove(customer).unwrap_or(0);
        if booked != *bill {
            return violated(Rule::Bills, format!("customer {} owes {bill} for bookings of {booked}", customer.0));
        }
    }
    if let Some((customer, booked)) = bills.into_iter().next() {
        return violated(Rule::Bills, format!("customer {} has bookings of {booked} and no bill", customer.0));
    }

    for (number, customer) in agency.members.iter(snapshot) {
        if agency.customers.get(snapshot, customer).is_none_or(|record| record.since != *number) {
            return violated(Rule::Records, format!("customer {} did not come first with order {number}", customer.0));
        }
    }
    let (customers, members) = (agency.customers.len(snapshot), agency.members.len(snapshot));
    if customers != members {
        return violated(Rule::Records, format!("{customers} records of {members} customers"));
    }

    let demand = *snapshot.read(&agency.hot_seat);
    let taken = agency.stock.get(snapshot, &HOT_SEAT).map_or(0, |stock| stock.used);
    if demand.taken != demand.returned + u64::from(taken) || demand.taken > demand.asked {
        return violated(Rule::HotSeat, format!("{taken} taken, and the demand was {demand:?}"));
    }

    let billed = agency.bills.values(snapshot).sum();
    let bookings = agency.bookings.len(snapshot) as u64;
    Ok(Books { version, bookings, billed, customers: customers as u64, demand })
}

impl Books {
    /// Whether they hold what the agents have done. Only of the last version, when nobody works any more.
    pub(crate) fn agree_with(&self, tally: &Tally) -> Result<(), Violation> {
        let demand = self.demand;
        let numbers = [
            ("bookings", self.bookings as i64, tally.booked as i64 - tally.cancelled as i64),
            ("orders booked twice", 0, tally.twice as i64),
            ("cents billed", self.billed, tally.billed),
            ("customers", self.customers as i64, tally.new_customers as i64),
            ("requests for seat 12A", demand.asked as i64, tally.asked_for_hot_seat as i64),
            ("times seat 12A was given", demand.taken as i64, tally.got_hot_seat as i64),
        ];
        match numbers.into_iter().find(|(_, in_books, told)| in_books != told) {
            None => Ok(()),
            Some((name, in_books, told)) => {
                let what = format!("{in_books} {name} in the books, {told} as the agents tell");
                Err(Violation { rule: Rule::Tally, version: self.version, what })
            }
        }
    }
}

/// Does what no agent would do.
pub(crate) fn break_rule(agency: &Agency, rule: Rule) {
    agency.space.atomically(|tx| {
        match rule {
            Rule::Stock => {
                let car = Resource { kind: Kind::Car, id: 1 };
                agency.stock.modify(tx, &car, |stock| Stock { used: stock.used + 1, ..*stock });
            }
            Rule::Offers => agency.offers.upsert(tx, (Kind::Hotel, Price::MAX, u32::MAX), ()),
            Rule::Bills => agency.bills.upsert_with(tx, Customer(0), 1, |bill| bill + 1),
            Rule::Records => agency.members.upsert(tx, u64::MAX, Customer(0)),
            Rule::HotSeat => tx.modify(&agency.hot_seat, |demand| Demand { taken: demand.taken + 1, ..*demand }),
            Rule::Tally => drop(agency.bookings.pop_first(tx)),
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::{Order, Orders};

    #[test]
    fn a_violated_rule_is_named() {
        for &rule in Rule::value_variants() {
            let orders = Orders::new(1, 10, 3);
            let agency = Agency::new(orders.stock());
            for number in 0..50 {
                if let Order::Book(wish) = orders.order(number) {
                    let _ = agency.book(number, &wish);
                }
            }
            assert!(audit(&agency, &agency.space.snapshot()).is_ok());
            let before = agency.space.snapshot();
            break_rule(&agency, rule);
            let violation = audit(&agency, &agency.space.snapshot()).unwrap_err();
            assert_eq!(violation.rule, rule, "{violation}");
            let name = rule.to_possible_value().unwrap().get_name().to_owned();
            assert!(violation.to_string().starts_with(&format!("{name}: ")), "{violation}");
            assert!(audit(&agency, &before).is_ok(), "the snapshot from before has changed");
        }
    }

    #[test]
    fn what_the_agents_tell_must_be_in_the_books() {
        let agency = Agency::new(Orders::new(1, 10, 3).stock());
        let books = audit(&agency, &agency.space.snapshot()).unwrap();
        assert_eq!(books.agree_with(&Tally::default()), Ok(()));
        let violation = books.agree_with(&Tally { booked: 1, ..Tally::default() }).unwrap_err();
        assert!(violation.to_string().starts_with("tally: 0 bookings in the books, 1 as"), "{violation}");
    }
}
