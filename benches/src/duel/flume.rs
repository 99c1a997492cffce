//! Two channels of `flume` with room for one.

use super::{Player, TaskPlayer, ThreadPlayer, play, play_as_task};
use crate::lap::{Done, Stop};
use ::flume::{Receiver, Sender, bounded};

/// Where a player's turns come from, and where its moves go: whether they are the last.
#[derive(Debug)]
pub struct Flume {
    turns: Receiver<bool>,
    moves: Sender<bool>,
}

const OTHER: &str = "the players live equally long";

impl Player for Flume {
    fn pair() -> [Self; 2] {
        let (there, turns_there) = bounded(1);
        let (back, turns_here) = bounded(1);
        back.send(false).expect(OTHER); // the first turn
        [Flume { turns: turns_here, moves: there }, Flume { turns: turns_there, moves: back }]
    }
}

impl ThreadPlayer for Flume {
    fn play(&mut self, stop: &Stop, first: bool) -> Done {
        play(stop, first, |last| {
            let over = self.turns.recv().expect(OTHER);
            self.moves.send(last).expect(OTHER);
            over
        })
    }
}

impl TaskPlayer for Flume {
    async fn play_as_task(&mut self, stop: &Stop, first: bool) -> Done {
        play_as_task!(stop, first, async |last| {
            let over = self.turns.recv_async().await.expect(OTHER);
            self.moves.send_async(last).await.expect(OTHER);
            over
        })
    }
}
