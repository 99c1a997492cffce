//! Transfers from CSV text: finds out separator, header and columns, and says what is wrong with a
//! bad line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use csv::{ByteRecord, ReaderBuilder, Terminator};

use crate::amount::{Amount, AmountError};
use crate::args::Header;
use crate::records::Records;

/// The separators that are found out without `--separator`, the likeliest first.
const SEPARATORS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How much of the input, and how many records of that, the separator is judged by.
const HEAD_BYTES: u64 = 64 * 1024;
const HEAD_RECORDS: usize = 50;

/// A line that asks for something that can be booked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transfer<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) amount: Amount,
}

/// A line as it was read: its number, and its transfer or what is wrong with it.
pub(crate) type Line<'a> = (u64, Result<Transfer<'a>, String>);

/// How much there is to read.
pub(crate) enum Size {
    Bytes(u64),
    Lines(u64),
    Unknown,
}

pub(crate) type Source = (Box<dyn Read>, Size);

pub(crate) fn stdin() -> io::Result<Source> {
    Ok((Box::new(io::stdin()), Size::Unknown))
}

pub(crate) fn open(path: &Path) -> io::Result<Source> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let size = if meta.is_file() { Size::Bytes(meta.len()) } else { Size::Unknown };
    Ok((Box::new(file), size))
}

/// Reads transfers one at a time; what it holds in memory does not grow with the input.
pub(crate) struct Transfers {
    csv: csv::Reader<Records<Box<dyn BufRead>>>,
    separator: u8,
    header: Header,
    header_seen: Option<String>,
    columns: Columns,
    record: ByteRecord,
    /// `record` is read and not yet returned; it began on this line.
    pending: Option<u64>,
}

/// Where the three columns stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    from: usize,
    to: usize,
    amount: usize,
}

const IN_ORDER: Columns = Columns { from: 0, to: 1, amount: 2 };

impl Transfers {
    pub(crate) fn new(mut input: impl Read + 'static, separator: Option<u8>, header: Header) -> io::Result<Self> {
        let mut head = Vec::new();
        (&mut input).take(HEAD_BYTES).read_to_end(&mut head)?;
        if head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]) {
            let message = "the text is UTF-16; please convert it to UTF-8";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if head.starts_with("\u{FEFF}".as_bytes()) {
            head.drain(..3);
        }
        let separator = match separator {
            Some(separator) => separator,
            None => find_separator(&head)?,
        };
        let whole: Box<dyn BufRead> = Box::new(BufReader::new(Cursor::new(head).chain(input)));
        Ok(Self {
            csv: parser(whole, separator),
            separator,
            header,
            header_seen: None,
            columns: IN_ORDER,
            record: ByteRecord::new(),
            pending: None,
        })
    }

    /// What was found out about the input, for the report.
    pub(crate) fn describe(&self) -> String {
        let separator = match self.separator {
            b'\t' => "tab".to_owned(),
            other => format!("`{}`", char::from(other)),
        };
        match &self.header_seen {
            Some(header) => format!("separator {separator}, header {header}"),
            None => format!("separator {separator}, no header"),
        }
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.csv.get_ref().bytes_read()
    }

    /// The next line that is not blank, and not the header.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            if self.pending.is_none() && self.csv.read_byte_record(&mut self.record)? {
                self.pending = self.csv.get_mut().next_start();
            }
            // Left-out records come out between the others, in the order of the file.
            let before = self.pending.unwrap_or(u64::MAX);
            if let Some(skipped) = self.csv.get_mut().next_skipped_before(before) {
                return Ok(Some((skipped.line, Err(skipped.reason.to_owned()))));
            }
            let Some(line) = self.pending.take() else {
                return Ok(None);
            };
            if self.is_header() {
                continue;
            }
            return Ok(Some((line, transfer(&self.record, self.columns))));
        }
    }

    /// Decides about the first record and takes the columns from it; later ones are no headers.
    fn is_header(&mut self) -> bool {
        let named = named_columns(&self.record);
        let is_header = match std::mem::replace(&mut self.header, Header::No) {
            Header::Yes => true,
            Header::No => false,
            Header::Auto => {
                let wordy = |f: &[u8]| !f.is_empty() && !f.iter().any(u8::is_ascii_digit);
                named.is_some() || self.record.get(IN_ORDER.amount).is_some_and(wordy)
            }
        };
        if is_header {
            self.columns = named.unwrap_or(IN_ORDER);
            let fields: Vec<_> = self.record.iter().map(String::from_utf8_lossy).collect();
            // Escaped, because it is shown on a terminal.
            self.header_seen = Some(format!("{:.80}", format!("{:?}", fields.join(" "))));
        }
        is_header
    }
}

