//! A case: an interleaving, and what comes of it in every setting.

use std::fmt::Write;

use crate::history::{History, How};
use crate::program::{Op, Step};
use crate::rows::Kind;
use crate::scheduler;
use crate::setting::{KINDS, MODES, Mode, Setting};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What would go wrong, for the guide; empty: nothing could.
    pub(crate) says: &'static str,
    pub(crate) script: &'static [Step],
    /// What happens, by mode.
    expected: [Expected; 4],
    /// Whether it has gone wrong.
    wrong: fn(&History) -> bool,
}

/// What happens in one mode, as [`History::line`] tells it.
#[derive(Clone, Copy)]
pub(crate) enum Expected {
    /// Whatever rows are.
    Same(&'static str),
    /// For most kinds of rows, and for this one.
    Most(&'static str, Kind, &'static str),
    /// The case is about rows of this kind.
    Only(Kind, &'static str),
}

impl Expected {
    fn of(self, kind: Kind) -> Option<&'static str> {
        match self {
            Expected::Most(_, other, line) if other == kind => Some(line),
            Expected::Same(line) | Expected::Most(line, ..) => Some(line),
            Expected::Only(only, line) => (only == kind).then_some(line),
        }
    }
}

impl Case {
    /// A case that goes wrong if no order of its transactions explains what they have seen.
    pub(crate) const fn new(
        name: &'static str,
        says: &'static str,
        script: &'static [Step],
        expected: [Expected; 4],
    ) -> Self {
        Case { name, says, script, expected, wrong: |history| history.orders().is_empty() }
    }

    pub(crate) const fn wrong_if(self, wrong: fn(&History) -> bool) -> Self {
        Case { wrong, ..self }
    }

    /// The settings in which it can be run, with what happens then.
    pub(crate) fn settings(&self) -> impl Iterator<Item = (Setting, &'static str)> {
        let modes = MODES.into_iter().zip(self.expected);
        let all = modes.flat_map(|(mode, expected)| KINDS.map(|kind| (mode, kind, expected.of(kind))));
        all.filter_map(|(mode, kind, line)| Some((Setting { mode, kind, announced: false }, line?)))
    }

    /// Whether the script itself stops a commit at a point.
    pub(crate) fn stops_by_itself(&self) -> bool {
        self.script.iter().any(|(_, op)| matches!(op, Op::CommitTo(_)))
    }

    /// Runs the case in every setting, and compares what has happened.
    pub(crate) fn check(&self) {
        let mut wrong = String::new();
        for (setting, expected) in self.settings() {
            let line = self.run(setting).line();
            if line != expected {
                writeln!(wrong, "{setting}:\n  {line}\ninstead of\n  {expected}").unwrap();
            }
        }
        assert!(wrong.is_empty(), "{}: something else has happened:\n{wrong}", self.name);
    }

    pub(crate) fn run(&self, setting: Setting) -> History {
        let history = scheduler::run(setting, self.script, None);
        history.check();
        history
    }

    /// What keeps it from going wrong in this mode, with rows of any kind.
    pub(crate) fn how(&self, mode: Mode) -> How {
        let settings = self.settings().map(|(setting, _)| setting).filter(|setting| setting.mode == mode);
        let how = |setting| {
            let history = self.run(setting);
            if (self.wrong)(&history) { How::Possible } else { history.how() }
        };
        let hows: Vec<How> = settings.map(how).collect();
        assert!(hows.iter().all(|how| *how == hows[0]), "{}, {mode:?}: {hows:?}", self.name);
        hows[0]
    }
}
