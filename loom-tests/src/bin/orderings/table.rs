//! Reads `loom-tests/ORDERINGS.md`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// What the table says about a weakening.
#[derive(Debug, PartialEq)]
pub(crate) enum Expected {
    /// The file of `loom-tests/tests` whose models notice it.
    Model(String),
    /// Why no model can.
    Reason(String),
}

/// The rows of the table, by what stands before the last column.
pub(crate) fn read(root: &Path) -> HashMap<String, Expected> {
    let text = fs::read_to_string(root.join("loom-tests/ORDERINGS.md")).expect("the table is readable");
    text.lines().filter(|line| line.starts_with("| ") && line.contains(" → ")).filter_map(row).collect()
}

fn row(line: &str) -> Option<(String, Expected)> {
    let (key, last) = line.strip_suffix('|')?.rsplit_once('|')?;
    let last = last.trim();
    let expected =
        last.strip_prefix("- ").map_or_else(|| Expected::Model(last.into()), |reason| Expected::Reason(reason.into()));
    Some((format!("{key}|"), expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{root, sites};

    #[test]
    fn every_ordering_has_its_row_and_every_row_its_ordering() {
        let mut table = read(&root());
        let missing: Vec<_> = sites::weakenings(&sites::sources(&root()))
            .iter()
            .map(|w| w.row())
            .filter(|row| table.remove(row).is_none())
            .collect();
        assert!(missing.is_empty(), "without a row in loom-tests/ORDERINGS.md:\n{}", missing.join("\n"));
        assert!(table.is_empty(), "rows of loom-tests/ORDERINGS.md that stand for nothing: {:#?}", table.keys());
    }

    #[test]
    fn every_model_that_is_named_exists() {
        for (row, expected) in read(&root()) {
            match expected {
                Expected::Model(name) => {
                    assert!(root().join(format!("loom-tests/tests/{name}.rs")).exists(), "{row} {name}")
                }
                Expected::Reason(reason) => assert!(reason.len() > 10, "{row} a reason, please"),
            }
        }
    }
}
