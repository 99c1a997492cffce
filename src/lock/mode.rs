//! Modes of a lock, and which go together.

use std::fmt;

/// How a variable is locked (§5.2).
///
/// | held by another | `Shared` wanted | `Exclusive` wanted | a commit that writes it |
/// |---|---|---|---|
/// | nothing | granted | granted | goes on |
/// | `Shared` | granted | waits | waits |
/// | `Exclusive` | waits | waits | waits |
///
/// Snapshots and reads without a lock never wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// Nobody else can commit a write; others can lock it shared as well.
    Shared,
    /// Nobody else can commit a write or lock it.
    Exclusive,
}

impl LockMode {
    /// Whether two transactions can hold a lock in these modes at a time.
    pub(crate) fn goes_with(self, other: LockMode) -> bool {
        self == LockMode::Shared && other == LockMode::Shared
    }
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockMode::Shared => "shared",
            LockMode::Exclusive => "exclusive",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::LockMode::{Exclusive, Shared};

    #[test]
    fn the_truth_table() {
        for (held, wanted, together) in [
            (Shared, Shared, true),
            (Shared, Exclusive, false),
            (Exclusive, Shared, false),
            (Exclusive, Exclusive, false),
        ] {
            assert_eq!(held.goes_with(wanted), together, "{held} {wanted}");
        }
        assert!(Shared < Exclusive, "the stronger mode is the greater one");
    }
}
