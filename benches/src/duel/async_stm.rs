//! A variable that says whose turn it is, on `async-stm`.

use super::{Player, TaskPlayer, ThreadPlayer, play_as_task};
use crate::engine::async_stm::block_on;
use crate::lap::{Done, Stop};
use ::async_stm::{Stm, TVar, atomically, guard};

/// The variable: the number of the player whose turn it is, with `OVER` added if the game is.
pub struct AsyncTurns {
    me: u64,
    turn: TVar<u64>,
}

/// Added to a turn that ends the game.
const OVER: u64 = 2;

impl AsyncTurns {
    /// The other one's turn, when it is this one's. Whether the game is over.
    fn turn(&self, last: bool) -> Stm<bool> {
        let now = *self.turn.read()?;
        guard(now % OVER == self.me)?;
        self.turn.write(1 - self.me + if last { OVER } else { 0 })?;
        Ok(now >= OVER)
    }
}

impl Player for AsyncTurns {
    fn pair() -> [Self; 2] {
        let turn = TVar::new(0);
        [0, 1].map(|me| AsyncTurns { me, turn: turn.clone() })
    }
}

impl ThreadPlayer for AsyncTurns {
    /// As one future on a runtime of the thread.
    fn play(&mut self, stop: &Stop, first: bool) -> Done {
        block_on(self.play_as_task(stop, first))
    }
}

impl TaskPlayer for AsyncTurns {
    async fn play_as_task(&mut self, stop: &Stop, first: bool) -> Done {
        let this = &*self;
        play_as_task!(stop, first, |last| atomically(move || this.turn(last)))
    }
}
