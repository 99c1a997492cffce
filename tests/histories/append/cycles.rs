//! A small checker of list-append histories for strict serialisability, after Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from
//! Experimental Observations": the lists that were read tell the order of the appends; with that, who depends on whom; a cycle is an anomaly.

use super::{Kind, Micro, Op, show};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// A transaction that has committed.
struct Txn<'o> {
    invoked: u64,
    returned: u64,
    value: &'o [Micro],
}

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug)]
enum Because {
    /// The other's append is the next one.
    WriteWrite,
    /// The other read its append.
    WriteRead,
    /// The other appended what it had not read.
    ReadWrite,
    /// It had returned before the other was invoked.
    RealTime,
}

type Graph = Vec<Vec<(usize, Because)>>;

pub(super) fn check(ops: &[Op]) -> Result<(), String> {
    let (txns, failed) = pair(ops)?;
    txns.iter().try_for_each(internal)?;
    let orders = orders(&txns)?;
    let writers = writers(&txns)?;
    for (key, order) in &orders {
        for value in order.iter() {
            if failed.contains(&(*key, *value)) {
                return Err(format!("aborted read (G1a): {value} of key {key}"));
            }
            if !writers.contains_key(&(*key, *value)) {
                return Err(format!("{value} of key {key} was read, and nobody has appended it"));
            }
        }
    }
    let graph = graph(&txns, &orders, &writers)?;
    match shortest_cycle(&graph) {
        None => Ok(()),
        Some(cycle) => {
            let step = |(at, because): &(usize, Because)| format!("\n  {because:?} {}", show(txns[*at].value));
            Err(format!("a cycle:{}", cycle.iter().map(step).collect::<String>()))
        }
    }
}

/// A value that is appended to the list of a key: key first.
type Append = (u64, u64);

/// The committed transactions, and what the failed ones would have appended.
fn pair(ops: &[Op]) -> Result<(Vec<Txn<'_>>, HashSet<Append>), String> {
    let mut open = HashMap::new();
    let (mut txns, mut failed) = (Vec::new(), HashSet::new());
    for op in ops {
        if op.kind == Kind::Invoke {
            if open.insert(op.process, op.index).is_some() {
                return Err(format!("process {} invokes twice", op.process));
            }
            continue;
        }
        let invoked = open.remove(&op.process).ok_or(format!("process {} has invoked nothing", op.process))?;
        if op.kind == Kind::Ok {
            txns.push(Txn { invoked, returned: op.index, value: &op.value });
            continue;
        }
        failed.extend(op.value.iter().filter_map(|micro| match micro {
            Micro::Append(key, value) => Some((*key, *value)),
            Micro::Read(..) => None,
        }));
    }
    Ok((txns, failed))
}

/// Whether what it reads fits what it has read and appended itself.
fn internal(txn: &Txn<'_>) -> Result<(), String> {
    // What is known of each list: all of it, or how it ends.
    let mut known: HashMap<u64, (bool, Vec<u64>)> = HashMap::new();
    for micro in txn.value {
        match micro {
            Micro::Append(key, value) => known.entry(*key).or_default().1.push(*value),
            Micro::Read(key, list) => {
                let list = list.clone().ok_or("a read without a result")?;
                let (whole, end) = known.entry(*key).or_default();
                if if *whole { list != *end } else { !list.ends_with(end) } {
                    return Err(format!("internal: key {key} in {}", show(txn.value)));
                }
                (*whole, *end) = (true, list);
            }
        }
    }
    Ok(())
}

fn reads<'t>(txn: &'t Txn<'_>) -> impl Iterator<Item = (u64, &'t [u64])> {
    txn.value.iter().filter_map(|micro| match micro {
        Micro::Read(key, Some(list)) => Some((*key, &list[..])),
        _ => None,
    })
}

