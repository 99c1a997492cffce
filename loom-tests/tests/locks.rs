//! Locks (L2, L4, L5): nobody publishes a write to what is locked, not even with a swap that was prepared before; no grant is lost, whether the line
//! is left by a release, an upgrade or a deadlock.
//! Bound: 2 preemptions, or 1 where a commit has shown it with 2; two threads with one transaction each.
#![cfg(tvar_loom)]

use tvar::LockMode::{Exclusive, Shared};
use tvar::{TVar, internals};
use tvar_loom_tests::{model, spawn};

/// A transaction that locks and adds ten, against another commit of one more.
fn a_holder_against(preemptions: usize, commit: fn(&TVar<i64>)) {
    model(preemptions, move || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let other = spawn({
            let v = v.clone();
            move || {
                commit(&v);
                v
            }
        });
        // On a thread of its own, so that neither of the two preemptions is needed to begin.
        let holder = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                let mut locked = 0;
                space.atomically(|tx| {
                    tx.lock(&v, Exclusive)?;
                    locked += 1;
                    // Read after the lock: validated at the commit, which nobody can make fail.
                    tx.modify(&v, |n| n + 10);
                    Ok(())
                });
                assert_eq!(locked, 1, "somebody committed a write to what was locked");
                v
            }
        });
        let handles = (other.join().unwrap(), holder.join().unwrap());
        assert_eq!(v.load(), 11);
        assert!(space.locks().is_empty());
        drop(handles);
    });
}

#[test]
fn an_ordinary_commit_waits_for_the_holder() {
    a_holder_against(1, |v| v.update(|n| n + 1));
}

/// Also shows that a commit looks for locks after it has loaded its base: an ordinary one looks twice.
#[test]
fn so_does_one_that_merges() {
    a_holder_against(2, |v| {
        v.space().atomically(|tx| {
            tx.merge(v, |n| n + 1);
            Ok(())
        });
    });
}

#[test]
fn so_does_another_locker() {
    a_holder_against(1, |v| {
        v.space().atomically(|tx| {
            tx.lock(v, Exclusive)?;
            tx.modify(v, |n| n + 1);
            Ok(())
        });
    });
}

#[test]
fn an_upgrade_is_granted_or_refused_and_never_forgotten() {
    model(2, || {
        let space = internals::space();
        let v = TVar::new_in(&space, 0);
        let run = |space: &tvar::Space, v: &TVar<i64>| {
            space.atomically(|tx| {
                tx.lock(v, Shared)?;
                tx.lock(v, Exclusive)?;
                tx.modify(v, |n| n + 1);
                Ok(())
            });
        };
        let other = spawn({
            let (space, v) = (space.clone(), v.clone());
            move || {
                run(&space, &v);
                v
            }
        });
        run(&space, &v);
        let handle = other.join().unwrap();
        assert_eq!(v.load(), 2);
        assert!(space.locks().is_empty());
        drop(handle);
    });
}

#[test]
fn a_deadlock_ends() {
    model(1, || {
        let space = internals::space();
        let (a, b) = (TVar::new_in(&space, 0), TVar::new_in(&space, 0));
        let run = |space: &tvar::Space, first: &TVar<i64>, second: &TVar<i64>| {
            space.atomically(|tx| {
                tx.lock(first, Exclusive)?;
                tx.lock(second, Exclusive)?;
                tx.modify(first, |n| n + 1);
                Ok(())
            });
        };
        let other = spawn({
            let (space, a, b) = (space.clone(), a.clone(), b.clone());
            move || {
                run(&space, &b, &a);
                (a, b)
            }
        });
        run(&space, &a, &b);
        let handles = other.join().unwrap();
        assert_eq!((a.load(), b.load()), (1, 1));
        assert!(space.locks().is_empty());
        drop(handles);
    });
}
