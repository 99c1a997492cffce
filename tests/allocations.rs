//! What a warm transaction allocates: nothing, unless a value is boxed or something is registered.
#![allow(clippy::unit_arg, reason = "short closures")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tvar::{Space, TVar};

struct Counting;

thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });

// SAFETY: hands everything on to the system's allocator; the counter is a thread-local without destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const RUNS: u64 = 2_000;

/// Allocations of this thread in so many runs, after a warm-up: first writes, and then as many as the pools must hold.
fn allocations(mut f: impl FnMut(usize)) -> u64 {
    (0..RUNS as usize).chain(0..RUNS as usize).for_each(&mut f);
    let before = COUNT.with(Cell::get);
    (0..RUNS as usize).for_each(&mut f);
    COUNT.with(Cell::get) - before
}

#[test]
fn reading_and_writing_words_allocates_nothing() {
    let space = Space::new();
    let vars: Vec<TVar<u64>> = (0..5_000).map(|i| TVar::new_in(&space, i)).collect();
    let at = |i: usize| &vars[i * 7 % vars.len()];
    assert_eq!(allocations(|i| assert!(space.atomically(|tx| Ok(*tx.read(at(i)))) < 5_000)), 0, "read");
    assert_eq!(
        allocations(|_| space.atomically(|tx| Ok(assert!(vars.iter().map(|v| *tx.read(v)).sum::<u64>() > 0)))),
        0,
        "scan"
    );
    assert_eq!(allocations(|i| space.atomically(|tx| Ok(tx.modify(at(i), |n| n + 1)))), 0, "modify");
    assert_eq!(
        allocations(|i| space.atomically(|tx| {
            tx.modify(at(i), |n| n + 1);
            tx.write(at(i + 1), 3);
            Ok(tx.modify(at(i), |n| n + *tx.read(at(i + 1))))
        })),
        0,
        "several writes of one variable"
    );
    assert_eq!(
        allocations(|i| space.atomically(|tx| Ok((0..100).for_each(|k| tx.write(at(i + k), 9))))),
        0,
        "many writes"
    );
}

#[test]
fn alternatives_and_parts_allocate_nothing() {
    let space = Space::new();
    let (a, b) = (TVar::new_in(&space, 0u64), TVar::new_in(&space, 0u64));
    let run = |_| {
        space.atomically(|tx| {
            tx.or_else(
                |tx| {
                    tx.modify(&b, |n| n + 1);
                    tx.check(*tx.read(&a) > 0)
                },
                |tx| Ok(tx.modify(&b, |n| n + 2)),
            )
        })
    };
    assert_eq!(allocations(run), 0, "or_else");
    assert_eq!(b.load(), 6 * RUNS);
}

#[test]
fn options_allocate_nothing_and_a_boxed_value_is_one_allocation() {
    let space = Space::new();
    let (n, text) = (TVar::new_in(&space, 0u64), TVar::new_in(&space, [0u8; 40]));
    let options = space.options().max_attempts(5);
    assert_eq!(allocations(|_| options.run(|tx| Ok(tx.modify(&n, |n| n + 1))).unwrap()), 0);
    // §7.2: a label costs something only while the space is observed.
    let labelled = options.clone().label("label");
    assert_eq!(allocations(|_| labelled.run(|tx| Ok(tx.modify(&n, |n| n + 1))).unwrap()), 0);
    assert_eq!(allocations(|_| assert!(labelled.run(|tx| Ok(*tx.read(&n))).is_ok())), 0);
    space.observe(true);
    assert!(allocations(|_| labelled.run(|tx| Ok(tx.modify(&n, |n| n + 1))).unwrap()) >= RUNS, "observed");
    space.observe(false);
    assert_eq!(allocations(|_| labelled.run(|tx| Ok(tx.modify(&n, |n| n + 1))).unwrap()), 0, "no more");
    assert_eq!(allocations(|_| space.atomically(|tx| Ok(tx.modify(&text, |t| t.map(|byte| byte ^ 1))))), RUNS);
}
