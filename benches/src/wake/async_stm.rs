//! Tasks of `async-stm`.

use super::WakeEngine;
use crate::engine::async_stm::block_on;
use ::async_stm::{TVar, atomically, guard};

/// Tasks of `async-stm`.
#[derive(Debug)]
pub enum AsyncWaits {}

impl WakeEngine for AsyncWaits {
    type Var = TVar<u64>;

    fn var(value: u64) -> TVar<u64> {
        TVar::new(value)
    }

    fn get(var: &TVar<u64>) -> u64 {
        block_on(atomically(|| Ok(*var.read()?)))
    }

    fn add(var: &TVar<u64>) -> u64 {
        block_on(atomically(|| {
            let sum = *var.read()? + 1;
            var.write(sum)?;
            Ok(sum)
        }))
    }

    fn wait(var: &TVar<u64>, value: u64) {
        block_on(atomically(|| guard(*var.read()? == value)));
    }

    async fn answer(var: &TVar<u64>) {
        atomically(|| {
            let now = *var.read()?;
            guard(now % 2 == 1)?;
            var.write(now + 1)
        })
        .await;
    }

    async fn other(var: &TVar<u64>, than: u64) -> u64 {
        atomically(|| {
            let now = *var.read()?;
            guard(now != than)?;
            Ok(now)
        })
        .await
    }
}
