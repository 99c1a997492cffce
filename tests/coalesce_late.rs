//! §4.2, §4.3, C8: a helper that is late, since others have decided long ago what it is still working on, sees nothing that has gone.

mod blocking_common;
mod coalesce_common;
mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use blocking_common::{Pause, Paused};
use coalesce_common::{all_commit, announced, announced_store, at_once};
use common::{Census, Counted, elsewhere, settle, ticks};
use tvar::hooks::Point;
use tvar::{Space, TVar};

/// A gate in a merge function: the application that comes first stops there, and notes afterwards what it looks at, and whether that still
/// lives.
#[derive(Clone, Default)]
struct Gate {
    pause: Pause,
    used: Arc<AtomicBool>,
    seen: Arc<Mutex<Option<(u64, bool)>>>,
}

impl Gate {
    /// Returns the value's number, which was read before the stop.
    fn pass(&self, census: &Census, old: &Counted) -> u64 {
        let id = old.id;
        if !self.used.swap(true, Ordering::SeqCst) {
            self.pause.stop();
            *self.seen.lock().unwrap() = Some((id, census.alive(id)));
        }
        id
    }

    /// What the first application was given, and whether that lived until the application's end.
    fn seen(&self) -> (u64, bool) {
        self.seen.lock().unwrap().expect("the function has run")
    }
}

/// Two members of one batch: one writes a value, the other merges it. The first is decided and overwritten while a late helper
/// is still in the other's function, with that value.
#[test]
fn s4_2_a_late_helper_in_a_merge_of_another_members_value() {
    let mut met = 0;
    // The order of the members is by chance: the merge has to come after the write.
    for round in 0..200 {
        let (space, census) = (Space::new(), Census::new());
        let var = TVar::new_in(&space, Arc::new(census.value(0)));
        let [side, spoiler] = [0, 0].map(|n| TVar::new_in(&space, n));
        var.store(Arc::new(census.value(0)));
        let gate = Gate::default();
        let merge = || {
            let (var, spoiler, census, gate) = (var.clone(), spoiler.clone(), census.clone(), gate.clone());
            announced(&space, move |tx| {
                tx.read(&spoiler);
                let (census, gate) = (census.clone(), gate.clone());
                tx.merge(&var, move |old: &Arc<Counted>| Arc::new(census.value(100 + gate.pass(&census, old))));
                Ok(())
            })
        };
        let write = || announced_store(&space, &var, Arc::new(census.value(1)));
        let (writer, merger) = if round % 2 == 0 {
            (write(), merge())
        } else {
            let merger = merge();
            (write(), merger)
        };
        let late = std::thread::spawn(move || side.store(1));
        gate.pause.reached();
        // Decides both: the writer's value is in the tree, the merge has lost to this very commit.
        elsewhere(|| spoiler.store(1));
        assert_eq!(space.snapshot().read(&var).id, 1);
        all_commit([writer]);
        elsewhere(|| {
            var.store(Arc::new(census.value(2)));
            ticks(&space, 5);
        });
        // Nobody but the late helper can be looking at the writer's value now.
        gate.pause.release();
        late.join().expect("the late helper commits");
        assert_eq!(merger.finish(), (Ok(()), 2));
        assert_eq!(space.snapshot().read(&var).id, 102);
        let (id, alive) = gate.seen();
        assert!(alive, "value {id} was dropped while a function of a late helper looked at it");
        met += usize::from(id == 1);
        if met >= 3 {
            return;
        }
    }
    panic!("the merge never came after the write");
}

/// A member whose variable has died, but for the member's log; what the tree has of it goes when the member has ended, but not before a
/// late helper is done with it.
#[test]
fn s4_2_a_late_helper_in_a_merge_of_a_dead_variable() {
    let (space, census) = (Space::new(), Census::new());
    let [side, spoiler] = [0, 0].map(|n| TVar::new_in(&space, n));
    let var = TVar::new_in(&space, census.value(0));
    var.store(census.value(1));
    ticks(&space, 2);
    let handle = Arc::new(Mutex::new(Some(var)));
    let (gate, in_closure) = (Gate::default(), Pause::new());
    let merger = {
        let (handle, spoiler, census) = (handle.clone(), spoiler.clone(), census.clone());
        let (gate, in_closure, options) = (gate.clone(), in_closure.clone(), at_once(&space));
        Paused::soon_at(Point::Announced, move || {
            options.run(|tx| {
                tx.read(&spoiler);
                if let Some(var) = handle.lock().unwrap().as_ref() {
                    let (census, gate) = (census.clone(), gate.clone());
                    tx.merge(var, move |old: &Counted| census.value(100 + gate.pass(&census, old)));
                }
                in_closure.stop();
                Ok(())
            })
        })
    };
    in_closure.reached();
    // The last handle goes while the attempt runs, and versions go by.
    drop(handle.lock().unwrap().take());
    ticks(&space, 20);
    in_closure.release();
    merger.reached();
    let late = std::thread::spawn(move || side.store(1));
    gate.pause.reached();
    elsewhere(|| spoiler.store(1));
    assert_eq!(merger.finish(), Ok(()), "the second attempt does not find the variable");
    ticks(&space, 200);
    assert!(census.alive(1), "the value was dropped while a function of a late helper looked at it");
    gate.pause.release();
    late.join().expect("the late helper commits");
    assert_eq!(gate.seen(), (1, true));
    ticks(&space, 200);
    settle(&space, || census.live() == 0);
}

/// Functions, and what they captured, live as long as a late helper may call them: it stops in one member's function, and has the other's
/// before it.
#[test]
fn s4_2_a_late_helper_keeps_functions_alive() {
    let (space, census) = (Space::new(), Census::new());
    let [side, sum] = [0, 0].map(|n| TVar::new_in(&space, n));
    let (pause, stopped, applied) = (Pause::new(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let members = [7, 8].map(|id| {
        let (sum, census) = (sum.clone(), census.clone());
        let (pause, stopped, applied) = (pause.clone(), stopped.clone(), applied.clone());
        announced(&space, move |tx| {
            let captured = census.value(id);
            let (pause, stopped, census, applied) = (pause.clone(), stopped.clone(), census.clone(), applied.clone());
            tx.merge(&sum, move |n| {
                let captured = &captured;
                if !stopped.swap(true, Ordering::SeqCst) {
                    pause.stop();
                }
                assert!(census.alive(captured.id));
                applied.fetch_add(1, Ordering::SeqCst);
                n + 1
            });
            Ok(())
        })
    });
    let late = std::thread::spawn(move || side.store(1));
    pause.reached();
    ticks(&space, 1);
    assert_eq!((sum.load(), applied.load(Ordering::SeqCst)), (2, 2), "decided without the late helper");
    all_commit(members);
    ticks(&space, 300);
    assert_eq!(census.live(), 2, "the functions may be called yet");
    pause.release();
    late.join().expect("the late helper commits");
    assert_eq!((sum.load(), applied.load(Ordering::SeqCst)), (2, 4), "two applications in vain");
    settle(&space, || census.live() == 0);
    assert_eq!(census.dropped(), 2);
}
