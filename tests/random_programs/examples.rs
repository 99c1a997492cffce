//! Programs written by hand, with what they must show: the oracle's own test, so that three equal mistakes or a trace
//! of nothing cannot pass for agreement.

use crate::compare::compare;
use crate::generate::generate;
use crate::oracle;
use crate::program::{End, EntryOp, Event, Kept, Key, Lasting, Name, Program, Step, Stmt};
use crate::value::{Fun, Val};

const X: Name = Name(0);
const Y: Name = Name(1);

fn write(name: Name, n: i64) -> Stmt {
    Stmt::Write(name, Val::Int(n))
}

fn new(name: Name, n: i64) -> Step {
    Step::Lasting(Lasting::New(name, Val::Int(n)))
}

fn saw(name: Name, n: i64) -> Event {
    Event::Saw(name, Val::Int(n))
}

/// One transaction over x = 0 and y = 0; what is seen is its trace and the values of both afterwards.
fn shows(body: Vec<Stmt>, expected: Vec<Event>) {
    let program = Program(vec![new(X, 0), new(Y, 0), Step::Atomically(body)]);
    assert_eq!(oracle::run(&program).trace, expected, "\n{program}");
    compare(&program).unwrap_or_else(|problem| panic!("{problem}\n{program}"));
}

#[test]
fn retry_undoes_the_left_side_alone() {
    // §3.2: the earlier write to the same variable stays.
    let left = vec![write(X, 2), write(Y, 2), Stmt::Retry];
    let right = vec![Stmt::Read(X), Stmt::Read(Y)];
    shows(
        vec![write(X, 1), Stmt::OrElse(left, right)],
        vec![saw(X, 1), saw(Y, 0), Event::Ended(End::Committed), saw(X, 1), saw(Y, 0)],
    );
}

#[test]
fn only_retry_falls_through() {
    // §3.2: aborts and panics do not.
    for (leave, end) in [(Stmt::Abort(7), End::Aborted(7)), (Stmt::Panic, End::Panicked)] {
        shows(
            vec![write(Y, 1), Stmt::OrElse(vec![write(X, 1), leave], vec![write(X, 2)])],
            vec![Event::Ended(end), saw(X, 0), saw(Y, 0)],
        );
    }
}

#[test]
fn both_sides_retrying_is_a_retry_of_the_whole() {
    let both = Stmt::OrElse(vec![Stmt::Retry], vec![write(X, 1), Stmt::Check(Y)]);
    shows(vec![both], vec![saw(Y, 0), Event::Ended(End::Blocked), saw(X, 0), saw(Y, 0)]);
}

#[test]
fn retry_passes_through_nested() {
    let inner = Stmt::Nested(vec![write(X, 1), Stmt::Retry]);
    shows(vec![Stmt::OrElse(vec![inner], vec![write(Y, 1)])], vec![Event::Ended(End::Committed), saw(X, 0), saw(Y, 1)]);
}

#[test]
fn an_abort_stops_at_nested_and_undoes_its_writes_alone() {
    // §2.9
    shows(
        vec![write(X, 1), Stmt::Nested(vec![write(X, 2), write(Y, 2), Stmt::Abort(3)]), Stmt::Read(X)],
        vec![Event::Inner(Err(3)), saw(X, 1), Event::Ended(End::Committed), saw(X, 1), saw(Y, 0)],
    );
}

#[test]
fn a_merge_read_in_an_undone_branch_is_a_merge_still() {
    // §4.5, §3.2: the read promotes, and the promotion is undone with its branch.
    let left = vec![Stmt::Read(X), Stmt::Merge(X, Fun::Add(1)), Stmt::Retry];
    shows(
        vec![Stmt::Merge(X, Fun::Add(4)), Stmt::OrElse(left, vec![Stmt::Merge(X, Fun::Turn)])],
        vec![saw(X, 4), Event::Ended(End::Committed), saw(X, -4), saw(Y, 0)],
    );
}

#[test]
fn a_large_write_set_that_shrank_finds_what_is_written_next() {
    // A set that has outgrown the linear search, and is undone to less.
    let many: Vec<_> = (0..20).map(Name).collect();
    let left = many.iter().map(|name| write(*name, 1)).chain([Stmt::Retry]).collect();
    let right = many[..3].iter().flat_map(|name| [write(*name, 2), Stmt::Read(*name)]).collect();
    let mut steps: Vec<_> = many.iter().map(|name| new(*name, 0)).collect();
    steps.push(Step::Atomically(vec![Stmt::Nested(vec![Stmt::OrElse(left, right), Stmt::Abort(1)])]));
    let program = Program(steps);
    let seen = [saw(Name(0), 2), saw(Name(1), 2), saw(Name(2), 2), Event::Inner(Err(1)), Event::Ended(End::Committed)];
    let heap = many.iter().map(|name| saw(*name, 0));
    assert_eq!(oracle::run(&program).trace, seen.into_iter().chain(heap).collect::<Vec<_>>());
    compare(&program).unwrap_or_else(|problem| panic!("{problem}\n{program}"));
}

