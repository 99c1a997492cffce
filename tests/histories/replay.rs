//! Check 1: the committed calls, replayed in the order of their versions, give every result and the final state.
//!
//! Calls that were published together have one version. Among them any order will do that explains everything and keeps to real time; there may be
//! several, so that states are sets, from which later reads take away what cannot have been.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::history::{Broken, Call, Entry, History, World};
use crate::model::{Effects, Flow, Machine, Touch, apply};
use crate::program::{KEYS, Map, Place, Writer};

/// What is there as of a version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) world: World,
    /// In which versions places have got what they hold.
    changed: BTreeMap<Place, u64>,
}

impl State {
    /// Whether it holds what the older one, of this version, holds, but for what has changed since.
    fn can_follow(&self, old: &State, version: u64) -> bool {
        let stays = |place| self.changed.get(&place).is_none_or(|changed| *changed <= version);
        let vars = self.world.vars.iter().zip(&old.world.vars).enumerate();
        let maps = [Map::Hash, Map::Ord];
        let keys = maps.into_iter().flat_map(|map| (0..KEYS).map(move |key| (map, key)));
        let same = |(map, key)| self.world.rows(map).get(&key) == old.world.rows(map).get(&key);
        vars.into_iter().all(|(var, (new, old))| new == old || !stays(Place::Var(var)))
            && keys.into_iter().all(|(map, key)| same((map, key)) || !stays(Place::Key(map, key)))
    }
}

/// What was there in each version in which anything changed, as far as it is known.
pub(crate) struct Timeline {
    states: BTreeMap<u64, Vec<State>>,
    /// The calls that have changed something.
    pub(crate) published: BTreeSet<(u8, u16)>,
    /// Versions that several calls have published together.
    pub(crate) together: usize,
}

impl Timeline {
    pub(crate) fn at(&self, version: u64) -> &[State] {
        self.states.range(..=version).next_back().map_or(&[], |(_, states)| states)
    }

    pub(crate) fn has_published(&self, call: &Call) -> bool {
        self.published.contains(&(call.process, call.index))
    }
}

/// More than this many states that might all be meant: something is wrong with the search.
const MOST: usize = 20_000;

pub(crate) fn replay(history: &History) -> Result<Timeline, Broken> {
    let mut versions: BTreeMap<u64, (Vec<&Call>, Vec<&Call>)> = BTreeMap::new();
    for call in &history.calls {
        if let Some(version) = call.version() {
            let (writers, readers) = versions.entry(version).or_default();
            if call.writes() { writers } else { readers }.push(call);
        }
    }
    let start = State { world: history.start.clone(), changed: BTreeMap::new() };
    let mut timeline =
        Timeline { states: BTreeMap::from([(history.first, vec![start])]), published: BTreeSet::new(), together: 0 };
    for (version, (writers, readers)) in versions {
        let before = timeline.at(version).to_vec();
        if before.is_empty() {
            return Err(Broken::new(version, "older than the history".into()));
        }
        let now = Now { history, timeline: &timeline, version };
        let mut group = Group { now: &now, seen: HashSet::new(), wrong: None };
        let mut after = Vec::new();
        let mut published = BTreeSet::new();
        for state in before {
            group.order(&writers, state, &mut published, &mut after);
        }
        if after.is_empty() {
            let wrong = group.wrong.unwrap_or_default();
            let why = format!("no order of what was published in version {version} explains it: {wrong}");
            return Err(Broken::new(version, why));
        }
        if after.len() > MOST {
            let why = format!("{} states after version {version} are too many to go on with", after.len());
            return Err(Broken::new(version, why));
        }
        for reader in readers {
            let mut wrong = String::new();
            after.retain(|state| match now.step(reader, state) {
                Ok(None) => true,
                Ok(Some(_)) => unreachable!("it has no writes"),
                Err(why) => {
                    wrong = why;
                    false
                }
            });
            if after.is_empty() {
                let why = format!("{} read something else than version {version}: {wrong}", reader.name());
                return Err(Broken::new(version, why));
            }
        }
        timeline.together += usize::from(published.len() > 1);
        timeline.published.extend(published);
        timeline.states.insert(version, after);
    }
    let last = timeline.at(u64::MAX);
    if !last.iter().any(|state| state.world == history.finally) {
        let why = format!("it should end with {}, and not with {}", last[0].world, history.finally);
        return Err(Broken::new(timeline.states.keys().last().copied(), why));
    }
    Ok(timeline)
}

/// What was published in one version.
struct Group<'n> {
    now: &'n Now<'n>,
    seen: HashSet<(Vec<(u8, u16)>, State)>,
    wrong: Option<String>,
}

impl Group<'_> {
    /// Adds the states that the calls lead to, one after the other in all orders that explain what they saw.
    fn order(&mut self, calls: &[&Call], state: State, published: &mut BTreeSet<(u8, u16)>, found: &mut Vec<State>) {
        let mut left = calls.to_vec();
        let mut nexts = Vec::new();
        // Those that change nothing come as early as they can: that is never in the way of the others.
        loop {
            let may_be_next = |call: &&Call| !left.iter().any(|other| other.returned < call.called);
            let mut unchanged = None;
            nexts.clear();
            for (at, call) in left.iter().enumerate().filter(|(_, call)| may_be_next(call)) {
                match self.now.step(call, &state) {
                    Ok(None) => unchanged = Some(at),
                    Ok(Some(next)) => nexts.push((at, next)),
                    Err(why) => self.wrong = Some(format!("{}: {why}", call.name())),
                }
            }
            match unchanged {
                Some(at) => drop(left.remove(at)),
                None => break,
            }
        }
        if left.is_empty() {
            if !found.contains(&state) {
                found.push(state);
            }
            return;
        }
        for (at, next) in nexts {
            let mut rest = left.clone();
            let call = rest.remove(at);
            published.insert((call.process, call.index));
            let names = rest.iter().map(|call| (call.process, call.index)).collect();
            if self.seen.insert((names, next.clone())) {
                self.order(&rest, next, published, found);
            }
        }
    }
}

