//! The tree of variables: thousands that are made, written and dropped, beside a table; old snapshots and their differences (§1.2 to
//! §1.5). What is dropped in bulk makes the vacuum cut leaves off the tree, and slots pass from one variable to the next.

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use tvar::{Snapshot, Space, TVar, Tx, View};

use super::list::Program;
use super::values::{Counted, Ledger, elsewhere, ticks};

/// Which variables: `from`, and every so many from there on.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Which {
    from: u16,
    stride: u8,
    count: u16,
}

#[derive(Arbitrary, Debug)]
pub enum Step {
    /// New variables: numbers in the tree, values behind pointers, or a mixture.
    Make {
        kind: u8,
        count: u16,
        number: u16,
    },
    /// One transaction.
    Write {
        which: Which,
        number: u16,
    },
    /// Each in a transaction of its own.
    WriteEach {
        which: Which,
        number: u16,
    },
    /// A transaction on another thread, which ends.
    WriteElsewhere {
        which: Which,
        number: u16,
    },
    /// What is already there.
    WriteAgain {
        which: Which,
    },
    Abort {
        which: Which,
        number: u16,
    },
    Drop {
        which: Which,
    },
    DropElsewhere {
        which: Which,
    },
    Keep,
    Forget {
        which: u8,
    },
    Diff {
        older: u8,
        newer: u8,
    },
    Ticks {
        count: u8,
    },
    Check,
}

/// Of one program; three levels of the tree, and enough to cut leaves off.
const MOST: usize = 6_000;
/// Steps that make threads: they are slow.
const MOST_THREADS: usize = 8;

enum Var {
    Number(TVar<u64>),
    Boxed(TVar<Counted>),
}

struct Cell {
    id: u64,
    var: Var,
    initial: u64,
    now: u64,
    /// The commit that wrote it last; 0 if none has.
    written: u64,
}

struct Kept {
    snapshot: Snapshot,
    /// Value and last commit of each variable that was there.
    cells: BTreeMap<u64, (u64, u64)>,
}

struct World {
    space: Space,
    ledger: Ledger,
    cells: Vec<Cell>,
    kept: Vec<Kept>,
    ids: u64,
    commits: u64,
    threads: usize,
}

pub type Input = Program<Step>;

pub fn run(steps: &Input) {
    let ledger = Ledger::default();
    let space = Space::new();
    let mut world =
        World { space, ledger: ledger.clone(), cells: Vec::new(), kept: Vec::new(), ids: 0, commits: 0, threads: 0 };
    for step in steps.iter() {
        world.step(step);
    }
    world.check(1);
    drop(world);
    assert_eq!(ledger.count(), 0, "values outlive their space");
}

impl World {
    fn step(&mut self, step: &Step) {
        match *step {
            Step::Make { kind, count, number } => self.make(kind, count, number),
            Step::Write { which, number } => {
                let which = self.which(which);
                self.commits += 1;
                self.space.atomically(|tx| {
                    self.write_all(tx, &which, number);
                    Ok(())
                });
                self.note(&which, number);
            }
            Step::WriteElsewhere { which, number } => {
                let which = self.which(which);
                if self.thread() {
                    self.commits += 1;
                    elsewhere(|| {
                        self.space.atomically(|tx| {
                            self.write_all(tx, &which, number);
                            Ok(())
                        });
                    });
                    self.note(&which, number);
                }
            }
            Step::WriteEach { which, number } => {
                for at in self.which(which) {
                    self.commits += 1;
                    match &self.cells[at].var {
                        Var::Number(var) => var.store(u64::from(number)),
                        Var::Boxed(var) => var.store(self.ledger.value(u64::from(number))),
                    }
                    self.note(&[at], number);
                }
            }
            Step::WriteAgain { which } => {
                let which: Vec<_> =
                    self.which(which).into_iter().filter(|at| matches!(self.cells[*at].var, Var::Number(_))).collect();
                let version = self.space.version();
                self.space.atomically(|tx| {
                    for at in &which {
                        let Var::Number(var) = &self.cells[*at].var else { unreachable!() };
                        tx.write(var, self.cells[*at].now);
                    }
                    Ok(())
                });
                // §3.1: the same bits are no write.
                assert_eq!(self.space.version(), version, "nothing has changed");
            }
            Step::Abort { which, number } => {
                let which = self.which(which);
                let version = self.space.version();
                let aborted = self.space.try_atomically(|tx| {
                    self.write_all(tx, &which, number);
                    tx.abort::<(), _>("undo")
                });
                assert_eq!((aborted, self.space.version()), (Err("undo"), version));
            }
            Step::Drop { which } => drop(self.take(which)),
            Step::DropElsewhere { which } => {
                if self.thread() {
                    let taken = self.take(which);
                    elsewhere(move || drop(taken));
                }
            }
            Step::Keep => {
                if self.kept.len() < 8 {
                    let cells = self.cells.iter().map(|cell| (cell.id, (cell.now, cell.written))).collect();
                    self.kept.push(Kept { snapshot: self.space.snapshot(), cells });
                    let last = self.kept.len() as u8 - 1;
                    self.diff(last.saturating_sub(1), last);
                }
            }
            Step::Forget { which } => {
                if !self.kept.is_empty() {
                    let at = usize::from(which) % self.kept.len();
                    self.kept.swap_remove(at);
                }
            }
            Step::Diff { older, newer } => self.diff(older, newer),
            Step::Ticks { count } => ticks(&self.space, u64::from(count)),
            Step::Check => self.check(1),
        }
        // Not all of them: a program would be quadratic.
        self.check(self.cells.len() / 64 + 1);
    }

