//! Who comes and wants what: made up from a seed, order by order, whoever serves it.

use crate::model::{Change, Customer, HOT_SEAT, Kind, Price, Resource, Stock, Wish};

/// So many orders in a row are of one customer, so that several agents serve the same new one at once.
const IN_A_ROW: u64 = 4;

/// One customer in so many asks for seat 12A.
const ASK_FOR_HOT_SEAT: u64 = 8;

const PRICES: std::ops::Range<u64> = 2_000..50_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Book(Wish),
    /// The first booking from this number on.
    Cancel(u64),
    CallManager(Change),
}

pub(crate) struct Orders {
    seed: u64,
    customers: u32,
    resources: u32,
}

impl Orders {
    pub(crate) fn new(seed: u64, customers: u32, resources: u32) -> Self {
        Self { seed, customers, resources }
    }

    /// What the agency begins with.
    pub(crate) fn stock(&self) -> Vec<(Resource, Stock)> {
        let mut random = SplitMix64(!self.seed);
        let mut stock = vec![(HOT_SEAT, Stock { total: 1, used: 0, price: 12_000 })];
        for kind in Kind::ALL {
            for id in 1..=self.resources {
                let total = 10 + random.below(30) as u32;
                stock.push((Resource { kind, id }, Stock { total, used: 0, price: random.price() }));
            }
        }
        stock
    }

    /// The order of this number.
    pub(crate) fn order(&self, number: u64) -> Order {
        let mut random = SplitMix64(self.seed ^ number.wrapping_mul(0xA24B_AED4_963E_E407));
        match random.below(100) {
            0..58 => {
                let mut who = SplitMix64(self.seed.wrapping_add(number / IN_A_ROW));
                Order::Book(Wish {
                    customer: Customer(who.below(self.customers.into()) as u32),
                    hotel: 1 + random.below(self.resources.into()) as u32,
                    hot_seat: random.below(ASK_FOR_HOT_SEAT) == 0,
                    least: random.price(),
                })
            }
            58..98 => Order::Cancel(random.below(number + 1)),
            _ => {
                let kind = Kind::ALL[random.below(3) as usize];
                let resource = Resource { kind, id: 1 + random.below(self.resources.into()) as u32 };
                Order::CallManager(match random.below(3) {
                    0 => Change::Total(resource, 5 + random.below(40) as u32),
                    _ => Change::Price(resource, random.price()),
                })
            }
        }
    }
}

/// Written out here because the orders must not change when a crate of generators does.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `0..n`.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    fn price(&mut self) -> Price {
        (PRICES.start + self.below(PRICES.end - PRICES.start)) as Price
    }
}
