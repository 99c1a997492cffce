//! Two channels of `crossbeam-channel` with room for one.

use super::{Player, ThreadPlayer, play};
use crate::lap::{Done, Stop};
use crossbeam_channel::{Receiver, Sender, bounded};

/// Where a player's turns come from, and where its moves go: whether they are the last.
#[derive(Debug)]
pub struct Crossbeam {
    turns: Receiver<bool>,
    moves: Sender<bool>,
}

const OTHER: &str = "the players live equally long";

impl Player for Crossbeam {
    fn pair() -> [Self; 2] {
        let (there, turns_there) = bounded(1);
        let (back, turns_here) = bounded(1);
        back.send(false).expect(OTHER); // the first turn
        [Crossbeam { turns: turns_here, moves: there }, Crossbeam { turns: turns_there, moves: back }]
    }
}

impl ThreadPlayer for Crossbeam {
    fn play(&mut self, stop: &Stop, first: bool) -> Done {
        play(stop, first, |last| {
            let over = self.turns.recv().expect(OTHER);
            self.moves.send(last).expect(OTHER);
            over
        })
    }
}
