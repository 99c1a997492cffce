//! Cuts a byte stream into records before the CSV parser sees it.
//!
//! A CSV parser trusts quotes: one that is never closed makes the rest of the file a single
//! field. Here such a line costs itself only, as does a line of absurd length; every record keeps
//! the number of the line it began on; and memory stays bounded whatever the file holds.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// Longest record in bytes, and most lines that one record with quoted line ends may span.
const MAX_BYTES: usize = 64 * 1024;
const MAX_LINES: usize = 64;

/// A record that was left out, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub(crate) line: u64,
    pub(crate) reason: &'static str,
}

enum Line {
    Text(Vec<u8>),
    TooLong,
}

/// Reads as the same stream with only whole records in it, each ended by one `\n`.
pub(crate) struct Records<R> {
    input: R,
    separator: u8,
    /// Read so far; `ahead` are the lines among them that the search for a closing quote has read.
    lines_read: u64,
    bytes_read: u64,
    ahead: VecDeque<(u64, Line)>,
    /// The record that is being handed out, and how much of it already was.
    current: Vec<u8>,
    given: usize,
    /// Line numbers of records handed out and not yet asked for.
    starts: VecDeque<u64>,
    skipped: VecDeque<Skipped>,
}

impl<R: BufRead> Records<R> {
    pub(crate) fn new(input: R, separator: u8) -> Self {
        Self {
            input,
            separator,
            lines_read: 0,
            bytes_read: 0,
            ahead: VecDeque::new(),
            current: Vec::new(),
            given: 0,
            starts: VecDeque::new(),
            skipped: VecDeque::new(),
        }
    }

    /// The line on which the next record that the parser returns begins.
    pub(crate) fn next_start(&mut self) -> Option<u64> {
        self.starts.pop_front()
    }

    /// The next record that was left out, when it stands before line `line`.
    pub(crate) fn next_skipped_before(&mut self, line: u64) -> Option<Skipped> {
        if self.skipped.front()?.line < line { self.skipped.pop_front() } else { None }
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    fn take_line(&mut self) -> io::Result<Option<(u64, Line)>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.read_line(),
        }
    }

    fn read_line(&mut self) -> io::Result<Option<(u64, Line)>> {
        let mut text = Vec::new();
        let limit = MAX_BYTES as u64 + 1;
        let length = (&mut self.input).take(limit).read_until(b'\n', &mut text)?;
        if length == 0 {
            return Ok(None);
        }
        self.lines_read += 1;
        self.bytes_read += length as u64;
        if text.last() == Some(&b'\n') {
            text.pop();
            if text.last() == Some(&b'\r') {
                text.pop();
            }
        } else if text.len() > MAX_BYTES {
            self.bytes_read += self.input.skip_until(b'\n')? as u64;
            return Ok(Some((self.lines_read, Line::TooLong)));
        }
        Ok(Some((self.lines_read, Line::Text(text))))
    }

    /// Puts the next good record into `current`; false at the end of the input.
    fn next_record(&mut self) -> io::Result<bool> {
        self.current.clear();
        self.given = 0;
        while let Some((start, line)) = self.take_line()? {
            let Line::Text(text) = line else {
                self.skip(start, "the line is longer than 64 KiB");
                continue;
            };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if self.complete(text)? {
                self.current.push(b'\n');
                self.starts.push_back(start);
                return Ok(true);
            }
            self.skip(start, "a quote is not closed");
        }
        Ok(false)
    }

    fn skip(&mut self, line: u64, reason: &'static str) {
        self.skipped.push_back(Skipped { line, reason });
    }

    /// Makes `current` the record that begins with `text`, joining the lines that an open quote
    /// spans. False when it is not closed within the limits; those lines are then read again.
    fn complete(&mut self, text: Vec<u8>) -> io::Result<bool> {
        let mut quotes = quotes_after(&text, self.separator, false);
        self.current = text;
        let mut joined = 0;
        while quotes == Quotes::Open {
            if joined == self.ahead.len() {
                match self.read_line()? {
                    Some(line) => self.ahead.push_back(line),
                    None => break,
                }
            }
            let Some((_, Line::Text(more))) = self.ahead.get(joined) else {
                break;
            };
            if joined + 1 == MAX_LINES || self.current.len() + more.len() > MAX_BYTES {
                break;
            }
            quotes = quotes_after(more, self.separator, true);
            self.current.push(b'\n');
            self.current.extend_from_slice(more);
            joined += 1;
        }
        if quotes != Quotes::Closed {
            return Ok(false);
        }
        self.ahead.drain(..joined);
        Ok(true)
    }
}

