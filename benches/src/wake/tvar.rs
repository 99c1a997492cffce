//! Tasks of this library.

use super::WakeEngine;
use ::tvar::{TVar, atomically, atomically_async};

/// Tasks of this library.
#[derive(Debug)]
pub enum Waits {}

impl WakeEngine for Waits {
    type Var = TVar<u64>;

    fn var(value: u64) -> TVar<u64> {
        TVar::new(value)
    }

    fn get(var: &TVar<u64>) -> u64 {
        atomically(|tx| Ok(*tx.read(var)))
    }

    fn add(var: &TVar<u64>) -> u64 {
        atomically(|tx| {
            let sum = *tx.read(var) + 1;
            tx.write(var, sum);
            Ok(sum)
        })
    }

    fn wait(var: &TVar<u64>, value: u64) {
        atomically(|tx| tx.check(*tx.read(var) == value));
    }

    fn answer(var: &TVar<u64>) -> impl Future<Output = ()> + Send {
        atomically_async(move |tx| {
            let now = *tx.read(var);
            tx.check(now % 2 == 1)?;
            tx.write(var, now + 1);
            Ok(())
        })
    }

    fn other(var: &TVar<u64>, than: u64) -> impl Future<Output = u64> + Send {
        atomically_async(move |tx| {
            let now = *tx.read(var);
            tx.check(now != than)?;
            Ok(now)
        })
    }
}
