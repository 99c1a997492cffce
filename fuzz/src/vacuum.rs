//! The vacuum: values with destructors, beside a table of who can still reach them. Every value is dropped once, none before the last
//! that reaches it, and none stays longer than §1.7 says: snapshots of several ages, handles that end in attempts, threads that end.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use arbitrary::Arbitrary;
use tvar::{Snapshot, Space, Stm, TVar, Tx};

use super::list::Program;
use super::values::{Counted, Ledger, elsewhere, ticks};

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Write {
    Blind,
    Modify,
    Replace,
    Merge,
    /// Several in one attempt: what is superseded goes at once, or when it is read no more.
    Again {
        reads: bool,
        times: u8,
    },
    /// Written in an alternative that retries, then in the other.
    Otherwise,
}

#[derive(Arbitrary, Debug)]
pub enum Step {
    Make {
        count: u8,
    },
    Write {
        at: u8,
        count: u8,
        how: Write,
    },
    WriteElsewhere {
        at: u8,
        count: u8,
        how: Write,
    },
    Abort {
        at: u8,
        count: u8,
        how: Write,
    },
    Panic {
        at: u8,
        count: u8,
        how: Write,
    },
    /// Another thread overwrites what this attempt has read; a snapshot is taken in the middle.
    Overtaken {
        at: u8,
        write: bool,
        keep: bool,
    },
    Drop {
        at: u8,
        elsewhere: bool,
    },
    /// A last handle that ends inside an attempt which has used it.
    DropInside {
        at: u8,
        write: bool,
        abort: bool,
    },
    /// A last handle that ends in a hook.
    DropInHook {
        at: u8,
        commit: bool,
    },
    /// A value that has the handle of another variable.
    Chain {
        at: u8,
        length: u8,
        written: bool,
    },
    CutChain {
        at: u8,
    },
    Keep,
    KeepClone {
        at: u8,
    },
    Forget {
        at: u8,
        elsewhere: bool,
    },
    ForgetInside {
        at: u8,
    },
    Ticks {
        count: u8,
    },
}

const MOST_THREADS: usize = 12;
const MOST_KEPT: usize = 12;

/// A value that may have the handle of another variable.
struct Value {
    counted: Counted,
    _next: Option<TVar<Value>>,
}

struct Var {
    var: TVar<Value>,
    /// The numbers of its values; the first is the variable's as well. Those of chains have number 0.
    initial: u64,
    now: u64,
}

struct Kept {
    snapshot: Snapshot,
    /// The numbers that it shows, of the variables that there were.
    shows: BTreeMap<u64, u64>,
}

impl Kept {
    /// Of a variable that came later it shows the initial value.
    fn shows(&self, var: &Var) -> u64 {
        self.shows.get(&var.initial).copied().unwrap_or(var.initial)
    }
}

struct World {
    space: Space,
    ledger: Ledger,
    vars: Vec<Var>,
    chains: Vec<(TVar<Value>, usize)>,
    kept: Vec<Kept>,
    /// What snapshots showed of variables that have ended. Nobody can read it; it may stay as long as they.
    ended: BTreeSet<u64>,
    numbers: Cell<u64>,
    threads: usize,
}

pub type Input = Program<Step>;

pub fn run(steps: &Input) {
    let ledger = Ledger::default();
    let mut world = World {
        space: Space::new(),
        ledger: ledger.clone(),
        vars: Vec::new(),
        chains: Vec::new(),
        kept: Vec::new(),
        ended: BTreeSet::new(),
        numbers: Cell::new(0),
        threads: 0,
    };
    for step in steps.iter() {
        world.step(step);
        world.check();
    }
    // The end of all handles, and then of the space.
    world.kept.clear();
    world.check();
    world.vars.clear();
    world.chains.clear();
    world.check();
    drop(world);
    assert_eq!(ledger.count(), 0, "values outlive their space");
}