fn parser<R: BufRead>(input: R, separator: u8) -> csv::Reader<Records<R>> {
    ReaderBuilder::new()
        .delimiter(separator)
        .terminator(Terminator::Any(b'\n'))
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(Records::new(input, separator))
}

/// The separator under which the beginning of the input looks most like transfers: named columns
/// say most, then amounts in the third column, amounts further right, and three columns at all.
fn find_separator(mut head: &[u8]) -> io::Result<u8> {
    if head.len() as u64 == HEAD_BYTES {
        // The last line is cut off somewhere; an amount of it may look whole.
        let end = head.iter().rposition(|&b| b == b'\n').map_or(head.len(), |at| at + 1);
        head = &head[..end];
    }
    let mut best = (0, SEPARATORS[0]);
    for separator in SEPARATORS {
        let mut score = 0;
        for (i, record) in parser(head, separator).byte_records().take(HEAD_RECORDS).enumerate() {
            let record = record?;
            score += match record.iter().skip(2).position(looks_like_amount) {
                _ if i == 0 && named_columns(&record).is_some() => 10_000,
                Some(0) => 100,
                Some(_) => 10,
                None => i32::from(record.len() > 2),
            };
        }
        if score > best.0 {
            best = (score, separator);
        }
    }
    Ok(best.1)
}

fn looks_like_amount(field: &[u8]) -> bool {
    use AmountError::{Missing, NotANumber};
    let parsed = std::str::from_utf8(field).map(str::parse::<Amount>);
    matches!(parsed, Ok(result) if !matches!(result, Err(Missing | NotANumber)))
}

fn named_columns(record: &ByteRecord) -> Option<Columns> {
    let find = |name: &str| record.iter().position(|f| f.eq_ignore_ascii_case(name.as_bytes()));
    Some(Columns { from: find("from")?, to: find("to")?, amount: find("amount")? })
}

fn transfer(record: &ByteRecord, columns: Columns) -> Result<Transfer<'_>, String> {
    let needed = columns.from.max(columns.to).max(columns.amount) + 1;
    if record.len() < needed {
        let (is, s) = (record.len(), if record.len() == 1 { "" } else { "s" });
        return Err(format!("{is} column{s} where at least {needed} are needed"));
    }
    let from = name(&record[columns.from], "paying")?;
    let to = name(&record[columns.to], "receiving")?;
    let amount = std::str::from_utf8(&record[columns.amount]).unwrap_or("?");
    let amount: Amount = amount.parse().map_err(|e: AmountError| e.to_string())?;
    if amount.cents() == 0 {
        return Err("the amount is zero".to_owned());
    }
    if from == to {
        return Err("an account cannot pay itself".to_owned());
    }
    Ok(Transfer { from, to, amount })
}

