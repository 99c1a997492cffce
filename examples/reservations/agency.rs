//! The maps, and the transactions that this program is about.

use tvar::{Abort, LockMode, Space, Stm, TMap, TOrdMap, TVar, Tx};

use crate::model::{
    Booking, Change, Customer, Demand, HOT_SEAT, Item, Kind, Offer, Price, Record, Refusal, Resource, Stock, Wish,
};

pub(crate) struct Agency {
    pub(crate) space: Space,
    pub(crate) stock: TMap<Resource, Stock>,
    /// An index of the stock: what is free, the cheapest of each kind first.
    pub(crate) offers: TOrdMap<Offer, ()>,
    /// By the number of the order.
    pub(crate) bookings: TOrdMap<u64, Booking>,
    pub(crate) customers: TMap<Customer, Record>,
    /// An index of the customers, by the order with which they came first.
    pub(crate) members: TOrdMap<u64, Customer>,
    /// What each customer owes for all bookings together.
    pub(crate) bills: TMap<Customer, i64>,
    pub(crate) hot_seat: TVar<Demand>,
    /// What the manager has been asked for and has not done yet, by the number of the order.
    pub(crate) calls: TOrdMap<u64, Change>,
    pub(crate) closed: TVar<bool>,
}

/// A booking that was made.
pub(crate) struct Booked {
    pub(crate) booking: Booking,
    pub(crate) new_customer: bool,
}

impl Agency {
    pub(crate) fn new(stock: Vec<(Resource, Stock)>) -> Self {
        let space = Space::named("reservations");
        let offers = stock.iter().filter_map(|(resource, stock)| Some((stock.offer(*resource)?, ())));
        Self {
            offers: TOrdMap::with_entries_in(&space, offers),
            stock: TMap::with_entries_in(&space, stock),
            bookings: TOrdMap::named_in(&space, "bookings"),
            customers: TMap::named_in(&space, "customers"),
            members: TOrdMap::named_in(&space, "members"),
            bills: TMap::named_in(&space, "bills"),
            hot_seat: TVar::named_in(&space, "demand for 12A", Demand::default()),
            calls: TOrdMap::named_in(&space, "calls"),
            closed: TVar::named_in(&space, "closed", false),
            space,
        }
    }

    /// Books a seat, a hotel and a car, or nothing at all.
    pub(crate) fn book(&self, number: u64, wish: &Wish) -> Result<Booked, Refusal> {
        self.space.try_atomically(|tx| {
            // The lock comes first: it waits, and what is read after it is as new as the lock.
            let hot = if wish.hot_seat { self.ask_for_hot_seat(tx)? } else { None };
            let seat = match hot {
                Some(seat) => seat,
                None => self.take_cheapest(tx, Kind::Seat, wish.least)?,
            };
            let dream = Resource { kind: Kind::Hotel, id: wish.hotel };
            let hotel =
                tx.try_or_else(|tx| Ok(self.take(tx, dream)?), |tx| self.take_cheapest(tx, Kind::Hotel, wish.least))?;
            let car = self.take_cheapest(tx, Kind::Car, wish.least)?;
            let booking = Booking { customer: wish.customer, items: [seat, hotel, car] };

            // Of several agents who serve the same new customer, one makes the record and the others find it.
            let new_customer = self.customers.insert_new(tx, wish.customer, Record { since: number });
            if new_customer {
                self.members.upsert(tx, number, wish.customer);
            }
            if !self.bookings.insert_new(tx, number, booking) {
                tx.abort(Refusal::Twice)?;
            }
            self.charge(tx, wish.customer, booking.price());
            Ok(Booked { booking, new_customer })
        })
    }

