//! What was recorded of a run.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::program::{Block, Code, Map, Stmt, Tag, Writer};

/// What is shared, at some point of the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) vars: Vec<Code>,
    pub(crate) hash: BTreeMap<u8, Code>,
    pub(crate) ord: BTreeMap<u8, Code>,
    pub(crate) queue: VecDeque<Code>,
    pub(crate) ring: VecDeque<Code>,
}

impl World {
    pub(crate) fn rows(&self, map: Map) -> &BTreeMap<u8, Code> {
        match map {
            Map::Hash => &self.hash,
            Map::Ord => &self.ord,
        }
    }

    pub(crate) fn rows_mut(&mut self, map: Map) -> &mut BTreeMap<u8, Code> {
        match map {
            Map::Hash => &mut self.hash,
            Map::Ord => &mut self.ord,
        }
    }
}

/// What an attempt has seen, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// From here on its snapshot is this version; what it saw before holds there, too (§5.3).
    At(u64),
    Saw(Option<Code>),
    Flag(bool),
    Count(usize),
    Rows(Vec<(u8, Code)>),
    Items(Vec<Code>),
    /// Whether it got a lock.
    Got(bool),
    /// A deadline has passed.
    Expired,
    /// The first alternative has retried.
    Right,
    /// The part has aborted with this.
    Undone(u8),
}

#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) number: u64,
    pub(crate) log: Vec<Entry>,
}

impl Attempt {
    /// The version of its last snapshot, if it noted that.
    pub(crate) fn snapshot(&self) -> Option<u64> {
        self.log.iter().rev().find_map(|entry| match entry {
            Entry::At(version) => Some(*version),
            _ => None,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// As of this version.
    Committed(u64),
    Aborted(u8),
    /// By a limit of its options.
    Failed,
    Panicked,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) process: u8,
    pub(crate) index: u16,
    pub(crate) snapshot_isolation: bool,
    pub(crate) block: Arc<Block>,
    /// Moments, all different.
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) attempts: Vec<Attempt>,
    /// Results of `merge_then`.
    pub(crate) thens: Vec<(Tag, Code)>,
    pub(crate) end: End,
}

impl Call {
    pub(crate) fn version(&self) -> Option<u64> {
        match self.end {
            End::Committed(version) => Some(version),
            _ => None,
        }
    }

    pub(crate) fn writes(&self) -> bool {
        self.block.iter().any(Stmt::writes)
    }

    pub(crate) fn last(&self) -> &Attempt {
        self.attempts.last().expect("every call has run its closure")
    }

    pub(crate) fn writer(&self, attempt: &Attempt) -> Writer {
        Writer { process: self.process, call: self.index, attempt: attempt.number }
    }

    pub(crate) fn name(&self) -> String {
        format!("p{}.{}", self.process, self.index)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The version in which it begins, and what is there.
    pub(crate) first: u64,
    pub(crate) start: World,
    pub(crate) capacity: usize,
    pub(crate) calls: Vec<Call>,
    /// On what the functions of merges were applied, counted or not.
    pub(crate) applied: HashSet<(Code, Code)>,
    pub(crate) finally: World,
}

/// What is wrong with a history, and in which version that shows.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) version: Option<u64>,
    pub(crate) why: String,
}

impl Broken {
    pub(crate) fn new(version: impl Into<Option<u64>>, why: String) -> Broken {
        Broken { version: version.into(), why }
    }
}

impl History {
    /// What happened around a version: the calls that committed there, and who ran at the same time.
    pub(crate) fn around(&self, version: Option<u64>) -> String {
        let near = version.map_or(0..=u64::MAX, |version| version.saturating_sub(4)..=version.saturating_add(2));
        let is_near = |call: &&Call| call.version().is_some_and(|version| near.contains(&version));
        let moments = self.calls.iter().filter(is_near).flat_map(|call| [call.called, call.returned]);
        let (from, to) = moments.fold((u64::MAX, 0), |(from, to), moment| (from.min(moment), to.max(moment)));
        let mut calls: Vec<_> = self.calls.iter().filter(|call| call.called <= to && from <= call.returned).collect();
        calls.sort_by_key(|call| (call.version(), call.called));
        let (start, end) = (&self.start, &self.finally);
        let all: String = calls.into_iter().map(|call| format!("{call}\n")).collect();
        format!("begins in version {} with {start}\n{all}ends with {end}", self.first)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = if self.snapshot_isolation { " (snapshot isolation)" } else { "" };
        let (name, times) = (self.name(), (self.called, self.returned));
        write!(f, "{name}{snapshot} {times:?} {:?}: {:?}", self.end, self.block)?;
        for attempt in &self.attempts {
            write!(f, "\n    {}:", attempt.number)?;
            attempt.log.iter().try_for_each(|entry| write!(f, " {}", Shown(entry)))?;
        }
        if !self.thens.is_empty() {
            let thens = self.thens.iter().map(|(tag, code)| format!(" {tag}: {}", show(*code)));
            write!(f, "\n    then{}", thens.collect::<String>())?;
        }
        Ok(())
    }
}

struct Shown<'e>(&'e Entry);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Entry::Saw(Some(code)) => write!(f, "{}", show(*code)),
            Entry::Rows(rows) => write!(f, "{}", show_rows(rows.iter().copied())),
            Entry::Items(items) => write!(f, "{}", show_items(items.iter().copied())),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_map = |map: &BTreeMap<u8, Code>| show_rows(map.iter().map(|(key, code)| (*key, *code)));
        let (vars, queue) = (show_items(self.vars.iter().copied()), show_items(self.queue.iter().copied()));
        let ring = show_items(self.ring.iter().copied());
        write!(f, "variables {vars} hash {} ord {} queue {queue} ring {ring}", of_map(&self.hash), of_map(&self.ord))
    }
}

/// Process, call, attempt and tag of the writer, and the rest.
pub(crate) fn show(code: Code) -> String {
    let Writer { process, call, attempt } = Writer::of(code);
    format!("p{process}.{call}.{attempt}#{}/{:x}", code >> 24 & 0x7FF, code & 0xFF_FFFF)
}

fn show_items(items: impl Iterator<Item = Code>) -> String {
    format!("[{}]", items.map(show).collect::<Vec<_>>().join(", "))
}

fn show_rows(rows: impl Iterator<Item = (u8, Code)>) -> String {
    format!("{{{}}}", rows.map(|(key, code)| format!("{key}: {}", show(code))).collect::<Vec<_>>().join(", "))
}
