//! Each check can fail: histories made by hand, each with the anomaly that its name says, beside the same one without.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use crate::checks::{check, nothing_left, one_version, real_time, snapshots};
use crate::generate::generate;
use crate::history::{Attempt, Broken, Call, End, Entry, History, World};
use crate::program::{Bit, Block, Code, EntryOp, Line, LineOp, Map, Stmt, Tag, Writer};
use crate::record::record;
use crate::replay::replay;

use Entry::{At, Saw};
use Stmt::{Merge, MergeThen, Read, Write};

/// A call of one attempt, the first of its process, that runs at its process's moment: each after the one before.
fn call(process: u8, block: Block, log: Vec<Entry>, end: End) -> Call {
    Call {
        process,
        index: 0,
        snapshot_isolation: false,
        block: Arc::new(block),
        called: 2 * u64::from(process),
        returned: 2 * u64::from(process) + 1,
        attempts: vec![Attempt { number: 1, log }],
        thens: Vec::new(),
        end,
    }
}

fn commits(process: u8, block: Block, log: Vec<Entry>, version: u64) -> Call {
    call(process, block, log, End::Committed(version))
}

/// They run at the same time.
fn together<const N: usize>(mut calls: [Call; N]) -> [Call; N] {
    for call in &mut calls {
        (call.called, call.returned) = (u64::from(call.process), 100 + u64::from(call.process));
    }
    calls
}

fn writer(process: u8) -> Writer {
    Writer { process, call: 0, attempt: 1 }
}

/// What the first attempt of this process writes with this tag.
fn of(process: u8, tag: Tag) -> Code {
    writer(process).code(tag)
}

fn saw(code: Code) -> Entry {
    Saw(Some(code))
}

const V0: Tag = 0;
const V1: Tag = 1;

/// Begins in version 1 with the initial values of two variables.
fn history(calls: impl IntoIterator<Item = Call>, finally: [Code; 2]) -> History {
    let world = |vars: [Code; 2]| World { vars: vars.to_vec(), ..World::default() };
    let start = world([Writer::first(V0), Writer::first(V1)]);
    let calls = calls.into_iter().collect();
    History { first: 1, start, capacity: 1, calls, applied: HashSet::new(), finally: world(finally) }
}

#[track_caller]
fn holds(history: &History) {
    if let Err(Broken { why, .. }) = check(history) {
        panic!("{why}");
    }
}

#[track_caller]
fn refused<T>(result: Result<T, Broken>, because: &str) {
    match result {
        Ok(_) => panic!("not noticed: {because}"),
        Err(Broken { why, .. }) => assert!(why.contains(because), "{why}"),
    }
}

/// §2.2 (P4).
#[test]
fn a_lost_update() {
    let first = || commits(0, vec![Read(0), Write(0, 1)], vec![At(1), saw(Writer::first(V0))], 2);
    let second = |read, at| commits(1, vec![Read(0), Write(0, 1)], vec![At(at), saw(read)], 3);
    let finally = [of(1, 1), Writer::first(V1)];
    holds(&history([first(), second(of(0, 1), 2)], finally));
    refused(
        replay(&history([first(), second(Writer::first(V0), 1)], finally)),
        "no order of what was published in version 3",
    );
    // Neither does snapshot isolation allow it.
    let weak = |mut call: Call| {
        call.snapshot_isolation = true;
        call
    };
    let both = together([weak(first()), weak(second(Writer::first(V0), 1))]);
    refused(replay(&history(both, finally)), "came first");
}

/// §1.4, §2.5.
#[test]
fn a_stale_read() {
    let write = || commits(0, vec![Write(0, 1)], vec![], 2);
    let read = |code, version| commits(1, vec![Read(0)], vec![At(version), saw(code)], version);
    let finally = [of(0, 1), Writer::first(V1)];
    holds(&history([write(), read(of(0, 1), 2)], finally));
    refused(replay(&history([write(), read(Writer::first(V0), 2)], finally)), "read something else than version 2");
    // It may be that it began earlier, but not after the write had returned.
    holds(&history(together([write(), read(Writer::first(V0), 1)]), finally));
    let late = history([write(), read(Writer::first(V0), 1)], finally);
    refused(real_time(&late, &replay(&late).unwrap()), "had returned");
}