impl World {
    fn value(&self) -> Value {
        self.numbers.set(self.numbers.get() + 1);
        Value { counted: self.ledger.value(self.numbers.get()), _next: None }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Make { count } => {
                for _ in 0..count.min(64).min(200_u8.saturating_sub(self.vars.len() as u8)) {
                    let var = TVar::new_in(&self.space, self.value());
                    let initial = self.numbers.get();
                    self.vars.push(Var { var, initial, now: initial });
                }
            }
            Step::Write { at, count, how } => {
                let which = self.which(at, count);
                self.space.atomically(|tx| self.write_all(tx, &which, how));
                self.note(&which);
            }
            Step::WriteElsewhere { at, count, how } => {
                if self.thread() {
                    let which = self.which(at, count);
                    let (space, ledger, first) = (&self.space, &self.ledger, self.numbers.get());
                    let vars: Vec<_> = which.iter().map(|at| &self.vars[*at].var).collect();
                    let last = elsewhere(move || {
                        let next = Cell::new(first);
                        space.atomically(|tx| vars.iter().try_for_each(|var| write(tx, var, how, ledger, &next)));
                        next.get()
                    });
                    self.numbers.set(last);
                    self.note(&which);
                }
            }
            Step::Abort { at, count, how } => {
                let which = self.which(at, count);
                let aborted = self.space.try_atomically(|tx| {
                    self.write_all(tx, &which, how)?;
                    tx.abort::<(), _>("undo")
                });
                assert_eq!(aborted, Err("undo"));
            }
            Step::Panic { at, count, how } => {
                let which = self.which(at, count);
                let result = catch_unwind(AssertUnwindSafe(|| {
                    self.space.atomically(|tx| -> Stm<()> {
                        self.write_all(tx, &which, how)?;
                        resume_unwind(Box::new("planned"))
                    })
                }));
                assert_eq!(result.unwrap_err().downcast_ref(), Some(&"planned"));
            }
            Step::Overtaken { at, write, keep } => self.overtaken(at, write, keep),
            Step::Drop { at, elsewhere: other } => {
                if let Some(var) = self.take(at) {
                    if other && self.thread() { elsewhere(move || drop(var)) } else { drop(var) }
                }
            }
            Step::DropInside { at, write, abort } => {
                if let Some(var) = self.take(at) {
                    let var = Cell::new(Some(var));
                    let result = self.space.try_atomically(|tx| {
                        let var = var.take().expect("one attempt");
                        assert_eq!(tx.read(&var.var).counted.number(), var.now);
                        if write {
                            tx.write(&var.var, self.value());
                        }
                        drop(var);
                        if abort { tx.abort("undo") } else { Ok(()) }
                    });
                    assert_eq!(result.is_err(), abort);
                }
            }
            Step::DropInHook { at, commit } => {
                if let Some(var) = self.take(at) {
                    let var = Cell::new(Some(var));
                    let result = self.space.try_atomically(|tx| {
                        let var = var.take();
                        tx.on_commit(move || drop(var));
                        if commit { Ok(()) } else { tx.abort("undo") }
                    });
                    assert_eq!(result.is_ok(), commit);
                }
            }
            Step::Chain { at, length, written } => self.chain(at, length, written),
            Step::CutChain { at } => {
                if !self.chains.is_empty() {
                    let at = usize::from(at) % self.chains.len();
                    let (chain, _) = self.chains.swap_remove(at);
                    chain.store(Value { counted: self.ledger.value(0), _next: None });
                    // What a snapshot shows of it stays as long as that.
                    self.chains.push((chain, 1));
                }
            }
            Step::Keep => self.keep(),
            Step::KeepClone { at } => {
                if !self.kept.is_empty() && self.kept.len() < MOST_KEPT {
                    let kept = &self.kept[usize::from(at) % self.kept.len()];
                    self.kept.push(Kept { snapshot: kept.snapshot.clone(), shows: kept.shows.clone() });
                }
            }
            Step::Forget { at, elsewhere: other } => {
                if let Some(kept) = self.forget(at) {
                    if other && self.thread() { elsewhere(move || drop(kept)) } else { drop(kept) }
                }
            }
            Step::ForgetInside { at } => {
                if let Some(kept) = self.forget(at) {
                    let kept = Cell::new(Some(kept));
                    let first = self.vars.first();
                    self.space.atomically(|tx| {
                        let before = first.map(|var| tx.read(&var.var));
                        drop(kept.take());
                        assert!(before.is_none_or(|value| value.counted.number() == first.unwrap().now));
                        Ok(())
                    });
                }
            }
            Step::Ticks { count } => ticks(&self.space, u64::from(count)),
        }
    }

    fn thread(&mut self) -> bool {
        self.threads += 1;
        self.threads <= MOST_THREADS
    }

    fn which(&self, at: u8, count: u8) -> Vec<usize> {
        let len = self.vars.len();
        (0..len.min(usize::from(count))).map(|n| (usize::from(at) + n) % len).collect()
    }

    fn take(&mut self, at: u8) -> Option<Var> {
        let len = self.vars.len();
        let var = (len > 0).then(|| self.vars.swap_remove(usize::from(at) % len))?;
        self.ended.extend(self.kept.iter().map(|kept| kept.shows(&var)));
        Some(var)
    }

    fn forget(&mut self, at: u8) -> Option<Kept> {
        let len = self.kept.len();
        (len > 0).then(|| self.kept.swap_remove(usize::from(at) % len))
    }

    fn write_all(&self, tx: &Tx<'_>, which: &[usize], how: Write) -> Stm<()> {
        which.iter().try_for_each(|at| write(tx, &self.vars[*at].var, how, &self.ledger, &self.numbers))
    }

    /// Each of them has a new value: the number is read off, since a merge makes it at the commit.
    fn note(&mut self, which: &[usize]) {
        for at in which {
            let var = &mut self.vars[*at];
            let now = self.space.atomically(|tx| Ok(tx.read(&var.var).counted.number()));
            assert!(now > var.now && now <= self.numbers.get());
            var.now = now;
        }
    }

    fn keep(&mut self) {
        if self.kept.len() < MOST_KEPT {
            let snapshot = self.space.snapshot();
            self.keep_as(snapshot);
        }
    }

    fn keep_as(&mut self, snapshot: Snapshot) {
        let shows = self.vars.iter().map(|var| (var.initial, var.now)).collect();
        self.kept.push(Kept { snapshot, shows });
    }

    fn overtaken(&mut self, at: u8, write: bool, keep: bool) {
        if self.vars.is_empty() || !self.thread() {
            return;
        }
        let at = usize::from(at) % self.vars.len();
        let (var, old) = (self.vars[at].var.clone(), self.vars[at].now);
        let mine = TVar::new_in(&self.space, 0);
        let (mut seen, mut kept) = (Vec::new(), None);
        let theirs = self.value();
        let (theirs, new) = (Cell::new(Some(theirs)), self.numbers.get());
        self.space.atomically(|tx| {
            let value = tx.read(&var);
            seen.push(value.counted.number());
            if let Some(theirs) = theirs.take() {
                elsewhere(|| var.store(theirs));
                // §1.4, §1.7: the attempt has its snapshot until it ends.
                assert_eq!(value.counted.number(), old);
                assert_eq!(tx.read(&var).counted.number(), old);
                kept = keep.then(|| self.space.snapshot());
            }
            if write {
                tx.write(&mine, 1);
            }
            Ok(())
        });
        let expected: &[u64] = if write { &[old, new] } else { &[old] };
        assert_eq!(seen, expected);
        if let Some(snapshot) = kept {
            assert_eq!(snapshot.read(&var).counted.number(), old, "of the attempt's version");
            if self.kept.len() < MOST_KEPT {
                self.keep_as(snapshot);
            }
        }
        self.vars[at].now = new;
    }

    fn chain(&mut self, at: u8, length: u8, written: bool) {
        if self.chains.len() >= 8 {
            let at = usize::from(at) % self.chains.len();
            self.chains.swap_remove(at);
        }
        let mut head: Option<TVar<Value>> = None;
        let value = |next| Value { counted: self.ledger.value(0), _next: next };
        for _ in 0..=length {
            head = Some(if written {
                let var = TVar::new_in(&self.space, value(None));
                var.store(value(head.take()));
                var
            } else {
                TVar::new_in(&self.space, value(head.take()))
            });
        }
        self.chains.extend(head.map(|head| (head, usize::from(length) + 1)));
    }

    fn check(&mut self) {
        if self.kept.is_empty() {
            self.ended.clear();
        }
        let mut reachable = self.ended.clone();
        self.space.atomically(|tx| {
            self.vars.iter().for_each(|var| assert_eq!(tx.read(&var.var).counted.number(), var.now));
            Ok(())
        });
        for var in &self.vars {
            reachable.insert(var.now);
            for kept in &self.kept {
                assert_eq!(kept.snapshot.read(&var.var).counted.number(), kept.shows(var));
                reachable.insert(kept.shows(var));
            }
        }
        let length: usize = self.chains.iter().map(|(_, length)| length).sum();
        // §1.7: at the latest at the next commit of the thread that replaced it; what has ended with its variable, soon after. What a
        // thread has left behind at its end waits for somebody to take it over.
        let patience = if self.threads == 0 { 3 } else { 3_000 };
        let mut stayed = String::new();
        for _ in 0..patience {
            ticks(&self.space, 1);
            let live = self.ledger.live();
            let chained = live.get(&0).copied().unwrap_or(0);
            assert!(chained >= length, "chains: {chained} of {length}");
            let beyond =
                live.iter().find(|(number, count)| **number != 0 && (**count > 1 || !reachable.contains(number)));
            stayed = match beyond {
                Some((number, count)) => format!("{count} of value {number}"),
                None if chained > length && self.kept.is_empty() => format!("{} links", chained - length),
                None => return,
            };
        }
        panic!("nobody can reach it, and it has stayed: {stayed}");
    }
}

