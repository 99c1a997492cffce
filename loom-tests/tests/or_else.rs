//! Alternatives (§3.2, §3.3): a call that sleeps in its second alternative is woken by what the first has read, and what the first has
//! read before it retried is validated with the choice of the second.
//! Bound: 2 preemptions; one call with two alternatives, one commit to what the first or both look at.
#![cfg(tvar_loom)]

use tvar::{Space, TVar, Tx, internals};
use tvar_loom_tests::{model, spawn};

/// `1` once `first` is set, `2` once `second` is, and sleeps before; writes down which in `choice`.
fn choose(space: &Space, first: &TVar<i64>, second: &TVar<i64>, choice: &TVar<i64>) -> i64 {
    let when = |v: &TVar<i64>, tx: &Tx<'_>, answer: i64| {
        tx.write(choice, answer);
        tx.check(*tx.read(v) == 1)?;
        Ok(answer)
    };
    space.atomically(|tx| tx.or_else(|tx| when(first, tx, 1), |tx| when(second, tx, 2)))
}

#[test]
fn what_the_first_alternative_read_wakes() {
    model(2, || {
        let space = internals::space();
        let [first, second, choice] = [0, 0, 0].map(|n| TVar::new_in(&space, n));
        let waiter = spawn({
            let (space, first, second, choice) = (space.clone(), first.clone(), second.clone(), choice.clone());
            move || {
                assert_eq!(choose(&space, &first, &second, &choice), 1);
                (first, second, choice)
            }
        });
        first.store(1);
        let handles = waiter.join().unwrap();
        assert_eq!((choice.load(), space.waiters()), (1, 0));
        drop(handles);
    });
}

#[test]
fn the_choice_of_the_second_rests_on_the_first() {
    model(2, || {
        let space = internals::space();
        let [first, second, choice] = [0, 1, 0].map(|n| TVar::new_in(&space, n));
        let chooser = spawn({
            let (space, first, second, choice) = (space.clone(), first.clone(), second.clone(), choice.clone());
            move || {
                let chosen = choose(&space, &first, &second, &choice);
                (chosen, (first, second, choice))
            }
        });
        // Sets what the first alternative looks at, and says whether a choice was made before.
        let before = space.atomically(|tx| {
            tx.write(&first, 1);
            Ok(*tx.read(&choice))
        });
        let (chosen, handles) = chooser.join().unwrap();
        let expected = if before == 2 { 2 } else { 1 };
        assert_eq!(chosen, expected, "no order of the two explains both results");
        drop(handles);
    });
}