fn name<'a>(field: &'a [u8], role: &str) -> Result<&'a str, String> {
    let problem = match std::str::from_utf8(field) {
        Err(_) => "is not UTF-8",
        Ok("") => "is missing",
        // Names are shown on a terminal, which must not obey them.
        Ok(text) if text.chars().any(char::is_control) => "holds a control character",
        Ok(text) => return Ok(text),
    };
    Err(format!("the name of the {role} account {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &[u8], separator: Option<u8>, header: Header) -> (Vec<String>, String) {
        let input = Cursor::new(text.to_vec());
        let mut transfers = Transfers::new(input, separator, header).unwrap();
        let mut lines = Vec::new();
        while let Some((line, result)) = transfers.next_line().unwrap() {
            lines.push(match result {
                Ok(t) => format!("{line}: {} > {} {}", t.from, t.to, t.amount.cents()),
                Err(reason) => format!("{line}! {reason}"),
            });
        }
        (lines, transfers.describe())
    }

    fn read(text: &str) -> Vec<String> {
        with(text.as_bytes(), None, Header::Auto).0
    }

    #[test]
    fn finds_the_separator() {
        let expected = ["1: a > b 1050"];
        for text in ["a,b,10.50", "a;b;10,50", "a\tb\t10.50", "a|b|10.50", "a , b , 10.5"] {
            assert_eq!(read(text), expected, "{text:?}");
        }
        assert_eq!(read("a;b;10,50;rent,may,12\n"), expected, "commas elsewhere do not mislead");
        assert_eq!(read("date|from|to|amount\nx|a|b|10.5"), ["2: a > b 1050"]);
        let (lines, seen) = with(b"a:b:10.50", Some(b':'), Header::Auto);
        assert_eq!((lines[0].as_str(), seen.as_str()), (expected[0], "separator `:`, no header"));
    }

    #[test]
    fn finds_the_header_and_its_columns() {
        assert_eq!(read("from,to,amount\na,b,1"), ["2: a > b 100"]);
        assert_eq!(read("payer,payee,sum\na,b,1"), ["2: a > b 100"]);
        assert_eq!(read("Amount;When;To;From\n3;1 May;b;a"), ["2: a > b 300"]);
        assert_eq!(read("from,to,7\na,b,1"), ["1: from > to 700", "2: a > b 100"]);
        let forced = with(b"x,y,1\na,b,1", None, Header::Yes);
        assert_eq!(forced.0, ["2: a > b 100"]);
        let denied = with(b"from,to,amount", None, Header::No).0;
        assert_eq!(denied, ["1! the amount is not a number like 12 or 12.50"]);
    }

    #[test]
    fn a_bad_line_has_a_number_and_a_reason_and_costs_only_itself() {
        let text = b"a,b,1\n\na,b\n,b,1\na,,1\na,b,-1\na,b,0\na,a,1\n\xff,b,1\na\x1b[2J,b,1\na,b,\n\
                     \"a,b,1\na,b,99999999999999999999\na,b,2,memo,more\n";
        assert_eq!(
            with(text, None, Header::Auto).0,
            [
                "1: a > b 100",
                "3! 2 columns where at least 3 are needed",
                "4! the name of the paying account is missing",
                "5! the name of the receiving account is missing",
                "6! the amount is negative",
                "7! the amount is zero",
                "8! an account cannot pay itself",
                "9! the name of the paying account is not UTF-8",
                "10! the name of the paying account holds a control character",
                "11! the amount is missing",
                "12! a quote is not closed",
                "13! the amount is too large",
                "14: a > b 200",
            ]
        );
    }

    #[test]
    fn quoted_fields_may_hold_anything() {
        let text = "\"Smith, J.\",\"O\"\"Hara\",\"1,50\",\"two\nlines\"\na,b,1\n";
        assert_eq!(read(text), ["1: Smith, J. > O\"Hara 150", "3: a > b 100"]);
    }

    #[test]
    fn other_files() {
        assert_eq!(read("\u{FEFF}a,b,1\r\nc,d,2\r\n"), ["1: a > b 100", "2: c > d 200"]);
        assert_eq!(read(""), [""; 0]);
        let utf16 = Transfers::new(Cursor::new(vec![0xFF, 0xFE, 0, 0]), None, Header::Auto);
        assert!(utf16.err().unwrap().to_string().contains("UTF-16"));
    }

    #[test]
    fn a_long_input_keeps_its_line_numbers() {
        let text = "a,b,1,some words to fill the line\r\n".repeat(20_000);
        let lines = read(&text);
        assert_eq!(lines.len(), 20_000);
        assert_eq!(lines.last().unwrap(), "20000: a > b 100");
    }
}
