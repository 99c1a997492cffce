//! §5.3, §6.1, §6.2, L3: a lock on keys gives their newest entries; what was read of maps before is validated, and what is read after it
//! is of the new snapshot.

mod locks_common;

use locks_common::elsewhere;
use tvar::LockMode::Exclusive;
use tvar::{Space, TOrdMap, TVar};

/// §2.2, §6.2: an iterator from before the move goes on in the version that it began in; what it comes to after the move is a read of that
/// version, and stale if it was written in between.
#[test]
fn a_range_read_on_after_the_move_is_validated() {
    for backwards in [false, true] {
        let space = Space::new();
        let map = TOrdMap::with_entries_in(&space, (0..100u64).map(|k| (k, 0i64)));
        let (v, out) = (TVar::new_in(&space, 0i64), TVar::new_in(&space, 0i64));
        let runs = space.atomically(|tx| {
            let mut range = map.range(tx, 10..20);
            let mut next = || if backwards { range.next_back() } else { range.next() };
            let first = *next().unwrap().1;
            if tx.attempt() == 1 {
                let (s, m, x) = (space.clone(), map.clone(), v.clone());
                elsewhere(move || {
                    s.atomically(|tx| {
                        m.upsert(tx, 15, 1);
                        tx.write(&x, 1);
                        Ok(())
                    });
                });
            }
            tx.lock(&v, Exclusive)?;
            let mut sum = first;
            while let Some((_, n)) = next() {
                sum += n;
            }
            tx.write(&out, sum + *tx.read(&v));
            Ok(tx.attempt())
        });
        assert_eq!((runs, out.load()), (2, 2), "backwards: {backwards}");
    }
}

/// §3.1: the same of a retry: what it has come to after the move has changed already, so it does not sleep.
#[test]
fn a_retry_on_a_range_read_on_after_the_move_does_not_sleep() {
    let space = Space::new();
    let map = TOrdMap::with_entries_in(&space, (0..100u64).map(|k| (k, 0i64)));
    let v = TVar::new_in(&space, 0i64);
    let (s, m) = (space.clone(), map.clone());
    let runs = elsewhere(move || {
        s.clone().atomically(|tx| {
            let mut range = m.range(tx, 10..20);
            range.next();
            if tx.attempt() == 1 {
                let (s, m, x) = (s.clone(), m.clone(), v.clone());
                elsewhere(move || {
                    s.atomically(|tx| {
                        m.upsert(tx, 15, 1);
                        tx.write(&x, 1);
                        Ok(())
                    });
                });
            }
            tx.lock(&v, Exclusive)?;
            if range.all(|(_, n)| *n == 0) { tx.retry() } else { Ok(tx.attempt()) }
        })
    });
    assert_eq!((runs, space.waiters()), (2, 0));
}
