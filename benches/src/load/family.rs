//! Kinds of workloads: each has a table of its own, with the engines that run it.

use super::WORKLOADS;
use crate::engine::Rivals;

/// How many workloads are on variables.
const VARIABLES: usize = 17;
/// How many are on variables or on hash maps.
const WITH_HASH_MAPS: usize = VARIABLES + 3;

/// A kind of workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// On single variables.
    Variables,
    /// On hash maps.
    HashMaps,
    /// On ordered maps.
    OrderedMaps,
}

impl Family {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 3] = [Self::Variables, Self::HashMaps, Self::OrderedMaps];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Self::Variables => "variables",
            Self::HashMaps => "hash maps",
            Self::OrderedMaps => "ordered maps",
        }
    }

    /// Its workloads.
    pub fn workloads(self) -> &'static [&'static str] {
        let all: &'static [&'static str] = &WORKLOADS;
        match self {
            Self::Variables => &all[..VARIABLES],
            Self::HashMaps => &all[VARIABLES..WITH_HASH_MAPS],
            Self::OrderedMaps => &all[WITH_HASH_MAPS..],
        }
    }

    /// With whom `tvar` is compared in it.
    pub fn rivals(self) -> &'static [Rivals] {
        match self {
            Self::Variables => &[Rivals::Stm],
            Self::HashMaps => &[Rivals::Stm, Rivals::Maps],
            Self::OrderedMaps => &[Rivals::Maps],
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
                    _ => Family::Variables,
                };
                assert_eq!(by_name, family, "{name}");
            }
        }
    }
}
