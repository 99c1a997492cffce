//! Two players that wait for each other's move, as threads or as tasks: each library behind the same traits.

mod async_stm;
mod crossbeam;
mod flume;
mod tokio;
mod tvar;

pub use async_stm::AsyncTurns;
pub use crossbeam::Crossbeam;
pub use flume::Flume;
pub use tokio::Tokio;
pub use tvar::Turns;

use crate::lap::{Done, Stop};

/// One of two players. The first one begins, and ends the game when it is stopped; the other one goes on until then, so that nobody
/// is left waiting, and the next game begins as this one did.
pub trait Player: Send + Sized + 'static {
    /// Both, the one who begins first.
    fn pair() -> [Self; 2];
}

/// A player that is a thread.
pub trait ThreadPlayer: Player {
    /// Plays, and counts its turns.
    fn play(&mut self, stop: &Stop, first: bool) -> Done;
}

/// A player that is a task.
pub trait TaskPlayer: Player {
    /// Plays, and counts its turns.
    fn play_as_task(&mut self, stop: &Stop, first: bool) -> impl Future<Output = Done> + Send;
}

/// The loop of a player. `turn` waits for the other's move and makes one, which ends the game if so told; whether the other one's
/// did.
fn play(stop: &Stop, first: bool, mut turn: impl FnMut(bool) -> bool) -> Done {
    let mut done = Done::default();
    loop {
        let last = first && stop.is_stopped();
        if turn(last) || last {
            return done;
        }
        done.one();
    }
}

/// The same of a player whose turns are futures.
macro_rules! play_as_task {
    ($stop:expr, $first:expr, $turn:expr) => {{
        let mut done = Done::default();
        loop {
            let last = $first && $stop.is_stopped();
            if $turn(last).await || last {
                break done;
            }
            done.one();
        }
    }};
}
use play_as_task;