impl<R: BufRead> Read for Records<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.given == self.current.len() && !self.next_record()? {
            return Ok(0);
        }
        let rest = &self.current[self.given..];
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        self.given += n;
        Ok(n)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quotes {
    Closed,
    Open,
    /// The quote that an earlier line opened is closed here in the middle of a field: it was never
    /// meant to reach this far.
    Stray,
}

/// How a line leaves the quotes, by the parser's own rules: only a quote at the beginning of a
/// field opens one, and a doubled quote stands for itself.
fn quotes_after(line: &[u8], separator: u8, open_before: bool) -> Quotes {
    let mut open = open_before;
    let mut from_before = open_before;
    let mut at_field_start = !open;
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if !open {
            open = byte == b'"' && at_field_start;
            at_field_start = byte == separator;
        } else if byte == b'"' && bytes.next_if_eq(&b'"').is_none() {
            open = false;
            if from_before && bytes.peek().is_some_and(|&next| next != separator) {
                return Quotes::Stray;
            }
            from_before = false;
        }
    }
    if open { Quotes::Open } else { Quotes::Closed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (String, Vec<u64>, Vec<Skipped>) {
        let mut records = Records::new(text.as_bytes(), b',');
        let mut out = String::new();
        records.read_to_string(&mut out).unwrap();
        (out, records.starts.into(), records.skipped.into())
    }

    #[test]
    fn blank_lines_and_line_ends_do_not_disturb_the_numbers() {
        let (out, starts, skipped) = all("a\r\n\r\n  \nb\n\nc");
        assert_eq!((out.as_str(), starts, skipped.len()), ("a\nb\nc\n", vec![1, 4, 6], 0));
    }

    #[test]
    fn a_quoted_line_end_belongs_to_its_record() {
        let (out, starts, _) = all("a,\"x\n\"\"y\"\nb\n");
        assert_eq!((out.as_str(), starts), ("a,\"x\n\"\"y\"\nb\n", vec![1, 3]));
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_one_line() {
        let reason = "a quote is not closed";
        let (out, starts, skipped) = all("a\n\"b,c,1\nd,e,2\nf,\"g\nh\",3\n");
        assert_eq!(skipped, [Skipped { line: 2, reason }]);
        assert_eq!((out.as_str(), starts), ("a\nd,e,2\nf,\"g\nh\",3\n", vec![1, 3, 4]));

        let far = "x,y,1\n".repeat(2 * MAX_LINES);
        let (out, starts, skipped) = all(&format!("\"b,c,1\n{far}z,\"q\n"));
        let last = 2 + 2 * MAX_LINES as u64;
        assert_eq!(skipped, [Skipped { line: 1, reason }, Skipped { line: last, reason }]);
        assert_eq!((out, starts.len()), (far, 2 * MAX_LINES));
    }

    #[test]
    fn a_quote_inside_a_field_is_a_character() {
        let (out, starts, skipped) = all("5\" pipe,b,1\nc,d,2\n");
        assert_eq!((out.lines().count(), starts.len(), skipped.len()), (2, 2, 0));
    }

    #[test]
    fn a_line_of_absurd_length_is_left_out() {
        let long = "x".repeat(3 * MAX_BYTES);
        let (out, starts, skipped) = all(&format!("a\n{long}\nb\n"));
        assert_eq!((out.as_str(), starts), ("a\nb\n", vec![1, 3]));
        assert_eq!(skipped.len(), 1);
        assert_eq!(skipped[0].line, 2);
        let exactly = "x".repeat(MAX_BYTES);
        assert_eq!(all(&exactly).0.len(), MAX_BYTES + 1);
    }
}