/// §1.4: an attempt that does not commit sees one version, too; and what it makes of it must be right.
#[test]
fn a_doomed_attempt_that_sees_two_versions() {
    let write = || commits(0, vec![Write(0, 1), Write(1, 2)], vec![], 2);
    let doomed = |log, error| call(1, vec![Read(0), Read(1), Stmt::Abort(3)], log, End::Aborted(error));
    let made = |log, error| history(together([write(), doomed(log, error)]), [of(0, 1), of(0, 2)]);
    let at = |history: &History| snapshots(history, &replay(history).unwrap());
    let [old, new] = [[Writer::first(V0), Writer::first(V1)], [of(0, 1), of(0, 2)]];
    holds(&made(vec![At(1), saw(old[0]), saw(old[1])], 3));
    holds(&made(vec![At(2), saw(new[0]), saw(new[1])], 3));
    refused(at(&made(vec![At(1), saw(old[0]), saw(new[1])], 3)), "is not one in version 1");
    refused(at(&made(vec![At(2), saw(old[0]), saw(new[1])], 3)), "is not one in version 2");
    refused(at(&made(vec![At(1), saw(old[0]), saw(old[1])], 4)), "Abort(3)");
    // §5.3: forward, if what it has seen is the same there.
    refused(at(&made(vec![At(1), saw(old[0]), At(2), saw(new[1])], 3)), "is not one in version 2");
    let moved = made(vec![At(2), At(1), saw(old[0]), saw(old[1])], 3);
    refused(real_time(&moved, &replay(&moved).unwrap()), "went back");
}

/// §2.2 (A5B, G2-item): allowed under snapshot isolation alone.
#[test]
fn write_skew() {
    let seen = || vec![At(1), saw(Writer::first(V0)), saw(Writer::first(V1))];
    let one = commits(0, vec![Read(0), Read(1), Write(0, 1)], seen(), 2);
    let other = commits(1, vec![Read(0), Read(1), Write(1, 1)], seen(), 3);
    let mut both = together([one, other]);
    let finally = [of(0, 1), of(1, 1)];
    refused(replay(&history(both.clone(), finally)), "version 3");
    for call in &mut both {
        call.snapshot_isolation = true;
    }
    holds(&history(both.clone(), finally));
    // Published together they are no better.
    both[1].end = End::Committed(2);
    holds(&history(both.clone(), finally));
    both[0].snapshot_isolation = false;
    both[1].snapshot_isolation = false;
    refused(replay(&history(both, finally)), "version 2");
}

/// §2.2: two readers that see two writes in different orders.
#[test]
fn a_long_fork() {
    let writes = [commits(0, vec![Write(0, 1)], vec![], 2), commits(1, vec![Write(1, 1)], vec![], 3)];
    let read = |process, codes: [Code; 2], version| {
        commits(process, vec![Read(0), Read(1)], vec![saw(codes[0]), saw(codes[1])], version)
    };
    let finally = [of(0, 1), of(1, 1)];
    let [one, other] = writes;
    let both = |second| {
        let first = read(2, [of(0, 1), Writer::first(V1)], 2);
        history(together([one.clone(), other.clone(), first, second]), finally)
    };
    holds(&both(read(3, finally, 3)));
    for version in [1, 2, 3] {
        refused(replay(&both(read(3, [Writer::first(V0), of(1, 1)], version))), "read something else");
    }
}

/// §2.2: versions that go against real time.
#[test]
fn a_commit_before_what_had_returned() {
    let one = commits(0, vec![Write(0, 1)], vec![], 3);
    let other = |version| commits(1, vec![Write(1, 1)], vec![], version);
    let finally = [of(0, 1), of(1, 1)];
    holds(&history([one.clone(), other(4)], finally));
    holds(&history(together([one.clone(), other(2)]), finally));
    // It cannot have been published with what had returned before.
    for version in [2, 3] {
        let late = history([one.clone(), other(version)], finally);
        refused(real_time(&late, &replay(&late).unwrap()), "had returned");
    }
}

