//! Kinds of workloads: each has a table of its own, with the engines that run it.

use super::WORKLOADS;
use crate::engine::Rivals;

/// How many workloads are on variables.
const VARIABLES: usize = 16;
/// How many are on variables or on hash maps.
const WITH_HASH_MAPS: usize = VARIABLES + 3;
/// How many are on variables or on maps.
const WITH_MAPS: usize = WITH_HASH_MAPS + 3;
/// How many are on variables, maps or queues.
const WITH_QUEUES: usize = WITH_MAPS + 2;

/// A kind of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// On single variables.
    Variables,
    /// On hash maps.
    HashMaps,
    /// On ordered maps.
    OrderedMaps,
    /// On queues.
    Queues,
    /// Somebody waits for somebody.
    Waits,
}

impl Family {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 5] = [Self::Variables, Self::HashMaps, Self::OrderedMaps, Self::Queues, Self::Waits];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::HashMaps => "hash maps",
            Self::OrderedMaps => "ordered maps",
            Self::Queues => "queues",
            Self::Waits => "waiting",
        }
    }

    /// Its workloads.
    pub fn workloads(self) -> &'static [&'static str] {
        let all: &'static [&'static str] = &WORKLOADS;
        match self {
            Self::Variables => &all[..VARIABLES],
            Self::HashMaps => &all[VARIABLES..WITH_HASH_MAPS],
            Self::OrderedMaps => &all[WITH_HASH_MAPS..WITH_MAPS],
            Self::Queues => &all[WITH_MAPS..WITH_QUEUES],
            Self::Waits => &all[WITH_QUEUES..],
        }
    }

    /// With whom `tvar` is compared in it.
    pub fn rivals(self) -> &'static [Rivals] {
        match self {
            Self::Variables => &[Rivals::Stm],
            Self::HashMaps => &[Rivals::Stm, Rivals::Maps],
            Self::OrderedMaps => &[Rivals::Maps],
            Self::Queues | Self::Waits => &[Rivals::Stm, Rivals::Channels],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_is_in_the_family_of_its_name() {
        for family in Family::ALL {
            for name in family.workloads() {
                let by_name = match name {
                    name if name.starts_with("map_") => Family::HashMaps,
                    name if name.starts_with("ordmap_") => Family::OrderedMaps,
                    name if name.starts_with("queue_") => Family::Queues,
                    name if name.starts_with("pingpong") || name.starts_with("wake_") => Family::Waits,
                    _ => Family::Variables,
                };
                assert_eq!(by_name, family, "{name}");
            }
        }
    }
}
