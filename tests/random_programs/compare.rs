//! Runs one program everywhere and looks for a difference.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::engine::Engine;
use crate::fast::{ANNOUNCED, Fast, HELPED, PLAIN};
use crate::interpret;
use crate::oracle::{self, Outcome};
use crate::program::{Event, Program};
use crate::reference::Reference;

/// Whether both engines do what the oracle says, the fast one in all its ways; otherwise, what is different.
pub(crate) fn compare(program: &Program) -> Result<(), String> {
    let expected = oracle::run(program);
    check::<Reference>(program, &expected)?;
    check::<Fast<PLAIN>>(program, &expected)?;
    check::<Fast<ANNOUNCED>>(program, &expected)?;
    // A thread for each commit takes its time: some of the programs.
    if program.0.len().is_multiple_of(4) { check::<Fast<HELPED>>(program, &expected) } else { Ok(()) }
}

fn check<E: Engine>(program: &Program, expected: &Outcome) -> Result<(), String> {
    let run = catch_unwind(AssertUnwindSafe(|| interpret::run::<E>(program, expected.reachable)));
    let trace = match run {
        Ok(Ok(trace)) => trace,
        Ok(Err(problem)) => return Err(format!("{}: {problem}", E::NAME)),
        Err(panic) => return Err(format!("{} panicked: {}", E::NAME, text(&*panic))),
    };
    match difference(&expected.trace, &trace) {
        None => Ok(()),
        Some(difference) => Err(format!("{}: {difference}", E::NAME)),
    }
}

fn difference(expected: &[Event], seen: &[Event]) -> Option<String> {
    let longest = expected.len().max(seen.len());
    let at = (0..longest).find(|at| expected.get(*at) != seen.get(*at))?;
    let show = |event: Option<&Event>| event.map_or("the end".into(), |event| format!("{event:?}"));
    Some(format!(
        "event {at} should be {}, but is {}\nexpected: {expected:?}\nseen:     {seen:?}",
        show(expected.get(at)),
        show(seen.get(at))
    ))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("with something that is no text")
}