/// §1.4, §2.5.
#[test]
fn a_torn_read() {
    let write = commits(0, vec![Write(0, 1), Write(1, 2)], vec![], 2);
    let read = |codes: [Code; 2], at, version| {
        commits(1, vec![Read(0), Read(1)], vec![At(at), saw(codes[0]), saw(codes[1])], version)
    };
    let [old, new] = [[Writer::first(V0), Writer::first(V1)], [of(0, 1), of(0, 2)]];
    let made = |codes, at, version| history(together([write.clone(), read(codes, at, version)]), new);
    holds(&made(old, 1, 1));
    holds(&made(new, 2, 2));
    for torn in [[old[0], new[1]], [new[0], old[1]]] {
        refused(replay(&made(torn, 2, 2)), "read something else");
    }
    let timeline = replay(&made(new, 2, 2)).unwrap();
    refused(one_version(&made(new, 1, 2), &timeline), "another version");
    refused(one_version(&made([old[0], new[1]], 2, 2), &timeline), "is not one in version 2");
}

/// §4.5: each merge counts once, on what was there; its result is what was published.
#[test]
fn merges() {
    let (one, two) =
        (writer(0).turned(1, Writer::first(V0)), writer(1).turned(1, writer(0).turned(1, Writer::first(V0))));
    let calls = |result| {
        let mut then = commits(1, vec![MergeThen(0, 1)], vec![], 3);
        then.thens = vec![(1, result)];
        [commits(0, vec![Merge(0, 1)], vec![], 2), then]
    };
    let made = |result, finally| {
        let mut history = history(calls(result), [finally, Writer::first(V1)]);
        history.applied.extend([(of(0, 1), Writer::first(V0)), (of(1, 1), Writer::first(V0)), (of(1, 1), one)]);
        history
    };
    holds(&made(two, two));
    let stale = writer(1).turned(1, Writer::first(V0));
    refused(replay(&made(stale, stale)), "the results after the commit");
    refused(replay(&made(two, stale)), "it should end with");
    let mut never = made(two, two);
    never.applied.remove(&(of(1, 1), one));
    refused(replay(&never), "never applied");
    // A function that panics on what is there fails its commit.
    let bit = (0..24).map(Bit).find(|bit| bit.of(Writer::first(V0))).expect("a bit is set");
    let bursts = commits(0, vec![Stmt::Burst(0, bit, 1)], vec![], 2);
    refused(replay(&history([bursts], [one, Writer::first(V1)])), "should have panicked");
}

/// §4.2: what was published together needs one order that explains it all, in real time.
#[test]
fn a_batch() {
    let write = |process| commits(process, vec![Write(0, 1)], vec![], 2);
    let reads = |process, code| commits(process, vec![Read(0), Write(1, 2)], vec![saw(code)], 2);
    let one = together([write(0), write(1), reads(2, of(0, 1))]);
    holds(&history(one.clone(), [of(1, 1), of(2, 2)]));
    holds(&history(one.clone(), [of(0, 1), of(2, 2)]));
    refused(replay(&history(one.clone(), [of(0, 1), of(1, 2)])), "it should end with");
    let neither = together([write(0), write(1), reads(2, of(3, 1))]);
    refused(replay(&history(neither, [of(1, 1), of(2, 2)])), "version 2");
    let crossed = together([
        commits(0, vec![Read(1), Write(0, 1)], vec![saw(of(1, 1))], 2),
        commits(1, vec![Read(0), Write(1, 1)], vec![saw(of(0, 1))], 2),
    ]);
    refused(replay(&history(crossed, [of(0, 1), of(1, 1)])), "version 2");
    // A later read tells which of two orders it was: not one that a still later read sees.
    let look = |process, code| commits(process, vec![Read(0)], vec![saw(code)], 2);
    let finally = [of(1, 1), Writer::first(V1)];
    holds(&history(together([write(0), write(1), look(2, of(1, 1))]), finally));
    refused(replay(&history(together([write(0), write(1), look(2, of(0, 1))]), finally)), "it should end with");
    // One had returned before the other was called.
    let mut late = [write(0), write(1)];
    holds(&history(together(late.clone()), [of(0, 1), Writer::first(V1)]));
    late[0].returned = 1;
    refused(replay(&history(late, [of(0, 1), Writer::first(V1)])), "it should end with");
}

