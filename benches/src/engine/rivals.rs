//! Groups of engines that `tvar` is compared with.

use super::EngineName;

/// Engines of one kind: ratios are to the fastest of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rivals {
    /// Those with transactions.
    Stm,
    /// Maps without them.
    Maps,
    /// Channels, without them too.
    Channels,
}

impl Rivals {
    /// Who they are.
    pub fn engines(self) -> &'static [EngineName] {
        use EngineName as E;
        match self {
            Self::Stm => &[E::Stm, E::FastStm, E::AsyncStm, E::Concread],
            Self::Maps => &[E::Rwlock, E::Dashmap, E::Scc, E::Papaya, E::Skiplist],
            Self::Channels => &[E::Flume, E::Crossbeam, E::Tokio],
        }
    }

    /// One of them, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stm => "STM",
            Self::Maps => "plain map",
            Self::Channels => "channel",
        }
    }
}
