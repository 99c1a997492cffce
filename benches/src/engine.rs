//! The operations that are measured, on each engine.

use tvar::reference::{self, RefSpace, RefVar};
use tvar::{Space, TVar, atomically};

/// A software transactional memory, as far as the benchmarks use one. Every operation is one transaction.
pub trait Engine {
    /// What the engine is called in the results.
    const NAME: &'static str;
    /// A variable that holds an `i64`.
    type Var: Send + Sync;

    /// A new variable.
    fn var(value: i64) -> Self::Var;
    /// Adds up the variables at `picks`.
    fn sum(vars: &[Self::Var], picks: &[usize]) -> i64;
    /// Adds one.
    fn count(var: &Self::Var);
    /// Moves one from the one to the other.
    fn transfer(from: &Self::Var, to: &Self::Var);
    /// Sleeps until the variable is `mine`, then makes it `next`.
    fn take_turn(var: &Self::Var, mine: i64, next: i64);
    /// Takes a snapshot of everything and gives it back.
    fn snapshot();
}

/// `tvar` itself.
#[derive(Debug)]
pub enum Fast {}

impl Engine for Fast {
    const NAME: &'static str = "tvar";
    type Var = TVar<i64>;

    fn var(value: i64) -> TVar<i64> {
        TVar::new(value)
    }

    fn sum(vars: &[TVar<i64>], picks: &[usize]) -> i64 {
        atomically(|tx| Ok(picks.iter().map(|&i| *tx.read(&vars[i])).sum()))
    }

    fn count(var: &TVar<i64>) {
        atomically(|tx| {
            tx.modify(var, |n| n + 1);
            Ok(())
        });
    }

    fn transfer(from: &TVar<i64>, to: &TVar<i64>) {
        atomically(|tx| {
            tx.modify(from, |n| n - 1);
            tx.modify(to, |n| n + 1);
            Ok(())
        });
    }

    fn take_turn(var: &TVar<i64>, mine: i64, next: i64) {
        atomically(|tx| {
            tx.check(*tx.read(var) == mine)?;
            tx.write(var, next);
            Ok(())
        });
    }

    fn snapshot() {
        drop(Space::global().snapshot());
    }
}

/// The reference engine: a persistent map in a cell.
#[derive(Debug)]
pub enum Reference {}

impl Engine for Reference {
    const NAME: &'static str = "reference";
    type Var = RefVar<i64>;

    fn var(value: i64) -> RefVar<i64> {
        RefVar::new(value)
    }

    fn sum(vars: &[RefVar<i64>], picks: &[usize]) -> i64 {
        reference::atomically(|tx| Ok(picks.iter().map(|&i| *tx.read(&vars[i])).sum()))
    }

    fn count(var: &RefVar<i64>) {
        reference::atomically(|tx| {
            tx.modify(var, |n| n + 1);
            Ok(())
        });
    }

    fn transfer(from: &RefVar<i64>, to: &RefVar<i64>) {
        reference::atomically(|tx| {
            tx.modify(from, |n| n - 1);
            tx.modify(to, |n| n + 1);
            Ok(())
        });
    }

    fn take_turn(var: &RefVar<i64>, mine: i64, next: i64) {
        reference::atomically(|tx| {
            tx.check(*tx.read(var) == mine)?;
            tx.write(var, next);
            Ok(())
        });
    }

    fn snapshot() {
        drop(RefSpace::global().snapshot());
    }
}
