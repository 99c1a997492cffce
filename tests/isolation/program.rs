//! What transactions do, as data: steps on a small table of rows, and what they mean.

use std::collections::BTreeMap;
use std::fmt;

use tvar::Stm;
use tvar::hooks::Point;

/// A row of the table. `X` and `Y` are there at first, the others are not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row(pub(crate) u8);

pub(crate) const X: Row = Row(0);
pub(crate) const Y: Row = Row(1);
pub(crate) const Z: Row = Row(2);
pub(crate) const W: Row = Row(3);
/// Rows that are looked at only by who looks at everything.
pub(crate) const A: Row = Row(4);
pub(crate) const B: Row = Row(5);
pub(crate) const ROWS: [Row; 6] = [X, Y, Z, W, A, B];

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(["X", "Y", "Z", "W", "A", "B"][usize::from(self.0)])
    }
}

/// The rows that are there, with their values.
pub(crate) type Contents = BTreeMap<Row, i64>;

pub(crate) fn initial() -> Contents {
    Contents::from([(X, 10), (Y, 20)])
}

/// A transaction of a script.
pub(crate) type Who = usize;
pub(crate) const T1: Who = 0;
pub(crate) const T2: Who = 1;
pub(crate) const T3: Who = 2;
pub(crate) const T4: Who = 3;

pub(crate) type Step = (Who, Op);

/// The steps of a script, in order: `T1 Put(X, 11), T2 Get(X)`.
macro_rules! script {
    ($($who:ident $op:expr),*) => { &[$(($who, $op)),*] };
}
pub(crate) use script;

/// A step of a transaction. The first one of each begins it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    Get(Row),
    /// Gives the row a value without having looked at it.
    Put(Row, i64),
    Add(Row, i64),
    /// Puts a row in if it is not there.
    Insert(Row, i64),
    /// All rows.
    All,
    /// The rows with a multiple of this.
    Multiples(i64),
    Between(Row, Row),
    /// How many rows there are.
    Count,
    /// Adds to every row.
    AddAll(i64),
    /// Gives a value to the rows with another one.
    Change(i64, i64),
    /// Takes out the rows with this value.
    Delete(i64),
    Ensure(Row),
    /// Locks a row, shared.
    Lock(Row),
    /// Sleeps until the row has this value.
    Until(Row, i64),
    /// Begins to commit, and stops at this point.
    CommitTo(Point),
    Commit,
    Abort,
}

/// What a step has shown of the table.
pub(crate) type Seen = Vec<(Row, i64)>;

/// A table as a step sees it: that of a transaction, or plain contents.
pub(crate) trait Table {
    fn get(&mut self, row: Row) -> Option<i64>;
    fn put(&mut self, row: Row, value: i64);
    fn add(&mut self, row: Row, plus: i64);
    fn insert(&mut self, row: Row, value: i64) -> bool;
    fn remove(&mut self, row: Row);
    fn all(&mut self) -> Seen;
    fn between(&mut self, low: Row, high: Row) -> Seen;
    fn count(&mut self) -> usize;
    fn ensure(&mut self, _row: Row) {}
    fn lock(&mut self, _row: Row) -> Stm<()> {
        Ok(())
    }
}

impl Op {
    pub(crate) fn ends(self) -> bool {
        matches!(self, Op::Commit | Op::Abort)
    }

    /// Makes the step; what it shows. How a transaction ends, and how it sleeps, is not done here.
    pub(crate) fn run(self, table: &mut impl Table) -> Stm<Seen> {
        let mut having = |test: &dyn Fn(i64) -> bool, change: &dyn Fn(&mut _, Row, i64)| {
            let rows: Seen = table.all().into_iter().filter(|(_, value)| test(*value)).collect();
            rows.iter().for_each(|(row, value)| change(table, *row, *value));
            rows
        };
        Ok(match self {
            Op::Get(row) | Op::Until(row, _) => table.get(row).map(|value| (row, value)).into_iter().collect(),
            Op::Put(row, value) => {
                table.put(row, value);
                Seen::new()
            }
            Op::Add(row, plus) => {
                table.add(row, plus);
                Seen::new()
            }
            Op::Insert(row, value) => {
                let new = table.insert(row, value);
                vec![(row, i64::from(new))]
            }
            Op::All => table.all(),
            Op::Multiples(of) => having(&|value| value % of == 0, &|_, _, _| ()),
            Op::Between(low, high) => table.between(low, high),
            Op::Count => vec![(ROWS[0], table.count() as i64)],
            Op::AddAll(plus) => having(&|_| true, &|table, row, value| table.put(row, value + plus)),
            Op::Change(from, to) => having(&|value| value == from, &|table, row, _| table.put(row, to)),
            Op::Delete(victim) => having(&|value| value == victim, &|table, row, _| table.remove(row)),
            Op::Ensure(row) => {
                table.ensure(row);
                Seen::new()
            }
            Op::Lock(row) => {
                table.lock(row)?;
                Seen::new()
            }
            Op::CommitTo(_) | Op::Commit | Op::Abort => Seen::new(),
        })
    }
}

impl Table for Contents {
    fn get(&mut self, row: Row) -> Option<i64> {
        BTreeMap::get(self, &row).copied()
    }

    fn put(&mut self, row: Row, value: i64) {
        BTreeMap::insert(self, row, value);
    }

    fn add(&mut self, row: Row, plus: i64) {
        self.entry(row).and_modify(|value| *value += plus);
    }

    fn insert(&mut self, row: Row, value: i64) -> bool {
        let new = !self.contains_key(&row);
        if new {
            self.put(row, value);
        }
        new
    }

    fn remove(&mut self, row: Row) {
        BTreeMap::remove(self, &row);
    }

    fn all(&mut self) -> Seen {
        self.iter().map(|(row, value)| (*row, *value)).collect()
    }

    fn between(&mut self, low: Row, high: Row) -> Seen {
        self.range(low..=high).map(|(row, value)| (*row, *value)).collect()
    }

    fn count(&mut self) -> usize {
        self.len()
    }
}

/// Makes these steps on plain contents; whether they show the same.
pub(crate) fn replay(contents: &mut Contents, log: &[(Op, Seen)]) -> bool {
    let mut same = true;
    for (op, seen) in log {
        same &= op.run(contents).expect("nothing stops a plain table") == *seen;
    }
    same
}