/// The order of each key's appends: the longest list, of which all others must be beginnings.
fn orders<'t>(txns: &'t [Txn<'_>]) -> Result<BTreeMap<u64, &'t [u64]>, String> {
    let mut orders: BTreeMap<u64, &[u64]> = BTreeMap::new();
    for (key, list) in txns.iter().flat_map(reads) {
        let order = orders.entry(key).or_default();
        let (short, long) = if list.len() < order.len() { (list, *order) } else { (*order, list) };
        if !long.starts_with(short) {
            return Err(format!("incompatible orders of key {key}: {short:?} and {long:?}"));
        }
        if long.iter().collect::<HashSet<_>>().len() < long.len() {
            return Err(format!("something twice in key {key}: {long:?}"));
        }
        *order = long;
    }
    Ok(orders)
}

fn writers(txns: &[Txn<'_>]) -> Result<HashMap<Append, usize>, String> {
    let mut writers = HashMap::new();
    for (at, txn) in txns.iter().enumerate() {
        for micro in txn.value {
            if let Micro::Append(key, value) = micro
                && writers.insert((*key, *value), at).is_some()
            {
                return Err(format!("{value} is appended to key {key} twice"));
            }
        }
    }
    Ok(writers)
}

fn graph(txns: &[Txn<'_>], orders: &BTreeMap<u64, &[u64]>, writers: &HashMap<Append, usize>) -> Result<Graph, String> {
    let mut graph: Graph = txns.iter().map(|_| Vec::new()).collect();
    let mut edge = |from: usize, to: usize, because| {
        if from != to {
            graph[from].push((to, because));
        }
    };
    for (key, order) in orders {
        for pair in order.windows(2) {
            edge(writers[&(*key, pair[0])], writers[&(*key, pair[1])], Because::WriteWrite);
        }
    }
    for (at, txn) in txns.iter().enumerate() {
        for (key, list) in reads(txn) {
            let order = orders[&key];
            // Own appends are not what it read of others.
            let others = list.iter().rposition(|value| writers[&(key, *value)] != at).map_or(0, |at| at + 1);
            if let Some(last) = others.checked_sub(1) {
                let writer = writers[&(key, list[last])];
                if order.get(others).is_some_and(|next| writers[&(key, *next)] == writer) {
                    return Err(format!("intermediate read (G1b): key {key} in {}", show(txn.value)));
                }
                edge(writer, at, Because::WriteRead);
            }
            if let Some(next) = order.get(list.len()) {
                edge(at, writers[&(key, *next)], Because::ReadWrite);
            }
        }
        for micro in txn.value {
            if let Micro::Append(key, value) = micro
                && !orders.get(key).is_some_and(|order| order.contains(value))
            {
                // Nobody has seen it: whoever has read the list came before.
                let readers = txns.iter().enumerate().filter(|(_, other)| reads(other).any(|(other, _)| other == *key));
                readers.for_each(|(reader, _)| edge(reader, at, Because::ReadWrite));
            }
        }
        for (other, before) in txns.iter().enumerate() {
            if before.returned < txn.invoked {
                edge(other, at, Because::RealTime);
            }
        }
    }
    Ok(graph)
}

/// A shortest cycle, if there is any: each step with the reason for the step to the next.
fn shortest_cycle(graph: &Graph) -> Option<Vec<(usize, Because)>> {
    let in_cycles = in_cycles(graph);
    let cycles = in_cycles.into_iter().filter_map(|start| {
        // Breadth first; of each node the step that led there.
        let mut from: HashMap<usize, (usize, Because)> = HashMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(at) = next.pop_front() {
            for (to, because) in &graph[at] {
                if !from.contains_key(to) {
                    from.insert(*to, (at, *because));
                    next.push_back(*to);
                }
            }
            if from.contains_key(&start) {
                break;
            }
        }
        let mut cycle = vec![*from.get(&start)?];
        while cycle[cycle.len() - 1].0 != start {
            cycle.push(from[&cycle[cycle.len() - 1].0]);
        }
        cycle.reverse();
        Some(cycle)
    });
    cycles.min_by_key(Vec::len)
}

/// The nodes that are left when those without predecessors are taken away again and again: none if there is no cycle.
fn in_cycles(graph: &Graph) -> Vec<usize> {
    let mut before = vec![0; graph.len()];
    graph.iter().flatten().for_each(|(to, _)| before[*to] += 1);
    let mut free: Vec<_> = (0..graph.len()).filter(|at| before[*at] == 0).collect();
    while let Some(at) = free.pop() {
        for (to, _) in &graph[at] {
            before[*to] -= 1;
            if before[*to] == 0 {
                free.push(*to);
            }
        }
    }
    (0..graph.len()).filter(|at| before[*at] > 0).collect()
}
