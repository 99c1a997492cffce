//! What the lock table says of itself (§5.6).

use super::mode::LockMode;
use super::place::Place;
use super::table::{LockTable, Party, Request};
use crate::sync::site::Who;
use crate::sync::time::Instant;
use std::borrow::Cow;
use std::collections::BTreeMap;
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

/// A wait for a lock: who waits, for what, since when, and who is in the way.
pub(crate) struct LockWait {
    pub(crate) number: Party,
    pub(crate) who: Who,
    pub(crate) place: Place,
    pub(crate) since: Instant,
    pub(crate) behind: Vec<Who>,
}

impl LockTable {
    /// Every place that is locked or waited for. `name`: the name of what is in a slot.
    pub(crate) fn list(&self, name: impl Fn(u32) -> String) -> Vec<LockInfo> {
        let state = self.state.lock();
        let party = |number: Party, mode| {
            let label = state.parties.get(&number).and_then(|party| party.who.label.clone());
            LockParty { number, label, mode }
        };
        let mut places: BTreeMap<Place, (Vec<LockParty>, Vec<LockParty>)> = BTreeMap::new();
        for (place, holders) in &state.held {
            places.entry(*place).or_default().0 = holders.iter().map(|(holder, mode)| party(*holder, *mode)).collect();
        }
        for Request { want, .. } in &state.line {
            places.entry(want.place).or_default().1.push(party(want.party, want.mode));
        }
        let info =
            |(place, (holders, waiting)): (Place, _)| LockInfo { variable: place.describe(&name), holders, waiting };
        places.into_iter().map(info).collect()
    }

    /// Everybody who waits, in the order of the line.
    pub(crate) fn list_waits(&self) -> Vec<LockWait> {
        let state = self.state.lock();
        let who = |party: &Party| state.parties.get(party).map(|party| party.who.clone());
        let wait = |(at, request): (usize, &Request)| {
            let Request { want, since, .. } = request;
            let behind = state.in_the_way(*want, &state.line[..at]).filter_map(|party| who(&party)).collect();
            Some(LockWait { number: want.party, who: who(&want.party)?, place: want.place, since: *since, behind })
        };
        state.line.iter().enumerate().filter_map(wait).collect()
    }
}
