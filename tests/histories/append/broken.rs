//! The checker finds what is wrong with histories that were made by hand.

use super::cycles::check;
use super::edn::parse;
use super::{Kind, Op, edn};

/// Transactions that run one after the other, or (`"|"` between them) at the same time; a `!` before one: it failed.
fn history(text: &str) -> Vec<Op> {
    let mut ops: Vec<Op> = Vec::new();
    let mut open: Vec<Op> = Vec::new();
    for (process, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (line, joins) = line.strip_prefix('|').map_or((line, false), |line| (line, true));
        let (value, kind) = line.trim().strip_prefix('!').map_or((line, "ok"), |value| (value, "fail"));
        let map = format!("{{:index 0 :time 0 :type :{kind} :process {process} :f :txn :value {value}}}");
        let op = parse(&map).unwrap().remove(0);
        if !joins {
            ops.append(&mut open);
        }
        ops.push(Op { kind: Kind::Invoke, ..op.clone() });
        open.push(op);
    }
    ops.append(&mut open);
    for (at, op) in ops.iter_mut().enumerate() {
        op.index = at as u64;
    }
    ops
}

#[track_caller]
fn finds(anomaly: &str, text: &str) {
    let found = check(&history(text)).expect_err("it is not found");
    assert!(found.contains(anomaly), "{found}");
}

#[track_caller]
fn finds_nothing(text: &str) {
    assert_eq!(check(&history(text)), Ok(()));
}

#[test]
fn dirty_writes() {
    let both = "[[:append 1 1] [:append 2 1]]\n| [[:append 1 2] [:append 2 2]]\n";
    finds_nothing(&format!("{both} [[:r 1 [1 2]] [:r 2 [1 2]]]"));
    finds("WriteWrite", &format!("{both} [[:r 1 [1 2]] [:r 2 [2 1]]]"));
}

#[test]
fn aborted_and_intermediate_reads() {
    finds_nothing("! [[:append 1 1]] \n [[:r 1 []]]");
    finds("G1a", "! [[:append 1 1]] \n [[:r 1 [1]]]");
    finds_nothing("[[:append 1 1] [:append 1 2]] \n | [[:r 1 [1 2]]]");
    finds("G1b", "[[:append 1 1] [:append 1 2]] \n | [[:r 1 [1]]] \n [[:r 1 [1 2]]]");
    finds("nobody has appended", "[[:r 1 [1]]]");
}

#[test]
fn circular_information_flow() {
    finds_nothing("[[:append 1 1] [:r 2 []]] \n | [[:append 2 1] [:r 1 [1]]]");
    finds("WriteRead", "[[:append 1 1] [:r 2 [1]]] \n | [[:append 2 1] [:r 1 [1]]]");
}

#[test]
fn lost_updates_and_skew() {
    finds_nothing("[[:r 1 []] [:append 1 1]] \n | [[:r 1 [1]] [:append 1 2]] \n [[:r 1 [1 2]]]");
    finds("ReadWrite", "[[:r 1 []] [:append 1 1]] \n | [[:r 1 []] [:append 1 2]] \n [[:r 1 [1 2]]]");
    finds(
        "a cycle",
        "[[:r 1 []] [:r 2 []] [:append 1 1]] \n | [[:r 1 []] [:r 2 []] [:append 2 1]] \n [[:r 1 [1]] [:r 2 [1]]]",
    );
    let read_skew = "[[:append 1 1] [:append 2 1]] \n | [[:r 1 []] [:r 2 [1]]] \n [[:r 1 [1]]]";
    finds("a cycle", read_skew);
}

#[test]
fn long_forks() {
    let writes = "[[:append 1 1]] \n | [[:append 2 1]] \n | [[:r 1 [1]] [:r 2 []]] \n |";
    let last = "\n [[:r 1 [1]] [:r 2 [1]]]";
    finds_nothing(&format!("{writes} [[:r 1 [1]] [:r 2 [1]]] {last}"));
    finds("a cycle", &format!("{writes} [[:r 1 []] [:r 2 [1]]] {last}"));
}

#[test]
fn real_time() {
    finds_nothing("[[:append 1 1]] \n | [[:r 1 []]] \n [[:r 1 [1]]]");
    finds("RealTime", "[[:append 1 1]] \n [[:r 1 []]] \n [[:r 1 [1]]]");
    // What nobody ever sees is lost.
    finds("RealTime", "[[:append 1 1]] \n [[:r 1 []]]");
}

#[test]
fn orders_and_own_appends() {
    let both = "[[:append 1 1]] \n | [[:append 1 2]] \n |";
    finds("incompatible orders", &format!("{both} [[:r 1 [1 2]]] \n [[:r 1 [2 1]]]"));
    finds("twice", "[[:append 1 1]] \n | [[:r 1 [1 1]]]");
    finds("twice", "[[:append 1 1]] \n | [[:append 1 1]]");
    finds_nothing("[[:append 1 1] [:r 1 [1]] [:append 1 2] [:r 1 [1 2]]]");
    finds("internal", "[[:append 1 1] [:r 1 []]]");
    finds("internal", &format!("{both} [[:r 1 []] [:r 1 [1]]] \n [[:r 1 [1 2]]]"));
}

#[test]
fn the_form() {
    let ops = history("[[:append 3 1] [:r 4 [7 8]]] \n ! [[:r 4 nil]]");
    let text = edn::write(&ops);
    let first = "{:index 0, :time 0, :type :invoke, :process 0, :f :txn, :value [[:append 3 1] [:r 4 [7 8]]]}";
    assert_eq!(text.lines().next(), Some(first));
    assert_eq!(parse(&text), Ok(ops));
    for wrong in ["{", "[", "{:index 0}", "{:index 0 :time 0 :type :ok :process 0 :value [[:w 1 1]]}", "nonsense", "}"]
    {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