    fn make(&mut self, kind: u8, count: u16, number: u16) {
        let count = usize::from(count) % 2_000;
        for at in 0..count.min(MOST - self.cells.len()) {
            let initial = u64::from(number) + at as u64;
            let boxed = match kind % 4 {
                0 | 1 => false,
                2 => true,
                _ => at % 5 == 0,
            };
            let var = if boxed {
                Var::Boxed(TVar::new_in(&self.space, self.ledger.value(initial)))
            } else {
                Var::Number(TVar::new_in(&self.space, initial))
            };
            self.ids += 1;
            self.cells.push(Cell { id: self.ids, var, initial, now: initial, written: 0 });
        }
    }

    fn thread(&mut self) -> bool {
        self.threads += 1;
        self.threads <= MOST_THREADS
    }

    fn which(&self, Which { from, stride, count }: Which) -> Vec<usize> {
        let len = self.cells.len();
        if len == 0 {
            return Vec::new();
        }
        let (from, stride) = (usize::from(from) % len, usize::from(stride).max(1));
        (from..len).step_by(stride).take(usize::from(count)).collect()
    }

    fn take(&mut self, which: Which) -> Vec<Cell> {
        let mut which = self.which(which).into_iter().peekable();
        let (mut at, mut taken) = (0, Vec::new());
        for cell in std::mem::take(&mut self.cells) {
            let list = if which.next_if_eq(&at).is_some() { &mut taken } else { &mut self.cells };
            list.push(cell);
            at += 1;
        }
        taken
    }

    fn write_all(&self, tx: &Tx<'_>, which: &[usize], number: u16) {
        for at in which {
            match &self.cells[*at].var {
                Var::Number(var) => tx.write(var, u64::from(number)),
                Var::Boxed(var) => tx.write(var, self.ledger.value(u64::from(number))),
            }
        }
    }

    fn note(&mut self, which: &[usize], number: u16) {
        for at in which {
            let cell = &mut self.cells[*at];
            let same = matches!(cell.var, Var::Number(_)) && cell.now == u64::from(number);
            cell.now = u64::from(number);
            if !same {
                cell.written = self.commits;
            }
        }
    }

    fn diff(&self, older: u8, newer: u8) {
        if self.kept.is_empty() {
            return;
        }
        let [older, newer] = [older, newer].map(|n| &self.kept[usize::from(n) % self.kept.len()]);
        let diff = older.snapshot.diff(&newer.snapshot);
        let mut changed = 0;
        for cell in &self.cells {
            let written = [older, newer].map(|kept| kept.cells.get(&cell.id).map_or(0, |(_, written)| *written));
            let differs = match &cell.var {
                Var::Number(var) => diff.changed(var),
                Var::Boxed(var) => diff.changed(var),
            };
            assert_eq!(differs, written[0] != written[1], "diff of variable {}", cell.id);
            changed += usize::from(differs);
        }
        assert!(diff.len() >= changed);
    }

    /// Every so many variables, in the newest version and in each that is kept.
    fn check(&self, every: usize) {
        self.space.atomically(|tx| {
            self.cells.iter().step_by(every).for_each(|cell| cell.check(tx, cell.now));
            Ok(())
        });
        for kept in &self.kept {
            for cell in self.cells.iter().step_by(every) {
                let then = kept.cells.get(&cell.id).map_or(cell.initial, |(value, _)| *value);
                cell.check(&kept.snapshot, then);
            }
        }
        let boxed = self.cells.iter().filter(|cell| matches!(cell.var, Var::Boxed(_))).count();
        assert!(self.ledger.count() >= boxed, "a value has gone too soon");
    }
}

impl Cell {
    fn check(&self, view: &impl View, expected: u64) {
        let number = match &self.var {
            Var::Number(var) => *view.read(var),
            Var::Boxed(var) => view.read(var).number(),
        };
        assert_eq!(number, expected, "variable {}", self.id);
    }
}
