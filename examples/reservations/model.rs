//! What there is to book, and what is written down about it.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Seat,
    Hotel,
    Car,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Seat, Kind::Hotel, Kind::Car];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Kind::Seat => "seat",
            Kind::Hotel => "hotel",
            Kind::Car => "car",
        })
    }
}

/// Something of which there are some: the seats of a flight, the rooms of a hotel, the cars of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Resource {
    pub(crate) kind: Kind,
    pub(crate) id: u32,
}

/// Seat 12A, which too many ask for: there is one, and it is not on offer to those who take any seat.
pub(crate) const HOT_SEAT: Resource = Resource { kind: Kind::Seat, id: 0 };

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            &HOT_SEAT => write!(f, "seat 12A"),
            Resource { kind: Kind::Seat, id } => write!(f, "flight {id}"),
            Resource { kind, id } => write!(f, "{kind} {id}"),
        }
    }
}

/// In cents.
pub(crate) type Price = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stock {
    pub(crate) total: u32,
    pub(crate) used: u32,
    pub(crate) price: Price,
}

/// The key of an offer: in this order, the cheapest of a kind comes first.
pub(crate) type Offer = (Kind, Price, u32);

impl Stock {
    pub(crate) fn is_free(&self) -> bool {
        self.used < self.total
    }

    /// Where the resource stands among the offers, if it does.
    pub(crate) fn offer(&self, resource: Resource) -> Option<Offer> {
        (self.is_free() && resource != HOT_SEAT).then_some((resource.kind, self.price, resource.id))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Customer(pub(crate) u32);

/// What is known about a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The order with which the customer came first.
    pub(crate) since: u64,
}

/// One thing of a booking, at the price of that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) resource: Resource,
    pub(crate) price: Price,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Booking {
    pub(crate) customer: Customer,
    /// One of each kind.
    pub(crate) items: [Item; 3],
}

impl Booking {
    pub(crate) fn price(&self) -> i64 {
        self.items.iter().map(|item| i64::from(item.price)).sum()
    }

    pub(crate) fn has(&self, resource: Resource) -> bool {
        self.items.iter().any(|item| item.resource == resource)
    }
}

/// How seat 12A has fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) asked: u64,
    pub(crate) taken: u64,
    pub(crate) returned: u64,
}

/// What somebody wants to book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) customer: Customer,
    /// The hotel of their dreams; another one will do.
    pub(crate) hotel: u32,
    /// Whether they ask for seat 12A first.
    pub(crate) hot_seat: bool,
    /// Nothing cheaper than this, it would not be good enough.
    pub(crate) least: Price,
}

/// What the manager is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Price(Resource, Price),
    /// So many in all, but not fewer than are booked.
    Total(Resource, u32),
}

/// Why a booking did not come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    SoldOut(Kind),
    /// The order is on the books already, which must not be.
    Twice,
}