fn write(tx: &Tx<'_>, var: &TVar<Value>, how: Write, ledger: &Ledger, numbers: &Cell<u64>) -> Stm<()> {
    let value = || {
        numbers.set(numbers.get() + 1);
        Value { counted: ledger.value(numbers.get()), _next: None }
    };
    match how {
        Write::Blind => tx.write(var, value()),
        Write::Modify => tx.modify(var, |_| value()),
        Write::Replace => {
            let old = tx.read(var).counted.number();
            assert_eq!(tx.replace(var, value()).counted.number(), old);
        }
        Write::Merge => {
            numbers.set(numbers.get() + 1);
            let (ledger, number) = (ledger.clone(), numbers.get());
            tx.merge(var, move |_| Value { counted: ledger.value(number), _next: None });
        }
        Write::Again { reads, times } => {
            let first = tx.read(var);
            let number = first.counted.number();
            for _ in 0..=times % 8 {
                tx.write(var, value());
                let read = if reads { tx.read(var).counted.number() } else { numbers.get() };
                assert_eq!(read, numbers.get());
            }
            assert_eq!(first.counted.number(), number, "handed out before");
        }
        Write::Otherwise => {
            let before = tx.read(var);
            let number = before.counted.number();
            tx.or_else(
                |tx| {
                    tx.write(var, value());
                    tx.retry()
                },
                |tx| {
                    assert_eq!(tx.read(var).counted.number(), number);
                    tx.write(var, value());
                    Ok(())
                },
            )?;
        }
    }
    Ok(())
}
