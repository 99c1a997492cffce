//! The waits-for graph: who waits for whom, and who gives way (L4).

use super::table::{Party, State};
use std::cmp::Reverse;
use std::collections::HashSet;

impl State {
    /// A cycle of waiting parties that `party`, which has just begun to wait, closes; it comes first.
    pub(super) fn cycle_of(&self, party: Party) -> Option<Vec<Party>> {
        let mut path = vec![party];
        let mut seen = HashSet::from([party]);
        self.leads_back(party, &mut path, &mut seen).then_some(path)
    }

    /// Extends the path from `from` until it is back where it began.
    fn leads_back(&self, from: Party, path: &mut Vec<Party>, seen: &mut HashSet<Party>) -> bool {
        for next in self.waited_for(from) {
            if next == path[0] {
                return true;
            }
            if !seen.insert(next) {
                continue;
            }
            path.push(next);
            if self.leads_back(next, path, seen) {
                return true;
            }
            path.pop();
        }
        false
    }

    /// Whom a party waits for: all that are in its way; or the party that runs inside it.
    fn waited_for(&self, party: Party) -> Vec<Party> {
        match self.line.iter().position(|request| request.want.party == party) {
            Some(at) => self.in_the_way(self.line[at].want, &self.line[..at]).collect(),
            None => {
                let inner = self.parties.iter().filter(|(_, state)| state.parent == Some(party));
                inner.map(|(inner, _)| *inner).collect()
            }
        }
    }

    /// Who of a cycle gives way: who has done so least often, then who has done least, then the youngest. So they take turns at giving way.
    pub(super) fn victim(&self, cycle: &[Party]) -> Party {
        let cost = |party: &Party| {
            let defeats = self.parties.get(party).map_or(0, |state| state.defeats);
            Some((defeats, self.request_of(*party)?.work, Reverse(*party)))
        };
        let waiting = cycle.iter().copied().filter_map(|party| Some((cost(&party)?, party)));
        waiting.min().expect("who closes a cycle waits").1
    }
}
