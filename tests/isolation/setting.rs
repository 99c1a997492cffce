//! How a case is run: the isolation level, with or without locks, on variables or on maps.

use std::fmt;

use tvar::{Isolation, Space, TxOptions};

use crate::rows::Kind;

/// How its transactions are run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mode {
    pub(crate) isolation: Isolation,
    /// Every access locks.
    pub(crate) pessimistic: bool,
}

pub(crate) const MODES: [Mode; 4] = [
    Mode { isolation: Isolation::Serializable, pessimistic: false },
    Mode { isolation: Isolation::Serializable, pessimistic: true },
    Mode { isolation: Isolation::Snapshot, pessimistic: false },
    Mode { isolation: Isolation::Snapshot, pessimistic: true },
];

pub(crate) const KINDS: [Kind; 3] = [Kind::Variables, Kind::Map, Kind::OrdMap];

/// A mode, and what rows are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) mode: Mode,
    pub(crate) kind: Kind,
    /// Each commit is announced, if it can be (§4.2).
    pub(crate) announced: bool,
}

impl Setting {
    pub(crate) fn options(self, space: &Space) -> TxOptions {
        let mut options = TxOptions::new().space(space).isolation(self.mode.isolation);
        if self.announced {
            options = options.coalesce_after(0);
        }
        if self.mode.pessimistic { options.pessimistic() } else { options }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { mode: Mode { isolation, pessimistic }, kind, announced } = self;
        let locking = if *pessimistic { "pessimistic" } else { "optimistic" };
        let announced = if *announced { ", announced" } else { "" };
        write!(f, "{isolation:?}, {locking}, {kind:?}{announced}")
    }
}
