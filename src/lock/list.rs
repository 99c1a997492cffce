//! What the lock table says of itself (§5.6).

use super::mode::LockMode;
use std::borrow::Cow;
use std::fmt;

/// A variable, a key of a map or a range of keys: who holds it locked, and who waits for just it, in the order of the line. From
/// [`Space::locks`](crate::Space::locks).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockInfo {
    /// The variable's name, or "variable #" and its number; with the numbers of the keys, if it is of a map.
    pub variable: String,
    /// Transactions that hold it. None: whoever waits for it waits for keys inside it, or for a range around it.
    pub holders: Vec<LockParty>,
    /// Transactions that wait for it: by a lock, or by a commit that writes it (which shows as exclusive).
    pub waiting: Vec<LockParty>,
}

/// A transaction in the lock table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockParty {
    /// A number that no other transaction of the space has; lower ones are older.
    pub number: u64,
    /// Its label.
    pub label: Option<Cow<'static, str>>,
    /// How it holds the lock, or wants it.
    pub mode: LockMode,
}

impl fmt::Display for LockParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", name_of(self.label.as_deref(), self.number), self.mode)
    }
}

/// What a message calls a transaction.
pub(crate) fn name_of(label: Option<&str>, number: u64) -> String {
    label.map_or_else(|| format!("transaction #{number}"), |label| format!("`{label}` (#{number})"))
}

impl fmt::Display for LockInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |parties: &[LockParty]| parties.iter().map(LockParty::to_string).collect::<Vec<_>>().join(", ");
        let holders = if self.holders.is_empty() { "nobody".into() } else { list(&self.holders) };
        write!(f, "{}: held by {holders}", self.variable)?;
        if !self.waiting.is_empty() {
            write!(f, "; waiting: {}", list(&self.waiting))?;
        }
        Ok(())
    }
}
