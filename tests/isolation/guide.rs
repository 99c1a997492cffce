//! The table in the guide, made from the cases.

use std::{env, fs};

use crate::cases;
use crate::history::How;
use crate::setting::MODES;

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guide/isolation.md");
const BEGIN: &str =
    "<!-- What the tests have shown; `TVAR_WRITE_GUIDE=1 cargo test --test isolation the_table` writes it. -->\n";
const END: &str = "<!-- The end of what the tests have shown. -->\n";

fn table() -> String {
    let mut table = String::from(
        "| | would go wrong | `Serializable` | ... `.pessimistic()` | `Snapshot` | ... `.pessimistic()` |\n|---|---|---|---|---|---|\n",
    );
    for case in cases().filter(|case| !case.says.is_empty()) {
        let cells = MODES.map(|mode| match case.how(mode) {
            How::Snapshot => "no",
            How::Again => "no: runs again",
            How::Waits => "no: waits",
            How::Deadlock => "no: gives way",
            How::Possible => "**yes**",
        });
        table += &format!("| {} | {} | {} |\n", case.name, case.says, cells.join(" | "));
    }
    table
}

/// What the guide says of the isolation levels is what the cases show.
#[test]
fn the_table_in_the_guide_is_what_the_cases_show() {
    let guide = fs::read_to_string(GUIDE).expect("the guide is there");
    let (before, rest) = guide.split_once(BEGIN).expect("the guide has a place for the table");
    let (there, after) = rest.split_once(END).expect("that place has an end");
    let table = table();
    if there == table {
        return;
    }
    if env::var_os("TVAR_WRITE_GUIDE").is_some() {
        fs::write(GUIDE, [before, BEGIN, &table, END, after].concat()).expect("the guide can be written");
        return;
    }
    let only = |sign, of: &str, other: &str| {
        let lines = of.lines().filter(|line| !other.lines().any(|same| same == *line));
        lines.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    let difference = only('-', there, &table) + &only('+', &table, there);
    panic!(
        "docs/guide/isolation.md says something else (-) than the cases show (+):\n{difference}\
         If that is as it should be, `TVAR_WRITE_GUIDE=1 cargo test --test isolation the_table` writes the table anew."
    );
}
