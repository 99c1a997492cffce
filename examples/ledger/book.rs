//! The accounts, and the one transaction that this program is about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tvar::{Snapshot, Space, Stats, Stm, TVar, Tx};

use crate::amount::Amount;
use crate::args::Opening;

/// Where an account starts when no `--opening` says otherwise.
const DEFAULT_OPENING: Amount = Amount::from_cents(100_000);

/// One account. Its balance is the only thing that transactions touch.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) opening: i64,
    pub(crate) balance: TVar<i64>,
}

/// A transfer that is ready to be booked.
pub(crate) struct Order {
    pub(crate) from: Arc<Account>,
    pub(crate) to: Arc<Account>,
    pub(crate) amount: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Booked,
    /// The paying account holds less than the amount.
    NotCovered,
}

/// All accounts, in the order in which they were opened, and the space that they live in.
pub(crate) struct Book {
    space: Space,
    accounts: Mutex<Vec<Arc<Account>>>,
}

impl Book {
    pub(crate) fn new() -> Self {
        Self { space: Space::named("ledger"), accounts: Mutex::new(Vec::new()) }
    }

    /// Books the order if it is covered now.
    pub(crate) fn book(&self, order: &Order) -> Outcome {
        self.space.atomically(|tx| order.book(tx))
    }

    /// Books the order as soon as it is covered, or gives up at the deadline.
    pub(crate) fn book_until(&self, order: &Order, deadline: Instant) -> Outcome {
        self.space.atomically(|tx| {
            let outcome = order.book(tx)?;
            if outcome == Outcome::NotCovered {
                // Sleeps until one of the two balances changes and runs the closure again then.
                // Past the deadline this does nothing, and the outcome is the answer. A timeout
                // of the whole call would do as well, but could also give up on a covered order.
                tx.retry_until(deadline)?;
            }
            Ok(outcome)
        })
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.space.snapshot()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.space.stats()
    }

    /// Brings `known`, a copy of the first accounts, up to date.
    pub(crate) fn learn(&self, known: &mut Vec<Arc<Account>>) {
        let accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend_from_slice(&accounts[known.len()..]);
    }

    fn open(&self, name: &str, opening: i64) -> Arc<Account> {
        let balance = TVar::new_in(&self.space, opening);
        let account = Arc::new(Account { name: name.to_owned(), opening, balance });
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.push(Arc::clone(&account));
        account
    }
}

impl Order {
    fn book(&self, tx: &Tx<'_>) -> Stm<Outcome> {
        if *tx.read(&self.from.balance) < self.amount {
            return Ok(Outcome::NotCovered);
        }
        // No balance can overflow: the money of all accounts together fits, see `Registry`.
        tx.modify(&self.from.balance, |b| b - self.amount);
        tx.modify(&self.to.balance, |b| b + self.amount);
        Ok(Outcome::Booked)
    }
}

/// Finds accounts by name and opens those that are new. Only the thread that reads has one.
pub(crate) struct Registry<'a> {
    book: &'a Book,
    by_name: HashMap<String, Arc<Account>>,
    default_opening: i64,
    /// The money of all accounts opened so far.
    total: i64,
}

/// No account can be opened any more: all money together would not fit in an `i64`.
#[derive(Debug)]
pub(crate) struct TooMuchMoney;

impl<'a> Registry<'a> {
    /// Opens the accounts that `openings` names; of repeated ones the last counts.
    pub(crate) fn new(book: &'a Book, openings: &[Opening]) -> Result<Self, TooMuchMoney> {
        let default = openings.iter().rev().find(|o| o.name.is_none());
        let default_opening = default.map_or(DEFAULT_OPENING, |o| o.amount).cents();
        let mut this = Self { book, by_name: HashMap::new(), default_opening, total: 0 };
        for opening in openings.iter().rev() {
            if let Some(name) = &opening.name
                && !this.by_name.contains_key(name)
            {
                this.open(name, opening.amount.cents())?;
            }
        }
        Ok(this)
    }

    pub(crate) fn account(&mut self, name: &str) -> Result<Arc<Account>, TooMuchMoney> {
        match self.by_name.get(name) {
            Some(account) => Ok(Arc::clone(account)),
            None => self.open(name, self.default_opening),
        }
    }

    fn open(&mut self, name: &str, opening: i64) -> Result<Arc<Account>, TooMuchMoney> {
        self.total = self.total.checked_add(opening).ok_or(TooMuchMoney)?;
        let account = self.book.open(name, opening);
        self.by_name.insert(name.to_owned(), Arc::clone(&account));
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn opening(name: Option<&str>, amount: &str) -> Opening {
        Opening { name: name.map(str::to_owned), amount: amount.parse().unwrap() }
    }

    #[test]
    fn openings_are_given_by_name_or_to_all() {
        let book = Book::new();
        let openings = [opening(Some("bank"), "7"), opening(None, "5"), opening(Some("bank"), "9")];
        let mut registry = Registry::new(&book, &openings).unwrap();
        assert_eq!(registry.account("bank").unwrap().opening, 900);
        assert_eq!(registry.account("other").unwrap().opening, 500);
        assert_eq!(registry.total, 1400);
        let mut known = Vec::new();
        book.learn(&mut known);
        assert_eq!(known.len(), 2);
    }

    #[test]
    fn more_money_than_can_be_counted_is_refused() {
        let book = Book::new();
        let openings = [opening(None, "92233720368547758.07")];
        let mut registry = Registry::new(&book, &openings).unwrap();
        assert!(registry.account("one").is_ok());
        assert!(registry.account("two").is_err());
        assert!(registry.account("one").is_ok());
    }

    #[test]
    fn an_order_waits_for_money_and_gives_up_at_its_deadline() {
        let book = Book::new();
        let mut registry = Registry::new(&book, &[opening(None, "10")]).unwrap();
        let mut order = |from, to, amount| Order {
            from: registry.account(from).unwrap(),
            to: registry.account(to).unwrap(),
            amount,
        };
        let (large, help) = (order("a", "b", 1500), order("c", "a", 600));
        assert_eq!(book.book(&large), Outcome::NotCovered);
        let soon = Instant::now() + Duration::from_millis(20);
        assert_eq!(book.book_until(&large, soon), Outcome::NotCovered);
        assert!(Instant::now() >= soon);

        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let later = Instant::now() + Duration::from_secs(60);
                book.book_until(&large, later)
            });
            assert_eq!(book.book(&help), Outcome::Booked);
            assert_eq!(waiting.join().unwrap(), Outcome::Booked);
        });
        assert_eq!(large.from.balance.load(), 1000 + 600 - 1500);
    }
}
