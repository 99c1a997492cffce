//! Histories as text: one map in EDN for each operation, as Jepsen writes and `elle-cli` reads them.

use super::{Kind, Micro, Op, show};
use std::fmt::Write;

pub(super) fn write(ops: &[Op]) -> String {
    let mut out = String::new();
    for Op { index, time, kind, process, value } in ops {
        let kind = match kind {
            Kind::Invoke => "invoke",
            Kind::Ok => "ok",
            Kind::Fail => "fail",
        };
        let value = show(value);
        writeln!(out, "{{:index {index}, :time {time}, :type :{kind}, :process {process}, :f :txn, :value {value}}}")
            .expect("a string takes everything");
    }
    out
}

/// As much of EDN as there is in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Edn {
    Nil,
    Int(u64),
    Keyword(String),
    Vector(Vec<Edn>),
    /// Keys and values by turns.
    Map(Vec<Edn>),
}

pub(super) fn parse(text: &str) -> Result<Vec<Op>, String> {
    let mut rest = skip(text);
    let mut ops = Vec::new();
    while !rest.is_empty() {
        let (form, after) = form(rest)?;
        ops.push(op(&form)?);
        rest = after;
    }
    Ok(ops)
}

/// Commas are space.
fn skip(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_whitespace() || c == ',')
}

/// The first form, and what comes after it.
fn form(text: &str) -> Result<(Edn, &str), String> {
    match text.chars().next() {
        Some('[') => forms(&text[1..], ']').map(|(all, rest)| (Edn::Vector(all), rest)),
        Some('{') => forms(&text[1..], '}').map(|(all, rest)| (Edn::Map(all), rest)),
        _ => {
            let end = text.find(|c: char| c.is_whitespace() || ",[]{}".contains(c)).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            let edn = match word.strip_prefix(':') {
                Some(name) => Edn::Keyword(name.to_owned()),
                None if word == "nil" => Edn::Nil,
                None => Edn::Int(word.parse().map_err(|_| format!("not a form: {text:.40}"))?),
            };
            Ok((edn, skip(rest)))
        }
    }
}

fn forms(text: &str, end: char) -> Result<(Vec<Edn>, &str), String> {
    let mut rest = skip(text);
    let mut all = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(end) {
            return Ok((all, skip(after)));
        }
        if rest.is_empty() {
            return Err(format!("no {end}"));
        }
        let (next, after) = form(rest)?;
        all.push(next);
        rest = after;
    }
}

fn op(form: &Edn) -> Result<Op, String> {
    let Edn::Map(fields) = form else { return Err(format!("not a map: {form:?}")) };
    let field = |name: &str| {
        let is_named = |pair: &&[Edn]| pair[0] == Edn::Keyword(name.into());
        fields.chunks_exact(2).find(is_named).map(|pair| &pair[1]).ok_or(format!("no :{name}"))
    };
    let number = |name: &str| match field(name)? {
        Edn::Int(n) => Ok(*n),
        other => Err(format!(":{name} is {other:?}")),
    };
    let kind = match field("type")? {
        Edn::Keyword(kind) if kind == "invoke" => Kind::Invoke,
        Edn::Keyword(kind) if kind == "ok" => Kind::Ok,
        Edn::Keyword(kind) if kind == "fail" => Kind::Fail,
        other => return Err(format!(":type is {other:?}")),
    };
    let Edn::Vector(value) = field("value")? else { return Err(":value is no vector".into()) };
    let value = value.iter().map(micro).collect::<Result<_, _>>()?;
    Ok(Op { index: number("index")?, time: number("time")?, kind, process: number("process")?, value })
}

fn micro(form: &Edn) -> Result<Micro, String> {
    let wrong = || Err(format!("no micro-operation: {form:?}"));
    let Edn::Vector(parts) = form else { return wrong() };
    match &parts[..] {
        [Edn::Keyword(f), Edn::Int(key), Edn::Int(value)] if f == "append" => Ok(Micro::Append(*key, *value)),
        [Edn::Keyword(f), Edn::Int(key), Edn::Nil] if f == "r" => Ok(Micro::Read(*key, None)),
        [Edn::Keyword(f), Edn::Int(key), Edn::Vector(list)] if f == "r" => {
            let list = list.iter().map(|item| if let Edn::Int(n) = item { Some(*n) } else { None });
            list.collect::<Option<_>>().map_or_else(wrong, |list| Ok(Micro::Read(*key, Some(list))))
        }
        _ => wrong(),
    }
}
