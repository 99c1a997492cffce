//! Tasks that sleep until a variable changes: each library that has such behind one trait.

mod async_stm;
mod tvar;

pub use async_stm::AsyncWaits;
pub use tvar::Waits;

/// A library whose tasks wait for variables. Each function is one transaction.
pub trait WakeEngine: 'static {
    /// A variable.
    type Var: Clone + Send + Sync + 'static;

    /// A new variable. Not a transaction.
    fn var(value: u64) -> Self::Var;
    /// What it holds. From a thread, as the next two.
    fn get(var: &Self::Var) -> u64;
    /// Adds one. The sum.
    fn add(var: &Self::Var) -> u64;
    /// Sleeps until it has this value.
    fn wait(var: &Self::Var, value: u64);
    /// Sleeps until it is odd, and adds one. From a task, as the next one.
    fn answer(var: &Self::Var) -> impl Future<Output = ()> + Send;
    /// Sleeps until it is another value than this. That value.
    fn other(var: &Self::Var, than: u64) -> impl Future<Output = u64> + Send;
}
