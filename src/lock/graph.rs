//! The waits-for graph: who waits for whom, and who gives way (L4).

use super::table::{Party, State, is_around};
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

    /// Whom a party waits for: those whose modes are in its way, and all that are before it in the line; and any party that runs inside it.
    fn waited_for(&self, party: Party) -> Vec<Party> {
        let inner = || self.parties.iter().filter(|(_, state)| state.parent == Some(party)).map(|(inner, _)| *inner);
        let Some(queue) = self.waits_at(party).and_then(|place| self.queues.get(&place)) else {
            return inner().collect();
        };
        let at = queue.waiting.iter().position(|request| request.party == party);
        let Some(at) = at else { return Vec::new() };
        let mode = queue.waiting[at].mode;
        let holders = queue.holders.iter();
        let holders = holders.filter(|(other, held)| !held.goes_with(mode) && !is_around(&self.parties, *other, party));
        let ahead = queue.waiting.iter().take(at).map(|request| request.party);
        holders.map(|(other, _)| *other).chain(ahead).collect()
    }

    /// Who of a cycle gives way: who has done so least often, then who has done least, then the youngest. So they take turns at giving way.
    pub(super) fn victim(&self, cycle: &[Party]) -> Party {
        let cost = |party: &Party| {
            let state = self.parties.get(party);
            let defeats = state.map_or(0, |state| state.defeats);
            let work = state.and_then(|state| state.wait.as_ref()).map_or(0, |wait| wait.work);
            (defeats, work, Reverse(*party))
        };
        let waiting = cycle.iter().copied().filter(|party| self.waits_at(*party).is_some());
        waiting.min_by_key(cost).expect("who closes a cycle waits")
    }
}
