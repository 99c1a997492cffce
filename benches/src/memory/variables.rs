//! A million variables: never written, written once, dropped.

use super::Bytes;
use crate::engine::{ClassicStm, Engine, EngineName, Fast, FastStm, Locked, Reference, async_stm};
use crate::report::Mark;
use crate::section::Section;
use std::hint::black_box;

/// What can be done with variables of a library. Closures, since one of the libraries is asynchronous.
struct Library<'a, H> {
    name: EngineName,
    handle_bytes: usize,
    make: &'a dyn Fn(usize) -> H,
    write: &'a dyn Fn(&H, usize),
}

pub(super) fn section(engine: EngineName, quick: bool) -> Section {
    let count = if quick { 200_000 } else { 1_000_000 };
    let mut section = Section::new(
        format!("A variable's bytes, of {count} that hold a word"),
        "Beside the pointer that a handle is. Live: what is allocated. Resident: what the process grew by, the allocator's own \
         share included. After the drop: what is left per variable that was dropped, at once and after a thousand more \
         commits; what of it is resident but not live is kept by the system's allocator. Each library in a process of its own.",
        &[
            "never written, live",
            "never written, resident",
            "written, live",
            "written, resident",
            "after the drop, live",
            "a thousand commits later, live",
            "then resident",
        ],
    );
    match engine {
        EngineName::Tvar => plain::<Fast>(&mut section, engine, count),
        EngineName::Stm => plain::<ClassicStm>(&mut section, engine, count),
        EngineName::FastStm => plain::<FastStm>(&mut section, engine, count),
        EngineName::AsyncStm => asynchronous(&mut section, engine, count),
        EngineName::Mutex => plain::<Locked>(&mut section, engine, count),
        EngineName::Reference => plain::<Reference>(&mut section, engine, count),
        _ => unreachable!("{engine} has only maps"),
    }
    if engine != EngineName::Tvar {
        return section;
    }
    let of = |column: usize| section.rows.first().and_then(|row| row.values.get(column).copied().flatten());
    section.marks = vec![
        Mark::at_most("a variable that was never written", "bytes resident", 64.0, of(1).or(of(0))),
        Mark::at_most("a variable that was written", "bytes resident", 96.0, of(3).or(of(2))),
        Mark::at_most("left at once of a variable that was dropped", "bytes live", 4.0, of(4)),
    ];
    section
}

fn asynchronous(section: &mut Section, name: EngineName, count: usize) {
    let library = Library {
        name,
        handle_bytes: async_stm::handle_bytes(),
        make: &|count| async_stm::heap(0..count as u64),
        write: &|heap, at| async_stm::block_on(async_stm::change(heap, at, |n| *n += 1)),
    };
    self::library(section, &library, count);
}

fn plain<E: Engine>(section: &mut Section, name: EngineName, count: usize) {
    let library = Library::<E::Heap<u64>> {
        name,
        handle_bytes: E::handle_bytes(),
        make: &|count| E::heap(0..count as u64),
        write: &|heap, at| E::change(heap, at, |n| *n += 1),
    };
    self::library(section, &library, count);
}

fn library<H>(section: &mut Section, library: &Library<'_, H>, count: usize) {
    // What the first use of a library allocates for good is not a cost of variables.
    let first = (library.make)(1);
    (library.write)(&first, 0);

    let before = Bytes::now();
    let each = |now: Bytes, handles: f64| now.since(before).map(|bytes| bytes / count as f64 - handles);
    let heap = black_box((library.make)(count));
    let fresh = each(Bytes::now(), library.handle_bytes as f64);
    (0..count).for_each(|at| (library.write)(&heap, at));
    let written = each(Bytes::now(), library.handle_bytes as f64);
    drop(heap);
    let dropped = each(Bytes::now(), 0.0);
    (0..1_000).for_each(|_| (library.write)(&first, 0));
    let later = each(Bytes::now(), 0.0);
    let both = [fresh, written].into_iter().flat_map(|bytes| [Some(bytes.live), bytes.resident]);
    let values = both.chain([Some(dropped.live), Some(later.live), later.resident]);
    section.row(library.name.name(), values);
}