    /// Cancels the first booking from this number on; none if there is none.
    pub(crate) fn cancel(&self, from: u64) -> Option<Booking> {
        self.space.atomically(|tx| {
            // Conflicts with a booking that gets in between `from` and the one that was found, not with later ones.
            let Some((&number, &booking)) = self.bookings.range(tx, from..).next() else { return Ok(None) };
            if booking.has(HOT_SEAT) {
                self.lock_hot_seat(tx)?;
                tx.modify(&self.hot_seat, |demand| Demand { returned: demand.returned + 1, ..*demand });
            }
            for item in booking.items {
                self.change_stock(tx, item.resource, |stock| Stock { used: stock.used - 1, ..stock });
            }
            self.bookings.remove(tx, &number);
            self.charge(tx, booking.customer, -booking.price());
            Ok(Some(booking))
        })
    }

    /// What the manager does.
    pub(crate) fn change(&self, tx: &Tx<'_>, change: Change) {
        match change {
            Change::Price(resource, price) => self.change_stock(tx, resource, |stock| Stock { price, ..stock }),
            Change::Total(resource, total) => {
                self.change_stock(tx, resource, |stock| Stock { total: total.max(stock.used), ..stock });
            }
        }
    }

    /// Takes one of this resource; retries if there is none left.
    fn take(&self, tx: &Tx<'_>, resource: Resource) -> Stm<Item> {
        let stock = self.stock_of(tx, resource);
        tx.check(stock.is_free())?;
        self.change_stock(tx, resource, |stock| Stock { used: stock.used + 1, ..stock });
        Ok(Item { resource, price: stock.price })
    }

    /// Takes one of the cheapest free resource that costs at least so much.
    fn take_cheapest(&self, tx: &Tx<'_>, kind: Kind, least: Price) -> Result<Item, Abort<Refusal>> {
        match self.offers.range(tx, (kind, least, 0)..=(kind, Price::MAX, u32::MAX)).next() {
            Some((&(kind, _, id), ())) => Ok(self.take(tx, Resource { kind, id })?),
            None => tx.abort(Refusal::SoldOut(kind)),
        }
    }

    /// Seat 12A, if nobody has it. Whoever asks drives its price up.
    fn ask_for_hot_seat(&self, tx: &Tx<'_>) -> Stm<Option<Item>> {
        self.lock_hot_seat(tx)?;
        let free = self.stock_of(tx, HOT_SEAT).is_free();
        let seat = if free { Some(self.take(tx, HOT_SEAT)?) } else { None };
        self.change_stock(tx, HOT_SEAT, |stock| Stock { price: stock.price.saturating_add(1), ..stock });
        tx.modify(&self.hot_seat, |demand| Demand {
            asked: demand.asked + 1,
            taken: demand.taken + u64::from(free),
            ..*demand
        });
        Ok(seat)
    }

    /// Everybody who asks for this seat writes to it, so that all but one of those who ask at the same time would run
    /// again. They stand in line instead.
    fn lock_hot_seat(&self, tx: &Tx<'_>) -> Stm<()> {
        self.stock.lock_key(tx, &HOT_SEAT, LockMode::Exclusive)
    }

    /// Two of these never conflict, not even for the same customer.
    fn charge(&self, tx: &Tx<'_>, customer: Customer, amount: i64) {
        self.bills.upsert_with(tx, customer, amount, move |bill| bill + amount);
    }

    /// Changes the stock of a resource and keeps the index up to date, which few changes concern.
    fn change_stock(&self, tx: &Tx<'_>, resource: Resource, f: impl FnOnce(Stock) -> Stock) {
        let old = self.stock_of(tx, resource);
        let new = f(old);
        self.stock.upsert(tx, resource, new);
        let (before, after) = (old.offer(resource), new.offer(resource));
        if before != after {
            if let Some(offer) = before {
                self.offers.remove(tx, &offer);
            }
            if let Some(offer) = after {
                self.offers.upsert(tx, offer, ());
            }
        }
    }

