//! Two channels of `tokio` with room for one.

use super::{Player, TaskPlayer, ThreadPlayer, play, play_as_task};
use crate::lap::{Done, Stop};
use ::tokio::sync::mpsc::{Receiver, Sender, channel};

/// Where a player's turns come from, and where its moves go: whether they are the last.
#[derive(Debug)]
pub struct Tokio {
    turns: Receiver<bool>,
    moves: Sender<bool>,
}

const OTHER: &str = "the players live equally long";

impl Player for Tokio {
    fn pair() -> [Self; 2] {
        let (there, turns_there) = channel(1);
        let (back, turns_here) = channel(1);
        back.try_send(false).expect("there is room for the first turn");
        [Tokio { turns: turns_here, moves: there }, Tokio { turns: turns_there, moves: back }]
    }
}

impl ThreadPlayer for Tokio {
    fn play(&mut self, stop: &Stop, first: bool) -> Done {
        play(stop, first, |last| {
            let over = self.turns.blocking_recv().expect(OTHER);
            self.moves.blocking_send(last).expect(OTHER);
            over
        })
    }
}

impl TaskPlayer for Tokio {
    async fn play_as_task(&mut self, stop: &Stop, first: bool) -> Done {
        play_as_task!(stop, first, async |last| {
            let over = self.turns.recv().await.expect(OTHER);
            self.moves.send(last).await.expect(OTHER);
            over
        })
    }
}