/// Where the replay is.
struct Now<'h> {
    history: &'h History,
    /// Up to the version before.
    timeline: &'h Timeline,
    version: u64,
}

impl Now<'_> {
    /// The state after a committed call, if it changes anything.
    fn step(&self, call: &Call, newest: &State) -> Result<Option<State>, String> {
        let attempt = call.last();
        let me = call.writer(attempt);
        if !call.snapshot_isolation {
            let effects = self.explain(me, call, &attempt.log, &newest.world)?;
            return self.commit(call, newest, effects, None);
        }
        let Some(snapshot) = attempt.snapshot() else { return Err("no snapshot was noted".into()) };
        // One that has changed nothing may have the snapshot that it is replayed on.
        let old = if snapshot == self.version { std::slice::from_ref(newest) } else { self.timeline.at(snapshot) };
        let mut wrong = format!("nothing is known of version {snapshot}");
        for old in old.iter().filter(|old| newest.can_follow(old, snapshot)) {
            let done = self
                .explain(me, call, &attempt.log, &old.world)
                .and_then(|effects| self.commit(call, newest, effects, Some(snapshot)));
            match done {
                Ok(done) => return Ok(done),
                Err(why) => wrong = why,
            }
        }
        Err(wrong)
    }

    fn explain(&self, me: Writer, call: &Call, log: &[Entry], world: &World) -> Result<Effects, String> {
        match Machine::run(world, self.history.capacity, me, &call.block, log) {
            (Flow::Done, effects) => Ok(effects),
            (Flow::Wrong(why), _) => Err(why),
            (flow, _) => Err(format!("has committed, and should have ended with {flow:?}")),
        }
    }

    /// Publishes what it has done. `snapshot`: under snapshot isolation, whose first committer wins (§2.2).
    fn commit(
        &self,
        call: &Call,
        newest: &State,
        effects: Effects,
        snapshot: Option<u64>,
    ) -> Result<Option<State>, String> {
        let Effects { world: done, touched, ensured, merges, locked } = effects;
        let me = call.writer(call.last());
        let mut world = if snapshot.is_some() { newest.world.clone() } else { done.clone() };
        if let Some(snapshot) = snapshot {
            let written = touched.iter().filter(|(_, touch)| **touch == Touch::Written).map(|(place, _)| *place);
            let mut ours = written.chain(ensured.into_iter().map(Place::Var));
            if let Some(place) = ours.find(|place| self.is_written_since(*place, snapshot, newest)) {
                return Err(format!("another commit to {place:?} came first, after version {snapshot}"));
            }
        }
        // Nobody else commits a write to what it has locked, and it has the newest there (§5.3).
        for (locked, snapshot) in locked {
            let Some(snapshot) = snapshot else { continue };
            let mut places = newest.changed.keys().filter(|place| locked.has(**place));
            if let Some(place) = places.find(|place| self.is_written_since(**place, snapshot, newest)) {
                return Err(format!("{place:?} was locked in version {snapshot}, and was written since"));
            }
        }
        for (place, touch) in &touched {
            match (*place, touch) {
                (Place::Var(var), Touch::Written) => world.vars[var] = done.vars[var],
                (Place::Var(var), Touch::Merged) => {
                    for merge in merges.iter().filter(|merge| merge.var == var) {
                        let old = world.vars[var];
                        let Some(new) = apply(me, merge, old) else {
                            return Err("a merge should have panicked".into());
                        };
                        if !self.history.applied.contains(&(me.code(merge.tag), old)) {
                            return Err("a merge was never applied to the value before it".into());
                        }
                        world.vars[var] = new;
                    }
                }
                (Place::Key(map, key), _) => match done.rows(map).get(&key) {
                    Some(code) => drop(world.rows_mut(map).insert(key, *code)),
                    None => drop(world.rows_mut(map).remove(&key)),
                },
            }
        }
        let thens: Vec<_> =
            merges.iter().filter(|merge| merge.then).map(|merge| (merge.tag, world.vars[merge.var])).collect();
        if thens != call.thens {
            return Err(format!("the results after the commit are {:?}, not {thens:?}", call.thens));
        }
        if world == newest.world {
            return Ok(None);
        }
        let mut changed = newest.changed.clone();
        for (var, (old, new)) in newest.world.vars.iter().zip(&world.vars).enumerate() {
            if old != new {
                changed.insert(Place::Var(var), self.version);
            }
        }
        for map in [Map::Hash, Map::Ord] {
            let (old, new) = (newest.world.rows(map), world.rows(map));
            let keys: BTreeSet<_> = old.keys().chain(new.keys()).copied().collect();
            let differ = keys.into_iter().filter(|key| old.get(key) != new.get(key));
            changed.extend(differ.map(|key| (Place::Key(map, key), self.version)));
        }
        Ok(Some(State { world, changed }))
    }

    /// Whether a place has changed since that version. A key that was absent then, and is absent, has not, whatever it was in between (M4).
    fn is_written_since(&self, place: Place, version: u64, newest: &State) -> bool {
        let is_absent = |state: &State| match place {
            Place::Key(map, key) => !state.world.rows(map).contains_key(&key),
            Place::Var(_) => false,
        };
        newest.changed.get(&place).is_some_and(|changed| *changed > version)
            && !(is_absent(newest) && self.timeline.at(version).iter().any(is_absent))
    }
}
