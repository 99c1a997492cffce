//! §2.8, §4.3, §1.7, §7.1: a panic at every place where the crate runs its user's code, in every way a transaction can run, at the
//! n-th time for each n: what is left is the state before or the one after, all of it; nothing is locked, nobody waits, nobody has the
//! turn; this thread and others go on; every value, key and payload is dropped once.

#[path = "../async_common/mod.rs"]
mod async_common;
#[path = "../blocking_common/mod.rs"]
mod blocking_common;
mod body;
#[path = "../common/mod.rs"]
mod common;
mod constructs;
mod fuse;
#[path = "../map_common/mod.rs"]
mod map_common;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Census, elsewhere, settle};
use fuse::{Fuse, POINTS, Point, is_boom};
use world::{State, World};

type Construct = fn(&World);

/// One run whose fuse may blow: what is left, whether the call panicked, and whether it blew.
fn trial(construct: Construct, point: Point, at: Option<u64>) -> (State, bool, bool) {
    let census = Census::new();
    let fuse = Fuse::new(&census, point, at);
    let world = World::new(&census, fuse.clone());
    fuse.arm(true);
    let result = catch_unwind(AssertUnwindSafe(|| construct(&world)));
    fuse.arm(false);
    let panicked = match result {
        Ok(()) => false,
        Err(payload) => {
            assert!(is_boom(&*payload), "{point:?} {at:?}: another panic: {:?}", payload.downcast_ref::<String>());
            true
        }
    };
    let state = world.state();
    let clue = format!("{point:?} {at:?}");
    assert_eq!((world.space.locks().len(), world.space.waiters()), (0, 0), "{clue}");
    // Neither the thread nor the space is poisoned, and the turn is free.
    world.space.atomically(|tx| body::all(tx, &world));
    elsewhere(|| world.space.atomically(|tx| body::all(tx, &world)));
    elsewhere(|| world.space.options().coalesce_after(0).run(|tx| body::vars(tx, &world)).expect("no limits"));
    let space = world.space.clone();
    drop(world);
    settle(&space, || census.live() == 0);
    (state, panicked, fuse.blown())
}

fn matrix(name: &str, construct: Construct) {
    let census = Census::new();
    let before = World::new(&census, Fuse::new(&census, Point::Closure, None)).state();
    let (after, ..) = trial(construct, Point::Closure, None);
    let mut blown = 0;
    for point in POINTS {
        let mut at = 0;
        loop {
            let (state, panicked, did_blow) = trial(construct, point, Some(at));
            // §1.7: the end of a value undoes nothing, and nobody is told. §7.1: a commit hook undoes nothing.
            let expected = match point {
                _ if !did_blow => (&after, false),
                Point::Drop | Point::KeyDrop => (&after, false),
                Point::CommitHook => (&after, true),
                _ => (&before, true),
            };
            assert_eq!((&state, panicked), expected, "{name}: {point:?}, time {at}");
            if !did_blow {
                break;
            }
            blown += 1;
            // Keys are compared some hundred times. All of them count in one construct, and everywhere in optimised builds.
            at += if cfg!(debug_assertions) && name != "plain" && at > 10 { 7 } else { 1 };
        }
    }
    assert!(blown > 0);
}

macro_rules! matrix {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            matrix(stringify!($name), constructs::$name);
        }
    )*};
}

matrix! {
    plain aborted left right nested nested_undone pessimistic locked snapshot_isolation rerun turn parked parked_with_deadline timed_out
    announced announced_and_helped task cancelled_task behind_a_snapshot snapshot_dropped_inside reads_of_a_snapshot load store update filled
    handles_dropped_inside
}
