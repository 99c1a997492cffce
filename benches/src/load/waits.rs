//! The workloads in which somebody waits for somebody: which engines run them, and how.

use super::wakes::{WakeAll, WakeOne};
use super::{Case, Load, duels};
use crate::engine::EngineName;
use crate::{duel, wake};
use tokio::runtime::{Builder, Runtime};

/// Somebody waits for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitLoad {
    /// As `pingpong`, but tasks.
    PingPongTasks,
    /// As `pingpong`, but a thread and a task.
    PingPongMixed,
    /// A thread wakes one of 10,000 tasks and waits for its answer.
    WakeOne,
    /// A thread wakes 1,000 tasks at a time and waits for all their answers.
    Wake1000,
}

impl WaitLoad {
    /// The row that it makes.
    pub(super) fn row(self) -> &'static [&'static str] {
        match self {
            Self::PingPongTasks => &["pingpong_tasks"],
            Self::PingPongMixed => &["pingpong_mixed"],
            Self::WakeOne => &["wake_one_of_10k"],
            Self::Wake1000 => &["wake_1000"],
        }
    }

    /// How many threads of the harness run it, beside those of the runtime.
    pub(super) fn workers(self) -> usize {
        match self {
            Self::PingPongTasks | Self::PingPongMixed => 2,
            Self::WakeOne | Self::Wake1000 => 1,
        }
    }

    /// How an engine makes its case, if it can do that.
    fn of(self, engine: EngineName) -> Option<fn() -> Box<dyn Case>> {
        use EngineName as E;
        Some(match (self, engine) {
            (Self::PingPongTasks, E::Tvar) => duels::tasks::<duel::Turns>,
            (Self::PingPongTasks, E::AsyncStm) => duels::tasks::<duel::AsyncTurns>,
            (Self::PingPongTasks, E::Flume) => duels::tasks::<duel::Flume>,
            (Self::PingPongTasks, E::Tokio) => duels::tasks::<duel::Tokio>,
            (Self::PingPongMixed, E::Tvar) => duels::mixed::<duel::Turns>,
            (Self::PingPongMixed, E::AsyncStm) => duels::mixed::<duel::AsyncTurns>,
            (Self::PingPongMixed, E::Flume) => duels::mixed::<duel::Flume>,
            (Self::PingPongMixed, E::Tokio) => duels::mixed::<duel::Tokio>,
            (Self::WakeOne, E::Tvar) => WakeOne::<wake::Waits>::boxed,
            (Self::WakeOne, E::AsyncStm) => WakeOne::<wake::AsyncWaits>::boxed,
            (Self::Wake1000, E::Tvar) => WakeAll::<wake::Waits>::boxed,
            (Self::Wake1000, E::AsyncStm) => WakeAll::<wake::AsyncWaits>::boxed,
            _ => return None,
        })
    }

    /// Whether an engine runs it.
    pub(super) fn runs_on(self, engine: EngineName) -> bool {
        self.of(engine).is_some()
    }

    /// The case of an engine, if it runs this.
    pub(super) fn case(self, engine: EngineName) -> Option<Box<dyn Case>> {
        self.of(engine).map(|make| make())
    }
}

/// The case of an engine that has channels, and no variables: that of `pingpong` only.
pub(super) fn channels(engine: EngineName, load: Load) -> Option<Box<dyn Case>> {
    match engine {
        _ if load != Load::PingPong => None,
        EngineName::Flume => Some(duels::threads::<duel::Flume>()),
        EngineName::Crossbeam => Some(duels::threads::<duel::Crossbeam>()),
        EngineName::Tokio => Some(duels::threads::<duel::Tokio>()),
        _ => None,
    }
}

/// What tasks run on: the runtime that most programs have, with two workers. Tasks that wait for each other come to run on the
/// same one, and need no other to be woken.
pub(super) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("threads can be started")
}