/// §3.3: the choice of the second alternative rests on what the first one read.
#[test]
fn a_stale_choice() {
    let (unset, set) = (Writer::first(V0), of(0, 1));
    let bit = (0..24).map(Bit).find(|bit| bit.of(set) && !bit.of(unset)).expect("they differ");
    let made = |seen, chosen, written| {
        let block = vec![Stmt::OrElse(vec![Stmt::Wait(0, bit)], vec![Write(1, 2)])];
        let choice = commits(1, block, vec![saw(seen), Entry::Right], chosen);
        history(together([commits(0, vec![Write(0, 1)], vec![], written), choice]), [set, of(1, 2)])
    };
    holds(&made(unset, 2, 3));
    refused(replay(&made(unset, 3, 2)), "version 3");
    // With that the first alternative goes on.
    refused(replay(&made(set, 3, 2)), "version 3");
}

/// §2.7, §2.8.
#[test]
fn a_write_that_was_rolled_back() {
    for end in [End::Aborted(1), End::Panicked, End::Failed] {
        let stmt = if end == End::Panicked { Stmt::Panic } else { Stmt::Abort(1) };
        let gone = || call(0, vec![Write(0, 1), stmt.clone()], vec![At(1)], end);
        let untouched = [Writer::first(V0), Writer::first(V1)];
        let look = |code| call(1, vec![Read(0)], vec![saw(code)], End::Failed);
        holds(&history([gone(), look(untouched[0])], untouched));
        refused(nothing_left(&history([gone(), look(of(0, 1))], untouched)), "did not commit");
        refused(nothing_left(&history([gone()], [of(0, 1), untouched[1]])), "is there in the end");
        refused(replay(&history([gone()], [of(0, 1), untouched[1]])), "it should end with");
    }
    // Of a call that has committed the attempts before.
    let mut again = commits(0, vec![Write(0, 1)], vec![], 2);
    again.attempts.insert(0, Attempt { number: 7, log: vec![] });
    let lost = Writer { attempt: 7, ..writer(0) }.code(1);
    let look = |code| call(1, vec![Read(0)], vec![saw(code)], End::Failed);
    holds(&history([again.clone(), look(of(0, 1))], [of(0, 1), Writer::first(V1)]));
    refused(nothing_left(&history([again, look(lost)], [of(0, 1), Writer::first(V1)])), "did not commit");
}

/// §6.1, §6.2: a key that comes after a range or the length was read.
#[test]
fn a_phantom() {
    let insert = commits(0, vec![Stmt::Entry(Map::Ord, 2, EntryOp::Insert(1))], vec![Saw(None)], 2);
    let counted = |stmt: Stmt, seen: Entry| commits(1, vec![stmt, Write(0, 1)], vec![seen], 3);
    let made = |stmt, seen| {
        let mut history = history(together([insert.clone(), counted(stmt, seen)]), [of(1, 1), Writer::first(V1)]);
        history.finally.ord.insert(2, of(0, 1));
        history
    };
    holds(&made(Stmt::Len(Map::Ord), Entry::Count(1)));
    refused(replay(&made(Stmt::Len(Map::Ord), Entry::Count(0))), "version 3");
    holds(&made(Stmt::Range(0, 2), Entry::Rows(vec![(2, of(0, 1))])));
    holds(&made(Stmt::Range(3, 4), Entry::Rows(vec![])));
    refused(replay(&made(Stmt::Range(0, 2), Entry::Rows(vec![]))), "version 3");
}

