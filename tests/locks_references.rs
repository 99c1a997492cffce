//! §2.1, §5.3, L3: references that were handed out stay valid over any number of moves, inline ones too, which lie in the tree itself.

mod common;
mod locks_common;

use common::elsewhere;
use locks_common::{V, no_trace, table};
use tvar::LockMode::{Exclusive, Shared};
use tvar::{Space, TVar};

/// Each reference is from another version of one leaf, of which only the variables that were read have stayed as they were.
#[test]
fn inline_references_survive_many_moves() {
    let space = Space::new();
    // Neighbours: in one leaf.
    let vars: Vec<V> = (0..8).map(|i| TVar::named_in(&space, format!("v{i}"), 0)).collect();
    let (busy, locked) = (&vars[6], &vars[7]);
    vars.iter().enumerate().for_each(|(i, v)| v.store(100 + i as i64));
    space.atomically(|tx| {
        let mut references = Vec::new();
        for (i, v) in vars[..6].iter().enumerate() {
            let mode = if i < 3 { Shared } else { Exclusive };
            let next = &vars[i];
            elsewhere(|| {
                (0..50).for_each(|n| busy.store(n));
                next.update(|n| n + 1000);
            });
            tx.lock(next, mode)?;
            references.push((tx.read(v), 1100 + i as i64));
            // What is out of use is used again now.
            elsewhere(|| (0..200).for_each(|n| busy.store(n)));
            for (reference, value) in &references {
                assert_eq!(*reference, value, "after move {i}");
            }
        }
        tx.lock(locked, Exclusive)?;
        tx.write(locked, references.iter().map(|(reference, _)| **reference).sum());
        elsewhere(|| (0..200).for_each(|n| busy.store(n)));
        assert!(references.iter().all(|(reference, value)| *reference == value));
        Ok(())
    });
    assert_eq!(locked.load(), (0..6).map(|i| 1100 + i).sum::<i64>());
    assert_eq!((space.stats().conflicts, table(&space).as_str()), (0, ""));
    no_trace(&space, &vars.iter().collect::<Vec<_>>());
}

/// References of own writes, of initial values, and of what the attempt reads through a kept snapshot of its own.
#[test]
fn other_references_survive_many_moves() {
    let space = Space::new();
    let vars: Vec<V> = (0..6).map(|i| TVar::named_in(&space, format!("v{i}"), i)).collect();
    let text = TVar::new_in(&space, String::from("initial"));
    space.atomically(|tx| {
        let initial = (tx.read(&vars[0]), tx.read(&text));
        tx.write(&vars[1], 10);
        let own = tx.read(&vars[1]);
        tx.write(&vars[1], 11);
        let first = space.snapshot();
        for next in &vars[2..5] {
            elsewhere(|| {
                next.update(|n| n + 10);
                (0..100).for_each(|n| vars[5].store(n));
            });
            let newest = *tx.read_locked(next, Shared)?;
            assert_eq!(newest, *first.read(next) + 10);
            elsewhere(|| (0..100).for_each(|n| vars[5].store(n)));
            assert_eq!((initial.0, initial.1.as_str(), *own, *tx.read(&vars[1])), (&0, "initial", 10, 11));
            assert_eq!(*first.read(&vars[5]), 5);
        }
        Ok(())
    });
    assert_eq!(vars[1].load(), 11);
    no_trace(&space, &vars.iter().collect::<Vec<_>>());
}
