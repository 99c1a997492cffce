//! Tables of figures beside the comparison: numbers in rows and columns, with the marks that rest on them.

use crate::figures::figure;
use crate::report::Mark;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::{Deserialize, Serialize};

/// Long headings are broken to keep tables this narrow.
const WIDTH: u16 = 120;

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// What it shows.
    pub title: String,
    /// What one has to know to read it.
    pub note: String,
    /// What the columns are, with their units.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<SectionRow>,
    /// What was aimed at.
    #[serde(default)]
    pub marks: Vec<Mark>,
}

/// A row of a [`Section`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SectionRow {
    /// What it is about.
    pub label: String,
    /// A number for each column, where there is one.
    pub values: Vec<Option<f64>>,
}

impl Section {
    /// A table without rows.
    pub fn new(title: impl Into<String>, note: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.into(), note: note.into(), columns, ..Self::default() }
    }

    /// Adds a row.
    pub fn row(&mut self, label: impl Into<String>, values: impl IntoIterator<Item = Option<f64>>) {
        self.rows.push(SectionRow { label: label.into(), values: values.into_iter().collect() });
    }

    /// As text.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH);
        let mut header = vec![String::new()];
        header.extend(self.columns.iter().cloned());
        table.set_header(header);
        for row in &self.rows {
            let mut cells = vec![row.label.clone()];
            cells.extend(row.values.iter().map(|value| value.map_or("-".into(), figure)));
            table.add_row(cells);
        }
        for column in 1..=self.columns.len() {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        format!("{}\n{table}\n{}\n", self.title, self.note)
    }
}
