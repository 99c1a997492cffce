//! The loops of `pingpong` between players: threads, tasks, or one of each.

use super::Case;
use super::waits::runtime;
use crate::duel::{TaskPlayer, ThreadPlayer};
use crate::lap::{Done, Stop};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A game between two. Two threads of the harness run it; one whose player is a task only waits for its end.
struct Duel([Box<dyn Seat>; 2]);

/// A player's place.
trait Seat: Send + Sync {
    fn play(&self, stop: &Stop, first: bool) -> Done;
}

/// Both are threads.
pub(super) fn threads<P: ThreadPlayer>() -> Box<dyn Case> {
    let [first, second] = P::pair().map(ThreadSeat::new);
    Box::new(Duel([Box::new(first), Box::new(second)]))
}

/// Both are tasks of one runtime.
pub(super) fn tasks<P: TaskPlayer>() -> Box<dyn Case> {
    let runtime = Arc::new(runtime());
    let [first, second] = P::pair().map(|player| TaskSeat::new(player, &runtime));
    Box::new(Duel([Box::new(first), Box::new(second)]))
}

/// The first is a thread, the other one a task.
pub(super) fn mixed<P: ThreadPlayer + TaskPlayer>() -> Box<dyn Case> {
    let [first, second] = P::pair();
    Box::new(Duel([Box::new(ThreadSeat::new(first)), Box::new(TaskSeat::new(second, &Arc::new(runtime())))]))
}

impl Case for Duel {
    fn run(&self, thread: usize, _: u64, stop: &Stop) -> Done {
        self.0[thread].play(stop, thread == 0)
    }

    /// A game that comes to its end has lost no turn.
    fn verify(&self, _: u64) -> Result<(), String> {
        Ok(())
    }
}

/// The place of a thread.
struct ThreadSeat<P>(Mutex<P>);

impl<P> ThreadSeat<P> {
    fn new(player: P) -> Self {
        Self(Mutex::new(player))
    }
}

impl<P: ThreadPlayer> Seat for ThreadSeat<P> {
    fn play(&self, stop: &Stop, first: bool) -> Done {
        self.0.lock().play(stop, first)
    }
}

/// The place of a task, which has the player while it plays.
struct TaskSeat<P> {
    player: Mutex<Option<P>>,
    runtime: Arc<Runtime>,
}

impl<P> TaskSeat<P> {
    fn new(player: P, runtime: &Arc<Runtime>) -> Self {
        Self { player: Mutex::new(Some(player)), runtime: runtime.clone() }
    }
}

impl<P: TaskPlayer> Seat for TaskSeat<P> {
    fn play(&self, stop: &Stop, first: bool) -> Done {
        let mut player = self.player.lock().take().expect("the last game is over");
        let stop = stop.clone();
        let game = self.runtime.spawn(async move {
            let done = player.play_as_task(&stop, first).await;
            (done, player)
        });
        let (done, player) = self.runtime.block_on(game).expect("a player panicked");
        *self.player.lock() = Some(player);
        done
    }
}