    fn stock_of(&self, tx: &Tx<'_>, resource: Resource) -> Stock {
        *self.stock.get(tx, &resource).expect("the stock has all resources from the beginning")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLIGHT: Resource = Resource { kind: Kind::Seat, id: 1 };
    const PALACE: Resource = Resource { kind: Kind::Hotel, id: 1 };
    const INN: Resource = Resource { kind: Kind::Hotel, id: 2 };
    const CAR: Resource = Resource { kind: Kind::Car, id: 1 };

    fn agency() -> Agency {
        let stock = |total, price| Stock { total, used: 0, price };
        Agency::new(vec![
            (HOT_SEAT, stock(1, 50)),
            (FLIGHT, stock(3, 100)),
            (PALACE, stock(1, 900)),
            (INN, stock(9, 200)),
            (CAR, stock(4, 30)),
        ])
    }

    fn wish(customer: u32) -> Wish {
        Wish { customer: Customer(customer), hotel: PALACE.id, hot_seat: true, least: 0 }
    }

    fn used(agency: &Agency) -> Vec<u32> {
        let snapshot = agency.space.snapshot();
        [HOT_SEAT, FLIGHT, PALACE, INN, CAR].map(|r| agency.stock.get(&snapshot, &r).unwrap().used).to_vec()
    }

    #[test]
    fn the_next_best_is_taken_and_all_or_nothing() {
        let agency = agency();
        let resources = |booked: Booked| booked.booking.items.map(|item| item.resource);
        assert_eq!(resources(agency.book(0, &wish(7)).ok().unwrap()), [HOT_SEAT, PALACE, CAR]);
        for number in 1..4 {
            assert_eq!(resources(agency.book(number, &wish(8)).ok().unwrap()), [FLIGHT, INN, CAR]);
        }
        assert_eq!(used(&agency), [1, 3, 1, 3, 4]);
        assert_eq!(agency.book(4, &wish(9)).err(), Some(Refusal::SoldOut(Kind::Seat)));
        agency.space.atomically(|tx| {
            agency.change(tx, Change::Total(FLIGHT, 9));
            Ok(())
        });
        assert_eq!(agency.book(5, &wish(9)).err(), Some(Refusal::SoldOut(Kind::Car)));
        assert_eq!(used(&agency), [1, 3, 1, 3, 4]);
        let snapshot = agency.space.snapshot();
        assert!(!agency.customers.contains_key(&snapshot, &Customer(9)), "a record without a booking");
        assert_eq!(agency.bills.get(&snapshot, &Customer(8)), Some(&(3 * 330)));
        assert_eq!(agency.hot_seat.load(), Demand { asked: 4, taken: 1, returned: 0 });
    }

    #[test]
    fn a_cancellation_gives_everything_back() {
        let agency = agency();
        assert_eq!(agency.cancel(0), None);
        assert!(agency.book(5, &wish(7)).is_ok_and(|booked| booked.new_customer));
        assert!(agency.book(6, &wish(7)).is_ok_and(|booked| !booked.new_customer));
        assert_eq!(agency.cancel(7), None);
        assert_eq!(agency.cancel(3).map(|booking| booking.price()), Some(980));
        assert_eq!(used(&agency), [0, 1, 0, 1, 1]);
        assert_eq!(agency.bills.get(&agency.space.snapshot(), &Customer(7)), Some(&330));
        assert_eq!(agency.hot_seat.load(), Demand { asked: 2, taken: 1, returned: 1 });
    }

    #[test]
    fn the_manager_decides_which_is_the_cheapest() {
        let agency = agency();
        agency.space.atomically(|tx| {
            agency.change(tx, Change::Price(INN, 1_000));
            agency.change(tx, Change::Total(PALACE, 2));
            agency.change(tx, Change::Total(FLIGHT, 0));
            Ok(())
        });
        let elsewhere = Wish { hotel: INN.id, ..wish(1) };
        assert!(agency.book(1, &elsewhere).is_ok_and(|booked| booked.booking.price() == 50 + 1_000 + 30));
        assert_eq!(agency.book(2, &wish(1)).err(), Some(Refusal::SoldOut(Kind::Seat)));
    }

    #[test]
    fn an_order_is_booked_once() {
        let agency = agency();
        assert!(agency.book(1, &wish(1)).is_ok());
        assert_eq!(agency.book(1, &wish(1)).err(), Some(Refusal::Twice));
        assert_eq!(used(&agency), [1, 0, 1, 0, 1]);
    }
}
