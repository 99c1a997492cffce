//! The auditor: counts all money again and again while the workers move it.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::amount::Cents;
use crate::book::{Account, Book};

/// Between two audits, so that on a small machine the workers get their share of it.
const PAUSE: Duration = Duration::from_micros(200);

/// The results of all audits.
#[derive(Default)]
pub(crate) struct Audits {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) first_failure: Option<String>,
}

/// Audits until the other end of `stop` is dropped, and once more after that.
pub(crate) fn watch(book: &Book, stop: &Receiver<()>) -> Audits {
    let mut audits = Audits::default();
    let mut known = Vec::new();
    loop {
        let last = stop.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected);
        match audit(book, &mut known) {
            Ok(()) => audits.passed += 1,
            Err(failure) => {
                audits.failed += 1;
                audits.first_failure.get_or_insert(failure);
            }
        }
        if last {
            return audits;
        }
    }
}

fn audit(book: &Book, known: &mut Vec<Arc<Account>>) -> Result<(), String> {
    // In this order: an account opened in between still holds its opening money in the snapshot,
    // but one that the list lacks could have been paid in it.
    let snapshot = book.snapshot();
    book.learn(known);
    let (mut expected, mut found) = (0, 0);
    for account in known.iter() {
        let balance = *snapshot.read(&account.balance);
        if balance < 0 {
            let Account { name, .. } = &**account;
            let balance = Cents(balance.into());
            return Err(format!("version {}: {name} holds {balance}", snapshot.version()));
        }
        expected += i128::from(account.opening);
        found += i128::from(balance);
    }
    if expected == found {
        return Ok(());
    }
    let (version, found, expected) = (snapshot.version(), Cents(found), Cents(expected));
    Err(format!("version {version}: {found} in all instead of {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Registry;

    #[test]
    fn money_from_nowhere_and_debts_are_noticed() {
        let book = Book::new();
        let mut registry = Registry::new(&book, &[]).unwrap();
        let (a, b) = (registry.account("a").unwrap(), registry.account("b").unwrap());
        let mut known = Vec::new();
        assert_eq!(audit(&book, &mut known), Ok(()));
        a.balance.update(|x| x + 5);
        let failure = audit(&book, &mut known).unwrap_err();
        assert!(failure.contains("2000.05 in all instead of 2000.00"), "{failure}");
        b.balance.store(-5);
        assert!(audit(&book, &mut known).unwrap_err().contains("b holds -0.05"));
    }
}