#[test]
fn snapshots_show_what_was_committed_when_they_were_taken() {
    // §1.2, §1.5: also one that is taken amid a transaction, and a variable that is younger than it.
    let kept = Kept(1);
    let program = Program(vec![
        new(X, 0),
        Step::Atomically(vec![write(X, 1), Stmt::Lasting(Lasting::Keep(kept))]),
        new(Y, 5),
        Step::Store(Y, Val::Int(6)),
    ]);
    let snapshot = |name, n| Event::Snapshot(kept, name, Val::Int(n));
    assert_eq!(
        oracle::run(&program).trace,
        [Event::Ended(End::Committed), saw(X, 1), snapshot(X, 0), saw(Y, 6), snapshot(Y, 5)]
    );
    compare(&program).unwrap_or_else(|problem| panic!("{problem}\n{program}"));
}

#[test]
fn locks_change_nothing_and_entries_are_undone_like_variables() {
    // §5.2, §5.5, §6.1: the left side's entry and locks go; merges of one key are applied in order, and a clear ends them.
    let entry = |key, op| Stmt::Entry(Key(key), op);
    let left = vec![
        Stmt::Lock(X, true),
        Stmt::LockRange(Key(0), Key(3), true),
        entry(1, EntryOp::Insert(7)),
        entry(2, EntryOp::UpsertWith(5)),
        Stmt::Range(Key(0), Key(3)),
        Stmt::Retry,
    ];
    let right = vec![
        Stmt::TryLock(X, false),
        entry(2, EntryOp::UpsertWith(3)),
        entry(1, EntryOp::InsertNew(4)),
        entry(3, EntryOp::Remove),
        Stmt::Range(Key(1), Key(2)),
    ];
    let saw = |key, n| Event::Entry(Key(key), None, n);
    shows(
        vec![
            entry(0, EntryOp::Upsert(9)),
            Stmt::Clear,
            entry(2, EntryOp::UpsertWith(1)),
            Stmt::OrElse(left, right),
            entry(2, EntryOp::Get),
        ],
        vec![
            Event::Answered(Key(0), true),
            Event::Answered(Key(2), true),
            saw(1, None),
            Event::Answered(Key(2), true),
            Event::Range(vec![(1, 7), (2, 6)]),
            Event::Locked(true),
            Event::Answered(Key(2), true),
            Event::Answered(Key(1), true),
            saw(3, None),
            Event::Range(vec![(1, 4), (2, 4)]),
            saw(2, Some(4)),
            Event::Ended(End::Committed),
            self::saw(X, 0),
            self::saw(Y, 0),
            saw(1, Some(4)),
            saw(2, Some(4)),
        ],
    );
}

#[test]
fn the_programs_reach_every_end() {
    // A generator that never gets anywhere would agree with everything.
    let traces = (1..=1_000).map(|seed| oracle::run(&generate(seed)).trace);
    let events: Vec<_> = traces.flatten().collect();
    let count = |wanted: &dyn Fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let ended = |wanted: fn(End) -> bool| count(&|event| matches!(event, Event::Ended(end) if wanted(*end)));
    let reached = [
        ("committed", ended(|end| end == End::Committed)),
        ("blocked", ended(|end| end == End::Blocked)),
        ("aborted", ended(|end| matches!(end, End::Aborted(_)))),
        ("panicked", ended(|end| end == End::Panicked)),
        ("nested", count(&|event| matches!(event, Event::Inner(Ok(()))))),
        ("nested abort", count(&|event| matches!(event, Event::Inner(Err(_))))),
        ("write changed", count(&|event| matches!(event, Event::Changed(_, true)))),
        ("write changed nothing", count(&|event| matches!(event, Event::Changed(_, false)))),
        ("snapshot read", count(&|event| matches!(event, Event::Snapshot(..)))),
        ("differs", count(&|event| matches!(event, Event::Differs(.., true)))),
        ("does not differ", count(&|event| matches!(event, Event::Differs(.., false)))),
        ("locked", count(&|event| matches!(event, Event::Locked(true)))),
        ("entry seen", count(&|event| matches!(event, Event::Entry(_, None, Some(_))))),
        ("entry answered no", count(&|event| matches!(event, Event::Answered(_, false)))),
        ("entry in a snapshot", count(&|event| matches!(event, Event::Entry(_, Some(_), Some(_))))),
        ("range of several", count(&|event| matches!(event, Event::Range(entries) if entries.len() > 1))),
    ];
    println!("{reached:?}");
    for (what, times) in reached {
        assert!(times >= 100, "{what}: only {times} times in 1,000 programs: {reached:?}");
    }
}
