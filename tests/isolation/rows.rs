//! The table of the cases in a space: as variables, or as the entries of a map.

use tvar::{LockMode, Snapshot, Space, Stm, TMap, TOrdMap, TVar, Tx};

use crate::program::{B, Contents, ROWS, Row, Seen, Table, X, initial};

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A variable each; one value stands for a row that is not there.
    Variables,
    /// Entries of a `TMap`; everything is read by iteration.
    Map,
    /// Entries of a `TOrdMap`; everything is read as ranges.
    OrdMap,
}

#[derive(Clone)]
pub(crate) enum Rows {
    Variables(Vec<TVar<i64>>),
    Map(TMap<u8, i64>),
    OrdMap(TOrdMap<u8, i64>),
}

const NO_ROW: i64 = i64::MIN;

fn index(row: Row) -> usize {
    usize::from(row.0)
}

/// An entry of a map.
fn entry((row, value): (&u8, &i64)) -> (Row, i64) {
    (Row(*row), *value)
}

impl Rows {
    pub(crate) fn new(kind: Kind, space: &Space) -> Self {
        let rows = initial();
        let entries = rows.iter().map(|(row, value)| (row.0, *value));
        match kind {
            Kind::Variables => {
                let value = |row| rows.get(&row).copied().unwrap_or(NO_ROW);
                Rows::Variables(ROWS.map(|row| TVar::new_in(space, value(row))).into())
            }
            Kind::Map => Rows::Map(TMap::with_entries_in(space, entries)),
            Kind::OrdMap => Rows::OrdMap(TOrdMap::with_entries_in(space, entries)),
        }
    }

    /// What is committed.
    pub(crate) fn contents(&self, snapshot: &Snapshot) -> Contents {
        match self {
            Rows::Variables(vars) => {
                let rows = ROWS.into_iter().zip(vars).map(|(row, var)| (row, *snapshot.read(var)));
                rows.filter(|(_, value)| *value != NO_ROW).collect()
            }
            Rows::Map(map) => map.iter(snapshot).map(entry).collect(),
            Rows::OrdMap(map) => map.iter(snapshot).map(entry).collect(),
        }
    }
}

/// The table inside a transaction.
pub(crate) struct Inside<'a, 't>(pub(crate) &'a Rows, pub(crate) &'a Tx<'t>);

impl Table for Inside<'_, '_> {
    fn get(&mut self, row: Row) -> Option<i64> {
        match self.0 {
            Rows::Variables(vars) => Some(*self.1.read(&vars[index(row)])).filter(|value| *value != NO_ROW),
            Rows::Map(map) => map.get(self.1, &row.0).copied(),
            Rows::OrdMap(map) => map.get(self.1, &row.0).copied(),
        }
    }

    fn put(&mut self, row: Row, value: i64) {
        match self.0 {
            Rows::Variables(vars) => self.1.write(&vars[index(row)], value),
            Rows::Map(map) => map.upsert(self.1, row.0, value),
            Rows::OrdMap(map) => map.upsert(self.1, row.0, value),
        }
    }

    fn add(&mut self, row: Row, plus: i64) {
        match self.0 {
            Rows::Variables(vars) => {
                self.1.modify(&vars[index(row)], |value| if *value == NO_ROW { NO_ROW } else { value + plus });
            }
            Rows::Map(map) => _ = map.modify(self.1, &row.0, |value| value + plus),
            Rows::OrdMap(map) => _ = map.modify(self.1, &row.0, |value| value + plus),
        }
    }

    fn insert(&mut self, row: Row, value: i64) -> bool {
        match self.0 {
            Rows::Variables(_) => {
                let new = self.get(row).is_none();
                if new {
                    self.put(row, value);
                }
                new
            }
            Rows::Map(map) => map.insert_new(self.1, row.0, value),
            Rows::OrdMap(map) => map.insert_new(self.1, row.0, value),
        }
    }

    fn remove(&mut self, row: Row) {
        match self.0 {
            Rows::Variables(_) => self.put(row, NO_ROW),
            Rows::Map(map) => _ = map.remove(self.1, &row.0),
            Rows::OrdMap(map) => _ = map.remove(self.1, &row.0),
        }
    }

    fn all(&mut self) -> Seen {
        match self.0 {
            Rows::Variables(_) => self.between(X, B),
            Rows::Map(map) => {
                let mut rows: Seen = map.iter(self.1).map(entry).collect();
                rows.sort_unstable();
                rows
            }
            Rows::OrdMap(map) => map.range(self.1, ..).map(entry).collect(),
        }
    }

    fn between(&mut self, low: Row, high: Row) -> Seen {
        match self.0 {
            Rows::Variables(_) => {
                let rows = ROWS.into_iter().filter(|row| (low..=high).contains(row));
                rows.filter_map(|row| Some((row, self.get(row)?))).collect()
            }
            Rows::Map(_) => self.all().into_iter().filter(|(row, _)| (low..=high).contains(row)).collect(),
            Rows::OrdMap(map) => map.range(self.1, low.0..=high.0).map(entry).collect(),
        }
    }

    fn count(&mut self) -> usize {
        match self.0 {
            Rows::Variables(_) => self.all().len(),
            Rows::Map(map) => map.len(self.1),
            Rows::OrdMap(map) => map.len(self.1),
        }
    }

    fn ensure(&mut self, row: Row) {
        match self.0 {
            Rows::Variables(vars) => self.1.ensure(&vars[index(row)]),
            Rows::Map(_) | Rows::OrdMap(_) => unreachable!("`ensure` is for variables"),
        }
    }

    fn lock(&mut self, row: Row) -> Stm<()> {
        match self.0 {
            Rows::Variables(vars) => self.1.lock(&vars[index(row)], LockMode::Shared),
            Rows::Map(map) => map.lock_key(self.1, &row.0, LockMode::Shared),
            Rows::OrdMap(map) => map.lock_key(self.1, &row.0, LockMode::Shared),
        }
    }
}
