//! Checks 2 to 5 of a history; the first is `replay`.

use std::collections::HashSet;

use crate::history::{Attempt, Broken, Call, End, Entry, History};
use crate::model::{Flow, Machine};
use crate::program::{Code, Writer};
use crate::replay::{Timeline, replay};

/// All checks.
pub(crate) fn check(history: &History) -> Result<Timeline, Broken> {
    let timeline = replay(history)?;
    snapshots(history, &timeline)?;
    real_time(history, &timeline)?;
    one_version(history, &timeline)?;
    nothing_left(history)?;
    Ok(timeline)
}

/// Check 2 (§1.4): whatever an attempt saw, committed or not, was the newest at its snapshot's version, or its own; and what it came to was right.
pub(crate) fn snapshots(history: &History, timeline: &Timeline) -> Result<(), Broken> {
    for call in &history.calls {
        for (at, attempt) in call.attempts.iter().enumerate() {
            let is_last = at + 1 == call.attempts.len();
            let ats = attempt.log.iter().enumerate().filter_map(|(at, entry)| match entry {
                Entry::At(version) => Some((at, *version)),
                _ => None,
            });
            let ats: Vec<_> = ats.collect();
            for (n, (_, version)) in ats.iter().enumerate() {
                let until = ats.get(n + 1).map_or(attempt.log.len(), |(at, _)| *at);
                let end = (is_last && until == attempt.log.len()).then_some(call.end);
                in_version(history, timeline, call, attempt, (until, *version), end)?;
            }
        }
    }
    Ok(())
}

/// Whether the first entries hold in a version. `end`: how the call has ended with this.
fn in_version(
    history: &History,
    timeline: &Timeline,
    call: &Call,
    attempt: &Attempt,
    (until, version): (usize, u64),
    end: Option<End>,
) -> Result<(), Broken> {
    let mut wrong = format!("nothing is known of version {version}");
    for state in timeline.at(version) {
        let me = call.writer(attempt);
        let (flow, _) = Machine::run(&state.world, history.capacity, me, &call.block, &attempt.log[..until]);
        let fits = match (&flow, end) {
            (Flow::Wrong(_), _) => false,
            (flow, Some(End::Committed(_))) => *flow == Flow::Done,
            (flow, Some(End::Aborted(error))) => *flow == Flow::Abort(error),
            // In the closure, or in a merge at the commit.
            (flow, Some(End::Panicked)) => matches!(flow, Flow::Panic | Flow::Done),
            (_, Some(End::Failed) | None) => true,
        };
        if fits {
            return Ok(());
        }
        wrong = format!("{flow:?} in the model");
    }
    let why = format!("attempt {} of {} is not one in version {version}: {wrong}", attempt.number, call.name());
    Err(Broken::new(version, why))
}

/// Check 3 (§2.2, §1.4): what had returned before a call is before it, also for the snapshots of its attempts, and those move forward alone.
pub(crate) fn real_time(history: &History, timeline: &Timeline) -> Result<(), Broken> {
    let mut moments: Vec<_> =
        history.calls.iter().flat_map(|call| [(call.called, call), (call.returned, call)]).collect();
    moments.sort_by_key(|(moment, _)| *moment);
    // The newest version of what has returned, and what that is.
    let mut past = (history.first, None);
    for (moment, call) in moments {
        let (before, other) = past;
        if moment == call.returned {
            if let Some(version) = call.version().filter(|version| *version >= before) {
                past = (version, Some(call));
            }
            continue;
        }
        if let (Some(version), Some(other)) = (call.version(), other)
            && (version < before || version == before && timeline.has_published(call))
        {
            let (one, two) = (call.name(), other.name());
            let why = format!("{one}, of version {version}, was called after {two}, of version {before}, had returned");
            return Err(Broken::new(version, why));
        }
        let mut last = before;
        for entry in call.attempts.iter().flat_map(|attempt| &attempt.log) {
            if let Entry::At(version) = entry {
                if *version < last {
                    let why = format!("{} went back to version {version}, behind {last}", call.name());
                    return Err(Broken::new(last, why));
                }
                last = *version;
            }
        }
    }
    Ok(())
}

/// Check 4 (§2.5): a transaction that has only read has read one version, the one that it says.
pub(crate) fn one_version(history: &History, timeline: &Timeline) -> Result<(), Broken> {
    for call in history.calls.iter().filter(|call| !call.writes()) {
        let Some(version) = call.version() else { continue };
        let attempt = call.last();
        if attempt.snapshot().is_some_and(|snapshot| snapshot != version) {
            return Err(Broken::new(version, format!("{} has read another version than {version}", call.name())));
        }
        in_version(history, timeline, call, attempt, (attempt.log.len(), version), Some(call.end))?;
    }
    Ok(())
}

/// Check 5 (§2.7, §2.8): nobody else has seen anything of an attempt that did not commit, and it is not there in the end.
pub(crate) fn nothing_left(history: &History) -> Result<(), Broken> {
    let mut gone: HashSet<Writer> = HashSet::new();
    for call in &history.calls {
        let kept = usize::from(call.version().is_some());
        let lost = &call.attempts[..call.attempts.len() - kept];
        gone.extend(lost.iter().map(|attempt| call.writer(attempt)));
    }
    for call in &history.calls {
        for attempt in &call.attempts {
            let me = call.writer(attempt);
            let mut seen = attempt.log.iter().flat_map(codes).chain(call.thens.iter().map(|(_, code)| *code));
            if let Some(code) = seen.find(|code| Writer::of(*code) != me && gone.contains(&Writer::of(*code))) {
                let (name, number, other) = (call.name(), attempt.number, Writer::of(code));
                let why = format!("attempt {number} of {name} saw a write of {other:?}, which did not commit");
                return Err(Broken::new(call.version(), why));
            }
        }
    }
    let end = &history.finally;
    let maps = end.hash.values().chain(end.ord.values());
    let mut there = end.vars.iter().chain(maps).chain(&end.queue).chain(&end.ring);
    match there.find(|code| gone.contains(&Writer::of(**code))) {
        Some(code) => {
            let why = format!("a write of {:?}, which did not commit, is there in the end", Writer::of(*code));
            Err(Broken::new(None, why))
        }
        None => Ok(()),
    }
}

fn codes(entry: &Entry) -> Vec<Code> {
    match entry {
        Entry::Saw(code) => code.iter().copied().collect(),
        Entry::Rows(rows) => rows.iter().map(|(_, code)| *code).collect(),
        Entry::Items(items) => items.clone(),
        _ => Vec::new(),
    }
}
