//! A variable that says whose turn it is.

use super::{Player, TaskPlayer, ThreadPlayer, play, play_as_task};
use crate::lap::{Done, Stop};
use ::tvar::{Stm, TVar, Tx, atomically, atomically_async};

/// The variable: the number of the player whose turn it is, with `OVER` added if the game is.
#[derive(Debug)]
pub struct Turns {
    me: u64,
    turn: TVar<u64>,
}

/// Added to a turn that ends the game.
const OVER: u64 = 2;

impl Turns {
    /// The other one's turn, when it is this one's. Whether the game is over.
    fn turn(&self, tx: &Tx<'_>, last: bool) -> Stm<bool> {
        let now = *tx.read(&self.turn);
        tx.check(now % OVER == self.me)?;
        tx.write(&self.turn, 1 - self.me + if last { OVER } else { 0 });
        Ok(now >= OVER)
    }
}

impl Player for Turns {
    fn pair() -> [Self; 2] {
        let turn = TVar::new(0);
        [0, 1].map(|me| Turns { me, turn: turn.clone() })
    }
}

impl ThreadPlayer for Turns {
    fn play(&mut self, stop: &Stop, first: bool) -> Done {
        play(stop, first, |last| atomically(|tx| self.turn(tx, last)))
    }
}

impl TaskPlayer for Turns {
    async fn play_as_task(&mut self, stop: &Stop, first: bool) -> Done {
        let this = &*self;
        play_as_task!(stop, first, |last| atomically_async(move |tx| this.turn(tx, last)))
    }
}