/// §5.3: a write to what another has locked; and a lock that does not give the newest value.
#[test]
fn a_lock_that_is_overrun() {
    let made = |block: Block, log: Vec<Entry>, [write, holder]: [u64; 2]| {
        let calls = [commits(0, vec![Write(0, 1)], vec![], write), commits(1, block, log, holder)];
        history(together(calls), [of(0, 1), of(1, 1)])
    };
    let lock = || vec![Stmt::Lock(0, true), Write(1, 1)];
    holds(&made(lock(), vec![At(1), Entry::Got(true)], [3, 2]));
    holds(&made(lock(), vec![At(2), Entry::Got(true)], [2, 3]));
    refused(replay(&made(lock(), vec![At(1), Entry::Got(true)], [2, 3])), "was locked in version 1");
    // Not if it was not got, or given back.
    let tries = vec![Stmt::TryLock(0, true), Write(1, 1)];
    holds(&made(tries, vec![At(1), Entry::Got(false)], [2, 3]));
    let undone = vec![Stmt::Nested(vec![Stmt::Lock(0, true), Stmt::Abort(2)]), Write(1, 1)];
    holds(&made(undone, vec![At(1), Entry::Got(true), Entry::Undone(2)], [2, 3]));
}

/// §6.3.
#[test]
fn an_item_that_is_taken_twice() {
    let push = commits(0, vec![Stmt::Line(Line::Queue, LineOp::Push(1))], vec![], 2);
    let pop = |process, item, version| {
        commits(process, vec![Stmt::Line(Line::Queue, LineOp::TryPop)], vec![Saw(item)], version)
    };
    let made = |second, left| {
        let calls = together([push.clone(), pop(1, Some(of(0, 1)), 3), pop(2, second, 4)]);
        let mut history = history(calls, [Writer::first(V0), Writer::first(V1)]);
        history.finally.queue = VecDeque::from(left);
        history
    };
    holds(&made(None, vec![]));
    refused(replay(&made(Some(of(0, 1)), vec![])), "version 4");
    refused(replay(&made(None, vec![of(0, 1)])), "it should end with");
}

/// Of recorded histories: nothing that a committed call has seen can be otherwise.
#[test]
fn every_entry_counts() {
    let mut changed = 0;
    for seed in 1..=4 {
        let (mut history, _) = record(&generate(seed), seed);
        holds(&history);
        let entries = history.calls.iter().enumerate().filter(|(_, call)| call.version().is_some());
        let entries = entries.flat_map(|(at, call)| (0..call.last().log.len()).map(move |entry| (at, entry)));
        for (at, entry) in entries.collect::<Vec<_>>().into_iter().step_by(5) {
            let other = match &history.calls[at].last().log[entry] {
                Saw(Some(code)) => Saw(Some(code ^ 1)),
                Saw(None) => saw(of(0, 1)),
                Entry::Flag(flag) => Entry::Flag(!flag),
                Entry::Count(count) => Entry::Count(count + 1),
                Entry::Rows(rows) => Entry::Rows(rows.iter().skip(1).copied().chain([(99, 0)]).collect()),
                Entry::Items(items) => Entry::Items(items.iter().copied().chain([0]).collect()),
                Entry::Right => Entry::Flag(true),
                Entry::Undone(error) => Entry::Undone(error + 1),
                // What the model takes as it is.
                At(_) | Entry::Got(_) | Entry::Expired => continue,
            };
            let log = |history: &mut History, new| {
                let attempt = history.calls[at].attempts.last_mut().expect("it has one");
                std::mem::replace(&mut attempt.log[entry], new)
            };
            let old = log(&mut history, other);
            if check(&history).is_ok() {
                panic!("{entry} is not needed in {}", history.calls[at]);
            }
            log(&mut history, old);
            changed += 1;
        }
    }
    assert!(changed > 50, "{changed} were changed");
}
